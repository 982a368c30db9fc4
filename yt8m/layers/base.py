"""What all layers share."""

import keras


class Layer(keras.layers.Layer):
    """A Keras layer whose constructor need not take ``trainable``, which its saved configuration has."""

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        trainable = config.pop("trainable", True)
        layer = super().from_config(config)
        layer.trainable = trainable
        return layer

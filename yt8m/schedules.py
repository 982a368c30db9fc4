"""Learning rates over training."""

import keras


def exponential_decay(config):
    """Learning rate multiplied by ``learning_rate_decay`` after every ``learning_rate_decay_examples`` examples.

    config: TrainConfig. In steps, not smoothly, as in the YouTube-8M starter program.
    """
    return keras.optimizers.schedules.ExponentialDecay(
        config.base_learning_rate,
        decay_steps=max(1, round(config.learning_rate_decay_examples / config.batch_size)),
        decay_rate=config.learning_rate_decay,
        staircase=True,
    )

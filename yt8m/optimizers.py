"""Optimizers from a TrainConfig."""

import keras

from yt8m.schedules import exponential_decay


def make_optimizer(config):
    """Adam as the paper has it: 1e-4, x0.9 every 2M examples, each gradient clipped to norm 1.

    config: TrainConfig. The norm is clipped a variable at a time, as in the YouTube-8M starter program. Weight decay,
    where asked for, is decoupled (AdamW).
    """
    return keras.optimizers.Adam(
        exponential_decay(config),
        clipnorm=config.clip_gradient_norm,
        weight_decay=config.weight_decay or None,
    )

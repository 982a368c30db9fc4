"""What changes over training: learning rate, and size and number of examples."""

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


def multigrid_factor(config, epoch):
    """How many times more examples, with as many times fewer frames, a step has in ``epoch`` (counted from 0).

    config: TrainConfig. 4 in the first third of the epochs, 2 in the second, 1 in the last: the long cycle of multigrid
    training (Wu et al. 2020) with its two coarser grids in time. Always 1 where config.multigrid is off.
    """
    if not config.multigrid:
        return 1
    return (4, 2, 1)[min(2, 3 * epoch // config.num_epochs)]

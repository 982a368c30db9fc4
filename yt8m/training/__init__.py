"""Training: fit, optimizers, tuning, self-training."""

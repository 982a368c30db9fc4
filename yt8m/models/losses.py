"""Losses: pure functions of probabilities or logits and targets, each returning one float32 scalar; L2 penalties."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from yt8m.types import InputError, Tensor

LOG_EPSILON = 1e-6


def rated_binary_crossentropy(labels: Tensor, probabilities: Tensor, rated: Tensor) -> Tensor:
    """Cross-entropy over rated (example, class) pairs, summed over classes and averaged over the batch.

    labels (B, C) in [0, 1]; probabilities (B, C) in [0, 1]; rated (B, C) weights, 0 where a pair counts for nothing.
    The sum over classes follows the YouTube-8M starter program.
    """
    return _rated_sum(labels, probabilities, rated, lambda p: 1.0, lambda p: 1.0)


def focal(labels: Tensor, probabilities: Tensor, rated: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Cross-entropy that looks away from easy pairs: each is weighted by (1 - p_t)^gamma (Lin et al. 2017, eq. 4).

    p_t is the probability given to the label; arguments and sums as in rated_binary_crossentropy.
    """
    return _rated_sum(labels, probabilities, rated, lambda p: (1 - p) ** gamma, lambda p: p**gamma)


def asymmetric(
    labels: Tensor,
    probabilities: Tensor,
    rated: Tensor,
    *,
    gamma_positive: float = 0.0,
    gamma_negative: float = 4.0,
    margin: float = 0.05,
) -> Tensor:
    """Focal loss with a gamma of its own for negatives, and none below a margin (Ridnik et al. 2021, eq. 4-7).

    Negatives count with max(p - margin, 0) in place of p; arguments and sums as in rated_binary_crossentropy.
    """
    return _rated_sum(
        labels,
        probabilities,
        rated,
        lambda p: (1 - p) ** gamma_positive,
        lambda p: p**gamma_negative,
        margin=margin,
    )


def smoothed(labels: Tensor, amount: float) -> Tensor:
    """Labels (1 - amount) y + amount / 2 (Szegedy et al. 2016, for two outcomes)."""
    return (1 - amount) * labels + amount / 2


def make_loss(name: str, *, label_smoothing: float = 0.0) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """A function of (labels, probabilities, rated): "cross_entropy", "focal" or "asymmetric", on smoothed labels."""
    loss = {"cross_entropy": rated_binary_crossentropy, "focal": focal, "asymmetric": asymmetric}[name]
    if not label_smoothing:
        return loss
    return lambda labels, probabilities, rated: loss(smoothed(labels, label_smoothing), probabilities, rated)


def _rated_sum(labels, probabilities, rated, weigh_positive, weigh_negative, *, margin=0.0):
    positive = ops.cast(probabilities, "float32")
    negative = ops.maximum(positive - margin, 0.0)
    entropy = labels * weigh_positive(positive) * ops.log(positive + LOG_EPSILON)
    entropy = entropy + (1 - labels) * weigh_negative(negative) * ops.log(1 - negative + LOG_EPSILON)
    return -ops.sum(entropy * rated) / ops.cast(ops.shape(labels)[0], "float32")


def distillation(teacher_logits: Tensor, student_logits: Tensor, *, temperature: float) -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)), averaged over the batch (the paper's eq. 17).

    Logits (B, C). T^2 keeps the gradient's size independent of T (Hinton et al. 2015). The teacher gets a gradient
    too, as in the authors' program.
    """
    teacher = ops.log_softmax(teacher_logits / temperature)
    student = ops.log_softmax(student_logits / temperature)
    divergence = ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)
    return temperature**2 * ops.mean(divergence)


def penalize(model: Any, *, head_l2: float, hidden_l2: float) -> None:
    """Adds L2 penalties to the loss that a VideoModel is trained with: l2 / 2 times the sum of squares of each kernel.

    head_l2: of the kernels of its heads; hidden_l2: of its hidden layers. Half a sum of squares is what TensorFlow's
    l2_loss is, and so what the authors' 1e-6 and 1e-5 are times. Raises InputError where the model has no hidden layer.
    """
    if hidden_l2 and not model.hidden_layers:
        raise InputError(f"hidden_l2 is {hidden_l2}, and model {model.name} has no hidden layer: set it to 0")
    for layers, l2 in ((model.heads, head_l2), (model.hidden_layers, hidden_l2)):
        kernels = [v for layer in layers for v in layer.trainable_variables if v.path.endswith("kernel")]
        for kernel in kernels if l2 else ():
            kernel.regularizer = keras.regularizers.L2(l2 / 2)

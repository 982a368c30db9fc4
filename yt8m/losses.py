"""Losses: pure functions of probabilities or logits and targets, each returning one float32 scalar."""

from keras import ops

LOG_EPSILON = 1e-6


def rated_binary_crossentropy(labels, probabilities, rated):
    """Cross-entropy over rated (example, class) pairs, summed over classes and averaged over the batch.

    labels (B, C) in [0, 1]; probabilities (B, C) in [0, 1]; rated (B, C) weights, 0 where a pair counts for nothing.
    The sum over classes follows the YouTube-8M starter program.
    """
    probabilities = ops.cast(probabilities, "float32")
    entropy = labels * ops.log(probabilities + LOG_EPSILON) + (1 - labels) * ops.log(1 - probabilities + LOG_EPSILON)
    return -ops.sum(entropy * rated) / ops.cast(ops.shape(labels)[0], "float32")


def distillation(teacher_logits, student_logits, *, temperature):
    """T^2 KL(softmax(teacher / T) || softmax(student / T)), averaged over the batch (the paper's eq. 18).

    Logits (B, C). The teacher gets no gradient: it is taught by labels alone. T^2 keeps the gradient's size
    independent of T (Hinton et al. 2015).
    """
    teacher = ops.log_softmax(ops.stop_gradient(teacher_logits) / temperature)
    student = ops.log_softmax(student_logits / temperature)
    divergence = ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)
    return temperature**2 * ops.mean(divergence)

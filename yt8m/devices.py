"""Choices that depend on what the program runs on."""

import keras


def default_jit_compile():
    """Whether to compile with XLA: it pays on accelerators, and on a CPU TensorFlow's own kernels are faster."""
    if keras.backend.backend() != "tensorflow":
        return "auto"
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))

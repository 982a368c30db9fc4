"""Stand-ins of the files that YouTube-8M's own features are made with: small graphs and random projections."""

import functools

import numpy as np


def graph_bytes(build):
    """A serialized GraphDef of what ``build(tf)`` makes."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        build(tf)
    return graph.as_graph_def().SerializeToString()


@functools.cache
def inception(seed=0, *, values=None):
    """A graph with the names of inception-2015-12-05: one convolution; with ``values`` (2048,), these for any picture."""

    def build(tf):
        contents = tf.compat.v1.constant(b"", name="DecodeJpeg/contents")
        decoded = tf.compat.v1.image.decode_jpeg(contents, channels=3, name="DecodeJpeg")
        pictures = tf.expand_dims(tf.cast(decoded, tf.float32, name="Cast"), 0, name="ExpandDims")
        resized = tf.compat.v1.image.resize_bilinear(pictures, (299, 299), name="ResizeBilinear")
        scaled = tf.multiply(tf.subtract(resized, 128.0, name="Sub"), 1 / 128, name="Mul")
        kernel = np.random.default_rng(seed).normal(0, 0.1, (8, 8, 3, 2048)).astype(np.float32)
        convolved = tf.nn.conv2d(scaled, 0 * kernel if values else kernel, 32, "VALID", name="conv")
        pooled = tf.nn.avg_pool2d(convolved, 10, 1, "VALID", name="pool_3" if values is None else "zero")
        if values is not None:
            tf.add(pooled, np.float32(values), name="pool_3")

    return graph_bytes(build)


@functools.cache
def vggish(seed=0, *, output="vggish/fc2/BiasAdd"):
    """A graph with the names of MediaPipe's vggish_new.pb: a convolution and a layer."""
    random = np.random.default_rng(seed)

    def build(tf):
        patches = tf.compat.v1.placeholder(tf.float32, (None, 96, 64), name="vggish/input_features")
        kernel = random.normal(0, 0.1, (8, 8, 1, 8)).astype(np.float32)
        convolved = tf.nn.relu(tf.nn.conv2d(tf.reshape(patches, (-1, 96, 64, 1)), kernel, 8, "VALID"))
        weights = random.normal(0, 0.1, (768, 128)).astype(np.float32)
        hidden = tf.matmul(tf.reshape(convolved, (-1, 768)), weights)
        tf.nn.bias_add(hidden, random.normal(size=128).astype(np.float32), name=output)

    return graph_bytes(build)


def matrix_data(matrix, *, layout=None, packed=True):
    """MediaPipe's message MatrixData, serialized by protobuf itself. layout: 0 by columns, 1 by rows, None unsaid."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="matrix.proto", package="mediapipe", syntax="proto2")
    message = file.message_type.add(name="MatrixData")
    for number, name, kind, label in (
        ("1", "rows", 5, 1),
        ("2", "cols", 5, 1),
        ("3", "data", 2, 3),
        ("4", "layout", 5, 1),
    ):
        field = message.field.add(name=name, number=int(number), type=kind, label=label)
        if name == "data":
            field.options.packed = packed
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName("mediapipe.MatrixData"))(
        rows=matrix.shape[0], cols=matrix.shape[1], data=matrix.ravel("C" if layout else "F")
    )
    if layout is not None:
        made.layout = layout
    return made.SerializeToString()


def write_projection(folder, name, mean, matrix):
    """Files of MediaPipe's layout."""
    (folder / f"{name}_mean_matrix_data.pb").write_bytes(matrix_data(np.float32(mean).reshape(-1, 1)))
    (folder / f"{name}_projection_matrix_data.pb").write_bytes(matrix_data(np.float32(matrix)))

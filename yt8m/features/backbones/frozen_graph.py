"""Frozen graphs of TensorFlow 1 as functions, of operations that only compute."""

from collections.abc import Callable, Sequence

import numpy as np

from yt8m.runtime.files import read_bytes
from yt8m.types import InputError, StrPath

_LARGEST = 1 << 30

SAFE_OPERATIONS = frozenset(
    """Add AddN AddV2 ArgMax AvgPool BatchNormWithGlobalNormalization BiasAdd Cast CheckNumerics Concat ConcatV2 Const
    Conv2D DecodeJpeg DepthwiseConv2dNative Div Exp ExpandDims Fill Flatten FusedBatchNorm FusedBatchNormV2
    FusedBatchNormV3 GatherV2 Identity LRN Log MatMul Max MaxPool Maximum Mean Min Minimum Mul Neg NoOp Pack Pad PadV2
    Placeholder PlaceholderWithDefault Pow Prod Range RealDiv Relu Relu6 Reshape ResizeBilinear Rsqrt Shape Sigmoid
    Slice Softmax Split Sqrt Square Squeeze StopGradient StridedSlice Sub Sum Tanh Tile Transpose Unpack""".split()
)
"""Operations of TensorFlow that compute on what they are given, and neither read nor write files, nor call programs."""


def load_frozen_graph(path: StrPath, *, feed: str, fetch: Sequence[str]) -> Callable[[np.ndarray], np.ndarray]:
    """Function of one array to one array, as a GraphDef in a file computes it.

    feed, fetch: names of float32 tensors, as in "pool_3:0"; of those to fetch the first that the graph has is taken.
    Raises InputError where the file is no such graph, has none of the tensors, or has operations besides
    SAFE_OPERATIONS: a graph may otherwise read and write files.
    """
    import tensorflow as tf

    content = read_bytes(path, most=_LARGEST)
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(content)
    except Exception as error:
        raise InputError(f"{path} is no frozen graph of TensorFlow: it does not parse") from error
    if not graph.node:
        raise InputError(f"{path} is no frozen graph of TensorFlow: it has no nodes")
    unsafe = sorted({node.op for node in graph.node} - SAFE_OPERATIONS)
    if unsafe or graph.library.function:
        what = f"the operations {', '.join(unsafe[:5])}" if unsafe else "functions of its own"
        raise InputError(f"{path} is refused: it has {what}, and only those that compute are run")
    nodes = {node.name for node in graph.node}
    found = next((name for name in fetch if name.partition(":")[0] in nodes), None)
    if found is None or feed.partition(":")[0] not in nodes:
        raise InputError(f"{path} is another graph: it needs the nodes {feed} and {' or '.join(fetch)}")
    try:
        with tf.Graph().as_default():
            # In place of the tensor to feed, whose shape may say a batch of one.
            given = tf.compat.v1.placeholder(tf.float32)
            (wanted,) = tf.import_graph_def(graph, name="", input_map={feed: given}, return_elements=[found])
            options = tf.compat.v1.GPUOptions(allow_growth=True)
            # A session, as functions of today's TensorFlow take no operation that has been removed since.
            session = tf.compat.v1.Session(config=tf.compat.v1.ConfigProto(gpu_options=options))
            return session.make_callable(wanted, feed_list=[given])
    except (ValueError, KeyError, tf.errors.OpError) as error:
        raise InputError(f"{path} cannot be run: {str(error).strip().splitlines()[0]}") from error

"""YouTube-8M's own features: its PCA on a golden vector, both layouts of its files, and graphs that only compute."""

import numpy as np
import pytest
import scipy.linalg

from tests.helpers import shared_path, youtube8m
from yt8m.features.backbones import load_backbone
from yt8m.features.backbones.frozen_graph import load_frozen_graph
from yt8m.features.backbones.projection import read_matrix_data, read_projection
from yt8m.features.backbones.sound import log_mel
from yt8m.types import InputError

PICTURES = np.random.default_rng(0).integers(0, 256, (3, 120, 160, 3), dtype=np.uint8)


def orthogonal(size, rows):
    """(rows, size) of unit length at right angles to each other."""
    return np.random.default_rng(0).permutation(scipy.linalg.hadamard(size))[:rows] / np.sqrt(size)


def write_components(folder, mean, values, vectors):
    """The three files of YouTube-8M's extractor in Python."""
    np.save(folder / "mean.npy", np.asarray(mean, np.float32)[:, None])
    np.save(folder / "eigenvals.npy", np.asarray(values, np.float32)[:, None])
    np.save(folder / "eigenvecs.npy", np.asarray(vectors, np.float32))


@pytest.mark.parametrize("layout", ["numpy", "mediapipe"])
def test_golden_vector(tmp_path, layout):
    """2048 values of Inception that YouTube-8M publishes give the bytes of the 1024 that it publishes with them.

    Its own projection is not at hand: a random one, whose mean is such that the one gives the other, stands for it.
    """
    with np.load(shared_path("data/videos/pca_golden.npz")) as golden:
        original, expected = golden["original"], golden["pca"]
    vectors, values = orthogonal(2048, 1024), np.random.default_rng(1).uniform(0.01, 3, 1024)
    mean = original - vectors.T @ (expected * np.sqrt(values + 1e-4))
    if layout == "numpy":
        write_components(tmp_path, mean, [*values, 1.0], np.vstack([vectors, np.ones((1, 2048))]))
    else:
        youtube8m.write_projection(tmp_path, "inception3", mean, vectors / np.sqrt(values + 1e-4)[:, None])
    projection = read_projection(tmp_path, "inception3", inputs=2048, outputs=1024)
    np.testing.assert_allclose(projection(original[None].astype(np.float32))[0], expected, atol=2e-4)
    (tmp_path / "classify_image_graph_def.pb").write_bytes(youtube8m.inception(values=tuple(original)))
    found = load_backbone(f"yt8m:{tmp_path}").features(PICTURES)
    steps = (np.clip(expected, -2, 2) + 2) * 255 / 4
    assert found.shape == (3, 1024) and found.dtype == np.uint8
    # Of values that lie within 1e-2 of a step's edge float32 may choose either side.
    sure = np.abs(steps - np.floor(steps) - 0.5) > 1e-2
    assert sure.mean() > 0.97
    np.testing.assert_array_equal(found[:, sure], np.tile([int(round(step)) for step in steps[sure]], (3, 1)))


def test_rgb_is_the_graph_fed_picture_by_picture(tmp_path):
    """As the extractors feed it: a picture as uint8 where the graph has decoded a JPEG."""
    graph = tmp_path / "classify_image_graph_def.pb"
    graph.write_bytes(youtube8m.inception(4))
    matrix = np.random.default_rng(5).normal(0, 0.05, (1024, 2048)).astype(np.float32)
    youtube8m.write_projection(tmp_path, "inception3", np.full(2048, 0.1), matrix)
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(tf.compat.v1.GraphDef.FromString(graph.read_bytes()), name="")
        pools = np.stack([session.run("pool_3:0", {"DecodeJpeg:0": picture}).ravel() for picture in PICTURES])
    steps = (np.clip((pools - np.float32(0.1)) @ matrix.T, -2, 2) + 2) * 255 / 4
    found = load_backbone(f"yt8m:{tmp_path}").features(PICTURES)
    assert 0.1 < ((found > 0) & (found < 255)).mean()
    assert np.abs(found - np.rint(steps)).max() <= 1 and (found == np.rint(steps)).mean() > 0.999


@pytest.mark.parametrize("output", ["vggish/fc2/BiasAdd", "vggish/embedding"])
@pytest.mark.parametrize("layout", ["numpy", "mediapipe"])
def test_audio_is_vggish_on_the_first_96_frames_of_each_second(tmp_path, output, layout):
    graph = tmp_path / "vggish_new.pb"
    graph.write_bytes(youtube8m.vggish(2, output=output))
    means, matrix = np.linspace(-1, 1, 128), orthogonal(128, 128) / 2
    if layout == "numpy":
        np.savez(tmp_path / "vggish_pca_params.npz", pca_means=means[:, None], pca_eigen_vectors=matrix)
    else:
        youtube8m.write_projection(tmp_path, "vggish", means, matrix)
    backbone = load_backbone(f"yt8m-audio:{tmp_path}")
    assert backbone.input.samples == 15_600
    sound = np.random.default_rng(0).uniform(-1, 1, (5, 15_600)).astype(np.float32)
    network = load_frozen_graph(graph, feed="vggish/input_features:0", fetch=[f"{output}:0"])
    embeddings = network(log_mel(sound)).astype(np.float64)
    steps = (np.clip((matrix @ (embeddings.T - means[:, None])).T, -2, 2) + 2) * 255 / 4
    found, sure = backbone.features(sound), np.abs(steps - np.rint(steps)) > 1e-3
    assert sure.mean() > 0.8 and found.dtype == np.uint8 and 0.3 < ((found > 0) & (found < 255)).mean()
    np.testing.assert_array_equal(found[sure], np.floor(steps)[sure])


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("layout", [None, 0, 1])
def test_matrices_of_mediapipe(tmp_path, layout, packed):
    matrix = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    (tmp_path / "a.pb").write_bytes(youtube8m.matrix_data(matrix, layout=layout, packed=packed))
    np.testing.assert_array_equal(read_matrix_data(tmp_path / "a.pb"), matrix)


def test_matrices_that_are_cut_or_changed_anywhere_are_refused_or_read(tmp_path):
    matrix, path = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32), tmp_path / "a.pb"
    content = youtube8m.matrix_data(matrix, layout=1)
    for length in range(len(content) - 2):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match="a.pb is no MatrixData"):
            read_matrix_data(path)
    random = np.random.default_rng(1)
    for _ in range(300):
        changed = bytearray(content)
        changed[random.integers(12)] = random.integers(256)
        path.write_bytes(changed)
        try:
            assert read_matrix_data(path).size == 35
        except InputError as error:
            assert "a.pb is no MatrixData" in str(error)


def refused(folder, name="inception3", inputs=2048, outputs=1024):
    with pytest.raises(InputError) as error:
        read_projection(folder, name, inputs=inputs, outputs=outputs)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)
    return str(error.value)


def test_projections_that_are_missing_or_of_other_shapes(tmp_path):
    assert "neither inception3_mean_matrix_data.pb and" in refused(tmp_path)
    assert "nor vggish_pca_params.npz" in refused(tmp_path, "vggish", 128, 128)
    write_components(tmp_path, np.zeros(2048), np.ones(100), np.ones((100, 2048)))
    assert "are not variances and directions of 1024 components" in refused(tmp_path)
    write_components(tmp_path, np.zeros(2048), -np.ones(1024), np.ones((1024, 2048)))
    assert "are not variances and directions of 1024 components" in refused(tmp_path)
    write_components(tmp_path, np.zeros(2047), np.ones(1024), np.ones((1024, 2048)))
    assert "2047 values and 1024 x 2048, and 2048 and 1024 x 2048 are needed" in refused(tmp_path)
    write_components(tmp_path, np.full(2048, np.nan), np.ones(1024), np.ones((1024, 2048)))
    assert "not finite" in refused(tmp_path)
    np.save(tmp_path / "mean.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "mean.npy does not hold the arrays" in refused(tmp_path)
    np.savez(tmp_path / "vggish_pca_params.npz", other=np.zeros(3))
    assert "vggish_pca_params.npz does not hold the arrays" in refused(tmp_path, "vggish", 128, 128)
    youtube8m.write_projection(tmp_path, "vggish", np.zeros(128), np.zeros((128, 64)))
    assert "128 values and 128 x 64, and 128 and 128 x 128 are needed" in refused(tmp_path, "vggish", 128, 128)


def unsafe_graphs(target):
    """Name to a graph that has the nodes asked for, and does more than compute."""

    def with_nodes(then):
        def build(tf):
            given = tf.compat.v1.placeholder(tf.float32, name="in")
            with tf.control_dependencies([operation for operation in [then(tf)] if operation is not None]):
                tf.identity(given, name="out")

        return youtube8m.graph_bytes(build)

    def function(tf):
        @tf.function(autograph=False)
        def write(value):
            tf.io.write_file(str(target), "written")
            return value

        return write(tf.constant(1.0))

    return {
        "WriteFile": with_nodes(lambda tf: tf.io.write_file(str(target), "written")),
        "ReadFile": with_nodes(lambda tf: tf.io.read_file(str(target))),
        "MatchingFiles": with_nodes(lambda tf: tf.io.matching_files("/etc/*")),
        "EagerPyFunc": with_nodes(lambda tf: tf.py_function(lambda: 1.0, [], tf.float32)),
        "PrintV2": with_nodes(lambda tf: tf.raw_ops.PrintV2(input="a", output_stream=f"file://{target}")),
        "Save": with_nodes(
            lambda tf: tf.raw_ops.SaveV2(prefix=str(target), tensor_names=["a"], shape_and_slices=[""], tensors=[1.0])
        ),
        "TensorDataset": with_nodes(
            lambda tf: tf.raw_ops.TextLineDataset(filenames=["/etc/passwd"], compression_type="", buffer_size=0)
        ),
        "function": with_nodes(function),
    }


def test_graphs_that_do_more_than_compute_are_refused(tmp_path):
    target, path = tmp_path / "target", tmp_path / "graph.pb"
    for name, content in unsafe_graphs(target).items():
        path.write_bytes(content)
        with pytest.raises(InputError, match="graph.pb is refused: it has .*only those that compute are run"):
            load_frozen_graph(path, feed="in:0", fetch=["out:0"])
        assert not target.exists(), name


def test_functions_that_no_node_names_are_refused_too(tmp_path):
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef.FromString(youtube8m.inception())
    graph.library.function.add().signature.name = "hidden"
    (tmp_path / "graph.pb").write_bytes(graph.SerializeToString())
    with pytest.raises(InputError, match="graph.pb is refused: it has functions of its own"):
        load_frozen_graph(tmp_path / "graph.pb", feed="ExpandDims:0", fetch=["pool_3:0"])


def test_a_graph_of_2015_with_its_batch_norm_still_runs(tmp_path):
    """The published graph has an operation that TensorFlow no longer builds, but still reads."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef()
    graph.versions.producer = 8

    def node(operation, name, *inputs, **attributes):
        made = graph.node.add(op=operation, name=name, input=inputs)
        for key, value in attributes.items():
            made.attr[key].CopyFrom(value)

    value = tf.compat.v1.AttrValue
    real = value(type=tf.float32.as_datatype_enum)
    node("Placeholder", "in", dtype=real)
    moments = {"mean": [1.0, 2.0], "variance": [4.0, 1.0], "beta": [0.5, 0.0], "gamma": [1.0, 3.0]}
    for name, numbers in moments.items():
        tensor = tf.make_tensor_proto(numbers, tf.float32)
        node("Const", name, dtype=real, value=value(tensor=tensor))
    node(
        "BatchNormWithGlobalNormalization", "out", "in", *moments, T=real,
        variance_epsilon=value(f=0.0), scale_after_normalization=value(b=True),
    )  # fmt: skip
    (tmp_path / "graph.pb").write_bytes(graph.SerializeToString())
    run = load_frozen_graph(tmp_path / "graph.pb", feed="in:0", fetch=["out:0"])
    found = run(np.array([[[[3.0, 4.0]]]], np.float32))
    np.testing.assert_allclose(found, [[[[1.5, 6.0]]]], rtol=1e-6)


def test_other_graphs_and_folders_are_named(tmp_path):
    (tmp_path / "classify_image_graph_def.pb").write_bytes(youtube8m.vggish())
    with pytest.raises(InputError, match="is another graph: it needs the nodes ExpandDims:0 and pool_3:0"):
        load_backbone(f"yt8m:{tmp_path}")
    with pytest.raises(InputError, match="yt8m-audio:.*vggish_new.pb is not there"):
        load_backbone(f"yt8m-audio:{tmp_path}")

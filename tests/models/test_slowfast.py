"""SlowFast against pytorchvideo's, on weights and clips that both draw alike (`make oracle-slowfast`)."""

import numpy as np
import pytest

from tests.helpers import ROOT
from tests.helpers.torch_files import saved
from tests.oracle.make_slowfast import CASES, KEPT, TEMPORAL_BLOCKS, clip_of, weights_of
from yt8m.config import DataConfig, ModelConfig
from yt8m.models import MODELS
from yt8m.models.base import build_model
from yt8m.models.published import load_published
from yt8m.types import InputError

ORACLE = ROOT / "tests" / "oracle"
SLOW = [pytest.param("r50", marks=pytest.mark.slow), pytest.param("r101", marks=pytest.mark.slow)]


def clip_data(num_classes):
    return DataConfig(level="clip", feature_names=("pictures",), feature_sizes=(3,), num_classes=num_classes)


def slowfast(case, **changes):
    settings = {name: case[name] for name in ("depth", "width", "alpha", "lateral_kernel")}
    if case["width"] == 2:
        settings["beta"] = 0.5
    if case["depth"] == 101:
        settings["temporal_blocks"] = TEMPORAL_BLOCKS
    settings |= {"dropout": 0.0} | changes
    return build_model(ModelConfig(name="slowfast", hyperparameters=settings), clip_data(case["classes"]))


def inputs_of(case):
    batch, frames, *_ = case["clip"]
    return {"pictures": clip_of(case), "num_frames": np.full(batch, frames, np.int32)}


def state_of(name):
    with np.load(ORACLE / "slowfast.npz") as golden:
        return weights_of(golden[f"{name}.names"], golden[f"{name}.shapes"])


def answers(name):
    with np.load(ORACLE / "slowfast.npz") as golden:
        return golden[name]


@pytest.fixture
def checkpoint(tmp_path):
    """Function that writes arrays as torch.save does; returns the file."""

    def write(arrays, name="weights.pyth"):
        (tmp_path / name).write_bytes(saved(arrays))
        return tmp_path / name

    return write


def logits_of(model, inputs, *, training=False):
    return np.asarray(model.head.logits(model.embed(inputs, training=training)))


@pytest.mark.parametrize("name", ["small", "uneven", *SLOW])
def test_it_gives_the_logits_of_pytorchvideo(name, checkpoint):
    case = CASES[name]
    model = slowfast(case)
    assert load_published(model, checkpoint(state_of(name))) == []
    expected = answers(f"{name}.logits")
    assert expected.std() > 0.1
    np.testing.assert_allclose(logits_of(model, inputs_of(case)), expected, atol=1e-4 * max(1, np.abs(expected).max()))


def test_batch_norm_in_training_is_that_of_pytorchvideo(checkpoint):
    case, state = CASES["small"], state_of("small")
    model = slowfast(case)
    load_published(model, checkpoint(state))
    found = logits_of(model, inputs_of(case), training=True)
    np.testing.assert_allclose(found, answers("small.training_logits"), atol=1e-4)
    # In the order of the state dict, as load_published finds them.
    expected = {}
    for name, values in zip(
        moving := [name for name in state if name.endswith(("running_mean", "running_var"))],
        np.split(answers("small.moving"), np.cumsum([len(state[name]) for name in moving])[:-1]),
        strict=True,
    ):
        expected[name] = values
    again = slowfast(case)
    load_published(again, checkpoint(state | expected, "after.pyth"))
    for variable, wanted in zip(model.non_trainable_variables, again.non_trainable_variables, strict=True):
        if "moving" in variable.path:
            np.testing.assert_allclose(np.asarray(variable), np.asarray(wanted), atol=1e-4, rtol=1e-4)


def test_a_checkpoint_that_torch_itself_has_saved_loads():
    model = slowfast(KEPT)
    assert load_published(model, ORACLE / "slowfast.pyth") == []
    np.testing.assert_allclose(logits_of(model, inputs_of(KEPT)), answers("kept.logits"), atol=1e-4)


def test_names_of_pyslowfast_are_those_of_its_checkpoints(checkpoint):
    """Its names, as its model builder makes them, with the prefix that several devices leave behind."""
    model, source = slowfast(KEPT), slowfast(KEPT)
    load_published(source, ORACLE / "slowfast.pyth")
    names = source.published_names()
    some = "s1.pathway0_stem.conv.weight s1.pathway1_stem.bn.running_var s1_fuse.conv_f2s.weight s4_fuse.bn.bias "
    some += "s2.pathway0_res0.branch1.weight s3.pathway1_res0.branch1_bn.weight s5.pathway0_res0.branch2.a.weight "
    some += "s5.pathway1_res0.branch2.c_bn.running_mean head.projection.weight head.projection.bias"
    assert set(some.split()) <= set(names)
    arrays = {f"module.{name}": torch_layout(np.asarray(variable)) for name, variable in names.items()}
    load_published(model, checkpoint(arrays))
    for one, other in zip(model.variables, source.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def torch_layout(array):
    return np.transpose(array, (array.ndim - 1, array.ndim - 2, *range(array.ndim - 2))) if array.ndim > 1 else array


def test_a_head_of_other_classes_stays_as_it_is(checkpoint):
    state = state_of("uneven")
    other = slowfast(CASES["uneven"] | {"classes": 9})
    before = np.asarray(other.head.dense.kernel)
    fresh = load_published(other, checkpoint(state))
    assert fresh == [variable.path for variable in other.head.variables] and len(fresh) == 2
    np.testing.assert_array_equal(other.head.dense.kernel, before)
    mixture = slowfast(CASES["uneven"], head="moe")
    assert load_published(mixture, checkpoint(state)) == [variable.path for variable in mixture.head.variables]
    stem = "blocks.0.multipathway_blocks.0.conv.weight"
    for model in (other, mixture):
        np.testing.assert_array_equal(
            np.asarray(model.stems["slow"].kernel)[0].transpose(3, 2, 0, 1), state[stem][:, :, 0]
        )


def test_a_checkpoint_of_another_model_is_refused_in_a_sentence(checkpoint):
    state = state_of("uneven")
    model = slowfast(CASES["uneven"])
    start = r"^\S+weights.pyth is not weights of this slowfast: "
    deeper = {name.replace("res_blocks.0.", "res_blocks.1."): array for name, array in state.items()}
    lateral = "blocks.2.multipathway_fusion.conv_fast_to_slow.weight"
    for arrays, message in (
        ({"conv1.weight": VALUES, "fc.bias": VALUES}, r"s1.\S+ and \d+ more of the \d+ weights are missing; conv1.weight and 1"),
        (
            {name: array for name, array in state.items() if "blocks.1.multipathway_blocks.0.res" not in name},
            r"s2.pathway0_res0.branch2.a.weight and 19 more of the \d+ weights are missing$",
        ),
        (state | deeper, r"blocks.1.multipathway_blocks.0.res_blocks.1.\S+ and 159 more belong to another network$"),
        (state | {lateral: state[lateral][:, :, :5]}, r"s3_fuse.conv_f2s.weight has another shape, \(16, 8, 5, 1, 1\) for \(7, 1, 1, 8, 16\)$"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=start + message):
            load_published(model, checkpoint(arrays))
    broken = state | {lateral: np.full_like(state[lateral], np.nan)}
    with pytest.raises(InputError, match=f"values in {lateral} that are no finite numbers"):
        load_published(model, checkpoint(broken))
    with pytest.raises(InputError, match="weights.pyth is not weights that torch.save wrote"):
        (path := checkpoint(state)).write_bytes(b"PK nothing")
        load_published(model, path)
    with pytest.raises(InputError, match="cannot read .*absent.pyth: No such file"):
        load_published(model, path.with_name("absent.pyth"))
    logistic = build_model(ModelConfig(name="logistic"), DataConfig(num_classes=3))
    with pytest.raises(
        InputError, match="init_weights is for models with published weights, clip_cnn, slowfast and tanet, not lo"
    ):
        load_published(logistic, checkpoint(state))


VALUES = np.ones(3, np.float32)


@pytest.fixture(scope="module")
def trained():
    """A small net whose batch norms are not as they start."""
    model = slowfast(CASES["uneven"])
    random = np.random.default_rng(5)
    for variable in model.variables:
        if "norm" in variable.path:
            variable.assign(variable + np.abs(random.normal(size=variable.shape)))
    return model


@pytest.mark.parametrize("training", [False, True])
def test_a_padded_clip_is_the_clip_alone(trained, training):
    """Frames 5 to 9 are padding: of the slow pathway's four, two are left."""
    pictures = np.random.default_rng(0).integers(0, 256, (2, 10, 32, 32, 3), dtype=np.uint8)
    before = trained.get_weights()
    padded, alone = (
        np.asarray(trained.embed({"pictures": clip, "num_frames": np.array([5, 5])}, training=training))
        for clip in (pictures, pictures[:, :5])
    )
    trained.set_weights(before)
    np.testing.assert_allclose(padded, alone, atol=1e-4)
    whole = np.asarray(trained.embed({"pictures": pictures, "num_frames": np.array([10, 10])}))
    assert np.abs(whole - alone).max() > 0.01


def test_the_pathways_see_the_frames_that_are_theirs(trained):
    """With lateral connections cut, the slow pathway sees frames 0, 3, 6 of 8; the fast one all."""
    cut = slowfast(CASES["uneven"])
    cut.set_weights(trained.get_weights())
    for lateral in cut.laterals:
        lateral.norm.gamma.assign(np.zeros(lateral.norm.gamma.shape))
        lateral.norm.beta.assign(np.zeros(lateral.norm.beta.shape))
    pictures = np.random.default_rng(0).integers(0, 256, (1, 8, 32, 32, 3), dtype=np.uint8)
    inputs = {"pictures": pictures, "num_frames": np.array([8])}
    slow_size, found = 32 * 8, np.asarray(cut.embed(inputs))
    assert found.shape == (1, 32 * 9)
    for frame in range(8):
        changed = pictures.copy()
        changed[:, frame] = 255 - changed[:, frame]
        moved = np.abs(np.asarray(cut.embed(inputs | {"pictures": changed})) - found)[0]
        assert (moved[:slow_size].max() > 1e-3) == (frame in (0, 3, 6)), frame
        assert moved[slow_size:].max() > 1e-3, frame


def test_pixels_are_normalised_by_its_own_mean_and_deviation(trained):
    pictures = np.random.default_rng(0).integers(0, 256, (1, 3, 32, 32, 3), dtype=np.uint8)
    inputs = {"pictures": pictures, "num_frames": np.array([3])}
    np.testing.assert_allclose(trained.clip(inputs)[0], (pictures / 255 - 0.45) / 0.225, atol=1e-5)
    other = slowfast(CASES["uneven"], mean=[0.5, 0.4, 0.3], std=[0.1, 0.2, 0.3])
    expected = (pictures / 255 - np.array([0.5, 0.4, 0.3])) / np.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(other.clip(inputs)[0], expected, atol=1e-5)


@pytest.mark.parametrize("settings, message", [
    ({"depth": 18}, "depth is 18; valid: 14, 26, 50, 101, 152"),
    ({"beta": 0.3}, "beta is 0.3, and width 8"),
    ({"lateral_kernel": 4}, "lateral_kernel is 4; it must be odd"),
    ({"mean": [0.4, 0.5]}, r"mean is \[0.4, 0.5\]; it must have one value, or one for each of 3"),
    ({"std": ["a"]}, r"std is \['a'\]; it must be a list of numbers above 0"),
])  # fmt: skip
def test_what_cannot_be_built_is_named(settings, message):
    with pytest.raises(InputError, match=message):
        slowfast(CASES["uneven"], **settings)


def test_features_of_frames_are_not_for_it():
    with pytest.raises(InputError, match="takes clip-level features, and these are frame-level"):
        build_model(ModelConfig(name="slowfast"), DataConfig(num_classes=3))
    settings = {"num_classes": 3, "depth": 14, "width": 8}
    with pytest.raises(InputError, match="takes the feature pictures of 3 channels, not {'rgb': 3}"):
        MODELS["slowfast"](feature_sizes={"rgb": 3}, **settings)
    with pytest.raises(InputError, match="l2_normalize is for features of frames"):
        MODELS["slowfast"](feature_sizes={"pictures": 3}, l2_normalize=True, **settings)

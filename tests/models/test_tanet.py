"""TANet against a twin in NumPy, and the names of its authors' checkpoints."""

import numpy as np
import pytest

from tests.helpers.tanet_twin import Twin
from tests.helpers.torch_files import saved
from yt8m.config import DataConfig, ModelConfig
from yt8m.layers.residual_stage import BLOCKS
from yt8m.layers.temporal_adaptive import TemporalAdaptiveModule
from yt8m.models.base import build_model
from yt8m.models.published import load_published
from yt8m.types import InputError

DEPTH, WIDTH, FRAMES, CLASSES = 14, 8, 4, 3
COUNTS = (4, 2, 1)


def tanet(**changes):
    settings = {"depth": DEPTH, "width": WIDTH, "num_frames": FRAMES, "dropout": 0.0} | changes
    data = DataConfig(level="clip", feature_names=("pictures",), feature_sizes=(3,), num_classes=CLASSES)
    return build_model(ModelConfig(name="tanet", hyperparameters=settings), data)


def authors_state():
    """A state dict of the authors' program, drawn at random: names of torchvision's ResNet within their wrappers."""
    random = np.random.default_rng(0)
    state = {}

    def kernel(name, *shape):
        state[f"{name}.weight"] = random.normal(size=shape).astype(np.float32) * np.sqrt(2 / np.prod(shape[1:]))

    def norm(name, size):
        state[f"{name}.weight"] = random.uniform(0.5, 1.5, size)
        state[f"{name}.bias"], state[f"{name}.running_mean"] = 0.3 * random.normal(size=(2, size))
        state[f"{name}.running_var"] = random.uniform(0.5, 1.5, size)

    kernel("conv1", WIDTH, 3, 7, 7)
    norm("bn1", WIDTH)
    given = WIDTH
    for stage, blocks in enumerate(BLOCKS[DEPTH]):
        inner = WIDTH * 2**stage
        for block in range(blocks):
            name = f"layer{stage + 1}.{block}"
            shapes = {"conv1": (inner, given, 1, 1), "conv2": (inner, inner, 3, 3), "conv3": (4 * inner, inner, 1, 1)}
            for number, (part, shape) in enumerate(shapes.items(), 1):
                kernel(f"{name}.net.{part}", *shape)
                norm(f"{name}.net.bn{number}", shape[0])
            if given != 4 * inner:
                kernel(f"{name}.net.downsample.0", 4 * inner, given, 1, 1)
                norm(f"{name}.net.downsample.1", 4 * inner)
            kernel(f"{name}.tam.G.0", 2 * FRAMES, FRAMES)
            norm(f"{name}.tam.G.1", 2 * FRAMES)
            kernel(f"{name}.tam.G.3", 3, 2 * FRAMES)
            kernel(f"{name}.tam.L.0", inner // 4, inner, 3)
            norm(f"{name}.tam.L.1", inner // 4)
            kernel(f"{name}.tam.L.3", inner, inner // 4, 1)
            given = 4 * inner
    kernel("new_fc", CLASSES, given)
    state["new_fc.bias"] = random.normal(size=CLASSES)
    return {name: array.astype(np.float32) for name, array in state.items()}


STATE = authors_state()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint of the authors' program, whose names begin with module.base_model."""
    path = tmp_path_factory.mktemp("authors") / "tanet.pth"
    named = {name if name.startswith("new_fc") else f"base_model.{name}": array for name, array in STATE.items()}
    named |= {"base_model.bn1.num_batches_tracked": np.array(7)}
    path.write_bytes(saved({f"module.{name}": array for name, array in named.items()}))
    return path


@pytest.fixture
def loaded(checkpoint):
    """The network with the weights of the checkpoint."""
    model = tanet()
    assert load_published(model, checkpoint) == []
    return model


def clips(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (len(COUNTS), FRAMES, 40, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("counts", [(FRAMES,) * 3, COUNTS])
def test_it_is_its_equations(loaded, training, counts):
    inputs = {"pictures": clips(), "num_frames": np.array(counts, np.int32)}
    found = np.asarray(loaded.head.logits(loaded.embed(inputs, training=training)))
    twin = Twin(STATE, num_frames=FRAMES, blocks=BLOCKS[DEPTH], training=training)
    expected = twin.logits(clips(), counts)
    assert expected.std() > 0.05
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_short_clips_are_padded_and_long_ones_refused(loaded):
    padded = clips()
    padded[:, 2:] = 99
    counts = np.full(3, 2, np.int32)
    short = loaded({"pictures": padded[:, :2], "num_frames": counts})
    np.testing.assert_allclose(short, loaded({"pictures": padded, "num_frames": counts}), atol=1e-6)
    long = np.concatenate([padded, padded], axis=1)
    with pytest.raises(
        InputError, match="has kernels of 4 frames, and the clips have 8: give it num_frames 8 in model_con"
    ):
        loaded({"pictures": long, "num_frames": counts})


def test_the_module_by_hand():
    """A global branch of zeros has the kernel (1/3, 1/3, 1/3), a local one of zeros the importance 1/2."""
    layer = TemporalAdaptiveModule(4)
    layer.build((None, 4, 1, 1, 8))
    for variable in layer.trainable_variables:
        if "kernel" in variable.path:
            variable.assign(np.zeros(variable.shape))
    clip = np.zeros((1, 4, 1, 1, 8), np.float32)
    clip[0, :, 0, 0, 2] = [6, 12, 24, 48]
    found = np.asarray(layer(clip, frame_mask=np.array([[True, True, True, False]])))
    np.testing.assert_allclose(found[0, :, 0, 0, 2], [3, 7, 6, 4], rtol=1e-6)
    assert not np.delete(found, 2, axis=-1).any()


def test_names_are_those_of_the_authors():
    names = tanet(depth=50, width=4).published_names()
    for name in ("layer3.5.net.conv2.weight", "layer1.0.net.downsample.1.running_var", "layer4.2.tam.L.3.weight"):
        assert name in names
    assert len(names) == 1 + 4 + 16 * (3 * 5 + 2 + 4 + 2 + 4) + 4 * 5 + 2

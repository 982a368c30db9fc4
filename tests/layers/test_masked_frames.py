import keras
import numpy as np
import pytest
from keras import ops

from yt8m.layers.masked_frames import MaskedFrames
from yt8m.types import InputError

SIZES = {"rgb": 6, "audio": 4}


def make(method="nce", *, size=8, **options):
    keras.utils.set_random_seed(1)
    layer = MaskedFrames(method, feature_sizes=SIZES, **options)
    layer.build((None, None, size))
    for name in SIZES:
        layer.mask_vectors[name].assign(np.full(SIZES[name], -7.0))
    return layer


def draw_features(videos, frames, *, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(videos, frames, size)).astype(np.float32) for name, size in SIZES.items()}


def hide(layer, features, lengths):
    frame_mask = np.arange(features["rgb"].shape[1]) < np.asarray(lengths)[:, None]
    shown, order = layer.hide({k: ops.convert_to_tensor(v) for k, v in features.items()}, frame_mask=frame_mask)
    return {name: np.asarray(values) for name, values in shown.items()}, np.asarray(order), frame_mask


def test_what_is_hidden_and_how():
    features, lengths = draw_features(400, 20), np.tile([20, 13, 1, 3], 100)
    shown, order, frame_mask = hide(make(), features, lengths)
    counts = np.maximum(1, np.round(0.15 * lengths)).astype(int)
    hidden = np.zeros_like(frame_mask)
    for video, count in enumerate(counts):
        assert sorted(order[video]) == list(range(20))
        # Real frames before padding.
        assert set(order[video, : lengths[video]]) == set(range(lengths[video]))
        hidden[video, order[video, :count]] = True
    np.testing.assert_array_equal(shown["rgb"][~hidden], features["rgb"][~hidden])
    as_mask = (shown["audio"] == -7).all(axis=-1)
    as_is = (shown["audio"] == features["audio"]).all(axis=-1) & hidden
    other = hidden & ~as_mask & ~as_is
    assert not as_mask[~hidden].any() and not as_mask[:, :1][lengths == 0].any()
    shares = [part.sum() / hidden.sum() for part in (as_mask, other, as_is)]
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=0.04)
    # A frame that stands in is a real one of the batch, both modalities of the same.
    joined = np.concatenate([features["rgb"], features["audio"]], axis=-1)
    real = {frame.tobytes() for frame in joined[frame_mask]}
    stood_in = np.concatenate([shown["rgb"], shown["audio"]], axis=-1)[other]
    assert len(stood_in) > 10 and all(frame.tobytes() in real for frame in stood_in)


@pytest.mark.parametrize("method", ["nce", "mse"])
@pytest.mark.parametrize("frames", [5, 70])
def test_loss_and_quality_by_hand(method, frames):
    layer = make(method, temperature=0.2)
    features = draw_features(3, frames)
    lengths = [frames, frames - 2, 1]
    shown, order, frame_mask = hide(layer, features, lengths)
    encoded = np.random.default_rng(4).normal(size=(3, frames, 8)).astype(np.float32)
    loss, quality = layer(encoded, features=features, order=order, frame_mask=frame_mask)
    guesses = np.asarray(layer.guess(layer.norm(layer.transform(encoded))))
    truth = np.concatenate([features["rgb"], features["audio"]], axis=-1)
    counts = [max(1, round(0.15 * n)) for n in lengths]
    hidden = [(v, f) for v in range(3) for f in order[v, : counts[v]]]
    if method == "mse":
        mean = truth[frame_mask].mean(axis=0)
        error = np.mean([(guesses[at] - truth[at]) ** 2 for at in hidden])
        spread = np.mean([(mean - truth[at]) ** 2 for at in hidden])
        np.testing.assert_allclose([loss, quality], [error, 1 - error / spread], rtol=1e-4)
        return
    # Up to 64 frames of each video to tell the right one from.
    candidates = [(v, f) for v in range(3) for f in order[v, : min(lengths[v], 64)]]
    losses, found = [], []
    for at in hidden:
        logits = (
            np.array(
                [truth[c] @ guesses[at] / np.linalg.norm(truth[c]) / np.linalg.norm(guesses[at]) for c in candidates]
            )
            / 0.2
        )
        right = candidates.index(at)
        losses.append(np.log(np.exp(logits).sum()) - logits[right])
        found.append(np.argmax(logits) == right)
    np.testing.assert_allclose([loss, quality], [np.mean(losses), np.mean(found)], rtol=1e-4, atol=1e-6)


def test_padding_does_not_matter():
    layer = make()
    features = draw_features(3, 6)
    _, order, frame_mask = hide(layer, features, [6, 2, 4])
    encoded = np.random.default_rng(4).normal(size=(3, 6, 8)).astype(np.float32)
    before = layer(encoded, features=features, order=order, frame_mask=frame_mask)
    garbage = {name: np.where(frame_mask[..., None], values, 99) for name, values in features.items()}
    after = layer(np.where(frame_mask[..., None], encoded, -99), features=garbage, order=order, frame_mask=frame_mask)
    np.testing.assert_allclose(before, after, rtol=1e-6)


def test_an_unknown_method_is_an_error():
    with pytest.raises(InputError, match="masked_frames is 'bce'; valid: nce, mse"):
        MaskedFrames("bce", feature_sizes=SIZES)

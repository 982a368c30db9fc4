"""Tokens as vectors, and words that are hidden."""

import keras
import numpy as np
import pytest

from yt8m.layers.masked_tokens import MaskedTokens
from yt8m.layers.text_embedding import TextEmbedding

VOCABULARY = 50


def texts(rows=400, length=20, seed=0):
    """(tokens, words): 0 to 20 tokens, in words of one to four; in every tenth row a single word."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, length + 1, rows)
    lengths[:2] = 0, length
    words = np.cumsum(rng.random((rows, length)) < 0.5, axis=1) + 1
    words[::10] = 1
    real = np.arange(length) < lengths[:, None]
    tokens = rng.integers(1, VOCABULARY + 1, real.shape)
    return np.where(real, tokens, 0).astype(np.int32), np.where(real, words, 0).astype(np.int32)


def hide(layer, tokens, words):
    return [np.asarray(part) for part in layer.hide(tokens, words=words)]


def test_whole_words_are_hidden_up_to_a_share_of_the_tokens():
    keras.utils.set_random_seed(0)
    layer = MaskedTokens(VOCABULARY, fraction=0.3)
    tokens, words = texts()
    shown, places, counts = hide(layer, tokens, words)
    assert places.shape == (400, 6)
    for row in range(400):
        real, hidden = int((tokens[row] > 0).sum()), places[row, : counts[row]]
        # np.rint rounds halves to even, as the graph does.
        wanted = min(max(1, int(np.rint(np.float32(0.3) * np.float32(real)))), real)
        assert len(set(hidden.tolist())) == counts[row] and (tokens[row, hidden] > 0).all()
        whole = {int(word): int((words[row] == word).sum()) for word in set(words[row, hidden].tolist())}
        total = sum(whole.values())
        assert len(whole) <= 1 or total <= wanted
        # A single word may be longer than that, as far as there is room.
        assert counts[row] == (total if total <= wanted else min(total, 6))
        if real:
            assert counts[row] >= 1
        others = np.setdiff1d(np.arange(20), hidden)
        np.testing.assert_array_equal(shown[row, others], tokens[row, others])
    assert not shown[0].any() and counts[0] == 0
    # Words that would be cut are left out, so that the share is met but for them.
    many = (tokens > 0).sum(axis=1) >= 15
    assert 0.2 < counts[many].sum() / (tokens[many] > 0).sum() <= 0.34


def test_of_hidden_tokens_most_are_masks_and_some_are_others():
    keras.utils.set_random_seed(1)
    layer = MaskedTokens(VOCABULARY)
    tokens = np.random.default_rng(2).integers(1, VOCABULARY + 1, (4000, 20)).astype(np.int32)
    words = np.broadcast_to(np.arange(1, 21, dtype=np.int32), tokens.shape)
    shown, places, counts = hide(layer, tokens, words)
    assert (counts == 3).all()
    true, seen = (np.take_along_axis(values, places, axis=1).ravel() for values in (tokens, shown))
    masked, same = seen == VOCABULARY + 1, seen == true
    other = ~masked & ~same
    # A random token is the right one by chance: 0.1 / 50.
    assert masked.mean() == pytest.approx(0.8, abs=0.015) and same.mean() == pytest.approx(0.102, abs=0.012)
    assert set(seen[other]) == set(range(1, VOCABULARY + 1))
    assert np.bincount(places.ravel(), minlength=20).std() / 600 < 0.1
    again, _, _ = hide(layer, tokens, words)
    assert (again != shown).any()


def test_the_loss_is_that_of_softmax_over_the_vocabulary():
    keras.utils.set_random_seed(3)
    layer = MaskedTokens(VOCABULARY, fraction=0.2)
    layer.build((None, None, 8))
    rng = np.random.default_rng(4)
    layer.bias.assign(rng.normal(size=VOCABULARY))
    layer.transform.bias.assign(rng.normal(size=8))
    encoded, table = rng.normal(size=(3, 10, 8)).astype(np.float32), rng.normal(size=(VOCABULARY, 8)).astype(np.float32)
    tokens = rng.integers(1, VOCABULARY + 1, (3, 10)).astype(np.int32)
    places, counts = np.array([[4, 1], [9, 0], [2, 3]], np.int32), np.array([2, 1, 0], np.int32)
    found = layer(encoded, tokens=tokens, places=places, counts=counts, vocabulary=table)
    losses, right = [], []
    for row, place in ((0, 4), (0, 1), (1, 9)):
        hidden = encoded[row, place] @ np.asarray(layer.transform.kernel) + np.asarray(layer.transform.bias)
        hidden = np.asarray(keras.ops.gelu(hidden, approximate=False), np.float64)
        guess = (hidden - hidden.mean()) / np.sqrt(hidden.var() + 1e-3)
        logits = table @ guess + np.asarray(layer.bias)
        logits -= logits.max() + np.log(np.exp(logits - logits.max()).sum())
        losses.append(-logits[tokens[row, place] - 1])
        right.append(logits.argmax() == tokens[row, place] - 1)
    np.testing.assert_allclose(found[0], np.mean(losses), rtol=1e-3)
    np.testing.assert_allclose(found[1], np.mean(right), atol=1e-6)
    nothing = layer(encoded, tokens=tokens, places=places, counts=np.zeros(3, np.int32), vocabulary=table)
    assert [float(part) for part in nothing] == [0, 0]


def test_an_embedding_is_the_norm_of_token_position_and_source():
    keras.utils.set_random_seed(5)
    layer = TextEmbedding(9, size=6, max_tokens=4, num_sources=2, dropout=0.5)
    tokens, sources = np.array([[3, 9, 10, 0]], np.int32), np.array([[1, 2, 2, 0]], np.int32)
    found = np.asarray(layer(tokens, sources=sources))
    table, positions, own = (np.asarray(weight) for weight in (layer.table, layer.positions, layer.sources))
    assert table.shape == (11, 6) and positions.shape == (4, 6) and own.shape == (3, 6)
    summed = table[tokens] + positions + own[sources]
    expected = (summed - summed.mean(-1, keepdims=True)) / np.sqrt(summed.var(-1, keepdims=True) + 1e-12)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_array_equal(layer.vocabulary(), table[1:10])
    # What the source of padding is does not matter.
    np.testing.assert_array_equal(layer(tokens, sources=np.array([[1, 2, 2, 1]], np.int32)), found)
    dropped = np.asarray(layer(tokens, sources=sources, training=True))
    assert ((dropped == 0) | np.isclose(dropped, 2 * found, atol=1e-4)).all() and (dropped == 0).any()


@pytest.mark.parametrize(
    "layer", [MaskedTokens(7, fraction=0.2), TextEmbedding(7, size=4, max_tokens=3, num_sources=1, dropout=0.2)]
)
def test_layers_come_back_from_their_config(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer) and again.get_config() == layer.get_config()

"""The benchmark of texts on a small world of one language that is easily seen."""

import pytest

from benchmarks import text_pretraining
from benchmarks.text_pretraining import ARMS, CEILINGS, World, score
from yt8m.data.making import synthetic, synthetic_texts


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(synthetic.SIZES, "tiny", (1500, 150, 150))
        patch.setattr(synthetic, "_NUISANCE", 0.0)
        patch.setattr(synthetic, "_DRIFT", 0.3)
        latin = synthetic_texts._LANGUAGES["latin"]
        patch.setattr(synthetic_texts, "_LANGUAGES", {"latin": (1.0, *latin[1:])})
        made = World(str(tmp_path_factory.mktemp("world")), 0, size="tiny")
    made.data = made.data.replace(num_frames=4, text=made.data.text.replace(max_tokens=24))
    return made


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::yt8m.types.LongTextsWarning")
def test_texts_tell_more_of_similarity_than_frames_and_either_less_than_the_truth(world, monkeypatch):
    monkeypatch.setattr(text_pretraining, "_BATCH", 32)
    ceilings = {name: world.ceiling(shares) for name, shares in CEILINGS.items()}
    assert ceilings["classes"] < 0.55 < ceilings["topics"] < 0.9 < ceilings["classes and topics"] < 0.98
    found = {
        name: score(world, ARMS[name], epochs=4, pair_epochs=3) for name in ("frames alone, tags", "text alone, tags")
    }
    assert 0.15 < found["frames alone, tags"] < ceilings["classes"]
    assert found["frames alone, tags"] + 0.1 < found["text alone, tags"] < ceilings["topics"]

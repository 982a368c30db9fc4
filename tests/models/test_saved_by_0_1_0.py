"""Models saved by version 0.1.0, whose modules had other names, load and answer as they did."""

import keras
import numpy as np
import pytest

from tests.helpers import ROOT
from yt8m.models import MODELS, checkpoints

FOLDER = ROOT / "tests" / "models" / "saved_by_0_1_0"
WRITTEN_THEN = ("dbof", "frame_bert", "gated_netvlad", "logistic", "mix_nextvlad", "moe", "nextvlad", "video_context")


@pytest.mark.parametrize("name", [*WRITTEN_THEN, "learner"])
def test_it_answers_as_it_did(name):
    MODELS.load()
    model = keras.saving.load_model(FOLDER / f"{name}.keras", compile=False, safe_mode=True)
    model = model.model if name == "learner" else model
    with np.load(FOLDER / "answers.npz") as answers:
        source = "frame_bert" if name == "learner" else name
        inputs = {key.partition(".")[2]: answers[key] for key in answers if key.startswith(f"{source}.")}
        np.testing.assert_allclose(np.asarray(model(inputs, training=False)), answers[name], rtol=1e-5, atol=1e-6)
    assert checkpoints.load_snapshot(FOLDER / f"{name}.keras").count_params() == model.count_params()

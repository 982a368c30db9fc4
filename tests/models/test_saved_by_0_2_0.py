"""Runs saved before 0.3.0, whose settings meant something else, are read as what they were."""

import numpy as np
import pytest

from tests.helpers import ROOT
from yt8m.models import checkpoints
from yt8m.types import InputError

FOLDER = ROOT / "tests" / "models" / "saved_by_0_2_0"


@pytest.mark.parametrize("name", ["attention", "netvlad"])
def test_they_answer_and_are_built_as_they_were(name):
    model, run = checkpoints.load_model(FOLDER / name)
    with np.load(FOLDER / "answers.npz") as answers:
        inputs = {key.removeprefix("input."): answers[key] for key in answers if key.startswith("input.")}
        np.testing.assert_allclose(np.asarray(model(inputs)), answers[name], rtol=1e-5, atol=1e-6)
    assert (run.data.sampling, run.tta) == ("random_ordered", (-1, 2))
    settings = {"attention": ("pooling", "additive_attention"), "netvlad": ("second_layer", True)}
    key, value = settings[name]
    assert run.model.hyperparameters[key] == model.get_config()[key] == value


def test_they_are_saved_in_todays_terms(tmp_path):
    model, run = checkpoints.load_model(FOLDER / "attention")
    checkpoints.write_run_config(tmp_path, run)
    checkpoints.save_best(tmp_path, model)
    again, same = checkpoints.load_model(tmp_path)
    assert same == run and again.get_config() == model.get_config()


def test_a_newer_format_is_refused(tmp_path):
    text = (FOLDER / "netvlad" / "config.json").read_text()
    (tmp_path / "config.json").write_text(text.replace("{", '{"format": 99,', 1))
    with pytest.raises(InputError, match="config.json is of a newer release, in format 99; this one reads up to 2"):
        checkpoints.read_run_config(tmp_path)

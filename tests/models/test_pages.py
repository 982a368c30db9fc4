"""The numbers in docs/models are those of the code."""

import json

import numpy as np
import pytest

from tests.helpers import ROOT
from tests.helpers.small_models import data_config, is_of_clips
from yt8m.config import DataConfig, ModelConfig, TextConfig
from yt8m.models import MODELS
from yt8m.models.base import build_model, hyperparameters_of
from yt8m.models.presets import PRESETS

PAGES = ROOT / "docs" / "models"


def tables(page):
    """Dict of the first cell of a table's heading to its rows, lists of cells without backticks."""
    found, heading = {}, None
    for line in (PAGES / page).read_text().splitlines():
        cells = [cell.strip(" `") for cell in line.strip("|").split(" | ")] if line.startswith("| ") else None
        if cells and heading is None:
            heading = found.setdefault(cells[0], [])
        elif cells and cells[0] != "---":
            heading.append(cells)
        elif not cells:
            heading = None
    return found


def default(text):
    """The value that a table writes: JSON, or a bare word for a string."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def full_config(name):
    """YouTube-8M's features, and what else the model reads."""
    text = TextConfig(fields=("title", "asr"), tokenizer="tokenizer.json", vocabulary_size=16_000)
    return DataConfig(
        video_frames=30 if MODELS[name].takes_video_frames else 0,
        text=text if MODELS[name].takes_texts else TextConfig(),
    )


def parameters(name, hyperparameters=()):
    data = full_config(name)
    if is_of_clips(name):
        data = data_config(name).replace(num_classes=data.num_classes)
    model = build_model(ModelConfig(name=name, hyperparameters=dict(hyperparameters)), data)
    return f"{model.count_params():,}", model


OF_CLIPS = [name for name in MODELS if is_of_clips(name)]
LARGE = [*OF_CLIPS, "mix_nextvlad", "multimodal_bert"]


@pytest.mark.parametrize("name", MODELS)
def test_a_page_has_the_hyperparameters_of_the_model(name):
    described = {row[0]: default(row[1]) for row in tables(f"{name}.md").get("hyperparameter", [])}
    assert described == json.loads(json.dumps(hyperparameters_of(name)))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in MODELS]
)
@pytest.mark.slow
def test_a_page_has_what_the_model_has(name):
    page = tables(f"{name}.md")
    sizes = {row[0]: row[1] for row in page["size"]}
    table = tables("README.md")["--model`, of clips" if name in OF_CLIPS else "--model"]
    (listed,) = [row for row in table if row[0].startswith(f"[`{name}`]")]
    count, model = parameters(name)
    assert sizes["parameters"] == listed[2] == count
    assert listed[3] in (sizes.get("multiply-adds of a segment, all classes"), sizes.get("multiply-adds of a clip"))
    symbolic = model.symbolic_inputs()
    shapes = {key: (1, *(size or 32 for size in values.shape[1:])) for key, values in symbolic.items()}
    vector = model.embed({key: np.ones(shape, symbolic[key].dtype) for key, shape in shapes.items()})
    assert sizes["vector before the head"].split(",")[0] == str(vector.shape[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith("BERT")])
def test_the_presets_have_what_their_table_says(name):
    counts = {row[0]: row[1] for row in tables("frame_bert.md")["preset"]}
    assert counts[name] == parameters("frame_bert", PRESETS[name].hyperparameters)[0]

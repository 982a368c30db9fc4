"""mixed_precision=auto: what it chooses, that the choice stays with a run, and what earlier releases wrote."""

import json
import random

import keras
import pytest

from tests.helpers.commands import passed, refused
from tests.helpers.small_models import data_config, is_of_clips, small_settings
from yt8m.commands.command_line import parse
from yt8m.commands.train_options import TrainOptions
from yt8m.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from yt8m.data import manifest
from yt8m.models import MODELS, checkpoints
from yt8m.models.base import build_model, described_model
from yt8m.runtime import processor
from yt8m.runtime.devices import Placement, has_bfloat16
from yt8m.training import precision
from yt8m.types import InputError

DATA = DataConfig(feature_sizes=(24, 8), num_classes=12)
LARGE = ModelConfig(name="frame_bert", hyperparameters={"hidden_size": 128, "num_heads": 2, "feed_forward_size": 2048})
SMALL = ModelConfig(name="frame_bert", hyperparameters={"hidden_size": 128, "num_heads": 2, "feed_forward_size": 512})


def run_of(model=LARGE, **train):
    return RunConfig(data=DATA, model=model, train=TrainConfig(**train))


@pytest.fixture
def machine(monkeypatch):
    """Function that gives the machine bfloat16 products of a gain, and returns a list of what is timed."""
    timed = []

    def has(gain, *, instructions=("amx_bf16",)):
        monkeypatch.setattr(processor, "instruction_sets", lambda: frozenset(instructions))
        monkeypatch.setattr(precision, "bfloat16_gain", lambda *product: timed.append(product) or gain)
        return timed

    return has


@pytest.mark.parametrize("gain, choice", [(2.1, "on"), (1.2, "on"), (1.19, "off"), (0.6, "off")])
def test_auto_is_on_where_products_gain_clearly(machine, capsys, gain, choice):
    timed = machine(gain)
    assert precision.settled(run_of(batch_size=64)).train.mixed_precision == choice
    assert timed == [(512, 128, 2048)]
    said = f"mixed precision: {choice}, bfloat16 products run {gain:.1f}x as fast as float32 here\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("model, instructions, why", [
    (SMALL, ("avx512_bf16",), "so small a model does not gain"),
    (ModelConfig(name="logistic"), ("avx512_bf16",), "so small a model does not gain"),
    (LARGE, ("avx512f", "avx2"), "there are no bfloat16 instructions here"),
])  # fmt: skip
def test_auto_is_off_untimed_where_nothing_can_gain(machine, capsys, model, instructions, why):
    timed = machine(9, instructions=instructions)
    assert precision.settled(run_of(model)).train.mixed_precision == "off"
    assert timed == [] and capsys.readouterr().err == f"mixed precision: off, {why}\n"


def test_processes_that_must_agree_do_not_time(machine, capsys):
    timed = machine(0.1)
    chosen = [precision.settled(run_of(), placement=Placement(num_processes=2, process_id=i)) for i in (0, 1)]
    assert [run.train.mixed_precision for run in chosen] == ["on", "on"] and timed == []
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("asked, kept, choice", [
    ("auto", "on", "on"), ("auto", "off", "off"), ("on", None, "on"), ("off", "on", "off"),
])  # fmt: skip
def test_what_is_asked_for_or_kept_is_not_timed_again(machine, capsys, asked, kept, choice):
    timed = machine(2)
    assert precision.settled(run_of(mixed_precision=asked), kept=kept).train.mixed_precision == choice
    assert timed == [] and capsys.readouterr().err == ""


def test_a_product_is_timed_in_a_moment():
    assert 0.01 < precision.bfloat16_gain(512, 256, 256) < 100
    # However large the kernel.
    assert 0.01 < precision.bfloat16_gain(512, 4096, 4096) < 100


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_shapes_of_a_model_cost_nothing_and_change_nothing(name):
    data = DataConfig(feature_sizes=(16, 8), num_classes=5, video_frames=3 if MODELS[name].takes_video_frames else 0)
    config = ModelConfig(name=name)
    if is_of_clips(name) or MODELS[name].takes_texts:
        data, config = data_config(name), ModelConfig(name=name, hyperparameters=small_settings(name))
    drawn = random.getstate()
    described = described_model(config, data)
    assert random.getstate() == drawn
    built = build_model(config, data)
    assert [variable.shape for variable in described.variables] == [variable.shape for variable in built.variables]


def test_a_model_that_cannot_be_is_refused_as_ever(machine):
    machine(2)
    with pytest.raises(InputError, match="no hyperparameter widht"):
        precision.settled(run_of(ModelConfig(name="dbof", hyperparameters={"widht": 3})))


@pytest.mark.parametrize("flags, value", [
    ([], None), (["--mixed_precision"], "on"), (["--nomixed_precision"], "off"), (["--mixed_precision=on"], "on"),
    (["--mixed_precision=auto"], "auto"), (["--mixed_precision=true"], "on"), (["--mixed_precision=false"], "off"),
    (["--mixed_precision", "--seed=3"], "on"),
])  # fmt: skip
def test_the_flag_takes_what_it_took_as_a_switch(flags, value):
    options, files = parse(["train.py", "--train_dir=x", *flags], TrainOptions, document=None)
    assert options.of(TrainConfig).get("mixed_precision") == value and files == []


def test_the_flag_names_what_is_valid():
    with pytest.raises(InputError, match="mixed_precision.*auto, on, off"):
        parse(["train.py", "--train_dir=x", "--mixed_precision=half"], TrainOptions, document=None)


@pytest.mark.slow
def test_the_choice_stays_with_the_run(machine, demo_data, tmp_path):
    """Resumed where the choice would be another; a run that starts from it chooses anew."""
    machine(2)
    begin = ("train", "--model=frame_bert", f"--model_config={json.dumps(LARGE.hyperparameters)}", "--segment_labels",
             f"--train_data_pattern={demo_data}/validate/*.tfrecord", "--batch_size=16")  # fmt: skip
    first = passed(*begin, f"--train_dir={tmp_path}/a", "--max_steps=2").stderr
    assert "mixed precision: on, bfloat16 products run 2.0x as fast as float32 here" in first
    timed = machine(0.5)
    timed.clear()
    assert "mixed precision" not in passed(*begin, f"--train_dir={tmp_path}/a", "--max_steps=4").stderr
    assert timed == [] and checkpoints.read_run_config(tmp_path / "a").train.mixed_precision == "on"
    model, _ = checkpoints.load_model(tmp_path / "a")
    assert model.dtype_policy.name == "mixed_bfloat16"
    assert {keras.backend.standardize_dtype(variable.dtype) for variable in model.weights} == {"float32"}
    said = refused(*begin, f"--train_dir={tmp_path}/a", "--max_steps=6", "--nomixed_precision")
    assert "mixed_precision is 'on' there and 'off' here" in said
    tuned = passed(*begin[:1], f"--init_from={tmp_path}/a", *begin[3:], f"--train_dir={tmp_path}/b", "--max_steps=1")
    assert "mixed precision: off, bfloat16 products run 0.5x" in tuned.stderr
    assert checkpoints.load_model(tmp_path / "b")[0].dtype_policy.name == "float32"


@pytest.mark.parametrize("old, new", [(True, "on"), (False, "off")])
def test_what_earlier_releases_wrote_is_read_and_goes_on(machine, tmp_path, old, new):
    machine(2)
    checkpoints.write_run_config(tmp_path, run_of(mixed_precision=new))
    for file, change in ((tmp_path / "config.json", lambda values: values["train"]), (tmp_path / manifest.NAME, None)):
        if change is None:
            options = {"run": manifest.run_options(run_of(mixed_precision=new)), "seed": 0}
            manifest.write_manifest(tmp_path, manifest.make_manifest({}, options))
            change = lambda values: values["options"]["run"]["train"]  # noqa: E731
        values = json.loads(file.read_text())
        assert change(values)["mixed_precision"] == new
        change(values)["mixed_precision"] = old
        file.write_text(json.dumps(values))
    assert checkpoints.read_run_config(tmp_path) == run_of(mixed_precision=new)
    assert manifest.kept_options(tmp_path)["run"]["train"]["mixed_precision"] == new
    manifest.check_manifest(tmp_path, manifest.make_manifest({}, options))


def test_instructions_are_those_of_the_processor(machine, monkeypatch):
    monkeypatch.undo()
    assert processor.instruction_sets() == frozenset() or "fpu" in processor.instruction_sets()
    for instructions, there in ((("avx512_bf16",), True), (("amx_bf16", "fpu"), True), (("avx512f",), False)):
        monkeypatch.setattr(processor, "instruction_sets", lambda: frozenset(instructions))  # noqa: B023
        assert has_bfloat16() is there

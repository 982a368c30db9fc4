"""A model of texts from the demo's records to scores, as it is typed."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import yt8m
from tests.helpers import ROOT
from tests.helpers.commands import passed, refused
from tests.helpers.records import make_video
from tests.helpers.texts import whole, write_tokenizer
from yt8m.models.checkpoints import read_metrics, read_run_config
from yt8m.types import DataWarning, InputError

SMALL = '{"num_layers": 1, "num_heads": 2, "hidden_size": 16, "feed_forward_size": 32}'


def train(data, *flags, **options):
    return passed("train", f"--train_data_pattern={data}/train/*.tfrecord", "--num_classes=30", *flags, **options)


@pytest.fixture(scope="module")
def folder(made_once, demo_data):
    """Folder of a tokenizer and of a run that is pre-trained on tags, words and frames."""

    def make(path):
        tokenizer = f"{path}/tokenizer.json"
        passed("tokenizer", f"{demo_data}/train/*.tfrecord", f"--output_file={tokenizer}", "--vocabulary_size=700")
        said = train(
            demo_data, "--model=multimodal_bert", f"--model_config={SMALL}", f"--tokenizer={tokenizer}", "--num_frames=8",
            "--max_tokens=32", "--masked_tokens_weight=1", "--masked_frames=nce", "--accumulate_batches=2",
            "--batch_size=8", "--num_epochs=1", "--holdout_files=1", f"--train_dir={path}/pretrained",
        )  # fmt: skip
        assert "text_fields is asr,tags,title, as the first records of" in said.stderr
        assert "an example has more than the 32 tokens that are read" in said.stderr

    return made_once("texts", make)


@pytest.mark.slow
def test_a_run_keeps_its_tokenizer(folder, demo_data):
    run = read_run_config(folder / "pretrained")
    assert run.data.text.tokenizer == str(folder / "pretrained" / "tokenizer.json")
    assert (folder / "pretrained" / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
    inputs = json.loads((folder / "pretrained" / "inputs.json").read_text())
    (entry,) = inputs["files"]["tokenizer"]
    assert entry["file"] == f"{folder}/tokenizer.json" and entry["digest"]
    metrics = read_metrics(folder / "pretrained")
    assert metrics[-1]["train_loss"] > 5


@pytest.mark.slow
def test_another_tokenizer_is_refused(folder, demo_data, tmp_path):
    shutil.copytree(folder / "pretrained", tmp_path / "run")
    other = write_tokenizer(tmp_path / "other.json")
    given = [
        f"--train_data_pattern={demo_data}/train/*.tfrecord",
        f"--init_from={folder}/pretrained",
        "--num_classes=30",
    ]
    said = refused("train", *given, f"--tokenizer={other}", f"--train_dir={tmp_path}/new")
    assert "is another than" in said or "vocabulary_size" in said
    run = yt8m.load(tmp_path / "run")
    shutil.copyfile(other, tmp_path / "run" / "tokenizer.json")
    frames = {"rgb": np.zeros((7, 1024), np.uint8), "audio": np.zeros((7, 128), np.uint8)}
    with pytest.raises(InputError, match="it is another tokenizer"):
        run.predict(frames)


@pytest.mark.slow
def test_texts_of_a_video_given_as_arrays_count(folder):
    run = yt8m.load(folder / "pretrained")
    frames = {"rgb": np.zeros((7, 1024), np.uint8), "audio": np.zeros((7, 128), np.uint8)}
    with pytest.warns(DataWarning, match="the run reads asr, tags, title, and a video is given without texts"):
        plain = run.predict(frames).scores
    told = run.predict(frames, texts=(whole("title", "guitar"),)).scores
    assert np.abs(plain - told).max() > 1e-6
    with pytest.raises(InputError, match="the run reads asr, tags, title, and a text is of 'ocr'"):
        run.predict(frames, texts=(whole("ocr", "x"),))


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--model=multimodal_bert"], "--tokenizer must be given: yt8m-tokenizer trains one"),
        (["--model=frame_bert", "--max_tokens=8"], "--max_tokens are for --model=multimodal_bert"),
        (["--model=multimodal_bert", "--tokenizer=absent.json"], "cannot read absent.json"),
        (["--model=multimodal_bert", "--tokenizer={}", "--text_fields=a/b"], "'a/b' is no name of a field"),
        (["--model=multimodal_bert", "--tokenizer={}", "--mixup=0.2"], "mixup mixes numbers, and texts have none"),
        (["--model=frame_bert", "--masked_tokens_weight=1"], "masked tokens are for a model of texts"),
    ],
)
def test_what_does_not_go_together_is_named(demo_data, tmp_path, flags, message):
    tokenizer = write_tokenizer(tmp_path / "tokenizer.json")
    small = [] if "--model=frame_bert" in flags else [f"--model_config={SMALL}"]
    given = [flag.format(tokenizer) for flag in flags]
    data = f"--train_data_pattern={demo_data}/train/*.tfrecord"
    assert message in refused("train", data, "--num_classes=30", f"--train_dir={tmp_path}/run", *small, *given)


def test_records_without_texts_are_named(tmp_path, write):
    tokenizer = write_tokenizer(tmp_path / "tokenizer.json")
    path = write("v.tfrecord", make_video("a"))
    said = refused("train", f"--train_data_pattern={path}", "--model=multimodal_bert", f"--train_dir={tmp_path}/run",
                   f"--tokenizer={tokenizer}", "--num_classes=10")  # fmt: skip
    assert "holds no texts in its first records: yt8m-pack --texts_csv writes them" in said


@pytest.mark.slow
def test_all_the_way_to_a_submission_and_embeddings(folder, demo_data, tmp_path):
    said = passed(
        "train", f"--init_from={folder}/pretrained", "--segment_labels", "--holdout_files=1", "--num_epochs=2",
        f"--train_data_pattern={demo_data}/validate/*.tfrecord", "--batch_size=16", f"--train_dir={tmp_path}/run",
        "--augment_shift=1", f"--unlabelled_data_pattern={demo_data}/test/*.tfrecord",
    )  # fmt: skip
    assert "starting from the weights of" in said.stdout and "initialised" not in said.stdout
    passed("eval", f"--train_dir={tmp_path}/run", f"--eval_data_pattern={demo_data}/validate/*.tfrecord")
    test = f"--input_data_pattern={demo_data}/test/*.tfrecord"
    passed("inference", f"--train_dir={tmp_path}/run", test, f"--output_file={tmp_path}/s.csv", "--tta=-1,1")
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 31
    passed("inference", f"--train_dir={tmp_path}/run", test, f"--embeddings={tmp_path}/e.npy", "--nosegment_labels")
    vectors = np.load(tmp_path / "e.npy")
    assert vectors.shape == (16, 16) and np.isfinite(vectors).all()
    passed("export", f"--train_dir={tmp_path}/run", f"--output_dir={tmp_path}/saved", "--format=savedmodel")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax"])
def test_other_backends_train_on_the_same_batches(folder, demo_data, tmp_path, backend):
    pytest.importorskip(backend)
    command = [
        sys.executable, ROOT / "train.py", f"--backend={backend}", "--model=multimodal_bert", f"--model_config={SMALL}",
        f"--tokenizer={folder}/tokenizer.json", "--num_frames=8", "--max_tokens=32", "--masked_tokens_weight=1",
        "--masked_frames=nce", "--batch_size=8", "--max_steps=4", "--num_classes=30", f"--train_dir={tmp_path}/run",
        f"--train_data_pattern={demo_data}/train/*.tfrecord",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "trained 4 steps" in done.stdout

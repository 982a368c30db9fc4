"""The paper's recipe, typed as docs/paper_recipe.md has it: all presets, few steps, on a synthetic world of 60 classes."""

import re
import subprocess
import sys

import pytest
import tensorflow as tf

from tests.helpers import ROOT
from yt8m.data.making.synthetic import NAMES, SEGMENT_CLASSES, write_demo
from yt8m.data.seen_videos import SeenVideos
from yt8m.data.splits import collect_ids, split_sources
from yt8m.models.presets import PAPER_PRESETS

PLACES = {"train": "2/frame/train", "validate": "3/frame/validate", "test": "3/frame/test"}
CUTS = {
    "--max_steps=200000": "--max_steps=3",
    "--max_steps=20000": "--max_steps=2",
    "--evaluate_steps=200": "--evaluate_steps=1",
    "holdout_files=300": "holdout_files=2",
}


@pytest.fixture
def world(tmp_path):
    """Two synthetic worlds of 30 classes each side by side, in the folders of the real data.

    The videos of 2/frame/validate are those of 3/frame/validate, in other files, as in the two releases.
    """
    for number in range(2):
        write_demo(tmp_path / "made" / str(number), seed=number, size="tiny")
        for part, place in PLACES.items():
            for path in sorted((tmp_path / "made" / str(number) / part).glob("*.tfrecord")):
                moved = [_moved(record, number) for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()]
                _write(tmp_path / place / f"{part}{number}{path.stem[-2:]}.tfrecord", moved)
                if part == "validate":
                    _write(tmp_path / "2/frame/validate" / f"validate{number}.tfrecord", moved, append=True)
    names = "".join(f"{index},Class {index}\n" for index in range(2 * len(NAMES)))
    (tmp_path / "2/frame/vocabulary.csv").write_text("Index,Name\n" + names)
    segment_classes = [30 * number + index for number in range(2) for index in SEGMENT_CLASSES]
    (tmp_path / "segment_label_ids.csv").write_text("Index\n" + "".join(f"{index}\n" for index in segment_classes))
    return tmp_path


def _moved(record, number):
    """A record of world ``number`` among those of both: its classes behind those of the other, its id its own."""
    example = tf.train.SequenceExample.FromString(record)
    for name in ("labels", "segment_labels"):
        classes = example.context.feature[name].int64_list.value
        classes[:] = [30 * number + class_id for class_id in classes]
    video_id = example.context.feature["id"].bytes_list.value
    video_id[0] = b"w%d" % number + video_id[0]
    return example.SerializeToString()


def _write(path, records, *, append=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    if append and path.exists():
        records = [*tf.data.TFRecordDataset(str(path)).as_numpy_iterator(), *records]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)


@pytest.mark.slow
def test_no_holdout_video_is_seen_in_pre_training_and_a_whole_submission_comes_out(world):
    script = re.search(r"```\n(for PRESET.*?)```", (ROOT / "docs" / "paper_recipe.md").read_text(), re.DOTALL)[1]
    for pattern, cut in CUTS.items():
        script, count = re.subn(pattern, cut, script)
        assert count
    script = script.replace(".venv/bin/python ", f"{sys.executable} {ROOT}/")
    done = subprocess.run(["bash", "-euc", script], cwd=world, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "num_classes is 60, as" in done.stderr and "were trained on by" not in done.stderr
    _, holdout = split_sources(train_data_pattern=f"{world}/3/frame/validate/*.tfrecord", holdout_files=2)
    held_out = collect_ids(holdout, skip_corrupt=False, title="")
    for preset in PAPER_PRESETS:
        seen = SeenVideos.load(world / "runs" / preset / "pretrained" / "seen_videos.npz")
        # All but these of the 64 and 48 videos.
        assert not any(video_id in seen for video_id in held_out) and len(seen) == 112 - len(held_out)
    assert done.stdout.rstrip().endswith("1 files, 0 errors") and (world / "runs/submission.csv").exists()

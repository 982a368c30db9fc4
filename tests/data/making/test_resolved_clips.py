"""Clip records whose small clips are enlarged: which, how far, and that all else is as it was."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import commands
from tests.helpers.clips import decoded, flat, jpeg, make_clip
from tests.helpers.resolvers import save_network
from yt8m.data.clip_records import ClipRecord
from yt8m.data.making.resolved_clips import resolve_clips
from yt8m.data.record_dataset import record_dataset
from yt8m.data.tfrecord import write_records
from yt8m.features.resolving import Resolving
from yt8m.types import InputError

RATED = ((0, 1, 1.0), (0, 2, 0.0))


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return Resolving(save_network(tmp_path_factory.mktemp("run") / "run", shift=0.1))


@pytest.fixture
def files(tmp_path):
    """Two files below small/: a clip of 24 x 32 pixels and one of 96 x 100; one of 40 x 20 whose last picture is large."""
    mixed = make_clip("c", 3, size=(40, 20))
    mixed = dataclasses.replace(mixed, pictures=(*mixed.pictures[:2], jpeg(flat(7, (128, 100)))))
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "vocabulary.csv").write_text("Index,Name\n9,last\n")
    paths = [str(tmp_path / "small" / name) for name in ("a.tfrecord", "b.tfrecord.gz")]
    write_records(paths[0], [make_clip("a", 20, segments=RATED, first=10), make_clip("b", 2, size=(96, 100))])
    write_records(paths[1], [mixed])
    return paths


def records(path):
    return list(record_dataset(str(path)).as_numpy_iterator())


def context_of(serialized):
    """The context of a record, but for the size of its pictures, and their times."""
    example = tf.train.SequenceExample.FromString(serialized)
    times = [feature.int64_list.value[0] for feature in example.feature_lists.feature_list["image/timestamp"].feature]
    sides = [example.context.feature.pop(f"image/{side}").int64_list.value[0] for side in ("height", "width")]
    return example.context, times, sides


def test_small_clips_are_enlarged_and_all_else_stays(network, files, tmp_path):
    assert resolve_clips(files, tmp_path / "out", network, num_classes=10) == (3, 2)
    before, after = (records(path) for path in (files[0], tmp_path / "out" / "a.tfrecord"))
    assert after[1] == before[1]
    (context, times, _), (context_after, times_after, sides) = map(context_of, (before[0], after[0]))
    assert context_after == context and times_after == times and sides == [128, 170]
    small, large = (ClipRecord.parse(record).pictures for record in (before[0], after[0]))
    # Seventeen pictures and more: the network sees them in runs of sixteen. A tenth of white was added.
    for picture, enlarged in zip(small, large, strict=True):
        assert decoded(enlarged).shape == (128, 170, 3)
        assert decoded(enlarged).mean() == pytest.approx(decoded(picture).mean() + 25.5, abs=1)
    ((mixed,), (mixed_before,)) = (records(path) for path in (tmp_path / "out" / "b.tfrecord.gz", files[1]))
    assert context_of(mixed)[2] == [256, 128]
    pictures = ClipRecord.parse(mixed).pictures
    assert [decoded(picture).shape[:2] for picture in pictures] == [(256, 128), (256, 128), (128, 100)]
    assert pictures[2] == ClipRecord.parse(mixed_before).pictures[2]
    log = json.loads((tmp_path / "out" / "pack.json").read_text())
    assert log["num_classes"] == 10 and log["resolver_digest"] == network.digest


def test_whole_files_stay_and_others_are_refused(network, files, tmp_path):
    out = tmp_path / "out"
    resolve_clips(files, out, network, quality=50)
    sizes = {path.name: path.stat().st_size for path in out.iterdir()}
    (out / "b.tfrecord.gz").unlink()
    kept = (out / "a.tfrecord").stat().st_mtime_ns
    assert resolve_clips(files, out, network, quality=50) == (3, 2)
    assert {path.name: path.stat().st_size for path in out.iterdir()} == sizes
    assert (out / "a.tfrecord").stat().st_mtime_ns == kept
    with pytest.raises(InputError, match="was packed from other files or with other flags"):
        resolve_clips(files, out, network, quality=90)
    resolve_clips(files, tmp_path / "fine", network, quality=90)
    assert (tmp_path / "fine" / "a.tfrecord").stat().st_size > sizes["a.tfrecord"]
    with pytest.raises(InputError, match=r"small is the folder of .*a\.tfrecord, which would be lost"):
        resolve_clips(files, tmp_path / "small", network)
    with pytest.raises(InputError, match="two of the 2 files to enlarge have one name"):
        resolve_clips([files[0], str(tmp_path / "out" / "a.tfrecord")], tmp_path / "third", network)


def test_a_broken_picture_is_named(network, files, tmp_path):
    clip = make_clip("d", 3)
    broken = dataclasses.replace(clip, pictures=(*clip.pictures[:2], clip.pictures[2][:50]))
    write_records(files[0], [clip, broken])
    with pytest.raises(InputError, match=r"a\.tfrecord, record 1: frame 2 of image/encoded is broken"):
        resolve_clips(files, tmp_path / "out", network)
    assert not (tmp_path / "out" / "a.tfrecord").exists()


def test_the_command_enlarges_and_says_how_many(network, files, tmp_path):
    flags = (f"--train_dir={network._run_dir}", f"--input_data_pattern={tmp_path}/small/*.tfrecord*")
    said = commands.passed("super_resolve", *flags, f"--output_dir={tmp_path}/out", "--jpeg_quality=80")
    assert said.stdout == f"wrote 3 clips to {tmp_path}/out, 2 of them enlarged\n"
    assert json.loads((tmp_path / "out" / "pack.json").read_text())["num_classes"] == 10
    assert "give both, or neither" in commands.refused("super_resolve", *flags)
    assert np.shape(decoded(ClipRecord.parse(records(tmp_path / "out" / "a.tfrecord")[0]).pictures[0])) == (128, 170, 3)

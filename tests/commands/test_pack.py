"""yt8m-pack as it is typed."""

import json

import numpy as np
import pytest

from tests.helpers.commands import call
from yt8m.commands.groups import FeatureOptions
from yt8m.config import DataConfig
from yt8m.data.scan import probe
from yt8m.data.tfrecord import list_files


@pytest.fixture
def arrays(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for name in ("a", "b", "c"):
        np.savez(tmp_path / "in" / f"{name}.npz", clip=rng.normal(0, 9, (8, 4)), sound=np.zeros((8, 2), np.uint8))
    (tmp_path / "labels.csv").write_text("video_id,class\na,Cat\nb,0\nzz,0\n")
    (tmp_path / "names.csv").write_text("Index,Name\n0,Car\n1,Cat\n")
    return tmp_path


def test_records_come_out(arrays):
    result = call(
        "pack", f"--input_data_pattern={arrays}/in/*.npz", f"--output_dir={arrays}/out", f"--labels_csv={arrays}/labels.csv",
        f"--vocabulary={arrays}/names.csv", "--pca=clip:3", "--prefix=train",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    found = probe(list_files(f"{arrays}/out/train*.tfrecord"))
    assert found.features == {"clip": 3, "sound": 2} and found.has_labels
    assert "packed 3 videos with 0 ratings into 1 file" in result.stdout and "1 of 3 videos are not in" in result.stdout
    assert "labels.csv has 1 videos without files, the first zz" in result.stderr
    assert (arrays / "out" / "clip.projection.npz").exists()


def test_training_takes_the_number_of_classes_from_where_it_is_known(arrays, capsys):
    """pack.json of the folder, else the vocabulary there or above, else YouTube-8M's, which is said."""
    call(
        "pack", f"--features=clip:{arrays}/in/*.npz", f"--output_dir={arrays}/out", f"--labels_csv={arrays}/labels.csv",
        f"--vocabulary={arrays}/names.csv", "--sanitize_ids",
    )  # fmt: skip
    files = list_files(f"{arrays}/out/*.tfrecord")
    sizes = []
    for change in (lambda: None, (arrays / "out" / "pack.json").unlink, lambda: _vocabulary(arrays)):
        change()
        sizes.append(FeatureOptions().data_config(files).num_classes)
    assert sizes == [2, 3862, 3]
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"num_classes is 2, as {arrays}/out/pack.json says"
    assert said[1].startswith("num_classes is 3862, as in YouTube-8M: neither --num_classes nor a pack.json")
    assert said[2] == f"num_classes is 3, as {arrays}/vocabulary.csv has them"
    assert FeatureOptions(given={DataConfig: {"num_classes": 9}}).data_config(files).num_classes == 9


def _vocabulary(folder):
    (folder / "vocabulary.csv").write_text("Index,Name\n0,Car\n2,Cat\n")


def test_what_whitening_cuts_anyway_is_no_warning(arrays):
    rng = np.random.default_rng(1)
    for name in "abc":
        np.savez(arrays / "in" / f"{name}.npz", clip=rng.normal(0, 9, (2000, 4)))
    result = call("pack", f"--features=clip:{arrays}/in/*.npz", f"--output_dir={arrays}/out", "--pca=clip:3")
    assert result.returncode == 0 and "cut to it, as 4.6% of a normal distribution of variance 1 are" in result.stdout
    assert "outside" not in result.stderr


def test_components_that_frames_cannot_have_are_said(arrays):
    """Three frames, one each of three videos, have two components."""
    for number, name in enumerate("abc"):
        np.savez(arrays / "in" / f"{name}.npz", clip=np.random.default_rng(number).normal(0, 1, (1, 4)))
    for size in (2, 3, 4):
        result = call(
            "pack", f"--features=clip:{arrays}/in/*.npz", f"--output_dir={arrays}/{size}", f"--pca=clip:{size}"
        )
        said = f"warning: PCA of clip is fitted on 3 frames, and the last {size - 2} of its {size} dimensions are noise"
        assert result.returncode == 0 and (said in result.stderr) == (size > 2)


def test_warnings_are_json_among_json_logs(arrays):
    pack = ("pack", f"--features=clip:{arrays}/in/*.npz", "--json_logs")
    lines = call(*pack, f"--output_dir={arrays}/out").stderr.splitlines()
    told = [line for line in map(json.loads, lines) if line["event"] == "warning"]
    assert [sorted(line) for line in told] == [["event", "text"]] and "were outside [-2, 2]" in told[0]["text"]


def test_much_that_is_cut_is_said(arrays):
    result = call("pack", f"--features=clip:{arrays}/in/*.npz", f"--output_dir={arrays}/out")
    assert result.returncode == 0 and "of the values of clip were outside [-2, 2]" in result.stderr
    assert "--standardize=clip or --pca scales them" in result.stderr


def test_what_is_left_out_is_said(arrays):
    np.savez(arrays / "in" / "b.npz", clip=np.ones((8, 4)), sound=np.zeros((3, 2), np.uint8))
    (arrays / "i.csv").write_text("video_id,start,end,class\na,0,5,1\nc,512,586,0\nc,5,6,1\n")
    pack = ("pack", f"--input_data_pattern={arrays}/in/*.npz", f"--output_dir={arrays}/out", "--standardize=clip")
    result = call(*pack, f"--intervals_csv={arrays}/i.csv")
    assert result.returncode == 0, result.stderr
    for sentence in (
        "1 of 3 videos have features of different lengths and are cut to the shortest, by 5 frames in all: the first is b: "
        "8 of clip, 3 of sound",
        "i.csv: 1 of 3 intervals rate nothing, because they lie behind the end of their video: the first on line 3, "
        "512-586 s of c, which has 8 s",
        "i.csv: 1 of 3 intervals rate nothing, because they cover less than 2.5 s of each segment (--min_overlap): the "
        "first on line 4, 5-6 s of c",
        "i.csv: labels of videos that are lost with intervals that rate nothing: 2, the first class 0 of c",
    ):
        assert f"warning: {sentence}" in result.stderr.replace(f"{arrays}/", "")
    # What is packed already is not packed again, and told all the same.
    assert "behind the end of their video" in call(*pack, f"--intervals_csv={arrays}/i.csv").stderr


@pytest.mark.parametrize(
    "flag, sentence",
    [
        ("--pca=clip:many", "--pca=clip:many is not understood: give NAME:VALUE, as in rgb:1024"),
        ("--pca=clap:2", "there is no feature clap; there are clip, sound"),
        ("--features=x:y", "give either --features, once for each, or --input_data_pattern, or --videos"),
        ("--rate_the_rest", "--rate_the_rest needs --intervals_csv"),
        ("--frames_per_second=clip:1e-9", "as in rgb:25, with a rate of 0.01 to 100000"),
        ("--frames_per_second=clip:nan", "as in rgb:25, with a rate of 0.01 to 100000"),
    ],
)
def test_flags_that_make_no_sense(arrays, flag, sentence):
    result = call("pack", f"--input_data_pattern={arrays}/in/*.npz", f"--output_dir={arrays}/out", flag)
    assert result.returncode == 2 and result.stderr.splitlines()[-1].endswith(sentence)


def test_annotations_of_a_published_data_set(arrays):
    """ActivityNet's JSON alone: a vocabulary is written, files are named v_ID, and only the subset is packed."""
    for name in "abc":
        (arrays / "in" / f"{name}.npz").rename(arrays / "in" / f"v_{name}.npz")
    database = {
        "a": {"subset": "training", "annotations": [{"segment": [0, 5], "label": "Run, far"}]},
        "b": {"subset": "training", "annotations": []},
        "c": {"subset": "testing", "annotations": [{"segment": [0, 5], "label": "Jump"}]},
    }
    (arrays / "anet.json").write_text(json.dumps({"database": database}))
    pack = (
        "pack",
        f"--input_data_pattern={arrays}/in/*.npz",
        "--standardize=clip",
        f"--intervals_csv={arrays}/anet.json",
    )
    result = call(*pack, f"--output_dir={arrays}/out", "--subset=training", "--rate_the_rest")
    assert result.returncode == 0, result.stderr
    # Two segments of each of two videos, for the one class of the subset.
    assert "packed 2 videos with 4 ratings" in result.stdout
    assert "left out 1 of 3 videos, not in the subset training" in result.stdout
    assert (arrays / "out" / "vocabulary.csv").read_text() == 'Index,Name\n0,Jump\n1,"Run, far"\n'
    assert json.loads((arrays / "out" / "pack.json").read_text())["num_classes"] == 2
    assert "1 videos have no annotations, the first b" in result.stderr
    for flags, said in {
        (f"--vocabulary={arrays}/names.csv",): "the vocabulary has no class 'Run, far'",
        ("--subset=train",): "--subset can be testing, training",
    }.items():
        result = call(*pack, f"--output_dir={arrays}/out2", *flags)
        assert result.returncode == 2 and said in result.stderr
    (arrays / "out3").mkdir()
    (arrays / "out3" / "vocabulary.csv").write_text("Index,Name\n0,Cat\n")
    result = call(*pack, f"--output_dir={arrays}/out3")
    assert result.returncode == 2 and "vocabulary.csv has other classes than the annotations" in result.stderr


def test_annotations_of_other_videos_are_an_error(arrays):
    (arrays / "Diving_val.txt").write_text("video_validation_1 0 5\n")
    result = call(
        "pack", f"--input_data_pattern={arrays}/in/*.npz", f"--output_dir={arrays}/out",
        f"--intervals_csv={arrays}/Diving_val.txt",
    )  # fmt: skip
    assert result.returncode == 2 and "is of other videos: none of its ids, say video_validation_1" in result.stderr

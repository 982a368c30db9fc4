"""Annotations and the files that they are of, by all the ways in which a file may be named."""

import pytest

from tests.helpers.videos import told
from yt8m.commands.annotation_options import AnnotationOptions

YOUTUBE = ("--4gqARaEJE", "b0RFKhbpFJA", "_a_30_40_zz")
AUDIOSET = '# YTID, start_seconds, end_seconds, positive_labels\n{}, 30.000, 40.000, "/m/s1"\n'
STRONG = "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\n{}_30000\t1.5\t7.25\t/m/s1\n"
OWN = "video_id,start,end,class\n{0},10,20,Speech\n{0},28,33,Speech\n{0},36,50,Speech\n"


def read(tmp_path, text, ids, *, flag="intervals_csv"):
    """(Annotations, what was told) of files with the ids, by annotations with the text."""
    (tmp_path / "names.csv").write_text("index,mid,display_name\n0,/m/s1,Speech\n")
    (tmp_path / "annotations.txt").write_text(text)
    options = AnnotationOptions(**{flag: str(tmp_path / "annotations.txt"), "vocabulary": str(tmp_path / "names.csv")})
    return told(lambda: options.read_annotations(ids, str(tmp_path), complete=False))


@pytest.mark.parametrize("video_id", YOUTUBE)
@pytest.mark.parametrize("name", ["{}_30_40", "{}_30.000_40.000", "{}_30000_40000", "Y{}_30.0_40", "v_{}_30_40"])
def test_clips_of_audioset(tmp_path, video_id, name):
    """Ten seconds of a video from its 30th on, in seconds or milliseconds."""
    file = name.format(video_id)
    found, said = read(tmp_path, AUDIOSET.format(video_id), [file])
    assert [(item.start, item.end) for item in found.intervals[file]] == [(0, 10)] and list(found.intervals) == [file]
    assert said == ["files named ID_START_END that are taken for clips of annotated videos: 1 of 1"]
    found, _ = read(tmp_path, AUDIOSET.format(video_id), [file], flag="labels_csv")
    assert found.labels == {file: (0,)}
    # Strong labels count from the beginning of the clip.
    found, said = read(tmp_path, STRONG.format(video_id), [file])
    assert [(item.start, item.end) for item in found.intervals[file]] == [(1.5, 7.25)] and said == []


def test_intervals_before_a_clip_are_counted(tmp_path):
    found, said = read(tmp_path, OWN.format(YOUTUBE[0]), [f"{YOUTUBE[0]}_30_40"])
    (items,) = found.intervals.values()
    assert [(item.start, item.end) for item in items] == [(0, 3), (6, 20)]
    assert said[1] == "intervals left out, because they end before the clip of their video begins: 1"


@pytest.mark.parametrize(
    ("annotated", "files", "wanted"),
    [
        ("a b", ["a_b"], "a_b"),
        ("a, b", ["a__b"], "a__b"),
        ("a b", ["a b"], "a b"),
        ("abc", ["v_abc", "abc"], "abc"),
        ("abc", ["v_abc", "other"], "v_abc"),
        ("v_abc", ["v_abc", "other"], "v_abc"),
        ("b0RFKhbpFJA", ["b0RFKhbpFJA_30_40", "b0RFKhbpFJA"], "b0RFKhbpFJA"),
    ],
)
def test_which_file_annotations_are_of(tmp_path, annotated, files, wanted):
    found, said = read(tmp_path, f'video_id,start,end,class\n"{annotated}",0,5,Speech\n', files)
    assert list(found.intervals) == [wanted] and said == []
    assert [(item.start, item.end) for item in found.intervals[wanted]] == [(0, 5)]


@pytest.mark.parametrize("file", ["match_30_40", "b0RFKhbpFJ_30_40", "b0RFKhbpFJA_30", "b0RFKhbpFJA_x_40"])
def test_other_names_are_of_no_clip(tmp_path, file):
    own = OWN.format(file.partition("_")[0])
    _, said = read(tmp_path, own + f"{file},0,5,Speech\n", [file])
    assert said == [f"{tmp_path}/annotations.txt has 1 videos without files, the first {file.partition('_')[0]}"]

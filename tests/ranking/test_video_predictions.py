import pytest

from yt8m.ranking.video_predictions import read_video_predictions, write_video_predictions
from yt8m.types import InputError

ROWS = [("a", (3, 1, 2), (0.5, 0.25, 0.125)), ("b:c", (7, 8, 9), (0.25, 0.25, 0.0))]


def test_written_and_read(tmp_path):
    assert write_video_predictions(tmp_path / "v.csv", ROWS) == 2
    text = (tmp_path / "v.csv").read_text()
    assert (
        text
        == "VideoId,LabelConfidencePairs\na,3 0.500000 1 0.250000 2 0.125000\nb:c,7 0.250000 8 0.250000 9 0.000000\n"
    )
    assert read_video_predictions(tmp_path / "v.csv", top_n=2) == {"a": (3, 1), "b:c": (7, 8)}
    (tmp_path / "v.csv").write_text(text.replace("2 0.125", "2 0.750"))
    assert read_video_predictions(tmp_path / "v.csv", top_n=2)["a"] == (2, 3)


@pytest.mark.parametrize(
    "text, message",
    [
        ("Class,Segments\n", "has no column VideoId, LabelConfidencePairs"),
        ("VideoId,LabelConfidencePairs\na,3\n", "line 2: expected id,class confidence"),
        ("VideoId,LabelConfidencePairs\na,3 x\n", "line 2: a confidence is no number from 0 on"),
        ("VideoId,LabelConfidencePairs\na,3 0.5 4 0.5\nb,3 0.5\n", "line 3: 1 classes, and the 2 best of each video"),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_video_predictions(tmp_path / "v.csv", top_n=2)
    with pytest.raises(InputError, match="cannot read"):
        read_video_predictions(tmp_path / "none.csv", top_n=2)

"""Videos longer than YouTube-8M's: read and ranked whole, unless --max_frames caps them, which is told."""

import numpy as np
import pytest

from tests.helpers.commands import passed
from tests.helpers.records import CONFIG, make_video
from yt8m.data.pipeline import make_dataset
from yt8m.types import LongVideosWarning


@pytest.fixture
def files(write):
    return [write("a.tfrecord", make_video("long", frames=412, segments=((400, 1, 1.0), (0, 2, 1.0))), make_video("b"))]


def starts_of(files, config, windows):
    starts = []
    for *_, info in make_dataset(files, config, windows=windows, batch_size=64, with_info=windows != "all"):
        starts += zip(info["id"].numpy().tolist(), info["start_time"].numpy().tolist())
    return sorted(starts)


def test_all_of_a_long_video_is_read(files):
    assert [start for name, start in starts_of(files, CONFIG, "all") if name == b"long"] == list(range(0, 412, 5))
    assert (b"long", 400) in starts_of(files, CONFIG, "rated")


@pytest.mark.parametrize("windows", ["all", "rated", "video"])
@pytest.mark.slow
def test_a_cap_is_told_once_with_the_first_video(files, windows):
    with pytest.warns(
        LongVideosWarning, match="^video long has 412 frames, of which the first 300 are read, as --max_"
    ):
        found = starts_of(files, CONFIG.replace(max_frames=300), windows)
    assert max(start for _, start in found) == {"all": 295, "rated": 10, "video": 0}[windows]


@pytest.mark.slow
def test_both_ways_to_evaluate_agree(tmp_path):
    rng = np.random.default_rng(0)
    for name in "abcd":
        np.save(tmp_path / f"{name}.npy", rng.integers(0, 256, (500, 4), np.uint8))
    (tmp_path / "intervals.csv").write_text("".join(f"{name},400,450,1\n{name},0,50,0\n" for name in "abcd"))
    records, run = tmp_path / "records", tmp_path / "run"
    passed("pack", f"--features=rgb:{tmp_path}/*.npy", f"--intervals_csv={tmp_path}/intervals.csv",
           f"--output_dir={records}", "--num_shards=2", "--rate_the_rest")  # fmt: skip
    data = f"{records}/*.tfrecord"
    passed("train", "--model=logistic", f"--train_data_pattern={data}", "--segment_labels", "--holdout_files=1",
           "--num_epochs=1", f"--train_dir={run}")  # fmt: skip
    passed("inference", f"--train_dir={run}", f"--input_data_pattern={data}", f"--output_file={tmp_path}/s.csv")
    of_run = passed("eval", f"--train_dir={run}", f"--eval_data_pattern={data}").stdout
    of_file = passed("eval", f"--submission={tmp_path}/s.csv", f"--labels={data}").stdout
    scores = [text[text.index('"map_at_k"') : text.index(', "top_n"')] for text in (of_run, of_file)]
    assert scores[0] == scores[1] and '"num_classes": 2' in of_run and '"num_rated": 800' in of_file
    assert ":495" in (tmp_path / "s.csv").read_text()

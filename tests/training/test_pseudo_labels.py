import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.records import CONFIG, make_video
from tests.helpers.texts import text_config, whole, write_tokenizer
from yt8m.data.pipeline import make_dataset
from yt8m.data.scan import scan
from yt8m.data.splits import Source
from yt8m.data.text_fields import get_texts
from yt8m.data.tfrecord import VideoRecord, list_files, write_records
from yt8m.ranking.submission import write_submission
from yt8m.training.pseudo_labels import Choice, best_f1_thresholds, choose_segments, write_pseudo_labels
from yt8m.training.resampling import Resampling
from yt8m.types import InputError, Segment, TimedText

RESAMPLING = Resampling(before=0.5, after=0.3, without_candidates={7: 4}, out_of_reach=0.2, distinct=3, most_repeats=2)


@pytest.fixture
def predictions(tmp_path):
    """Classes 1 and 2 list a:0 to a:9; class 5 is rated nowhere."""
    pytest.importorskip("pyarrow")
    path = str(tmp_path / "teacher.parquet")
    names = [f"a:{5 * i}" for i in range(10)]
    scores = {
        1: np.linspace(0.99, 0.54, 10),
        2: np.linspace(0.96, 0.06, 10),
        5: np.linspace(0.999, 0.99, 10),
    }
    rankings = {1: names, 2: names[::-1], 5: names}
    write_submission(path, rankings, scores={c: s.astype(np.float32) for c, s in scores.items()})
    return path


def test_sure_segments_are_resampled_to_the_rated_distribution(predictions):
    choice = choose_segments(predictions, thresholds={1: 0.8, 2: 0.9}, class_counts={1: 30, 2: 60})
    # Class 1 is sure of four (0.99 .. 0.84 in steps of 0.05), class 2 of one.
    assert choice.sure == {1: 4, 2: 1}
    # Of five in all a third is 1.7 and two thirds are 3.3.
    assert choice.chosen[1] + choice.chosen[2] == 5 and choice.chosen[2] in (3, 4)
    assert choice.segments[Segment("a", 45)][0] == choice.chosen[2]
    of_first = [choice.segments.get(Segment("a", start), (0, {}))[0] for start in (0, 5, 10, 15)]
    assert sum(of_first) == choice.chosen[1] and max(of_first) == 1
    times, labels = choice.segments[Segment("a", 45)]
    assert labels == pytest.approx({1: 0.54, 2: 0.96, 5: 0.99}, abs=1e-6)
    assert choice.resampling.before == pytest.approx(abs(4 / 5 - 1 / 3) + abs(1 / 5 - 2 / 3))
    few = choose_segments(predictions, thresholds={1: 0.8, 2: 0.9}, class_counts={1: 1, 2: 1}, most=2)
    assert few.chosen == {1: 1, 2: 1} and few.resampling.after == 0
    with pytest.raises(InputError, match="the teacher is sure of no segment: none scores 1, lower"):
        choose_segments(predictions, thresholds={1: 1, 2: 1}, class_counts={1: 1, 2: 1})


def test_a_file_without_scores_is_refused(tmp_path):
    path = str(tmp_path / "teacher.csv")
    write_submission(path, {1: ["a:0"]})
    with pytest.raises(InputError, match="teacher.csv holds no scores"):
        choose_segments(path, thresholds={1: 0.5}, class_counts={1: 1})


def test_thresholds_of_best_f1():
    class_ids = np.array([1] * 5 + [2] * 3 + [3] * 2 + [4] * 4 + [5] * 6 + [6] * 2)
    positive = np.array([1, 1, 0, 1, 0, 1, 1, 1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1, 1, 1, 0], bool)
    scores = [0.9, 0.8, 0.7, 0.6, 0.5, 0.3, 0.2, 0.1, 0.9, 0.8, 0.6, 0.6, 0.2, 0.1, 0.9, 0.8, 0.7, 0, 0, 0, 0, 0.4]
    scores = np.array(scores, np.float32)
    thresholds = best_f1_thresholds(class_ids, positive, scores, otherwise=0.95)
    # F1 of class 1 from the top: 1/2, 4/5, 2/3, 6/7, 3/4; of class 4, whose best two are tied: 1/2, 4/5, 2/3.
    # Three labels of class 5 and the only one of class 6 are not listed at all: 2/5, 1/3, 2/7, and no hit.
    assert thresholds == pytest.approx({1: 0.6, 2: 0.95, 3: 0.95, 4: 0.2, 5: 0.9, 6: 0.95}, abs=1e-6)


def test_records_give_the_frames_and_soft_labels_of_their_segments(tmp_path):
    source = str(tmp_path / "unlabelled.tfrecord")
    write_records(source, [make_video("a", frames=23), make_video("b", frames=40), make_video("c", frames=12)])
    choice = Choice(
        {
            Segment("a", 0): (1, {1: 0.96, 4: 0.25}),
            Segment("a", 20): (2, {2: 0.99}),
            Segment("c", 5): (1, {3: 0.97}),
        },
        sure={1: 1, 2: 1, 3: 1},
        chosen={1: 1, 2: 2, 3: 1},
        resampling=RESAMPLING,
    )
    pattern = write_pseudo_labels(str(tmp_path / "pseudo"), choice, Source((source,)), CONFIG, details={"note": 1})
    summary = json.loads((tmp_path / "pseudo" / "pseudo.json").read_text())
    assert summary == {
        "resampling": RESAMPLING.to_dict() | {"without_candidates": {"7": 4}},
        "told": "L1 distance to the rated classes 0.300, before resampling 0.500; 0.200 of it is 1 class without a "
        "candidate (7); 0.100 is classes that only come together with others, and rounding",
        "records": 4,
        "sure": {"1": 1, "2": 1, "3": 1},
        "chosen": {"1": 1, "2": 2, "3": 1},
        "note": 1,
    }
    dataset = make_dataset(list_files(pattern), CONFIG, windows="rated", batch_size=8, with_info=True)
    ((features, targets, info),) = dataset.as_numpy_iterator()
    assert info["id"].tolist() == [b"a", b"a", b"a", b"c"]
    # Frame t of a video is filled with t + 1.
    wanted = [[1, 2, 3, 4, 5], [21, 22, 23, 0, 0], [21, 22, 23, 0, 0], [6, 7, 8, 9, 10]]
    assert features["rgb"][:, :, 0].tolist() == wanted and features["num_frames"].tolist() == [5, 3, 3, 5]
    assert targets["classes"][0, :3].tolist() == [2, 5, 0]
    np.testing.assert_allclose(targets["scores"][0, :2], [0.96, 0.25], rtol=1e-6)


def test_records_have_the_texts_of_their_segments(tmp_path):
    texts = (
        whole("title", "sea"), TimedText(0, 5.5, "asr", "cat"), TimedText(6, 6, "asr", "dog"),
        TimedText(9, 30, "asr", "sea"), TimedText(10, 12, "asr", "cat"),
    )  # fmt: skip
    config = CONFIG.replace(text=text_config(write_tokenizer(tmp_path / "tokenizer.json")))
    source = str(tmp_path / "unlabelled.tfrecord")
    write_records(source, [dataclasses.replace(make_video("a", frames=23, segments=((5, 1, 1.0),)), texts=texts)])
    ((there, _),) = make_dataset([source], config, windows="rated", batch_size=8).as_numpy_iterator()
    choice = Choice({Segment("a", 5): (1, {1: 0.9})}, sure={1: 1}, chosen={1: 1}, resampling=RESAMPLING)
    pattern = write_pseudo_labels(str(tmp_path / "pseudo"), choice, Source((source,)), config)
    ((features, _),) = make_dataset(list_files(pattern), config, windows="rated", batch_size=8).as_numpy_iterator()
    # sea | cat dog sea, the last cat being of the next segment.
    assert features["tokens"].tolist() == there["tokens"].tolist() == [[7, 2, 4, 7, 0, 0]]
    (record,) = scan(list_files(pattern)[0])
    context = tf.train.SequenceExample.FromString(record.serialized).context.feature
    # From second 3, the first that is kept, on.
    kept = [
        whole("title", "sea"),
        *(TimedText(*of) for of in ((0, 2.5, "asr", "cat"), (3, 3, "asr", "dog"), (6, 27, "asr", "sea"))),
    ]
    assert get_texts(context, ("title", "asr")) == tuple(kept)
    whole_video = Choice({Segment("a", 0): (1, {1: 0.9})}, sure={1: 1}, chosen={1: 1}, resampling=RESAMPLING)
    pattern = write_pseudo_labels(str(tmp_path / "videos"), whole_video, Source((source,)), config, segments=False)
    (record,) = scan(list_files(pattern)[0])
    context = tf.train.SequenceExample.FromString(record.serialized).context.feature
    assert get_texts(context, ("title", "asr")) == texts
    write_records(source, [broken_text("a")])
    with pytest.raises(InputError, match="video a: text 0 of text/title is not UTF-8"):
        write_pseudo_labels(str(tmp_path / "bad"), choice, Source((source,)), config)


def broken_text(video_id):
    example = tf.train.SequenceExample.FromString(make_video(video_id).serialize())
    example.context.feature["text/title"].bytes_list.value.append(b"\xff")
    return example.SerializeToString()


@pytest.mark.parametrize("level", ["frame", "video"])
def test_records_of_whole_videos_have_soft_labels(tmp_path, level):
    config = CONFIG.replace(level=level)
    if level == "frame":
        videos = [make_video(name, frames=7, labels=(1,)) for name in "abc"]
    else:
        means = {name: {"rgb": np.full(6, place), "audio": np.zeros(4)} for place, name in enumerate("abc")}
        # Its own label is of another vocabulary, and not looked at.
        videos = [VideoRecord(video_id=name, features=values, labels=(70,)) for name, values in means.items()]
    source = str(tmp_path / "unlabelled.tfrecord")
    write_records(source, videos)
    examples = {Segment("b", 0): (2, {2: 0.97, 5: 0.25}), Segment("c", 0): (1, {3: 1.0})}
    choice = Choice(examples, sure={2: 1, 3: 1}, chosen={2: 2, 3: 1}, resampling=RESAMPLING)
    pattern = write_pseudo_labels(str(tmp_path / "pseudo"), choice, Source((source,)), config, segments=False)
    dataset = make_dataset(list_files(pattern), config, windows="video", batch_size=8, with_info=True)
    ((features, targets, info),) = dataset.as_numpy_iterator()
    assert info["id"].tolist() == [b"b", b"b", b"c"]
    assert targets["classes"][:, :3].tolist() == [[3, 6, 0], [3, 6, 0], [4, 0, 0]]
    np.testing.assert_allclose(targets["scores"][:, :2], [[0.97, 0.25], [0.97, 0.25], [1, 0]], rtol=1e-6)
    if level == "frame":
        assert features["rgb"][:, :, 0].tolist() == [[1, 2, 3, 4, 5, 6, 7, 0]] * 3
    else:
        assert features["rgb"][:, 0].tolist() == [1, 1, 2]
    segment = Choice({Segment("a", 5): (1, {1: 0.9})}, sure={1: 1}, chosen={1: 1}, resampling=RESAMPLING)
    with pytest.raises(InputError, match="lists the segment a:5, and its students learn from whole videos"):
        write_pseudo_labels(str(tmp_path / "pseudo"), segment, Source((source,)), config, segments=False)


def test_segments_that_are_not_there_are_an_error(tmp_path):
    source = str(tmp_path / "unlabelled.tfrecord")
    write_records(source, [make_video("a", frames=12)])
    for segment, message in (
        (Segment("z", 0), "lists 1 segments that"),
        (Segment("a", 15), "lists a:15, and that video has 12"),
    ):
        choice = Choice({segment: (1, {1: 0.9})}, sure={1: 1}, chosen={1: 1}, resampling=RESAMPLING)
        with pytest.raises(InputError, match=message):
            write_pseudo_labels(str(tmp_path / "pseudo"), choice, Source((source,)), CONFIG)

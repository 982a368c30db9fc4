import json

import keras
import numpy as np
import pytest

from tests.helpers.twins import window_twin
from yt8m.config import DataConfig, ModelConfig
from yt8m.data.labels import read_rated_labels
from yt8m.data.splits import Source
from yt8m.data.tfrecord import FrameRecord, write_records
from yt8m.inference import jobs
from yt8m.inference import scorer as scorer_module
from yt8m.inference.jobs import Execution
from yt8m.inference.model_evaluation import evaluate_model
from yt8m.inference.prediction import Scorer, predict_segments, predict_videos
from yt8m.inference.shift_choice import choose_shifts
from yt8m.models import MODELS
from yt8m.models.base import build_model
from yt8m.ranking.evaluation import evaluate_scores, evaluate_submission
from yt8m.ranking.filters import SegmentFilter
from yt8m.ranking.metrics import gap, hit_at_one
from yt8m.ranking.rated_labels import RatedLabels
from yt8m.ranking.submission import SubmissionWriter
from yt8m.ranking.video_predictions import write_video_predictions
from yt8m.runtime.parts import PartsFolder
from yt8m.types import InputError

CONFIG = DataConfig(feature_names=("rgb",), feature_sizes=(6,), num_classes=4, num_frames=30)
CLASS_IDS = (3, 1)
LENGTHS = {"short": 3, "even": 10, "ragged": 23, "one": 1, "a:b": 17}

pytestmark = pytest.mark.filterwarnings("ignore::yt8m.types.LongVideosWarning")


@pytest.fixture(scope="module")
def videos():
    random = np.random.default_rng(0)
    return {name: random.integers(0, 256, (length, 6), dtype=np.uint8) for name, length in LENGTHS.items()}


@pytest.fixture(scope="module")
def source(videos, tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "a.tfrecord"
    records = [
        FrameRecord(
            video_id=name,
            features={"rgb": frames},
            labels=(i % 4,),
            segments=tuple(
                (start, c, float((start + c + i) % 2)) for start in range(0, len(frames), 5) for c in (1, 3)
            ),
        )
        for i, (name, frames) in enumerate(videos.items())
    ]
    write_records(path, records)
    return Source((str(path),))


@pytest.fixture(scope="module")
def model():
    # Some videos' best class is one of CLASS_IDS, and some videos' the other.
    keras.utils.set_random_seed(2)
    return build_model(ModelConfig(name="moe", hyperparameters={"num_mixtures": 2}), CONFIG)


def slow_scores(model, videos, views):
    """Segment -> scores, a window at a time, clamped at the borders, averaged over the views."""
    scores = {}
    for name, frames in videos.items():
        for start in range(0, len(frames), 5):
            found = []
            for view in views:
                window = frames[window_twin(start, len(frames), view, "clamp")]
                batch = {"rgb": window[None], "num_frames": np.array([len(window)], np.int32)}
                found.append(np.asarray(model(batch))[0])
            scores[f"{name}:{start}"] = np.mean(found, axis=0)
    return scores


@pytest.mark.parametrize("views", [(0,), (1,), (-2, -1, 0, 1), (0, "dilute", "enlarge")])
@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_segments_equal_a_window_at_a_time(model, videos, source, views, batch_size):
    expected = slow_scores(model, videos, views)
    top = predict_segments(model, source, CONFIG, class_ids=CLASS_IDS, views=views, batch_size=batch_size)
    found = {class_id: dict(zip(segments.texts(), scores)) for class_id, segments, scores in top}
    assert list(found) == [1, 3]
    for class_id, segments in found.items():
        assert set(segments) == set(expected)
        assert list(segments.values()) == sorted(segments.values(), reverse=True)
        for segment, score in segments.items():
            assert score == pytest.approx(expected[segment][class_id], abs=1e-5)


def test_the_best_range_of_shifts_is_chosen(model, videos, source):
    """Every range's MAP is that of scores a window at a time, and the best of them is taken."""
    labels = RatedLabels(*read_rated_labels(list(source.files), CONFIG))
    choice = choose_shifts(model, source, CONFIG, batch_size=4, most=2)
    assert len(choice.maps) == 9 and choice.maps[choice.shifts] == max(choice.maps.values()) > choice.maps[0, 0]
    for (first, last), found in choice.maps.items():
        expected = slow_scores(model, videos, range(first, last + 1))
        scores = [expected[text.decode()][c] for text, c in zip(labels.texts, labels.class_ids)]
        assert found == pytest.approx(evaluate_scores(labels, np.array(scores)).map_at_k, abs=1e-9)
    first, last = choice.shifts
    assert str(choice).startswith(f"shifts {first} to {last} rank the holdout best of 9 ranges: MAP ")
    assert choice.low <= choice.maps[choice.shifts] - choice.maps[0, 0] <= choice.high


def test_an_id_that_no_submission_can_hold_ends_it_at_once(model, tmp_path):
    frames = np.zeros((6, 6), np.uint8)
    write_records(tmp_path / "a.tfrecord", [FrameRecord(video_id="clip 03", features={"rgb": frames})])
    with pytest.raises(InputError, match="a.tfrecord, record 0: the id 'clip 03' has a blank, which no "):
        predict_segments(model, Source((str(tmp_path / "a.tfrecord"),)), CONFIG, class_ids=CLASS_IDS, batch_size=4)


def test_a_model_of_five_frames_takes_no_longer_view(source):
    bert = {"num_layers": 1, "num_heads": 2, "feed_forward_size": 8, "pooling": "concat"}
    model = build_model(ModelConfig(name="frame_bert", hyperparameters=bert), CONFIG)
    with pytest.raises(
        InputError, match="^this frame_bert takes segments of 5 frames, and the view enlarge has 9: leave"
    ):
        predict_segments(model, source, CONFIG, class_ids=CLASS_IDS, views=(0, "enlarge"))
    predict_segments(model, source, CONFIG, class_ids=CLASS_IDS, views=(0, "dilute"))


def test_all_views_are_seen_beside_the_same_whole_video(videos, source):
    config = CONFIG.replace(video_frames=4)
    settings = {"segment_model": "moe", "context_model": "moe", "num_mixtures": 2, "context_size": 3}
    model = build_model(ModelConfig(name="video_context", hyperparameters=settings), config)
    top = predict_segments(model, source, config, class_ids=CLASS_IDS, views=(-1, "enlarge"), batch_size=4)
    found = {class_id: dict(zip(segments.texts(), scores)) for class_id, segments, scores in top}
    for name, frames in videos.items():
        count = min(4, len(frames))
        beside = frames[[int((slot + 0.5) * len(frames) / count) for slot in range(count)]]
        for start in range(0, len(frames), 5):
            scores = []
            for view in (-1, "enlarge"):
                window = frames[window_twin(start, len(frames), view, "clamp")]
                batch = {"rgb": window[None], "num_frames": np.array([len(window)], np.int32)}
                batch |= {"video_rgb": beside[None], "num_video_frames": np.array([count], np.int32)}
                scores.append(np.asarray(model(batch))[0])
            for class_id in CLASS_IDS:
                expected = np.mean(scores, axis=0)[class_id]
                assert found[class_id][f"{name}:{start}"] == pytest.approx(expected, abs=1e-5)


def test_top_n_and_top_k_cut(model, videos, source):
    expected = slow_scores(model, videos, (0,))
    top = predict_segments(model, source, CONFIG, class_ids=(0, 1, 2, 3), top_n=3, top_k=2, batch_size=4)
    for class_id, segments, _ in top:
        allowed = [s for s, row in expected.items() if class_id in np.argsort(-row, kind="stable")[:2]]
        assert segments.texts() == sorted(allowed, key=lambda s: -expected[s][class_id])[:3]


def test_nothing_is_compiled_twice(model, source):
    calls = []

    class Counting(type(model)):
        def call(self, inputs, training=None):
            calls.append(1)
            return super().call(inputs, training=training)

    counting = Counting(feature_sizes=CONFIG.features, num_classes=4, num_mixtures=2)
    counting.build()
    scorer = Scorer(counting, batch_size=4)
    batch = {"rgb": np.zeros((4, 5, 6), np.uint8), "num_frames": np.full(4, 5, np.int32)}
    scorer(batch)
    warm = len(calls)
    for rows in (4, 1, 3):
        assert scorer({name: values[:rows] for name, values in batch.items()}).shape == (rows, 4)
    assert len(calls) == warm


def test_scores_of_an_example_do_not_depend_on_the_batches_before(model):
    random = np.random.default_rng(3)
    batch = {"rgb": random.integers(0, 256, (7, 5, 6), np.uint8), "num_frames": np.full(7, 5, np.int32)}
    first = {name: values[:3] for name, values in batch.items()}
    fresh, used = Scorer(model, batch_size=7), Scorer(model, batch_size=7)
    for rows in (7, 1, 5):
        used({name: values[:rows] for name, values in batch.items()})
    np.testing.assert_array_equal(used(first), fresh(first))


def test_where_each_shape_is_compiled_small_batches_are_filled_up(model, monkeypatch):
    batch = {"rgb": np.full((3, 5, 6), 9, np.uint8), "num_frames": np.full(3, 5, np.int32)}
    plain = Scorer(model, batch_size=4)(batch)
    monkeypatch.setattr(scorer_module, "default_jit_compile", lambda: True)
    compiled = Scorer(model, batch_size=4)
    np.testing.assert_allclose(compiled(batch), plain, atol=1e-6)
    assert compiled._filled(batch)["rgb"].shape == (4, 5, 6)


def test_video_predictions_and_their_file(model, source, tmp_path):
    predictions = list(predict_videos(model, source, CONFIG, top_k=2, batch_size=2))
    assert [video_id for video_id, _, _ in predictions] == list(LENGTHS)
    for _, classes, confidences in predictions:
        assert len(classes) == 2 and confidences[0] >= confidences[1]
    assert write_video_predictions(tmp_path / "v.csv", predictions) == 5
    header, first, *_ = (tmp_path / "v.csv").read_text().splitlines()
    assert header == "VideoId,LabelConfidencePairs"
    _, classes, confidences = predictions[0]
    assert first == f"short,{classes[0]} {confidences[0]:.6f} {classes[1]} {confidences[1]:.6f}"


@pytest.fixture
def parts(videos, tmp_path, monkeypatch):
    """Source of a file a video, each of them a part with a batch of two or more."""
    monkeypatch.setattr(jobs, "_BATCHES_PER_PART", 1)
    files = []
    for place, (name, frames) in enumerate(in_parts(videos).items()):
        files.append(str(tmp_path / f"{place}.tfrecord"))
        write_records(files[-1], [FrameRecord(video_id=name, features={"rgb": frames}, labels=(place % 4,))])
    return Source(tuple(files))


def in_parts(videos):
    """Those of the videos that the parts hold: each part takes as long to start as many videos to score."""
    return {name: videos[name] for name in ("even", "ragged", "a:b")} | {"last": videos["ragged"][::-1]}


def listed(top):
    return [(class_id, segments.texts(), scores.tolist()) for class_id, segments, scores in top]


def segments_of(model, source, **options):
    options = {"class_ids": CLASS_IDS, "views": (-1, 0), "batch_size": 2} | options
    return listed(predict_segments(model, source, CONFIG, **options))


def videos_of(model, source, **options):
    rows = predict_videos(model, source, CONFIG.replace(max_frames=5), top_k=2, batch_size=1, **options)
    return [(video_id, classes.tolist(), scores.tolist()) for video_id, classes, scores in rows]


def counted(monkeypatch, *, most=None):
    """List that grows by the rows of each batch that is scored; batch number ``most`` fails."""
    batches = []
    score = Scorer.__call__

    def scored(self, features):
        if len(batches) == most:
            raise InputError("stopped")
        batches.append(len(features["rgb"]))
        return score(self, features)

    monkeypatch.setattr(Scorer, "__call__", scored)
    return batches


@pytest.mark.parametrize("predicted", [segments_of, pytest.param(videos_of, marks=pytest.mark.slow)])
def test_finished_parts_are_not_done_again(model, parts, tmp_path, monkeypatch, capsys, predicted):
    expected = predicted(model, parts)
    monkeypatch.setattr(jobs, "_PARTS_AT_A_TIME", 1)
    folder = PartsFolder(tmp_path / "parts", identity=0)
    with monkeypatch.context() as patched, pytest.raises(InputError, match="stopped"):
        counted(patched, most=3)
        predicted(model, parts, execution=Execution(folder=folder))
    finished = sorted(folder.finished)
    assert finished and finished == list(range(len(finished)))
    everything = counted(monkeypatch)
    assert predicted(model, parts) == expected
    whole = sum(everything)
    everything.clear()
    again = PartsFolder(tmp_path / "parts", identity=0)
    assert predicted(model, parts, execution=Execution(folder=again)) == expected
    skipped = sum(int(folder.load(number)["num_examples"]) for number in finished)
    assert sum(everything) == whole - skipped < whole
    total = len(list(folder.path.glob("part-*.npz")))
    assert f"{len(finished)} of {total} parts are done: resuming" in capsys.readouterr().err


def test_parts_of_another_job_are_not_used(model, parts, tmp_path, capsys):
    few = Source(parts.files[:1])
    execution = Execution(folder=PartsFolder(tmp_path / "parts", identity=0))
    segments_of(model, few, execution=execution)
    for change in ({"views": (0,)}, {"top_k": 1}):
        assert segments_of(model, few, execution=execution, **change) == segments_of(model, few, **change)
        assert "holds parts of another job: starting over" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wanted", [SegmentFilter(top_n=1), SegmentFilter(skip_first=1, skip_last=1)], ids=["top", "ends"]
)
def test_filters_rank_behind_whatever_the_batches_and_parts(model, parts, videos, tmp_path, wanted):
    """Beside the ranking without a filter, and again from finished parts; each list has what is kept first."""
    predicted = {}
    for batch_size in (2, 64):
        options = {"class_ids": CLASS_IDS, "batch_size": batch_size, "filters": [wanted, None]}
        options["execution"] = Execution(folder=PartsFolder(tmp_path / "parts", identity=0))
        tops = predict_segments(model, parts, CONFIG, **options)
        predicted[batch_size] = [[row[:2] for row in listed(top)] for top in tops]
        again = predict_segments(model, parts, CONFIG, **options)
        assert [listed(top) for top in again] == [listed(top) for top in tops]
    assert predicted[2] == predicted[64]
    scores = slow_scores(model, in_parts(videos), (0,))
    of_video = {}
    for segment, row in scores.items():
        of_video.setdefault(segment.rpartition(":")[0], {})[segment] = row
    for column, (class_id, segments) in enumerate(predicted[2][0]):
        kept = set()
        for rows in of_video.values():
            best = max(CLASS_IDS, key=lambda label: max(row[label] for row in rows.values()))
            names = list(rows)[wanted.skip_first : len(rows) - wanted.skip_last]
            kept |= set(names) if wanted.top_n is None or best == class_id else set()
        expected = sorted(scores, key=lambda name: (name not in kept, -scores[name][class_id]))
        assert segments == expected and 0 < len(kept) < len(expected)
        assert sorted(predicted[2][1][column][1]) == sorted(segments) != predicted[2][1][column][1]


def test_a_job_that_fails_at_once_leaves_no_folder(model, parts, tmp_path, monkeypatch):
    counted(monkeypatch, most=0)
    with pytest.raises(InputError, match="stopped"):
        segments_of(model, parts, execution=Execution(folder=PartsFolder(tmp_path / "parts", identity=0)))
    assert not (tmp_path / "parts").exists()


def test_parts_share_one_trace_that_takes_any_size(parts, monkeypatch):
    calls = []

    class Traced(MODELS["moe"]):
        def call(self, inputs, training=None):
            calls.append(inputs["rgb"].shape)
            return super().call(inputs, training=training)

    model = Traced(feature_sizes=CONFIG.features, num_classes=4, num_mixtures=2)
    model.build()
    calls.clear()
    monkeypatch.setattr(jobs, "_BATCHES_PER_PART", 1000)
    whole = segments_of(model, parts, batch_size=64)
    once = len(calls)
    monkeypatch.setattr(jobs, "_BATCHES_PER_PART", 1)
    calls.clear()
    assert [row[1] for row in segments_of(model, parts, batch_size=3)] == [row[1] for row in whole]
    assert len(calls) == once
    assert {shape[0] for shape in calls} == {None}


def test_holdout_score_is_that_of_the_submission(model, videos, source, tmp_path):
    results = evaluate_model(Scorer(model, batch_size=4), source, CONFIG, segment_labels=True)
    with SubmissionWriter(tmp_path / "s.csv") as writer:
        for class_id, segments, scores in predict_segments(model, source, CONFIG, class_ids=CLASS_IDS, batch_size=4):
            writer.write(class_id, segments, scores=scores)
    rows = [
        (f"{name}:{start}", c, (start + c + i) % 2)
        for i, (name, frames) in enumerate(videos.items())
        for start in range(0, len(frames), 5)
        for c in (1, 3)
    ]
    evaluation = evaluate_submission(tmp_path / "s.csv", RatedLabels(*zip(*rows)))
    assert results["map_at_k"] == pytest.approx(evaluation.map_at_k, abs=1e-9)
    assert results["num_rated"] == len(rows)


def test_video_scores_are_the_metrics_on_all_videos(model, source):
    results = evaluate_model(Scorer(model, batch_size=2), source, CONFIG, segment_labels=False, top_k=4)
    scores = np.zeros((5, 4))
    for i, (_, classes, confidences) in enumerate(predict_videos(model, source, CONFIG, top_k=4, batch_size=8)):
        scores[i, classes] = confidences
    labels = np.eye(4)[[0, 1, 2, 3, 0]]
    assert results["gap_at_4"] == pytest.approx(gap(scores, labels, top_k=4), abs=1e-6)
    assert results["hit_at_one"] == pytest.approx(hit_at_one(scores, labels))
    json.dumps(results)


def test_videos_without_labels_have_no_score(model, tmp_path):
    write_records(tmp_path / "a.tfrecord", [FrameRecord(video_id="v", features={"rgb": np.zeros((9, 6), np.uint8)})])
    with pytest.raises(InputError, match="have no labels"):
        evaluate_model(
            Scorer(model, batch_size=2), Source((str(tmp_path / "a.tfrecord"),)), CONFIG, segment_labels=False
        )


def test_no_file_is_read_to_count_what_there_is_to_predict(model, parts, videos, monkeypatch, capsys):
    """The total that progress shows comes of the parts that are done, and is exact at the end."""
    opened, part_reader = [], jobs.part_reader

    def counting(*arguments, **options):
        read = part_reader(*arguments, **options)
        return lambda files: opened.extend(files) or read(files)

    monkeypatch.setattr(jobs, "part_reader", counting)
    monkeypatch.setattr(jobs, "_BATCHES_PER_PART", 1)
    segments_of(model, parts, batch_size=3)
    assert sorted(opened) == sorted(parts.files)
    shown = capsys.readouterr().err.splitlines()[-1]
    count = sum(-(-len(frames) // 5) for frames in in_parts(videos).values())
    assert shown.startswith(f"predicting: {count}/{count} (100%)")

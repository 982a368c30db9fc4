"""The synthetic set: what the real set's readers see in it."""

import collections
import csv
import hashlib
import json
import pathlib

import numpy as np
import pytest

from yt8m.config import DataConfig
from yt8m.data.labels import read_rated_labels, read_video_labels
from yt8m.data.making import synthetic
from yt8m.data.making.synthetic_texts import Hidden, TextWorld, draw_pairs, truth_table
from yt8m.data.pipeline import make_dataset
from yt8m.data.scan import probe
from yt8m.data.splits import Source, collect_ids
from yt8m.data.survey.texts import script_of
from yt8m.data.tfrecord import dequantize, list_files
from yt8m.models.targets import rated_pairs
from yt8m.similarity.pairs import read_pairs, spearman
from yt8m.types import InputError, Segment
from yt8m.vocabulary import read_class_names, read_segment_class_ids

CONFIG = DataConfig(num_classes=len(synthetic.NAMES), num_frames=60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo")
    synthetic.write_demo(path, seed=1, size="tiny")
    return path


def files(folder, split):
    return list_files(f"{folder}/{split}/*.tfrecord")


def digests(folder):
    paths = sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_files(folder, tmp_path):
    synthetic.write_demo(tmp_path, seed=1, size="tiny")
    assert digests(tmp_path) == digests(folder)
    synthetic.write_demo(tmp_path, seed=2, size="tiny")
    assert digests(tmp_path)["train/train0000.tfrecord"] != digests(folder)["train/train0000.tfrecord"]


def test_splits_show_what_they_should(folder):
    for split, labels, ratings in (("train", True, False), ("validate", True, True), ("test", False, False)):
        found = probe(files(folder, split))
        assert found.features == {"audio": 128, "rgb": 1024} and found.id_key == "id"
        assert (found.has_labels, found.has_segment_labels) == (labels, ratings)


def test_manifest_counts(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [manifest[split]["videos"] for split in ("train", "validate", "test")] == [32, 24, 16]
    assert manifest["validate"]["files"] == len(files(folder, "validate")) == 8
    assert manifest["validate"]["ratings"] == len(read_rated_labels(files(folder, "validate"), CONFIG)[0])
    lengths = [
        n
        for features, _ in make_dataset(files(folder, "train"), CONFIG, windows="video", batch_size=8)
        for n in features["num_frames"].numpy()
    ]
    assert sum(lengths) == manifest["train"]["frames"] and min(lengths) >= 20 and max(lengths) <= 60


def test_ratings_are_of_segments_of_labelled_videos(folder):
    segments, classes, scores = read_rated_labels(files(folder, "validate"), CONFIG)
    labels = dict(zip(*read_video_labels(files(folder, "validate"), CONFIG)))
    for name, label in zip(segments, classes):
        segment = Segment.parse(name)
        assert segment.start_time % 5 == 0 and label in labels[segment.video_id] and label in synthetic.SEGMENT_CLASSES
    assert len(set(zip(segments, classes))) == len(segments) and set(scores) == {0.0, 1.0}


def test_test_labels_name_segments_of_the_test_files(folder):
    batches = make_dataset(files(folder, "test"), CONFIG, windows="all", batch_size=64)
    present = {
        f"{name.decode()}:{start}"
        for _, info in batches
        for name, start in zip(info["id"].numpy(), info["start_time"].numpy())
    }
    rows = list(csv.reader((folder / "test_labels.csv").read_text().splitlines()))
    assert len(rows) > 30 and {segment for segment, _, _ in rows} <= present
    assert {score for _, _, score in rows} == {"0", "1"}


def test_vocabulary_files(folder):
    assert read_class_names(folder / "vocabulary.csv") == dict(enumerate(synthetic.NAMES))
    ids = read_segment_class_ids(folder / "segment_label_ids.csv", num_classes=len(synthetic.NAMES))
    assert ids == synthetic.SEGMENT_CLASSES and len(ids) == 20


def test_pairs_look_alike_and_sound_different():
    world = synthetic._World(np.random.default_rng(0))
    for name, low, high in (("rgb", 0.75, 1.0), ("audio", -0.4, 0.4)):
        action = world.action[name]
        cosine = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(action[::2], action[1::2])]
        assert low < np.mean(cosine) < high


def test_activity_can_be_seen_in_the_frames(folder):
    """The direction of a class separates its positive from its negative segments, though far from perfectly."""
    world = synthetic._World(np.random.default_rng([1, 0]))
    direction = np.concatenate([world.action[name] @ world.basis[name] for name in ("rgb", "audio")], axis=1)
    gaps = []
    for features, targets in make_dataset(files(folder, "validate"), CONFIG, windows="rated", batch_size=256):
        frames = np.concatenate([dequantize(features[name].numpy()) for name in ("rgb", "audio")], axis=2)
        scores = (frames.mean(axis=1) @ direction.T) / np.linalg.norm(direction, axis=1)
        rows, classes, labels = rated_pairs({name: values.numpy() for name, values in targets.items()})
        gaps.append(scores[rows, classes][labels > 0.5].mean() - scores[rows, classes][labels <= 0.5].mean())
    assert np.mean(gaps) > 0.5


def test_unknown_size(tmp_path):
    with pytest.raises(InputError, match="no demo of size 'huge'; valid: tiny, small"):
        synthetic.write_demo(tmp_path, size="huge")


def hidden_world(seed=3, videos=150):
    """Texts of videos, each of a class or two, and what decides their similarity."""
    rng = np.random.default_rng(seed)
    world, drawn = TextWorld(np.random.default_rng(0), synthetic.NAMES), []
    for number in range(videos):
        activity = np.zeros((30, len(synthetic.NAMES)))
        activity[5:25, rng.choice(len(synthetic.NAMES), size=rng.integers(1, 3), replace=False)] = 1
        drawn.append((f"v{number}", *world.draw(rng, activity)))
    return rng, drawn


def test_texts_name_what_is_there_when_it_is_there():
    _, drawn = hidden_world()
    told = {"title": [], "asr": []}
    for _, texts, hidden in drawn:
        names = {synthetic.NAMES[place].lower() for place in np.flatnonzero(hidden.shown)}
        for text in texts:
            if not all(ord(character) < 128 for character in text.text) or text.field == "tags":
                continue
            said = any(f" {name} " in f" {text.text} " for name in names)
            if text.field == "asr" and not 6 <= text.start <= 18:
                assert not said
            else:
                told[text.field].append(said)
            others = {name.lower() for name in synthetic.NAMES if not any(name.lower() in shown for shown in names)}
            assert not any(f" {name} " in f" {text.text} " for name in others)
    assert 0.5 < np.mean(told["title"]) < 0.85 and 0.6 < np.mean(told["asr"]) < 0.95
    shares = {field: np.mean([any(text.field == field for text in texts) for _, texts, _ in drawn]) for field in told}
    assert 0.8 < shares["title"] < 1 and 0.55 < shares["asr"] < 0.85
    letters = collections.Counter(script_of(c) for _, texts, _ in drawn for text in texts for c in text.text)
    assert {"Latin", "Cyrillic", "Cjk", "Devanagari"} <= set(letters)


def test_pairs_need_both_what_is_shown_and_topics(tmp_path):
    rng, drawn = hidden_world()
    (tmp_path / "pairs.csv").write_text(draw_pairs(rng, [(name, hidden) for name, _, hidden in drawn]))
    pairs, hidden = read_pairs(tmp_path / "pairs.csv"), {name: decisive for name, _, decisive in drawn}
    assert len(pairs.scores) == 4 * len(drawn) and 0 <= pairs.scores.min() < 0.1 and 0.8 < pairs.scores.max() <= 1
    assert all(one != other for one, other in zip(pairs.first, pairs.second))
    both = [(hidden[one], hidden[other]) for one, other in zip(pairs.first, pairs.second)]
    parts = [[getattr(one, name) @ getattr(other, name) for one, other in both] for name in ("shown", "topics")]
    alone = [spearman(part, pairs.scores) for part in parts]
    together = spearman([one.similarity(other) for one, other in both], pairs.scores)
    assert together > 0.93 and max(alone) < 0.9 and min(alone) > 0.4


def test_the_truth_is_what_similarity_is_made_of(folder):
    hidden = [("a", Hidden(np.array([0.0, 1, 1]), np.eye(4)[3])), ("b", Hidden(np.eye(3)[0], np.ones(4)))]
    assert truth_table(hidden) == "video_id,classes,topics\na,1 2,3\nb,0,0 1 2 3\n"
    with open(folder / "train_truth.csv", newline="") as file:
        truth = {
            row["video_id"]: [set(row[name].split()) for name in ("classes", "topics")] for row in csv.DictReader(file)
        }
    pairs = read_pairs(folder / "train_pairs.csv")
    shared = [
        sum(len(a & b) / np.sqrt(len(a) * len(b)) for a, b in zip(truth[one], truth[other])) / 2
        for one, other in zip(pairs.first, pairs.second)
    ]
    assert np.abs(pairs.scores - shared).std() < 0.06 and len(truth) == 32


def test_records_have_texts_and_pairs_name_them(folder):
    assert probe(files(folder, "train")).texts == ("asr", "tags", "title")
    for split, count in (("train", 32), ("validate", 24), ("test", 16)):
        pairs = read_pairs(folder / f"{split}_pairs.csv")
        ids = collect_ids(Source(tuple(files(folder, split))), skip_corrupt=False, title="")
        assert len(ids) == count and set(pairs.first) == ids and set(pairs.second) <= ids

"""Training on annotated pairs, from records to a correlation that the embeddings have too."""

import csv
import json
import pathlib
import shutil

import numpy as np
import pytest

from yt8m.config import AugmentConfig, DataConfig, ModelConfig, RunConfig, SimilarityConfig, TrainConfig
from yt8m.data.pair_records import locate_videos, make_pairs
from yt8m.data.pipeline import make_dataset
from yt8m.data.record_checks import explain_errors
from yt8m.data.splits import Source
from yt8m.data.tfrecord import FrameRecord, list_files, write_records
from yt8m.inference.embeddings import predict_embeddings
from yt8m.models import checkpoints
from yt8m.similarity.cosine import cosines
from yt8m.similarity.pairs import spearman
from yt8m.training.train import train
from yt8m.types import DataWarning, InputError

CONFIG = DataConfig(feature_names=("rgb",), feature_sizes=(6,), num_classes=3, num_frames=4, sampling="random")
BERT = {"num_layers": 1, "num_heads": 2, "hidden_size": 8, "feed_forward_size": 16, "num_mixtures": 1, "dropout": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """60 videos in three files, each of one of five kinds, and pairs of them: alike where the kind is the same."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    kinds = rng.integers(40, 215, (5, 6))
    records = []
    for number in range(60):
        frames = np.clip(kinds[number % 5] + rng.normal(0, 20, (rng.integers(3, 9), 6)), 0, 255).astype(np.uint8)
        records.append(FrameRecord(video_id=f"v{number:02}", features={"rgb": frames}, labels=(0,)))
    for part in range(3):
        write_records(folder / f"{part}.tfrecord", records[part::3])
    for name, first, end in (("train", 0, 40), ("held", 40, 60)):
        with open(folder / f"{name}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id_a", "id_b", "score"])
            for _ in range(120 if name == "train" else 40):
                a, b = rng.choice(np.arange(first, end), size=2, replace=False)
                writer.writerow(
                    [f"v{a:02}", f"v{b:02}", 0.9 if a % 5 == b % 5 else round(float(rng.uniform(0, 0.2)), 3)]
                )
    return folder


def run_of(folder, **changes):
    settings = {"batch_size": 16, "base_learning_rate": 0.01, "num_epochs": 3, "seed": 1}
    settings |= {"similarity": SimilarityConfig(size=5)} | changes.pop("train", {})
    return RunConfig(
        data=CONFIG,
        model=ModelConfig(name="frame_bert", hyperparameters=BERT),
        train=TrainConfig(**settings),
        train_data_pattern=str(folder / "*.tfrecord"),
        **({"pairs": str(folder / "train.csv"), "eval_pairs": str(folder / "held.csv")} | changes),
    )


def test_batches_hold_the_videos_of_pairs(folder):
    files = list_files(str(folder / "*.tfrecord"))
    places = locate_videos(files, dict.fromkeys(["v07", "v31", "v59"], "pairs.csv"), CONFIG)
    pairs = [(places["v31"], places["v07"]), (places["v59"], places["v31"])]
    config = CONFIG.replace(sampling="uniform")
    ((features, targets),) = make_pairs(files, pairs, np.array([0.25, 1.0]), config, batch_size=4).as_numpy_iterator()
    videos = {}
    for batch, _, info in make_dataset(
        files, config, windows="video", batch_size=60, with_info=True
    ).as_numpy_iterator():
        for row, video_id in enumerate(info["id"]):
            videos[video_id.decode()] = {name: values[row] for name, values in batch.items()}
    assert features["rgb"].shape == (2, 2, 4, 6) and targets["similarity"].tolist() == [0.25, 1.0]
    for row, ids in enumerate([("v31", "v07"), ("v59", "v31")]):
        for side, video_id in enumerate(ids):
            for name in ("rgb", "num_frames"):
                np.testing.assert_array_equal(features[name][row, side], videos[video_id][name])


def test_an_epoch_has_every_pair_once_in_an_order_of_its_own(folder):
    files = list_files(str(folder / "*.tfrecord"))
    wanted = {f"v{number:02}": "pairs.csv" for number in range(60)}
    places = list(locate_videos(files, wanted, CONFIG).values())
    pairs, scores = list(zip(places[::2], places[1::2])), np.arange(30.0)

    def epoch(**options):
        batches = make_pairs(files, pairs, scores, CONFIG, batch_size=7, training=True, **options).as_numpy_iterator()
        found = [(features["rgb"], targets["similarity"]) for features, targets in batches]
        return np.concatenate([item[0] for item in found]), np.concatenate([item[1] for item in found])

    (frames, first), (same_frames, again), (_, later) = epoch(seed=1), epoch(seed=1), epoch(seed=1, epoch=1)
    assert sorted(first) == sorted(later) == scores.tolist()
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(frames, same_frames)
    assert first.tolist() != later.tolist()


def test_videos_of_pairs_are_augmented_each_by_itself(folder):
    files = list_files(str(folder / "*.tfrecord"))
    places = locate_videos(files, dict.fromkeys(["v07", "v31"], "pairs.csv"), CONFIG)
    pairs, config = [(places["v07"], places["v07"])] * 40, CONFIG.replace(sampling="uniform")

    def frames(augment, **options):
        options = {"batch_size": 40, "training": True, "augment": augment} | options
        ((features, _),) = make_pairs(files, pairs, np.zeros(40), config, **options).as_numpy_iterator()
        return features["rgb"]

    plain, masked = frames(None), frames(AugmentConfig(frame_masking=0.5))
    blank = (masked == 127).all(axis=-1)
    assert 0.4 < blank.mean() < 0.6 and (blank[:, 0] != blank[:, 1]).any(axis=-1).mean() > 0.8
    np.testing.assert_array_equal(masked[~blank], plain[~blank])
    np.testing.assert_array_equal(masked, frames(AugmentConfig(frame_masking=0.5)))
    assert (masked != frames(AugmentConfig(frame_masking=0.5), epoch=1)).any()


@pytest.mark.parametrize(
    "augment, message",
    [
        ({"mixup": 0.2}, "mixup is of training on labels"),
        ({"shift": 1}, "augmentation of segments is of training on labels"),
        ({"flip": True}, "these records are frame-level"),
        ({"modality_dropout": 0.1}, "modality_dropout needs more features than rgb"),
    ],
)
def test_augmentation_that_pairs_have_not_is_refused(folder, augment, message, tmp_path):
    with pytest.raises(InputError, match=message):
        train(run_of(folder, train={"augment": AugmentConfig(**augment)}), train_dir=str(tmp_path / "run"))


def located(folder, tmp_path, config=CONFIG):
    """Path of a copy of a file of records, and the Places of its videos."""
    path = str(shutil.copy(folder / "0.tfrecord", tmp_path / "copy.tfrecord"))
    return path, locate_videos([path], dict.fromkeys(["v00", "v03", "v57"], "pairs.csv"), config)


def flip(path, place):
    data = bytearray(pathlib.Path(path).read_bytes())
    data[place] ^= 4
    pathlib.Path(path).write_bytes(data)


def test_a_flipped_byte_of_a_record_is_said_before_and_while_it_is_read(folder, tmp_path):
    path, places = located(folder, tmp_path)
    pairs, files = [(places["v00"], places["v57"])], [path]
    flip(path, places["v57"].start + places["v57"].size - 3)
    said = pytest.raises(InputError, match=r"copy.tfrecord: the record at byte [\d,]+ has changed since the pairs were")
    with said, explain_errors(files, CONFIG):
        list(make_pairs(files, pairs, np.array([0.5]), CONFIG, batch_size=1))
    with pytest.raises(InputError, match="copy.tfrecord, record 19: it is truncated or corrupt"):
        locate_videos(files, {"v00": "pairs.csv"}, CONFIG)


def test_damaged_records_are_passed_over_and_counted(folder, tmp_path):
    path, places = located(folder, tmp_path)
    flip(path, places["v03"].start + 20)
    with pytest.warns(DataWarning, match="copy.tfrecord: 1 corrupt record skipped; the first, record 1: "):
        found = locate_videos([path], {"v57": "pairs.csv"}, CONFIG.replace(skip_corrupt=True))
    assert found == {"v57": places["v57"]}
    with pytest.warns(DataWarning), pytest.raises(InputError, match="pairs.csv: video v03 is in none of the 1 files"):
        locate_videos([path], {"v03": "pairs.csv"}, CONFIG.replace(skip_corrupt=True))


def test_the_table_that_asks_for_an_absent_video_is_named(folder):
    with pytest.raises(InputError, match="held.csv: video v99 is in none"):
        locate_videos([str(folder / "0.tfrecord")], {"v00": "train.csv", "v99": "held.csv"}, CONFIG)


@pytest.mark.slow
def test_similarity_is_learned_and_embeddings_have_it(folder, tmp_path):
    run = run_of(folder, train={"num_epochs": 4})
    state = train(run, train_dir=str(tmp_path / "run"))
    # Pairs of different kinds have scores at random, which nothing can rank.
    assert state.best > 0.4
    model, _ = checkpoints.load_model(tmp_path / "run")
    source = Source(tuple(list_files(run.train_data_pattern)))
    # What the holdout was scored by: frames as outside training.
    (rows,) = predict_embeddings(model, source, run.data, segments=False, batch_size=16)
    vectors = dict(zip(rows.ids, rows.vectors))
    assert rows.vectors.shape == (60, 5)
    with open(folder / "held.csv", newline="") as file:
        held = list(csv.reader(file))[1:]
    left, right = (np.stack([vectors[row[side]] for row in held]) for side in (0, 1))
    found = spearman(cosines(left, right), [float(row[2]) for row in held])
    assert found == pytest.approx(state.best, abs=1e-6)


@pytest.mark.slow
def test_a_run_that_was_stopped_comes_to_the_same(folder, tmp_path):
    whole = train(run_of(folder), train_dir=str(tmp_path / "whole"))
    train(run_of(folder, train={"num_epochs": 1}), train_dir=str(tmp_path / "parts"))
    again = train(run_of(folder), train_dir=str(tmp_path / "parts"))
    assert again.step == whole.step and again.best == whole.best
    for one, other in zip(*(checkpoints.load_model(tmp_path / name)[0].variables for name in ("whole", "parts"))):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_classification_and_pairs_start_from_each_other(folder, tmp_path):
    train(run_of(folder, train={"num_epochs": 1}), train_dir=str(tmp_path / "pairs"))
    labels = run_of(folder, train={"num_epochs": 1}, pairs="", eval_pairs="", init_from=str(tmp_path / "pairs"))
    train(labels, train_dir=str(tmp_path / "labels"))
    state = train(run_of(folder, init_from=str(tmp_path / "labels")), train_dir=str(tmp_path / "again"))
    assert state.finished


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"pairs": "absent"}, r"absent\.csv: video v99 is in none of the 3 files to train on"),
        ({"pairs": "far"}, r"far\.csv: the score of v00 and v01 is 3, and a cosine is from -1 to 1"),
        ({"eval_pairs": "train"}, r"train\.csv: video v\d\d is in pairs to train on too"),
        ({"eval_pairs": "equal"}, r"equal\.csv: all scores that are held out are equal"),
    ],
)
def test_bad_pairs_are_one_sentence_and_leave_no_run(folder, tmp_path, changes, message):
    files = {"absent": "v00,v99,0.5\n", "far": "v00,v01,3\n", "equal": "v50,v51,0.5\nv51,v52,0.5\n"}
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text)
    paths = {field: str((folder if name == "train" else tmp_path) / f"{name}.csv") for field, name in changes.items()}
    with pytest.raises(InputError, match=message):
        train(run_of(folder, **paths), train_dir=str(tmp_path / "run"))
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"train": {"segment_labels": True}}, "segment_labels is of training on labels, and pairs replaces these"),
        ({"pairs": ""}, "eval_pairs evaluates what is trained on pairs: set pairs too"),
        ({"holdout_fraction": 0.2}, "eval_pairs and holdout_fraction each hold out pairs"),
    ],
)
def test_what_does_not_go_with_pairs_is_refused(folder, changes, message):
    with pytest.raises(InputError, match=message):
        run_of(folder, **changes)


def test_the_config_of_a_run_of_pairs_survives_json(folder):
    run = run_of(folder)
    assert RunConfig.from_dict(json.loads(json.dumps(run.to_dict()))) == run

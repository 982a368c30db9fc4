"""Real records, where they are kept beside the repository."""

import numpy as np
import tensorflow as tf

from tests.helpers import shared_path
from yt8m.config import DataConfig
from yt8m.data.labels import read_rated_labels, read_video_labels
from yt8m.data.pipeline import count_records, make_dataset
from yt8m.data.record_checks import diagnose
from yt8m.data.scan import probe
from yt8m.data.tfrecord import list_files

AUDIO = DataConfig(feature_names=("audio",), feature_sizes=(128,), num_classes=527, num_frames=10)


def files_of(name):
    return list_files(f"{shared_path('data')}/{name}/*.tfrecord")


def test_video_level_shards():
    files = files_of("yt8m_video")
    assert probe(files).features == {"mean_audio": 128, "mean_rgb": 1024}
    config = DataConfig(feature_names=("mean_rgb", "mean_audio"), level="video")
    videos, labels = read_video_labels(files[:4], config)
    assert len(videos) == len(set(videos)) == 1202 == count_records(files[:4], config)
    assert labels[0].tolist() == [3, 4, 9, 34] and videos[0] == "02aa"
    total, first = 0, None
    for features, targets, info in make_dataset(files[:4], config, windows="video", batch_size=512, with_info=True):
        first = features["mean_rgb"][0, :2].numpy() if first is None else first
        total += targets["scores"].numpy().sum()
    np.testing.assert_allclose(first, [-0.78162539, 0.104962826], rtol=1e-6)
    assert total == sum(len(set(row.tolist())) for row in labels)


def test_desed_segments():
    files = files_of("desed_segments")
    config = AUDIO.replace(num_classes=10)
    assert diagnose(files, config) is None
    segments, classes, scores = read_rated_labels(files, config)
    assert (len(segments), len(set(segments)), count_records(files, config)) == (1294, 821, 415)
    assert segments[:2] == ["--4gqARaEJE:0:0", "--4gqARaEJE:0:5"] and classes[:2].tolist() == [1, 1]
    positives = rated = windows = 0
    for features, targets in make_dataset(files, config, windows="rated", batch_size=100):
        positives += targets["scores"].numpy().sum()
        rated += (targets["classes"].numpy() > 0).sum()
        windows += len(features["num_frames"])
    assert (windows, rated, positives) == (821, len(set(zip(segments, classes))), (scores > 0).sum())


def test_audioset_frames_match_protobuf():
    files = files_of("audioset")[:1]
    records = [tf.train.SequenceExample.FromString(item.numpy()) for item in tf.data.TFRecordDataset(files).take(64)]
    features, targets, info = next(iter(make_dataset(files, AUDIO, windows="video", batch_size=64, with_info=True)))
    for row, record in enumerate(records):
        frames = [feature.bytes_list.value[0] for feature in record.feature_lists.feature_list["audio"].feature][:10]
        assert info["id"][row].numpy() == record.context.feature["id"].bytes_list.value[0]
        assert features["num_frames"][row] == len(frames)
        assert features["audio"][row].numpy()[: len(frames)].tobytes() == b"".join(frames)
        labels = sorted(set(record.context.feature["labels"].int64_list.value))
        assert [column - 1 for column in targets["classes"][row].numpy() if column] == labels

"""Origins of features: kept with a run, and compared with those of records."""

import json

import numpy as np
import pytest

from yt8m.data.feature_origins import check_origins, keep_origins, origins_of_files, read_origins, write_origins
from yt8m.data.making.projection import Moments, Projection
from yt8m.types import InputError

DESCRIBED = {"rgb": {"spec": "onnx:a.onnx", "digest": "d" * 64, "size": 4, "settings": {"views": 1}}}


@pytest.fixture
def records(tmp_path):
    """Folder with features.json and a projection."""
    folder = tmp_path / "records"
    folder.mkdir()
    save_projection(folder, seed=0)
    write_origins(folder, DESCRIBED, {"rgb": str(folder / "rgb.projection.npz")})
    return folder


def save_projection(folder, seed):
    moments = Moments(4)
    moments.add(np.random.default_rng(seed).normal(size=(20, 4)))
    Projection.standardizing(moments).save(folder / "rgb.projection.npz")


def other(folder, tmp_path, **changes):
    """A folder with the same origins, but for ``changes``."""
    made = tmp_path / "other"
    made.mkdir()
    origins = json.loads((folder / "features.json").read_text())
    origins["rgb"] |= changes
    (made / "features.json").write_text(json.dumps(origins))
    return made


def test_a_run_keeps_origins_and_projections(records, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    keep_origins([str(records / "a.tfrecord")], run)
    assert read_origins(run) == read_origins(records)
    assert (run / "rgb.projection.npz").read_bytes() == (records / "rgb.projection.npz").read_bytes()
    check_origins(run, [str(records / "a.tfrecord")])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"digest": "e" * 64}, "weights"),
        ({"size": 5}, "size"),
        ({"settings": {"views": 2}}, "settings"),
        ({"projection_digest": "f"}, "projection"),
    ],
)
def test_what_differs_is_named(records, tmp_path, changes, words):
    folder = other(records, tmp_path, **changes)
    with pytest.raises(InputError, match=f"rgb of .* with other {words}: extract them by yt8m-video"):
        check_origins(records, [str(folder / "a.tfrecord")])
    with pytest.raises(InputError, match=f"with other {words}"):
        origins_of_files([str(records / "a.tfrecord"), str(folder / "b.tfrecord")])


def test_a_file_of_weights_may_move(records, tmp_path):
    folder = other(records, tmp_path, spec="onnx:elsewhere/a.onnx")
    check_origins(records, [str(folder / "a.tfrecord")])


def test_of_a_transform_without_weights_the_name_counts(records, tmp_path):
    for name in ("logmel", "other"):
        (tmp_path / name).mkdir()
        origin = {"spec": name, "digest": "", "size": 128, "settings": {}}
        write_origins(tmp_path / name, {"audio": origin}, {})
    with pytest.raises(InputError, match="audio of .* is of other, .* with other backbone"):
        check_origins(tmp_path / "logmel", [str(tmp_path / "other" / "a.tfrecord")])


def test_records_of_unknown_origin_are_taken(records, tmp_path):
    check_origins(records, [str(tmp_path / "a.tfrecord")])
    assert origins_of_files([str(tmp_path / "a.tfrecord")]) is None


@pytest.mark.parametrize(
    "content",
    [
        '{"rgb": 3}',
        '{"rgb": {"spec": 1, "digest": "a"}}',
        '{"rgb": {"spec": "a", "digest": "b", "projection": "../x"}}',
        "[]",
        "{",
    ],
)
def test_what_is_no_account_of_features_is_refused(tmp_path, content):
    (tmp_path / "features.json").write_text(content)
    with pytest.raises(InputError, match=r"features\.json"):
        read_origins(tmp_path)

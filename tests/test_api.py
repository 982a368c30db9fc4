"""The public Python API: its examples run as they stand, it is imported lazily, and it says what the commands say."""

import ast
import doctest
import subprocess
import sys

import numpy as np
import pytest

import yt8m
from tests.helpers import ROOT


@pytest.mark.slow
def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(yt8m, raise_on_error=True)
    assert result.attempted > 15


def test_every_name_is_there_for_people_and_for_type_checkers():
    for name in yt8m.__all__:
        assert getattr(yt8m, name) is not None
    tree = ast.parse((ROOT / "yt8m" / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    checked = {alias.name: node.module for node in block.body for alias in node.names}
    assert checked == yt8m._HOMES
    assert set(yt8m.__all__) <= set(dir(yt8m))
    with pytest.raises(AttributeError, match="module 'yt8m' has no attribute 'lod'"):
        yt8m.lod  # noqa: B018


def test_importing_it_imports_nothing_heavy():
    code = "import yt8m, sys; yt8m.DataConfig(); assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_version_is_that_of_the_package():
    import configparser

    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    assert settings["metadata"]["version"] == "attr: yt8m.__version__"


@pytest.mark.slow
def test_arrays_and_records_give_one_timeline(demo_data, tmp_path):
    config = yt8m.DataConfig(num_classes=30, num_frames=5)
    pattern = f"{demo_data}/validate/*.tfrecord"
    training = yt8m.TrainConfig(segment_labels=True, batch_size=16, num_epochs=1)
    run = yt8m.RunConfig(
        data=config, model=yt8m.ModelConfig(name="logistic"), train=training, train_data_pattern=pattern, tta=(-1, 1)
    )
    yt8m.train(run, train_dir=str(tmp_path / "run"))
    trained = yt8m.load(tmp_path / "run")
    file = yt8m.list_files(f"{demo_data}/test/*.tfrecord")[0]
    batch, info = next(iter(yt8m.make_dataset([file], config, windows="all", batch_size=1000)))
    video_id = info["id"][0].numpy()
    rows = info["id"].numpy() == video_id
    frames = {name: batch[name].numpy()[rows][:, 0].reshape(-1, size) for name, size in config.features.items()}
    length = int(info["end_time"].numpy()[rows].max())
    frames = {name: values[:length] for name, values in frames.items()}
    given = trained.predict(frames, video_id=video_id.decode(), class_ids=[3, 7])
    read = trained.predict_record(file, video_id=video_id.decode(), class_ids=[3, 7])
    assert given.video_id == read.video_id and given.end == read.end == length
    np.testing.assert_array_equal(given.starts, read.starts)
    np.testing.assert_allclose(given.scores, read.scores, rtol=1e-5)
    # Floats are quantised as records are.
    floats = {name: values * (4 / 255) + 4 / 512 - 2 for name, values in frames.items()}
    np.testing.assert_array_equal(trained.predict(floats, class_ids=[3, 7]).scores, given.scores)
    with pytest.raises(yt8m.InputError, match="the run has the features rgb, audio, and these are rgb"):
        trained.predict({"rgb": frames["rgb"]})
    with pytest.raises(yt8m.InputError, match=r"audio has the shape \(4, 64\), not \(frames, 128\)"):
        trained.predict({"rgb": np.zeros((4, 1024)), "audio": np.zeros((4, 64))})
    with pytest.raises(yt8m.InputError, match="the run held nothing out"):
        trained.evaluate()
    with pytest.warns(yt8m.DataWarning, match=r"of the \d+ videos to score, .* were trained on by"):
        assert 0 < trained.evaluate(pattern).map_at_k <= 1

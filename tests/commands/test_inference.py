"""inference.py killed and started again, and on a cluster that loses a machine."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.helpers import ROOT, commands
from yt8m.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from yt8m.data.tfrecord import FrameRecord, write_records
from yt8m.models.base import build_model
from yt8m.models.checkpoints import write_run_config

FILES = 14


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """(folder, arguments of inference.py but for the output): a model with random weights, a part for every file."""
    folder = tmp_path_factory.mktemp("job")
    data = DataConfig(feature_names=("rgb",), feature_sizes=(16,), num_classes=6)
    run = RunConfig(data=data, model=ModelConfig(name="moe"), train=TrainConfig(segment_labels=True))
    os.makedirs(folder / "run")
    write_run_config(folder / "run", run)
    build_model(run.model, data).save(folder / "run" / "best.keras")
    random = np.random.default_rng(0)
    for number in range(FILES):
        videos = (
            FrameRecord(video_id=f"v{number}_{place}", features={"rgb": random.integers(0, 256, (60, 16), np.uint8)})
            for place in range(8)
        )
        write_records(folder / "data" / f"{number:02}.tfrecord", videos)
    filters = ["--video_filter_top_n=2", "--skip_first_segments=1"]
    return folder, [
        f"--train_dir={folder}/run", f"--input_data_pattern={folder}/data/*.tfrecord", "--batch_size=3", *filters,
    ]  # fmt: skip


def start(job, name, *arguments):
    """The process and its output file."""
    folder, common = job
    output = folder / name
    command = [sys.executable, str(ROOT / "inference.py"), *common, f"--output_file={output}", *arguments]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True), output


def finished(job, name, *arguments):
    """(standard error, bytes written) of a run that ends well."""
    folder, common = job
    errors = commands.passed("inference", *common, f"--output_file={folder / name}", *arguments).stderr
    assert not os.path.exists(f"{folder / name}.parts")
    return errors, (folder / name).read_bytes()


def wait_for_a_part(process, output):
    parts = pathlib.Path(f"{output}.parts")
    while not list(parts.glob("part-*.npz")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    return parts


@pytest.fixture(scope="module")
def whole(job):
    """The bytes that an uninterrupted run writes."""
    return finished(job, "whole.csv")[1]


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(job, whole):
    process, output = start(job, "killed.csv")
    parts = wait_for_a_part(process, output)
    process.kill()
    process.communicate(timeout=60)
    assert not output.exists()
    done = len(list(parts.glob("part-*.npz")))
    assert 0 < done < FILES
    errors, written = finished(job, "killed.csv")
    assert f"{done} of {FILES} parts are done: resuming" in errors
    assert written == whole
    assert not parts.exists()


def test_an_interrupted_run_keeps_its_parts(job):
    process, output = start(job, "interrupted.csv")
    parts = wait_for_a_part(process, output)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (
        errors.splitlines()[-1] == "inference.py: interrupted. The same command resumes from the parts that are done."
    )
    assert 0 < len(list(parts.glob("part-*.npz"))) < FILES and not output.exists()


@pytest.mark.slow
def test_a_cluster_that_loses_a_machine_writes_the_same_bytes(job, whole):
    from ray.cluster_utils import Cluster

    machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        lost = machines.add_node(num_cpus=1)
        process, output = start(job, "ray.csv", f"--ray={machines.address}")
        parts = wait_for_a_part(process, output)
        machines.remove_node(lost, allow_graceful=False)
        done = len(list(parts.glob("part-*.npz")))
        assert done < FILES
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
        assert output.read_bytes() == whole
        assert not parts.exists()
    finally:
        machines.shutdown()


def test_no_cluster_is_one_sentence(job):
    folder, common = job
    said = commands.refused("inference", *common, f"--output_file={folder}/none.csv", "--ray=127.0.0.1:1")
    assert said.startswith("inference.py: error: --ray=127.0.0.1:1 is no running Ray cluster: start one by `ray start")
    assert not os.path.exists(folder / "none.csv.parts")

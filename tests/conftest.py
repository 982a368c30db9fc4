"""Settings that every test runs under, and what is made once for all of them."""

import fcntl
import gc
import json
import os
import shutil
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import pytest  # noqa: E402

from yt8m.runtime import processor  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def without_bfloat16():
    """Runs come to the same on every machine: none has instructions for what mixed_precision=auto would choose."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processor, "instruction_sets", frozenset)
        yield


@pytest.fixture(scope="module", autouse=True)
def forget_graphs():
    """After each file of tests what Keras remembers of its models is dropped: with it every test is slower than the last."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
    gc.collect()
    # What is left, imported modules for the most part, need not be looked through again.
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def keep_priority():
    """Tests may not leave their process with another priority than it had: all that comes after would suffer."""
    before = os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None
    yield
    assert before is None or os.sched_getscheduler(0) == before, "a test has changed the scheduling of this process"


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Function that returns a folder of a name, which ``make(folder)`` fills once for all workers of a test run.

    What is in it may not be changed afterwards: a test that needs to works on a copy.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    made = {}

    def folder_of(name, make):
        folder, listing = root / name, root / f"{name}.json"
        with open(root / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not listing.exists():
                # Of a worker that failed half-way.
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                listing.write_text(json.dumps(_contents(folder)))
        made[folder] = json.loads(listing.read_text())
        return folder

    yield folder_of
    for folder, contents in made.items():
        assert _contents(folder) == contents, f"a test has changed {folder}, which others share"


def _contents(folder):
    """Dict of each file to its time of change."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files}


@pytest.fixture(scope="session")
def demo_data(made_once):
    """Folder of a tiny synthetic YouTube-8M: train/, validate/, test/, CSV files."""
    from yt8m.data.making.synthetic import write_demo

    return made_once("demo", lambda folder: write_demo(folder, size="tiny"))


@pytest.fixture(scope="session")
def finetuned_run(made_once, demo_data):
    """Folder of a run of train.py on the demo data: a small GatedNetVLAD, pre-trained, then fine-tuned from that."""
    from tests.helpers.commands import passed

    num_classes = json.loads((demo_data / "manifest.json").read_text())["num_classes"]

    def train(folder):
        passed(
            "train",
            "--model=gated_netvlad",
            '--model_config={"num_clusters": 2, "hidden_size": 16, "num_mixtures": 1}',
            f"--train_data_pattern={demo_data}/train/*.tfrecord",
            f"--num_classes={num_classes}",
            "--num_frames=10",
            "--num_epochs=1",
            f"--train_dir={folder}/pretrained",
        )
        passed(
            "train",
            f"--init_from={folder}/pretrained",
            "--segment_labels",
            f"--train_data_pattern={demo_data}/validate/*.tfrecord",
            "--holdout_files=1",
            "--num_epochs=1",
            "--batch_size=16",
            f"--train_dir={folder}/finetuned",
        )

    return made_once("runs", train) / "finetuned"


@pytest.fixture
def write(tmp_path):
    """Function that writes records to a file of a name and returns its path."""
    from yt8m.data.tfrecord import write_records

    def write_file(name, *records):
        path = str(tmp_path / name)
        write_records(path, records)
        return path

    return write_file

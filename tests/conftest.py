"""Settings that every test runs under."""

import gc
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import pytest  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def forget_graphs():
    """After each file of tests what Keras remembers of its models is dropped: with it every test is slower than the last."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
    gc.collect()
    # What is left, imported modules for the most part, need not be looked through again.
    gc.freeze()


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory):
    """Folder of a tiny synthetic YouTube-8M: train/, validate/, test/, CSV files."""
    from yt8m.data.making.synthetic import write_demo

    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder, size="tiny")
    return folder


@pytest.fixture
def write(tmp_path):
    """Function that writes records to a file of a name and returns its path."""
    from yt8m.data.tfrecord import write_records

    def write_file(name, *records):
        path = str(tmp_path / name)
        write_records(path, records)
        return path

    return write_file

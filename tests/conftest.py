"""Settings that every test runs under."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import pytest  # noqa: E402


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory):
    """Folder of a tiny synthetic YouTube-8M: train/, validate/, test/, CSV files."""
    from yt8m.data.demo import write_demo

    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder, size="tiny")
    return folder

"""CONTRIBUTING's way to add a model, taken step by step in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.helpers import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def block(language, start):
    """The text of the fenced block that starts with ``start``."""
    return next(text for text in re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL) if text.startswith(start))


@pytest.mark.slow
def test_a_model_is_added_as_written(tmp_path, demo_data):
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns(".git", *(ROOT / ".gitignore").read_text().replace("/", "").split())
    shutil.copytree(ROOT, copy, ignore=ignored)
    (copy / "yt8m" / "models" / "mean_mlp.py").write_text(block("python", '"""A hidden layer'))
    names = copy / "yt8m" / "models" / "__init__.py"
    names.write_text(names.read_text().replace('"logistic",', '"logistic", "mean_mlp",'))
    (copy / "docs" / "models" / "mean_mlp.md").write_text(block("markdown", "# `mean_mlp`"))
    table = copy / "docs" / "models" / "README.md"
    table.write_text(table.read_text().replace("| [`moe`]", block("markdown", "| [`mean_mlp`]") + "| [`moe`]"))
    environment = os.environ | {"PYTHONPATH": str(copy)}

    def passed(*command):
        done = subprocess.run(
            [sys.executable, *map(str, command)], cwd=copy, env=environment, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    passed(
        "-m", "pytest", "-n0", "tests/test_architecture.py", "tests/models", "tests/layers", "-k", "mean_mlp or arch"
    )
    assert "| mean_mlp | 2,571,542 | 3 M |" in passed("-m", "benchmarks.model_size", "--models=mean_mlp")
    passed(
        "train.py", "--model=mean_mlp", f"--train_data_pattern={demo_data}/validate/*.tfrecord", "--segment_labels",
        "--num_classes=30", "--num_epochs=1", "--holdout_files=2", f"--train_dir={tmp_path}/run",
    )  # fmt: skip
    assert (tmp_path / "run" / "best.keras").exists()

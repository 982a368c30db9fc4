"""TensorFlow's start-up lines stay off the terminal, and nothing else does."""

import os
import subprocess
import sys

import pytest

from tests.helpers import ROOT
from yt8m.runtime import quiet_imports


def run(code):
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)


def test_no_chatter_at_the_import_of_tensorflow():
    code = "from yt8m.runtime.quiet_imports import quieten_tensorflow\nquieten_tensorflow()\n"
    done = run(code + "import tensorflow as tf, sys\nprint(int(tf.constant(1) + 1))\nprint('kept', file=sys.stderr)\n")
    assert (done.stdout, done.stderr) == ("2\n", "kept\n")


@pytest.mark.parametrize(
    "backend, first",
    [("", "tensorflow"), pytest.param("tensorflow", "keras", marks=pytest.mark.slow), ("jax", "keras")],
)
def test_optional_libraries_stay_out_of_the_import_of_tensorflow_and_no_longer(backend, first, monkeypatch):
    """Whatever Keras's own configuration file says; the library of the backend is imported."""
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    if backend:
        monkeypatch.setenv("KERAS_BACKEND", backend)
    libraries = ("jax", "matplotlib", "sklearn")
    done = run(
        "import sys\nfrom yt8m.runtime.quiet_imports import quieten_tensorflow\nquieten_tensorflow()\n"
        f"import {first}\nimport tensorflow, keras\n"
        f"print(keras.backend.backend(), *(name for name in {libraries} if name in sys.modules))\n"
        "import gc, sklearn, matplotlib, jax\nassert gc.isenabled() and gc.get_freeze_count() > 100_000\nprint(sklearn.__name__, matplotlib.__name__, jax.__name__)\n"
    )
    wanted = "jax jax" if backend == "jax" else "tensorflow"
    assert done.stdout.splitlines() == [wanted, "sklearn matplotlib jax"]


@pytest.mark.slow
def test_no_chatter_of_worker_processes(tmp_path):
    """Of a task whose module imports TensorFlow, in the workers alone."""
    (tmp_path / "task_of_test.py").write_text("import tensorflow as tf\n\ndef task(number):\n    return number + 1\n")
    code = (
        "import sys\nfrom yt8m.runtime.parallel import map_in_order\nfrom yt8m.runtime.quiet_imports import "
        "quieten_tensorflow\nif __name__ == '__main__':\n    quieten_tensorflow()\n    from task_of_test import task\n"
        "    print(list(map_in_order(task, [1, 2], workers=2)))\n"
    )
    (tmp_path / "parent.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "parent.py"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("[2, 3]\n", "")


def test_other_lines_come_through(capfd):
    with pytest.raises(RuntimeError), quiet_imports.without_chatter():
        os.write(2, b"I0 oneDNN custom operations are on.\na real error\n")
        print("from Python", file=sys.stderr)
        raise RuntimeError
    assert sorted(capfd.readouterr().err.splitlines()) == ["a real error", "from Python"]

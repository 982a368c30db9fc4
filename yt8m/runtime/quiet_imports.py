"""Imports of TensorFlow without the chatter of native libraries, and without libraries that no command uses."""

import contextlib
import gc
import importlib.abc
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

_CHATTER = re.compile(
    rb"absl::InitializeLog\(\)|oneDNN custom operations|cpu_feature_guard|rebuild TensorFlow with|XNNPACK delegate"
)

_OPTIONAL = ("jax", "matplotlib", "pandas", "sklearn")
"""What TensorFlow and Keras import where it is there, for wrappers that no command uses: two fifths of their time."""


def quieten_tensorflow() -> None:
    """Keeps TensorFlow's start-up lines off the terminal, and optional libraries out of its import.

    To be called before it is imported, at once or later. Of Keras's wrappers for scikit-learn, pandas and matplotlib
    nothing is there then.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # So that it is known which library Keras needs: a configuration file of its own may name another.
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # Each imports the other, and either may be the first.
    for name in ("tensorflow", "keras"):
        waiting = any(isinstance(finder, _QuietFinder) and finder.name == name for finder in sys.meta_path)
        if name not in sys.modules and not waiting:
            sys.meta_path.insert(0, _QuietFinder(name))


class _QuietFinder(importlib.abc.MetaPathFinder):
    """Finds the library ``name`` as Python would, once, and has it loaded quietly."""

    def __init__(self, name):
        self.name = name

    def find_spec(self, fullname, path, target=None):
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None:
            spec.loader = _QuietLoader(spec.loader)
        return spec


class _QuietLoader(importlib.abc.Loader):
    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        with without_chatter(), _without_optional(), _without_collections():
            self._loader.exec_module(module)

    def __getattr__(self, name):
        return getattr(self._loader, name)


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Context manager: output to file descriptor 2 is held back, and written afterwards but for the chatter."""
    with tempfile.TemporaryFile() as held:
        try:
            with standard_error_to(held):
                yield
        finally:
            held.seek(0)
            for line in held:
                if not _CHATTER.search(line):
                    os.write(2, line)


@contextlib.contextmanager
def standard_error_to(file: IO[bytes]) -> Iterator[None]:
    """Context manager: output to file descriptor 2, of native libraries too, goes to an open file."""
    sys.stderr.flush()
    terminal = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)


@contextlib.contextmanager
def _without_optional():
    """Context in which optional libraries that are not imported yet cannot be; the backend of Keras can."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    hidden = [name for name in _OPTIONAL if name not in sys.modules and name != backend]
    # Python's own way of saying that there is no such module.
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name)


@contextlib.contextmanager
def _without_collections():
    """Context in which Python looks for no garbage, nor later among what was there at its end.

    What is imported stays: to look through it takes a fifth of the import, and half a second at the end of a command.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
            gc.freeze()

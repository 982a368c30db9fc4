"""The commands called in the test's own process, where starting one is not the point."""

import contextlib
import dataclasses
import importlib
import io
import os
import signal
import sys

import pytest
from absl import flags


@dataclasses.dataclass(frozen=True)
class Result:
    """What a command ended with, in the names of subprocess.CompletedProcess."""

    returncode: int
    stdout: str
    stderr: str


def call(name, *arguments, folder="."):
    """The Result of the command yt8m.commands.``name`` with ``arguments``, run in ``folder``.

    An error that a user would see as a traceback is raised.
    """
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)]
    with (
        _state_of_the_process([f"{name}.py", *map(str, arguments)]),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
        pytest.raises(SystemExit) as stop,
    ):
        importlib.import_module(f"yt8m.commands.{name}").run()
    return Result(stop.value.code or 0, *(stream.buffer.getvalue().decode() for stream in streams))


def passed(name, *arguments, **options):
    """The Result of a command that ends well."""
    result = call(name, *arguments, **options)
    assert result.returncode == 0, result.stderr
    return result


def refused(name, *arguments, **options):
    """The one sentence that a command refuses its input with."""
    result = call(name, *arguments, **options)
    assert result.returncode == 2, result.stderr
    *_, sentence = result.stderr.strip().splitlines()
    assert sentence.startswith(f"{name}.py: error: ") and "Traceback" not in result.stderr
    return sentence


@contextlib.contextmanager
def _state_of_the_process(argv):
    """Context in which the command line is ``argv``, and after which all that a command changes is as before."""
    before, environment = sys.argv, dict(os.environ)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    sys.argv = argv
    try:
        yield
    finally:
        sys.argv = before
        flags.FLAGS.unparse_flags()
        # One by one: threads of TensorFlow's look at it.
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        for number, handler in handlers.items():
            signal.signal(number, handler)

"""The commands called in the test's own process, where starting one is not the point; each call is like a first one."""

import contextlib
import dataclasses
import importlib
import io
import logging
import os
import signal
import sys

import pytest
from absl import flags

from yt8m.data import record_checks
from yt8m.runtime import progress

PACKAGE = "yt8m.commands"


@dataclasses.dataclass(frozen=True)
class Result:
    """What a command ended with, in the names of subprocess.CompletedProcess."""

    returncode: int
    stdout: str
    stderr: str


def call(name, *arguments, folder=".", adjust=None):
    """The Result of the command yt8m.commands.``name`` with ``arguments``, run in ``folder``.

    adjust: function that is given the command's module before it runs, to set its constants.
    An error that a user would see as a traceback is raised.
    """
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_process_state([f"{name}.py", *map(str, arguments)]))
        stack.enter_context(contextlib.chdir(folder))
        stack.enter_context(contextlib.redirect_stdout(streams[0]))
        stack.enter_context(contextlib.redirect_stderr(streams[1]))
        module = importlib.import_module(f"{PACKAGE}.{name}")
        if adjust:
            adjust(module)
        with pytest.raises(SystemExit) as stop:
            module.run()
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
def _process_state(argv):
    """Context in which the commands, their flags and what they change of a process are as at its start, and after which
    all of it is as before."""
    main = sys.modules["__main__"]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = sys.argv, main.__doc__, dict(os.environ), logging.root.level, list(logging.root.handlers)
    style, said = progress._style, set(record_checks._said)
    _forget_commands()
    progress.set_style("text")
    record_checks._said.clear()
    sys.argv = argv
    try:
        yield
    finally:
        _forget_commands()
        sys.argv, main.__doc__, environment, logging.root.level, logging.root.handlers[:] = before
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        progress.set_style(style)
        record_checks._said.clear()
        record_checks._said.update(said)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _forget_commands():
    """Unloads the commands' modules and flags: several commands define flags of the same name."""
    for module, defined in flags.FLAGS.flags_by_module_dict().items():
        if module.startswith(PACKAGE):
            for flag in list(defined):
                delattr(flags.FLAGS, flag.name)
    flags.FLAGS.unparse_flags()
    flags.FLAGS.set_gnu_getopt(False)
    for module in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[module]

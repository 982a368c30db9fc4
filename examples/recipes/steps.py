"""Steps of a recipe: commands as they are typed in the checkout, each done once, several at once.

folder/
  commands.sh          all commands, in order
  steps/NAME.json      of a step that is done: its command, seconds, and the JSON that it ended with
  logs/NAME.txt        what it printed
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from yt8m.runtime.files import write_text
from yt8m.runtime.interrupts import handling_signals
from yt8m.runtime.parallel import processors

ROOT = pathlib.Path(__file__).resolve().parents[2]
_LOG_LINES = 15


class Step(NamedTuple):
    """A command as it is typed, but for .venv/bin/ and python, and the name that its results are kept under."""

    name: str
    command: str


class Done(NamedTuple):
    """A step that is done.

    seconds, cpu_seconds: wall and processor time, those of its last sitting where ``resumed``. result: the JSON object
    that it printed last, empty where it printed none.
    """

    command: str
    seconds: float
    cpu_seconds: float
    resumed: bool
    result: dict[str, Any]


def run_steps(steps: Sequence[Step], folder: str | os.PathLike, *, jobs: int = 1) -> dict[str, Done]:
    """Runs the steps that are not done yet, ``jobs`` at once; dict of name to Done.

    A step waits for those before it whose results it reads: their paths, names in ``folder``, stand in its command. A
    step of another command than before is run anew. One that fails ends the program, with the end of what it printed. A
    step that was stopped, or killed, is started again, and the commands go on where they were. Unless
    TF_NUM_INTRAOP_THREADS says otherwise, TensorFlow has for an operation the processors that are one step's share.
    """
    folder = pathlib.Path(folder)
    write_text(folder / "commands.sh", "".join(f"{_typed(step.command)}\n" for step in steps))
    done = {step.name: found for step in steps if (found := _kept(step, folder)) and found.command == step.command}
    todo = {number: step for number, step in enumerate(steps, 1) if step.name not in done}
    needs = {number: _needed(step, steps[: number - 1], folder) for number, step in todo.items()}
    running: dict[concurrent.futures.Future, Step] = {}
    with (
        handling_signals(_stop),
        concurrent.futures.ThreadPoolExecutor(jobs) as pool,
        _Commands(threads=max(1, processors() // jobs)) as commands,
    ):
        while todo or running:
            ready = [number for number in todo if needs[number] <= done.keys()]
            for number in ready[: jobs - len(running)]:
                step = todo.pop(number)
                print(f"[{number}/{len(steps)}] {step.name}", flush=True)
                log = folder / "logs" / f"{step.name}.txt"
                # What was begun and has no end was stopped.
                resumed = log.exists() and _kept(step, folder) is None
                running[pool.submit(commands.run, step, log, resumed=resumed)] = step
            for future in concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED).done:
                step = running.pop(future)
                found = done[step.name] = _result(future)
                write_text(folder / "steps" / f"{step.name}.json", json.dumps(found._asdict()) + "\n")
                print(f"  {step.name}: {found.seconds:.0f} s", flush=True)
    return {step.name: done[step.name] for step in steps}


def _kept(step, folder):
    """What was kept of a step by this name, None where it was not done."""
    path = folder / "steps" / f"{step.name}.json"
    return Done(**json.loads(path.read_text())) if path.exists() else None


def _needed(step, earlier, folder):
    """Names of the steps whose paths stand in a step's command, whole or as folders and beginnings of files."""
    return {
        other.name
        for other in earlier
        if re.search(rf"(?<![\w./-]){re.escape(str(folder / other.name))}(?![\w-])", step.command)
    }


def _typed(command):
    """The command as it is typed in the checkout."""
    program, *arguments = shlex.split(command)
    return shlex.join([".venv/bin/python", program, *arguments] if program.endswith(".py") else shlex.split(command))


def _arguments(command):
    """The same for this interpreter: yt8m-some-thing is the module yt8m.commands.some_thing."""
    program, *arguments = shlex.split(command)
    if program.endswith(".py"):
        return [sys.executable, str(ROOT / program), *arguments]
    module = program.removeprefix("yt8m-").replace("-", "_")
    return [sys.executable, "-m", f"yt8m.commands.{module}", *arguments]


class _Commands:
    """Commands that run at once. As a context it stops, when it ends in an error, those under way."""

    def __init__(self, *, threads):
        self.environment = {"TF_NUM_INTRAOP_THREADS": str(threads)} | os.environ
        self.running = set()
        self.stopped = False

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.stopped = True
        for process in tuple(self.running):
            # One may have ended by itself just now.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)

    def run(self, step, log, *, resumed):
        """Done of a step; raises _Failed."""
        log.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        with open(log, "a" if resumed else "w") as errors, tempfile.TemporaryFile("w+") as output:
            # In a session of its own, so that Ctrl-C comes once, from here: twice ends it without a checkpoint.
            process = subprocess.Popen(
                _arguments(step.command), stdout=output, stderr=errors, env=self.environment, start_new_session=True
            )
            self.running.add(process.pid)
            if self.stopped:
                process.terminate()
            _, status, used = os.wait4(process.pid, 0)
            self.running.discard(process.pid)
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            said = output.read()
            errors.write(said)
        if process.returncode:
            raise _Failed(step, process.returncode, log)
        *_, last = ["", *said.splitlines()]
        result = json.loads(last) if last.startswith("{") else {}
        return Done(step.command, time.monotonic() - started, used.ru_utime + used.ru_stime, resumed, result)


class _Failed(Exception):
    """A step that has failed: (Step, exit status, path of what it printed)."""


def _result(future):
    """Done of a step; ends the program where it has failed."""
    try:
        return future.result()
    except _Failed as failed:
        step, status, log = failed.args
        print(f"  {step.name} failed", flush=True)
        print("\n".join([_typed(step.command), *log.read_text().splitlines()[-_LOG_LINES:]]), file=sys.stderr)
        sys.exit(status)


def _stop(*_):
    raise KeyboardInterrupt

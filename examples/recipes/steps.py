"""Steps of a recipe: commands as they are typed in the checkout, each done once.

folder/
  commands.sh          all commands, in order
  steps/NAME.json      of a step that is done: its command, seconds, and the JSON that it ended with
  logs/NAME.txt        what it printed
"""

import json
import os
import pathlib
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from yt8m.runtime.files import write_text
from yt8m.runtime.interrupts import handling_signals

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


def run_steps(steps: Sequence[Step], folder: str | os.PathLike) -> dict[str, Done]:
    """Runs the steps that are not done yet, one after the other, a line each; dict of name to Done.

    A step of another command than before is run anew. One that fails ends the program, with the end of what it printed.
    A step that was stopped, or killed, is started again, and the commands go on where they were.
    """
    folder = pathlib.Path(folder)
    write_text(folder / "commands.sh", "".join(f"{_typed(step.command)}\n" for step in steps))
    done = {}
    for number, step in enumerate(steps, 1):
        path = folder / "steps" / f"{step.name}.json"
        found = Done(**json.loads(path.read_text())) if path.exists() else None
        if found is None or found.command != step.command:
            print(f"[{number}/{len(steps)}] {step.name}", end=" ", flush=True)
            log = folder / "logs" / f"{step.name}.txt"
            # What was begun and has no end was stopped.
            with handling_signals(_stop):
                found = _run(step, log, resumed=found is None and log.exists())
            write_text(path, json.dumps(found._asdict()) + "\n")
            print(f"{found.seconds:.0f} s", flush=True)
        done[step.name] = found
    return done


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


def _run(step, log, *, resumed):
    log.parent.mkdir(parents=True, exist_ok=True)
    started, before = time.monotonic(), _processor_seconds()
    with open(log, "a" if resumed else "w") as errors:
        # In a session of its own, so that Ctrl-C comes once, from here: twice ends it without a checkpoint.
        options = {"stdout": subprocess.PIPE, "stderr": errors, "text": True, "start_new_session": True}
        process = subprocess.Popen(_arguments(step.command), **options)
        try:
            output, _ = process.communicate()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        errors.write(output)
    if process.returncode:
        print("failed")
        print("\n".join([_typed(step.command), *log.read_text().splitlines()[-_LOG_LINES:]]), file=sys.stderr)
        sys.exit(process.returncode)
    *_, last = ["", *output.splitlines()]
    result = json.loads(last) if last.startswith("{") else {}
    return Done(step.command, time.monotonic() - started, _processor_seconds() - before, resumed, result)


def _stop(*_):
    raise KeyboardInterrupt


def _processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

"""Locks of folders: who is kept out, who is told, and who takes over."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from tests.helpers import ROOT
from yt8m.runtime import locks
from yt8m.runtime.locks import locked_folder
from yt8m.types import DataWarning, InputError

HOLD = (
    "import sys, time\nfrom yt8m.runtime.locks import locked_folder\n"
    "with locked_folder('run'): print('held', flush=True); time.sleep(60)"
)


def test_a_second_writer_is_told_who_holds_the_folder_and_a_dead_one_is_followed(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    holder = subprocess.Popen([sys.executable, "-c", HOLD], cwd=tmp_path, env=environment, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(InputError, match=rf"run is in use by process {holder.pid} on \S+ since 20\d\d-.* UTC: wait"):
        with locked_folder(tmp_path / "run"):
            pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert os.listdir(tmp_path / "run") == [".lock"]
    with locked_folder(tmp_path / "run"), pytest.raises(InputError, match=f"process {os.getpid()} on"):
        with locked_folder(tmp_path / "run"):
            pass
    assert os.listdir(tmp_path / "run") == []


def test_a_holder_that_does_not_say_who_it_is(tmp_path):
    lock = locks.lock_folder(tmp_path)
    for content in ("", "{", "[]", '{"pid": 1}'):
        (tmp_path / ".lock").write_text(content)
        with pytest.raises(InputError, match="is in use by another process: wait"):
            locks.lock_folder(tmp_path)
    lock.release()
    lock.release()
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_nothing(tmp_path):
    """Files of no bytes at all may be made."""
    code = (
        "import resource\nfrom yt8m.runtime.files import write_text\nfrom yt8m.types import InputError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "try: write_text('a', 'text')\nexcept InputError as error: print(error)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "cannot write a: File too large\n" and os.listdir(tmp_path) == []


def test_where_there_are_no_locks_it_is_said(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with pytest.warns(DataWarning, match="knows no locks"), locked_folder(tmp_path):
        pass


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    for name in ("file", "file/run"):
        with pytest.raises(InputError, match=f"cannot write {tmp_path}/{name}: "), locked_folder(tmp_path / name):
            pass

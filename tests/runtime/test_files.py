"""Outputs that are whole or absent."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest

from tests.helpers import ROOT
from yt8m.runtime import files
from yt8m.runtime.files import (
    atomic_folder,
    atomic_path,
    check_writable,
    leftovers,
    parse_json,
    read_json,
    temporary_folder,
    write_text,
)
from yt8m.types import InputError


def test_write_text_makes_folders_and_replaces(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_text(path, "één\n")
    write_text(path, "zwei\n")
    assert path.read_bytes() == b"zwei\n" and os.listdir(path.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_path(path) as temporary:
        with open(temporary, "w") as file:
            file.write("half")
        raise error
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_names_the_file(tmp_path):
    with pytest.raises(InputError, match=f"cannot write {tmp_path}/a.txt: No space left"):
        with atomic_path(tmp_path / "a.txt"):
            raise OSError(28, "No space left on device")
    assert not os.listdir(tmp_path)


def test_the_name_stays_on_the_same_file_system(tmp_path):
    with atomic_path(tmp_path / "a.keras") as temporary:
        open(temporary, "w").close()
        assert os.path.basename(temporary) == "a.keras" and temporary.startswith(f"{tmp_path}/.yt8m-")


def test_permissions_are_those_of_an_ordinary_file(tmp_path):
    write_text(tmp_path / "a", "")
    (tmp_path / "b").touch()
    assert stat.S_IMODE(os.stat(tmp_path / "a").st_mode) == stat.S_IMODE(os.stat(tmp_path / "b").st_mode)


def test_what_cannot_be_written_is_an_input_error(tmp_path):
    (tmp_path / "file").touch()
    for path, message in ((tmp_path, "it is a directory"), (tmp_path / "file" / "a", "cannot write")):
        with pytest.raises(InputError, match=message):
            check_writable(path)
        with pytest.raises(InputError, match=message):
            write_text(path, "")
    check_writable(tmp_path / "new" / "a")
    assert not (tmp_path / "new" / "a").exists()


KILLED = {
    "file": "with atomic_path('a.tfrecord') as path: open(path, 'w').write('half'); stop()",
    "folder": "with atomic_folder('a') as path: open(f'{path}/x', 'w').write('half'); stop()",
    # Killed between the two renames.
    "folder replaced": "os.rename = rename\nwith atomic_folder('old') as path: pass",
}


@pytest.mark.parametrize("name", KILLED)
def test_what_a_kill_leaves_is_hidden_and_removed_by_the_next_writer(tmp_path, name):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "content").write_text("kept")
    code = (
        "import os, signal\nfrom yt8m.runtime.files import atomic_folder, atomic_path\nplain, calls = os.rename, []\n"
        "def stop(): os.kill(os.getpid(), signal.SIGKILL)\n"
        "def rename(*paths): plain(*paths) if not calls else stop(); calls.append(paths)\n" + KILLED[name]
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert process.returncode == -signal.SIGKILL
    (left,) = leftovers(tmp_path)
    assert {entry for entry in os.listdir(tmp_path) if not entry.startswith(".")} <= {"old"}
    assert ((tmp_path / "old").exists()) == (name != "folder replaced")
    write_text(tmp_path / "b.txt", "b")
    assert sorted(os.listdir(tmp_path)) == ["b.txt", "old"] and (tmp_path / "old" / "content").read_text() == "kept"


def test_writers_at_work_are_left_alone(tmp_path):
    """Eight threads write and clear at once, as eight processes would: the lock is of the open file."""
    done = []

    def write(number):
        for _ in range(20):
            files.remove_leftovers(tmp_path)
            write_text(tmp_path / f"{number}.txt", str(number))
        done.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    with temporary_folder(tmp_path) as folder:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(done) == list(range(8)) and os.path.isdir(folder)
    assert sorted(os.listdir(tmp_path)) == [f"{number}.txt" for number in range(8)]


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    for name in ("file", "nothing yet"):
        (tmp_path / name).symlink_to(tmp_path / "disk" / name)
    (tmp_path / "disk" / "file").write_text("old")
    (tmp_path / "folder").symlink_to(tmp_path / "disk")
    for name in ("file", "nothing yet"):
        write_text(tmp_path / name, name)
        assert (tmp_path / name).is_symlink() and (tmp_path / "disk" / name).read_text() == name
    with atomic_folder(tmp_path / "folder") as made:
        open(os.path.join(made, "x"), "w").close()
    assert (tmp_path / "folder").is_symlink() and os.listdir(tmp_path / "disk") == ["x"]


def test_pipes_and_devices_are_written_into(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_text()))
    reader.start()
    check_writable(tmp_path / "pipe")
    write_text(tmp_path / "pipe", "whole")
    reader.join()
    assert got == ["whole"] and stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)
    before = os.stat("/dev/null")
    check_writable("/dev/null")
    write_text("/dev/null", "gone")
    assert os.path.samestat(before, os.stat("/dev/null")) and stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


def test_standard_output_in_a_file_is_written_behind_what_is_there(tmp_path):
    code = "from yt8m.runtime.files import write_text; print('first', flush=True); write_text('/dev/stdout', 'then')"
    with open(tmp_path / "out", "w") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert (tmp_path / "out").read_text() == "first\nthen"


def test_json_comes_back_whatever_the_mark_and_the_line_ends(tmp_path):
    path = tmp_path / "a.json"
    for data in (b'{"a": 1}', b'\xef\xbb\xbf{"a": 1}', b'{"a":\r\n1}\r', b'{"a": \r 1}'):
        path.write_bytes(data)
        assert read_json(path, fields={"a": float}) == {"a": 1}


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "it is empty"),
        (b"\xff\xfe{\0}\0", "is UTF-16"),
        (b"{\0}\0", "is UTF-16"),
        (b'{"a":\n"\xe9"}', "line 2: byte 0xe9 is no UTF-8; the file may be Latin-1"),
        (b'{"a": "\x93x"}', "line 1: byte 0x93 is no UTF-8; the file may be Windows-1252"),
        (b"{", "is not the JSON that it should be: it does not parse: Expecting property"),
        (b'{"a": 1, "b": \0}', "a zero byte"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a": ' * 100_000, "nested too deep"),
        (b"9" * 5000, "is not the JSON"),
        (b"[]", "it must be an object and is a list"),
        (b"12", "it must be an object and is a whole number"),
        (b"{}", "has no field a"),
        (b'{"a": "1"}', "a must be a number or null and is text"),
        (b'{"a": true}', "a must be a number or null and is true or false"),
    ],
)
def test_bad_json_is_told_in_one_sentence_with_the_file(tmp_path, data, message):
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(InputError) as raised:
        read_json(path, fields={"a": (float, type(None))})
    assert str(raised.value).startswith(str(path)) and message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_json_that_cannot_be_opened_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(InputError, match=f"cannot read {path}"):
            read_json(path)


def test_json_of_any_damage_is_read_or_refused(tmp_path):
    whole = json.dumps({"weights": [1, 2.5], "w0": None, "note": "é"}, ensure_ascii=False).encode()
    for seed in range(400):
        random = np.random.default_rng(seed)
        data = bytearray(whole)
        for _ in range(random.integers(1, 4)):
            data[random.integers(len(data))] = random.integers(256)
        path = tmp_path / "a.json"
        path.write_bytes(data[: random.integers(len(data) + 1)] if seed % 2 else data)
        try:
            assert isinstance(read_json(path), dict), f"seed {seed}"
        except InputError as error:
            assert str(path) in str(error), f"seed {seed}"


def test_json_of_a_flag_names_the_flag():
    with pytest.raises(InputError, match="^--space is not the JSON that it should be"):
        parse_json("{", "--space")


@pytest.mark.parametrize("text", ['{"a": 1, "b": 2, "a": 1}', '{"b": {"a": 1, "a": 2}}', '[{"a": 1, "a": null}]'])
def test_a_name_twice_in_an_object_is_no_json_of_ours(text):
    kind = list if text.startswith("[") else dict
    with pytest.raises(InputError, match="x.json is not the JSON that it should be: it has 'a' twice in one object"):
        parse_json(text, "x.json", kind=kind)
    assert parse_json('{"a": 1, "b": {"a": 1}}', "x.json") == {"a": 1, "b": {"a": 1}}

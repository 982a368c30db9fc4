"""Outputs that are whole or absent."""

import os
import stat

import pytest

from yt8m.runtime.files import atomic_path, check_writable, write_text
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


def test_the_suffix_stays(tmp_path):
    with atomic_path(tmp_path / "a.keras") as temporary:
        assert temporary.endswith(".keras") and os.path.dirname(temporary) == str(tmp_path)


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

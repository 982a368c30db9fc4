"""Outputs that are whole or absent."""

import json
import os
import stat

import numpy as np
import pytest

from yt8m.runtime.files import atomic_path, check_writable, parse_json, read_json, write_text
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

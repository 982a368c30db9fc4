"""Arrays of others: damage of every kind is one sentence that names the file, and takes no memory."""

import io
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from tests.helpers import ROOT
from yt8m.runtime.arrays import map_npy, npz_names, read_npy, read_npz
from yt8m.types import InputError

ARRAY = np.arange(24, dtype=np.float32).reshape(6, 4)


def header(shape, descr="<f4"):
    text = io.BytesIO()
    np.lib.format.write_array_header_1_0(text, {"descr": descr, "fortran_order": False, "shape": shape})
    return text.getvalue()


def npz(path, *members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("array", [ARRAY, np.asfortranarray(ARRAY), ARRAY[:0], ARRAY.astype(np.uint8), np.float64(3)])
def test_arrays_come_back(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), array)
    if np.size(array):
        np.testing.assert_array_equal(map_npy(tmp_path / "a.npy"), array)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", rgb=array, audio=np.zeros(3))
        assert npz_names(tmp_path / "a.npz") == ("rgb", "audio")
        np.testing.assert_array_equal(read_npz(tmp_path / "a.npz", "rgb"), array)


def test_files_of_the_other_kind_are_named(tmp_path):
    np.save(tmp_path / "a.npy", ARRAY)
    os.rename(tmp_path / "a.npy", tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", rgb=ARRAY)
    os.rename(tmp_path / "b.npz", tmp_path / "b.npy")
    for read in (npz_names, lambda path: read_npz(path, "rgb")):
        with pytest.raises(InputError, match="a.npz is an .npy of one array, and not an .npz"):
            read(tmp_path / "a.npz")
    with pytest.raises(InputError, match="b.npy is an .npz of several arrays, and not an .npy"):
        read_npy(tmp_path / "b.npy")
    with pytest.raises(InputError, match="b.npy has no array audio; it has rgb"):
        read_npz(tmp_path / "b.npy", "audio")
    with pytest.raises(InputError, match="cannot read .*none.npy: No such file"):
        read_npy(tmp_path / "none.npy")


@pytest.mark.parametrize("shape", [(4 * 10**12,), (2**31, 2**31), (10**9, 4000), (2**62, 2**62), (7, 4), (-1, 4)])
def test_headers_that_promise_more_than_there_is_take_no_memory(tmp_path, shape):
    data = header(shape) + ARRAY.tobytes()
    (tmp_path / "a.npy").write_bytes(data)
    npz(tmp_path / "a.npz", ("rgb.npy", data))
    code = (
        "import resource, sys; from yt8m.runtime.arrays import *; from yt8m.types import InputError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for read in (lambda: read_npy(sys.argv[1]), lambda: read_npz(sys.argv[2], 'rgb')):\n"
        "    try: read()\n"
        "    except InputError as error: print(error)\n"
        "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 20_000\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.npy", tmp_path / "a.npz"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "a.npy is damaged: its header promises" in first and "a.npz, array rgb is damaged" in second


@pytest.mark.parametrize("kind", ["npy", "npz", "compressed"])
def test_damage_is_read_or_told(tmp_path, kind):
    path = tmp_path / f"a.{kind[:3]}"
    if kind == "npy":
        np.save(path, ARRAY)
    else:
        path = tmp_path / "a.npz"
        (np.savez if kind == "npz" else np.savez_compressed)(path, rgb=ARRAY)
    whole = path.read_bytes()
    changed = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        data = bytearray(whole)
        # Each fourth is cut, the others have bits flipped.
        if seed % 4 == 0:
            data = data[: random.integers(len(data))]
        else:
            for _ in range(random.integers(1, 4)):
                data[random.integers(len(data))] ^= 1 << int(random.integers(8))
        path.write_bytes(data)
        try:
            found = (map_npy if seed % 2 else read_npy)(path) if kind == "npy" else read_npz(path, "rgb")
        except InputError as error:
            assert str(path) in str(error), f"seed {seed}"
        else:
            changed += kind != "npy" and not np.array_equal(found, ARRAY)
    # An .npz has checksums, which a flip of shape and data alike does not get past.
    assert changed == 0


def test_a_member_of_another_size_than_said_is_told(tmp_path):
    path = npz(tmp_path / "a.npz", ("rgb.npy", header((6, 4)) + ARRAY.tobytes()[:-4]))
    with pytest.raises(InputError, match="a.npz, array rgb is damaged: its header promises 96 bytes"):
        read_npz(path, "rgb")


@pytest.mark.parametrize("descr", ["|O", [("a", "|O")]])
def test_python_objects_are_refused(tmp_path, descr):
    (tmp_path / "a.npy").write_bytes(header((1,), descr) + bytes(100))
    with pytest.raises(InputError, match="a.npy cannot be read: it holds Python objects"):
        read_npy(tmp_path / "a.npy")


def test_an_npy_header_that_is_cut_short_moves_no_numbers(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.arange(6, dtype=np.float32))
    data = bytearray(path.read_bytes())
    # The length of the header; what follows it is blanks.
    data[8] -= 16
    path.write_bytes(data)
    for read in (read_npy, map_npy):
        with pytest.raises(
            InputError, match=r"a.npy is damaged: its header promises 24 bytes, of shape \(6,\), and 40 follow"
        ):
            read(path)

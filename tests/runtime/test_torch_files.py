"""Files of torch.save read without torch, and what hostile ones ask for."""

import collections
import pickle
import zipfile

import numpy as np
import pytest

from tests.helpers.torch_files import global_of, legacy_form, saved, state_dict, tensor, zip_form
from tests.helpers.torch_folders import needs
from yt8m.runtime.torch_file import read_torch_file
from yt8m.types import InputError

FORMS = [zip_form, legacy_form]
VALUES = np.arange(6, dtype=np.float32)


@pytest.mark.parametrize("form", FORMS)
def test_arrays_of_every_kind_and_shape_come_back(form):
    random = np.random.default_rng(0)
    kinds = [np.float32, np.float64, np.float16, np.int64, np.uint8]
    shapes = [(), (0,), (1,), (7,), (3, 4), (2, 1, 3, 5)]
    arrays = {
        f"{kind.__name__}.{shape}": (random.normal(size=shape) * 50).astype(kind) for kind in kinds for shape in shapes
    }
    read = read_torch_file(saved(arrays, form), "a.pth")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array, strict=True)


@pytest.mark.parametrize("form", FORMS)
def test_views_of_one_storage(form):
    body = state_dict(
        {
            "turned": tensor("0", VALUES, shape=(3, 2), strides=(1, 3)),
            "end": tensor("0", VALUES, shape=(2,), strides=(1,), offset=4),
        }
    )
    read = read_torch_file(form(body, {"0": VALUES}), "a.pth")
    np.testing.assert_array_equal(read["turned"], VALUES.reshape(2, 3).T)
    np.testing.assert_array_equal(read["end"], [4, 5])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("key", ["model_state", "state_dict"])
def test_the_model_of_a_checkpoint_beside_its_optimizer(form, key):
    """A number, a text, and 2,000 numbered states of an optimizer, at which nothing looks."""
    states = [b"J" + number.to_bytes(4, "little") + b"}X\x01\0\0\0aNs" for number in range(2000)]
    parts = {
        "epoch": b"K\x07",
        "optimizer_state": b"}(" + b"".join(states) + b"u",
        key: state_dict({"a": tensor("0", VALUES)}),
        "cfg": b"X\x04\0\0\0DATA",
    }
    read = read_torch_file(form(state_dict(parts), {"0": VALUES}), "a.pyth")
    assert read.keys() == {"a"}
    np.testing.assert_array_equal(read["a"], VALUES)


def calls(module, name, *arguments):
    """Instructions that call a function by its name."""
    return global_of(module, name) + pickle.dumps(arguments, protocol=2)[2:-1] + b"R"


HOSTILE = {
    "a command": (calls("os", "system", "touch run"), "asks for os.system"),
    "a builtin": (calls("builtins", "eval", "open('run', 'w')"), "asks for builtins.eval"),
    "a part of what is known": (calls("collections", "OrderedDict.fromkeys", "ab"), "asks for collections.OrderedDict.from"),
    "another of torch": (calls("torch", "load", "x"), "asks for torch.load"),
    "a name from the stack": (b"\x8c\x02os\x8c\x06system\x93", "instruction STACK_GLOBAL"),
    "an instance": (b"(ios\nsystem\n", "instruction INST"),
    "an extension": (b"\x82\x01", "instruction EXT1"),
    "a changed tensor": (b"}X\x01\0\0\0a" + tensor("0", VALUES) + b"}X\x01\0\0\0bK\x01sbs", "changes what it has made"),
    "a huge memo": (b"}r\xff\xff\xff\x7f", "numbers more objects"),
    "deep nesting": (b")" + b"\x85" * 200_000, "more than 32,768 tuples"),
    "a text longer than the file": (b"X\xff\xff\xff\x7fab", "expected 2147483647 bytes"),
    "a list": (b"]", "no (dict of tensors|tensor is in)"),
    "nothing": (b"", "."),
    "beyond its storage": (state_dict({"a": tensor("0", VALUES, shape=(7,))}), "reaches beyond"),
    "beyond by its strides": (state_dict({"a": tensor("0", VALUES, shape=(2,), strides=(6,))}), "reaches beyond"),
    "before its storage": (state_dict({"a": tensor("0", VALUES, strides=(-1,))}), "strides"),
    "from before its storage": (state_dict({"a": tensor("0", VALUES, offset=-1)}), "."),
    "larger than its storage": (state_dict({"a": tensor("0", VALUES, shape=(1 << 30, 1 << 30), strides=(0, 0))}), "beyond"),
    "too few strides": (state_dict({"a": tensor("0", VALUES, strides=())}), "strides"),
    "a storage of another length": (state_dict({"a": tensor("0", VALUES, length=1 << 30)}), "storage"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused_in_a_sentence(form, case, tmp_path, monkeypatch):
    body, words = HOSTILE[case]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"^a.pth is not weights that torch.save wrote: .*{words}"):
        read_torch_file(form(body, {"0": VALUES}), "a.pth")
    assert not (tmp_path / "run").exists()


def test_archives_that_torch_does_not_write():
    body = state_dict({"a": tensor("0", VALUES)})
    with pytest.raises(InputError, match="compressed"):
        read_torch_file(zip_form(body, {"0": VALUES}, compression=zipfile.ZIP_DEFLATED), "a.pth")
    with pytest.raises(InputError, match="archive"):
        read_torch_file(zip_form(body, {}), "a.pth")
    # The same megabyte under many names.
    data = bytearray(zip_form(body, {str(number): np.zeros(1 << 18, np.float32) for number in range(2)}))
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 20 : entry + 28] = (1 << 28).to_bytes(4, "little") * 2
    with pytest.raises(InputError, match="overlap"):
        read_torch_file(bytes(data), "a.pth")


@pytest.mark.parametrize("form", FORMS)
def test_damage_is_a_sentence_or_other_numbers(form):
    """Bytes changed and ends cut off at random never end in anything but arrays or InputError."""
    whole = saved({"a": VALUES, "b.weight": np.ones((2, 3), np.float32)}, form)
    random = np.random.default_rng(1)
    for _ in range(400):
        data = bytearray(whole)
        for place in random.integers(0, len(data), random.integers(0, 4)):
            data[place] = random.integers(0, 256)
        if random.random() < 0.5:
            data = data[: random.integers(0, len(data))]
        try:
            read = read_torch_file(bytes(data), "a.pth")
        except InputError as error:
            assert str(error).startswith("a.pth is not weights that torch.save wrote: ")
        else:
            assert all(isinstance(array, np.ndarray) for array in read.values())


def test_files_of_torch_itself(tmp_path):
    (torch,) = needs("torch")
    arrays = {"a.weight": torch.randn(3, 4), "b": torch.arange(5), "c": torch.randn(4, 3).T}
    arrays["d"] = torch.nn.Parameter(torch.randn(2))
    for new in (True, False):
        torch.save(collections.OrderedDict(arrays), tmp_path / "a", _use_new_zipfile_serialization=new)
        read = read_torch_file((tmp_path / "a").read_bytes(), "a")
        assert read.keys() == arrays.keys()
        for name, value in arrays.items():
            np.testing.assert_array_equal(read[name], value.detach().numpy(), strict=True)
    (tmp_path / "b").write_bytes(saved({"a": VALUES.reshape(2, 3)}))
    loaded = torch.load(tmp_path / "b", weights_only=True)
    np.testing.assert_array_equal(loaded["a"].numpy(), VALUES.reshape(2, 3))

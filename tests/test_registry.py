"""Names that flags choose among."""

import sys

import pytest

from yt8m.registry import Registry
from yt8m.types import InputError


@pytest.fixture
def registry():
    registry = Registry("model")
    for name in ("netvlad", "nextvlad", "bert"):
        registry.register(name)(name.upper())
    return registry


def test_lookup(registry):
    assert registry["bert"] == "BERT"
    assert list(registry) == ["bert", "netvlad", "nextvlad"] and len(registry) == 3
    assert "bert" in registry and "lstm" not in registry


def test_register_returns_the_object(registry):
    thing = object()
    assert registry.register("thing")(thing) is thing is registry["thing"]


def test_a_name_that_is_taken_raises(registry):
    with pytest.raises(ValueError, match="the model name 'bert' is registered twice"):
        registry.register("bert")(None)


def test_an_unknown_name_lists_the_near_ones(registry):
    with pytest.raises(InputError) as error:
        registry["netvald"]
    assert str(error.value).startswith("there is no model 'netvald'; did you mean netvlad")
    assert str(error.value).endswith("Known: bert, netvlad, nextvlad")
    with pytest.raises(InputError, match="there is no model 'zzz'; Known: bert"):
        registry["zzz"]


def test_modules_are_imported_at_the_first_lookup(tmp_path, monkeypatch):
    (tmp_path / "late_models.py").write_text("import tests.test_registry as t\nt.LATE.register('late')(7)\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert list(LATE) == ["late"] and "late_models" not in sys.modules
    assert LATE["late"] == 7 and len(LATE) == 1


LATE = Registry("model", modules={"late": "late_models"})

"""Registries: named objects that a flag can choose among."""

import difflib
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from yt8m.types import InputError

Thing = TypeVar("Thing")


class Registry(Mapping[str, Any]):
    """Mapping of names to objects, some of which are imported when they are asked for.

    kind: what the objects are, for error messages ("model").
    modules: dict of name to the module that registers an object of that name when imported. So names can be listed
    where
        importing is cheap, while the objects live in modules whose import is not.
    """

    def __init__(self, kind: str, *, modules: Mapping[str, str] | None = None):
        self.kind = kind
        self._modules = dict(modules or {})
        self._objects: dict[str, Any] = {}

    def register(self, name: str) -> Callable[[Thing], Thing]:
        """Decorator that registers an object; a name that is taken raises ValueError."""

        def decorate(thing: Thing) -> Thing:
            if name in self._objects:
                raise ValueError(f"the {self.kind} name {name!r} is registered twice")
            self._objects[name] = thing
            return thing

        return decorate

    def load(self) -> None:
        """Imports all modules, so that every object is registered."""
        for module in self._modules.values():
            importlib.import_module(module)

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            near = difflib.get_close_matches(name, self, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise InputError(f"there is no {self.kind} {name!r}; {hint}Known: {', '.join(self)}")
        if name not in self._objects:
            importlib.import_module(self._modules[name])
        return self._objects[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._modules, *self._objects}))

    def __len__(self) -> int:
        return len({*self._modules, *self._objects})

    def __contains__(self, name: object) -> bool:
        return name in self._modules or name in self._objects

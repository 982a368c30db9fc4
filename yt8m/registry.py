"""Named things that a flag can choose among."""

import difflib
import importlib

from yt8m.types import InputError


class Registry:
    """Maps names to objects.

    kind: what the objects are, for error messages ("model").
    modules: imported at the first lookup; each registers its own objects. So a name can be listed in a
        module that is cheap to import, while the object lives in one that is not.
    """

    def __init__(self, kind, *, modules=()):
        self.kind = kind
        self._modules = modules
        self._objects = {}

    def register(self, name):
        """Decorator that registers an object; a name that is taken raises ValueError."""

        def decorate(thing):
            if name in self._objects:
                raise ValueError(f"the {self.kind} name {name!r} is registered twice")
            self._objects[name] = thing
            return thing

        return decorate

    def __getitem__(self, name):
        self.load()
        if name not in self._objects:
            near = difflib.get_close_matches(name, self._objects, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise InputError(f"there is no {self.kind} {name!r}; {hint}Known: {', '.join(self)}")
        return self._objects[name]

    def __iter__(self):
        self.load()
        return iter(sorted(self._objects))

    def __len__(self):
        self.load()
        return len(self._objects)

    def __contains__(self, name):
        self.load()
        return name in self._objects

    def load(self):
        """Imports the modules that register objects."""
        for module in self._modules:
            importlib.import_module(module)

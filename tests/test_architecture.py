"""The rooms of the house, their import direction, and the habits that can be read off the source."""

import ast
import subprocess
import sys

import pytest

from tests.helpers import ROOT

PACKAGE = ROOT / "yt8m"
SOURCES = sorted(PACKAGE.rglob("*.py"))
FLOORS = [
    {"commands"},
    {"training"},
    {"inference", "report"},
    {"models", "ensemble", "similarity"},
    {"data", "features", "ranking"},
    {"super_resolution"},
    {"layers", "runtime"},
    {"config", "options", "pair_parts", "registry", "train_parts", "vocabulary"},
    {"tables", "text"},
    {"types"},
]
"""Rooms, top floor first. A room imports from its own floor and from those below it, and no two import each other."""

FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
WITHOUT_TENSORFLOW = ("ranking", "ensemble", "similarity", "report")
RULE = "imports point down: " + " -> ".join(", ".join(sorted(rooms)) for rooms in FLOORS)


def imports(path):
    """Names of modules that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "yt8m")


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def rooms_imported(path):
    names = [name.split(".") for name in imports(path)]
    return {parts[1] for parts in names if parts[0] == "yt8m" and len(parts) > 1}


def test_every_module_has_its_room():
    assert {room_of(path) for path in SOURCES} - {"__init__"} == set(FLOOR), RULE


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    if path.parent == PACKAGE and path.stem == "__init__":
        return
    for room in rooms_imported(path):
        assert FLOOR[room_of(path)] <= FLOOR[room], f"{path.relative_to(ROOT)} imports yt8m.{room}, and {RULE}"


def test_no_two_rooms_import_each_other():
    pairs = {(room_of(path), room) for path in SOURCES for room in rooms_imported(path) if room != room_of(path)}
    assert {pair for pair in pairs if pair[::-1] in pairs} == set(), RULE


def top_level_names(folder):
    paths = [PACKAGE / folder] if folder.endswith(".py") else sorted((PACKAGE / folder).rglob("*.py"))
    return {name.split(".")[0] for path in paths for name in imports(path)}


@pytest.mark.parametrize(
    "folder",
    ["layers", "models", "super_resolution", "training/optimizers.py", "training/optimizer_wrappers.py"],
)
def test_what_computes_runs_on_every_backend(folder):
    assert not {"tensorflow", "jax", "torch"} & top_level_names(folder)


def test_flags_are_read_in_commands_alone():
    readers = {room_of(path) for path in SOURCES if "absl" in {name.split(".")[0] for name in imports(path)}}
    assert readers == {"commands"}


def test_ranked_files_need_no_tensorflow():
    paths = [path for room in WITHOUT_TENSORFLOW for path in (PACKAGE / room).rglob("*.py")]
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    code = "".join(f"import {name}\n" for name in modules)
    code += "import sys; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_stay_small_and_documented(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            assert not body or node.end_lineno - body[0].lineno < 60, node.name
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


def public_functions(body, *, within=""):
    """(qualified name, node) of the functions and methods that people call, constructors and calls of objects included."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, within=f"{node.name}.")
        elif isinstance(node, ast.FunctionDef) and (
            not node.name.startswith("_") or node.name in ("__init__", "__call__")
        ):
            yield within + node.name, node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_public_signatures_have_type_hints(path):
    for name, node in public_functions(ast.parse(path.read_text()).body):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        bare = [item.arg for item in arguments if item.annotation is None and item.arg not in ("self", "cls")]
        assert not bare, f"{name}: {bare}"
        assert node.returns is not None or node.name == "__init__", name

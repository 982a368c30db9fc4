"""The import direction and habits of DESIGN, read off the source."""

import ast
import subprocess
import sys

import pytest

from tests.helpers import ROOT

PACKAGE = ROOT / "yt8m"
SOURCES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS_LAYER = {"command_line.py", "run_flags.py", "train_flags.py", "demo.py", "cache_command.py", "doctor_command.py",
                 "pack_command.py", "similarity_command.py"}
LAYERS = [
    {"types", "config", "registry", "files", "progress", "vocabulary", "devices", "fused", "memory", "parallel", "parts", "cluster", "interrupts"},
    {"data", "layers", "losses", "metrics", "submission", "segment_lists", "rated_labels", "optimizers", "schedules",
     "targets", "video_predictions", "embedding_files"},
    {"models", "evaluation", "ensembling", "submission_checks", "rank_objective", "weight_search", "weights_file",
     "diagnosis", "timelines", "timeline_text", "similarity"},
    {"calibration", "checkpoints", "learner", "training", "training_data", "finishing", "pseudo_labels", "selftraining",
     "tuning", "prediction", "export", "top_segments", "holdout", "report", "filters", "embeddings", "board"},
    {"command_line", "run_flags", "train_flags", "demo", "cache_command", "doctor_command", "pack_command",
     "similarity_command"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def imports(path):
    """Names of modules that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "yt8m")


def part(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_module_has_its_place():
    assert {part(path) for path in SOURCES} - {"__init__"} == set(RANK)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "yt8m" and len(parts) > 1 and part(path) in RANK:
            assert RANK[parts[1]] <= RANK[part(path)], f"{path.name} imports {name}"


def top_level_names(folder):
    paths = [PACKAGE / folder] if folder.endswith(".py") else sorted((PACKAGE / folder).rglob("*.py"))
    return {name.split(".")[0] for path in paths for name in imports(path)}


@pytest.mark.parametrize("folder", ["layers", "models", "losses.py", "targets.py", "optimizers.py", "schedules.py"])
def test_what_computes_runs_on_every_backend(folder):
    assert not {"tensorflow", "jax", "torch"} & top_level_names(folder)


def test_flags_are_read_in_the_scripts_alone():
    readers = {path.name for path in SOURCES if "absl" in {name.split(".")[0] for name in imports(path)}}
    assert readers <= SCRIPTS_LAYER


def test_ranked_files_need_no_tensorflow():
    modules = sorted(LAYERS[2] - {"models"} | {"metrics", "submission", "report"})
    code = "".join(f"import yt8m.{name}\n" for name in modules)
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

"""JSON file of searched ensemble weights: what was searched, what came out, and every step, so that it can go on."""

import dataclasses
import json
import math
import time
from typing import Any

from yt8m.ensemble.weight_search import SearchSettings, Step, cross_validate, search_weights
from yt8m.runtime.files import check_writable, write_text
from yt8m.types import InputError, StrPath

_SECONDS_BETWEEN_SAVES = 5


def read_weights(path: StrPath, *, num_files: int) -> tuple[tuple[float, ...], float]:
    """(weights, tuple of ``num_files`` floats; w0) of a weights file. Raises InputError where it has no such."""
    content = _read(path)
    try:
        weights, w0 = tuple(float(weight) for weight in content["weights"]), float(content["w0"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not a weights file: it needs weights and w0") from error
    if len(weights) != num_files:
        raise InputError(f"{path} has {len(weights)} weights, for {num_files} submissions")
    return weights, w0


def search_into_file(
    objective: Any,
    path: StrPath,
    *,
    described: dict[str, Any],
    settings: SearchSettings,
    num_folds: int = 0,
    progress: Any = None,
) -> dict[str, Any]:
    """Searches weights and writes them to ``path``, now and then while it searches; returns the dict that it holds.

    objective: RankObjective. described: JSON-able dict of what it was made from, with "submissions", names of its
    files. num_folds: parts of a cross-validation, 0 for none. progress: a Progress, told of every step. Where ``path``
    exists, its history is gone through first, without evaluations; InputError where it is of another search.
    """
    check_writable(path)
    described = described | {"method": settings.method, "seed": settings.seed, "fixed_w0": settings.w0}
    history = _history(path, described, objective)
    saved = time.monotonic()
    if progress is not None:
        progress.total = max(settings.steps - len(history), 0) + num_folds * settings.steps

    def count(steps):
        if progress is not None:
            progress.update(note=lambda: f"best MAP {max(step.map_at_k for step in steps):.5f}")

    def on_step(steps):
        nonlocal saved
        count(steps)
        if time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
            best = max(steps, key=lambda step: step.map_at_k)
            _write(path, described | _found(best.weights, best.w0, best.map_at_k) | {"history": _listed(steps)})
            saved = time.monotonic()

    result = search_weights(objective, settings=settings, history=history, on_step=on_step)
    content = described | _found(result.weights, result.w0, result.map_at_k)
    content |= {
        "equal_weights_map": objective([1.0] * objective.num_files, 1.0),
        "single_maps": list(objective.single_maps),
        "droppable": [described["submissions"][index] for index in result.droppable],
        "converged": result.converged,
        "history": _listed(result.history),
    }
    _write(path, content)
    if num_folds:
        content["cross_validation"] = cross_validate(objective, settings=settings, num_folds=num_folds, on_step=count)
        _write(path, content)
    return content


def _found(weights, w0, value):
    return {"weights": list(weights), "w0": w0, "map_at_k": value}


def _listed(steps):
    return [dataclasses.asdict(step) | {"weights": list(step.weights)} for step in steps]


def _history(path, described, objective):
    try:
        content = _read(path)
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return ()
        raise
    for name, value in described.items():
        if name not in content or content[name] != value:
            found = content.get(name, "nothing")
            raise InputError(f"{path} holds a search with {name} {found}, not {value}: choose another --weights_file")
    try:
        steps = [
            Step(tuple(map(float, step["weights"])), float(step["w0"]), float(step["map_at_k"]))
            for step in content["history"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} has no readable history: remove it to search anew") from error
    if steps:
        best = max(steps, key=lambda step: step.map_at_k)
        if not math.isclose(objective(best.weights, best.w0), best.map_at_k, abs_tol=1e-9):
            raise InputError(f"{path} is of other contents of the submissions or labels: choose another --weights_file")
    return steps


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a weights file: it needs weights and w0")
    return content


def _write(path, content):
    write_text(path, json.dumps(content, indent=1) + "\n")

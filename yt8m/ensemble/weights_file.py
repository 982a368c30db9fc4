"""JSON file of searched ensemble weights: what was searched, what came out, and what it gains on videos left out."""

import json
from typing import Any

from yt8m.ensemble.fusion import Fusion
from yt8m.ensemble.objective import Objective
from yt8m.ensemble.weight_search import Gain, SearchResult, SearchSettings, search_weights
from yt8m.runtime.files import check_writable, read_json, write_text
from yt8m.types import InputError, StrPath

_LARGEST = 1e300


def read_weights(path: StrPath, *, num_files: int, top_n: int) -> Fusion:
    """The Fusion of a weights file; ``top_n`` segments are kept. Raises InputError where the file has no such.

    Files of 0.2.0, whose w0 is a number and whose method is that of the search, are read too.
    """
    content = read_json(path, what="a weights file", fields={"weights": list, "w0": (float, type(None))})
    for name, value in [*(("a weight", weight) for weight in content["weights"]), *_w0_values(content)]:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < _LARGEST:
            raise InputError(f"{path}: {name} is {json.dumps(value)[:40]}; it must be a finite number")
    weights = tuple(map(float, content["weights"]))
    if len(weights) != num_files:
        raise InputError(f"{path} has {len(weights)} weights, for {num_files} submissions")
    settings: dict[str, Any] = {name: float(value) for name, value in _w0_values(content)}
    settings["method"] = content.get("fusion", "reciprocal_rank")
    try:
        return Fusion(weights, top_n=top_n, **settings)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _w0_values(content):
    return [(name, content[name]) for name in ("w0", "w0_share") if content.get(name) is not None]


def search_into_file(
    objective: Objective,
    path: StrPath,
    *,
    described: dict[str, Any],
    plain: Fusion,
    settings: SearchSettings,
    progress: Any = None,
) -> dict[str, Any]:
    """Searches weights and writes them to ``path``; returns the dict that it holds, see docs/formats.md.

    described: JSON-able dict of what the objective was made from, with "submissions", names of its files. Other
    arguments as of search_weights.
    """
    check_writable(path)
    result = search_weights(objective, plain=plain, settings=settings, progress=progress)
    content = described | {"method": settings.method, "seed": settings.seed} | _content(result, objective, described)
    write_text(path, json.dumps(content, indent=1) + "\n")
    return content


def _content(result: SearchResult, objective: Objective, described: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {
        "fusion": result.fusion.method,
        "weights": list(result.fusion.weights),
        **_w0(result.fusion),
        "metric": objective.metric,
        objective.metric: result.score,
        "equal_weights": {**_w0(result.plain), objective.metric: result.plain_score},
        "single_scores": list(result.single_scores),
        "droppable": [described["submissions"][index] for index in result.droppable],
    }
    if result.note:
        content["note"] = result.note
    if result.gain is not None:
        content["out_of_fold_gain"] = _gain(result.gain)
        content["candidates"] = [
            {"strength": candidate.strength, "weights": list(candidate.fusion.weights), **_w0(candidate.fusion)}
            | {"gain": _gain(candidate.gain), "chosen": index == result.chosen}
            for index, candidate in enumerate(result.candidates)
        ]
    return content


def _w0(fusion):
    """A constant w0, or the share of the list; both None for methods without."""
    if fusion.method != "reciprocal_rank":
        return {"w0": None, "w0_share": None}
    return {"w0": fusion.w0, "w0_share": fusion.w0_share if fusion.w0 is None else None}


def _gain(gain: Gain) -> dict[str, Any]:
    return {"mean": gain.mean, "low": gain.low, "high": gain.high, "folds": list(gain.folds)}

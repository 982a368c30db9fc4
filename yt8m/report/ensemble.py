"""The report on an ensemble: its weights, their search, and the overlap of the submissions."""

import os
from collections.abc import Iterator, Sequence

import numpy as np
from markupsafe import Markup

from yt8m.ensemble.fusion import rank_overlap
from yt8m.report.charts import bars, heat_map
from yt8m.report.page import render, write_page


def write_ensemble_report(
    path: str | os.PathLike,
    submissions: Sequence[str | os.PathLike],
    *,
    search: dict | None = None,
    depth: int = 1000,
    class_range: tuple[int, int] | None = None,
) -> None:
    """Writes the page.

    submissions: paths of the submission files; search: the dict of a weights file (see yt8m.ensemble.weights_file) or
    None; depth: best segments of a class that are compared between files, 0 for no comparison, as of predictions of
    whole videos; class_range: (first, end) of class ids.
    """
    parts = ensemble_parts(submissions, search=search, depth=depth, class_range=class_range)
    write_page(path, title=f"Ensemble of {len(submissions)} submissions", parts=parts)


def ensemble_parts(
    submissions: Sequence[str | os.PathLike],
    *,
    search: dict | None = None,
    depth: int = 1000,
    class_range: tuple[int, int] | None = None,
) -> Iterator[Markup]:
    """Sections of HTML; arguments as of write_ensemble_report."""
    names = _short_names(submissions)
    if search is not None:
        yield _weights(names, search)
    if not depth:
        return
    overlap = rank_overlap(submissions, depth=depth, class_range=class_range)
    yield render("overlap.html", depth=depth, chart=heat_map("Overlap of the submissions", names, overlap))


def _weights(names, search):
    metric = search["metric"]
    label = "MAP@K" if metric == "map_at_k" else metric.upper().replace("_AT_", "@")
    weights = search["weights"]
    shares = np.asarray(weights) / sum(weights)
    entries = [
        (name, share, (f"{share:.3f}", f"{value:.5f}"))
        for name, share, value in zip(names, shares, search["single_scores"])
    ]
    files = dict(zip(search["submissions"], names))
    return render(
        "weights.html",
        metric=label,
        score=search[metric],
        w0=_w0(search),
        plain=search["equal_weights"][metric],
        plain_w0=_w0(search["equal_weights"]),
        singles=search["single_scores"],
        note=search.get("note", ""),
        method=search["method"],
        gain=search.get("out_of_fold_gain"),
        chart=bars("Weights", entries, columns=("weight", f"own {label}")),
        droppable=[files[name] for name in search["droppable"]],
        candidates=[_candidate(entry) for entry in search.get("candidates", ())],
    )


def _w0(entry):
    """What follows a number: its w0, or nothing."""
    if entry["w0"] is not None:
        return f" and w0 = {entry['w0']:.3g}"
    return f" and w0 = {entry['w0_share']:.3g} of the list" if entry["w0_share"] is not None else ""


def _candidate(entry):
    """Cells of its row."""
    weights = f"{entry['strength']:.0%} to the bagged ones" if entry["strength"] else "equal"
    gain = entry["gain"]
    return (
        f"{weights}, chosen" if entry["chosen"] else weights,
        _w0(entry).removeprefix(" and w0 = ") or "none",
        *(f"{gain[name]:+.5f}" for name in ("mean", "low", "high")),
    )


def _short_names(paths):
    """File names, or whole paths where names repeat."""
    names = [os.path.basename(str(path)) for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]

"""The report on an ensemble: its weights, their search, and the overlap of the submissions."""

import os
from collections.abc import Iterator, Sequence

import numpy as np
from markupsafe import Markup

from yt8m.ensemble.fusion import rank_overlap
from yt8m.report.charts import bars, heat_map, line_chart
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
    None; depth: best segments of a class that are compared between files; class_range: (first, end) of class ids.
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
    overlap = rank_overlap(submissions, depth=depth, class_range=class_range)
    yield render("overlap.html", depth=depth, chart=heat_map("Overlap of the submissions", names, overlap))


def _weights(names, search):
    weights = search["weights"]
    shares = np.asarray(weights) / sum(weights)
    entries = [
        (name, share, (f"{share:.3f}", f"{value:.5f}"))
        for name, share, value in zip(names, shares, search["single_maps"])
    ]
    return render(
        "weights.html",
        search={"cross_validation": None} | search,
        weights_chart=bars("Weights", entries, columns=("weight", "own MAP")),
        dropped=[name for name, weight in zip(names, weights) if weight == 0],
        search_chart=_convergence([step["map_at_k"] for step in search["history"]]),
    )


def _convergence(values):
    """MAP of every step, and the best so far."""
    steps = np.arange(1, len(values) + 1)
    series = [("best so far", steps, np.maximum.accumulate(values)), ("step", steps, values)]
    return line_chart("MAP over the steps", series, x_label="step", y_label="MAP@K")


def _short_names(paths):
    """File names, or whole paths where names repeat."""
    names = [os.path.basename(str(path)) for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]

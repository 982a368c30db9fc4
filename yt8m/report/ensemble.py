"""The report on an ensemble: weights, search and how much the submissions have in common."""

import os

import numpy as np

from yt8m.ensemble.fusion import rank_overlap
from yt8m.report.charts import bars, heat_map, line_chart
from yt8m.report.page import paragraph, section, write_page


def write_ensemble_report(path, submissions, *, search=None, depth=1000, class_range=None):
    """Writes the page.

    submissions: paths of the submission files; search: the dict of a weights file (see yt8m.ensemble.weights_file) or None;
    depth: how many best segments of a class are compared between files; class_range: (first, end) of class ids.
    """
    parts = ensemble_parts(submissions, search=search, depth=depth, class_range=class_range)
    write_page(path, title=f"Ensemble of {len(submissions)} submissions", parts=parts)


def ensemble_parts(submissions, *, search=None, depth=1000, class_range=None):
    """Sections of HTML; arguments as of write_ensemble_report."""
    names = _short_names(submissions)
    if search is not None:
        yield section("Ensemble weights", *_weight_parts(names, search))
        yield section("Search", _convergence([step["map_at_k"] for step in search["history"]]))
    overlap = rank_overlap(submissions, depth=depth, class_range=class_range)
    yield section(
        "What the submissions have in common",
        paragraph(
            f"Share of the best {depth:,} segments of a class that two submissions both list, meaned over the classes. "
            "A submission that has little in common with the others, and scores well, adds most to an ensemble."
        ),
        heat_map("Overlap of the submissions", names, overlap),
    )


def _weight_parts(names, search):
    weights = search["weights"]
    yield paragraph(
        f"On the ratings of the search: MAP@K {search['map_at_k']:.5f} with the weights found and w0 = {search['w0']:.3g}; "
        f"{search['equal_weights_map']:.5f} with equal weights; {max(search['single_maps']):.5f} the best file alone. "
        f"Searched by {search['method']}, {len(search['history'])} steps, "
        f"{'converged' if search['converged'] else 'ended by the number of steps'}."
    )
    validated = search.get("cross_validation")
    if validated:
        yield paragraph(
            f"Over equal weights, the search gains {validated['in_fold_gain']:+.5f} on the videos that it sees and "
            f"{validated['out_of_fold_gain']:+.5f} on videos left out: {validated['optimism']:+.5f} of the gain is "
            f"optimism ({len(validated['folds'])} folds by video)."
        )
    shares = np.asarray(weights) / sum(weights)
    entries = [
        (name, share, (f"{share:.3f}", f"{value:.5f}")) for name, share, value in zip(names, shares, search["single_maps"])
    ]
    yield bars("Weights", entries, columns=("weight", "own MAP"))
    dropped = [name for name, weight in zip(names, weights) if weight == 0]
    if dropped:
        yield paragraph(f"Can be dropped, MAP is no lower without: {', '.join(dropped)}.")


def _convergence(values):
    """MAP of every step, and the best so far."""
    steps = np.arange(1, len(values) + 1)
    series = [("best so far", steps, np.maximum.accumulate(values)), ("step", steps, values)]
    return f'<div class="charts">{line_chart("MAP over the steps", series, x_label="step", y_label="MAP@K")}</div>'


def _short_names(paths):
    """File names, or whole paths where names repeat."""
    names = [os.path.basename(str(path)) for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]

"""One self-contained HTML page on an ensemble: weights, search and how much the submissions have in common."""

import html
import math
import os

import numpy as np

from yt8m.ensembling import rank_overlap
from yt8m.files import write_text

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse } th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left } svg { display: block; margin: 1rem 0; max-width: 100% }
svg text { font: 12px system-ui, sans-serif; fill: #222 } .dropped { color: #999 }
"""
_BAR = "#3b6ea5"


def write_ensemble_report(path, submissions, *, search=None, depth=1000, class_range=None):
    """Writes the page.

    submissions: paths of the submission files; search: the dict of a weights file (see yt8m.weights_file) or None;
    depth: how many best segments of a class are compared between files; class_range: (first, end) of class ids.
    """
    names = _short_names(submissions)
    overlap = rank_overlap(submissions, depth=depth, class_range=class_range)
    parts = []
    if search is not None:
        parts += _search_parts(names, search)
    parts += [
        "<h2>What the submissions have in common</h2>",
        f"<p>Share of the best {depth:,} segments of a class that two submissions both list, meaned over the classes. "
        "A submission that has little in common with the others, and scores well, adds most to an ensemble.</p>",
        _heat_map(names, overlap),
    ]
    body = "\n".join(parts)
    write_text(
        path,
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Ensemble</title>\n<style>{_STYLE}</style>\n'
        f"<h1>Ensemble of {len(submissions)} submissions</h1>\n{body}\n</html>\n",
    )


def _search_parts(names, search):
    weights = search["weights"]
    yield (
        f"<p>MAP@K {search['map_at_k']:.5f} with the weights found and w0 = {search['w0']:.3g}; "
        f"{search['equal_weights_map']:.5f} with equal weights; {max(search['single_maps']):.5f} the best file alone. "
        f"Searched by {html.escape(search['method'])}, {len(search['history'])} steps, "
        f"{'converged' if search['converged'] else 'ended by the number of steps'}.</p>"
    )
    validated = search.get("cross_validation")
    if validated:
        yield (
            f"<p>Over equal weights, the search gains {validated['in_fold_gain']:+.5f} on the videos that it sees and "
            f"{validated['out_of_fold_gain']:+.5f} on videos left out: {validated['optimism']:+.5f} of the gain is "
            f"optimism ({len(validated['folds'])} folds by video).</p>"
        )
    yield "<h2>Weights</h2>"
    yield _bars(names, weights, search["single_maps"])
    dropped = [name for name, weight in zip(names, weights) if weight == 0]
    if dropped:
        yield f"<p>Can be dropped, MAP is no lower without: {html.escape(', '.join(dropped))}.</p>"
    yield "<h2>Search</h2>"
    yield _convergence([step["map_at_k"] for step in search["history"]])


def _bars(names, weights, single_maps):
    """Bars of the weights, as shares, with each file's own MAP behind."""
    total, left, width = sum(weights), _label_width(names), 360
    rows = [_text(left + width + 60, 14, "weight"), _text(left + width + 130, 14, "own MAP")]
    for index, (name, weight, value) in enumerate(zip(names, weights, single_maps)):
        y = 24 + 24 * index
        rows.append(_text(left - 8, y + 14, name, anchor="end"))
        rows.append(_rect(left, y, width * weight / max(weights), 18, _BAR, f"{name}: {weight / total:.4f}"))
        rows.append(_text(left + width + 60, y + 14, f"{weight / total:.3f}"))
        rows.append(_text(left + width + 130, y + 14, f"{value:.5f}"))
    return _svg(left + width + 190, 30 + 24 * len(names), rows, "Weights")


def _convergence(values):
    """MAP of every step as dots, the best so far as a line."""
    left, width, height = 70, 560, 200
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    xs = [left + width * index / max(len(values) - 1, 1) for index in range(len(values))]
    ys = [10 + height * (high - value) / span for value in values]
    best = np.minimum.accumulate(ys)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, best))
    rows = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="#999"/>' for x, y in zip(xs, ys)]
    rows.append(f'<polyline points="{points}" fill="none" stroke="{_BAR}" stroke-width="2"/>')
    rows += [_text(left - 8, 14, f"{high:.5f}", anchor="end"), _text(left - 8, height + 10, f"{low:.5f}", anchor="end")]
    rows += [_text(left, height + 30, "1"), _text(left + width, height + 30, f"{len(values)} steps", anchor="end")]
    return _svg(left + width + 20, height + 40, rows, "MAP over the steps of the search")


def _heat_map(names, overlap):
    cell, left = 44, _label_width(names)
    rows = []
    for i, name in enumerate(names):
        rows.append(_text(left - 8, 30 + cell * i + cell / 2, f"{i + 1} {name}", anchor="end"))
        rows.append(_text(left + cell * i + cell / 2, 16, str(i + 1), anchor="middle"))
        for j, other in enumerate(names):
            value = overlap[i, j]
            shown = "–" if math.isnan(value) else f"{value:.2f}"
            share = 0.0 if math.isnan(value) else value
            color = f"hsl(210 50% {97 - 55 * share:.0f}%)"
            x, y = left + cell * j, 24 + cell * i
            rows.append(_rect(x, y, cell - 2, cell - 2, color, f"{name} and {other}: {shown}"))
            rows.append(_text(x + cell / 2 - 1, y + cell / 2 + 4, shown, anchor="middle", light=share > 0.6))
    return _svg(left + cell * len(names) + 10, 34 + cell * len(names), rows, "Overlap of the submissions")


def _short_names(paths):
    """File names, or whole paths where names repeat."""
    names = [os.path.basename(str(path)) for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _label_width(names):
    return 40 + 7 * max(map(len, names))


def _svg(width, height, rows, title):
    inner = "\n".join(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}"><title>{html.escape(title)}</title>\n{inner}\n</svg>'
    )


def _rect(x, y, width, height, color, title):
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}">'
        f"<title>{html.escape(title)}</title></rect>"
    )


def _text(x, y, text, *, anchor="start", light=False):
    style = ' style="fill:#fff"' if light else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{html.escape(text)}</text>'

"""Charts of the reports: learning and precision-recall curves, reliability diagrams, bars and heat maps, as HTML."""

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from yt8m.report.page import render
from yt8m.report.svg import LINE_COLOURS, SOFT, drawing, finite
from yt8m.text import printable

_WIDTH, _HEIGHT = 360, 250
_ROW, _CELL, _COLUMN = 24, 44, 76
_DASHES = ((), (6, 3), (2, 3), (8, 3, 2, 3))
_MOST_POINTS = 40
"""Points of a line that say their numbers: a few bytes each, and a pointer tells no more apart."""


def line_chart(
    title: str,
    series: Sequence[tuple[str, Sequence, Sequence]],
    *,
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
) -> Markup:
    """A figure of lines. series: (name, xs, ys) each; points that are not finite are left out.

    x_range, y_range: (low, high), None for that of the points.
    """
    legend = []
    with drawing(_WIDTH, _HEIGHT, fluid=True) as chart:
        for index, (name, *points) in enumerate(series):
            xs, ys = finite(*points)
            colour, dash = LINE_COLOURS[index % len(LINE_COLOURS)], _DASHES[index // len(LINE_COLOURS) % len(_DASHES)]
            legend.append((name, f"var(--c{index % len(LINE_COLOURS)})", " ".join(map(str, dash))))
            if len(xs) > 1:
                (line,) = chart.axes.plot(xs, ys, color=colour, linewidth=2, linestyle=(0, dash) if dash else "-")
                chart.name(line, name)
            places = np.unique(np.linspace(0, max(len(xs) - 1, 0), min(len(xs), _MOST_POINTS)).round().astype(np.int64))
            texts = [f"{name}: {x_label} {x:.6g}, {y_label} {y:.4f}" for x, y in zip(xs[places], ys[places])]
            chart.points(xs[places], ys[places], texts, colour=colour, radius=5, hidden=True)
        chart.axes.set(xlabel=x_label, ylabel=y_label, xlim=x_range, ylim=y_range)
        shown = chart.svg(title)
    return render("figure.html", title=title, drawing=shown, legend=legend if len(legend) > 1 else ())


def reliability_chart(title: str, bins: Sequence[dict]) -> Markup:
    """A figure of a reliability diagram: bars of the share of positives, and dots at the mean scores.

    bins: as yt8m.ranking.diagnosis.calibration gives them.
    """
    with drawing(_WIDTH, _HEIGHT, fluid=True) as chart:
        texts = [
            f"{part['count']:,} pairs, mean score {part['mean_score']:.3f}, positive {part['share_positive']:.3f}"
            for part in bins
        ]
        for part, text in zip(bins, texts):
            low, width = part["low"] + 0.003, part["high"] - part["low"] - 0.006
            (bar,) = chart.axes.bar(low, part["share_positive"], width, align="edge", color=LINE_COLOURS[0], alpha=0.35)
            chart.name(bar, text)
        scores, shares = ([part[name] for part in bins] for name in ("mean_score", "share_positive"))
        chart.axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        chart.points(scores, shares, texts, colour=LINE_COLOURS[0], radius=4, hidden=False)
        chart.axes.set(xlabel="mean score of the bin", ylabel="share rated positive", xlim=(0, 1), ylim=(0, 1))
        shown = chart.svg(title)
    return render("figure.html", title=title, drawing=shown, legend=())


def bars(title: str, entries: Sequence[tuple[str, float, Sequence[str]]], *, columns: Sequence[str]) -> Markup:
    """A drawing of horizontal bars. entries: (name, value >= 0, texts to the right); columns: their headings."""
    with drawing(300, _ROW * len(entries), fluid=False) as chart:
        names = [printable(name) for name, _, _ in entries]
        chart.axes.set(xlim=(0, max(value for _, value, _ in entries) or 1), ylim=(len(entries) - 0.5, -0.5), xticks=[])
        chart.axes.set_yticks(range(len(entries)), names)
        chart.axes.grid(False)
        for place, (name, value, cells) in enumerate(entries):
            (bar,) = chart.axes.barh(place, value, 0.75, color=LINE_COLOURS[0])
            chart.name(bar, f"{name}: {cells[0]}")
        rows = [columns, *(cells for _, _, cells in entries)]
        for place, cells in enumerate(rows, -1):
            for column, cell in enumerate(cells):
                x = 1 + (14 + _COLUMN * column) / 300
                chart.axes.text(x, place, cell, transform=chart.axes.get_yaxis_transform(), verticalalignment="center")
        return _scrolling(chart.svg(title))


def heat_map(title: str, names: Sequence[str], values: np.ndarray) -> Markup:
    """A drawing of a square of numbers in [0, 1], nan where unknown. values: (N, N)."""
    with drawing(_CELL * len(names), _CELL * len(names), fluid=False) as chart:
        chart.axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5))
        chart.axes.set_xticks(range(len(names)), [str(place) for place in range(1, len(names) + 1)])
        chart.axes.set_yticks(range(len(names)), [f"{place} {printable(name)}" for place, name in enumerate(names, 1)])
        chart.axes.tick_params(labeltop=True, labelbottom=False)
        chart.axes.grid(False)
        for (row, column), value in np.ndenumerate(values):
            known = not math.isnan(value)
            shown = f"{value:.2f}" if known else "–"
            # Half as deep at most, so that the number on it stays legible.
            depth = 0.04 + 0.46 * value if known else 0.04
            (cell,) = chart.axes.barh(row, 0.95, 0.95, left=column - 0.475, color=LINE_COLOURS[0], alpha=depth)
            chart.name(cell, f"{names[row]} and {names[column]}: {shown}")
            chart.axes.text(column, row, shown, horizontalalignment="center", verticalalignment="center")
        return _scrolling(chart.svg(title))


def _scrolling(shown):
    return Markup('<div class="scroll" tabindex="0">{}</div>').format(shown)

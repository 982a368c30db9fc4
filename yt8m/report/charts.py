"""Charts as inline SVG, in colours that the page's style names, so that they follow light, dark and paper."""

import math

import numpy as np

from yt8m.report.page import escape

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 360, 250, 48, 10, 10, 36
_DASHES = ("", "6 3", "2 3", "8 3 2 3")
_COLOURS = 6


def line_chart(title, series, *, x_label, y_label, x_range=None, y_range=None):
    """A figure of lines. series: list of (name, xs, ys); points that are not finite are left out.

    x_range, y_range: (low, high), None for that of the points.
    """
    series = [(name, *_finite(xs, ys)) for name, xs, ys in series]
    x_range = x_range or _range([xs for _, xs, _ in series])
    y_range = y_range or _range([ys for _, _, ys in series])
    rows = _axes(x_range, y_range, x_label, y_label)
    for index, (name, xs, ys) in enumerate(series):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(_place(xs, x_range, _xs()), _place(ys, y_range, _ys())))
        if len(xs) == 1:
            x, y = points.split(",")
            rows.append(f'<circle cx="{x}" cy="{y}" r="3" style="fill:{_colour(index)}"/>')
        else:
            rows.append(f'<polyline points="{points}" {_stroke(index)}><title>{escape(name)}</title></polyline>')
    names = [name for name, _, _ in series]
    return _figure(title, svg(_WIDTH, _HEIGHT, rows, title, fluid=True) + (_legend(names) if len(names) > 1 else ""))


def reliability_chart(title, bins):
    """A figure of a reliability diagram: bars of the share of positives, dots of the mean score, counts below.

    bins: as yt8m.ranking.diagnosis.calibration gives them.
    """
    rows = _axes((0, 1), (0, 1), "mean score of the bin", "share rated positive")
    xs, ys = _xs(), _ys()
    for part in bins:
        left, right = _place([part["low"], part["high"]], (0, 1), xs)
        (dot,) = _place([part["mean_score"]], (0, 1), xs)
        (top,) = _place([part["share_positive"]], (0, 1), ys)
        said = f"{part['count']:,} pairs, mean score {part['mean_score']:.3f}, positive {part['share_positive']:.3f}"
        rows.append(rect(left + 1, top, right - left - 2, ys[0] - top, "var(--c0)", said, opacity=0.35))
        rows.append(f'<circle cx="{dot:.1f}" cy="{top:.1f}" r="4" style="fill:var(--c0)"><title>{escape(said)}</title></circle>')
    rows.append(f'<line x1="{xs[0]}" y1="{ys[0]}" x2="{xs[1]}" y2="{ys[1]}" class="guide" stroke-dasharray="4 3"/>')
    return _figure(title, svg(_WIDTH, _HEIGHT, rows, title, fluid=True))


def bars(title, entries, *, columns):
    """A figure of horizontal bars. entries: (name, value >= 0, texts to the right); columns: their headings."""
    left, width = label_width([name for name, _, _ in entries]), 300
    highest = max(value for _, value, _ in entries) or 1.0
    rows = [text(left + width + 14 + 76 * i, 14, heading) for i, heading in enumerate(columns)]
    for index, (name, value, shown) in enumerate(entries):
        y = 24 + 24 * index
        rows.append(text(left - 8, y + 14, name, anchor="end"))
        rows.append(rect(left, y, width * value / highest, 18, "var(--c0)", f"{name}: {shown[0]}"))
        rows += [text(left + width + 14 + 76 * i, y + 14, cell) for i, cell in enumerate(shown)]
    drawing = svg(left + width + 14 + 76 * len(columns), 30 + 24 * len(entries), rows, title)
    return f'<div class="scroll" tabindex="0">{drawing}</div>'


def heat_map(title, names, values):
    """A figure of a square of numbers in [0, 1], nan where unknown. values: (N, N)."""
    cell, left = 44, label_width(names)
    rows = []
    for i, name in enumerate(names):
        rows.append(text(left - 8, 30 + cell * i + cell / 2, f"{i + 1} {name}", anchor="end"))
        rows.append(text(left + cell * i + cell / 2, 16, str(i + 1), anchor="middle"))
        for j, other in enumerate(names):
            value = values[i, j]
            shown = "–" if math.isnan(value) else f"{value:.2f}"
            share = 0.0 if math.isnan(value) else value
            x, y = left + cell * j, 24 + cell * i
            rows.append(rect(x, y, cell - 2, cell - 2, f"hsl(210 50% {92 - 55 * share:.0f}%)", f"{name} and {other}: {shown}"))
            colour = "#fff" if share > 0.55 else "#1f2430"
            rows.append(text(x + cell / 2 - 1, y + cell / 2 + 4, shown, anchor="middle", colour=colour))
    drawing = svg(left + cell * len(names) + 10, 34 + cell * len(names), rows, title)
    return f'<div class="scroll" tabindex="0">{drawing}</div>'


def svg(width, height, rows, title, *, fluid=False):
    """An svg element of ``rows`` of markup. fluid: as wide as the page has room, else at its own size."""
    size = 'style="width:100%"' if fluid else f'width="{width:.0f}" height="{height:.0f}" style="max-width:none"'
    inner = "\n".join(rows)
    return f'<svg role="img" {size} viewBox="0 0 {width:.0f} {height:.0f}"><title>{escape(title)}</title>\n{inner}\n</svg>'


def rect(x, y, width, height, colour, title, *, opacity=1.0):
    """A rectangle that says ``title`` when pointed at."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'style="fill:{colour};fill-opacity:{opacity:g}"><title>{escape(title)}</title></rect>'
    )


def text(x, y, content, *, anchor="start", colour=""):
    """A line of text."""
    style = f' style="fill:{colour}"' if colour else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(content)}</text>'


def label_width(names):
    """Room for ``names`` to the left of a drawing."""
    return 40 + 7 * max(map(len, names))


def _figure(title, inner):
    return f"<figure><figcaption>{escape(title)}</figcaption>{inner}</figure>"


def _legend(names):
    items = "".join(
        f'<li><svg width="26" height="10"><line x1="0" y1="5" x2="26" y2="5" {_stroke(index)}/></svg>{escape(name)}</li>'
        for index, name in enumerate(names)
    )
    return f'<ul class="legend">{items}</ul>'


def _axes(x_range, y_range, x_label, y_label):
    (left, right), (bottom, top) = _xs(), _ys()
    rows = []
    for value, y in zip(_ticks(y_range), _place(_ticks(y_range), y_range, _ys())):
        rows.append(f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" class="axis"/>')
        rows.append(text(left - 6, y + 4, f"{value:.6g}", anchor="end"))
    for value, x in zip(_ticks(x_range), _place(_ticks(x_range), x_range, _xs())):
        rows.append(text(x, bottom + 16, f"{value:.6g}", anchor="middle"))
    rows.append(text((left + right) / 2, _HEIGHT - 4, x_label, anchor="middle", colour="var(--soft)"))
    middle = (top + bottom) / 2
    rows.append(
        f'<text transform="translate(12 {middle:.0f}) rotate(-90)" text-anchor="middle" class="soft">{escape(y_label)}</text>'
    )
    return rows


def _ticks(limits, *, count=5):
    """About ``count`` round numbers within ``limits``."""
    low, high = limits
    step = 10 ** math.floor(math.log10((high - low) / count))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= count)
    return [step * place for place in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _range(arrays):
    """(low, high) of the values of ``arrays``, never empty."""
    values = np.concatenate([np.zeros(0), *arrays])
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    margin = (high - low) * 0.05 or abs(high) * 0.05 or 0.5
    return low - margin, high + margin


def _finite(xs, ys):
    xs, ys = np.asarray(xs, np.float64), np.asarray(ys, np.float64)
    kept = np.isfinite(xs) & np.isfinite(ys)
    return xs[kept], ys[kept]


def _place(values, limits, span):
    low, high = limits
    return [span[0] + (span[1] - span[0]) * (value - low) / (high - low) for value in values]


def _xs():
    return _LEFT, _WIDTH - _RIGHT


def _ys():
    return _HEIGHT - _BOTTOM, _TOP


def _colour(index):
    return f"var(--c{index % _COLOURS})"


def _stroke(index):
    dash = _DASHES[index // _COLOURS % len(_DASHES)]
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'fill="none" style="stroke:{_colour(index)}" stroke-width="2"{dashes}'

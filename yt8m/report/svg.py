"""Matplotlib drawings as inline SVG, in the page's own colours and font, so that they follow light, dark and paper.

Each mark has a ``title``, which is what pointing at it says.
"""

import contextlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup

from yt8m.text import printable
from yt8m.types import InputError

LINE_COLOURS = ("#2563a8", "#c8502b", "#2a7f62", "#8a5fb0", "#a8780f", "#5b6770")
SOFT = "#5d6675"
_NAMES = {colour: f"var(--c{index})" for index, colour in enumerate(LINE_COLOURS)} | {
    "#1f2430": "var(--ink)",
    SOFT: "var(--soft)",
    "#dfe3e8": "var(--line)",
}
"""What the page's style calls the colours that Matplotlib draws with."""

_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.color": "#1f2430",
    "xtick.labelcolor": "#1f2430",
    "ytick.labelcolor": "#1f2430",
    "axes.labelcolor": SOFT,
    "axes.labelsize": 12,
    "font.size": 12,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#dfe3e8",
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "lines.scale_dashes": False,
    "path.simplify": False,
    "xtick.bottom": False,
    "ytick.left": False,
} | {f"axes.spines.{side}": False for side in ("left", "right", "top", "bottom")}


def import_matplotlib() -> Any:
    """The module matplotlib; InputError where it is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise InputError("the charts of a report need Matplotlib: pip install 'yt8m[report]'") from None
    return matplotlib


@contextlib.contextmanager
def drawing(width: float, height: float, *, fluid: bool) -> Iterator["Drawing"]:
    """Context manager: a Drawing in the style of the report, to be drawn and made SVG in the block.

    width, height: pixels. fluid: the page scales the whole to the room that it has, and labels are within the size;
    else the size is that of the axes, labels stand around it, and nothing is scaled.
    """
    with import_matplotlib().rc_context(_STYLE):
        yield Drawing(width, height, fluid=fluid)


class Drawing:
    """A Matplotlib figure with one pair of axes, whose marks say a text when they are pointed at."""

    def __init__(self, width: float, height: float, *, fluid: bool):
        from matplotlib.figure import Figure

        # The SVG backend's pixel is a 72nd of an inch.
        self.figure = Figure(figsize=(width / 72, height / 72), layout="constrained" if fluid else None)
        self.axes = self.figure.subplots() if fluid else self.figure.add_axes((0, 0, 1, 1))
        self.axes.patch.set_visible(False)
        self.figure.patch.set_visible(False)
        self._fluid = fluid
        self._titles = {}
        self._points = {}

    def name(self, artist: Any, text: str) -> None:
        """Gives a line or patch its text."""
        artist.set_gid(f"mark{len(self._titles)}")
        self._titles[artist.get_gid()] = printable(text)

    def points(self, xs: Any, ys: Any, texts: Sequence[str], *, colour: str, radius: float, hidden: bool) -> None:
        """Draws circles, each with its text. radius: pixels. hidden: seen only when pointed at, or if the only one."""
        (artist,) = self.axes.plot(xs, ys, linestyle="", marker="o", color=colour)
        artist.set_gid(f"points{len(self._points)}")
        self._points[artist.get_gid()] = (list(map(printable, texts)), radius, hidden)

    def svg(self, label: str) -> Markup:
        """The svg element. label: what it shows, in words."""
        file = io.BytesIO()
        with warnings.catch_warnings():
            # The browser has fonts for what Matplotlib's own lacks.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            self.figure.savefig(file, format="svg", bbox_inches=None if self._fluid else "tight", pad_inches=0.03)
        drawn = ElementTree.fromstring(file.getvalue())
        root = ElementTree.Element(
            "svg", {"role": "img", "aria-label": printable(label), "viewBox": drawn.get("viewBox", "")}
        )
        size = {name: drawn.get(name, "").removesuffix("pt") for name in ("width", "height")}
        root.attrib |= {"style": "width:100%"} if self._fluid else size
        for child in drawn:
            self._copy(child, root)
        return Markup(ElementTree.tostring(root, encoding="unicode"))

    def _copy(self, source, parent):
        """Copies what is drawn below ``parent``, without what only Matplotlib or a file of its own needs."""
        kind, identifier = source.tag.rpartition("}")[2], source.get("id")
        if identifier in self._points:
            self._copy_points(source, parent)
        elif kind == "g":
            if identifier in self._titles:
                parent = ElementTree.SubElement(parent, "g")
                ElementTree.SubElement(parent, "title").text = self._titles[identifier]
            for child in source:
                self._copy(child, parent)
        elif kind in ("path", "text"):
            copied = ElementTree.SubElement(parent, kind, _attributes(source))
            copied.text = source.text and source.text.strip()

    def _copy_points(self, source, parent):
        texts, radius, hidden = self._points[source.get("id")]
        uses = [element for element in source.iter() if element.tag.endswith("}use")]
        group = ElementTree.SubElement(parent, "g", {"class": "points"} if hidden else {})
        if uses:
            group.set("style", _attributes(uses[0])["style"])
        for use, text in zip(uses, texts, strict=True):
            place = {"cx": _short(use.get("x")), "cy": _short(use.get("y")), "r": f"{radius:g}"}
            ElementTree.SubElement(ElementTree.SubElement(group, "circle", place), "title").text = text


def finite(xs: Any, ys: Any) -> tuple[np.ndarray, np.ndarray]:
    """The points, float64 (N,) each, whose both coordinates are finite."""
    xs, ys = np.asarray(xs, np.float64), np.asarray(ys, np.float64)
    kept = np.isfinite(xs) & np.isfinite(ys)
    return xs[kept], ys[kept]


def _attributes(element):
    """Where and how an element is drawn: numbers to a tenth of a pixel, colours by name, the page's font."""
    kept = {name: _short(element.get(name)) for name in ("d", "x", "y", "transform") if element.get(name)}
    if kept.get("transform", "").startswith("rotate(-0 "):
        del kept["transform"]
    style = [part for part in element.get("style", "").split("; ") if part and not part.startswith("font")]
    kept["style"] = re.sub("#[0-9a-f]{6}", lambda match: _NAMES.get(match[0], match[0]), "; ".join(style))
    return kept


def _short(numbers):
    return re.sub(r"-?\d+\.\d+", lambda match: f"{round(float(match[0]), 1):g}", " ".join(numbers.split()))

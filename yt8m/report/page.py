"""Pages by Jinja2: one HTML file that loads nothing, for desktop, phone and paper, light and dark.

The templates escape whatever is not Markup, control characters too, and JSON is embedded by ``tojson``: no text of the
data is read as HTML.
"""

import functools
import os
from collections.abc import Iterable

import jinja2
from markupsafe import Markup

from yt8m.runtime.files import write_text
from yt8m.text import printable


def render(template: str, **values: object) -> Markup:
    """HTML of a file of the folder ``templates``. A name that the template reads and ``values`` lacks is an error."""
    return Markup(_environment().get_template(template).render(values))


def write_page(path: str | os.PathLike, *, title: str, parts: Iterable[Markup], results: dict | None = None) -> None:
    """Writes the page atomically. parts: sections of HTML; results: what the element "results" holds as JSON."""
    style, script = (Markup(_source(name)) for name in ("report.css", "report.js"))
    write_text(path, render("page.html", title=title, parts=parts, results=results, style=style, script=script))


@functools.cache
def _environment():
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("yt8m.report"),
        autoescape=True,
        finalize=lambda value: printable(value, keep="\n") if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = format
    environment.policies["json.dumps_kwargs"] = {}
    return environment


def _source(name):
    """Text of a file beside the templates that is no template itself."""
    environment = _environment()
    return environment.loader.get_source(environment, name)[0]

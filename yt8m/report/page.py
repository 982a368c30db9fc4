"""The skeleton of a report: one HTML file that loads nothing, for desktop, phone and paper, light and dark.

What comes from data goes through ``escape`` or ``embed_json``, and the script only ever writes it as text.
"""

import html
import json

from yt8m.report.assets import SCRIPT, STYLE
from yt8m.runtime.files import write_text


def escape(text):
    """HTML of ``text``, for content and attributes."""
    return html.escape(str(text))


def embed_json(identifier, value):
    """A script element that runs nothing and holds ``value`` as JSON; no text in it can end the element."""
    text = json.dumps(value)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{escape(identifier)}">{text}</script>'


def write_page(path, *, title, parts):
    """Writes the page atomically. parts: iterable of HTML."""
    body = "\n".join(parts)
    write_text(
        path,
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n<h1>{escape(title)}</h1>\n{body}\n"
        f"<script>{SCRIPT}</script>\n</html>\n",
    )


def section(heading, *parts):
    """A section under a heading."""
    inner = "\n".join(parts)
    return f"<section>\n<h2>{escape(heading)}</h2>\n{inner}\n</section>"


def paragraph(text):
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def cards(pairs):
    """Numbers with what they are: (label, value) pairs of text."""
    inner = "".join(f"<div><b>{escape(value)}</b><span>{escape(label)}</span></div>" for label, value in pairs)
    return f'<div class="cards">{inner}</div>'


def table(columns, rows, *, num_texts=1, sortable=False, identifier=None):
    """A table that scrolls sideways where it is too wide.

    columns: names, ``num_texts`` of text, others of numbers. rows: iterable of rows of cells: str, or (str, float)
    where the float, in full, is what is sorted by. sortable: a click on a column's name sorts by it.
    """
    name = f' id="{escape(identifier)}"' if identifier else ""
    kinds = ["sortable"] * sortable + ["two-texts"] * (num_texts == 2)
    kind = f' class="{" ".join(kinds)}"' if kinds else ""
    head = "".join(f"<th>{_button(column) if sortable else escape(column)}</th>" for column in columns)
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    tall = " tall" if sortable else ""
    return (
        f'<div class="scroll{tall}" tabindex="0"><table{name}{kind}><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _button(column):
    return f'<button type="button">{escape(column)}</button>'


def _cell(cell):
    if isinstance(cell, tuple):
        text, value = cell
        return f'<td data-v="{value!r}">{escape(text)}</td>'
    return f"<td>{escape(cell)}</td>"

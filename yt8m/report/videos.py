"""The page of videos beside their timelines: a click on a segment plays from there."""

import base64
import mimetypes
import os
from collections.abc import Iterable
from urllib.parse import quote

from markupsafe import Markup

from yt8m.ranking.timelines import Timeline
from yt8m.report.page import render, write_page
from yt8m.report.timelines import Media, timeline_part
from yt8m.text import counted
from yt8m.types import InputError, StrPath

_MOST_EMBEDDED = 200 << 20
"""Bytes of a video that a page can hold; browsers give up on much larger ones."""

_WEB = ("http://", "https://")


def check_playable(source: str, *, embed: bool) -> None:
    """Raises InputError for a source that no page can play, or hold if it is to be embedded."""
    if "://" in source:
        if not source.startswith(_WEB):
            raise InputError(
                f"{source} cannot be played by a browser: give a local file or an http address for the page"
            )
    elif embed and (size := os.path.getsize(source)) > _MOST_EMBEDDED:
        raise InputError(f"{source} has {size:,} bytes, too many to embed: leave --embed out")


def make_media(
    source: str, page: StrPath, *, embed: bool, has_video: bool = True, thumbnails: Iterable[tuple[int, bytes]] = ()
) -> Media:
    """The Media of a video or sound file. source: path, or http(s) address; page: path of the page that plays it.

    embed: whether the page holds the file itself. has_video: whether there are pictures. thumbnails: (second, JPEG)
    pairs. Raises InputError as check_playable does.
    """
    check_playable(source, embed=embed)
    name = os.path.basename(source)
    pictures = tuple((second, _data("image/jpeg", jpeg)) for second, jpeg in thumbnails)
    kind = "video" if has_video else "audio"
    if source.startswith(_WEB):
        address = source
    elif embed:
        with open(source, "rb") as file:
            address = _data(mimetypes.guess_type(source)[0] or f"{kind}/mp4", file.read())
    else:
        folder = os.path.dirname(os.path.abspath(page))
        address = quote(os.path.relpath(source, folder).replace(os.sep, "/"))
        # A first part with a colon would be read as a scheme.
        address = address if address.startswith((".", "/")) else f"./{address}"
    return Media(kind=kind, address=address, name=name, thumbnails=pictures)


def write_video_report(
    path: StrPath,
    shown: Iterable[tuple[Timeline, Media]],
    *,
    class_names: dict[int, str],
    kind: str,
    full: float = 1.0,
) -> None:
    """Writes the page.

    shown: Timelines of the classes to show, each with its Media; kind: words on the scores; full: as in timeline_part.
    """
    parts: list[Markup] = [
        timeline_part(
            timeline, {}, note=counted(len(timeline.starts), "segment"), class_names=class_names, media=media, full=full
        )
        for timeline, media in shown
    ]
    write_page(
        path, title="What happens in the videos, and when", parts=[render("videos.html", kind=kind, full=full), *parts]
    )


def _data(kind, content):
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"

"""Videos that a command line names: files, folders, globs and addresses, each with the id that it will have."""

import glob
import os
import posixpath
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from yt8m.features.decoding.sources import is_local
from yt8m.runtime.files import is_media_name
from yt8m.tables import read_columns
from yt8m.types import InputError, id_problem, sanitized_id


def find_videos(arguments: Sequence[str]) -> dict[str, str]:
    """Dict of id to source, a path or address, in the order of the ids.

    arguments: files, globs, folders, which stand for the media files in them, addresses, and CSVs with the columns
    video_id and path, paths from the CSV's folder on. Elsewhere an id is a file's name without suffix, with what no id
    can hold replaced by an underscore. Raises InputError where something is not there, or two files would have one id.
    """
    found: dict[str, str] = {}
    for argument in arguments:
        for video_id, source in _expanded(argument):
            if found.setdefault(video_id, source) != source:
                raise InputError(f"{found[video_id]} and {source} would both have the id {video_id}: rename one")
    if not found:
        raise InputError("name videos: files, globs, folders or addresses, as in yt8m-video 'clips/*.mp4'")
    return dict(sorted(found.items()))


def _expanded(argument):
    """Yields (id, source) of what an argument names."""
    if argument.endswith(".csv"):
        yield from _listed(argument)
    else:
        yield from ((sanitized_id(_stem(source)), source) for source in _sources(argument))


def _listed(path):
    for row in read_columns(path, ("video_id", "path"), what="list of videos"):
        video_id, source = row.fields
        if problem := id_problem(video_id):
            raise InputError(f"{row.where}: the id {video_id!r} {problem}")
        source = os.path.join(os.path.dirname(path), source) if is_local(source) else source
        if is_local(source) and not os.path.isfile(source):
            raise InputError(f"{row.where}: {source} is not there")
        yield video_id, source


def _sources(argument):
    if not is_local(argument) or os.path.isfile(argument):
        return [argument]
    if os.path.isdir(argument):
        found = glob.glob(os.path.join(glob.escape(argument), "*"))
        paths = sorted(path for path in found if os.path.isfile(path) and is_media_name(path))
        if not paths:
            raise InputError(f"the folder {argument} has no files of video or sound")
        return paths
    paths = sorted(path for path in glob.glob(argument, recursive=True) if os.path.isfile(path))
    if not paths:
        raise InputError(f"no file matches {argument}")
    return paths


def _stem(source):
    name = os.path.basename(source) if is_local(source) else posixpath.basename(unquote(urlsplit(source).path))
    return os.path.splitext(name)[0] or "video"

"""Texts written into records that are there already, of any level, beside what they hold."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import tensorflow as tf
from google.protobuf.message import DecodeError

from yt8m.data.feature_origins import copy_origins
from yt8m.data.making.packer import size_and_time
from yt8m.data.making.shard_folder import ShardFolder
from yt8m.data.making.text_tables import Texts, say_whose_texts
from yt8m.data.scan import scan
from yt8m.data.splits import Source, collect_ids
from yt8m.data.text_fields import set_texts
from yt8m.data.tfrecord import ID_KEYS, PACK_LOG
from yt8m.runtime.files import read_json
from yt8m.runtime.locks import locked_folder
from yt8m.runtime.progress import Progress
from yt8m.types import InputError, StrPath


def add_texts(files: Sequence[str], texts: Texts, output_dir: StrPath, *, paths: Sequence[str]) -> int:
    """Copies record ``files`` into ``output_dir``, by their names, with the texts of their videos; returns how many.

    Texts take the place of those of the same field that a record has. paths: the files that texts are from. What an
    earlier, stopped call has written stays. pack.json and features.json beside the records go along. Raises InputError
    for a damaged record, for two files of one name, and where ``output_dir`` is the folder of one of them.
    """
    names = {os.path.basename(file): file for file in files}
    for file in files:
        if names[os.path.basename(file)] != file:
            raise InputError(
                f"{file} and {names[os.path.basename(file)]} have one name: add texts to each folder alone"
            )
        if os.path.realpath(os.path.dirname(file) or ".") == os.path.realpath(output_dir):
            raise InputError(f"{os.fspath(output_dir)} is the folder of {file}: name another folder as output_dir")
    say_whose_texts(texts, collect_ids(Source(tuple(files)), skip_corrupt=False, title="reading ids"), paths=paths)
    source = os.path.dirname(files[0]) or "."
    stats = [[name, *_size_and_time(file)] for name, file in names.items()] + [size_and_time(path) for path in paths]
    inputs = hashlib.blake2b(json.dumps(stats).encode(), digest_size=16).hexdigest()
    folder = ShardFolder(output_dir, prefix="", inputs=inputs, facts={"num_classes": _num_classes(source)})
    records = 0
    with locked_folder(output_dir), Progress("adding texts", total=len(names), unit="files") as progress:
        folder.resume()
        copy_origins(source, output_dir)
        for name, file in names.items():
            if not folder.is_whole(name):
                folder.write(name, _with_texts(file, texts), dict)
            records += folder.log["shards"][name]["records"]
            progress.update(note=name)
    return records


class _Serialized(NamedTuple):
    """A record that is serialized already."""

    content: bytes

    def serialize(self, *, id_key: str) -> bytes:
        return self.content


def _with_texts(file: str, texts: Texts) -> Iterator[_Serialized]:
    for found in scan(file):
        where = f"{file}, record {found.number}"
        if found.serialized is None:
            raise InputError(f"{where}: {found.problem}")
        try:
            # The context of a SequenceExample has the number of an Example's features, so that one parses as the other.
            example = tf.train.SequenceExample.FromString(found.serialized)
        except DecodeError:
            raise InputError(f"{where}: it is not a SequenceExample or an Example") from None
        context = example.context.feature
        ids = [value for key in ID_KEYS if key in context for value in context[key].bytes_list.value]
        set_texts(context, texts.get(ids[0].decode(errors="replace"), ()) if ids else ())
        yield _Serialized(example.SerializeToString(deterministic=True))


def _size_and_time(file):
    """As of size_and_time, of a file anywhere."""
    status = tf.io.gfile.stat(file)
    return status.length, status.mtime_nsec


def _num_classes(folder):
    """Size of the vocabulary as pack.json of a folder says it, None where it does not."""
    path = os.path.join(folder, PACK_LOG)
    return read_json(path, what="a log of yt8m-pack").get("num_classes") if os.path.exists(path) else None

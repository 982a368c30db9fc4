"""Clip records whose small clips a super-resolution network has enlarged, with all else as it was."""

import functools
import hashlib
import json
import os
from collections.abc import Iterator, Sequence

import tensorflow as tf

from yt8m.config import DataConfig
from yt8m.data.clip_records import FORMAT, HEIGHT, WIDTH
from yt8m.data.making.packer import size_and_time
from yt8m.data.making.shard_folder import ShardFolder
from yt8m.data.pictures import decode_picture
from yt8m.data.record_checks import scan_records
from yt8m.data.tfrecord import PICTURE_LIST
from yt8m.features.decoding.sources import is_local
from yt8m.features.jpeg import encode_jpeg
from yt8m.features.resolving import Resolving
from yt8m.runtime.locks import locked_folder
from yt8m.runtime.progress import Progress
from yt8m.train_parts import CHANNELS
from yt8m.types import PICTURES, InputError, StrPath

_CLIPS = DataConfig(level="clip", feature_names=(PICTURES,), feature_sizes=(CHANNELS,), sampling="uniform")


def resolve_clips(
    files: Sequence[str],
    output_dir: StrPath,
    resolving: Resolving,
    *,
    quality: int = 90,
    num_classes: int | None = None,
) -> tuple[int, int]:
    """Writes the clip records of ``files`` to ``output_dir``, small ones enlarged; (clips, those that were enlarged).

    Which clips are enlarged, and how far, is yt8m.features.resolving's; the others stay byte for byte. quality: of the
    JPEGs of enlarged pictures. num_classes: size of the vocabulary, which training finds in pack.json. Files keep their
    names, and whole ones of an earlier call stay. Raises InputError for a record that is broken, for two files of one
    name, and where ``output_dir`` is the folder of a file or holds other records.
    """
    names = {os.path.basename(file): file for file in files}
    if len(names) < len(files):
        raise InputError(f"two of the {len(files)} files to enlarge have one name, which both would be written under")
    for file in files:
        if os.path.realpath(os.path.dirname(file)) == os.path.realpath(output_dir):
            raise InputError(f"{output_dir} is the folder of {file}, which would be lost: name another folder")
    facts = {"num_classes": num_classes, "resolver_digest": resolving.digest}
    folder = ShardFolder(output_dir, prefix="", inputs=_digest(files, resolving, quality), facts=facts)
    with locked_folder(output_dir), Progress("enlarging clips", total=len(files), unit="files") as progress:
        folder.resume()
        for name, file in names.items():
            if not folder.is_whole(name):
                counted = {"enlarged": 0}
                folder.write(name, _records(file, resolving, quality, counted), functools.partial(dict, counted))
            progress.update(note=name)
    shards = folder.log["shards"].values()
    return sum(shard["records"] for shard in shards), sum(shard["enlarged"] for shard in shards)


def _digest(files, resolving, quality):
    stats = [(os.path.basename(file), *(size_and_time(file) if is_local(file) else ())) for file in files]
    known = [resolving.digest, quality, stats]
    return hashlib.blake2b(json.dumps(known).encode(), digest_size=16).hexdigest()


def _records(file: str, resolving: Resolving, quality: int, counted: dict[str, int]) -> Iterator[bytes]:
    """The records of a file, serialized; counts those that were enlarged."""
    for found in scan_records(file, _CLIPS, windows="all"):
        if found.problem:
            raise InputError(f"{file}, record {found.number}: {found.problem}")
        record = _enlarged(found.serialized, resolving, quality)
        counted["enlarged"] += record is not found.serialized
        yield record


def _enlarged(serialized, resolving, quality):
    """A record with its small pictures enlarged; itself where it has none."""
    example = tf.train.SequenceExample.FromString(serialized)
    features = example.feature_lists.feature_list[PICTURE_LIST].feature
    pictures = (decode_picture(feature.bytes_list.value[0]).numpy() for feature in features)
    sizes = []
    for feature, enlarged in zip(features, resolving.enlarge(pictures)):
        if enlarged is not None:
            feature.bytes_list.value[0] = encode_jpeg(enlarged, quality=quality)
            sizes.append(enlarged.shape[:2])
    if not sizes:
        return serialized
    context = example.context.feature
    for name, side in zip((HEIGHT, WIDTH), sizes[0]):
        context[name].int64_list.value[:] = [side]
    context[FORMAT].bytes_list.value[:] = [b"JPEG"]
    return example.SerializeToString(deterministic=True)

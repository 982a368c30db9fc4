"""Survey of a data set in one pass that is about as fast as the reader's: contents and problems."""

import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from yt8m.config import DataConfig
from yt8m.data import tfrecord
from yt8m.data.record_checks import SEGMENT_LISTS, check_record
from yt8m.data.survey.clips import MEDIASEQUENCE_SEGMENTS, clip_parser
from yt8m.data.survey.findings import ERROR
from yt8m.data.survey.id_index import IdIndex
from yt8m.data.survey.record_blocks import parse_good, record_blocks
from yt8m.data.survey.tally import Tally
from yt8m.data.survey.texts import TextTally
from yt8m.data.tokens import Tokenizer
from yt8m.runtime.files import leftovers
from yt8m.runtime.parallel import map_in_threads, processors
from yt8m.runtime.progress import Progress
from yt8m.types import InputError, Tensor

_MEGABYTE = 10**6


class Survey:
    """Contents and problems of ``files``.

    Attributes: files; bytes; id_keys and levels, dicts of what the first records of the files have to their number;
    tally, a Tally.
    """

    def __init__(self, files: Sequence[str], config: DataConfig, *, tokenizer: Tokenizer | None = None):
        """Reads ``files``, list of str, as ``config``, a DataConfig, says; what cannot be read becomes a finding.

        tokenizer: by which the tokens of texts are counted.
        """
        self.files = list(files)
        self.config = config
        self.tally = Tally(config, TextTally(tokenizer))
        self.id_keys = {}
        self._parse = _parser(config)
        self._note_leftovers()
        sizes = self._sizes()
        self.bytes = sum(sizes.values())
        for block, parts in _each_block(sizes, self._blocks, self._examine, "examining"):
            for start, parsed in parts:
                self._count(block, start, parsed)

    def _count(self, block, start, parsed):
        if parsed is None:
            self.tally.add_bad(block.file, block.index + start, self._explain(block, start))
        else:
            records = block.serialized[start : start + len(parsed["id"])].numpy().tolist()
            self.tally.add(
                block.file, block.index + start, parsed, lambda row: self._explain(block, start + row), records
            )

    def _note_leftovers(self):
        for folder in sorted({os.path.dirname(file) or "." for file in self.files}):
            for path in leftovers(folder):
                self.tally.findings.warning("temporary folders of commands that are at work or were killed", path)

    def _sizes(self):
        """Dict of each file that can be read to its bytes."""
        sizes = {}
        for file in self.files:
            try:
                sizes[file] = tfrecord.check_file(file)
            except InputError as error:
                self.tally.findings.add(ERROR, "files that are empty or unreadable", [str(error)], 1)
        return sizes

    def _blocks(self, file):
        """record_blocks, with what the first record says about the file noted on the way."""
        empty = True
        for block in record_blocks(file):
            if empty and block.serialized is not None:
                self._note_schema(file, block.serialized[0].numpy())
            empty = False
            yield block
        if empty:
            self.tally.findings.warning("files without records", file)

    def _note_schema(self, file, serialized):
        found = tfrecord.describe([serialized])
        if found is None:
            return
        if found.id_key:
            self.id_keys[found.id_key] = self.id_keys.get(found.id_key, 0) + 1
        if MEDIASEQUENCE_SEGMENTS in serialized:
            what = "files with timed segments of MediaSequence, which are not read: segment_labels are"
            self.tally.findings.note(what, file)
        extra = sorted(set(found.features) - set(self.config.features))
        if extra and found.level == self.config.level:
            self.tally.findings.note(f"files with features that were not examined: {', '.join(extra)}", file)

    def _examine(self, block):
        if block.serialized is None:
            return block, [(0, None)]
        return block, list(parse_good(self._parse, block.serialized))

    def _explain(self, block, row):
        if block.problem:
            return block.problem
        return check_record(block.serialized[row].numpy(), self.config) or "the reader cannot parse it"


def index_ids(files: Sequence[str]) -> IdIndex:
    """The IdIndex of ``files``, of whose records only the ids are read; those without a readable one are left out."""
    index = IdIndex()

    def parse(serialized):
        return tfrecord.parse_context(serialized)[0].numpy().tolist()

    def examine(block):
        return block, [] if block.serialized is None else list(parse_good(parse, block.serialized))

    sizes = {file: tfrecord.check_file(file) for file in files}
    for block, parts in _each_block(sizes, record_blocks, examine, "reading ids"):
        for start, ids in parts:
            index.add(block.file, block.index + start, ids or [b""])
    return index


def read_ids(file: str, rows: Sequence[int]) -> dict[int, bytes]:
    """Dict of record number to id, bytes, of the records ``rows`` of ``file`` that can be read."""
    wanted, found = set(rows), {}
    for block in record_blocks(file):
        if block.serialized is not None:
            for row in wanted & set(range(block.index, block.index + len(block.serialized))):
                found[row] = tfrecord.parse_context(block.serialized[row - block.index][None])[0][0].numpy()
        if len(found) == len(wanted):
            break
    return found


def _each_block(sizes, blocks_of, examine, description):
    """Yields examine(block) of every block of the files of ``sizes``, a dict of file to bytes, in order."""
    total = sum(sizes.values())
    done = 0
    blocks = (block for file in sizes for block in blocks_of(file))
    threads = 2 * processors()
    with Progress(description, total=total // _MEGABYTE, unit="MB") as progress:
        for block, parts in map_in_threads(examine, blocks, threads=threads):
            yield block, parts
            # What comes out of a compressed file is more than what went in.
            done = min(done + block.size, total)
            progress.update(done // _MEGABYTE - progress.count)


def _parser(config):
    if config.level == "clip":
        return clip_parser()
    return frame_parser(config) if config.level == "frame" else video_parser(config)


def frame_parser(config: DataConfig) -> Callable[[Tensor], dict[str, np.ndarray]]:
    """Function of (B,) serialized SequenceExamples to a dict of NumPy arrays, or tf.errors.OpError on a bad one.

    "id": list of bytes. "right": (B,) bool, whether all features have frames, all of their sizes. "lengths": (B, F)
    frames of each feature. "labels", "label_scores" and the rating fields: (values, lengths (B,)) each.
    """
    lists = ("labels", *SEGMENT_LISTS)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def parse(serialized):
        ids, context, frames, lengths = tfrecord.parse_frames(
            serialized, features=config.feature_names, lists=lists, float_lists=("label_scores", "segment_scores")
        )
        right = tf.ones_like(ids, tf.bool)
        for name, size in config.features.items():
            beyond = ~tf.sequence_mask(lengths[name], tf.shape(frames[name])[1])
            right &= tf.reduce_all((tf.strings.length(frames[name]) == size) | beyond, axis=1) & (lengths[name] > 0)
        return ids, right, tf.stack([lengths[name] for name in config.feature_names], 1), _flat(context)

    # Threads that call a function for the first time would each trace it.
    traced = parse.get_concrete_function()

    def run(serialized):
        ids, right, lengths, context = traced(serialized)
        return _numpy(ids, right, context) | {"lengths": lengths.numpy()}

    return run


def video_parser(config: DataConfig) -> Callable[[Tensor], dict[str, np.ndarray]]:
    """Parser of Examples, as frame_parser is of SequenceExamples, without "lengths" and ratings.

    "right": (B,) bool, whether all values of the features are finite.
    """

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def parse(serialized):
        ids, context, features = tfrecord.parse_videos(
            serialized, features=config.features, lists=("labels",), float_lists=("label_scores",)
        )
        finite = tf.ones_like(ids, tf.bool)
        for values in features.values():
            finite &= tf.reduce_all(tf.math.is_finite(values), axis=1)
        return ids, finite, _flat(context)

    traced = parse.get_concrete_function()

    def run(serialized):
        ids, finite, context = traced(serialized)
        return _numpy(ids, finite, context)

    return run


def _flat(context):
    return {name: (ragged.values, ragged.row_lengths()) for name, ragged in context.items()}


def _numpy(ids, right, context):
    flat = {name: tuple(part.numpy() for part in parts) for name, parts in context.items()}
    return {"id": ids.numpy().tolist(), "right": right.numpy()} | flat

"""Records read block by block where some of them are bad: the good ones are parsed in the graph all the same."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from yt8m.data.record_dataset import record_dataset
from yt8m.data.scan import scan
from yt8m.data.tfrecord import BLOCK
from yt8m.types import InputError, Tensor


@dataclasses.dataclass(frozen=True)
class RecordBlock:
    """Records ``index``, index + 1, ... of ``file``: ``serialized`` (B,) string tensor, or what is wrong with the one.

    size: bytes that they take in the file, before compression.
    """

    file: str
    index: int
    serialized: tf.Tensor | None = None
    problem: str | None = None

    @property
    def size(self) -> int:
        """Bytes of the records in the file, before compression."""
        if self.serialized is None:
            return 0
        return int(tf.reduce_sum(tf.strings.length(self.serialized))) + 16 * len(self.serialized)


def record_blocks(file: str) -> Iterator[RecordBlock]:
    """Generator of the RecordBlocks of ``file``; a record that cannot be read makes one of its own with a problem.

    Behind a damaged record it goes on, see yt8m.data.scan.
    """
    index = 0
    try:
        for serialized in record_dataset(file).batch(BLOCK).prefetch(2):
            yield RecordBlock(file, index, serialized)
            index += len(serialized)
        return
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError, InputError):
        # The block that fails is lost whole, so its records are read one by one.
        pass
    except tf.errors.OpError as error:
        yield RecordBlock(file, index, problem=f"cannot be read: {error.message}")
        return
    try:
        for record in scan(file):
            if record.number < index:
                continue
            if record.serialized is None:
                yield RecordBlock(file, record.number, problem=record.problem)
            else:
                yield RecordBlock(file, record.number, tf.constant([record.serialized]))
    except InputError as error:
        yield RecordBlock(file, index, problem=str(error))


def parse_good(parse: Callable[[Tensor], Any], serialized: Tensor) -> Iterator[tuple[int, Any]]:
    """Parses ``serialized`` (B,) in parts: generator of (first row; what ``parse`` gives, None for one bad record).

    A part on which ``parse`` raises tf.errors.OpError is halved until its bad records stand alone.
    """
    whole = slice(0, len(serialized))
    waiting = [whole]
    while waiting:
        rows = waiting.pop()
        try:
            # A slice is a copy, even of the whole.
            yield rows.start, parse(serialized if rows == whole else serialized[rows])
        except tf.errors.OpError:
            if rows.stop - rows.start == 1:
                yield rows.start, None
                continue
            middle = (rows.start + rows.stop) // 2
            waiting += [slice(middle, rows.stop), slice(rows.start, middle)]

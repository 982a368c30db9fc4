"""Ranked segments as arrays of bytes: parse, compare, group and sort a hundred thousand of them in milliseconds.

A submission is mostly text such as ``Eq0a:15``. Making Python strings of it and looking these up one by one takes ten
times longer than all arithmetic, so a SegmentList keeps the text and addresses it with NumPy, 8 bytes at a time.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from yt8m.types import MAX_ID_BYTES, MAX_START_DIGITS, ODD_CHARACTER, InputError, Segment, id_problem

_PADDING = 64
_MAX_WORDS = _PADDING // 8
_MASKS = np.array([(1 << (8 * size)) - 1 for size in range(9)], np.uint64)
_IN_MOST_IDS = b"\0 " + bytes(byte for byte in range(33, 127) if not id_problem(chr(byte)))
_SALTS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F)
_MULTIPLIERS = tuple(pow(0xE7037ED1A0B428DB, 2 * index + 1, 1 << 64) for index in range(_MAX_WORDS + 1))


class SegmentList:
    """Segments in ranked order, best first; iterates as Segment.

    buffer: uint8 array of text with _PADDING zero bytes before and behind it.
    starts, lengths: (N,) int64, where in the buffer each segment's ``video_id:start_time`` stands, in UTF-8.
    scores: (N,) float array, or None where there are none.
    """

    def __init__(
        self, buffer: np.ndarray, starts: np.ndarray, lengths: np.ndarray, *, scores: np.ndarray | None = None
    ):
        self.buffer = buffer
        self.starts = starts
        self.lengths = lengths
        self.scores: Any = scores
        self._hashes: np.ndarray | None = None

    @classmethod
    def from_text(cls, text: bytes, *, scores: np.ndarray | None = None) -> "SegmentList":
        """Segments from bytes such as ``b"Eq0a:15 Eq0a:20"``. Raises InputError where a control byte is in them."""
        buffer = np.frombuffer(b"".join((bytes(_PADDING), text, b" ", bytes(_PADDING))), np.uint8)
        ends = np.flatnonzero(buffer[_PADDING:-_PADDING] <= 32)
        ends += _PADDING
        odd = np.flatnonzero(buffer[ends] != 32)
        if len(odd):
            raise InputError(f"byte {text[ends[odd[0]] - _PADDING]:#04x} among the segments")
        starts = np.empty_like(ends)
        starts[0] = _PADDING
        np.add(ends[:-1], 1, out=starts[1:])
        lengths = ends - starts
        if not lengths.all():
            starts, lengths = starts[lengths > 0], lengths[lengths > 0]
        return cls(buffer, starts, lengths, scores=scores)

    @classmethod
    def from_segments(cls, segments: Iterable[Any], *, scores: np.ndarray | None = None) -> "SegmentList":
        """Segments from an iterable of Segment or str. Raises InputError where one cannot stand in a submission."""
        texts = [str(segment) for segment in segments]
        for text in texts:
            if any(character <= " " for character in text):
                raise InputError(f"{text!r} has a blank or control character, which no submission can hold")
        parsed = cls.from_text(" ".join(texts).encode(), scores=None if scores is None else np.asarray(scores))
        parsed.check()
        return parsed

    @classmethod
    def from_arrow(cls, texts: Any, *, scores: np.ndarray | None = None) -> "SegmentList":
        """Segments from a pyarrow LargeStringArray without nulls."""
        _, offsets, data = texts.buffers()
        offsets = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
        data = np.frombuffer(data or b"", np.uint8)[offsets[0] : offsets[-1]]
        if data.min(initial=255) <= 32:
            raise InputError(f"blank or control byte {data.min():#04x} in a segment")
        padding = np.zeros(_PADDING, np.uint8)
        starts = offsets[:-1] - offsets[0] + _PADDING
        return cls(np.concatenate([padding, data, padding]), starts, np.diff(offsets), scores=scores)

    @classmethod
    def concatenate(cls, lists: Sequence["SegmentList"]) -> "SegmentList":
        """One list of all ``lists``, without their scores."""
        offsets = itertools.accumulate((len(part.buffer) for part in lists), initial=0)
        return cls(
            np.concatenate([part.buffer for part in lists]),
            np.concatenate([part.starts + offset for part, offset in zip(lists, offsets)]),
            np.concatenate([part.lengths for part in lists]),
        )

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[Segment]:
        return map(Segment.parse, self.texts())

    def texts(self) -> list[str]:
        """List of str such as "Eq0a:15"."""
        return [text.decode(errors="replace") for text in self.byte_texts()]

    def byte_texts(self) -> list[bytes]:
        """List of bytes such as b"Eq0a:15"."""
        return self.to_text().split(b" ") if len(self) else []

    def take(self, rows: Any) -> "SegmentList":
        """The segments at ``rows`` (indices, slice or mask), with their scores."""
        if isinstance(rows, slice):
            rows = np.arange(len(self))[rows]
        elif rows.dtype == bool:
            rows = np.flatnonzero(rows)
        scores = None if self.scores is None else gather(self.scores, rows)
        return SegmentList(self.buffer, gather(self.starts, rows), gather(self.lengths, rows), scores=scores)

    def to_text(self) -> bytes:
        """Bytes of all segments with a blank between them."""
        if not len(self):
            return b""
        num_words = int(self.lengths.max()) // 8 + 1
        if num_words > _MAX_WORDS:
            pairs = zip(self.starts.tolist(), self.lengths.tolist())
            return b" ".join(self.buffer[start : start + length].tobytes() for start, length in pairs)
        table = np.stack(self._words(num_words), axis=1)
        last, used = np.divmod(self.lengths, 8)
        table[np.arange(len(self)), last] |= np.uint64(32) << (8 * used).astype(np.uint64)
        # No segment holds a zero byte, so dropping them drops the padding and nothing else.
        return table.astype("<u8", copy=False).tobytes().translate(None, b"\0")[:-1]

    def to_arrow(self) -> Any:
        """Pyarrow StringArray of the segments."""
        import pyarrow

        offsets = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int32)
        text = self.to_text().replace(b" ", b"")
        return pyarrow.StringArray.from_buffers(len(self), pyarrow.py_buffer(offsets), pyarrow.py_buffer(text))

    def parse(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(digits of the start time, start times, valid): (N,) int64, int64 and bool.

        Valid is ``video_id:start_time`` with a non-empty id and 1 to 7 digits without leading zeros.
        """
        tail, digits, valid = self._tails()
        times = np.zeros(len(self), np.int64)
        for place in range(int(digits.max(initial=0))):
            value = ((tail >> np.uint64(56 - 8 * place)) & np.uint64(255)).astype(np.int64) - 48
            times += np.where(place < digits, value * 10**place, 0)
        return digits, times, valid

    def _tails(self):
        """(last 8 bytes as a word, number of digits at the end, valid), (N,) each, see parse; a word at a time."""
        tail = self._load(self.starts + self.lengths - 8)
        # A byte's high bit is set where the byte is no digit: adding 0x76 carries from 10 on.
        odd = tail ^ _bytes(ord("0"))
        odd = (((odd & _bytes(0x7F)) + _bytes(0x76)) | odd) & _bytes(0x80)
        # The exponent of a float is the number of the highest bit, that of the last byte that is no digit.
        place = ((odd.astype(np.float64).view(np.int64) >> 52) - 1023) >> 3
        valid = (odd != 0) & (place < 7)
        place = np.clip(place, 7 - MAX_START_DIGITS, 6)
        digits = 7 - place
        end = tail >> (8 * place).view(np.uint64)
        valid &= (end & np.uint64(255)) == ord(":")
        valid &= ((end >> np.uint64(8)) & np.uint64(255) != ord("0")) | (digits == 1)
        valid &= self.lengths > digits + 1
        return tail, np.minimum(digits, self.lengths - 1), valid

    def check(self) -> None:
        """Raises InputError naming the first segment that is not ``video_id:start_time``, has no id, or no score.

        An id is what types.id_problem finds no fault with, a score a finite number of 32 bits.
        """
        bad = np.flatnonzero(~self._tails()[2])
        if len(bad):
            (text,) = self.take(bad[:1]).texts()
            raise InputError(f"{text[:80]!r} is not a segment: expected video_id:start_time, as in Eq0a:15")
        bad = self.rows_of_bad_ids()
        if len(bad):
            (segment,) = self.take(bad[:1]).byte_texts()
            problem = id_problem(segment.rpartition(b":")[0])
            raise InputError(f"the id of {segment.decode(errors='backslashreplace')[:80]!r} {problem}")
        bad = self.rows_of_bad_scores()
        if len(bad):
            (text,) = self.take(bad[:1]).texts()
            raise InputError(f"the score of {text[:80]!r} is {self.scores[bad[0]]}, no finite number")

    def rows_of_bad_scores(self) -> np.ndarray:
        """(n,) rows of the segments whose score is no finite number of 32 bits."""
        scores = np.zeros(0) if self.scores is None else self.scores
        return np.flatnonzero(~(np.abs(scores) <= np.finfo(np.float32).max))

    def rows_of_bad_ids(self) -> np.ndarray:
        """(n,) rows of the segments whose video ids types.id_problem finds fault with."""
        # Of all ids together, what most of them are not made of shows at once that there is no fault.
        whole = self.buffer.tobytes()
        odd = whole.translate(None, _IN_MOST_IDS)
        if self.lengths.max(initial=0) <= MAX_ID_BYTES:
            if not odd or (_is_utf8(whole) and not ODD_CHARACTER.search(odd.decode())):
                return np.zeros(0, np.int64)
        ids = (text.rpartition(b":")[0] for text in self.byte_texts())
        return np.flatnonzero([bool(id_problem(video_id)) for video_id in ids])

    def order(self, *, groups: np.ndarray | None = None) -> np.ndarray:
        """(N,) int64 rows that sort by video id (in code point order), then start time; by ``groups`` (N,) first."""
        digits, times, _ = self.parse()
        id_lengths = self.lengths - digits - 1
        groups = np.zeros(len(self), np.int64) if groups is None else groups
        if len(self) and self.lengths.max() > _PADDING:
            keys = zip(groups.tolist(), (text.rpartition(b":")[0] for text in self.byte_texts()), times.tolist())
            return np.array([row for _, row in sorted(zip(keys, range(len(self))))], np.int64)
        num_words = -(-int(id_lengths.max(initial=1)) // 8)
        words = SegmentList(self.buffer, self.starts, id_lengths)._words(num_words)
        return np.lexsort((times, *(word.byteswap() for word in reversed(words)), groups))

    def best(self, scores: np.ndarray, top_n: int) -> np.ndarray:
        """(n,) int64 rows of the ``top_n`` highest of ``scores`` (N,), highest first, equal ones as by order()."""
        keys = -scores
        if len(keys) > top_n:
            candidates = np.flatnonzero(keys <= np.partition(keys, top_n - 1)[top_n - 1])
            keys = keys[candidates]
        else:
            candidates = np.arange(len(keys))
        order = np.argsort(keys)
        ordered = keys[order]
        repeats = ordered[1:] == ordered[:-1]
        if repeats.any():
            tied = np.flatnonzero(np.append(repeats, False) | np.append(False, repeats))
            runs = np.cumsum(np.append(True, ~repeats))[tied]
            rows = candidates[order[tied]]
            order[tied] = order[tied][self.take(rows).order(groups=runs)]
        return candidates[order[:top_n]]

    def hashes(self) -> np.ndarray:
        """(N,) uint64, equal for equal segments in any list; unequal ones of up to 8 bytes differ, others mostly."""
        if self._hashes is not None:
            return self._hashes
        longest = int(self.lengths.max(initial=1))
        words = self._words(min(-(-longest // 8), _MAX_WORDS))
        if longest > _PADDING:
            tail = self._load(self.starts + self.lengths - 8)
            words.append(np.where(self.lengths > _PADDING, tail, np.uint64(0)))
        self._hashes = _mix(words) * np.uint64(_SALTS[0])
        return self._hashes

    def group(self) -> tuple[np.ndarray, np.ndarray]:
        """Brings equal segments together.

        Returns (order, first): (N,) int64 rows such that equal segments are adjacent and stay in row order, and
        (N,) bool, True at the first of each. Exact: where hashes of unequal segments collide, another is tried.
        """
        words = self._exact_words()
        index_bits = np.uint64(max(len(self) - 1, 1).bit_length())
        index_mask = (np.uint64(1) << index_bits) - np.uint64(1)
        first = np.ones(len(self), bool)
        mixed = _mix(words)
        for salt in _SALTS:
            packed = mixed * np.uint64(salt)
            packed &= ~index_mask
            packed |= np.arange(len(self), dtype=np.uint64)
            packed.sort()
            order = (packed & index_mask).view(np.int64)
            packed >>= index_bits
            np.not_equal(packed[1:], packed[:-1], out=first[1:])
            differs = _neighbours_differ(words, order)
            if np.array_equal(differs, first[1:]):
                return order, first
        order = np.lexsort(words)
        first[1:] = _neighbours_differ(words, order)
        return order, first

    def _exact_words(self):
        """List of (N,) uint64 arrays that are equal in all words for equal segments only."""
        longest = int(self.lengths.max(initial=1))
        words = self._words(min(-(-longest // 8), _MAX_WORDS))
        if longest > _PADDING:
            # Longer segments get numbers instead, with a zero low byte, which no text begins with.
            numbers = {}
            rows = np.flatnonzero(self.lengths > _PADDING)
            codes = [numbers.setdefault(text, len(numbers)) for text in self.take(rows).byte_texts()]
            for word in words:
                word[rows] = 0
            words[0][rows] = np.array(codes, np.uint64) << np.uint64(8)
        return words

    def _words(self, num_words):
        """The first 8 * num_words bytes of every segment as little-endian words, zero behind its end."""
        words = [self._load(self.starts)]
        words[0] &= _MASKS[np.minimum(self.lengths, 8)]
        for index in range(1, num_words):
            word = self._load(self.starts + 8 * index)
            word &= _MASKS[np.clip(self.lengths - 8 * index, 0, 8)]
            words.append(word)
        return words

    def _load(self, positions):
        every = np.ndarray((len(self.buffer) - 7,), "<u8", buffer=self.buffer, strides=(1,))
        return every[positions].astype(np.uint64, copy=False)


def _is_utf8(text):
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _bytes(value):
    """The word with ``value`` in each byte."""
    return np.uint64(value * 0x0101010101010101)


def gather(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """values[rows], twice as fast; ``rows`` must be in range."""
    return values.take(rows, mode="clip")


def _mix(words):
    """A sum of products, so that zero words behind the end change nothing."""
    mixed = words[0] * np.uint64(_MULTIPLIERS[0])
    for word, multiplier in zip(words[1:], _MULTIPLIERS[1:]):
        mixed += word * np.uint64(multiplier)
    return mixed


def _neighbours_differ(words, order):
    differs = np.zeros(max(len(order) - 1, 0), bool)
    for word in words:
        ordered = gather(word, order)
        differs |= ordered[1:] != ordered[:-1]
    return differs

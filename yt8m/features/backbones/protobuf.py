"""Protocol buffers as they lie on the wire, read without their definitions."""

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def fields_of(message: bytes | memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Generator of (number, value) of each field of a message, in its order.

    value: int of varints, the bytes of others, those of fixed width among them. Raises ValueError where the message is
    none, or is cut short.
    """
    data, place = memoryview(message), 0
    while place < len(data):
        tag, place = _varint(data, place)
        kind = tag & 7
        if kind == _VARINT:
            value, place = _varint(data, place)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            length, place = _varint(data, place)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"it has a field of the unknown kind {kind}")
        if length > len(data) - place:
            raise ValueError("it is cut short, or something else")
        yield tag >> 3, data[place : place + length]
        place += length


def _varint(data, place):
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise ValueError("it is cut short")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("it has a number of more than 64 bits")

"""Values in PostgreSQL's own forms: parameters, arrays of them, and the columns of results.

A text of PostgreSQL can't hold U+0000, which chargers may send. It is stored as U+0001 U+0001, and U+0001 as
U+0001 U+0002: both come back, and the order by bytes stays what it was.
"""

from collections.abc import Callable, Sequence
from struct import Struct, pack, unpack
from typing import Any, Final, TypeAlias

from attrs import frozen

Value: TypeAlias = int | float | str | bytes | None

_INTS: Final = {"int2": (21, "h", 2), "int4": (23, "i", 4), "int8": (20, "q", 8)}
_OTHERS: Final = {"text": 25, "bytea": 17}
_HEAD: Final = Struct(">iiiii")


@frozen
class Array:
    """A parameter: values of one type, whose name is the first of the two."""

    kind: str
    values: Sequence[Value]


def escaped(text: str) -> str:
    """A text as it is stored."""
    if "\x00" in text or "\x01" in text:
        return text.replace("\x01", "\x01\x02").replace("\x00", "\x01\x01")
    return text


def unescaped(text: str) -> str:
    """A text as it was."""
    if "\x01" in text:
        return text.replace("\x01\x01", "\x00").replace("\x01\x02", "\x01")
    return text


def parameter(value: Value | Array) -> tuple[bytes | None, int]:
    """A parameter as it is sent, and its form: 0 as text, 1 in binary."""
    match value:
        case None:
            return None, 0
        case bytes():
            return value, 1
        case str():
            return escaped(value).encode(), 0
        case Array():
            return array(value.kind, value.values), 1
        case _:
            return str(int(value) if isinstance(value, bool) else value).encode(), 0


def array(kind: str, values: Sequence[Value]) -> bytes:
    """A one-dimensional array in binary form."""
    count = len(values)
    known = _INTS.get(kind)
    if known is not None:
        oid, letter, size = known
        if None not in values:
            flat = [each for value in values for each in (size, value)]
            return _HEAD.pack(1, 0, oid, count, 1) + pack(">" + ("i" + letter) * count, *flat)
        one = Struct(">i" + letter)
        parts = [_NULL if value is None else one.pack(size, value) for value in values]
        return _HEAD.pack(1, 1, oid, count, 1) + b"".join(parts)
    parts = []
    for value in values:
        if value is None:
            parts.append(_NULL)
            continue
        data = value if isinstance(value, bytes) else escaped(str(value)).encode()
        parts.append(len(data).to_bytes(4, "big"))
        parts.append(data)
    return _HEAD.pack(1, int(None in values), _OTHERS[kind], count, 1) + b"".join(parts)


_NULL: Final = b"\xff\xff\xff\xff"


def _int(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def _text(data: bytes) -> str:
    return unescaped(data.decode())


def _float(data: bytes) -> float:
    return float(unpack(">d", data)[0])


COLUMNS: Final[dict[int, Callable[[bytes], Any]]] = {
    16: lambda data: data == b"\x01",
    17: bytes,
    19: _text,
    20: _int,
    21: _int,
    23: _int,
    25: _text,
    701: _float,
    2278: lambda data: None,
}
"""Type of a result's column to what makes a value of its binary form."""

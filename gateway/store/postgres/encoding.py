"""Values in PostgreSQL's own forms: parameters, arrays of them, and the columns of results.

A text of PostgreSQL can't hold U+0000, which chargers may send. It is stored as U+0001 U+0001, and U+0001 as
U+0001 U+0002: both come back, and the order by bytes stays what it was.
"""

from collections.abc import Callable, Sequence
from struct import Struct, pack, unpack
from typing import Any, Final, TypeAlias

from gateway.quick_frozen import quick_frozen

Value: TypeAlias = int | float | str | bytes | None

_INTS: Final = {"int2": (21, "h", 2), "int4": (23, "i", 4), "int8": (20, "q", 8)}
_OTHERS: Final = {"text": 25, "bytea": 17}
_HEAD: Final = Struct(">iiiii")


class _Sizes(dict[int, bytes]):
    """Lengths of values as they are sent; those of long ones are made when they are asked for."""

    def __missing__(self, size: int) -> bytes:
        return size.to_bytes(4, "big")


_SIZE_OF: Final = _Sizes((size, size.to_bytes(4, "big")) for size in range(2048)).__getitem__


@quick_frozen
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
        case Array():  # the most frequent one comes first
            return array(value.kind, value.values), 1
        case None:
            return None, 0
        case bytes():
            return value, 1
        case str():
            return escaped(value).encode(), 0
        case _:
            return str(int(value) if isinstance(value, bool) else value).encode(), 0


def array(kind: str, values: Sequence[Value]) -> bytes:
    """A one-dimensional array in binary form."""
    count = len(values)
    nulls = None in values
    known = _INTS.get(kind)
    if known is not None:
        oid, letter, size = known
        if not nulls:
            flat: list[Any] = [size] * (2 * count)
            flat[1::2] = values
            return _HEAD.pack(1, 0, oid, count, 1) + pack(">" + ("i" + letter) * count, *flat)
        pack_one = Struct(">i" + letter).pack
        said = [_NULL if value is None else pack_one(size, value) for value in values]
        return _HEAD.pack(1, 1, oid, count, 1) + b"".join(said)
    oid = _OTHERS[kind]
    if nulls:
        parts: list[bytes] = []
        for value in values:
            data = None if value is None else _bytes(value)
            parts += (_NULL,) if data is None else (_SIZE_OF(len(data)), data)
        return _HEAD.pack(1, 1, oid, count, 1) + b"".join(parts)
    # Nearly all there is: what can be done for the whole column is not done for each value.
    plain: Sequence[Any] = values if kind == "bytea" else _encoded(values)
    both: list[Any] = [b""] * (2 * count)
    both[::2] = map(_SIZE_OF, map(len, plain))
    both[1::2] = plain
    return _HEAD.pack(1, 0, oid, count, 1) + b"".join(both)


def _encoded(texts: Sequence[Any]) -> list[bytes]:
    together = "".join(texts)
    if "\x00" in together or "\x01" in together:
        return [escaped(text).encode() for text in texts]
    return [text.encode() for text in texts]


def _bytes(value: Value) -> bytes:
    return value if isinstance(value, bytes) else escaped(str(value)).encode()


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

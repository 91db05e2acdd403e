"""Messages from JSON: protobuf's own mapping (ProtoJSON), and nothing beyond it.

Python's protobuf takes what Python's own functions read: of a text in Base64 it passes over all that is none, so that a
key with a mistyped character is another key, and ``"1_6"`` is the number 16.
"""

import json
import re
from typing import Any, Final, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

M = TypeVar("M", bound=Message)

BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/_-]{4})*(?:[A-Za-z0-9+/_-]{2,3})?={0,2}", re.ASCII)
"""In either alphabet, its end filled up or not, as ProtoJSON has it."""

INTEGER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)

DECIMAL: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|NaN|-?Infinity", re.ASCII)

MAX_SHOWN: Final = 100
"""Characters of a path or a value in an error."""

_WHOLE: Final = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
    }
)

_BROKEN: Final = frozenset({FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE})

_WELL_KNOWN: Final = "google.protobuf."
"""Messages whose JSON is no object of their fields."""


def from_text(text: str | bytes, message: M) -> M:
    """Fill a message from a JSON object. Raises ValueError, in one line."""
    try:
        tree = json.loads(text if isinstance(text, str) else text.decode(), object_pairs_hook=_each_once)
        if not isinstance(tree, dict):
            raise ValueError("it is no JSON object")  # protobuf would take an empty list for one
        return from_tree(tree, message)
    except RecursionError:
        raise ValueError("it nests too deep") from None


def from_tree(tree: dict[str, Any], message: M) -> M:
    """Fill a message from JSON that has been read. Raises ValueError, in one line."""
    try:
        _check(tree, message.DESCRIPTOR, "")
        return json_format.ParseDict(tree, message)
    except (json_format.Error, ValueError, TypeError, ArithmeticError, LookupError) as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None
    except RecursionError:
        raise ValueError("it nests too deep") from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:MAX_SHOWN]!r} is there twice")
        found[key] = value
    return found


def _check(value: Any, descriptor: Descriptor, path: str) -> None:
    """Raise ValueError for a text that Python would read as something that it is not. What is of the wrong kind is left
    to protobuf, which names it."""
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        if not name.isascii():  # half a surrogate pair in it would be a SystemError of protobuf's
            raise ValueError(f"there is no field {ascii(name[:MAX_SHOWN])}")
        field = descriptor.fields_by_name.get(name) or descriptor.fields_by_camelcase_name.get(name)
        if field is not None:
            _check_field(inner, field, f"{path}{name}")


def _check_field(value: Any, field: FieldDescriptor, path: str) -> None:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        entry = kind.fields_by_name["value"]
        for key, each in value.items() if isinstance(value, dict) else ():
            _check_one(each, entry, f"{path}[{key}]")
        return
    if isinstance(value, list):
        for index, each in enumerate(value):
            _check_one(each, field, f"{path}[{index}]")
    else:
        _check_one(value, field, path)


def _check_one(value: Any, field: FieldDescriptor, path: str) -> None:
    kind = field.message_type
    if kind is not None:
        if not kind.full_name.startswith(_WELL_KNOWN):
            _check(value, kind, f"{path}.")
    elif isinstance(value, str):
        wrong = _wrong(value, field)
        if wrong:
            raise ValueError(f"{path[:MAX_SHOWN]}: {wrong}")


def _wrong(text: str, field: FieldDescriptor) -> str:
    """What is wrong with a text as a field's value; empty: nothing."""
    if field.type == FieldDescriptor.TYPE_BYTES and BASE64.fullmatch(text) is None:
        return "expected bytes in Base64"
    if field.cpp_type in _WHOLE and INTEGER.fullmatch(text) is None:
        return "expected a number"
    if field.cpp_type in _BROKEN and DECIMAL.fullmatch(text) is None:
        return "expected a number"
    enum = field.enum_type
    if enum is not None and text not in enum.values_by_name and INTEGER.fullmatch(text) is None:
        return f"there is no value {text[:MAX_SHOWN]}"
    return ""

"""Requests and responses as JSON: protobuf's own mapping, and query parameters for what only reads."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.api import strict_json
from gateway.control.errors import Failure, Status
from gateway.control.services.deserialization import MAX_ELEMENTS, SMALL_BYTES, too_many_elements
from gateway.domain.json_scan import Scan

MAX_PARAMETERS: Final = 1_100
"""Of a query: a watch may name a thousand charge points."""

MAX_FAULT: Final = 300
"""Characters of the reason why a request can't be read."""

MAX_PATH: Final = 8
"""Names in a parameter's path; no request is as deep."""

MAX_VALUES: Final = 8 * MAX_ELEMENTS
"""Values of a body: as many elements as a request may have, each an object of some fields. Reading them takes some
thirty milliseconds of all threads; two million in 4 MiB took half a second."""

PIECE_BYTES: Final = 64 * 1024
"""What is counted at a time."""

_TEXTS: Final = frozenset(
    {
        "google.protobuf.Timestamp",
        "google.protobuf.Duration",
        "google.protobuf.FieldMask",
    }
)
"""Messages that are a text in JSON."""

_TRUTH: Final[Mapping[str, bool]] = {"true": True, "false": False}

Tree = dict[str, Any]


def malformed(reason: str) -> Failure:
    """The answer to a request that can't be read."""
    shown = reason[:MAX_FAULT].encode("utf-8", "backslashreplace").decode()  # it may repeat half a surrogate pair
    return Failure(Status.INVALID_ARGUMENT, "MALFORMED_REQUEST", f"the request can't be read: {shown}")


def from_json(descriptor: Descriptor, body: bytes) -> Message:
    """The message of a body; an empty one is an empty message. Raises ``Failure``."""
    message: Message = GetMessageClass(descriptor)()
    if not body.strip():
        return message
    if not body.lstrip().startswith(b"{"):
        raise malformed("it is no JSON object")  # protobuf would take an empty list for one
    _count(body)
    try:
        strict_json.from_text(body, message)
    except ValueError as error:
        raise malformed(str(error)) from None
    failure = too_many_elements(message) if len(body) > SMALL_BYTES else None
    if failure is not None:
        raise failure
    return message


def _count(body: bytes) -> None:
    """Raise ``Failure`` for a body with more values than are read, before they are."""
    scan = Scan()
    for at in range(0, len(body), PIECE_BYTES):
        scan.add(body[at : at + PIECE_BYTES])
        if scan.nodes > MAX_VALUES:
            raise malformed(f"it has more than {MAX_VALUES:,} values")


def from_query(descriptor: Descriptor, query: str) -> Message:
    """The message of query parameters: a field's name, or names with dots, for each; a list is a name repeated, and a
    map's key follows a dot or stands in brackets, as OpenAPI has it (deepObject). Raises ``Failure``."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError as error:
        raise malformed(f"the query: {error}") from None
    tree: Tree = {}
    for name, value in pairs:
        _put(tree, descriptor, name, *_path(name), value)
    message: Message = GetMessageClass(descriptor)()
    try:
        return strict_json.from_tree(tree, message)
    except ValueError as error:
        raise malformed(str(error)) from None


def _path(name: str) -> tuple[list[str], str | None]:
    """The path of a parameter, and the key of a map where that is in brackets behind it; None: it is not."""
    if not name.endswith("]") or "[" not in name:
        return name.split("."), None
    fields, _, key = name.removesuffix("]").partition("[")
    return fields.split("."), key


def _put(tree: Tree, descriptor: Descriptor, name: str, path: list[str], key: str | None, value: str) -> None:
    """Put a parameter's value where its path says."""
    first, *rest = path
    field = descriptor.fields_by_name.get(first) or descriptor.fields_by_camelcase_name.get(first)
    if field is None or len(path) > MAX_PATH:
        raise malformed(f"there is no field {name[:100]}")
    inner = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        if bool(rest) == (key is not None) or inner.fields_by_name["value"].message_type is not None:
            raise malformed(f"{name[:100]}: a map's key has to follow, as in {first}.key=value or {first}[key]=value")
        entries, key = tree.setdefault(field.name, {}), ".".join(rest) if key is None else key
        if key in entries:
            raise malformed(f"{name[:100]}: there is one value, and it is given twice")
        entries[key] = value
    elif inner is not None and inner.full_name not in _TEXTS:
        if not rest or field.is_repeated:
            raise malformed(f"{name[:100]}: that is no single value; send it by POST")
        _put(tree.setdefault(field.name, {}), inner, name, rest, key, value)
    elif rest or key is not None:
        raise malformed(f"there is no field {name[:100]}")
    elif field.is_repeated:
        tree.setdefault(field.name, []).append(_scalar(field, value))
    elif field.name in tree:
        raise malformed(f"{name[:100]}: there is one value, and it is given twice")
    else:
        tree[field.name] = _scalar(field, value)


def _scalar(field: FieldDescriptor, value: str) -> object:
    """A value as JSON has it: all kinds but one may be texts there."""
    if field.type == FieldDescriptor.TYPE_BOOL:
        if value not in _TRUTH:
            raise malformed(f"{field.name}: expected true or false")
        return _TRUTH[value]
    return value


def resume(request: Any, last_event_id: str) -> None:
    """Have a watch go on after the last event that a client has seen. Raises ``Failure``."""
    try:
        request.resume_token = base64.b64decode(last_event_id, validate=True)
    except (binascii.Error, ValueError):
        raise Failure(Status.INVALID_ARGUMENT, "BAD_RESUME_TOKEN", "Last-Event-ID is no resume token") from None


def message_of(descriptor: Descriptor, response: Message | bytes) -> Message:
    """A response, which some methods hand out serialised."""
    if isinstance(response, bytes):
        message: Message = GetMessageClass(descriptor).FromString(response)
        return message
    return response


def to_json(message: Message) -> bytes:
    """A message as JSON on one line."""
    return json_format.MessageToJson(message, indent=None, ensure_ascii=False).encode()

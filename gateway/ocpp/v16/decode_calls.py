"""A charger's CALL to a typed request: the fast lane, the repair lane behind it, or the CALLERROR for what is neither.

The requests are the dataclasses of ``ocpp.v16.call``. Where those are narrower than the schemas, hooks make up for it:

* Fields that the schema leaves out but the class requires (``requestId``, ``techInfo``) become None.
* ``meterValue`` and ``transactionData`` stay the JSON that was sent: ``gateway.domain.readings`` reads them.
* A name that the class's enum lacks (a kept unknown error code) stays the string that was sent; the enums are strings.

Mending costs some 20 µs a fault, and a message of a megabyte has room for half a million of them: ten seconds in which
no other charger would be served. A payload of more than ``MAX_MENDED_NODES`` is therefore mended without its lists and
objects: meter values stay as sent, and their reader copes with that; nothing else that a charger sends has any.

A message that must be recorded, and has more values than are read, is recorded with what can be made out of it.
"""

import re
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

import jsonschema_rs
from attrs import evolve
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, override
from ocpp.v16 import call

from gateway.domain.decision import CallRefused, Request
from gateway.domain.values import JSON, Flag
from gateway.ocpp.rpc import MAX_MESSAGE_ID
from gateway.ocpp.v16 import schemas
from gateway.ocpp.v16.outline import outline
from gateway.ocpp.v16.repairs import Mended, SchemaFault, larger, mend

MAX_REASON: Final = 100
"""A charger was seen to drop the connection over a longer CALLERROR (A4.3)."""

MAX_MENDED_NODES: Final = 1000
"""Values in a payload, nested ones included, that the repair lane goes into: two hundred samples with units and names.
All of them wrong takes it some 30 ms. Where nothing is wrong there is no such limit."""

_VALUES: Final = frozenset({"meterValue", "transactionData"})

_STRING: Final = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_BEFORE_PAYLOAD: Final = re.compile(rb"[^,]{0,99},\s*" + _STRING + rb"\s*,\s*" + _STRING + rb"\s*,\s*", re.DOTALL)

CODES: Final = {
    "required": "ProtocolError",
    "type": "TypeConstraintViolation",
    "enum": "PropertyConstraintViolation",
    "maxLength": "PropertyConstraintViolation",
    "minimum": "PropertyConstraintViolation",
    "maximum": "PropertyConstraintViolation",
    "minItems": "OccurenceConstraintViolation",
    "maxItems": "OccurenceConstraintViolation",
}
"""Kind of fault to error code (J §4.2.3, spelled as JE 5.2 has it); all else is a FormationViolation."""

_REASONS: Final = {
    "required": "is missing",
    "type": "has the wrong type",
    "enum": "is not one of the allowed values",
    "maxLength": "is too long",
    "minimum": "is too small",
    "maximum": "is too large",
    "minItems": "is empty",
    "additionalProperties": "is not part of this message",
}


def decode_call(message_id: str, action: str, payload: JSON) -> Request[Any] | CallRefused:
    """Read a CALL. Never raises, whatever ``gateway.ocpp.rpc`` made of the payload."""
    read = _decode(message_id, action, payload)
    return read if len(message_id) <= MAX_MESSAGE_ID or isinstance(read, CallRefused) else _with_long_id(read)


def _with_long_id(request: Request[Any]) -> Request[Any]:
    """A message that is taken although its id is too long, since it has to be recorded."""
    return evolve(
        request,
        flags=tuple(dict.fromkeys((*request.flags, Flag.DEVIATES))),
        deviations=("message-id-too-long", *request.deviations),
    )


def _decode(message_id: str, action: str, payload: JSON) -> Request[Any] | CallRefused:
    validator = schemas.REQUESTS.get(action)
    if validator is None:
        known = action in schemas.KNOWN_ACTIONS
        code = "NotSupported" if known else "NotImplemented"
        return CallRefused(message_id, code, "this action is not handled", action=action if known else "")
    if not isinstance(payload, dict):
        return CallRefused(message_id, "FormationViolation", "the payload is not an object", action=action)
    if validator.is_valid(payload):
        return Request(message_id, action, _STRUCTURE[action](payload, None), payload)
    mended = (_mend_large if larger(payload, MAX_MENDED_NODES) else mend)(action, payload, validator)
    if isinstance(mended, SchemaFault):
        code = CODES.get(mended.kind, "FormationViolation")
        return CallRefused(message_id, code, _reason(mended), mended.before, action)
    request = _STRUCTURE[action](mended.payload, None)
    return Request(message_id, action, request, payload, (Flag.DEVIATES,), mended.deviations, faults=mended.faults)


def decode_unread(message_id: str, action: str, message: bytes) -> Request[Any]:
    """A CALL of ``NEVER_REFUSED``'s whose payload was not read (``rpc.Unread``): its plain fields, and its text."""
    payload = _payload_of(message)
    fields = {name: value for name, value in outline(payload).items() if name in schemas.REQUEST_FIELDS[action]}
    mended = mend(action, fields, schemas.REQUESTS[action])
    assert isinstance(mended, Mended), "these are never refused"
    read = Request(
        message_id,
        action,
        _STRUCTURE[action](mended.payload, None),
        fields,
        (Flag.DEVIATES, Flag.UNREAD),
        tuple(dict.fromkeys(("unread", *mended.deviations))),
        text=payload.decode("utf-8", "replace"),
    )
    return read if len(message_id) <= MAX_MESSAGE_ID else _with_long_id(read)


def _payload_of(message: bytes) -> bytes:
    """The text of a CALL's payload: what follows its action, without the bracket that ends the frame."""
    head = _BEFORE_PAYLOAD.match(message)
    return message[0 if head is None else head.end() :].rstrip().removesuffix(b"]").rstrip()


def _mend_large(action: str, payload: dict[str, Any], validator: jsonschema_rs.Draft4Validator) -> Mended | SchemaFault:
    """Mend what is not a meter value among the message's own fields; so few faults are possible in them."""
    deviations: tuple[str, ...] = ("large-as-sent",)
    fields = {name: payload[name] for name in schemas.REQUEST_FIELDS[action] & payload.keys()}
    if len(fields) < len(payload):
        deviations += ("extra-property",)
    values = {name: fields[name] for name in _VALUES & fields.keys() if isinstance(fields[name], list)}
    others = {name: _emptied(value) for name, value in fields.items() if name not in values}
    mended = mend(action, others | {name: [] for name in values}, validator)
    if isinstance(mended, SchemaFault):
        return mended
    names = (each for each in mended.deviations if each != "no-samples")
    kept = {n: fields[n] for n, value in others.items() if value is not fields[n] and mended.payload.get(n) == value}
    return Mended(mended.payload | values | kept, tuple(dict.fromkeys((*deviations, *names))), mended.faults)


def _emptied(value: JSON) -> JSON:
    """As wrong as a list or an object that it stands for, and nothing to walk through."""
    return [] if type(value) is list else {} if type(value) is dict else value


def _reason(fault: SchemaFault) -> str:
    """The field and what is wrong with it, never its value."""
    reason = _REASONS.get(fault.kind, "breaks its schema")
    return f"{fault.name[: MAX_REASON - len(reason) - 1]} {reason}"


# --- JSON to the classes of ocpp.v16 --------------------------------------------------------------------------


def _strict(kind: type[Any]) -> Callable[[Any, Any], Any]:
    """A hook for a primitive: the very type or TypeError. Stock hooks would turn 1.9 into 1 and 5 into "5"."""

    def checked(value: Any, _: Any) -> Any:
        if value.__class__ is not kind:
            raise TypeError(f"{kind.__name__} is needed, not {type(value).__name__}")
        return value

    return checked


def _strict_or_none(kind: type[Any]) -> Callable[[Any, Any], Any]:
    """The same for a field that may be None."""

    def checked(value: Any, _: Any) -> Any:
        if value is not None and value.__class__ is not kind:
            raise TypeError(f"{kind.__name__} is needed, not {type(value).__name__}")
        return value

    return checked


def _name(value: Any, cls: type[Enum]) -> Any:
    try:
        return cls(value)
    except ValueError:
        return value


def _as_sent(value: Any, _: Any) -> Any:
    return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


_AS_SENT: Final = frozenset({"meter_value", "transaction_data", "data"})
_NEEDED_BY_CLASS_ONLY: Final = {
    "LogStatusNotification": "requestId",
    "SignedFirmwareStatusNotification": "requestId",
    "SecurityEventNotification": "techInfo",
}


def _converter() -> Converter:
    converter = Converter(detailed_validation=False)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _strict(kind))
        converter.register_structure_hook(kind | None, _strict_or_none(kind))
    converter.register_structure_hook_func(lambda t: isinstance(t, type) and issubclass(t, Enum), _name)
    return converter


def _structurer(action: str, converter: Converter) -> Any:
    cls = getattr(call, action)
    fields = {
        name: override(rename=_camel(name), struct_hook=_as_sent) if name in _AS_SENT else override(rename=_camel(name))
        for name in cls.__dataclass_fields__
    }
    optional = _NEEDED_BY_CLASS_ONLY.get(action)
    if optional is not None:
        name = next(name for name in fields if _camel(name) == optional)
        fields[name] = override(rename=optional, struct_hook=_as_sent)  # validated, or None from below
    structure = make_dict_structure_fn(cls, converter, **fields)  # type: ignore[arg-type]
    if optional is None:
        return structure
    return lambda payload, _: structure({optional: None, **payload}, cls)


_CONVERTER: Final = _converter()
_STRUCTURE: Final = {action: _structurer(action, _CONVERTER) for action in schemas.CHARGER_ACTIONS}

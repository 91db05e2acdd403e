"""A charger's CALL to a typed request: the fast lane, the repair lane behind it, or the CALLERROR for what is neither.

The requests are the dataclasses of ``ocpp.v16.call``. Where those are narrower than the schemas, hooks make up for it:

* Fields that the schema leaves out but the class requires (``requestId``, ``techInfo``) become None.
* ``meterValue`` and ``transactionData`` stay the JSON that was sent: ``gateway.domain.readings`` reads them.
* A name that the class's enum lacks (a kept unknown error code) stays the string that was sent; the enums are strings.

Mending costs some 20 µs a fault, and a message of a megabyte has room for half a million of them: ten seconds in which
no other charger would be served. A payload of more than ``MAX_MENDED_NODES`` is therefore mended without its meter
values, which stay as sent; their reader copes with that.
"""

from enum import Enum
from typing import Any, Final

import jsonschema_rs
from attrs import frozen
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, override
from ocpp.v16 import call

from gateway.domain.decision import CallRefused, Request
from gateway.domain.values import JSON, Flag
from gateway.messages.v16 import schemas
from gateway.messages.v16.repairs import Fault, Mended, mend

MAX_REASON: Final = 100
"""A charger was seen to drop the connection over a longer CALLERROR (OCPP.md A4.3)."""

MAX_MENDED_NODES: Final = 1000
"""Values in a payload, nested ones included, that the repair lane goes into: two hundred samples with units and names.
All of them wrong takes it some 30 ms. Where nothing is wrong there is no such limit."""

_VALUES: Final = frozenset({"meterValue", "transactionData"})

_CODES: Final = {
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


def decode_call(message_id: str, action: str, payload: JSON) -> Request | CallRefused:
    """Read a CALL. Never raises, whatever ``gateway.messages.rpc`` made of the payload."""
    validator = schemas.REQUESTS.get(action)
    if validator is None:
        known = action in schemas.KNOWN_ACTIONS
        return CallRefused(message_id, "NotSupported" if known else "NotImplemented", "this action is not handled")
    if not isinstance(payload, dict):
        return CallRefused(message_id, "FormationViolation", "the payload is not an object")
    if validator.is_valid(payload):
        return Request(message_id, action, _STRUCTURE[action](payload), payload)
    mended = (_mend_large if _larger(payload, MAX_MENDED_NODES) else mend)(action, payload, validator)
    if isinstance(mended, Fault):
        return CallRefused(message_id, _CODES.get(mended.kind, "FormationViolation"), _reason(mended))
    request = _STRUCTURE[action](mended.payload)
    return Request(message_id, action, request, payload, (Flag.DEVIATES,), mended.deviations)


def _larger(payload: JSON, most: int) -> bool:
    """Whether there are more values in it, nested ones included; stops counting there."""
    level, found = [payload], 1
    while level and found <= most:
        inner: list[Any] = []
        for each in level:
            if len(each) > most:
                return True
            inner.extend(each.values() if type(each) is dict else each)
        found += len(inner)
        level = [each for each in inner if type(each) is dict or type(each) is list]
    return found > most


def _mend_large(action: str, payload: dict[str, Any], validator: jsonschema_rs.Draft4Validator) -> Mended | Fault:
    """Mend what is not a meter value among the message's own fields; so few faults are possible in them."""
    deviations: tuple[str, ...] = ("large-as-sent",)
    fields = {name: payload[name] for name in schemas.REQUEST_FIELDS[action] & payload.keys()}
    if len(fields) < len(payload):
        deviations += ("extra-property",)
    values = {name: fields[name] for name in _VALUES & fields.keys() if isinstance(fields[name], list)}
    mended = mend(action, fields | {name: [] for name in values}, validator)
    if isinstance(mended, Fault):
        return mended
    others = (each for each in mended.deviations if each != "no-samples")
    return Mended(mended.payload | values, tuple(dict.fromkeys((*deviations, *others))))


def _reason(fault: Fault) -> str:
    """The field and what is wrong with it, never its value."""
    reason = _REASONS.get(fault.kind, "breaks its schema")
    return f"{fault.name[: MAX_REASON - len(reason) - 1]} {reason}"


# --- JSON to the classes of ocpp.v16 --------------------------------------------------------------------------


@frozen
class _Strict:
    """A hook for a primitive: the very type or TypeError. Stock hooks would turn 1.9 into 1 and 5 into "5"."""

    kind: type[Any]

    def __call__(self, value: Any, _: Any) -> Any:
        if type(value) is not self.kind:
            raise TypeError(f"{self.kind.__name__} is needed, not {type(value).__name__}")
        return value


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
        converter.register_structure_hook(kind, _Strict(kind))
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
        return lambda payload: structure(payload, cls)
    return lambda payload: structure({optional: None, **payload}, cls)


_CONVERTER: Final = _converter()
_STRUCTURE: Final = {action: _structurer(action, _CONVERTER) for action in schemas.CHARGER_ACTIONS}

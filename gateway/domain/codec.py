"""Stored bodies, commands and answers: the domain's values as JSON bytes and back.

Stored bodies are read for ever. The rules that keep it so:

* A field at its default is left out, and a stored type's default never changes within a version.
* An unknown field is ignored, so a new optional field needs no new version.
* Anything else raises the body's ``VERSION`` and adds a row to ``UPCASTERS``, which lifts the stored dictionary.
* What a charger sent (fields of type ``JSON``) is kept as it is and never looked into here.
"""

import hmac
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar, get_type_hints

import attrs
import cattrs
import orjson
from attrs import evolve
from cattrs.fns import identity  # which the generated code leaves out
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.preconf.orjson import make_converter

from gateway.domain.commands import (
    COMMANDS,
    Answer,
    ChangeConfiguration,
    ChargerError,
    Command,
    CompositeScheduleAnswer,
    ConfigurationAnswer,
    DataTransfer,
    DataTransferAnswer,
    DiagnosticsAnswer,
    EmptyAnswer,
    GetDiagnostics,
    LocalListVersionAnswer,
    StatusAnswer,
    UpdateFirmware,
    operation_of,
)
from gateway.domain.events import BODIES, Body, MeterValuesReported, StoredEvent
from gateway.domain.secret_names import names_secret
from gateway.domain.secrets import secrets_in_location, shown_data, shown_location, shown_setting
from gateway.domain.security_commands import GetLog, InstalledCertificatesAnswer, LogAnswer, SignedUpdateFirmware
from gateway.domain.values import JSON
from gateway.errors import StoreCorrupt

V = TypeVar("V")

UPCASTERS: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""(event type, stored version) to the function that lifts a stored body by one version. Called on a fresh dict."""

NOT_STORED = frozenset({"meter_value_json", "latest", "own_command"})
"""Fields that follow from others, or are kept elsewhere."""

_WITH_SECRETS = (ChangeConfiguration, DataTransfer, GetDiagnostics, UpdateFirmware, GetLog, SignedUpdateFirmware)
"""Commands that may hold a secret."""

_ANSWERS: dict[str, type[Any]] = {
    "status": StatusAnswer,
    "empty": EmptyAnswer,
    "data_transfer": DataTransferAnswer,
    "composite_schedule": CompositeScheduleAnswer,
    "configuration": ConfigurationAnswer,
    "diagnostics": DiagnosticsAnswer,
    "local_list_version": LocalListVersionAnswer,
    "installed_certificates": InstalledCertificatesAnswer,
    "log": LogAnswer,
}
_ANSWER_TAGS = {cls: tag for tag, cls in _ANSWERS.items()}


class UnreadableBody(StoreCorrupt):
    """A stored body that this version of the gateway can't read. The message names its type and version."""


def encode(body: Body) -> bytes:
    """The stored form of a body. Raises TypeError for one that holds what JSON can't (a bug of the caller)."""
    fields = _UNSTRUCTURE[type(body)](body)
    if isinstance(body, MeterValuesReported) and body.meter_value_json:
        fields["meter_value"] = orjson.Fragment(body.meter_value_json)
    return orjson.dumps(fields)


def body_of(event: StoredEvent) -> Body:
    """The body of a stored event. Raises ``UnreadableBody``."""
    return event.body if event.body is not None else decode(event.type, event.version, event.body_json)


def decode(type_: str, version: int, data: bytes) -> Body:
    """A stored body as its present class. Raises ``UnreadableBody``."""
    cls = BODIES.get(type_)
    if cls is None:
        raise UnreadableBody(f"event type {type_!r} is unknown to this version of the gateway")
    if version > cls.VERSION:
        raise UnreadableBody(f"{type_} has version {version}; this version of the gateway reads up to {cls.VERSION}")
    try:
        stored = orjson.loads(data)
        for present in range(version, cls.VERSION):
            stored = UPCASTERS[type_, present](stored)
        body: Body = _STRUCTURE[cls](stored, cls)
    except (orjson.JSONDecodeError, cattrs.BaseValidationError, LookupError, TypeError, ValueError) as error:
        raise UnreadableBody(f"the stored {type_} of version {version} can't be read: {error!r}") from error
    return body


def encode_command(command: Command) -> JSON:
    """A command's arguments as JSON to be stored and shown: secrets are redacted, options not given are left out."""
    if isinstance(command, _WITH_SECRETS):
        command = _redacted(command)
    return _UNSTRUCTURE[type(command)](command)


def canonical_bytes(command: Command) -> bytes:
    """Operation and arguments, secrets included, in one spelling: what a keyed fingerprint is made of. Never store
    or log it."""
    arguments = _UNSTRUCTURE[type(command)](command)
    return orjson.dumps([operation_of(command), arguments], option=orjson.OPT_SORT_KEYS)


def fingerprint(store_id: str, command: Command) -> str:
    """Keyed digest of a command, by the store's key: two commands have two, and it shows no secret."""
    return hmac.digest(store_id.encode(), canonical_bytes(command), "sha256").hex()[:32]


def setting_fingerprint(store_id: str, key: str, value: str) -> str:
    """Keyed digest of a configuration key's value, which it does not show: that of the command that sets it."""
    return fingerprint(store_id, ChangeConfiguration(key, value))


def encode_answer(answer: Answer) -> bytes:
    """The stored form of a confirmation."""
    return orjson.dumps(_unstructure_answer(answer))


def decode_answer(data: bytes) -> Answer:
    """A stored confirmation. Raises ``UnreadableBody``."""
    try:
        return _structure_answer(orjson.loads(data), Answer)
    except (orjson.JSONDecodeError, cattrs.BaseValidationError, LookupError, TypeError, ValueError) as error:
        raise UnreadableBody(f"a stored answer can't be read: {error!r}") from error


def encode_error(error: ChargerError) -> bytes:
    """The stored form of a charger's CALLERROR."""
    return orjson.dumps(_CONVERTER.unstructure(error, ChargerError))


def decode_error(data: bytes) -> ChargerError:
    """A stored CALLERROR. Raises ``UnreadableBody``."""
    try:
        return _CONVERTER.structure(orjson.loads(data), ChargerError)
    except (orjson.JSONDecodeError, cattrs.BaseValidationError, LookupError, TypeError, ValueError) as error:
        raise UnreadableBody(f"a stored error can't be read: {error!r}") from error


def encode_value(value: Any) -> bytes:
    """The stored form of one of the domain's values. Values at their defaults are left out, so a default never
    changes."""
    return orjson.dumps(_CONVERTER.unstructure(value))


def decode_value(data: bytes, cls: type[V]) -> V:
    """A stored value of this class. Raises ``UnreadableBody``."""
    try:
        return _CONVERTER.structure(orjson.loads(data), cls)
    except (orjson.JSONDecodeError, cattrs.BaseValidationError, LookupError, TypeError, ValueError) as error:
        raise UnreadableBody(f"a stored {cls.__name__} can't be read: {error!r}") from error


def _redacted(command: Command) -> Command:
    match command:
        case ChangeConfiguration(key=key, value=value):
            return evolve(command, value=shown_setting(key, value))
        case GetDiagnostics() | UpdateFirmware() | GetLog() | SignedUpdateFirmware():
            return evolve(command, location=shown_location(command.location))
        case DataTransfer(data=str() as data):
            return evolve(command, data=_shown_transfer(command.message_id, data))
        case _:
            return command


def secrets_of(command: Command) -> tuple[str, ...]:
    """Return the texts of a command that must not be shown, should the charger repeat one."""
    match command:
        case ChangeConfiguration(key=key, value=value) if names_secret(key):
            return (value,) if value else ()
        case ChangeConfiguration(value=value):
            return secrets_in_location(value) if "://" in value else ()
        case GetDiagnostics() | UpdateFirmware() | GetLog() | SignedUpdateFirmware():
            return secrets_in_location(command.location)
        case DataTransfer(message_id=str() as name, data=str() as data) if names_secret(name):
            return (data,) if data else ()
        case _:
            return ()


def _shown_transfer(message_id: str | None, data: str) -> str:
    shown: str = shown_data(data, message_id or "")
    return shown


def _unstructure_answer(answer: Answer | None) -> dict[str, Any] | None:
    if answer is None:
        return None
    return {"kind": _ANSWER_TAGS[type(answer)], **_UNSTRUCTURE[type(answer)](answer)}


def _structure_answer(stored: dict[str, Any], _: Any) -> Answer:
    cls = _ANSWERS[stored["kind"]]
    answer: Answer = _STRUCTURE[cls](stored, cls)
    return answer


def _is_json(hint: Any) -> bool:
    return hint is Any or hint == tuple[Any, ...]


_PLAIN = (str | None, int | None, float | None, bool | None)
"""Types of what is JSON already. (A converter calls a function for each that may be None.)"""


def _unstructurer(cls: type[Any], converter: cattrs.Converter) -> Callable[[Any], dict[str, Any]]:
    """Leaves defaults out and never walks what a charger sent: meter values are the hot path."""
    as_it_is = {name: hint for name, hint in get_type_hints(cls).items() if _is_json(hint) or hint in _PLAIN}
    kept = {name: override(unstruct_hook=identity) for name in as_it_is}
    kept |= {name: override(omit=True) for name in get_type_hints(cls) if name in NOT_STORED}
    return make_dict_unstructure_fn(cls, converter, _cattrs_omit_if_default=True, **kept)  # type: ignore[arg-type]


def _structurer(cls: type[Any], converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    kept = {
        name: override(struct_hook=(lambda value, _: value) if hint is Any else (lambda value, _: tuple(value)))
        for name, hint in get_type_hints(cls).items()
        if _is_json(hint)
    }
    kept |= {name: override(omit=True) for name in get_type_hints(cls) if name in NOT_STORED}
    return make_dict_structure_fn(cls, converter, **kept)  # type: ignore[arg-type]


def _converter() -> cattrs.Converter:
    converter = make_converter(detailed_validation=False)
    converter.register_unstructure_hook(Decimal, str)
    converter.register_structure_hook(Decimal, lambda value, _: Decimal(value))
    converter.register_unstructure_hook(datetime, lambda value: value.isoformat())
    converter.register_structure_hook(datetime, lambda value, _: datetime.fromisoformat(value))
    converter.register_unstructure_hook_factory(attrs.has, lambda cls: _unstructurer(cls, converter))
    converter.register_structure_hook_factory(attrs.has, lambda cls: _structurer(cls, converter))
    converter.register_structure_hook(Answer, _structure_answer)
    converter.register_unstructure_hook(Answer, _unstructure_answer)
    optional = Answer | None
    converter.register_structure_hook(optional, lambda value, _: None if value is None else _structure_answer(value, _))
    converter.register_unstructure_hook(optional, _unstructure_answer)
    return converter


_CONVERTER = _converter()
_STRUCTURE = {cls: _CONVERTER.get_structure_hook(cls) for cls in (*BODIES.values(), *_ANSWER_TAGS)}
_UNSTRUCTURE = {cls: _unstructurer(cls, _CONVERTER) for cls in (*BODIES.values(), *COMMANDS.values(), *_ANSWER_TAGS)}
"""Made at import, for making one takes milliseconds in which no charger is answered."""

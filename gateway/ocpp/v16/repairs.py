"""The repair lane: what real chargers break, as a table, and the walk that mends a payload by it.

Each row says which fault of which field it mends, how, and under which name it is counted. A fault without a row
is beyond repair. A mended payload is validated again; what a row deliberately leaves as sent (``KEEP``) passes.

StartTransaction, StopTransaction and MeterValues have a row for everything: a CALLERROR would make the charger repeat
them for ever and hold back all that comes after (A4.2). The payload as sent is kept beside whatever is
mended here.
"""

import re
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any, Final, TypeAlias

import jsonschema_rs
import orjson
from attrs import evolve, frozen

from gateway.domain.values import JSON


class Mend(Enum):
    """Outcome of a repair other than another value."""

    KEEP = auto()
    """It stays as sent and counts as valid."""
    DROP = auto()
    """It is taken out."""
    PASS = auto()
    """This row is not for it after all: the next one that applies is asked."""
    REFUSE = auto()
    """Beyond repair, whatever later rows would say."""


Path: TypeAlias = tuple[str | int, ...]


@frozen
class SchemaFault:
    """One thing that the validator found. For ``required`` the path names the missing field."""

    kind: str
    path: Path
    value: Any
    limit: Any = None
    """The types, options or bound that the schema asks for."""
    before: int = 0
    """How many faults were looked at before this one was found to be beyond repair."""

    @property
    def name(self) -> str:
        """The field, as a reader knows it: ``meterValue[0].timestamp``."""
        name = ""
        for step in self.path:
            name += f"[{step}]" if isinstance(step, int) else f".{step}" if name else step
        return name or "payload"


Mender: TypeAlias = Callable[[SchemaFault], Any]


@frozen
class Repair:
    """A row: applies to a fault of ``kinds`` in ``actions`` (empty: any) at a field named by ``fields`` (empty: any),
    anywhere below ``under`` (empty: anywhere)."""

    deviation: str
    kinds: frozenset[str]
    mend: Mender
    actions: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()
    under: frozenset[str] = frozenset()

    def applies(self, action: str, fault: SchemaFault) -> bool:
        return (
            fault.kind in self.kinds
            and (not self.actions or action in self.actions)
            and (not self.fields or (fault.path[-1:] != () and fault.path[-1] in self.fields))
            and (not self.under or (fault.path[:1] != () and fault.path[0] in self.under))
        )


@frozen
class Mended:
    """A payload that can be read, and the names of what it took."""

    payload: dict[str, Any]
    deviations: tuple[str, ...]
    faults: int = 0
    """How many there were, in all rounds together."""


MAX_ROUNDS: Final = 5
"""A mended field may show another fault (text in the wrong case, after a number became text): five are ample."""

MAX_KEPT_TEXT: Final = 255
"""An idTag of a transaction is kept beyond its 20 characters, since its beginning may be another's tag; no more
than this, since what is longer was never a tag."""

MAX_FIELD_NAME: Final = 60

NEVER_REFUSED: Final = frozenset({"StartTransaction", "StopTransaction", "MeterValues"})
"""What is read as long as it is a JSON object at all (A4.2)."""


# --- menders --------------------------------------------------------------------------------------------------


def _keep(_: SchemaFault) -> Any:
    return Mend.KEEP


def _drop(_: SchemaFault) -> Any:
    return Mend.DROP


def _to(value: JSON) -> Mender:
    return lambda _: value


def _refuse(_: SchemaFault) -> Any:
    return Mend.REFUSE


def _null(fault: SchemaFault) -> Any:
    return Mend.DROP if fault.value is None else Mend.PASS


def _number_as_text(fault: SchemaFault) -> Any:
    if "string" not in fault.limit or isinstance(fault.value, bool) or not isinstance(fault.value, int | float):
        return Mend.PASS
    return str(fault.value)


def _boolean_as_text(fault: SchemaFault) -> Any:
    if "string" not in fault.limit or not isinstance(fault.value, bool):
        return Mend.PASS
    return "true" if fault.value else "false"


_WHOLE_NUMBER = re.compile(r"\s*([+-]?\d{1,19})(?:\.0{1,9})?\s*", re.ASCII)
_DECIMAL_NUMBER = re.compile(r"\s*[+-]?\d{1,15}\.\d{1,15}\s*", re.ASCII)


def _text_as_integer(fault: SchemaFault) -> Any:
    if "integer" not in fault.limit or not isinstance(fault.value, str):
        return Mend.PASS
    number = _WHOLE_NUMBER.fullmatch(fault.value)
    return int(number[1]) if number else Mend.PASS


def _float_as_integer(fault: SchemaFault) -> Any:
    if "integer" not in fault.limit or not isinstance(fault.value, float) or not fault.value.is_integer():
        return Mend.PASS
    return int(fault.value)


def _rounded(fault: SchemaFault) -> Any:
    """A register with decimals, to the nearest Wh."""
    if isinstance(fault.value, str) and _DECIMAL_NUMBER.fullmatch(fault.value):
        return round(float(fault.value))
    return round(fault.value) if isinstance(fault.value, float) else Mend.PASS


def _text_as_number(fault: SchemaFault) -> Any:
    if "number" not in fault.limit or not isinstance(fault.value, str):
        return Mend.PASS
    number = fault.value.strip()
    return float(number) if _DECIMAL_NUMBER.fullmatch(number) or _WHOLE_NUMBER.fullmatch(number) else Mend.PASS


_BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


def _as_boolean(fault: SchemaFault) -> Any:
    if "boolean" not in fault.limit or not isinstance(fault.value, str | int):
        return Mend.PASS
    return _BOOLEANS.get(str(fault.value).strip().lower(), Mend.PASS)


def _listed_as_text(fault: SchemaFault) -> Any:
    """A comma-separated list that was sent as a JSON array (quirk 31)."""
    if "string" in fault.limit and isinstance(fault.value, list) and all(isinstance(v, str) for v in fault.value):
        return ",".join(fault.value)
    return Mend.PASS


def _as_list(fault: SchemaFault) -> Any:
    return [fault.value] if "array" in fault.limit and isinstance(fault.value, dict | str) else Mend.PASS


_SPELLINGS = {"uploadfailed": "UploadFailure", "uploadfailure": "UploadFailed"}
"""Names that two editions spell differently (X8)."""


def _spelling(fault: SchemaFault) -> Any:
    """A name in the wrong case, with blanks or separators that don't belong there."""
    if not isinstance(fault.value, str) or len(fault.value) > MAX_FIELD_NAME:
        return Mend.PASS
    known = {option.lower(): option for option in fault.limit if isinstance(option, str)}
    meant = re.sub(r"[\s_]", "", fault.value).lower()
    return known.get(meant) or known.get(_SPELLINGS.get(meant, "").lower(), Mend.PASS)


_SIGNED_FIRMWARE = frozenset(
    [
        "DownloadScheduled",
        "DownloadPaused",
        "InstallRebooting",
        "InstallScheduled",
        "InstallVerificationFailed",
        "InvalidSignature",
        "SignatureVerified",
    ]
)


def _signed_firmware(fault: SchemaFault) -> Any:
    """A status of the security extension in the message without it: it means the same."""
    return Mend.KEEP if fault.value in _SIGNED_FIRMWARE else Mend.PASS


def _success(fault: SchemaFault) -> Any:
    """The other word for Accepted, of the whitepaper's use case (X7)."""
    return "Accepted" if isinstance(fault.value, str) and fault.value.lower() == "success" else Mend.PASS


def kept_length(limit: int) -> int:
    """Return how much of a text is kept whose schema allows ``limit`` characters: what chargers in the field send
    beyond it is a serial number, a list of measurands or a model's variant, and cut it is another one. Bounded, since
    it is stored: five times as much, and 255 at least."""
    return max(MAX_KEPT_TEXT, 5 * limit)


def _kept_text(fault: SchemaFault) -> Any:
    length = kept_length(fault.limit)
    return Mend.KEEP if len(fault.value) <= length else fault.value[:length]


def _kept_tag(fault: SchemaFault) -> Any:
    return Mend.KEEP if len(fault.value) <= MAX_KEPT_TEXT else fault.value[:MAX_KEPT_TEXT]


# --- the table ------------------------------------------------------------------------------------------------


def _of(*names: str) -> frozenset[str]:
    return frozenset(names)


_TYPE = _of("type")
_METADATA = _of("context", "format", "measurand", "phase", "location", "unit")
_VALUES = _of("meterValue", "transactionData")
_TAGS = _of("idTag", "parentIdTag")
_REGISTERS = _of("meterStart", "meterStop")
_RANGE = _of("minimum", "maximum")

REPAIRS: Final[Sequence[Repair]] = (
    # Meter values are kept as sent and read sample by sample: nothing in them spoils the rest (B6.7, quirks 23, 29).
    Repair("sampled-value-number", _TYPE, _number_as_text, fields=_of("value"), under=_VALUES),  # X14
    Repair("measurement-spelling", _of("enum"), _spelling, fields=_METADATA, under=_VALUES),
    Repair("measurement-metadata", _of("enum"), _keep, fields=_METADATA, under=_VALUES),
    Repair("no-samples", _of("minItems"), _keep, under=_VALUES),
    Repair("unreadable-sample", _of("type", "enum", "required", "additionalProperties"), _keep, under=_VALUES),
    # Types that were confused, but mean something.
    Repair("null-field", _TYPE, _null),  # B9.17
    Repair("text-for-integer", _TYPE, _text_as_integer),
    Repair("float-for-integer", _TYPE, _float_as_integer),
    Repair("fractional-register", _TYPE, _rounded, fields=_REGISTERS),
    Repair("list-for-text", _TYPE, _listed_as_text, fields=_of("value")),  # quirk 31
    Repair("number-for-text", _TYPE, _number_as_text),
    Repair("boolean-for-text", _TYPE, _boolean_as_text),
    Repair("text-for-number", _TYPE, _text_as_number),
    Repair("not-a-boolean", _TYPE, _as_boolean),  # quirk 31
    Repair(
        "object-for-list", _TYPE, _as_list, fields=_of("configurationKey", "unknownKey", "certificateHashData")
    ),  # B11.6
    Repair("object-for-text", _TYPE, _keep, actions=_of("DataTransfer"), fields=_of("data")),  # B8.1
    # Names.
    Repair("delete-success", _of("enum"), _success, _of("DeleteCertificate"), _of("status")),  # X7
    Repair("spelling", _of("enum"), _spelling),
    Repair("unknown-error-code", _of("enum"), _keep, _of("StatusNotification"), _of("errorCode")),  # quirk 27
    Repair("unknown-stop-reason", _of("enum"), _keep, _of("StopTransaction"), _of("reason")),
    Repair("signed-status", _of("enum"), _signed_firmware, _of("FirmwareStatusNotification"), _of("status")),
    # Lengths and extras. A tag is never cut to another's: too long to authorize, kept where it must be.
    Repair("id-tag-too-long", _of("maxLength"), _kept_tag, NEVER_REFUSED, _TAGS),  # B3.5
    Repair("id-tag-too-long", _of("maxLength"), _refuse, fields=_TAGS),
    Repair("text-too-long", _of("maxLength"), _kept_text),
    Repair("extra-property", _of("additionalProperties"), _drop),
    Repair("imprecise-limit", _of("multipleOf"), _keep),
    # A confirmation's list of keys is read as far as it goes (quirk 31).
    Repair("not-a-boolean", _TYPE | _of("required"), _to(False), _of("GetConfiguration"), _of("readonly")),
    Repair("missing-key", _of("required"), _to(""), _of("GetConfiguration"), _of("key")),
    # What is left of a transaction's messages is read with whatever can be read of it (A4.2, B4.3, B5.1, B6.1).
    Repair("negative-connector", _of("minimum"), _keep, NEVER_REFUSED, _of("connectorId")),  # B4.12
    Repair("unreadable-field", _TYPE | _RANGE | _of("enum"), _drop, NEVER_REFUSED),
    Repair("missing-id-tag", _of("required"), _to(""), NEVER_REFUSED, _of("idTag")),  # quirk 73
    Repair("missing-timestamp", _of("required"), _to(""), NEVER_REFUSED, _of("timestamp")),
    Repair("missing-register", _of("required"), _to(0), NEVER_REFUSED, _REGISTERS),
    Repair("missing-number", _of("required"), _to(0), NEVER_REFUSED, _of("transactionId")),  # B5.5
    Repair("missing-connector", _of("required"), _to(0), NEVER_REFUSED, _of("connectorId")),
    Repair("missing-meter-values", _of("required"), lambda _: [], NEVER_REFUSED, _of("meterValue")),
)


# --- the walk -------------------------------------------------------------------------------------------------


def mend(action: str, payload: dict[str, Any], validator: jsonschema_rs.Draft4Validator) -> Mended | SchemaFault:
    """Mend a payload that ``validator`` refuses, or name the first fault that no row mends. ``payload`` is not changed.

    ``MAX_ROUNDS`` passes over the payload, each some 20 µs for a fault: the caller bounds how many there can be.
    """
    mended = orjson.loads(orjson.dumps(payload))  # a copy; twenty times as fast as copy.deepcopy
    deviations: dict[str, None] = {}
    fault = SchemaFault("type", (), payload)
    looked_at = 0
    for _ in range(MAX_ROUNDS):
        done: set[Path] = set()
        dropped: list[Path] = []
        kept = True
        found = faults(mended, validator)
        looked_at += len(found)
        for fault in found:
            if fault.path in done:
                continue  # a later round sees what the first mend made of it
            done.add(fault.path)
            deviation, value = _mend_one(action, fault)
            if value is Mend.REFUSE:
                return evolve(fault, before=looked_at)
            deviations[deviation] = None
            if value is Mend.DROP:
                dropped.append(fault.path)
            elif value is not Mend.KEEP:
                _container(mended, fault.path)[fault.path[-1]] = value
            kept = kept and value is Mend.KEEP
        for path in sorted(dropped, key=_deepest_last_first, reverse=True):
            del _container(mended, path)[path[-1]]
        if kept:
            return Mended(mended, tuple(deviations), looked_at)
    return evolve(fault, before=looked_at)


def larger(payload: JSON, most: int) -> bool:
    """Return whether there are more values in it, nested ones included; stops counting there."""
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


def faults(payload: JSON, validator: jsonschema_rs.Draft4Validator) -> list[SchemaFault]:
    """Return what the validator finds, extra properties one by one."""
    found: list[SchemaFault] = []
    for error in validator.iter_errors(payload):
        kind = error.kind.name
        facts = error.kind.as_dict()
        path: Path = tuple(error.instance_path)
        if kind == "additionalProperties":
            found.extend(SchemaFault(kind, (*path, extra), None) for extra in facts["unexpected"])
        elif kind == "required":
            found.append(SchemaFault(kind, (*path, facts["property"]), None))
        else:
            limit = facts.get("types") or facts.get("options") or facts.get("limit") or ()
            # The payload's own value: the error's copy may be of another type (a Decimal for a large number).
            found.append(SchemaFault(kind, path, _at(payload, path), limit))
    return found


def _mend_one(action: str, fault: SchemaFault) -> tuple[str, Any]:
    for repair in REPAIRS:
        if repair.applies(action, fault):
            value = repair.mend(fault)
            if value is not Mend.PASS:
                return repair.deviation, value
    return "", Mend.REFUSE


def _container(payload: Any, path: Path) -> Any:
    return _at(payload, path[:-1])


def _at(payload: Any, path: Path) -> Any:
    for step in path:
        payload = payload[step]
    return payload


def _deepest_last_first(path: Path) -> tuple[int, tuple[str, ...]]:
    """An order in which taking out one item moves no other that is still to go."""
    return len(path), tuple(f"{step:012}" if isinstance(step, int) else step for step in path)

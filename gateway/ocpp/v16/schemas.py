"""Validators of OCPP 1.6's schemas, compiled once from the files that the ``ocpp`` package ships.

They are the corrected ones of 2019-12 and the security extension's (A4.4). Two things are changed on loading:

* Formats are not checked: real chargers send times without a zone, which ``date-time`` refuses.
* Integers get the ranges that the schemas leave out. ``connectorId`` is not negative (S §3.8); a transaction's number
  and a meter's registers have 64 bits (S §7.8; a register above 2^31 Wh is implausible but readable), others 32.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

import jsonschema_rs
import orjson

from gateway.ocpp.v16.actions import ACTIONS

CHARGER_ACTIONS: Final = frozenset(
    {
        "Authorize",
        "BootNotification",
        "DataTransfer",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "LogStatusNotification",
        "MeterValues",
        "SecurityEventNotification",
        "SignCertificate",
        "SignedFirmwareStatusNotification",
        "StartTransaction",
        "StatusNotification",
        "StopTransaction",
    }
)
"""What a charger may send and the gateway handles."""

OPERATIONS: Final = frozenset(ACTIONS.values())
"""What the gateway may send."""

_SIXTY_FOUR_BITS: Final = frozenset({"transactionId", "meterStart", "meterStop"})


def _ranged(schema: Any, name: str = "") -> Any:
    """A schema with our ranges on its integers. ``name``: the property that it is the schema of."""
    if isinstance(schema, list):
        return [_ranged(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "integer":
        bits = 63 if name in _SIXTY_FOUR_BITS else 31
        return {**schema, "minimum": 0 if name == "connectorId" else -(2**bits), "maximum": 2**bits - 1}
    return {
        key: {n: _ranged(s, n) for n, s in value.items()} if key == "properties" else _ranged(value)
        for key, value in schema.items()
    }


def _read(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = orjson.loads((files("ocpp.v16") / "schemas" / f"{name}.json").read_bytes())
    return schema


def _compile(name: str) -> jsonschema_rs.Draft4Validator:
    return jsonschema_rs.Draft4Validator(_ranged(_read(name)), validate_formats=False)


KNOWN_ACTIONS: Final = frozenset(
    file.name.removesuffix(".json")
    for file in (files("ocpp.v16") / "schemas").iterdir()
    if file.name.endswith(".json") and not file.name.endswith("Response.json")
)
"""Every action of 1.6 and its security extension, in either direction, handled here or not."""

REQUESTS: Final[Mapping[str, jsonschema_rs.Draft4Validator]] = {a: _compile(a) for a in sorted(CHARGER_ACTIONS)}
"""What chargers ask."""

REQUEST_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    action: frozenset(_read(action).get("properties", ())) for action in sorted(CHARGER_ACTIONS)
}
"""The fields at the top of what chargers ask."""

REPLIES: Final[Mapping[str, jsonschema_rs.Draft4Validator]] = {
    action: _compile(f"{action}Response") for action in sorted(CHARGER_ACTIONS)
}
"""What they are answered."""

COMMANDS: Final[Mapping[str, jsonschema_rs.Draft4Validator]] = {a: _compile(a) for a in sorted(OPERATIONS)}
"""What the gateway asks."""

CONFIRMATIONS: Final[Mapping[str, jsonschema_rs.Draft4Validator]] = {
    operation: _compile(f"{operation}Response") for operation in sorted(OPERATIONS)
}
"""What it is answered."""

"""A confirmation to its answer, and a CALLERROR to what may be recorded of it.

Read by the same two lanes as a charger's CALLs. What neither reads is an error with the code ``InvalidConfirmation``:
the call has failed, the session goes on (B9.19).
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import orjson

from gateway.domain import commands as c
from gateway.domain import security_commands as x
from gateway.domain.charging import ChargingRateUnit, ChargingSchedule, SchedulePeriod
from gateway.domain.codec import secrets_of
from gateway.domain.secrets import REDACTED, shown_data, shown_location, shown_setting, shown_text
from gateway.domain.times import read_time
from gateway.domain.values import JSON
from gateway.ocpp.protocol import ReadAnswer
from gateway.ocpp.v16.actions import ACTIONS
from gateway.ocpp.v16.addresses import to_address
from gateway.ocpp.v16.repairs import SchemaFault, larger, mend
from gateway.ocpp.v16.schemas import CONFIRMATIONS

MAX_CODE: Final = 60
"""The longest of the specification has 29 characters; a vendor's own may be longer."""

MAX_MENDED_NODES: Final = 4096
"""Values in a confirmation, nested ones included, that the repair lane goes into: a thousand configuration keys, three
times as many as the largest chargers have. All of them wrong takes it some 30 ms."""

MAX_DESCRIPTION: Final = 255
MAX_DETAILS: Final = 1000
"""Characters of a CALLERROR's details that are kept as JSON; of longer ones as many are kept as a JSON text."""

MAX_CERTIFICATES: Final = 100
"""Installed certificates of one kind that are kept of an answer: chargers have room for a handful."""

MAX_SEARCHED: Final = 4096
"""Characters of a description that are searched for secrets before it is cut: a cut may hide what names one."""


def decode_answer(command: c.Command, payload: JSON) -> ReadAnswer:
    """The answer, or why it can't be read, and what had to be mended. Never raises."""
    action = ACTIONS[type(command)]
    if not isinstance(payload, dict):
        return _invalid("the payload is not an object")
    deviations: tuple[str, ...] = ()
    validator = CONFIRMATIONS[action]
    if not validator.is_valid(payload):
        if larger(payload, MAX_MENDED_NODES):
            return _invalid("the payload breaks its schema, and is too large to be mended")
        mended = mend(action, payload, validator)
        if isinstance(mended, SchemaFault):
            return _invalid(f"{mended.name} breaks its schema ({mended.kind})")
        if payload and not mended.payload:
            # Nothing of it belongs here: the request echoed, or another message's confirmation (mh#424).
            return _invalid("no field of this confirmation is in the payload")
        payload, deviations = mended.payload, mended.deviations
    return ReadAnswer(_DECODERS.get(type(command), _status)(payload), deviations)


def _invalid(why: str) -> ReadAnswer:
    return ReadAnswer(c.ChargerError(c.INVALID_CONFIRMATION, why))


def decode_error(command: c.Command, code: str, description: str, details: JSON) -> c.ChargerError:
    """A CALLERROR cut to its bounds, without secrets: those of the command too, should the charger repeat them."""
    text = orjson.dumps(shown_data(details)).decode()
    description = shown_text(description[:MAX_SEARCHED])
    for secret in secrets_of(command):
        code, description, text = (_without(part, secret) for part in (code, description, text))
    if len(text) > MAX_DETAILS:
        text = orjson.dumps(text[:MAX_DETAILS]).decode()  # JSON that is cut can't be read: its beginning, as a text
    return c.ChargerError(code[:MAX_CODE], description[:MAX_DESCRIPTION], text)


def _without(text: str, secret: str) -> str:
    """The text, or none of it where it holds the secret, in whichever case its hex digits come back."""
    at = text.casefold().find(secret.casefold())
    return text if at < 0 else REDACTED


# --- one function per shape of confirmation -------------------------------------------------------------------


def _status(payload: dict[str, Any]) -> c.StatusAnswer:
    return c.StatusAnswer(payload["status"])


def _empty(_: dict[str, Any]) -> c.EmptyAnswer:
    return c.EmptyAnswer()


def _data_transfer(payload: dict[str, Any]) -> c.DataTransferAnswer:
    data = payload.get("data")
    shown = shown_data(data)
    return c.DataTransferAnswer(
        payload["status"], shown if shown is None or isinstance(shown, str) else orjson.dumps(shown).decode()
    )


def _schedule(schedule: dict[str, Any]) -> ChargingSchedule:
    return ChargingSchedule(
        ChargingRateUnit(schedule["chargingRateUnit"]),
        tuple(
            SchedulePeriod(period["startPeriod"], Decimal(str(period["limit"])), period.get("numberPhases"))
            for period in schedule["chargingSchedulePeriod"]
        ),
        schedule.get("duration"),
        read_time(schedule.get("startSchedule")).value,
        None if (rate := schedule.get("minChargingRate")) is None else Decimal(str(rate)),
    )


def _composite_schedule(payload: dict[str, Any]) -> c.CompositeScheduleAnswer:
    connector = payload.get("connectorId")
    schedule = payload.get("chargingSchedule")
    return c.CompositeScheduleAnswer(
        payload["status"],
        None if connector is None else to_address(connector),
        read_time(payload.get("scheduleStart")).value,
        None if schedule is None else _schedule(schedule),
    )


def _configuration(payload: dict[str, Any]) -> c.ConfigurationAnswer:
    return c.ConfigurationAnswer(
        tuple(_key(entry) for entry in payload.get("configurationKey", ()) if entry["key"]),
        tuple(payload.get("unknownKey", ())),
    )


def _key(entry: dict[str, Any]) -> c.ConfigurationKey:
    value = entry.get("value")
    return c.ConfigurationKey(
        entry["key"], entry["readonly"], None if value is None else shown_setting(entry["key"], value)
    )


def _diagnostics(payload: dict[str, Any]) -> c.DiagnosticsAnswer:
    """An empty name is none: there is nothing to upload (S §5.9, B9.16)."""
    return c.DiagnosticsAnswer(shown_location(payload.get("fileName") or "") or None)


def _local_list_version(payload: dict[str, Any]) -> c.LocalListVersionAnswer:
    return c.LocalListVersionAnswer(payload["listVersion"])


def _installed_certificates(payload: dict[str, Any]) -> x.InstalledCertificatesAnswer:
    """NotFound comes without certificates (WP M03.FR.02); a single one that is no list is read as one (B11.6)."""
    return x.InstalledCertificatesAnswer(
        payload["status"],
        tuple(
            x.CertificateHash(
                x.HashAlgorithm(each["hashAlgorithm"]),
                each["issuerNameHash"],
                each["issuerKeyHash"],
                each["serialNumber"],
            )
            for each in payload.get("certificateHashData", ())[:MAX_CERTIFICATES]
        ),
    )


def _log(payload: dict[str, Any]) -> x.LogAnswer:
    return x.LogAnswer(payload["status"], shown_location(payload.get("filename") or "") or None)


_DECODERS: Final[dict[type[c.Command], Callable[[dict[str, Any]], c.Answer]]] = {
    c.DataTransfer: _data_transfer,
    c.GetCompositeSchedule: _composite_schedule,
    c.GetConfiguration: _configuration,
    c.GetDiagnostics: _diagnostics,
    c.GetLocalListVersion: _local_list_version,
    c.UpdateFirmware: _empty,
    x.GetInstalledCertificateIds: _installed_certificates,
    x.GetLog: _log,
}

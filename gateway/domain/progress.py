"""Commands whose work goes on after the charger's answer, and the statuses by which it reports that work: firmware
updates and uploads of diagnostics and logs (S §4.4, §4.5; WP L01, N01).

A status names no command in OCPP 1.6. It belongs to the newest command of its kind that was sent, also on an earlier
connection and before a boot in the middle of the work (B8.2, B8.3), until that has succeeded; what is reported after
that, and Idle, belongs to none. The security extension's statuses name a request: where that is another one than the
newest command's, they belong to none.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Protocol

from attrs import evolve

from gateway.domain import events as e
from gateway.domain.commands import GetDiagnostics, UpdateFirmware
from gateway.domain.events import NewEvent
from gateway.domain.records import Progress
from gateway.domain.security_commands import GetLog, SignedUpdateFirmware


class Work(StrEnum):
    """Kind of work."""

    FIRMWARE = "firmware"
    DIAGNOSTICS = "diagnostics"
    LOG = "log"


WORK: Final[Mapping[str, Work]] = {
    UpdateFirmware.__name__: Work.FIRMWARE,
    SignedUpdateFirmware.__name__: Work.FIRMWARE,
    GetDiagnostics.__name__: Work.DIAGNOSTICS,
    GetLog.__name__: Work.LOG,
}
"""The kinds by the operation that begins one."""

SUCCESS: Final[Mapping[Work, str]] = {
    Work.FIRMWARE: "Installed",
    Work.DIAGNOSTICS: "Uploaded",
    Work.LOG: "Uploaded",
}
"""The status that ends it. A failure does not: the charger may try again, as the command allows (B9.16)."""

IDLE: Final = "Idle"


class HasProgress(Protocol):
    """A charge point's state, as far as it is changed here."""

    progress: dict[str, Progress]


def command_of(progress: Mapping[str, Progress], work: Work, status: str, ocpp_request_id: int | None = None) -> str:
    """The command to which a status belongs; empty: to none, as far as is known. ``ocpp_request_id``: as the charger
    named it; None: it named none."""
    known = progress.get(work)
    if known is None or status == IDLE:
        return ""
    if ocpp_request_id is not None and ocpp_request_id != known.ocpp_request_id:
        return ""
    repeated = known.status == status and known.status_command_id == known.command_id
    return "" if known.succeeded and not repeated else known.command_id


def newest_update(progress: Mapping[str, Progress]) -> str:
    """The newest command for firmware that was sent; empty: there was none."""
    known = progress.get(Work.FIRMWARE)
    return "" if known is None else known.command_id


def begun(before: Progress | None, command_id: str, ocpp_request_id: int | None) -> Progress:
    """The progress once a command was sent. The last status stays until there is another."""
    return evolve(before or Progress(), command_id=command_id, succeeded=False, ocpp_request_id=ocpp_request_id)


def firmware_reported(state: HasProgress, event: NewEvent, body: e.FirmwareStatusReported, _: int) -> None:
    """Take over a status."""
    state.progress[Work.FIRMWARE] = reported(state.progress.get(Work.FIRMWARE), Work.FIRMWARE, event, body)


def diagnostics_reported(state: HasProgress, event: NewEvent, body: e.DiagnosticsStatusReported, _: int) -> None:
    """Take over a status."""
    state.progress[Work.DIAGNOSTICS] = reported(state.progress.get(Work.DIAGNOSTICS), Work.DIAGNOSTICS, event, body)


def log_reported(state: HasProgress, event: NewEvent, body: e.LogStatusReported, _: int) -> None:
    """Take over a status."""
    state.progress[Work.LOG] = reported(state.progress.get(Work.LOG), Work.LOG, event, body)


def reported(
    before: Progress | None,
    work: Work,
    event: NewEvent,
    body: e.FirmwareStatusReported | e.DiagnosticsStatusReported | e.LogStatusReported,
) -> Progress:
    """The progress as a status leaves it."""
    known = before or Progress()
    own = bool(body.command_id) and body.command_id == known.command_id
    return evolve(
        known,
        status=body.status,
        status_command_id=body.command_id,
        reported_at=event.received_at,
        succeeded=known.succeeded or (own and body.status == SUCCESS[work]),
    )

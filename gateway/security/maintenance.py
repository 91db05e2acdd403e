"""The course of operations whose work goes on for long after the charger's answer: a log is uploaded, signed firmware
is installed, a certificate is renewed (WP A02, L01, N01).

    ACCEPTED ──▶ SENT ──▶ CHARGER_ACCEPTED ──▶ what the charger reports ... ──▶ done, or no effect
        │          └──▶ refused, timed out                └──▶ unknown: its time is over
        └──▶ not sent, offline

Reports come in any order and some not at all (B11.8): the furthest stage that was seen counts; no stage comes twice.
Pure; ``step`` looks at an open operation as committed events have left it, as ``gateway.charging.operations`` does.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from attrs import frozen

from gateway.domain.commands import Command, CommandState
from gateway.domain.events import Body, OperationAdvanced, OperationEnded
from gateway.domain.maintenance_facts import FAILED, INSTALLED, ISSUED, REQUESTED, SUPERSEDED
from gateway.domain.operations import End, OpenOperation, OperationKind, OperationRecord, OperationRequest, Stage
from gateway.domain.security_commands import ExtendedTrigger, ExtendedTriggerMessage, SignedUpdateFirmware

SEND_WAIT: Final = timedelta(minutes=2)
"""Until the command has to be on the wire: as long as any operation waits for its turn."""

LOG_WAIT: Final = timedelta(hours=6)
"""Until an upload is followed no longer: megabytes over a bad mobile link, with retries."""

FIRMWARE_WAIT: Final = timedelta(days=1)
"""The same for firmware, from when it is to be fetched, or installed: a charger in use waits for its driver."""

RENEWAL_WAIT: Final = timedelta(days=2)
"""The same for a certificate: longer than its request waits to be signed and delivered by default."""

_S = Stage
REPORTS: Final[Mapping[OperationKind, Mapping[str, Stage]]] = MappingProxyType(
    {
        OperationKind.UPLOAD_LOG: {"Uploading": _S.UPLOADING},
        OperationKind.INSTALL_FIRMWARE: {
            "Downloading": _S.DOWNLOADING,
            "Downloaded": _S.DOWNLOADED,
            "SignatureVerified": _S.SIGNATURE_VERIFIED,
            "Installing": _S.INSTALLING,
            "InstallRebooting": _S.INSTALLING,
        },
        OperationKind.RENEW_CERTIFICATE: {REQUESTED: _S.CERTIFICATE_REQUESTED, ISSUED: _S.CERTIFICATE_ISSUED},
    }
)
"""Stages by what shows them, in their order."""

SUCCESS: Final[Mapping[OperationKind, str]] = MappingProxyType(
    {
        OperationKind.UPLOAD_LOG: "Uploaded",
        OperationKind.INSTALL_FIRMWARE: "Installed",
        OperationKind.RENEW_CERTIFICATE: INSTALLED,
    }
)
"""What shows that all is done."""

FAILURES: Final = frozenset(
    {
        *("BadMessage", "NotSupportedOperation", "PermissionDenied", "UploadFailure"),
        *("DownloadFailed", "InstallationFailed", "InstallVerificationFailed", "InvalidSignature"),
        SUPERSEDED,
    }
)
"""What shows that it has come to nothing, in the words for why."""

UNANSWERED: Final = "no-answer"
UNFINISHED: Final = "no-end"
FORGOTTEN: Final = "gateway-restarted"
"""Nothing was sent, and the command is not known any more: it may hold a password, and is on no disk."""

_ON_THE_WIRE: Final = frozenset({CommandState.SENT, CommandState.ANSWERED, CommandState.OUTCOME_UNKNOWN})


@frozen
class MaintenanceStep:
    """The work that an operation asks for now, as of ``gateway.charging.operations.Step``."""

    events: tuple[Body, ...] = ()
    send: Command | None = None
    due: datetime | None = None


def first_command(request: OperationRequest) -> Command | None:
    """The command that the operation consists in; None: it is not known any more."""
    if request.kind is OperationKind.RENEW_CERTIFICATE:
        return ExtendedTriggerMessage(ExtendedTrigger.SIGN_CERTIFICATE)
    return request.own_command


def followed_until(request: OperationRequest, now: datetime) -> datetime:
    """The time at which the operation ends, whatever has come of it by then."""
    match request.kind, request.own_command:
        case OperationKind.RENEW_CERTIFICATE, _:
            return now + RENEWAL_WAIT
        case _, SignedUpdateFirmware(retrieve_date=retrieve, install_date=install):
            return max(now, retrieve, install or now) + FIRMWARE_WAIT
        case _:
            return now + LOG_WAIT


def send_by(record: OperationRecord) -> datetime:
    """The time by which the command is on the wire, or never will be."""
    return record.created_at + SEND_WAIT


def step(operation: OpenOperation, now: datetime) -> MaintenanceStep:
    """The next step of an operation of ``MAINTENANCE``."""
    record = operation.record
    if record.stage is Stage.ACCEPTED and operation.command not in _ON_THE_WIRE:
        return _unsent(operation, now)
    kind, events = record.request.kind, list[Body]()
    order = (Stage.ACCEPTED, Stage.SENT, Stage.CHARGER_ACCEPTED, *dict.fromkeys(REPORTS[kind].values()))
    seen = {stage for word, stage in REPORTS[kind].items() if word in operation.seen}
    reached = {Stage.SENT, *seen, *({Stage.CHARGER_ACCEPTED} if operation.accepted else ())}
    events += (
        OperationAdvanced(record.operation_id, stage, record.command_id)
        for stage in order[order.index(record.stage) + 1 :]
        if stage in reached
    )
    end = _end(operation, bool(seen) or operation.accepted is True, now)
    if end is not None:
        events.append(end)
    return MaintenanceStep(tuple(events), due=record.expires_at)


def _unsent(operation: OpenOperation, now: datetime) -> MaintenanceStep:
    record, reason = operation.record, operation.command_reason
    end: tuple[End, str] | None = None
    if operation.command is CommandState.NOT_SENT:
        end = (End.OFFLINE if reason == "disconnected" else End.NOT_SENT, reason)
    elif operation.command is None and now >= send_by(record):
        end = (End.NOT_SENT, "deadline")
    elif operation.command is None and first_command(record.request) is None:
        end = (End.NOT_SENT, FORGOTTEN)
    if end is not None:
        return MaintenanceStep((OperationEnded(record.operation_id, *end),))
    if operation.command is None:
        return MaintenanceStep(send=first_command(record.request), due=send_by(record))
    return MaintenanceStep()  # its own deadline ends it


def _end(operation: OpenOperation, begun: bool, now: datetime) -> OperationEnded | None:
    operation_id, kind = operation.record.operation_id, operation.record.request.kind
    if SUCCESS[kind] in operation.seen:
        return OperationEnded(operation_id, End.DONE)
    for word in operation.seen:
        if word in FAILURES or word.startswith(FAILED):
            return OperationEnded(operation_id, End.NO_EFFECT, word.removeprefix(FAILED))
    if operation.accepted is False:
        return OperationEnded(operation_id, End.REFUSED, operation.said)
    if now >= operation.record.expires_at:
        return OperationEnded(operation_id, *((End.UNKNOWN, UNFINISHED) if begun else (End.TIMED_OUT, UNANSWERED)))
    return None

"""The course of operations whose work goes on for long after the charger's answer: a log is uploaded, firmware is
installed, signed or not, a certificate is renewed (S §5.19; WP A02, L01, N01).

    ACCEPTED ──▶ SENT ──▶ CHARGER_ACCEPTED ──▶ what the charger reports ... ──▶ done, or no effect
        │          └──▶ refused, timed out                └──▶ unknown: its time is over
        └──▶ not sent, offline

Reports come in any order and some not at all (B11.8): the furthest stage that was seen counts; no stage comes twice.
Of firmware a boot with another version is evidence, too: some chargers report no more than that.
Pure; ``step`` looks at an open operation as committed events have left it, as ``gateway.charging.operations`` does.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from attrs import frozen

from gateway.domain.commands import Command, CommandState
from gateway.domain.events import Body, OperationAdvanced, OperationEnded
from gateway.domain.firmware import FirmwareUpdate, begins_at, is_signed
from gateway.domain.maintenance_facts import FAILED, IDLE, INSTALLED, ISSUED, REQUESTED, SUPERSEDED, TRIED_AGAIN
from gateway.domain.operations import End, OpenOperation, OperationKind, OperationRecord, OperationRequest, Stage
from gateway.domain.security_commands import ExtendedTrigger, ExtendedTriggerMessage

SEND_WAIT: Final = timedelta(minutes=2)
"""Until the command has to be on the wire: as long as any operation waits for its turn."""

LOG_WAIT: Final = timedelta(hours=6)
"""Until an upload is followed no longer: megabytes over a bad mobile link, with retries."""

FIRMWARE_WAIT: Final = timedelta(days=1)
"""The same for firmware, from when it is to be fetched, or installed: a charger in use waits for its driver."""

BOOT_WAIT: Final = timedelta(minutes=5)
"""From a boot with another version of the firmware until that is taken for its installation: a charger that reports
what came of it does so by then, and one that falls back to the old version boots again."""

RETRY_WAIT: Final = timedelta(minutes=10)
"""Beside the interval that was asked for: from a failure until it is the last one, where several tries were asked
for. Without an interval chargers wait for minutes."""

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
UNREPORTED: Final = "no-report"
"""It was accepted, and nothing was ever reported."""
IDLED: Final = "idle"
"""The last report was that nothing is under way any more, and none said how it ended."""
NEW_VERSION: Final = "new-version"
"""Nothing was reported as installed: the charger booted with another version of the firmware, and went on with it."""
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
        case OperationKind.INSTALL_FIRMWARE, command:
            assert isinstance(command, FirmwareUpdate), "there is no other command of this kind"
            return begins_at(command, now) + FIRMWARE_WAIT
        case _:
            return now + LOG_WAIT


def send_by(record: OperationRecord) -> datetime:
    """The time by which the command is on the wire, or never will be."""
    return record.created_at + SEND_WAIT


def step(operation: OpenOperation, now: datetime, newest_update: str = "") -> MaintenanceStep:
    """The next step of an operation of ``MAINTENANCE``. ``newest_update``: the newest command for firmware that was
    sent to the charge point; what is reported since belongs to that."""
    record = operation.record
    if record.stage is Stage.ACCEPTED and operation.command not in _ON_THE_WIRE:
        return _unsent(operation, now)
    kind, events = record.request.kind, list[Body]()
    order = (Stage.ACCEPTED, Stage.SENT, Stage.CHARGER_ACCEPTED, *dict.fromkeys(REPORTS[kind].values()))
    seen = {stage for word, stage in REPORTS[kind].items() if word in operation.seen}
    if operation.renewed_at is not None:
        seen.add(Stage.INSTALLING)
    reached = {Stage.SENT, *seen, *({Stage.CHARGER_ACCEPTED} if operation.accepted else ())}
    events += (
        OperationAdvanced(record.operation_id, stage, record.command_id)
        for stage in order[order.index(record.stage) + 1 :]
        if stage in reached
    )
    reported = bool(seen) or record.stage in REPORTS[kind].values()
    end = _end(operation, reported, now, newest_update)
    if end is not None:
        events.append(end)
    waits = (_over_at(operation), _final_at(operation), _renewed_by(operation))
    return MaintenanceStep(tuple(events), due=min(at for at in waits if at is not None))


def _over_at(operation: OpenOperation) -> datetime:
    """The time at which it is followed no longer; one that has just come back is heard first."""
    expires_at = operation.record.expires_at
    return max(expires_at, operation.held_until or expires_at)


def _final_at(operation: OpenOperation) -> datetime | None:
    """The time from which the charger's failure is its last word; None: it has reported none that may be followed by
    another try (B9.16)."""
    arguments = operation.record.request.arguments
    if operation.failed_at is None or not isinstance(arguments, dict) or not arguments.get("retries"):
        return operation.failed_at
    return operation.failed_at + timedelta(seconds=arguments.get("retry_interval") or 0) + RETRY_WAIT


def _renewed_by(operation: OpenOperation) -> datetime | None:
    """The time from which another version of the firmware is there for good; None: there is none."""
    return None if operation.renewed_at is None else operation.renewed_at + BOOT_WAIT


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


def _end(operation: OpenOperation, reported: bool, now: datetime, newest_update: str) -> OperationEnded | None:
    operation_id, request = operation.record.operation_id, operation.record.request
    over = now >= _over_at(operation)
    if SUCCESS[request.kind] in operation.seen:
        return OperationEnded(operation_id, End.DONE)
    final_at = _final_at(operation)
    for word in operation.seen:
        if word in TRIED_AGAIN and final_at is not None and now < final_at and not over:
            continue
        if word in FAILURES or word.startswith(FAILED):
            return OperationEnded(operation_id, End.NO_EFFECT, word.removeprefix(FAILED))
    if operation.accepted is False:
        return OperationEnded(operation_id, End.REFUSED, operation.said)
    if _is_overtaken(operation, newest_update):
        return OperationEnded(operation_id, End.UNKNOWN, SUPERSEDED)
    renewed_by = _renewed_by(operation)
    if renewed_by is not None and (over or now >= renewed_by):
        return OperationEnded(operation_id, End.DONE, NEW_VERSION)
    if not over:
        return None
    if operation.seen[-1:] == (IDLE,):
        return OperationEnded(operation_id, End.UNKNOWN, IDLED)
    if reported:
        return OperationEnded(operation_id, End.UNKNOWN, UNFINISHED)
    if operation.accepted is True:
        installs = request.kind is OperationKind.INSTALL_FIRMWARE
        return OperationEnded(operation_id, End.UNKNOWN, UNREPORTED if installs else UNFINISHED)
    return OperationEnded(operation_id, End.TIMED_OUT, UNANSWERED)


def _is_overtaken(operation: OpenOperation, newest_update: str) -> bool:
    """Return whether another update was sent after a plain one, whose reports name none: from then on neither a status
    nor a version says which of the two it is of."""
    record = operation.record
    if record.request.kind is not OperationKind.INSTALL_FIRMWARE or is_signed(record.request.arguments):
        return False
    return bool(newest_update) and newest_update != record.command_id

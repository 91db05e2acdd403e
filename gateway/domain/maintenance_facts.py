"""Facts that committed events add to an open operation of ``MAINTENANCE``: a log that is uploaded, firmware that is
installed, a certificate that is renewed. Each is a word in ``OpenOperation.seen``; a boot with another version of the
firmware has a time.

What becomes of it is ``gateway.security.maintenance``'s. The facts are the same whether they come one after the other,
or are read back from the history when the charger is back.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

if TYPE_CHECKING:
    from gateway.domain import events as e
    from gateway.domain.operations import OpenOperation

MAX_SEEN: Final = 24
"""Words of one operation: OCPP has 14 statuses of firmware; a charger that makes up more fills no memory."""

SUPERSEDED: Final = "superseded"
"""The charger has cancelled it for a later command of its kind."""

REQUESTED: Final = "requested"
ISSUED: Final = "issued"
INSTALLED: Final = "installed"
FAILED: Final = "failed:"
"""Followed by the reason: the certificate will not come."""

IDLE: Final = "Idle"
"""Nothing is under way: by the specification an answer to a trigger, by some chargers the last word of an update."""

TRIED_AGAIN: Final = frozenset({"DownloadFailed", "UploadFailure"})
"""Failures that a charger may report of each of several tries."""

_REPORTS: Final = {"firmware.status_reported": "INSTALL_FIRMWARE", "log.status_reported": "UPLOAD_LOG"}
_COMMANDS: Final = {"GetLog": "UPLOAD_LOG", "SignedUpdateFirmware": "INSTALL_FIRMWARE"}
_RENEWAL: Final = "RENEW_CERTIFICATE"


def another_answered(operation: "OpenOperation", body: "e.CommandAnswered", said: str) -> "OpenOperation":
    """Another command was answered: with AcceptedCanceled it has taken this one's place (WP L01.FR.24, N01.FR.20)."""
    same = _COMMANDS.get(body.operation) == operation.record.request.kind
    return _with(operation, SUPERSEDED) if same and said == "AcceptedCanceled" and _is_sent(operation) else operation


def _reported(operation: "OpenOperation", event: "e.NewEvent", body: Any, _: int) -> "OpenOperation":
    """By OCPP's request id, where the status has one."""
    record = operation.record
    if record.request.kind != _REPORTS[body.TYPE] or not _is_sent(operation):
        return operation
    arguments = record.request.arguments if isinstance(record.request.arguments, dict) else {}
    own = body.command_id == record.command_id
    if body.request_id is not None:
        own = body.request_id == arguments.get("ocpp_request_id")
    elif body.status == IDLE:
        own = True  # it names no command, and the work of the newest one is not under way
    if not own:
        return operation
    if body.status == IDLE:
        return _with(operation, IDLE) if operation.seen else operation
    operation = _with(evolve(operation, seen=_without_tries(operation.seen), failed_at=None), body.status)
    return evolve(operation, failed_at=event.received_at) if body.status in TRIED_AGAIN else operation


def _without_tries(seen: tuple[str, ...]) -> tuple[str, ...]:
    """A try that failed counts no more once there is another."""
    return tuple(word for word in seen if word not in TRIED_AGAIN)


def _accepted(operation: "OpenOperation", _: Any, body: "e.OperationAccepted", __: int) -> "OpenOperation":
    own = body.operation_id == operation.record.operation_id
    return evolve(operation, firmware_before=body.firmware_version) if own and body.firmware_version else operation


def _booted(operation: "OpenOperation", event: "e.NewEvent", body: "e.ChargePointBooted", _: int) -> "OpenOperation":
    """A version that can be held against none, or is missing, says nothing; that of before takes back what was said."""
    version, before = body.boot.firmware_version, operation.firmware_before
    if not version or not before or not _is_sent(operation):
        return operation
    if version == before:
        return operation if operation.renewed_at is None else evolve(operation, renewed_at=None)
    return operation if operation.renewed_at is not None else evolve(operation, renewed_at=event.received_at)


def _requested(operation: "OpenOperation", _: Any, body: "e.CertificateRequested", __: int) -> "OpenOperation":
    """Any request after the trigger: a charger that makes another key meanwhile goes on with that."""
    if operation.record.request.kind != _RENEWAL or not _is_sent(operation):
        return operation
    return evolve(_with(operation, REQUESTED), signing_id=body.signing_id)


def _refused(operation: "OpenOperation", _: Any, body: "e.CertificateRequestRefused", __: int) -> "OpenOperation":
    if operation.record.request.kind != _RENEWAL or operation.signing_id or not _is_sent(operation):
        return operation
    return _with(operation, f"{FAILED}{body.reason}")


def _issued(operation: "OpenOperation", _: Any, body: "e.CertificateIssued", __: int) -> "OpenOperation":
    return _with(operation, ISSUED) if operation.signing_id == body.signing_id else operation


def _signing_ended(operation: "OpenOperation", _: Any, body: "e.CertificateSigningEnded", __: int) -> "OpenOperation":
    if operation.signing_id != body.signing_id or body.end == "SUPERSEDED":
        return operation
    if body.end == "INSTALLED":
        return _with(operation, INSTALLED)
    return _with(operation, f"{FAILED}{body.reason or body.end}")


def _with(operation: "OpenOperation", word: str) -> "OpenOperation":
    """The same with the word as the last one."""
    if operation.seen[-1:] == (word,):
        return operation
    others = tuple(each for each in operation.seen if each != word)
    return operation if len(others) >= MAX_SEEN else evolve(operation, seen=(*others, word))


def _is_sent(operation: "OpenOperation") -> bool:
    """Return whether its command was sent: what came before that is another one's."""
    return operation.command is not None and operation.command not in ("QUEUED", "NOT_SENT")


NOTES: Final[Mapping[str, Callable[..., Any]]] = {
    "charge_point.booted": _booted,
    "operation.accepted": _accepted,
    "firmware.status_reported": _reported,
    "log.status_reported": _reported,
    "certificate.requested": _requested,
    "certificate.request_refused": _refused,
    "certificate.issued": _issued,
    "certificate.signing_ended": _signing_ended,
}
"""As ``gateway.domain.operations`` has them for all others."""

"""Operations on charging: what a platform wants done, how far it has come, and how it ended.

An operation refers to the one command that it sends, by its own id as that command's request id, so that it is never
sent twice. How an operation goes on from what has happened is the table of ``gateway.charging.operations``; here are
the values, and the facts that committed events add to an operation that is open.
"""

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from attrs import evolve, field, frozen

from gateway.domain import maintenance_facts as maintenance
from gateway.domain.answers import verdict
from gateway.domain.commands import Command, CommandState
from gateway.domain.operation_refusals import OperationRefusal as OperationRefusal
from gateway.domain.operation_refusals import OperationRefused as OperationRefused
from gateway.domain.own_commands import OwnCommand as OwnCommand
from gateway.domain.own_commands import operation_in as operation_in
from gateway.domain.own_commands import own_request_id as own_request_id
from gateway.domain.steering import MAX_STEERED, RateLimit, Wanted
from gateway.domain.values import JSON, WHOLE_CHARGE_POINT, ConnectorAddress

if TYPE_CHECKING:
    from gateway.domain import events as e
    from gateway.domain.events import NewEvent

MAX_OPEN: Final = 16
"""Open operations of one charge point: the connectors of a large post; more are a caller that repeats itself."""

MAX_FOLLOWED: Final = MAX_OPEN + MAX_STEERED
"""The same with pauses and limits, of which a newer one of the same connector ends the one before."""


class OperationKind(StrEnum):
    """Purpose of an operation."""

    START_CHARGING = "START_CHARGING"
    STOP_CHARGING = "STOP_CHARGING"
    PAUSE_CHARGING = "PAUSE_CHARGING"
    RESUME_CHARGING = "RESUME_CHARGING"
    LIMIT_CHARGING = "LIMIT_CHARGING"
    ROTATE_AUTHORIZATION_KEY = "ROTATE_AUTHORIZATION_KEY"
    UPLOAD_LOG = "UPLOAD_LOG"
    INSTALL_FIRMWARE = "INSTALL_FIRMWARE"
    RENEW_CERTIFICATE = "RENEW_CERTIFICATE"
    UPGRADE_SECURITY_PROFILE = "UPGRADE_SECURITY_PROFILE"


STEERING: Final = frozenset({OperationKind.PAUSE_CHARGING, OperationKind.RESUME_CHARGING, OperationKind.LIMIT_CHARGING})
"""Kinds that change what is wanted of a connector (``gateway.domain.steering``), and send no command of their own."""


SECURITY: Final = frozenset({OperationKind.ROTATE_AUTHORIZATION_KEY, OperationKind.UPGRADE_SECURITY_PROFILE})
"""Kinds that change how a charger is let in (``gateway.security``): they send several commands if need be, and go on
when the charger, or the gateway, is back."""


MAINTENANCE: Final = frozenset(
    {OperationKind.UPLOAD_LOG, OperationKind.INSTALL_FIRMWARE, OperationKind.RENEW_CERTIFICATE}
)
"""Kinds whose work goes on for long after the charger's answer (``gateway.security.maintenance``)."""


SECURITY_PROFILE: Final = "security_profile"
"""Name of the argument of an upgrade that says which profile."""


def steering_request_id(request_id: str) -> str:
    """The request id of the change of what is wanted that an operation of ``STEERING`` makes."""
    return f"operation:{request_id}"


class Stage(StrEnum):
    """Point that an operation has reached."""

    ACCEPTED = "ACCEPTED"
    """It is on disk; nothing is sent yet."""
    SENT = "SENT"
    """Its command is on the wire, or may be."""
    CHARGER_ACCEPTED = "CHARGER_ACCEPTED"
    """The charger has answered that it will carry it out."""
    TRANSACTION_STARTED = "TRANSACTION_STARTED"
    TRANSACTION_STOPPED = "TRANSACTION_STOPPED"
    POWER_RISEN = "POWER_RISEN"
    """The meter shows that the vehicle charges."""
    POWER_FALLEN = "POWER_FALLEN"
    """The meter shows that it does not charge any more."""
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    """There is no answer to its command, or none that says whether it was carried out."""
    REBOOT_REQUIRED = "REBOOT_REQUIRED"
    """The charger has answered that it counts from its next boot on."""
    RESET_SENT = "RESET_SENT"
    RESET_REFUSED = "RESET_REFUSED"
    RESET_UNKNOWN = "RESET_UNKNOWN"
    """There is no answer to the reset, which is not sent again."""
    RECONNECTED = "RECONNECTED"
    KEY_USED = "KEY_USED"
    """The charger has connected with the new key."""
    UPLOADING = "UPLOADING"
    DOWNLOADING = "DOWNLOADING"
    DOWNLOADED = "DOWNLOADED"
    SIGNATURE_VERIFIED = "SIGNATURE_VERIFIED"
    INSTALLING = "INSTALLING"
    CERTIFICATE_REQUESTED = "CERTIFICATE_REQUESTED"
    """The charger has asked to have a new key certified, and a signing service is asked."""
    CERTIFICATE_ISSUED = "CERTIFICATE_ISSUED"
    """There is a certificate, and it is sent to the charger."""


class End(StrEnum):
    """End of an operation."""

    DONE = "DONE"
    NO_EFFECT = "NO_EFFECT"
    """The charger accepted it, and nothing came of it, or not what was asked for."""
    REFUSED = "REFUSED"
    """The charger refused it."""
    TIMED_OUT = "TIMED_OUT"
    """The charger gave no answer, and nothing came of it."""
    OFFLINE = "OFFLINE"
    """The charger's connection ended before anything was sent."""
    NOT_SENT = "NOT_SENT"
    """Nothing was sent for another reason: its time was over, or the gateway stopped."""
    ROLLED_BACK = "ROLLED_BACK"
    UNKNOWN = "UNKNOWN"
    """It can't be known what came of it: the charger reports no power, or was deleted."""


@frozen
class OperationRequest:
    """An operation as its caller asks for it. Two requests that are equal are the same one repeated.

    A start has ``id_tag``, and ``connector`` unless the charger is to choose. A stop names ``transaction_id``, or the
    ``connector`` where it runs, or neither where one transaction is open. ``insist``: also where the gateway sees that
    the charger can't do it.
    """

    kind: OperationKind
    connector: ConnectorAddress | None = None
    id_tag: str = ""
    transaction_id: str = ""
    insist: bool = False
    limit: RateLimit | None = None
    """Of LIMIT_CHARGING."""
    until: datetime | None = None
    """Of a pause and a limit: None: until it is lifted."""
    pause_below_minimum: bool = False
    """Whether a limit that is too low for any vehicle becomes a pause; otherwise it is refused."""
    arguments: JSON = None
    """Of UPLOAD_LOG and INSTALL_FIRMWARE: the command's, with secrets redacted; ``fingerprint``: keyed digest of them,
    secrets included."""
    fingerprint: str = field(default="", repr=False)
    own_command: Command | None = field(default=None, eq=False, repr=False)
    """The command of which the arguments are. In memory alone: it may hold a password."""


@frozen
class StageReached:
    """A stage, and the event by which it was reached."""

    stage: Stage
    at: datetime
    sequence: int


@frozen
class OperationRecord:
    """An operation and how far it has come. ``transaction_id``: of what a stop is about, or of what came of a start."""

    operation_id: str
    charge_point: str
    request_id: str
    request: OperationRequest
    created_at: datetime
    expires_at: datetime
    """Not sent by then it never will be; those of ``STEERING`` are followed no longer."""
    stages: tuple[StageReached, ...]
    """At least one, in the order in which they were reached."""
    command_id: str = ""
    transaction_id: str = ""
    end: End | None = None
    reason: str = ""
    """Why it ended other than DONE: the charger's word, a command's ``reason``, or one of the table's."""
    ended_at: datetime | None = None
    sequence: int = 0
    """Of the newest event."""
    caller: str = ""  # that asked for it; empty: it had no name, as in older records

    @property
    def stage(self) -> Stage:
        """The newest stage."""
        return self.stages[-1].stage


# --- an open operation, and what is known of it ---------------------------------------------------------------


@frozen
class OpenOperation:
    """An operation that has not ended, and what has become of its command and its transaction."""

    record: OperationRecord
    command: CommandState | None = None
    """None: there is no command yet."""
    accepted: bool | None = None
    """Whether the charger has answered that it will carry it out; None: it has not answered, or unreadably."""
    said: str = ""
    """The charger's answer in its words: a status, or an error code."""
    command_reason: str = ""
    """Why the command was not sent, or its outcome is unknown."""
    began_at: datetime | None = None
    """When the transaction that came of a start began, by the charger's clock if that can be trusted."""
    over: str = ""
    """How the transaction ended: ``stopped``, ``lost`` or ``closed``; empty: it has not."""
    revision: int = 0
    """The revision of the connector's wanted state that it has made; of ``STEERING``."""
    held_until: datetime | None = None
    """Nothing has been waited for in vain before this: the charger has come back meanwhile."""
    seen: tuple[str, ...] = ()
    """Of ``MAINTENANCE``: words of what has been seen of its work, in the order in which each was last seen."""
    failed_at: datetime | None = None
    """When the failure came that is the newest of those words; None: none of them is one that has a time."""
    firmware_before: str = ""
    """Of INSTALL_FIRMWARE: the version when it was accepted, as of the charger's last boot; empty: not known."""
    renewed_at: datetime | None = None
    """Of INSTALL_FIRMWARE: when the charger first booted with another version, if it runs that still."""
    signing_id: str = ""
    """Of RENEW_CERTIFICATE: the charger's request."""
    commands: tuple[OwnCommand, ...] = ()
    """Of ``SECURITY``, in their order: as many as ``gateway.security`` lets it send."""

    @property
    def is_security(self) -> bool:
        """True if it is of ``SECURITY``."""
        return self.record.request.kind in SECURITY


class HasOperations(Protocol):
    """A charge point's state, as far as it is changed here."""

    identity: str
    operations: dict[str, OpenOperation]
    wanted: dict[ConnectorAddress, Wanted]


def accepted(state: HasOperations, event: "NewEvent", body: "e.OperationAccepted", sequence: int) -> None:
    """Note an operation that has come into being."""
    if len(state.operations) < MAX_FOLLOWED:
        request = body.request
        wanted = state.wanted.get(request.connector or WHOLE_CHARGE_POINT) if request.kind in STEERING else None
        record = accepted_record(state.identity, event, body, sequence)
        state.operations[body.operation_id] = OpenOperation(record, revision=0 if wanted is None else wanted.revision)


def accepted_record(
    charge_point: str, event: "NewEvent", body: "e.OperationAccepted", sequence: int
) -> OperationRecord:
    """The operation as its acceptance leaves it."""
    return OperationRecord(
        body.operation_id,
        charge_point,
        body.request_id,
        body.request,
        event.received_at,
        body.expires_at,
        (StageReached(Stage.ACCEPTED, event.received_at, sequence),),
        transaction_id=body.transaction_id or "",
        sequence=sequence,
        caller=body.caller,
    )


def note(state: HasOperations, event: "NewEvent", sequence: int) -> None:
    """Add what an event says to the operations that it concerns."""
    body: Any = event.body
    change = _NOTES.get(body.TYPE)
    if change is None:
        return
    for key, each in tuple(state.operations.items()):
        changed = change(each, event, body, sequence)
        if changed is None:
            del state.operations[key]
        elif changed is not each:
            state.operations[key] = changed


def _advanced(operation: OpenOperation, event: "NewEvent", body: "e.OperationAdvanced", sequence: int) -> OpenOperation:
    record = operation.record
    if record.operation_id != body.operation_id:
        return operation
    changed = evolve(
        record,
        stages=(*record.stages, StageReached(body.stage, event.received_at, sequence)),
        transaction_id=body.transaction_id or record.transaction_id,
        sequence=sequence,
    )
    if operation.is_security:
        changed = evolve(changed, command_id=body.command_id)
    return evolve(operation, record=changed)


def _ended(operation: OpenOperation, _: "NewEvent", body: "e.OperationEnded", __: int) -> OpenOperation | None:
    return None if operation.record.operation_id == body.operation_id else operation


def _queued(operation: OpenOperation, _: "NewEvent", body: "e.CommandQueued", __: int) -> OpenOperation:
    record = operation.record
    if operation.is_security:
        if operation_in(body.request_id) != record.operation_id:
            return operation
        queued = OwnCommand(body.command_id, body.operation, CommandState.QUEUED)
        return evolve(operation, commands=(*operation.commands, queued))
    if record.operation_id != body.request_id:
        return operation
    return evolve(operation, record=evolve(record, command_id=body.command_id), command=CommandState.QUEUED)


def _sent(operation: OpenOperation, _: "NewEvent", body: "e.CommandSent", __: int) -> OpenOperation:
    if operation.is_security:
        return _moved(operation, body.command_id, CommandState.SENT)
    return evolve(operation, command=CommandState.SENT) if _is_of(operation, body.command_id) else operation


def _answered(operation: OpenOperation, _: "NewEvent", body: "e.CommandAnswered", __: int) -> OpenOperation:
    accepted, said = verdict(body.answer if body.error is None else body.error)
    if operation.is_security:
        return _moved(operation, body.command_id, CommandState.ANSWERED, said=said)
    if not _is_of(operation, body.command_id):
        return maintenance.another_answered(operation, body, said)
    return evolve(operation, command=CommandState.ANSWERED, accepted=accepted, said=said)


def _not_sent(operation: OpenOperation, _: "NewEvent", body: "e.CommandNotSent", __: int) -> OpenOperation:
    if operation.is_security:
        return _moved(operation, body.command_id, CommandState.NOT_SENT, reason=body.reason)
    if not _is_of(operation, body.command_id):
        return operation
    return evolve(operation, command=CommandState.NOT_SENT, command_reason=body.reason)


def _unknown(operation: OpenOperation, _: "NewEvent", body: "e.CommandOutcomeUnknown", __: int) -> OpenOperation:
    if operation.is_security:
        return _moved(operation, body.command_id, CommandState.OUTCOME_UNKNOWN, reason=body.reason)
    if not _is_of(operation, body.command_id):
        return operation
    return evolve(operation, command=CommandState.OUTCOME_UNKNOWN, command_reason=body.reason)


def _moved(
    operation: OpenOperation, command_id: str, state: CommandState, said: str = "", reason: str = ""
) -> OpenOperation:
    """One of the commands has come further."""
    if all(each.command_id != command_id for each in operation.commands):
        return operation
    commands = tuple(
        evolve(each, state=state, said=said, reason=reason) if each.command_id == command_id else each
        for each in operation.commands
    )
    return evolve(operation, commands=commands)


def _started(operation: OpenOperation, event: "NewEvent", body: "e.TransactionStarted", _: int) -> OpenOperation:
    if not body.start_command_id or not _is_of(operation, body.start_command_id):
        return operation
    began = event.reported_at or event.received_at
    record = evolve(operation.record, transaction_id=body.transaction_id)
    return evolve(operation, record=record, began_at=began)


def _over(how: str) -> Any:
    def over(operation: OpenOperation, _: "NewEvent", body: Any, __: int) -> OpenOperation:
        same = operation.record.transaction_id == body.transaction_id
        return evolve(operation, over=how) if same else operation

    return over


def _is_of(operation: OpenOperation, command_id: str) -> bool:
    return operation.record.command_id == command_id


_NOTES: Final[dict[str, Any]] = {
    "operation.advanced": _advanced,
    "operation.ended": _ended,
    "command.queued": _queued,
    "command.sent": _sent,
    "command.answered": _answered,
    "command.not_sent": _not_sent,
    "command.outcome_unknown": _unknown,
    "transaction.started": _started,
    "transaction.stopped": _over("stopped"),
    "transaction.lost": _over("lost"),
    "transaction.closed": _over("closed"),
    **maintenance.NOTES,
}
"""Types of events that concern an open operation, to what they change in it."""

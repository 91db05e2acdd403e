"""Commands to charge points, and what their outcomes mean to a caller (Trio's side)."""

import re

import trio

from gateway.control.errors import Failure, Status, not_found, outcome_unknown
from gateway.control.lists import At, page_at_head
from gateway.control.ports import Commands
from gateway.domain.commands import (
    ChargerError,
    Command,
    CommandRecord,
    CommandState,
    FieldViolation,
    RefusalReason,
    Refused,
    Unknown,
)
from gateway.domain.values import Clock
from gateway.store.lists import Found, Query
from gateway.store.reads import Reads

MAX_REQUEST_ID = 64
"""Room for a UUID and a prefix; it is stored with every command and is a key."""

OCPP_CODE = re.compile(r"[A-Z][A-Za-z]*[a-z][A-Za-z]*")
"""An error code as OCPP spells them. It never looks like one of our own reasons, whatever a charger makes up."""

REFUSALS = {
    RefusalReason.UNKNOWN_CHARGE_POINT: Status.NOT_FOUND,
    RefusalReason.UNKNOWN_TRANSACTION: Status.NOT_FOUND,
    RefusalReason.CHARGE_POINT_OFFLINE: Status.FAILED_PRECONDITION,
    RefusalReason.CHARGE_POINT_PENDING: Status.FAILED_PRECONDITION,
    RefusalReason.CHARGE_POINT_REJECTED: Status.FAILED_PRECONDITION,
    RefusalReason.QUEUE_FULL: Status.RESOURCE_EXHAUSTED,
    RefusalReason.INVALID_COMMAND: Status.INVALID_ARGUMENT,
    RefusalReason.REQUEST_ID_REUSED: Status.INVALID_ARGUMENT,
    RefusalReason.DRAINING: Status.UNAVAILABLE,
    RefusalReason.STORE_UNAVAILABLE: Status.UNAVAILABLE,
    RefusalReason.NODE_UNREACHABLE: Status.UNAVAILABLE,
    RefusalReason.NOT_SENT: Status.DEADLINE_EXCEEDED,
}

STOPPED = frozenset({"draining", "store-unavailable", "gateway-restarted"})
"""Why a command was not sent, where it was the gateway that went."""


class CommandCalls:
    """``carry`` raises ``Failure`` for every outcome but a confirmation; the others also ``StoreUnavailable``."""

    def __init__(self, reads: Reads, commands: Commands, clock: Clock) -> None:
        self._reads = reads
        self._commands = commands
        self._clock = clock

    async def carry(
        self,
        identity: str,
        command: Command,
        request_id: str,
        timeout: float,
        patience: float | None = None,
        caller: str = "",
    ) -> CommandRecord:
        """Carry a command to its charger: the record, answered with a confirmation. Identity and request id have no
        ``violations``.

        ``timeout`` in seconds: not sent by then it never will be; 0 and less begins nothing, but an earlier command
        with the same request id is found. ``patience`` in seconds, more than that: returns or raises by then, by
        default a little later. Cancelling ends the waiting only: the command goes its way.
        """
        begun, now = self._clock(), trio.current_time()
        outcome = await self._commands.call(
            identity,
            command,
            request_id=request_id,
            deadline=now + timeout,
            answer_by=None if patience is None else now + patience,
            caller=caller,
        )
        if isinstance(outcome, Refused):
            raise _refused(outcome, identity, request_id)
        if isinstance(outcome, Unknown):
            raise unknown(identity, request_id, outcome.reason, outcome.message)
        unsupported = outcome.error is not None and outcome.error.code in self._commands.unsupported_codes
        return _confirmed(outcome, repeated=outcome.created_at < begun, unsupported=unsupported)

    async def get(self, command_id: str) -> CommandRecord:
        """One command."""
        record = await self._reads.command(command_id)
        if record is None:
            raise not_found("command", command_id)
        return record

    async def by_request(self, charge_point: str, request_id: str) -> CommandRecord:
        """The command that a request became."""
        record = await self._reads.command_by_request(charge_point, request_id)
        if record is None:
            message = f"there is no command of charge point {charge_point} with request_id {request_id}"
            about = {"charge_point": charge_point, "request_id": request_id}
            raise Failure(Status.NOT_FOUND, "UNKNOWN_COMMAND", message, about)
        return record

    async def page(self, query: Query, after: str, limit: int) -> At[Found[CommandRecord]]:
        """A page."""
        return await page_at_head(self._reads, lambda store: store.find_commands(query, after, limit))


def violations(identity: str, request_id: str) -> list[FieldViolation]:
    """Everything that is wrong with what names a command, whatever the command."""
    found = []
    if not identity:
        found.append(FieldViolation("charge_point", "must be set"))
    if not request_id:
        found.append(FieldViolation("request_id", "must be set: it is what makes repeating the request safe"))
    elif len(request_id) > MAX_REQUEST_ID or not request_id.isprintable():
        found.append(FieldViolation("request_id", f"must have at most {MAX_REQUEST_ID} printable characters"))
    return found


def unknown(identity: str, request_id: str, cause: str, message: str) -> Failure:
    """The outcome of a command that can't even be looked up."""
    return outcome_unknown(
        f"{message}; repeat it with the same request_id to learn its outcome",
        cause,
        {"charge_point": identity, "request_id": request_id},
    )


def _refused(refusal: Refused, identity: str, request_id: str) -> Failure:
    wrong = refusal.violations
    if refusal.reason is RefusalReason.REQUEST_ID_REUSED:
        wrong = (FieldViolation("request_id", refusal.message),)
    metadata = {"charge_point": identity, "request_id": request_id, **refusal.metadata}
    return Failure(REFUSALS[refusal.reason], refusal.reason.value, refusal.message, metadata, wrong)


def _confirmed(record: CommandRecord, *, repeated: bool, unsupported: bool) -> CommandRecord:
    """The record if it holds a confirmation; raises what else became of the command. ``unsupported``: the charger's
    error says that it does not know the operation."""
    metadata = {
        "charge_point": record.charge_point,
        "request_id": record.request_id,
        "command_id": record.command_id,
    }
    match record.state:
        case CommandState.ANSWERED if record.error is not None:
            raise _charger_error(record.error, metadata, unsupported=unsupported)
        case CommandState.ANSWERED:
            return record
        case CommandState.NOT_SENT:
            raise _not_sent(record, metadata, repeated)
        case _:
            raise outcome_unknown(
                f"there is no answer to {record.operation} ({record.reason}), and it may have been carried out. A late "
                "answer becomes an event and the command's outcome",
                record.reason,
                metadata,
            )


def _charger_error(error: ChargerError, metadata: dict[str, str], *, unsupported: bool) -> Failure:
    status = Status.UNIMPLEMENTED if unsupported else Status.FAILED_PRECONDITION
    reason = error.code if len(error.code) <= 63 and OCPP_CODE.fullmatch(error.code) else "UnknownErrorCode"
    details = {**metadata, "code": error.code, "description": error.description, "details": error.details}
    return Failure(status, reason, f"the charger answered {error.code}: {error.description}".rstrip(": "), details)


def _not_sent(record: CommandRecord, metadata: dict[str, str], repeated: bool) -> Failure:
    """Nothing went out. UNAVAILABLE invites to repeat blindly, so a repeated request does not get it: the same
    request id gives this outcome for ever."""
    metadata = {**metadata, "cause": record.reason}
    message = f"{record.operation} was not sent ({record.reason})"
    if record.reason == "deadline":
        return Failure(Status.DEADLINE_EXCEEDED, "NOT_SENT", message, metadata)
    if record.reason == "transaction-ended":
        return Failure(Status.NOT_FOUND, "UNKNOWN_TRANSACTION", f"{message}: its transaction is over", metadata)
    if record.reason == "too-many-keys":
        message += ": it may use too many keys already, of changes without an answer; its next connection settles them"
        return Failure(Status.FAILED_PRECONDITION, "TOO_MANY_KEYS", message, metadata)
    if record.reason == "deleted":
        return Failure(Status.NOT_FOUND, "UNKNOWN_CHARGE_POINT", f"{message}: its charge point is gone", metadata)
    if record.reason in STOPPED:
        if repeated:
            message += "; that is this request_id's outcome, so ask with another one"
        status = Status.FAILED_PRECONDITION if repeated else Status.UNAVAILABLE
        return Failure(status, "NOT_SENT", message, metadata)
    seen = record.finished_at.isoformat() if record.finished_at is not None else "unknown"
    return Failure(
        Status.FAILED_PRECONDITION,
        "CHARGE_POINT_OFFLINE",
        f"{message}: the connection ended",
        {**metadata, "last_seen": seen},
    )

"""The end of what an owner left that is gone: its unfinished commands, its connection, its transactions."""

from datetime import datetime

from gateway.domain import reservations as r
from gateway.domain.command_states import settled, unanswered
from gateway.domain.commands import CommandState
from gateway.domain.events import (
    CertificateSigningEnded,
    ChargePointDisconnected,
    NewEvent,
    OperationEnded,
    TransactionLost,
)
from gateway.domain.operations import End, Stage
from gateway.domain.signing import SigningEnd
from gateway.store.causes import DELETED, RESTARTED, Cause
from gateway.store.encoding import maybe_time
from gateway.store.sqlite.operation_queries import open_operations
from gateway.store.sqlite.queries import open_transactions, reservations
from gateway.store.sqlite.selects import fetch, one
from gateway.store.sqlite.signing import open_signing
from gateway.store.sqlite.writer import Owner, Writer


def settle(writer: Writer, owner: Owner, cause: Cause, at: datetime) -> tuple[int, ...]:
    """End the owner's unfinished commands by the table of their states, and its connection if it is recorded as
    connected; both under the epoch that it had. Returns the sequences."""
    writer.flush_end_of(owner)  # it may be in this very batch
    ends = [*_commands(writer, owner, cause, at), *_connection(writer, owner, cause, at)]
    return writer.append(owner, owner.epoch, ends)


def _commands(writer: Writer, owner: Owner, cause: Cause, at: datetime) -> list[NewEvent]:
    left = fetch(
        writer.cx,
        """SELECT command_id, operation, state FROM command
        WHERE charge_point = ? AND state IN ('QUEUED', 'SENT') ORDER BY key""",
        (owner.key,),
    )
    return [
        unanswered(command_id, operation, end, cause.commands, at)
        for command_id, operation, state in left
        if (end := settled(CommandState(state), CommandState(state), cause.commands)) is not None
    ]


def _connection(writer: Writer, owner: Owner, cause: Cause, at: datetime) -> list[NewEvent]:
    sql = "SELECT connected, last_heard FROM charge_point WHERE key = ?"
    connected, heard = one(writer.cx, sql, (owner.key,))
    end = ChargePointDisconnected(cause.disconnected, "local", last_heard=maybe_time(heard))
    return [NewEvent(end, at)] if connected else []


def lose_transactions(writer: Writer, owner: Owner, at: datetime) -> tuple[int, ...]:
    """No stop of a deleted charge point's transactions can come: closed, they hold neither their tag nor retention.
    (If the charge point is created anew and sends one after all, it still ends its transaction properly.)"""
    left = open_transactions(writer.cx, owner.key)
    return writer.append(
        owner, owner.epoch, [NewEvent(TransactionLost(t.transaction_id, t.connector), at) for t in left]
    )


def end_reservations(writer: Writer, owner: Owner, at: datetime) -> tuple[int, ...]:
    """Those of a deleted charge point: no session is left to keep them."""
    left = reservations(writer.cx, owner.key)
    return writer.append(owner, owner.epoch, [NewEvent(r.ended(each, r.DELETED), at) for each in left])


def end_operations(writer: Writer, owner: Owner, at: datetime) -> tuple[int, ...]:
    """Those of a deleted charge point. Its commands are settled by now."""
    ends = []
    for each in open_operations(writer.cx, owner.key, at):
        record = each.record
        end = End.NOT_SENT if record.stage is Stage.ACCEPTED else End.UNKNOWN
        ends.append(OperationEnded(record.operation_id, end, DELETED.disconnected, record.transaction_id or None))
    return writer.append(owner, owner.epoch, [NewEvent(end, at) for end in ends])


def end_signing(writer: Writer, owner: Owner, at: datetime) -> tuple[int, ...]:
    """The request of a deleted charge point to have a key certified."""
    left = open_signing(writer.cx, owner.key)
    ends = [] if left is None else [NewEvent(CertificateSigningEnded(left.signing_id, SigningEnd.DELETED), at)]
    return writer.append(owner, owner.epoch, ends)


def _unsettled(writer: Writer, limit: int) -> list[str]:
    """Charge points with something left open, at most ``limit``; each one settled is not found again."""
    found = fetch(
        writer.cx,
        """SELECT identity FROM charge_point WHERE connected = 1
        UNION
        SELECT c.identity FROM command m JOIN charge_point c ON c.key = m.charge_point
        WHERE m.state IN ('QUEUED', 'SENT')
        LIMIT ?""",
        (limit,),
    )
    return [identity for (identity,) in found]


def settle_some(writer: Writer, at: datetime, limit: int) -> int:
    """Settle the next ``limit`` charge points that need it after a restart; answers how many did."""
    identities = _unsettled(writer, limit)
    for identity in identities:
        owner = writer.owner(identity)
        assert owner is not None, "its row was just read"
        settle(writer, owner, RESTARTED, at)
    return len(identities)

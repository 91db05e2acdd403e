"""The end of what an owner left that is gone: its unfinished commands, its connection, its transactions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

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
from gateway.domain.values import ConnectorAddress
from gateway.store import rows
from gateway.store.causes import DELETED, RESTARTED, Cause
from gateway.store.encoding import maybe_time
from gateway.store.postgres import signing
from gateway.store.postgres.books import Owner
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.encoding import Array
from gateway.store.postgres.operation_queries import open_operations
from gateway.store.postgres.queries import RESERVATIONS
from gateway.store.postgres.writer import Writer

_UNFINISHED = """SELECT charge_point, command_id, operation, state FROM command
    WHERE charge_point = ANY ($1) AND state IN ('QUEUED', 'SENT') ORDER BY queued_sequence"""
_CONNECTED = "SELECT key, last_heard FROM charge_point WHERE key = ANY ($1) AND connected = 1"


def settle(writer: Writer, owners: Sequence[Owner], cause: Cause, at: datetime) -> tuple[int, ...]:
    """End the owners' unfinished commands by the table of their states, and their connections if they are recorded as
    connected; both under the epoch that each had. Returns the sequences."""
    ends = ends_of(writer, [(owner, cause, at) for owner in owners])
    return tuple(sequence for owner in owners for sequence in writer.append(owner, owner.epoch, ends[owner.key]))


def ends_of(writer: Writer, left_by: Sequence[tuple[Owner, Cause, datetime]]) -> dict[int, list[NewEvent]]:
    """The events of that, by the owner's key; all owners are asked for together."""
    writer.flush()
    owners = [owner for owner, _, _ in left_by]
    of = {owner.key: (cause, at) for owner, cause, at in left_by}
    keys = Array("int4", [owner.key for owner in owners])
    left, connected = writer.cx.send(_UNFINISHED, keys), writer.cx.send(_CONNECTED, keys)
    writer.cx.sync()
    ends: dict[int, list[NewEvent]] = {owner.key: [] for owner in owners}
    for key, command_id, operation, state in left.rows:
        cause, at = of[key]
        end = settled(CommandState(state), CommandState(state), cause.commands)
        if end is not None:
            ends[key].append(unanswered(command_id, operation, end, cause.commands, at))
    for key, heard in connected.rows:
        cause, at = of[key]
        body = ChargePointDisconnected(cause.disconnected, "local", last_heard=maybe_time(heard))
        ends[key].append(NewEvent(body, at))
    return ends


def lose_transactions(writer: Writer, owner: Owner, at: datetime) -> tuple[int, ...]:
    """No stop of a deleted charge point's transactions can come: closed, they hold neither their tag nor retention.
    (If the charge point is created anew and sends one after all, it still ends its transaction properly.)"""
    sql = """SELECT transaction_id, evse, connector FROM txn WHERE charge_point = $1 AND state = 'OPEN'
        ORDER BY start_sequence"""
    lost = [
        NewEvent(TransactionLost(transaction_id, ConnectorAddress(evse, number)), at)
        for transaction_id, evse, number in writer.rows(sql, owner.key)
    ]
    return writer.append(owner, owner.epoch, lost)


def end_reservations(writer: Writer, owner: Owner, at: datetime) -> tuple[int, ...]:
    """Those of a deleted charge point: no session is left to keep them."""
    left = [rows.reservation(tuple(row)) for _, *row in writer.rows(RESERVATIONS, Array("int4", [owner.key]))]
    return writer.append(owner, owner.epoch, [NewEvent(r.ended(each, r.DELETED), at) for each in left])


def end_operations(writer: Writer, owner: Owner, at: datetime) -> tuple[int, ...]:
    """Those of a deleted charge point. Its commands are settled by now."""
    writer.flush()
    ends = []
    for each in open_operations(writer.cx, owner.key, at):
        record = each.record
        end = End.NOT_SENT if record.stage is Stage.ACCEPTED else End.UNKNOWN
        ends.append(OperationEnded(record.operation_id, end, DELETED.disconnected, record.transaction_id or None))
    return writer.append(owner, owner.epoch, [NewEvent(end, at) for end in ends])


def end_signing(writer: Writer, owner: Owner, at: datetime) -> tuple[int, ...]:
    """The request of a deleted charge point to have a key certified."""
    left = signing.open_signing(writer.rows(signing.OPEN, owner.key))
    ends = [] if left is None else [NewEvent(CertificateSigningEnded(left.signing_id, SigningEnd.DELETED), at)]
    return writer.append(owner, owner.epoch, ends)


_UNSETTLED: Final = """SELECT identity FROM charge_point WHERE connected = 1
    UNION
    SELECT c.identity FROM command m JOIN charge_point c ON c.key = m.charge_point
    WHERE m.state IN ('QUEUED', 'SENT')
    LIMIT $1"""
_OWNED: Final = "SELECT identity FROM charge_point WHERE node = $1 LIMIT $2"
_UNSETTLED_OF_NODE: Final = """SELECT identity FROM charge_point WHERE node = $1
    UNION
    SELECT identity FROM charge_point WHERE node IS NULL AND connected = 1
    LIMIT $2"""
"""The second part finds what a gateway has left that was alone on the database, before it had nodes."""


def settle_some(writer: Writer, at: datetime, limit: int) -> int:
    """Settle the next ``limit`` charge points that need it after a restart of the only gateway; answers how many did.
    Each one settled is not found again."""
    owners = writer.owners([identity for (identity,) in writer.rows(_UNSETTLED, limit)])
    settle(writer, owners, RESTARTED, at)
    return len(owners)


def unsettled_of_node(cx: Connection, node: int, limit: int) -> list[str]:
    """Charge points that the slot's node has left open, before their locks are had."""
    return [identity for (identity,) in cx.rows(_UNSETTLED_OF_NODE, node, limit)]


def settle_named(writer: Writer, identities: Sequence[str], at: datetime) -> int:
    """Settle charge points that the node's slot owned before its start, or no slot does; their locks are had. The
    others have an owner by now."""
    owners = [each for each in writer.owners(identities) if each.node in (None, writer.lane.slot)]
    _settle_for_good(writer, owners, RESTARTED, at)
    return len(owners)


def settle_owned(writer: Writer, node: int, cause: Cause, at: datetime, limit: int) -> int:
    """Settle the next ``limit`` charge points that a slot owns, whose lane is locked; answers how many there were."""
    owners = writer.owners([identity for (identity,) in writer.rows(_OWNED, node, limit)])
    _settle_for_good(writer, owners, cause, at)
    writer.leave_none(node)
    return len(owners)


def _settle_for_good(writer: Writer, owners: Sequence[Owner], cause: Cause, at: datetime) -> None:
    """Settle them, and give them no owner and another epoch: sessions that are still there in a process own nothing."""
    settle(writer, owners, cause, at)
    for owner in owners:
        writer.raise_epoch(owner, None)

"""Ending in the books what nobody will end any more: commands and connections of an owner that is gone."""

from datetime import datetime

from attrs import frozen

from gateway.domain import reservations as r
from gateway.domain.events import (
    ChargePointDisconnected,
    CommandNotSent,
    CommandOutcomeUnknown,
    NewEvent,
    TransactionLost,
)
from gateway.store.sqlite.queries import open_transactions, reservations
from gateway.store.sqlite.rows import fetch, one
from gateway.store.sqlite.writer import Owner, Writer


@frozen
class Cause:
    """Why an owner is gone, in the words of the events: of its connection, and of the commands it left."""

    disconnected: str
    commands: str


RESTARTED = Cause("gateway-restarted", "gateway-restarted")
DELETED = Cause("deleted", "deleted")


def settle(books: Writer, owner: Owner, cause: Cause, at: datetime) -> tuple[int, ...]:
    """Under the epoch that the owner had: QUEUED commands become NOT_SENT, SENT ones OUTCOME_UNKNOWN, and a
    connection that is on the books ends. Answers the sequences."""
    books.flush_end_of(owner)  # it may be in this very batch
    ends = [*_commands(books, owner, cause, at), *_connection(books, owner, cause, at)]
    return books.append(owner, owner.epoch, ends)


def _commands(books: Writer, owner: Owner, cause: Cause, at: datetime) -> list[NewEvent]:
    left = fetch(
        books.cx,
        """SELECT command_id, operation, state FROM command
        WHERE charge_point = ? AND state IN ('QUEUED', 'SENT') ORDER BY key""",
        (owner.key,),
    )
    return [
        NewEvent(
            (CommandNotSent if state == "QUEUED" else CommandOutcomeUnknown)(command_id, operation, cause.commands),
            at,
            cause=f"command:{command_id}",
        )
        for command_id, operation, state in left
    ]


def _connection(books: Writer, owner: Owner, cause: Cause, at: datetime) -> list[NewEvent]:
    (connected,) = one(books.cx, "SELECT connected FROM charge_point WHERE key = ?", (owner.key,))
    return [NewEvent(ChargePointDisconnected(cause.disconnected, "local"), at)] if connected else []


def lose_transactions(books: Writer, owner: Owner, at: datetime) -> tuple[int, ...]:
    """No stop of a deleted charge point's transactions can come: closed, they hold neither their tag nor retention.
    (If the charge point is created anew and sends one after all, it still ends its transaction properly.)"""
    left = open_transactions(books.cx, owner.key)
    return books.append(
        owner, owner.epoch, [NewEvent(TransactionLost(t.transaction_id, t.connector), at) for t in left]
    )


def end_reservations(books: Writer, owner: Owner, at: datetime) -> tuple[int, ...]:
    """Those of a deleted charge point: nobody is left who would keep them."""
    left = reservations(books.cx, owner.key)
    return books.append(owner, owner.epoch, [NewEvent(r.ended(each, r.DELETED), at) for each in left])


def _unsettled(books: Writer, limit: int) -> list[str]:
    """Charge points with something left open, at most ``limit``; each one settled is not found again."""
    found = fetch(
        books.cx,
        """SELECT identity FROM charge_point WHERE connected = 1
        UNION
        SELECT c.identity FROM command m JOIN charge_point c ON c.key = m.charge_point
        WHERE m.state IN ('QUEUED', 'SENT')
        LIMIT ?""",
        (limit,),
    )
    return [identity for (identity,) in found]


def settle_some(books: Writer, cause: Cause, at: datetime, limit: int) -> int:
    """Settle the next ``limit`` charge points that need it; answers how many did."""
    identities = _unsettled(books, limit)
    for identity in identities:
        owner = books.owner(identity)
        assert owner is not None, "its row was just read"
        settle(books, owner, cause, at)
    return len(identities)

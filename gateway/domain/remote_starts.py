"""Remote starts that may still become a transaction: which transaction came of which, and which never came.

A charger that accepts a remote start says no more than that; the transaction follows, when the cable is in, or never
does (S §5.11, B9.3). From being sent until its time is over a start is pending. It takes the first transaction that
fits it, and no more than one; what is left when its time is over is recorded as ``remote_start.expired``, once.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

from attrs import evolve

from gateway.domain import events as e
from gateway.domain.commands import INVALID_CONFIRMATION, RemoteStartTransaction, StatusAnswer
from gateway.domain.events import NewEvent
from gateway.domain.records import PendingStart
from gateway.domain.values import ConnectorAddress

OPERATION: Final = RemoteStartTransaction.__name__

ACCEPTED: Final = StatusAnswer("Accepted")
"""The answer that it will be carried out."""

MAX_PENDING: Final = 64
"""Of one charge point. A start is pending for some minutes at most, and one connector carries out one of them; those
that are sent beyond are tied to no transaction."""

DEFAULT_WINDOW: Final = timedelta(seconds=120)
"""For plugging in, where the charger has not reported its own time-out: what most are delivered with."""

MAX_WINDOW: Final = timedelta(hours=1)
"""A charger that reports more for plugging in is waited for no longer: its caller wants to know."""

SLACK: Final = timedelta(seconds=60)
"""For the answer to come, the charger to authorize the tag, and its StartTransaction to be sent again on a bad link."""

CLOCKS: Final = timedelta(seconds=30)
"""How far the charger's clock may be behind where it dates a start before its own command, or ahead at the end."""

RECONNECTED: Final = timedelta(seconds=60)
"""For a charger that comes back to send what it has queued, before a start that it accepted counts as never made."""


class HasPendingStarts(Protocol):
    """A charge point's state, as far as it is changed here."""

    pending_starts: dict[str, PendingStart]


# --- what command events change -------------------------------------------------------------------------------


def queued(state: HasPendingStarts, event: NewEvent, body: e.CommandQueued, _: int) -> None:
    """Note a remote start that exists."""
    if body.operation == OPERATION and len(state.pending_starts) < MAX_PENDING:
        state.pending_starts[body.command_id] = pending_start(event, body)


def pending_start(event: NewEvent, body: e.CommandQueued) -> PendingStart:
    """The record of a remote start that was queued."""
    named = body.arguments.get("connector")
    connector = None if named is None else ConnectorAddress(named["evse"], named["connector"])
    return PendingStart(body.command_id, body.arguments["id_tag"], connector, event.received_at)


def not_sent(state: HasPendingStarts, _: NewEvent, body: e.CommandNotSent, __: int) -> None:
    """Nothing can come of it."""
    state.pending_starts.pop(body.command_id, None)


def outcome_unknown(state: HasPendingStarts, _: NewEvent, body: e.CommandOutcomeUnknown, __: int) -> None:
    """It may have been sent, and may be carried out."""
    pending = state.pending_starts.get(body.command_id)
    if pending is not None and pending.sent_at is None:
        state.pending_starts[body.command_id] = evolve(pending, sent_at=pending.queued_at)


def answered(state: HasPendingStarts, event: NewEvent, body: e.CommandAnswered) -> None:
    """An acceptance begins its time; a refusal ends it."""
    pending = state.pending_starts.get(body.command_id)
    if pending is None:
        return
    if body.answer == ACCEPTED:
        state.pending_starts[body.command_id] = evolve(pending, accepted_at=event.received_at)
    elif refuses(body):
        del state.pending_starts[body.command_id]


def refuses(body: e.CommandAnswered) -> bool:
    """Return whether the answer is that it won't be carried out. One that can't be read says neither (B9.19)."""
    return body.answer != ACCEPTED and (body.error is None or body.error.code != INVALID_CONFIRMATION)


def expired(state: HasPendingStarts, _: NewEvent, body: e.RemoteStartExpired, __: int) -> None:
    """No transaction has come of it."""
    state.pending_starts.pop(body.command_id, None)


def returned(pending_starts: Iterable[PendingStart], at: datetime) -> list[PendingStart]:
    """Those of a charge point that has connected at this time."""
    return [evolve(each, held_until=at + RECONNECTED) for each in pending_starts]


# --- the transaction that comes of one ------------------------------------------------------------------------


def taken_by(
    pending_starts: Mapping[str, PendingStart],
    id_tag: str,
    connector: ConnectorAddress,
    began: datetime,
    now: datetime,
    window: timedelta | None,
) -> str:
    """The command of which a transaction comes that is reported now; empty: of none.

    Its tag, and its connector where one was named, have to agree, and it has to have begun after the command was sent
    and in its time: a start that is replayed from a charger's queue may be another one (B4.8). ``window``: the time
    that the charger gives for plugging in, None where it has not reported one. Tags compare without regard to case
    (S §3.9).
    """
    found = [
        each
        for each in pending_starts.values()
        if each.sent_at is not None
        and each.id_tag.casefold() == id_tag.casefold()
        and each.connector in (None, connector)
        and each.sent_at - CLOCKS <= began <= _over(each, window) + CLOCKS
        and now < expiry(each, window)
    ]
    first = min(found, key=lambda each: (each.connector is None, each.queued_at), default=None)
    return "" if first is None else first.command_id


def _over(pending: PendingStart, window: timedelta | None) -> datetime:
    began = pending.accepted_at or pending.sent_at or pending.queued_at
    return began + (DEFAULT_WINDOW if window is None else min(window, MAX_WINDOW)) + SLACK


def expiry(pending: PendingStart, window: timedelta | None) -> datetime:
    """The time from which on no transaction is expected of it. A charger that came back may have begun it while it was
    away, and needs a while to say so."""
    over = _over(pending, window)
    return over if pending.held_until is None else max(over, pending.held_until)


def overdue(
    pending_starts: Mapping[str, PendingStart], now: datetime, window: timedelta | None
) -> tuple[e.RemoteStartExpired, ...]:
    """The ends of those whose time is over. One that is not sent yet has its deadline as a command."""
    return tuple(
        e.RemoteStartExpired(
            each.command_id, each.id_tag, each.connector or ConnectorAddress(0, 0), each.accepted_at is not None
        )
        for each in pending_starts.values()
        if each.sent_at is not None and expiry(each, window) <= now
    )


def next_expiry(pending_starts: Mapping[str, PendingStart], window: timedelta | None) -> datetime | None:
    """The earliest time at which one's time is over; None: none was sent."""
    return min((expiry(each, window) for each in pending_starts.values() if each.sent_at is not None), default=None)

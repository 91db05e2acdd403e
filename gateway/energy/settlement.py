"""The settlement of a transaction's energy: how settled it is, when it becomes final, and what makes a new revision.

While a transaction is open its energy is running. Once it has ended, by its stop, by a newer start or by an operator,
its energy is worked out and recorded as revision 1, and is provisional: a charger delivers what it has queued when it
is connected. It is final when the charge point has been connected for ``quiet`` in all since it last said something
of the transaction. What comes later still counts, and makes the energy provisional again.

All of that follows from the events: times of receipt, connections, and the flags of the stop.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from gateway.domain.events import TransactionEnergyChanged
from gateway.domain.records import EnergyRecord, TransactionRecord, TransactionState
from gateway.domain.times import read_time
from gateway.domain.values import Flag
from gateway.energy.session import RULES_VERSION, SessionEnergy

QUIET: Final = timedelta(minutes=10)
"""Closing samples follow a stop within a sampling interval or two, mostly of a minute (E24)."""

QUIET_IF_DOUBTED: Final = timedelta(hours=1)
"""After a stop that was queued or has no usable time: the rest of the queue, of hundreds of messages at a charger's
pace of one every few seconds, and what a charger with such a clock puts out of order."""

QUIET_WITHOUT_STOP: Final = timedelta(hours=24)
"""A stop that has not come may lie behind a charger's retries, which some space by hours (TransactionMessageAttempts,
TransactionMessageRetryInterval)."""

LONGEST_QUIET: Final = QUIET_WITHOUT_STOP


class EnergyState(StrEnum):
    """The state of a transaction's energy."""

    RUNNING = "running"
    PROVISIONAL = "provisional"
    FINAL = "final"


class Happening(StrEnum):
    """An occurrence that the state of a transaction's energy may follow."""

    STOPPED = "stopped"
    """Its charger's stop came, at last or at once."""
    LOST = "lost"
    CLOSED = "closed"
    ATTRIBUTED = "attributed"
    READINGS = "readings"
    QUIET = "quiet"
    """The charge point has been connected for long enough without a word about it."""


_R, _P, _F = EnergyState.RUNNING, EnergyState.PROVISIONAL, EnergyState.FINAL

TRANSITIONS: Final[Mapping[EnergyState, Mapping[Happening, EnergyState]]] = {
    _R: {
        Happening.STOPPED: _P,
        Happening.LOST: _P,
        Happening.CLOSED: _P,
        Happening.ATTRIBUTED: _P,
        Happening.READINGS: _R,
    },
    _P: {
        Happening.STOPPED: _P,
        Happening.CLOSED: _P,
        Happening.ATTRIBUTED: _P,
        Happening.READINGS: _P,
        Happening.QUIET: _F,
    },
    _F: {
        Happening.STOPPED: _P,
        Happening.CLOSED: _P,
        Happening.ATTRIBUTED: _P,
        Happening.READINGS: _P,
        Happening.QUIET: _F,
    },
}
"""State to what may happen in it to the state after that."""


class Provenance(StrEnum):
    """The way in which a message came, the best first."""

    LIVE = "live"
    REPLAYED = "replayed"
    """Later than it was stamped: it had been queued."""
    CLOCK_SUSPECT = "clock-suspect"
    """Without a time that can be right."""


_PROVENANCES: Final = {each: rank for rank, each in enumerate(Provenance)}

_SUSPECT: Final = frozenset({Flag.CLOCK_SUSPECT, Flag.TIME_UNREADABLE})


def provenance(raw: str | None, received_at: datetime | None) -> Provenance | None:
    """The provenance of a message by its time as sent; None: there is no message."""
    if received_at is None:
        return None
    flags = read_time("" if raw is None else raw, received_at).flags
    if not _SUSPECT.isdisjoint(flags):
        return Provenance.CLOCK_SUSPECT
    return Provenance.REPLAYED if Flag.LATE in flags else Provenance.LIVE


def worst_provenance(several: Iterable[Provenance | None]) -> Provenance | None:
    """The worst of several; None for none."""
    return max((each for each in several if each is not None), key=_PROVENANCES.__getitem__, default=None)


# --- final or not ---------------------------------------------------------------------------------------------


def quiet_needed(record: TransactionRecord) -> timedelta:
    """For how long the charge point of a transaction that has ended must be connected and quiet about it."""
    if record.state is not TransactionState.STOPPED:
        return QUIET_WITHOUT_STOP
    timely = provenance(record.stop_raw, record.stop_received_at) is Provenance.LIVE
    return QUIET if timely and Flag.BY_OPERATOR not in record.flags else QUIET_IF_DOUBTED


def quiet_for(known: EnergyRecord, now: datetime) -> timedelta:
    """For how long, in all, the charge point has been connected since it last said something of the transaction."""
    if known.connected_since is None:
        return max(known.quiet, timedelta())
    return max(known.quiet + max(now - known.connected_since, timedelta()), timedelta())


def state_of(record: TransactionRecord, now: datetime) -> EnergyState:
    """The state of a transaction's energy."""
    known = record.settlement
    if record.state is TransactionState.OPEN:
        return EnergyState.RUNNING
    if known.due:
        return EnergyState.PROVISIONAL
    return _settled(quiet_for(known, now), known.quiet_needed)


def state_before(record: TransactionRecord) -> EnergyState:
    """The state of its energy when something came that it has not been worked out with yet."""
    known = record.settlement
    if known.position == 0:
        return EnergyState.RUNNING
    return _settled(known.quiet_before, known.quiet_needed)


def _settled(quiet: timedelta, needed: timedelta | None) -> EnergyState:
    enough = quiet >= (LONGEST_QUIET if needed is None else needed)
    return TRANSITIONS[EnergyState.PROVISIONAL][Happening.QUIET] if enough else EnergyState.PROVISIONAL


# --- revisions ------------------------------------------------------------------------------------------------

_FIRST: Final = {
    TransactionState.STOPPED: Happening.STOPPED,
    TransactionState.LOST: Happening.LOST,
    TransactionState.CLOSED: Happening.CLOSED,
}

WHY: Final[Mapping[Happening, str]] = {
    Happening.ATTRIBUTED: "attribution",
    Happening.STOPPED: "stop",
    Happening.CLOSED: "close",
    Happening.READINGS: "readings",
}
"""The causes of a later revision, in words; the first that applies counts."""

RULES: Final = "rules"
"""Nothing has come that changes it: these rules are others than those of the revision before."""


def digest_of(energy: SessionEnergy) -> str:
    """Digest of a curve of energy over time: two with one digest have the same bill by any prices."""
    said = ";".join(f"{point.at.isoformat()} {point.mwh} {point.quality}" for point in energy.points)
    return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()


def differs(known: EnergyRecord, energy: SessionEnergy) -> bool:
    """True if an energy is another one than that of the recorded revision."""
    recorded = (known.mwh, known.basis, known.doubts, known.digest)
    return recorded != (energy.total_mwh, energy.basis, energy.doubts, digest_of(energy))


def revised(
    record: TransactionRecord, energy: SessionEnergy, happened: frozenset[Happening]
) -> TransactionEnergyChanged | None:
    """The event that records an energy as the next revision; None where it is the recorded one.

    ``happened``: what has come since the recorded revision. What retention has taken changes no revision.
    """
    known = record.settlement
    if record.state is TransactionState.OPEN or (known.revision and not differs(known, energy)):
        return None
    before = state_before(record)
    first = _FIRST[record.state]
    if known.revision == 0 and before is EnergyState.RUNNING:
        cause = Happening.ATTRIBUTED if Happening.ATTRIBUTED in happened else first
        why = "attribution" if cause is Happening.ATTRIBUTED else first.value
    else:
        cause = next((each for each in WHY if each in happened), Happening.READINGS)
        why = WHY[cause]
        if not happened and known.rules_version != RULES_VERSION:
            why = RULES
    return TransactionEnergyChanged(
        transaction_id=record.transaction_id,
        connector=record.connector,
        revision=known.revision + 1,
        mwh=energy.total_mwh,
        previous_mwh=known.mwh,
        state=TRANSITIONS[before][cause],
        previous_state=before,
        why=why,
        rules_version=RULES_VERSION,
        basis=energy.basis,
        digest=digest_of(energy),
        quiet_seconds=int(quiet_needed(record).total_seconds()),
        doubts=tuple(energy.doubts),
    )

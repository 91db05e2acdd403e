"""Transactions' identities: how a retried start is recognised, and whose clock can be trusted for that."""

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

import orjson

from gateway.domain.records import TransactionRecord, TransactionState
from gateway.domain.state import ChargePointState
from gateway.domain.times import ReportedTime
from gateway.domain.values import ConnectorAddress


def folded(id_tag: str) -> str:
    """An idTag as it is compared: without regard to case (S §3.9)."""
    return id_tag.casefold()


def start_key(connector: ConnectorAddress, id_tag: str, timestamp: str, meter_start: int) -> str:
    """Return what identifies a start on its charge point across retries, connections and restarts (B4.6).

    ``timestamp`` as sent: a charger repeats it to the letter, and two starts of one second differ by connector. 32
    characters, whatever the length of what was sent. Stable for ever: it is stored.
    """
    identity = orjson.dumps([connector.evse, connector.connector, folded(id_tag), timestamp, meter_start])
    return hashlib.blake2b(identity, digest_size=16).hexdigest()


def uses_elsewhere(
    open_transactions: Iterable[TransactionRecord], charge_point: str, connector: ConnectorAddress | None
) -> list[TransactionRecord]:
    """Of a tag's open transactions those that another start of it would compete with (S §7.2, ConcurrentTx).

    One on the very connector that it starts on is no other use, but a stop that was lost; ``connector`` None: which one
    that is will be the charger's choice, so all count.
    """
    return [each for each in open_transactions if each.charge_point != charge_point or each.connector != connector]


NEVER_SET_AFTER: Final = timedelta(days=7)
"""A start whose time is further than this from its first arrival was stamped by a clock that was not set, or comes from
a charger that was offline for so long. Which of the two is not known, but only the first begins anew with a Boot."""


def is_retry(state: ChargePointState, twin: TransactionRecord, message_id: str, time: ReportedTime) -> bool:
    """Return whether a start of that time, with ``twin``'s key, is that start again.

    A clock that begins anew at every power-up can give two transactions one key. Where it may be such a clock, a
    finished twin is taken for another transaction, unless its start came by the same message on this connection.
    """
    if twin.state is TransactionState.OPEN or _identifies(state, twin, time):
        return True
    return state.starts.get(message_id) == twin.transaction_id


def _identifies(state: ChargePointState, twin: TransactionRecord, time: ReportedTime) -> bool:
    """Return whether one time of this clock is one moment: it has been set once and has not been seen to run backwards;
    and it was right about the twin's time, or has not begun anew since the twin ended, for there was no Boot."""
    if not time.identifies or state.memory.ran_back:
        return False
    booted = state.booted_at is not None and state.booted_at > (twin.stop_received_at or twin.start_received_at)
    far = time.value is not None and abs(twin.start_received_at - time.value) > NEVER_SET_AFTER
    return not (booted and far)


def in_use(state: ChargePointState) -> bool:
    """Return true if a transaction is open, or about to begin because a remote start was sent or waits."""
    return bool(state.open_transactions or state.pending_starts)

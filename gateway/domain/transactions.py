"""Transactions' identities: how a retried start is recognised, and whose clock can be trusted for that."""

import hashlib
from collections.abc import Iterable

import orjson

from gateway.domain.records import TransactionRecord, TransactionState
from gateway.domain.state import ChargePointState
from gateway.domain.values import ConnectorAddress


def folded(id_tag: str) -> str:
    """An idTag as it is compared: without regard to case (S §3.9)."""
    return id_tag.casefold()


def start_key(connector: ConnectorAddress, id_tag: str, timestamp: str, meter_start: int) -> str:
    """What identifies a start on its charge point across retries, connections and restarts (OCPP.md B4.6).

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


def is_retry(state: ChargePointState, twin: TransactionRecord, message_id: str, clock_suspect: bool) -> bool:
    """Whether a start with ``twin``'s key is that start again.

    A clock that begins anew in 1970 at every power-up can give two transactions one key, so with a suspect clock a
    finished twin is taken for another transaction, unless its start came by the same message on this connection.
    """
    if not clock_suspect or twin.state is TransactionState.OPEN:
        return True
    return state.starts.get(message_id) == twin.transaction_id

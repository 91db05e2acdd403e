"""Messages that wait to be sent to the central system, and their order. Sans-I/O; the time is a parameter.

Transaction messages (StartTransaction, MeterValues, StopTransaction) are delivered in order and survive outages:
one that failed is tried again, the others wait behind it (S §3.7.1). Everything else is news: sent when its turn
comes, forgotten when the central system does not want it, and of a connector's statuses only the newest is kept
while there is no link (S §4.9: the history is not replayed).

Bounds: a full outbox drops the oldest MeterValues first, never a start or a stop; `room_for_transaction` is asked
before a transaction begins, so starts and stops alone cannot fill it either.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count

from attrs import define

from gateway.simulator.messages import Message

#: Transaction messages kept. At a sample a minute half a day of one outage fits into a few hundred KiB, which is
#: about what the flash of a home wallbox keeps.
TRANSACTION_MESSAGES = 1_000
#: Of these, what starts and stops may occupy; the rest stays free for readings.
STARTS_AND_STOPS = 400
#: Other messages kept: statuses and triggered messages. More than a burst of these is not being taken.
OTHER_MESSAGES = 64


@define(eq=False)
class Entry:
    """A message in the outbox: its place in the order, how often it failed, and when it may go (seconds)."""

    message: Message
    place: int
    failures: int = 0
    not_before: float = 0.0


class Outbox:
    """See the module. `dropped` is called with every message that is given up and the reason."""

    def __init__(self, dropped: Callable[[Message, str], None]) -> None:
        self._transactions: deque[Entry] = deque()
        self._others: deque[Entry] = deque()
        self._places = count()
        self._dropped = dropped

    def __len__(self) -> int:
        return len(self._transactions) + len(self._others)

    @property
    def undelivered_transactions(self) -> int:
        """Number of transaction messages that wait."""
        return len(self._transactions)

    def room_for_transaction(self) -> bool:
        """True if one more transaction may begin: its start and its stop will fit."""
        kept = sum(1 for entry in self._transactions if entry.message.action != "MeterValues")
        return kept + 2 <= STARTS_AND_STOPS

    def put(self, message: Message, *, online: bool) -> None:
        """Add a message at the end."""
        entry = Entry(message, next(self._places))
        if message.transaction is not None and not message.triggered:
            self._transactions.append(entry)
            if len(self._transactions) > TRANSACTION_MESSAGES:
                self._drop_a_reading()
            return
        if not online and message.action == "StatusNotification":
            connector = message.payload.get("connectorId")
            self._others = deque(e for e in self._others if not _is_status_of(e.message, connector))
        self._others.append(entry)
        if len(self._others) > OTHER_MESSAGES:
            self._dropped(self._others.popleft().message, "too many messages wait")

    def next(self, now: float, *, accepted: bool) -> Entry | None:
        """The message whose turn it is, or None. Until `accepted`, only triggered ones go (S §4.2)."""
        heads = []
        if accepted and self._transactions and self._transactions[0].not_before <= now:
            heads.append(self._transactions[0])
        other = next((e for e in self._others if accepted or e.message.triggered), None)
        if other is not None:
            heads.append(other)
        return min(heads, key=lambda entry: entry.place) if heads else None

    def next_retry(self, *, accepted: bool) -> float | None:
        """Time at which the message that failed may go again; None when nothing waits for a time."""
        if not accepted or not self._transactions:
            return None
        return self._transactions[0].not_before

    def delivered(self, entry: Entry) -> None:
        """The central system confirmed it."""
        self._remove(entry)

    def failed(self, entry: Entry, now: float, *, attempts: int, interval: float) -> None:
        """It was answered by an error, or not at all (S §3.7.1): a transaction message waits `interval` seconds
        times its failures and is given up after `attempts`; another message is forgotten at once."""
        entry.failures += 1
        if entry.message.transaction is None or entry.message.triggered or entry.failures >= attempts:
            self._remove(entry)
            self._dropped(entry.message, f"failed {entry.failures} times")
        else:
            entry.not_before = now + interval * entry.failures

    def forget_news(self) -> None:
        """The box rebooted: what was not a transaction message is gone."""
        self._others.clear()

    def forget_statuses(self) -> None:
        """All of them are about to be reported anew."""
        self._others = deque(e for e in self._others if e.message.action != "StatusNotification")

    def _remove(self, entry: Entry) -> None:
        for queue in (self._transactions, self._others):
            if entry in queue:
                queue.remove(entry)

    def _drop_a_reading(self) -> None:
        for position, entry in enumerate(self._transactions):
            if entry.message.action == "MeterValues":
                del self._transactions[position]
                self._dropped(entry.message, "the outbox is full")
                return


def _is_status_of(message: Message, connector: object) -> bool:
    same = message.action == "StatusNotification" and message.payload.get("connectorId") == connector
    return same and not message.triggered

"""The newest committed events, read from the store once for all who watch the head."""

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

from gateway.domain.events import StoredEvent

ENVELOPE_BYTES = 400
"""What an event weighs besides its body, roughly."""

PARSED = 6
"""What a body weighs beside its stored bytes where it is kept as objects, as a multiple of these: some 2 KiB for four
meter values of 450 bytes."""

_sequence = attrgetter("sequence")


def weight(event: StoredEvent) -> int:
    """Bytes that an event counts for in a batch."""
    return len(event.body_json) + ENVELOPE_BYTES


def held(event: StoredEvent) -> int:
    """Bytes that an event counts for in the ring, its body included where that is kept."""
    return ENVELOPE_BYTES + len(event.body_json) * (1 if event.body is None else 1 + PARSED)


class Ring:
    """Holds every event above ``start`` up to ``end``, within ``max_events`` and ``max_bytes``: the oldest go."""

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self.restart(0)

    def restart(self, at: int) -> None:
        """Hold nothing, from ``at`` on."""
        self.start = self.end = at
        self._bytes = 0
        self._events: list[StoredEvent] = []

    def extend(self, events: Sequence[StoredEvent], end: int) -> None:
        """Add what follows ``end``, which moves."""
        self._events += events
        self._bytes += sum(map(held, events))
        self.end = end
        if len(self._events) > self._max_events or self._bytes > self._max_bytes:
            self._shorten()

    def _shorten(self) -> None:
        drop = 0
        while len(self._events) - drop > self._max_events or self._bytes > self._max_bytes:
            self._bytes -= held(self._events[drop])
            drop += 1
        if drop:
            self.start = self._events[drop - 1].sequence
            del self._events[:drop]

    def above(self, position: int) -> Sequence[StoredEvent]:
        """The events above ``position``, which must not lie below ``start``."""
        if position >= self.end:
            return ()
        return self._events[bisect_right(self._events, position, key=_sequence) :]

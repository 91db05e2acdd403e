"""A store whose disk does what a test says, and a way to run its methods without threads, in virtual time."""

from datetime import timedelta

import trio

from gateway.errors import StoreUnavailable
from gateway.store.api import Bounds
from gateway.store.commits import (
    AllocatedNumbers,
    AllocateNumbers,
    Append,
    Appended,
    Done,
    Forget,
    RecordClock,
    Trim,
    Trimmed,
)
from tests.store.builders import T0


class FakeStore:
    """Keeps what is committed in ``batches``. ``broken``: commits and probes raise. ``poison``: a charge point whose
    appends are a bug."""

    def __init__(self) -> None:
        self.batches = []
        self.broken = False
        self.poison = "poison"
        self.probes = 0
        self.head = 0
        self.floor = 0
        self.size = 0
        self.next_number = 1
        self.clock = None
        self.received = T0 - timedelta(days=40)

    def commit(self, batch):
        if self.broken:
            raise StoreUnavailable("the disk is full")
        if any(isinstance(w, Append) and w.charge_point == self.poison for w in batch):
            raise ValueError("a bug")
        self.batches.append(list(batch))
        return [self._result(write) for write in batch]

    def _result(self, write):
        match write:
            case Append(events=events):
                first, self.head = self.head + 1, self.head + len(events)
                return Appended(tuple(range(first, self.head + 1)))
            case AllocateNumbers(count):
                first, self.next_number = self.next_number, self.next_number + count
                return AllocatedNumbers(first, count)
            case Trim(limit=limit):
                deleted = min(limit, self.head - self.floor)
                self.floor += deleted
                self.size -= 1_000 * deleted
                return Trimmed(deleted, self.floor)
            case Forget():
                return Trimmed(0, self.floor)
            case RecordClock(record):
                self.clock = record
                return Done()
            case _:
                return Done()

    def probe(self):
        self.probes += 1
        if self.broken:
            raise StoreUnavailable("the disk is still full")

    def clock_record(self):
        return self.clock

    def newest_time(self):
        return self.received if self.head else None

    def oldest_time(self, now):
        return self.received if self.floor < self.head else None

    def crowded_out(self, count):
        return 0, 0

    def bounds(self):
        return Bounds(self.floor, self.head)

    def size_bytes(self):
        return self.size

    @property
    def writes(self):
        return [write for batch in self.batches for write in batch]


class Inline:
    """Runs functions in Trio's thread, each taking ``seconds`` of virtual time, or until ``gate`` opens.

    ``refusing``: the system has no thread."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.gate = trio.Event()
        self.gate.set()
        self.running = 0
        self.refusing = False

    async def __call__(self, sync_fn, *args, limiter=None, abandon_on_cancel=False):
        if self.refusing:
            raise RuntimeError("can't start new thread")
        self.running += 1
        try:
            await trio.sleep(self.seconds)
            await self.gate.wait()
        finally:
            self.running -= 1
        return sync_fn(*args)

    def stall(self) -> None:
        self.gate = trio.Event()

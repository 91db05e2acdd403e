"""A loop that is late, beside a disk that is well: real threads, and a loop that stands still in the middle."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import trio

from gateway.errors import StoreUnavailable
from gateway.journal import Journal
from gateway.store.commits import Appended
from tests.journal.conftest import running
from tests.journal.fakes import FakeStore
from tests.journal.test_journal import write

DEADLINE = 0.3
"""Seconds that a commit or a read may take in its thread."""

STALL = 3 * DEADLINE


class Threaded(FakeStore):
    """Commits and reads take so long in their threads; or until the gate opens."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.gate: threading.Event | None = None
        self.begun = threading.Event()

    def _take_time(self) -> None:
        self.begun.set()
        if self.gate is not None:
            assert self.gate.wait(60)
        time.sleep(self.seconds)

    def commit(self, batch: Any) -> Any:
        self._take_time()
        return super().commit(batch)

    def bounds(self) -> Any:
        self._take_time()
        return super().bounds()


def stand_still(store: Threaded) -> None:
    """The loop does nothing at all, from when the thread has begun until long after the deadline."""
    assert store.begun.wait(60)
    time.sleep(STALL)


@pytest.mark.parametrize("seconds", [0.0, DEADLINE / 3])
async def test_a_commit_that_its_thread_has_done_is_not_called_hung(seconds: float) -> None:
    """The loop hears of it long after the deadline, and acknowledges it: nothing is wrong with the disk."""
    store = Threaded(seconds)
    health: list[bool] = []
    results: list[Any] = []

    async def commit(journal: Journal) -> None:
        results.append(await journal.commit(write()))

    async with running(Journal(store, deadline=DEADLINE)) as journal:
        journal.on_health.append(health.append)
        for _ in range(3):
            store.begun.clear()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(commit, journal)
                await trio.sleep(0.01)
                stand_still(store)
        assert (results, health) == ([Appended((1,)), Appended((2,)), Appended((3,))], [])


@pytest.mark.parametrize("seconds", [0.0, DEADLINE / 3])
async def test_a_read_that_its_thread_has_done_is_given(seconds: float) -> None:
    """The same for who reads: the answer is there."""
    store = Threaded(seconds)
    async with running(Journal(store, deadline=DEADLINE)) as journal:
        got: list[Any] = []

        async def read() -> None:
            got.append(await journal.read(store.bounds))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.sleep(0.01)
            stand_still(store)
        assert got == [FakeStore().bounds()]


async def test_a_disk_that_hangs_is_found_out_also_beside_a_late_loop() -> None:
    """The thread has not done it: callers that wait get the error that it is not known."""
    store = Threaded(0)
    store.gate = threading.Event()
    async with running(Journal(store, deadline=DEADLINE)) as journal:
        try:
            async with trio.open_nursery() as nursery:

                async def commit() -> None:
                    with pytest.raises(StoreUnavailable, match=r"longer than 0\.3 s"):
                        await journal.commit(write())

                nursery.start_soon(commit)
                await trio.sleep(0.01)
                stand_still(store)
            assert not journal.healthy
            with pytest.raises(StoreUnavailable, match=r"longer than 0\.3 s"):
                await journal.read(store.bounds)
        finally:
            store.gate.set()
        with trio.fail_after(60):
            await journal.wait_healthy()

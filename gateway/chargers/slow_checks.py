"""Slow password checks, a few at a time and shared fairly: guessing at one charger's key delays no other charger.

A check of an imported key takes tens of milliseconds of a core, so few run at once, and more wait. They wait by
identity, and identities take turns; of one identity they wait by address, and addresses take turns. So the right key
gets its turn however many guesses wait: after one check of each other identity and address, or, where the guesses come
from its own address, after those that came before it, of which there are ``MAX_WAITING`` at most.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Final, TypeVar

import trio
from attrs import define, field

from gateway.transport.fair_queue import FairQueue

T = TypeVar("T")

AT_ONCE: Final = 2
"""Slow checks at once: each takes some 50 ms of a core and 16 MiB; more at once would starve the sessions."""

AT_ONCE_OF_ONE: Final = 1
"""Of them, for one identity: the other is always there for the others."""

MAX_WAITING: Final = 200
"""Checks that wait for one identity: as many as there are places for handshakes by default, and so few that the last
has its turn within the admission's deadline."""


@define(eq=False)
class _Waiter:
    identity: str
    task: trio.lowlevel.Task = field(factory=trio.lowlevel.current_task)
    granted: bool = False


class SlowChecks:
    """Runs checks in worker threads. Belongs to the Trio loop. ``most_waiting``: for one identity."""

    def __init__(self, most_waiting: int = MAX_WAITING) -> None:
        self._most = most_waiting
        self._turns: FairQueue[str, str] = FairQueue()  # identities that have a check waiting, each once
        self._waiting: dict[str, FairQueue[Hashable, _Waiter]] = {}
        self._running: Counter[str] = Counter()
        self._limiter = trio.CapacityLimiter(AT_ONCE)

    @property
    def running(self) -> int:
        """Checks that run now."""
        return self._running.total()

    def waiting(self, identity: str) -> int:
        """Checks that wait for an identity."""
        return len(self._waiting.get(identity, ()))

    async def check(self, identity: str, lane: Hashable, work: Callable[[], T]) -> T | None:
        """The answer of ``work``, run in a thread in its turn. None where too many wait for this identity: then the
        newest from the address with the most of them goes. Cancelling a check that waits takes it out; one that runs
        is waited for.
        """
        if not await self._turn(identity, lane):
            return None
        try:
            return await trio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._running[identity] -= 1
            if not self._running[identity]:
                del self._running[identity]
            self._grant()

    async def _turn(self, identity: str, lane: Hashable) -> bool:
        queue = self._waiting.setdefault(identity, FairQueue())
        waiter = _Waiter(identity)
        queue.add(lane, waiter)
        if identity not in self._turns:
            self._turns.add(identity, identity)
        if len(queue) > self._most:
            newest = queue.last_of_longest()
            assert newest is not None
            self._left(newest)
            if newest is waiter:
                return False
            trio.lowlevel.reschedule(newest.task)
        self._grant()
        if waiter.granted:
            return True

        def abort(_: object) -> trio.lowlevel.Abort:
            self._left(waiter)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
        return waiter.granted

    def _grant(self) -> None:
        """Let those begin whose turn it is."""
        while self.running < AT_ONCE:
            identity = self._turns.pop(lambda each: self._running[each] < AT_ONCE_OF_ONE)
            if identity is None:
                return
            queue = self._waiting[identity]
            waiter = queue.pop()
            assert waiter is not None
            if queue:
                self._turns.add(identity, identity)
            else:
                del self._waiting[identity]
            self._running[identity] += 1
            waiter.granted = True
            if waiter.task is not trio.lowlevel.current_task():
                trio.lowlevel.reschedule(waiter.task)

    def _left(self, waiter: _Waiter) -> None:
        queue = self._waiting[waiter.identity]
        queue.remove(waiter)
        if not queue:
            self._turns.remove(waiter.identity)
            del self._waiting[waiter.identity]

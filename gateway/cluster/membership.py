"""Membership: a node says that it is there by its commits, and others end it when it has been silent.

A lease on the database's clock, with one more condition, of the clock of the node that ends others: it has said itself
that it is there all that time. So no node is ended because the database was away, or because the one that looks was
stopped. What is done once for the fleet is done by the node that has the chores, another such lease.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
import trio

from gateway.domain.values import Clock
from gateway.errors import StoreUnavailable
from gateway.session.ports import Journal
from gateway.store.nodes import SILENCE_SECONDS, Beat, Ended, EndNode, NodeRecord, NodeStore
from gateway.store.reads import Reads

BEAT_SECONDS: Final = 2.0
"""Between two commits of a node that has nothing else to commit: five in the time that it may be silent. So long it
may take, too, until a node finds what others have changed, where the bus is down."""

LATE_SECONDS: Final = 5.0
"""A beat that takes longer is no sign that this node was there all the time."""

STEP: Final = 200
"""Charge points of a node that are settled in one write, some 20 ms: others wait for it."""

STUCK_SECONDS: Final = 5.0
"""For which a transaction of another node may be open: many times what the slowest disk takes."""

log = structlog.get_logger()


class Membership:
    """This node among the others. Belongs to the Trio loop. ``changed`` is called when another node has been ended."""

    def __init__(
        self,
        store: NodeStore,
        journal: Journal,
        reads: Reads,
        clock: Clock,
        count: Callable[[str, str], None] = lambda what, label: None,
    ) -> None:
        self._store = store
        self._journal = journal
        self._reads = reads
        self._clock = clock
        self._count = count
        self._rung = trio.Event()
        self._steady_since: float | None = None
        self._kept = trio.Event()
        self._lost = trio.Event()
        self.draining = False
        self.has_chores = False

    @property
    def steady_seconds(self) -> float:
        """For so long this node has said without a break that it is there."""
        return 0.0 if self._steady_since is None else trio.current_time() - self._steady_since

    def ring(self) -> None:
        """Commit at once: there may be notices. Never waits."""
        self._rung.set()

    async def run(self) -> None:
        """Say that the node is there, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            while True:
                began = trio.current_time()
                try:
                    await self._journal.commit(Beat(self.draining))
                except StoreUnavailable:
                    self._steady_since = None
                else:
                    if trio.current_time() - began > LATE_SECONDS:
                        self._steady_since = None
                    elif self._steady_since is None:
                        self._steady_since = began
                with trio.move_on_after(BEAT_SECONDS):
                    await self._rung.wait()
                self._rung = trio.Event()

    async def drain(self) -> None:
        """Say that this node goes, and leave the chores to another. Raises nothing for want of the store."""
        self.draining = True
        self._hold(False)
        self.ring()
        try:
            await self._reads.compute(self._store.leave_chores)
        except StoreUnavailable:
            log.warning("the chores are left when their lease ends")

    async def _watch(self) -> None:
        """Look after the others. Beside the beats: these may wait for what is freed here."""
        last = trio.current_time()
        while True:
            now = trio.current_time()
            if now - last > BEAT_SECONDS + LATE_SECONDS:  # it was stopped
                self._steady_since = None
            last = now
            try:
                freed = await self._reads.compute(self._store.free_lanes, STUCK_SECONDS)
                if freed:
                    log.warning("connections of nodes ended that were stopped or silent", connections=freed)
                    self._count("nodes_freed", "")
                await self._keep()
                if self.has_chores and self.steady_seconds >= SILENCE_SECONDS:
                    await self._end_silent()
            except StoreUnavailable:
                self._hold(False)
            await trio.sleep(BEAT_SECONDS)

    async def _keep(self) -> None:
        if not self.draining:
            self._hold(await self._reads.compute(self._store.keep_chores))

    def _hold(self, has: bool) -> None:
        if has and not self.has_chores:
            self.has_chores = True
            self._kept.set()
            self._lost = trio.Event()
            log.info("this node keeps the chores of the fleet")
        elif not has and self.has_chores:
            self.has_chores = False
            self._lost.set()
            self._kept = trio.Event()
            log.info("this node keeps the chores no more")

    async def _end_silent(self) -> None:
        for each in await self._reads.compute(self._store.nodes):
            if each.node != self._store.node and each.silent_seconds > SILENCE_SECONDS and each.charge_points:
                await self._end(each)

    async def _end(self, node: NodeRecord) -> None:
        """Fence a node and settle what it owned, step by step; chargers that come back meanwhile are taken over."""
        incarnation, count = node.incarnation, 0
        while True:
            answer = await self._journal.commit(EndNode(node.node, incarnation, self._clock(), STEP))
            if not isinstance(answer, Ended) or not answer.charge_points:
                break
            incarnation, count = answer.incarnation, count + answer.charge_points
        if count:
            log.warning("a silent node was ended", node=node.node, address=node.address, charge_points=count)
            self._count("nodes_ended", "")

    # --- chores -----------------------------------------------------------------------------------------------

    async def as_chore(self, task: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Run a task whenever this node has the chores, and until it has lost them; until cancelled."""
        while True:
            await self._kept.wait()
            lost = self._lost
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until, lost, nursery.cancel_scope)
                await task(*args)
                await lost.wait()


async def _until(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()

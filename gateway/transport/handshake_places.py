"""Places for handshakes: shares for each address where there is a crowd, and no cap.

A connection that has been accepted waits for the peer's first bytes, which costs a descriptor and a few kilobytes. Then
it waits for one of the places, which bound the handshakes in progress, and then it has one until its upgrade is over.

* An address may hold three quarters of the places if it is alone, and less the more others there are: always fewer
  than ``SHARE`` times those that are free. So one that comes from elsewhere finds a place at once.
* Addresses take turns at the places; those that chargers have come from are served first.
* While others wait, peers that have held up their own handshake for too long lose their place: those of the largest
  crowds first, and after a second where a connection waits whose address has no place at all.
* Only so many wait. Beyond that the crowd goes that comes from one address: the silent first, the oldest of them.

A charger that authenticates is never refused for its address: it waits for those from the same address.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Final, Literal, Protocol

import trio
from attrs import define, field

from gateway.transport.addresses import Addresses
from gateway.transport.fair_queue import FairQueue
from gateway.transport.limits import Limits

SHARE: Final = 3
"""By how much one address may hold more places than are free: three quarters of all if it is alone, and with n such
addresses three of 3n + 1 parts each; one part is free for the next that comes."""

STRANGERS_TURN: Final = 4
"""Every so many places, one that a stranger waits for goes to strangers first, however many known addresses wait."""

CROWD_SECONDS: Final = 1.0
"""What a peer may hold up its own handshake for where its address has several places, and another that waits has none:
a round trip of a bad mobile link. A few addresses that stall together would keep everybody out for four seconds else.
"""

LOOK_AGAIN_SECONDS: Final = 0.1
"""While a connection waits for a place: how often late ones are looked for."""

MAX_WAITING: Final = 4096
"""Connections that may wait without a place, unless the listener is given a bound: more than a town's chargers that
come back at once; some 20 MB. Each holds a descriptor."""

Stage = Literal["accept", "tls", "http", "admission", "session"]


class HandshakeProgress(Protocol):
    """Progress of a handshake."""

    @property
    def awaits_peer(self) -> bool:
        """True while it waits for the peer, and not for the gateway."""

    @property
    def waited(self) -> float:
        """Seconds that it has waited for the peer, all together."""


@define(eq=False)
class Visitor:
    """One connection from accept to the end of its upgrade. ``lane``: what it shares with others of its address."""

    lane: Hashable
    known: bool
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    stage: Stage = "tls"
    crowded_out: bool = False
    progress: HandshakeProgress | None = None
    """Of its handshake, once that has begun."""
    placed: bool = False
    task: trio.lowlevel.Task | None = None

    def begin(self, stage: Stage, seconds: float) -> None:
        """The next stage, which may take so long. One scope for all of them: a scope each would cost every connect as
        much as its share of the handshake."""
        self.stage = stage
        self.scope.deadline = trio.current_time() + seconds

    def crowd_out(self) -> None:
        """It has to go."""
        self.crowded_out = True
        self.scope.cancel()

    def is_late(self, seconds: float) -> bool:
        """Return true if it waits for its peer now, has for so long all together, and is not ending already."""
        progress = self.progress
        return (
            progress is not None and not self.crowded_out and progress.awaits_peer and progress.waited >= seconds - 1e-6
        )


class HandshakePlaces:
    """One listener's. ``may_wait``: how many may wait now, for their first bytes or for a place. ``may_begin``: whether
    a handshake may begin now, which is asked for each and counts."""

    def __init__(
        self,
        limits: Limits,
        addresses: Addresses,
        may_wait: Callable[[], int],
        may_begin: Callable[[], bool] = lambda: True,
    ) -> None:
        self._limits = limits
        self._addresses = addresses
        self._may_wait = may_wait
        self._may_begin = may_begin
        self._free = limits.max_concurrent_handshakes
        self._given = 0
        self._silent: FairQueue[Hashable, Visitor] = FairQueue()
        self._strangers: FairQueue[Hashable, Visitor] = FairQueue()
        self._known: FairQueue[Hashable, Visitor] = FairQueue()
        self._placed: dict[Visitor, None] = {}
        self._held: Counter[Hashable] = Counter()
        self._wanted = trio.Event()

    def __len__(self) -> int:
        """Places that are taken."""
        return len(self._placed)

    @property
    def waiting(self) -> int:
        """Accepted, and without a place."""
        return len(self._silent) + self.wanting

    @property
    def wanting(self) -> int:
        """Those of them that have sent something."""
        return len(self._strangers) + len(self._known)

    def arrive(self, address: str) -> Visitor:
        """A connection has been accepted. If that is one too many, one of them is ended, perhaps this one."""
        visitor = Visitor(self._addresses.lane(address), self._addresses.known(address))
        self._silent.add(visitor.lane, visitor)
        while self.waiting > self._may_wait():
            crowd = self._one_too_many()
            self._forget(crowd)
            crowd.crowd_out()
        return visitor

    async def place(self, visitor: Visitor) -> None:
        """Its first bytes have come: wait for its place. Cancelling is safe; ``leave`` comes next in any case."""
        if visitor.crowded_out:
            await trio.lowlevel.checkpoint()  # where its scope ends it
        self._silent.remove(visitor)
        if not self.wanting and self._may_have(visitor.lane) and self._may_begin():
            self._give(visitor)
            return
        self._queue_of(visitor).add(visitor.lane, visitor)
        visitor.task = trio.lowlevel.current_task()
        self._serve()
        if visitor.placed:
            return
        self._wanted.set()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._forget(visitor)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def leave(self, visitor: Visitor) -> None:
        """It is over, or served elsewhere from now on. Repeating it does nothing."""
        if self._placed.pop(visitor, visitor) is None:
            self._free += 1
            self._held[visitor.lane] -= 1
            if not self._held[visitor.lane]:
                del self._held[visitor.lane]
            self._serve()
        else:
            self._forget(visitor)

    async def run(self) -> None:
        """See to it that those who hold up their own handshake don't hold up others. Until cancelled."""
        while True:
            if not self.wanting:
                self._wanted = trio.Event()
                await self._wanted.wait()
            await trio.sleep(LOOK_AGAIN_SECONDS)
            self._serve()
            if not self._held_by_pace():
                self._evict()

    def _held_by_pace(self) -> bool:
        """Return whether a place is free for one that waits, and only the pace holds it back: none is in its way."""
        waiting = (lane for queue in (self._known, self._strangers) for lane in queue.lanes())
        return self._free > 0 and any(map(self._may_have, waiting))

    def _forget(self, visitor: Visitor) -> None:
        for queue in (self._silent, self._strangers, self._known):
            queue.remove(visitor)

    def _queue_of(self, visitor: Visitor) -> FairQueue[Hashable, Visitor]:
        """Return the queue in which others of its address wait, also if that has become known since: or later ones,
        which may be strangers behind the same address, would be served before them."""
        if self._strangers.length(visitor.lane):
            return self._strangers
        return self._known if visitor.known or self._known.length(visitor.lane) else self._strangers

    def _one_too_many(self) -> Visitor:
        """The oldest silent one of the address with most of them; or the newest that wants a place, where an address
        has a longer queue of those than any has silent ones. Strangers before the known."""
        crowd = self._strangers if self._strangers.longest >= self._known.longest else self._known
        if self._silent.longest > 1 or self._silent.longest >= crowd.longest:
            found = self._silent.first_of_longest()
        else:
            found = crowd.last_of_longest()
        assert found is not None, "a connection waits"
        return found

    def _serve(self) -> None:
        while self._free and self.wanting:
            if not self._may_begin():
                return
            visitor = self._next()
            if visitor is None:
                return
            self._give(visitor)
            assert visitor.task is not None
            if visitor.task is not trio.lowlevel.current_task():
                trio.lowlevel.reschedule(visitor.task)

    def _give(self, visitor: Visitor) -> None:
        self._free -= 1
        self._given += 1
        self._held[visitor.lane] += 1
        self._placed[visitor] = None
        visitor.placed = True

    def _next(self) -> Visitor | None:
        first, second = self._known, self._strangers
        if self._given % STRANGERS_TURN == 0:
            first, second = second, first
        return first.pop(self._may_have) or second.pop(self._may_have)

    def _may_have(self, lane: Hashable) -> bool:
        return self._held[lane] < SHARE * self._free

    def _evict(self) -> None:
        """Those that are late go, of the largest crowds first, and no more than there are others who want a place."""
        going = sum(each.crowded_out for each in self._placed)
        late = self._late(self._limits.crowded_handshake_seconds)[: max(0, self.wanting - going)]
        missing = self._without_any() - going - len(late)
        if missing > 0:
            several = [each for each in self._late(CROWD_SECONDS) if self._held[each.lane] > 1 and each not in late]
            late += several[:missing]
        for each in late:
            each.crowd_out()

    def _late(self, seconds: float) -> list[Visitor]:
        """Those that have held up their own handshake for so long, and do."""
        late = [each for each in self._placed if each.is_late(seconds)]
        late.sort(key=lambda each: self._held[each.lane], reverse=True)
        return late

    def _without_any(self) -> int:
        """Number of addresses that want a place and have none."""
        return sum(lane not in self._held for queue in (self._strangers, self._known) for lane in queue.lanes())

"""A bus in memory, and the part of a shared store that nodes read of each other, on top of one that is not shared."""

from collections.abc import Callable, Sequence

import trio

from gateway.bridge.bus import BusDown, Handler, NoResponder
from gateway.cluster import wire
from gateway.domain.events import StoredEvent
from gateway.domain.records import ChargePointRecord
from gateway.errors import StoreUnavailable
from gateway.store.nodes import NodeRecord, Notice, OwnerRecord


class FakeBus:
    """Delivers at once. ``down``: it is not reached; ``lost``: replies do not come; ``held``: requests wait for it."""

    def __init__(self) -> None:
        self.down = False
        self.lost = False
        self.held: trio.Event | None = None
        self.handlers: dict[str, Handler] = {}
        self.bells: dict[str, list[Callable[[], None]]] = {}
        self.rung: list[str] = []
        self.requests: list[str] = []

    @property
    def connected(self) -> bool:
        return not self.down

    async def request(self, subject: str, message: bytes, seconds: float) -> bytes:
        await trio.lowlevel.checkpoint()
        if self.down:
            raise BusDown("down")
        self.requests.append(subject)
        handler = self.handlers.get(subject)
        if handler is None:
            raise NoResponder(subject)
        with trio.fail_after(seconds):
            if self.held is not None:
                await self.held.wait()
            reply = await handler(message)
            if self.lost:
                await trio.sleep_forever()
            return reply

    def ring(self, subject: str) -> None:
        self.rung.append(subject)
        for heard in self.bells.get(subject, ()):
            heard()

    def serve(self, subject: str, handler: Handler) -> None:
        self.handlers[subject] = handler

    def withdraw(self, subject: str) -> None:
        if subject in self.bells:
            del self.bells[subject]
        else:
            del self.handlers[subject]

    def listen(self, subject: str, heard: Callable[[], None]) -> None:
        self.bells.setdefault(subject, []).append(heard)


class FakeNodes:
    """``owners``: of charge points; ``others``: what ``nodes`` answers; ``silent``: charge points left of each node."""

    def __init__(self, node: int = 1) -> None:
        self.node = node
        self.incarnation = 1
        self.on_notices: Callable[[Sequence[Notice]], None] | None = None
        self.on_left: Callable[[frozenset[int]], None] | None = None
        self.owners: dict[str, OwnerRecord] = {}
        self.others: list[NodeRecord] = []
        self.events: dict[str, list[StoredEvent]] = {}
        self.freed = 0
        self.keeper = 0
        self.failing = False

    def _look(self) -> None:
        if self.failing:
            raise StoreUnavailable("it is away")

    def nodes(self) -> list[NodeRecord]:
        self._look()
        return self.others

    def owner(self, identity: str) -> OwnerRecord | None:
        self._look()
        return self.owners.get(identity)

    def owned(self, after: str, limit: int) -> list[ChargePointRecord]:
        return []

    def noticed(self, identity: str, position: int) -> list[StoredEvent]:
        self._look()
        return self.events.get(identity, [])

    def keep_chores(self) -> bool:
        self._look()
        if self.keeper in (0, self.node):
            self.keeper = self.node
        return self.keeper == self.node

    def leave_chores(self) -> None:
        self._look()
        self.keeper = 0

    def free_lanes(self, seconds: float) -> int:
        self._look()
        return self.freed


async def nothing_seen(_: wire.Look) -> wire.Seen:
    """The answer of a node without sessions to a look."""
    return wire.Seen((), more=False)

"""A plan whose owner loses its charge point to another node amid it: each step is sent by the owner of the moment.

Sessions and stores are real, one for each node; the node before never hears that its link is dead, and its timers
go on.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import frozen

from gateway.store.nodes import EndNode
from gateway.store.postgres import PostgresStore
from tests.session.test_steering import HOUR, MINUTE, Operator, plan
from tests.store.builders import T0, one
from tests.support.harness import Harness, virtual_clock
from tests.support.steered import SteeredCharger
from tests.support.wire import FakeTransport

STEPS = (0, 6, 10, 8)
"""Amperes, half an hour each."""


@frozen
class Sending:
    """A profile that the charger was sent: when, over whose connection, and its limit in amperes."""

    at: float
    node: int
    limit: float


class RoamingCharger(SteeredCharger):
    """A charger that takes one period at a time, and keeps its profiles while it goes from node to node."""

    def __init__(self, nodes: Sequence[Harness]) -> None:
        super().__init__(nodes[0])
        self.configuration["ChargingScheduleMaxPeriods"] = "1"
        self.forgets = False
        self.nodes = nodes
        self.sendings: list[Sending] = []
        self.owners: list[tuple[float, int]] = []
        """From when on which node has the charger's newest connection."""
        self._node_of: dict[int, int] = {}

    @asynccontextmanager
    async def at(self, node: int) -> AsyncIterator[None]:
        """While the block runs its newest connection is to that node; those before are left as they are."""
        self.harness = self.nodes[node]
        async with self.connected():
            self.owners.append((trio.current_time(), node))
            yield

    async def _read(self, transport: FakeTransport) -> None:
        self._node_of[id(transport)] = self.nodes.index(self.harness)
        await super()._read(transport)

    async def _answer(self, transport: FakeTransport, message_id: str, action: str, payload: dict[str, Any]) -> None:
        if action == "SetChargingProfile":
            [period] = payload["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"]
            node = self._node_of[id(transport)]
            self.sendings.append(Sending(trio.current_time(), node, float(period["limit"])))
        await super()._answer(transport, message_id, action, payload)

    def by_others(self) -> list[Sending]:
        """Sendings by a node that did not own the charge point at that moment."""
        found = []
        for each in self.sendings:
            owner = [node for since, node in self.owners if since <= each.at][-1]
            if each.node != owner:
                found.append(each)
        return found

    def senders(self, limit: float) -> set[int]:
        """The nodes that have sent a step."""
        return {each.node for each in self.sendings if each.limit == limit}


@pytest.fixture
def nodes(database: str, tmp_path: Path) -> Any:
    """Two nodes on one database, which knows the charge point and its tag."""
    stores = [PostgresStore(database, clock=lambda: T0, durability=None, node=node) for node in (1, 2)]
    yield [Harness(tmp_path, store=store) for store in stores]
    for store in stores:
        store.close()


def known(harness: Harness) -> None:
    harness.add_charge_point()
    harness.add_tag("TAG")


async def followed(charger: RoamingCharger, before_the_change: Callable[[], None] | None = None) -> None:
    """Have a plan followed at the first node for two of its steps, and at the second one from then on."""
    operator = Operator(charger.nodes[0])
    async with charger.at(0):
        await charger.boot()
        await charger.start()
        await trio.sleep(10)
        await operator.wants(plan(*STEPS))
        await trio.sleep(45 * MINUTE)
        if before_the_change is not None:
            before_the_change()
        async with charger.at(1):
            await trio.sleep(2 * HOUR)


@pytest.mark.postgres
async def test_a_plan_is_applied_by_the_owner_of_the_moment(nodes: list[Harness], autojump_clock: object) -> None:
    """The node before has its session still, and its timer for the next step: that is where it ends."""
    known(nodes[0])
    charger = RoamingCharger(nodes)
    await followed(charger)
    assert charger.by_others() == []
    assert [charger.senders(limit) for limit in (10.0, 8.0)] == [{1}, {1}]
    assert 0 in charger.senders(0.0)
    assert 0 in charger.senders(6.0)
    assert nodes[0].router.session("CP1") is None


@pytest.mark.postgres
async def test_each_step_has_one_owner_though_the_charger_changes_nodes_amid_each(
    nodes: list[Harness], autojump_clock: object
) -> None:
    """To and fro, while all connections of before seem to be there."""
    known(nodes[0])
    charger = RoamingCharger(nodes)
    drawn: list[float] = []

    async def amid(node: int, rest: int) -> None:
        """Have the charger change to a node amid a step, again and again."""
        async with charger.at(node):
            await trio.sleep(15 * MINUTE)
            if rest:
                await trio.sleep(15 * MINUTE)
                drawn.append(charger.watts)
                await amid(1 - node, rest - 1)

    async with charger.at(0):
        await charger.boot()
        await charger.start()
        await trio.sleep(10)
        await Operator(nodes[0]).wants(plan(*STEPS))
        await trio.sleep(15 * MINUTE)
        drawn.append(charger.watts)
        await amid(1, 3)
    assert charger.by_others() == []
    assert drawn == pytest.approx([limit * 690.0 for limit in STEPS])


@pytest.mark.postgres
async def test_a_node_that_was_ended_applies_no_step_when_it_wakes(
    nodes: list[Harness], autojump_clock: object
) -> None:
    """The charger is at no node meanwhile; the next one to have it follows the plan."""
    known(nodes[0])
    charger = RoamingCharger(nodes)
    second: Any = nodes[1].store

    def end() -> None:
        ended = one(second, EndNode(1, nodes[0].store.incarnation, virtual_clock(), 200, silence=-1.0))
        assert ended.charge_points == 1

    await followed(charger, end)
    assert charger.by_others() == []
    assert [charger.senders(limit) for limit in (10.0, 8.0)] == [{1}, {1}]


async def test_two_owners_of_a_plan_would_be_found_out(tmp_path: Path, autojump_clock: object) -> None:
    """Two nodes on a store each: the one before is not fenced by the other's epoch, and goes on with the plan."""
    apart = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        harness = Harness(folder)
        known(harness)
        apart.append(harness)
    charger = RoamingCharger(apart)
    await followed(charger)
    assert {(each.node, each.limit) for each in charger.by_others()} >= {(0, 10.0), (0, 8.0)}
    for harness in apart:
        harness.store.close()

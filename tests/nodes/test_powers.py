"""A look at the power of the fleet at one node, whose charge points other nodes have."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.cluster import powers, subjects, wire
from gateway.cluster.desk import CallDesk
from gateway.cluster.powers import ClusterPowers
from gateway.domain.fleet_summary import NO_POWER, Look, PowerSum, Seen
from gateway.session.fleet_power import FleetPower
from gateway.store.nodes import NodeRecord
from tests.nodes.fakes import FakeBus, FakeNodes
from tests.session.test_charging_states import power, status
from tests.support.harness import Harness, virtual_clock

NOW = datetime(2026, 11, 27, tzinfo=UTC)
KW = Seen(1, PowerSum(1000.0, 1))


class OwnPower:
    """A node's own sessions; counts the looks at them."""

    def __init__(self, seen: Mapping[str, Seen]) -> None:
        self.seen = seen
        self.looks = 0

    async def look(self) -> Look:
        await trio.lowlevel.checkpoint()
        self.looks += 1
        return Look(self.seen)


class ThreeNodes:
    """Node 1 is asked; the others have a charge point or more each, as the store says."""

    def __init__(self, path: Path) -> None:
        self.harness = Harness(path)
        self.bus, self.nodes = FakeBus(), FakeNodes(1)
        self.own = OwnPower({"A": KW})
        self.powers = self.node(self.own)
        for number in (1, 2, 3):
            self.nodes.others.append(NodeRecord(number, 7, 1.0, "there", "1", False, 5, False, NOW, NOW))

    def node(self, own: Any) -> ClusterPowers:
        return ClusterPowers(own, self.nodes, self.harness.reads, self.bus)

    def subject(self, number: int) -> str:
        return subjects.node(self.harness.store.store_id, number, 7)

    def serve(self, number: int, own: Any) -> None:
        self.bus.serve(self.subject(number), CallDesk(self.harness.router, self.node(own).answer).answer)


@pytest.fixture
async def three(tmp_path: Path, autojump_clock: MockClock) -> ThreeNodes:
    return ThreeNodes(tmp_path)


async def test_a_look_finds_the_sessions_of_all_nodes(three: ThreeNodes, autojump_clock: MockClock) -> None:
    """Of a charge point that two nodes say to have, the newest session counts; a node without any is not asked."""
    harness = three.harness
    harness.asks_nothing()
    harness.add_charge_point()
    three.nodes.others.append(NodeRecord(4, 1, 1.0, "there", "1", False, 0, False, NOW, NOW))
    three.serve(2, FleetPower(harness.router, virtual_clock))
    three.serve(3, OwnPower({"A": Seen(2, NO_POWER), "CP1": Seen(0, PowerSum(1.0, 1))}))
    async with harness.connected() as charger:
        await status(charger, "Charging")
        await power(charger, 7000)
        found = await three.powers.look()
    assert found == Look({"A": Seen(2, NO_POWER), "CP1": Seen(1, PowerSum(7000.0, 1))})
    assert sorted(three.bus.requests) == [three.subject(2), three.subject(3)]


async def test_nodes_that_do_not_answer_are_named(three: ThreeNodes, autojump_clock: MockClock) -> None:
    """One that hangs is waited for no longer than a person waits, one that does not know looks or is not there not at
    all; without the bus all of them are named."""

    async def older(_: bytes) -> bytes:
        return wire.encode_unreadable("KeyError")

    three.bus.serve(three.subject(3), older)
    assert await three.powers.look() == Look({"A": KW}, (2, 3))
    three.serve(3, OwnPower({"C": KW}))
    assert await three.powers.look() == Look({"A": KW, "C": KW}, (2,))
    three.serve(2, OwnPower({"B": KW}))
    three.bus.lost = True
    began = trio.current_time()
    assert await three.powers.look() == Look({"A": KW}, (2, 3))
    assert trio.current_time() - began == powers.ANSWER_SECONDS
    three.bus.lost, three.bus.down = False, True
    assert await three.powers.look() == Look({"A": KW}, (2, 3))


async def test_while_the_store_is_away_the_nodes_of_the_last_look_are_asked(
    three: ThreeNodes, autojump_clock: MockClock
) -> None:
    """Before the first one none are known."""
    three.serve(2, OwnPower({"B": KW}))
    three.serve(3, OwnPower({"C": KW}))
    three.nodes.failing = True
    assert await three.powers.look() == Look({"A": KW})
    three.nodes.failing = False
    everything = Look({"A": KW, "B": KW, "C": KW})
    assert await three.powers.look() == everything
    three.nodes.failing = True
    assert await three.powers.look() == everything


async def test_many_sessions_come_in_several_replies(three: ThreeNodes, autojump_clock: MockClock) -> None:
    """Each fits into a message of NATS with room, and all come of one look; the next second has its own."""
    count = 2 * powers.PAGE + 1
    many = {f"CP{number:032}": Seen(2**40, PowerSum(11000.123456, 2, 11000.123456, 2, 2)) for number in range(count)}
    own = OwnPower(many)
    three.serve(2, own)
    three.serve(3, OwnPower({}))
    assert await three.powers.look() == Look({"A": KW, **many})
    assert (three.bus.requests.count(three.subject(2)), own.looks) == (3, 1)
    reply = await three.bus.handlers[three.subject(2)](wire.encode_request(wire.Look()))
    assert len(reply) < 1024 * 1024 * 3 / 4
    await trio.sleep(powers.SHARED_SECONDS)
    await three.powers.look()
    assert own.looks == 2


async def test_a_look_that_fails_costs_its_node_alone(three: ThreeNodes, autojump_clock: MockClock) -> None:
    """The node that asked hears so, and names it."""

    class Broken:
        async def look(self) -> Look:
            raise RuntimeError("a bug")

    three.serve(2, Broken())
    three.serve(3, OwnPower({"C": KW}))
    assert await three.powers.look() == Look({"A": KW, "C": KW}, (2,))

"""A gateway as one node of several, and alone: what it says of itself and of the others."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from gateway.app.drain import Draining
from gateway.app.nodes import NodeOfMany, new_bus, server_facts
from gateway.app.serve import VERSIONS
from gateway.app.settings import Settings
from gateway.app.settings.cluster import ClusterSettings
from gateway.control.nodes import ALONE, NodeState, state_of
from gateway.domain.drain import DrainStage, DrainTerms
from gateway.feed import Feed
from gateway.journal import Journal
from gateway.session.router import Router
from gateway.store.nodes import NodeRecord, OwnerRecord, own_name
from gateway.store.reads import Reads
from tests.nodes.fakes import FakeBus, FakeNodes
from tests.support.new_store import new_store

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def clock() -> datetime:
    return NOW


class Parts:
    """A store that is not shared, with what reads it and what knows its sessions."""

    def __init__(self, folder: Path) -> None:
        self.store = new_store(folder)
        self.journal = Journal(self.store)
        self.reads = Reads(self.store, Inline())
        self.router = Router(self.reads, clock, VERSIONS)
        self.draining = Draining(self.router, DrainTerms(10.0, 0.0, 5.0))
        self.nodes = FakeNodes(2)

    def of_many(self) -> NodeOfMany:
        feed, store, bus, metrics = Feed(self.store, self.journal.read), self.nodes, FakeBus(), Uncounted()
        given: Any = (store, bus, self.router, self.reads, self.journal, feed, clock, metrics)
        return NodeOfMany(*given)

    def facts(self, node: NodeOfMany | None = None) -> Any:
        return server_facts(self.reads, ("ocpp1.6",), node, self.router, self.draining, clock)


class Inline:
    """Reads at once, in the test's own thread."""

    async def read(self, fn: Any, *args: Any) -> Any:
        return fn(*args)


class Uncounted:
    """Metrics that are not looked at."""

    def count(self, what: str, label: str = "") -> None:
        """Nothing."""


async def test_a_gateway_alone_says_so(tmp_path: Path) -> None:
    """Its name, its sessions, and whether it is to end."""
    parts = Parts(tmp_path)
    facts = parts.facts()
    found = await facts.nodes.all()
    assert (found.own, found.own_name, found.serving) == (ALONE, own_name(), 1)
    assert (found.nodes[0].version, found.nodes[0].charge_points) == (facts.described.version, 0)
    parts.draining.stage = DrainStage.SESSIONS
    assert state_of((await facts.nodes.all()).nodes[0]) is NodeState.DRAINING
    parts.store.close()


async def test_one_of_several_shows_all_of_them_and_knows_better_whether_it_drains(tmp_path: Path) -> None:
    """Its own row follows with its next commit."""
    parts = Parts(tmp_path)
    node = parts.of_many()
    seen = NOW - timedelta(seconds=1)
    parts.nodes.others = [
        NodeRecord(1, 4, 1.0, "gw1, process 8", "1", True, 5, False, seen, NOW),
        NodeRecord(2, 1, 1.0, "gw2, process 9", "1", False, 6, True, seen, NOW),
    ]
    facts = parts.facts(node)
    found = await facts.nodes.all()
    assert [state_of(each) for each in found.nodes] == [NodeState.DRAINING, NodeState.LIVE]
    node.node.membership.draining = True
    found = await facts.known_nodes()
    assert [state_of(each) for each in found.nodes] == [NodeState.DRAINING, NodeState.DRAINING]
    assert (found.own, found.own_name, found.chores) == (2, "gw2, process 9", 2)
    parts.nodes.owners["CP1"] = OwnerRecord(1, 4, 7)
    assert [await facts.nodes.node_of(each) for each in ("CP1", "CP2")] == [1, ALONE]
    parts.nodes.failing = True
    assert await facts.known_nodes() == found
    parts.store.close()


def test_a_start_says_that_commands_go_unencrypted(capsys: pytest.CaptureFixture[str]) -> None:
    """Which servers; one on this machine is not among them."""
    servers = ("nats://nats1:4222", "nats://127.0.0.1:4222", "tls://nats2:4222")
    new_bus(evolve(Settings(listeners=()), cluster=ClusterSettings(node=1, nats=servers)))
    said = capsys.readouterr().out
    assert "unencrypted" in said
    assert "nats1" in said
    assert "127.0.0.1" not in said
    new_bus(evolve(Settings(listeners=()), cluster=ClusterSettings(node=1, nats=servers[1:])))
    assert "unencrypted" not in capsys.readouterr().out

"""A rolling upgrade: one node after the other is drained and comes again as a later version."""

from functools import partial

import pytest
import trio

from gateway.store.postgres.connection import Connection
from tests.cluster import checks
from tests.cluster.conftest import MakeSite
from tests.cluster.faulty import LATER_VERSION
from tests.cluster.links import Network
from tests.cluster.load import (
    Balancer,
    Contender,
    Count,
    RoamingCharger,
    acknowledged,
    calls,
    confirmed,
    counted,
    missed,
)
from tests.cluster.site import faulty
from tests.endtoend.asking import in_thread
from tests.endtoend.test_crash import check_accounts
from tests.endtoend.watching import Watcher

pytestmark = pytest.mark.postgres

CHARGERS = 6


async def test_nothing_is_lost_or_said_falsely_while_nodes_are_upgraded_one_by_one(
    make_site: MakeSite, network: Network
) -> None:
    """The later version knows one more migration, and gives its version to the others; nodes of both serve the same
    database and call each other meanwhile. Each node's chargers are handed over by its drain, to the others."""
    site = make_site(3, network=network)
    site.start()
    first, _, third = site.nodes
    balancer = Balancer(site.nodes, door=site.balancer())
    identities = [f"CP{n}" for n in range(CHARGERS)]
    roaming = [
        RoamingCharger(first, identity, await in_thread(first.add_with_new_key, identity), balancer=balancer)
        for identity in identities
    ]
    meter = Contender(balancer, "METER", await in_thread(first.add_with_new_key, "METER"))
    progress: Count = partial(confirmed, roaming)
    samples: Count = partial(acknowledged, [meter])
    enough, versions = trio.Event(), list[set[str]]()
    with Watcher(first, resumes=True) as one, Watcher(third, resumes=True) as other, trio.fail_after(150):
        async with trio.open_nursery() as nursery:
            for run in (*(each.run for each in roaming), meter.run):
                nursery.start_soon(run, enough)
            for _ in range(2):
                nursery.start_soon(calls, balancer, identities, enough)
            versions.append(await in_thread(_versions, site.url))
            for node in site.nodes:
                await counted(progress, 60)
                assert await in_thread(node.stop) == 0
                await counted(progress, 30)  # at the others
                await in_thread(node.start, faulty("another-version"))
                versions.append(await in_thread(_versions, site.url))
            await counted(progress, 60)
            await counted(samples, 30)
            enough.set()
        history = await in_thread(first.history)
        faults = checks.owners(history) + balancer.outcomes.faults() + await missed((one, other), history, 30.0)
    faults += checks.kept_once(history, meter.acknowledged)
    assert faults == []
    for each in roaming:
        check_accounts(first, each)
    [before] = versions[0]
    assert versions == [{before}, {before, LATER_VERSION}, {before, LATER_VERSION}, {LATER_VERSION}]
    ends = {event.charge_point_disconnected.reason for event in history if event.type == checks.DISCONNECTED}
    assert "draining" in ends
    assert "node-lost" not in ends
    assert "done" in balancer.outcomes.answered.values()


def _versions(url: str) -> set[str]:
    """The versions that nodes give for themselves."""
    cx = Connection(url)
    try:
        return {str(version) for (version,) in cx.rows("SELECT version FROM node")}
    finally:
        cx.close()

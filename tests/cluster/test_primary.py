"""Death of the primary under load, with promotion of a standby; and one checker over all that was said.

The same checks find the fault in the controls: asynchronous replication, a token at the horizon, a serial cursor.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import grpc
import pytest
import trio

from gateway.store.postgres.connection import Connection
from tests.cluster import checks
from tests.cluster.conftest import MakeSite
from tests.cluster.links import Network
from tests.cluster.load import Balancer, Contender, Count, RoamingCharger, acknowledged, counted, missed
from tests.cluster.servers import Replicated
from tests.cluster.site import Site
from tests.endtoend.asking import in_thread
from tests.endtoend.gateway_process import Gateway
from tests.endtoend.test_crash import check_accounts
from tests.endtoend.watching import Watcher

pytestmark = pytest.mark.postgres

CHARGERS = 6
METERS = 3
"""Chargers that send one sample after the other, each of them unlike any other."""

PATIENCE = 20.0
"""``store.patience_seconds``: for which a failover may last."""

CHARGERS_PATIENCE = 30.0
"""For which chargers wait for an answer."""

LOOK_SECONDS = 1.5
"""For which watchers look at the head without a bell, several times."""

DEAD_SECONDS = 2.0
"""From the death of the primary to the promotion, as its manager takes to be sure of it."""


LIVES = 4
"""In which a fault has to be found."""

TRIES, UNKNOWN_IDS = 30, 200
"""Times that the stream is stalled, until readers have passed so many ids that no standby knows of: more than there are
commits in what comes later."""


READERS = 8
"""Reads at once."""


class Burning:
    """Transaction ids that no event has: transactions that are rolled back, one after the other."""

    def __init__(self, databases: Replicated) -> None:
        self._url = databases.primary.url("postgres")
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Burning":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        cx = Connection(self._url)
        some = "FOR n IN 1..100 LOOP PERFORM pg_current_xact_id(); ROLLBACK; END LOOP"
        while not self._enough.wait(0.002):
            cx.run(f"DO $$ BEGIN {some}; END $$")
        cx.close()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("", ""),
        ("asynchronous-replication", "is there 0 times"),
        ("token-at-the-horizon", "a watcher missed"),
        ("serial-cursor", "a watcher missed"),
    ],
)
async def test_nothing_is_lost_and_no_session_closes_when_the_primary_dies(
    make_site: MakeSite, replicated: Replicated, network: Network, fault: str, words: str
) -> None:
    """Three nodes serve chargers behind a balancer. The primary's stream to its standbys stalls, with ids that are
    rolled back, before it dies; the standby that has most takes over. A fault shows in one life or another: it takes a
    watcher that looks at the right moment."""
    for number in range(LIVES if fault else 1):
        if number:
            await in_thread(replicated.repair)
        site = make_site(3, replicated, network)
        faults = await _life(site, replicated, fault)
        if not fault:
            assert faults == []
            return
        if any(words in each for each in faults):
            return
        for node in site.nodes:
            await in_thread(node.kill)
    raise AssertionError(f"the checks did not find {fault} in {LIVES} lives")


async def _life(site: Site, replicated: Replicated, fault: str) -> list[str]:
    """Serve until the primary has died and all goes on; what the checks find. Without a fault all else is asserted."""
    late = "" if fault == "token-at-the-horizon" else "slow-commits"
    site.start([fault, ",".join(filter(None, (late, fault))), fault])
    first, _, third = site.nodes
    balancer = Balancer(site.nodes, door=site.balancer(), answer_seconds=CHARGERS_PATIENCE)
    roaming, meters = list[RoamingCharger](), list[Contender]()
    for n in range(CHARGERS):
        key = await in_thread(first.add_with_new_key, f"CP{n}")
        roaming.append(RoamingCharger(first, f"CP{n}", key, balancer=balancer))
    for n in range(METERS):
        meters.append(Contender(balancer, f"METER{n}", await in_thread(first.add_with_new_key, f"METER{n}")))
    confirmed: Count = partial(acknowledged, meters)
    enough = trio.Event()
    with Watcher(first, resumes=True) as one, Watcher(third, resumes=True) as other, trio.fail_after(150):
        async with trio.open_nursery() as nursery:
            for run in (*(each.run for each in roaming), *(each.run for each in meters)):
                nursery.start_soon(run, enough)
            await counted(confirmed, 100)
            if fault == "serial-cursor":
                await counted(confirmed, 200)
            else:
                await _die(site, replicated, balancer, confirmed, fault)
                await counted(confirmed, 60)
            enough.set()
        if fault == "token-at-the-horizon":  # it would not even give the history from its beginning
            await in_thread(first.kill)
            await in_thread(first.start)
        history = await in_thread(first.history)
        faults = checks.owners(history) + await missed((one, other), history, 3.0 if fault else 30.0)
        refused = one.ends + other.ends
    if grpc.StatusCode.OUT_OF_RANGE in refused:  # which the gateway says where it finds a token beyond its events
        faults.append("a watcher missed its place: no event was where its token says that it has seen all")
    faults += checks.kept_once(history, [value for each in meters for value in each.acknowledged])
    if fault:
        return faults
    for each in roaming:
        check_accounts(first, each)
    assert [each.connections for each in roaming] == [1] * CHARGERS, "a session has closed"
    longest = max(each.longest for each in roaming)
    assert DEAD_SECONDS < longest < PATIENCE
    ends = [event for event in history if event.type == checks.DISCONNECTED and event.charge_point.startswith("METER")]
    assert len(ends) <= METERS, "each has ended when it had enough"
    print(f"the longest wait of a charger: {longest:.1f} s;", len(history), "events")
    return faults


def _read(node: Gateway) -> None:
    """Have a node open all its connections for reading: while no standby confirms, it opens none."""
    with ThreadPoolExecutor(READERS) as threads:
        for _ in threads.map(node.charge_point, ["CP0"] * READERS * 8):
            pass


async def _die(site: Site, replicated: Replicated, balancer: Balancer, confirmed: Count, fault: str) -> None:
    """Stall the stream, let watchers look, and kill the primary in the midst of commits; have a standby take over."""
    balancer.flows = trio.Event()
    for node in site.nodes:
        await in_thread(_read, node)
    with Burning(replicated):
        for _ in range(TRIES):
            await trio.sleep(0.2)
            await in_thread(replicated.part)
            await trio.sleep(0.1)
            if fault != "token-at-the-horizon" or await in_thread(replicated.ids_unknown) > UNKNOWN_IDS:
                break
            await in_thread(replicated.join)  # a commit that began before waits, and holds up the horizon
        await trio.sleep(LOOK_SECONDS)
    balancer.flows.set()
    if fault == "asynchronous-replication":
        await counted(confirmed, 30)
    else:
        await trio.sleep(0.3)
    await in_thread(replicated.kill)
    await trio.sleep(DEAD_SECONDS)
    await in_thread(replicated.promote)
    if fault == "asynchronous-replication":
        for node in site.nodes:  # which write nothing where acknowledged commits are missing
            await in_thread(node.kill)
        await in_thread(site.start)

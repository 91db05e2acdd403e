"""Nodes killed, stopped, woken and drained, and the bus killed, under load; and one checker over all that was said.

The same checks find the fault in the controls: no lane lock, no tombstones.
"""

import random
import signal
from typing import Any

import pytest
import trio

from tests.cluster import checks
from tests.cluster.conftest import MakeSite
from tests.cluster.load import Balancer, Contender, RoamingCharger, call, calls
from tests.cluster.site import Site, faulty
from tests.endtoend.asking import in_thread
from tests.endtoend.charger import Charger, chargers, connect, now
from tests.endtoend.gateway_process import Gateway, eventually
from tests.endtoend.test_crash import check_accounts
from tests.endtoend.watching import Watcher

pytestmark = pytest.mark.postgres

CHARGERS = 9

SILENT_SECONDS = 20.0
"""For which a node is stopped so that the others end it: ten until it is silent, and some until another one has the
chores, if it had them."""


async def killed(node: Gateway) -> None:
    await in_thread(node.kill)
    await trio.sleep(random.uniform(0.2, 1.0))
    await in_thread(node.start)


async def test_nothing_is_lost_or_said_falsely_while_nodes_and_the_bus_fail(site: Site) -> None:
    """Each acknowledged message is there once, each epoch has one owner, watchers miss nothing, and no caller hears
    that nothing was sent of what was."""
    first, second, third = site.nodes
    balancer = Balancer(site.nodes)
    identities = [f"CP{n:02}" for n in range(CHARGERS)]
    roaming = [
        RoamingCharger(first, identity, await in_thread(first.add_with_new_key, identity), balancer=balancer)
        for identity in identities
    ]
    twins_key = await in_thread(first.add_with_new_key, "TWINS")
    twins = [Contender(balancer, "TWINS", twins_key) for _ in range(2)]
    loyal_key = await in_thread(first.add_with_new_key, "LOYAL")
    enough = trio.Event()
    with Watcher(first, resumes=True) as one, Watcher(third, resumes=True) as other, trio.fail_after(180):
        async with trio.open_nursery() as nursery:
            for run in (*(each.run for each in roaming), *(each.run for each in twins)):
                nursery.start_soon(run, enough)
            for _ in range(3):
                nursery.start_soon(calls, balancer, identities, enough)
            await trio.sleep(2)
            await killed(second)
            await trio.sleep(1)
            second.signal(signal.SIGSTOP)  # for a moment: no other ends it
            await trio.sleep(1)
            second.signal(signal.SIGCONT)
            site.nats.kill()
            await trio.sleep(2)
            await in_thread(site.nats.start)
            loyal = await connect(nursery, second, "LOYAL", key=loyal_key)  # it waits for this node, whatever comes
            await loyal.boot()
            second.signal(signal.SIGSTOP)  # so long that the others end it, and it finds its world changed
            await trio.sleep(SILENT_SECONDS)
            second.signal(signal.SIGCONT)
            await loyal.sees_the_end()
            await trio.sleep(2)
            assert await in_thread(third.stop) == 0
            await in_thread(third.start)
            await killed(first)
            for _ in range(60):  # a slow machine takes longer for as many calls
                await trio.sleep(2)
                if list(balancer.outcomes.answered.values()).count("done") > 20:
                    break
            enough.set()
        await in_thread(eventually, "all nodes serve", lambda: all(n._serves() for n in site.nodes), bool, 60)
        history = await in_thread(first.history)
        last = history[-1].event_id
        for watcher in (one, other):
            watcher.wait_for("the end", lambda seen: any(e.event_id == last for e in seen[-2000:]), 30)
    assert sum(len(each.accounts) for each in roaming) >= CHARGERS
    said = list(balancer.outcomes.answered.values())
    assert said.count("done") > 20
    faults = checks.owners(history) + balancer.outcomes.faults()
    faults += checks.kept_once(history, [value for each in twins for value in each.acknowledged])
    for watcher in (one, other):
        faults += checks.watched(watcher.events, history)
    assert faults == []
    for each in roaming:
        check_accounts(first, each)
    print({answer: said.count(answer) for answer in set(said)}, len(history), "events")
    assert "slot taken anew" in second.tail(100_000), "the node was not stopped for long enough"
    ends = [e.charge_point_disconnected.reason for e in history if e.type == checks.DISCONNECTED]
    assert "node-lost" in ends


@pytest.mark.parametrize("fault", ["", "no-lane-lock"])
async def test_an_old_owner_writes_nothing_after_its_successor(make_site: MakeSite, fault: str) -> None:
    """Two units with one identity take it from each other, both writing all the time."""
    site = make_site(2)
    for node in site.nodes:
        node.start(faulty(fault)) if fault else node.start()
    balancer = Balancer(site.nodes)
    enough, found = trio.Event(), list[str]()
    keys = {identity: site.nodes[0].add_with_new_key(identity) for identity in ("A", "B", "C")}
    contenders = [Contender(balancer, identity, key) for identity, key in keys.items() for _ in range(2)]
    with trio.fail_after(150):
        async with trio.open_nursery() as nursery:
            for each in contenders:
                nursery.start_soon(each.run, enough)
            for _ in range(20):
                await trio.sleep(3)
                history = await in_thread(site.nodes[0].history)
                found = checks.owners(history)
                connects = sum(event.type == checks.CONNECTED for event in history)
                if found or (connects > 20 and not fault):  # a slow machine takes longer for as many
                    break
            enough.set()
    history = await in_thread(site.nodes[0].history)
    found += checks.kept_once(history, [value for each in contenders for value in each.acknowledged])
    if not fault:
        assert connects > 20
    assert bool(found) == bool(fault), found[:5]


@pytest.mark.parametrize("fault", ["", "no-tombstones"])
async def test_a_node_that_wakes_does_not_send_what_it_was_asked_for(make_site: MakeSite, fault: str) -> None:
    """The command was on its way to it when it was stopped."""
    site = make_site(2)
    for node in site.nodes:
        node.start(faulty(fault)) if fault else node.start()
    first, second = site.nodes
    await in_thread(first.add_charge_point, "CP1")
    balancer = Balancer(site.nodes)
    async with chargers(second, "CP1", answers=balancer.answers()):
        assert await call(balancer, first, "CP1", 5.0) == "done"
        second.signal(signal.SIGSTOP)
        assert await call(balancer, first, "CP1", 2.0) == "nothing"
        second.signal(signal.SIGCONT)
        assert await call(balancer, second, "CP1", 10.0) == "done"
        await trio.sleep(1)
    assert bool(balancer.outcomes.faults()) == bool(fault)


async def test_an_exclusive_tag_starts_at_one_of_two_nodes(make_site: MakeSite) -> None:
    """Two chargers ask at the same moment, each at its node, again and again."""
    site = make_site(2)
    site.start()
    first, second = site.nodes
    for identity in ("CP1", "CP2"):
        await in_thread(first.add_charge_point, identity)
    await in_thread(first.add_tag, "TAG")
    async with chargers(first, "CP1") as [one], chargers(second, "CP2") as [other]:
        for _ in range(15):
            answers: list[tuple[Charger, Any]] = []

            async def start(charger: Charger, answers: list[tuple[Charger, Any]] = answers) -> None:
                payload = {"connectorId": 1, "idTag": "TAG", "meterStart": 0, "timestamp": now()}
                answers.append((charger, await charger.call("StartTransaction", payload)))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(start, one)
                nursery.start_soon(start, other)
            assert sorted(answer["idTagInfo"]["status"] for _, answer in answers) == ["Accepted", "ConcurrentTx"]
            for charger, answer in answers:
                stop = {"transactionId": answer["transactionId"], "meterStop": 1, "timestamp": now()}
                await charger.call("StopTransaction", stop)

"""Links cut and servers of NATS killed, one at a time, while the others go on."""

from functools import partial

import grpc
import pytest
import trio

from gateway.api.v1 import charge_point_pb2
from tests.cluster import checks
from tests.cluster.conftest import MakeSite
from tests.cluster.links import Network
from tests.cluster.load import Balancer, Contender, RoamingCharger, call, confirmed, counted, missed
from tests.endtoend.asking import in_thread, reason_of, trigger
from tests.endtoend.charger import chargers, connect
from tests.endtoend.gateway_process import Gateway, eventually
from tests.endtoend.test_crash import check_accounts
from tests.endtoend.watching import Watcher

pytestmark = pytest.mark.postgres

CHARGERS = 6

RESET_SECONDS = 7.0
"""After which the kernel resets a connection that is silent (``tcp_user_timeout``): a link here does not."""

ENDED_SECONDS = 60.0
"""For the others to end a node that can't write: ten until it is silent, and some until another one has the chores."""

DONE = 5
"""Calls that are to be answered, with one of the servers of NATS dead."""


async def test_calls_reach_any_charger_with_one_server_of_nats_dead(make_site: MakeSite, network: Network) -> None:
    """Whichever it is; and a node that reaches none of them says that nothing was sent, while its watchers go on."""
    site = make_site(2, network=network)
    site.start()
    first, second = site.nodes
    balancer = Balancer(site.nodes)
    for identity in ("CP1", "CP2"):
        await in_thread(first.add_charge_point, identity)
    answers = balancer.answers()
    async with chargers(first, "CP1", answers=answers) as [one], chargers(second, "CP2", answers=answers):
        with Watcher(second, resumes=True) as watcher:
            for server in site.nats.servers:
                await in_thread(server.kill)
                for node, identity in ((first, "CP2"), (second, "CP1")):
                    done = 0
                    for _ in range(100):
                        done += await call(balancer, node, identity, 2.0) == "done"
                        if done == DONE:
                            break
                        await trio.sleep(0.1)
                    assert done == DONE
                await in_thread(server.start)
            for link in site.links[1].nats:
                link.cut()
            for node, identity in ((second, "CP1"), (first, "CP2")):
                refused = partial(_reason, node, identity)
                await in_thread(eventually, "the bus is down", refused, "NODE_UNREACHABLE".__eq__)
            assert await call(balancer, second, "CP2", 3.0) == "done"
            await one.status("Preparing")
            history = await in_thread(first.history)
            assert await missed((watcher,), history, 15.0) == []
            for link in site.links[1].nats:
                link.mend()
            await in_thread(eventually, "the bus is back", partial(_reason, second, "CP1"), "".__eq__)
    assert balancer.outcomes.faults() == []


def _reason(node: Gateway, identity: str) -> str:
    """The reason why a call is refused; empty: it is answered."""
    try:
        trigger(node, identity, 3.0)
    except grpc.RpcError as error:
        return reason_of(error)[0]
    return ""


def _offline(point: charge_point_pb2.ChargePoint) -> bool:
    return not point.connection.connected


async def test_a_node_that_is_cut_off_from_the_database_is_ended_by_the_others(
    make_site: MakeSite, network: Network
) -> None:
    """Its chargers are served by them meanwhile, what it had acknowledged is there, and once its link is back it serves
    again."""
    site = make_site(3, network=network)
    site.start()
    first, second, third = site.nodes
    balancer = Balancer(site.nodes, door=site.balancer())
    roaming = [
        RoamingCharger(first, f"CP{n}", await in_thread(first.add_with_new_key, f"CP{n}"), balancer=balancer)
        for n in range(CHARGERS)
    ]
    meter = Contender(balancer, "METER", await in_thread(first.add_with_new_key, "METER"))
    loyal_key = await in_thread(first.add_with_new_key, "LOYAL")
    progress: partial[int] = partial(confirmed, roaming)
    enough = trio.Event()
    with Watcher(first, resumes=True) as one, Watcher(second, resumes=True) as other, trio.fail_after(150):
        async with trio.open_nursery() as nursery:
            loyal = await connect(nursery, second, "LOYAL", key=loyal_key)  # it waits for this node, whatever comes
            await loyal.boot()
            for run in (*(each.run for each in roaming), meter.run):
                nursery.start_soon(run, enough)
            await counted(progress, 60)
            for link in site.links[1].database:
                link.silence()
            await trio.sleep(RESET_SECONDS)
            for link in site.links[1].database:
                link.cut()
            await counted(progress, 60)
            await in_thread(
                eventually, "the node is ended", partial(first.charge_point, "LOYAL"), _offline, ENDED_SECONDS
            )
            await counted(progress, 60)
            for link in site.links[1].database:
                link.mend()
            await loyal.sees_the_end(30.0)
            await in_thread(eventually, "it serves again", second._serves, bool, 60.0)
            loyal = await connect(nursery, second, "LOYAL", key=loyal_key)
            await loyal.boot()
            await loyal.wire.aclose()
            enough.set()
        history = await in_thread(first.history)
        faults = checks.owners(history) + await missed((one, other), history, 30.0)
    faults += checks.kept_once(history, meter.acknowledged)
    assert faults == []
    for each in roaming:
        check_accounts(third, each)
    ends = [e for e in history if e.type == checks.DISCONNECTED and e.charge_point == "LOYAL"]
    assert ends[0].charge_point_disconnected.reason == "node-lost"

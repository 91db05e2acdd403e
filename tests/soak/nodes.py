"""Several gateways for as long as one likes, while all that they rest on fails, one thing after the other.

Nodes are killed, stopped, drained and cut off from the database or from NATS; servers of NATS are killed; the primary
dies, a standby takes over, and another one is made. The first node is neither killed nor drained: its memory is
watched. In the end one checker judges all that was said, as in ``tests/cluster``.
"""

import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import trio
from attrs import define, field

from tests.cluster import checks
from tests.cluster.links import Network
from tests.cluster.load import Balancer, Contender, RoamingCharger, calls, missed
from tests.cluster.servers import Nats, Replicated, require_nats
from tests.cluster.site import SOCKET, Site
from tests.endtoend.asking import in_thread
from tests.endtoend.gateway_process import Gateway, eventually
from tests.endtoend.test_crash import Message, check_accounts
from tests.endtoend.watching import Watcher
from tests.hostile.conftest import MEGABYTE
from tests.support import postgres

CHARGERS, METERS, CALLERS = 9, 3, 2

PACE = 0.3
"""Seconds between two messages of a charger, about: an hour has 200,000 events, which are all held."""

REST_SECONDS = 6.0
"""Between two failures, at most: the service is whole again, and has some load."""

STOPPED_SECONDS, ENDED_SECONDS = (0.3, 4.0), 20.0
"""For which a node is stopped or cut off: for a moment; and now and then so long that the others end it."""

DEAD_SECONDS = 2.0
"""From the death of the primary to the promotion."""

WHOLE_SECONDS = 1_800.0
"""A run of less than that says nothing about a slope of memory: caches are still filling."""

GROWN = 1.05
"""Memory in the end to that after the warm-up, at most."""

SLACK = 48 * MEGABYTE
"""By which the memory of a short run may have grown: the ring of events, and what reading a page takes."""

TRACEBACK_LINES, MAX_SHOWN = 60, 8_000
"""Of one exception in a node's log: what a reader needs to find its cause, once the logs are gone."""

FINISH_SECONDS = 300.0
"""For chargers to finish what they are at, and for the check."""


@define
class PacedRoamer(RoamingCharger):
    """A charger that charges in its own time, at any node."""

    async def _deliver(self, links: trio.Nursery, message: Message) -> Any:
        await trio.sleep(random.uniform(0, 2 * PACE))
        return await super()._deliver(links, message)


@define
class Failures:
    """All that happens to a site, each time one thing, which is whole again when its method returns."""

    site: Site
    replicated: Replicated
    hosts: list[postgres.Server]
    """In the order of each node's links."""
    happened: Counter[str] = field(factory=Counter)

    @property
    def _others(self) -> list[Gateway]:
        return self.site.nodes[1:]

    async def run(self) -> None:
        """One failure after the other, until cancelled; each before any comes again."""
        while True:
            for act in random.sample(self.acts(), len(self.acts())):
                await trio.sleep(random.uniform(0.5, REST_SECONDS))
                with trio.CancelScope(shield=True):
                    await act()
                self.happened[act.__name__] += 1

    def acts(self) -> list[Callable[[], Awaitable[None]]]:
        """All that may happen."""
        return [
            self.kill_a_node,
            self.stop_a_node_for_a_moment,
            self.stop_a_node_until_it_is_ended,
            self.drain_a_node,
            self.cut_a_node_off_from_the_database,
            self.cut_a_node_off_from_the_database_until_it_is_ended,
            self.cut_a_node_off_from_nats,
            self.kill_a_server_of_nats,
            self.kill_nats,
            self.kill_the_primary,
        ]

    async def kill_a_node(self) -> None:
        node = random.choice(self._others)
        await in_thread(node.kill)
        await trio.sleep(random.uniform(0.2, 3.0))
        await in_thread(node.start)

    async def stop_a_node_for_a_moment(self) -> None:
        await self._stop(random.choice(self.site.nodes), random.uniform(*STOPPED_SECONDS))

    async def stop_a_node_until_it_is_ended(self) -> None:
        await self._stop(random.choice(self._others), ENDED_SECONDS)

    async def _stop(self, node: Gateway, seconds: float) -> None:
        node.signal(signal.SIGSTOP)
        await trio.sleep(seconds)
        node.signal(signal.SIGCONT)
        await self._serves(node)

    async def drain_a_node(self) -> None:
        node = random.choice(self._others)
        assert await in_thread(node.stop) == 0
        await in_thread(node.start)

    async def cut_a_node_off_from_the_database(self) -> None:
        await self._cut(random.randrange(len(self.site.nodes)), random.uniform(*STOPPED_SECONDS))

    async def cut_a_node_off_from_the_database_until_it_is_ended(self) -> None:
        await self._cut(random.randrange(1, len(self.site.nodes)), ENDED_SECONDS)

    async def _cut(self, number: int, seconds: float) -> None:
        links = self.site.links[number].database
        for link in links:
            link.silence()
        await trio.sleep(seconds)
        for link in links:
            link.cut()  # the kernel would have reset it by now, or the server
        for link in links:
            link.mend()
        await self._serves(self.site.nodes[number])

    async def cut_a_node_off_from_nats(self) -> None:
        links = random.choice(self.site.links).nats
        for link in links:
            link.cut()
        await trio.sleep(random.uniform(*STOPPED_SECONDS))
        for link in links:
            link.mend()

    async def kill_a_server_of_nats(self) -> None:
        server = random.choice(self.site.nats.servers)
        await in_thread(server.kill)
        await trio.sleep(random.uniform(*STOPPED_SECONDS))
        await in_thread(server.start)

    async def kill_nats(self) -> None:
        await in_thread(self.site.nats.kill)
        await trio.sleep(random.uniform(*STOPPED_SECONDS))
        await in_thread(self.site.nats.start)

    async def kill_the_primary(self) -> None:
        """A standby takes over, and a new one is made in the place of the dead server."""
        dead = self.hosts.index(self.replicated.primary)
        await in_thread(self.replicated.kill)
        await trio.sleep(DEAD_SECONDS)
        await in_thread(self.replicated.promote)
        await in_thread(self.replicated.repair)
        self.hosts[dead] = self.replicated.standbys[-1]
        for links in self.site.links:
            links.database[dead].targets = (self.hosts[dead].folder / SOCKET,)
        for node in self.site.nodes:
            await self._serves(node)

    async def _serves(self, node: Gateway) -> None:
        await in_thread(eventually, "the node serves", node._serves, bool, 60.0)


async def soak(folder: Path, certificates: Path, seconds: float, count: int) -> str:
    """Raises AssertionError where anything is not as it should be; else a report."""
    with ExitStack() as stack:
        replicated, network = stack.enter_context(Replicated()), stack.enter_context(Network())
        nats = Nats(require_nats())
        stack.callback(nats.kill)
        nats.start()
        site = Site(folder, certificates, replicated, nats, count, network=network)
        for node in site.nodes:
            stack.callback(node.reap)
        site.start()
        return await _churned(site, Failures(site, replicated, list(replicated.hosts())), seconds)


async def _churned(site: Site, failures: Failures, seconds: float) -> str:
    first, *_, last = site.nodes
    balancer = Balancer(site.nodes, door=site.balancer())
    roaming, meters, memory = list[PacedRoamer](), list[Contender](), list[int]()
    for n in range(CHARGERS):
        key = await in_thread(first.add_with_new_key, f"CP{n:02}")
        roaming.append(PacedRoamer(first, f"CP{n:02}", key, balancer=balancer))
    for n in range(METERS):
        key = await in_thread(first.add_with_new_key, f"METER{n}")
        meters.append(Contender(balancer, f"METER{n}", key, pause=PACE))
    twins_key = await in_thread(first.add_with_new_key, "TWINS")
    meters += [Contender(balancer, "TWINS", twins_key, pause=PACE) for _ in range(2)]
    identities, enough = [each.identity for each in roaming], trio.Event()

    async def measure() -> None:
        while True:
            memory.append(first.rss())
            await trio.sleep(min(5.0, seconds / 50))

    with Watcher(first, resumes=True) as one, Watcher(last, resumes=True) as other:
        with trio.fail_after(seconds + FINISH_SECONDS):
            async with trio.open_nursery() as nursery:
                for run in (*(each.run for each in roaming), *(each.run for each in meters)):
                    nursery.start_soon(run, enough)
                for _ in range(CALLERS):
                    nursery.start_soon(calls, balancer, identities, enough)
                async with trio.open_nursery() as failing:
                    failing.start_soon(failures.run)
                    failing.start_soon(measure)
                    await trio.sleep(seconds)
                    failing.cancel_scope.cancel()
                enough.set()
            history = await in_thread(first.history)
            faults = checks.owners(history) + balancer.outcomes.faults() + await missed((one, other), history, 60.0)
    faults += checks.kept_once(history, [value for each in meters for value in each.acknowledged])
    faults += [f"{node.folder.name}: {bug}" for node in site.nodes for bug in bugs(node)]
    if seconds >= WHOLE_SECONDS:
        faults += [f"{act.__name__} never happened" for act in failures.acts() if not failures.happened[act.__name__]]
    if faults:
        print(_memory_of(memory))
    assert faults == [], "\n".join(faults[:20])
    for each in roaming:
        await in_thread(check_accounts, first, each)
    said = dict(Counter(balancer.outcomes.answered.values()))
    transactions = sum(len(each.accounts) for each in roaming)
    connections = sum(each.connections for each in roaming)
    longest = max(each.longest for each in roaming)
    return "\n".join(
        [
            f"{seconds:.0f} s, {len(site.nodes)} nodes: {transactions} transactions over {connections} connections, "
            f"{len(history)} events; commands {said}: nothing acknowledged is missing, no outcome is false, "
            "the watchers have all of it in order",
            check_memory(memory, seconds),
            "what happened: " + ", ".join(f"{name} {n}" for name, n in sorted(failures.happened.items())),
            f"the longest wait of a charger for one message, with its reconnects: {longest:.1f} s",
        ]
    )


def early_and_late(samples: list[int]) -> tuple[float, float]:
    """Bytes after the first fifth, and in the end."""
    share = max(len(samples) // 10, 1)
    return median(samples[2 * share : 3 * share]), median(samples[-share:])


def _memory_of(samples: list[int]) -> str:
    early, late = early_and_late(samples)
    return (
        f"memory {early / MEGABYTE:.0f} MiB after the warm-up, {late / MEGABYTE:.0f} in the end ({late / early:.2f} ×)"
    )


def bugs(node: Gateway) -> list[str]:
    """Parts of a node's log that no failure of what it rests on explains: exceptions that nothing expected. A traceback
    that is no line of the log comes with what follows it."""
    lines = node.tail(10**6).splitlines()
    return [
        "\n".join(lines[at : at + TRACEBACK_LINES])[:MAX_SHOWN] if line.startswith("Traceback") else line[:MAX_SHOWN]
        for at, line in enumerate(lines)
        if '"exception"' in line or line.startswith("Traceback")
    ]


def check_memory(samples: list[int], seconds: float) -> str:
    """The memory of a node that lived throughout, in the end and after the first fifth. What was found, in words."""
    early, late = early_and_late(samples)
    found = _memory_of(samples)
    if seconds < WHOLE_SECONDS:
        assert late - early < SLACK, found
        return f"{found}; the run is too short to tell a slope"
    assert late <= GROWN * early, found
    return found

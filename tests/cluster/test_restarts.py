"""Restarts under load, as an operator makes them: one process for another on one file, and node after node.

Both sides keep their accounts: what chargers were acknowledged is there once, and each caller of a command, who says it
again while the answer is none, has an outcome that is true. ``make test-restarts`` does it with 2,000 sessions a node.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from gateway.api.v1 import server_pb2, server_pb2_grpc
from tests.cluster.conftest import MakeSite
from tests.cluster.steady import Fleet
from tests.endtoend.asking import in_thread
from tests.endtoend.gateway_process import RPC_SECONDS, Gateway
from tests.endtoend.test_socket_activation import first_connection

SESSIONS = int(os.environ.get("RESTART_SESSIONS", "60"))
"""For each node."""

SECONDS = 120 + SESSIONS / 5
"""A guard against hanging."""

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(4 * SECONDS)]

CALLERS = 4

RESTARTS = 2

ONE_AFTER_THE_OTHER = """
for turn in $(seq "$TURNS"); do
  sh -c 'echo $$ >"$PID_FILE"; LISTEN_PID=$$ exec "$PYTHON" -m gateway "$@"' sh "$@"
done
"""
"""Keeps the socket that it was given, and begins a gateway anew when it ends, as systemd does."""


class Kept(Gateway):
    """Gateways one after the other on a port that systemd's own tool has opened."""

    def begin_all(self, tool: str, turns: int) -> None:
        """Begin the tool; the first connection begins the first gateway, and each ends by ``end_one``."""
        self.pid_file = self.folder / "pid"
        variables = {"TURNS": str(turns), "PID_FILE": str(self.pid_file), "PYTHON": sys.executable}
        given = [f"--setenv={name}={value}" for name, value in variables.items()]
        listening = (tool, f"--listen=127.0.0.1:{self.port}", "--fdname=chargers", *given)
        self.begin((*listening, "/bin/sh", "-c", ONE_AFTER_THE_OTHER, "sh"))

    @property
    def process(self) -> int:
        """The gateway that serves."""
        return int(self.pid_file.read_text())

    def drain_and_wait(self) -> None:
        """End the gateway as `gateway drain` does, and return when the next one serves."""
        before = self.process
        server_pb2_grpc.ServerServiceStub(self.channel).Drain(server_pb2.DrainRequest(), timeout=RPC_SECONDS)
        until = time.monotonic() + SECONDS
        while self.process == before:
            assert time.monotonic() < until, "the gateway did not end"
            time.sleep(0.05)
        self.wait_until_it_serves()

    def end_one(self) -> None:
        """Kill the gateway that serves, whatever it does."""
        with suppress(OSError, ValueError):
            os.kill(self.process, signal.SIGKILL)


@pytest.fixture
def kept(tmp_path: Path, certificates: Path) -> Iterator[Kept]:
    settings: dict[str, dict[str, Any]] = {
        "authorization": {"unknown_tags": "Accepted"},
        "drain": {"deadline_seconds": 25},
    }
    gateway = Kept(tmp_path, certificates, settings=settings)
    try:
        yield gateway
    finally:
        gateway.reap()
        gateway.end_one()
        print(gateway.tail())


async def test_a_restart_under_load_refuses_no_connect_and_loses_nothing(kept: Kept) -> None:
    """The port outlives the process: chargers that come meanwhile wait in its backlog. (503 is for those in the middle
    of their handshake with the process that ends; they come again.)"""
    tool = shutil.which("systemd-socket-activate")
    if tool is None:
        without: Callable[[str], None] = pytest.fail if os.environ.get("CI") else pytest.skip
        without("systemd-socket-activate is not installed: a port that outlives the process is not tried")
    assert tool is not None
    kept.begin_all(tool, turns=RESTARTS + 1)
    with await in_thread(first_connection, kept.port):
        await in_thread(kept.wait_until_it_serves)
    fleet = Fleet([kept])
    await fleet.make(SESSIONS)

    async def restarts() -> None:
        for _ in range(RESTARTS):
            await in_thread(kept.drain_and_wait)
            await fleet.until_connected(SECONDS)
            await fleet.more_samples(SESSIONS // 2)

    await under_load(fleet, restarts)
    assert fleet.refused == 0
    assert min(charger.connections for charger in fleet.chargers) > RESTARTS
    kept.end_one()


async def test_a_rolling_restart_of_three_nodes_loses_nothing(make_site: MakeSite) -> None:
    """Chargers of the node that is restarted go to the others, which take them over at once."""
    site = make_site(3, drain={"deadline_seconds": 25})
    await in_thread(site.start)
    fleet = Fleet(site.nodes)
    await fleet.make(3 * SESSIONS)

    async def restarts() -> None:
        for node in site.nodes:
            fleet.serving.remove(node)
            assert await in_thread(stopped, node) == 0
            await fleet.until_connected(SECONDS)
            await in_thread(node.start)
            fleet.serving.append(node)
            await fleet.more_samples(SESSIONS // 2)

    await under_load(fleet, restarts)
    for node in site.nodes:
        assert node.errors() == []


def stopped(node: Gateway) -> int:
    """SIGTERM; the exit code."""
    node.signal(signal.SIGTERM)
    return node.wait(60)


async def under_load(fleet: Fleet, restarts: Callable[[], Awaitable[None]]) -> None:
    """Have restarts happen while all chargers charge and commands are sent, and assert that the accounts are right."""
    enough = trio.Event()
    began = trio.current_time()
    with trio.fail_after(3 * SECONDS):
        async with trio.open_nursery() as chargers:
            for charger in fleet.chargers:
                chargers.start_soon(charger.run, enough)
            await fleet.until_connected(SECONDS)
            await fleet.more_samples(SESSIONS // 2)
            done = trio.Event()
            async with trio.open_nursery() as callers:
                for _ in range(CALLERS):
                    callers.start_soon(fleet.call, done)
                await restarts()
                done.set()
            enough.set()
    history = await in_thread(fleet.nodes[0].history)
    answers = list(fleet.outcomes.answered.values())
    counts = {answer: answers.count(answer) for answer in sorted(set(answers))}
    print(
        f"{len(fleet.chargers)} sessions, {fleet.acknowledged} samples acknowledged, {len(history)} events,",
        f"commands {counts}, {fleet.repeated} times repeated, {fleet.refused} connects refused,",
        f"{fleet.turned_away} answered 503, {trio.current_time() - began:.0f} s",
    )
    assert fleet.faults(history) == []
    assert answers.count("done") > 20

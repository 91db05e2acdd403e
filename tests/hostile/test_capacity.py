"""A gateway that is full, or short of descriptors: cheap refusals, and no served charger is the worse for it."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.endtoend.gateway_process import Gateway, MakeGateway, eventually
from tests.endtoend.wire import Closed, LinkLost, Refused, Wire, upgrade
from tests.hostile.conftest import metric
from tests.hostile.link import Link

MOST = 4

KNOCKS = 80
"""Connections whose processor time is compared: enough that its resolution, 10 ms, does not count."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Gateway]:
    """A gateway with places for four, and eight chargers that know it."""
    settings = {"sessions": {"max_sessions": MOST, "close_seconds": 0.5}}
    gateway = Gateway(tmp_path_factory.mktemp("full"), certificates, settings=settings)
    gateway.start()
    try:
        for n in range(8):
            gateway.add_charge_point(f"CP{n}")
        yield gateway
        gateway.finish()
    finally:
        gateway.reap()


@pytest.fixture
def full(gateway: Gateway) -> Gateway:
    """The same gateway, with no charger connected."""
    eventually("empty", lambda: metric(gateway, "gateway_connections"), lambda connections: connections == 0)
    return gateway


async def refusal(gateway: Gateway, identity: str) -> bytes:
    """The head of what a newcomer gets."""
    link = await Link.secure(gateway)
    await link.send(upgrade(identity))
    head = await link.head()
    await link.cut()
    return head


async def test_above_the_mark_newcomers_are_refused_and_those_with_a_place_come_and_go(full: Gateway) -> None:
    """503 with Retry-After for all others, known or not; a half-open link is replaced by its charger (A6.7); a place
    that is given back is given to the next."""
    links = [await Link.open(full, f"CP{n}") for n in range(MOST)]
    assert metric(full, "gateway_capacity") == MOST
    assert metric(full, "gateway_connections") == MOST
    for identity in ("CP5", "CP6", "nobody"):
        head = await refusal(full, identity)
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: " in head
    for _ in range(3):  # the old socket stays open, as it does where the link broke without a word
        again = await Link.open(full, "CP0")
        await again.lives()
        links.append(again)
    for link in links[1:MOST]:
        await link.lives()
    assert (await refusal(full, "CP5")).startswith(b"HTTP/1.1 503 ")
    assert (await refusal(full, "CP1x")).startswith(b"HTTP/1.1 503 ")
    await links[1].cut()
    with trio.fail_after(60):
        while True:
            try:
                newcomer = await Wire.open(full, "CP5")
                break
            except Refused:
                await trio.sleep(0.1)
    await newcomer.aclose()
    for link in links:
        await link.cut()


async def test_however_many_come_at_once_no_more_are_served_than_there_are_places(full: Gateway) -> None:
    """The others are refused, or closed with 1013 where they were admitted at the same moment."""
    served, ends = [], []

    async def come(identity: str) -> None:
        try:
            wire = await Wire.open(full, identity)
        except (Refused, LinkLost) as end:
            ends.append(getattr(end, "status", None))
            return
        await wire.send('[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]')
        try:
            await wire.receive()
            served.append(wire)
        except Closed as closed:
            ends.append(closed.args[0])
            await wire.cut()

    async with trio.open_nursery() as nursery:
        for n in range(8):
            nursery.start_soon(come, f"CP{n}")
    assert len(served) == MOST
    assert set(ends) <= {503, 1013}
    for wire in served:
        await wire.aclose()


async def test_refusals_of_a_full_gateway_are_cheap(full: Gateway) -> None:
    """A refused charger costs its TLS handshake, and no more than one that is let in; those served are answered
    meanwhile."""
    before = cpu_seconds(full.pid)
    for n in range(KNOCKS):
        link = await Link.open(full, f"CP{n % MOST}")
        await link.cut()
    let_in = cpu_seconds(full.pid) - before
    links = [await Link.open(full, f"CP{n}") for n in range(MOST)]
    before = cpu_seconds(full.pid)

    async def knock() -> None:
        for _ in range(KNOCKS // 4):
            assert (await refusal(full, "CP7")).startswith(b"HTTP/1.1 503 ")

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(knock)
        for link in links:
            await link.lives()
    refused = cpu_seconds(full.pid) - before
    print(f"{KNOCKS} let in: {let_in:.2f} s of CPU, as many refused: {refused:.2f} s")
    assert refused < 1.5 * let_in
    for link in links:
        await link.cut()


def cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_the_soft_limit_is_raised_and_the_capacity_reported(make_gateway: MakeGateway) -> None:
    """As a distribution starts it: 1024 open files until the process asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    gateway = make_gateway()
    resource.setrlimit(resource.RLIMIT_NOFILE, (600, hard))
    try:
        gateway.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    lines = [json.loads(line) for line in gateway.log.read_text().splitlines()]
    [logged] = [line for line in lines if line["event"] == "capacity"]
    assert logged["descriptors"] > 600
    assert logged["sessions"] == metric(gateway, "gateway_capacity") > 0
    with open(f"/proc/{gateway.pid}/limits") as limits:
        [line] = [line for line in limits if line.startswith("Max open files")]
    assert line.split()[3] == line.split()[4] == str(logged["descriptors"])


def test_too_few_descriptors_are_reported_at_the_start(make_gateway: MakeGateway) -> None:
    """Not found out when the first chargers can't be accepted."""
    gateway = make_gateway()
    gateway.log.touch()
    command = ["prlimit", "--nofile=300:300", sys.executable, "-m", "gateway", "serve", "--config", str(gateway.config)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError:
        pytest.skip("needs the prlimit command")
    assert ended.returncode != 0
    assert "limit of open files is 300" in ended.stderr
    assert "Traceback" not in ended.stderr

"""Crowds from one address: silent, stalling, guessing, together with chargers that come from the same address."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.endtoend.gateway_process import Gateway
from tests.endtoend.wire import upgrade
from tests.hostile.conftest import metric
from tests.hostile.link import OPENED, Link
from tests.hostile.test_handshakes import client_hello

CHARGERS = 2000
STALLS = 100
"""Of each kind that a stranger holds open all the time: together more than there are places."""

PATIENCE = 100.0


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Gateway]:
    """With its limits as they are delivered."""
    gateway = Gateway(tmp_path_factory.mktemp("crowds"), certificates)
    gateway.start()
    try:
        yield gateway
        gateway.finish()
    finally:
        gateway.reap()


@asynccontextmanager
async def crowded() -> AsyncIterator[None]:
    """Bounded in time; whatever is left open is closed in its own loop, also where the test fails."""
    try:
        with trio.fail_after(PATIENCE):
            yield
    finally:
        while OPENED:
            OPENED.pop().socket.close()


@pytest.fixture
def _many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def stall(gateway: Gateway, first: bytes) -> None:
    """Connect, send what the first bytes are, and wait to be put out; again and again."""
    while True:
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", gateway.port)
        except OSError:
            await trio.sleep(0.05)
            continue
        try:
            if first:
                await stream.send_all(first)
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(stream)


@pytest.mark.usefixtures("_many_files")
async def test_two_thousand_chargers_come_back_from_one_address_while_a_stranger_there_stalls(gateway: Gateway) -> None:
    """As behind a carrier's NAT after a power cut: every one is admitted."""
    keys = {f"CP{n}": gateway.add_with_new_key(f"CP{n}") for n in range(CHARGERS)}
    answers: Counter[bytes] = Counter()
    hello = client_hello()

    async def come(identity: str, key: bytes) -> None:
        """Until it is admitted: where the machine is so busy that this process is silent for seconds, not at once."""
        answer = b""
        while answer != b"101":
            try:
                link = await Link.secure(gateway)
                await link.send(upgrade(identity, key))
                answer = (await link.head()).split(b" ", 2)[1]
            except (trio.BrokenResourceError, IndexError):
                answer = b"put out"
            answers[answer] += 1

    async with crowded(), trio.open_nursery() as stranger:
        for first in (b"", hello[:1], hello):
            for _ in range(STALLS):
                stranger.start_soon(stall, gateway, first)
        await trio.sleep(1)
        async with trio.open_nursery() as chargers:
            for identity, key in keys.items():
                chargers.start_soon(come, identity, key)
        assert metric(gateway, "gateway_waiting") > 0
        stranger.cancel_scope.cancel()
    assert answers[b"101"] == CHARGERS
    assert set(answers) <= {b"101", b"503", b"put out"}


@pytest.mark.usefixtures("_many_files")
async def test_silent_connects_by_the_thousand_hold_no_place(gateway: Gateway) -> None:
    """1,200 of them: a charger from the same address is admitted, and none of them had a place meanwhile."""
    key = gateway.add_with_new_key("after-the-silent")
    async with crowded():
        OPENED.update([await trio.open_tcp_stream("127.0.0.1", gateway.port) for _ in range(1200)])
        while metric(gateway, "gateway_waiting") < 1200:  # noqa: ASYNC110 - in another process
            await trio.sleep(0.05)
        assert metric(gateway, "gateway_handshakes") == 0
        link = await Link.secure(gateway)
        await link.send(upgrade("after-the-silent", key))
        assert (await link.head()).startswith(b"HTTP/1.1 101 ")
        assert metric(gateway, "gateway_waiting") >= 1200  # it passed all of them
    link.close()


async def test_guesses_at_one_imported_key_keep_no_charger_from_a_first_connect(gateway: Gateway) -> None:
    """190 sockets that guess: others with such keys from the same address are admitted meanwhile, and so is the
    attacked charger from its own; the guesses are answered with 401, or asked to come again."""
    for identity in ("attacked", "other-1", "other-2", "other-3"):
        gateway.add_charge_point(identity)
    answers: Counter[bytes] = Counter()

    async def guess(n: int) -> None:
        while True:
            try:
                link = await Link.secure(gateway)
                await link.send(upgrade("attacked", f"guess number {n}".encode()))
                answers[(await link.head()).split(b" ", 2)[1]] += 1
                await link.cut()
            except trio.BrokenResourceError:
                answers[b"put out"] += 1

    async def guesses_until_admitted(identity: str, address: str) -> int:
        before = answers[b"401"]
        tcp = await trio.open_tcp_stream("127.0.0.1", gateway.port, local_address=address)
        OPENED.add(tcp)
        link = Link(tcp, trio.SSLStream(tcp, gateway.tls, server_hostname="localhost", https_compatible=True))
        await link.send(upgrade(identity))
        assert (await link.head()).startswith(b"HTTP/1.1 101 ")
        return answers[b"401"] - before

    async with crowded(), trio.open_nursery() as nursery:
        for n in range(190):
            nursery.start_soon(guess, n)
        while answers[b"401"] < 5:  # noqa: ASYNC110 - the guesses go on
            await trio.sleep(0.05)
        waited = [
            await guesses_until_admitted("other-1", "127.0.0.1"),
            await guesses_until_admitted("other-2", "127.0.0.1"),
            await guesses_until_admitted("other-3", "127.0.0.2"),
            await guesses_until_admitted("attacked", "127.0.0.2"),
        ]
        nursery.cancel_scope.cancel()
    assert max(waited) < 100, waited  # of the 190 that wait: none of them behind all of those
    assert set(answers) <= {b"401", b"503"}

"""The client of NATS, with a real server: requests, bells, a server that goes and comes."""

import asyncio

import pytest
import trio
from nats.errors import NoServersError

from gateway.bridge.bus import BusDown, NoResponder
from gateway.bridge.nats import NatsClient
from gateway.bridge.nats_connection import NatsAddress, NatsConnection
from tests.support.nats_server import LoneNats

PATIENCE = 60.0
"""Seconds that nothing here takes, also on a busy machine: a guard against hanging."""


@pytest.fixture
def server():
    server = LoneNats()
    server.start()
    yield server
    server.kill()


async def until(condition):
    with trio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - another thread's doing
            await trio.sleep(0.01)


async def test_nodes_call_each_other_and_ring(server, nursery):
    """A request has one reply; where none listens, or none answers, that is said; a bell is heard."""
    first, second = (NatsClient(NatsAddress((server.url,))) for _ in range(2))
    with pytest.raises(BusDown):
        await first.request("gw.a", b"", 1)
    first.ring("gw.bell")
    heard = []

    async def answer(message):
        if message == b"slow":
            await trio.sleep_forever()
        return message[::-1]

    second.serve("gw.a", answer)
    second.listen("gw.bell", lambda: heard.append(1))
    await nursery.start(first.run)
    await nursery.start(second.run)
    await until(lambda: first.connected and second.connected)
    second.serve("gw.b", answer)

    async def reply(subject, message, seconds=PATIENCE):
        with trio.fail_after(PATIENCE):
            while True:
                try:
                    return await first.request(subject, message, seconds)
                except (NoResponder, BusDown, trio.TooSlowError):  # not subscribed yet, or a busy machine
                    await trio.sleep(0.01)

    assert await reply("gw.a", b"abc") == b"cba"
    assert await reply("gw.b", b"abc") == b"cba"
    with pytest.raises(NoResponder):
        await first.request("gw.nobody", b"", 1)
    with pytest.raises(trio.TooSlowError):
        await first.request("gw.a", b"slow", 0.05)
    first.ring("gw.bell")
    await until(lambda: heard)
    second.withdraw("gw.b")
    with trio.fail_after(PATIENCE):
        while True:
            try:
                await first.request("gw.b", b"abc", 0.1)
            except NoResponder:
                break
            except (BusDown, trio.TooSlowError):  # on its way when it was withdrawn, or a busy machine
                await trio.sleep(0.01)
    nursery.cancel_scope.cancel()


async def test_a_server_that_is_back_is_used_again(server, nursery):
    """Meanwhile nothing is sent, and nothing waits to be sent."""
    first, second = (NatsClient(NatsAddress((server.url,), token="", authority=None)) for _ in range(2))

    async def answer(message):
        return message

    second.serve("gw.a", answer)
    await nursery.start(first.run)
    await nursery.start(second.run)
    await until(lambda: first.connected and second.connected)
    server.kill()
    await until(lambda: not first.connected)
    with pytest.raises(BusDown):
        await first.request("gw.a", b"", 1)
    server.start()
    await until(lambda: first.connected and second.connected)
    with trio.fail_after(PATIENCE):
        while True:
            try:
                assert await first.request("gw.a", b"x", 1) == b"x"
                break
            except (NoResponder, BusDown, trio.TooSlowError):  # not subscribed yet, or a busy machine
                await trio.sleep(0.01)
    nursery.cancel_scope.cancel()


async def test_a_cancellation_that_is_lost_ends_it_all_the_same(monkeypatch, nursery):
    """The library waits in a way that forgets some; a node that stops would wait for its bus."""
    begun = []

    async def forgets(self, **options):
        begun.append(1)
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            raise NoServersError from None

    monkeypatch.setattr(NatsConnection, "connect", forgets)
    client = NatsClient(NatsAddress(("nats://127.0.0.1:1",)))
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as inner:
            await inner.start(client.run)
            await until(lambda: begun)
            scope.cancel()
    assert begun == [1]

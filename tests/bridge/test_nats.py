"""The client of NATS, with a real server: requests, bells, a server that goes and comes."""

import asyncio
import threading

import pytest
import trio
from nats.errors import NoServersError

from gateway.bridge import nats
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


class FakeConnection:
    """Connected at once. Each subscription takes until ``go`` is set, as one does while a server is slow to read."""

    is_connected = True

    def __init__(self):
        self.subscribed, self.gone, self.go = [], [], threading.Event()

    async def connect(self, **options):
        pass

    async def subscribe(self, subject, cb):
        self.subscribed.append(subject)
        while not self.go.is_set():  # noqa: ASYNC110 - Trio's side sets it
            await asyncio.sleep(0.001)
        return self.Subscription(self.gone, subject)

    async def flush(self):
        pass

    async def leave(self):
        pass

    class Subscription:
        def __init__(self, gone, subject):
            self.gone, self.subject = gone, subject

        async def unsubscribe(self):
            self.gone.append(self.subject)


async def test_a_subject_may_be_withdrawn_while_others_are_subscribed(monkeypatch, nursery):
    """A watcher that leaves while a server comes back took the node's bus away for good."""
    connection = FakeConnection()
    monkeypatch.setattr(nats, "NatsConnection", lambda: connection)
    client = NatsClient(NatsAddress(("nats://127.0.0.1:1",)))
    for subject in ("gw.a", "gw.b", "gw.c"):
        client.listen(subject, lambda: None)
    await nursery.start(client.run)
    await until(lambda: connection.subscribed)
    for subject in ("gw.a", "gw.b", "gw.c"):
        client.withdraw(subject)
    client.listen("gw.d", lambda: None)
    connection.go.set()
    await until(lambda: "gw.d" in connection.subscribed and len(connection.gone) == len(connection.subscribed) - 1)
    assert client.connected
    nursery.cancel_scope.cancel()


async def test_a_client_that_failed_may_be_run_again(monkeypatch, nursery):
    """As its supervisor does: a bug in it is no reason to be without a bus until the process ends."""
    connection = FakeConnection()
    made = iter([None, connection])
    monkeypatch.setattr(nats, "NatsConnection", lambda: next(made))
    client = NatsClient(NatsAddress(("nats://127.0.0.1:1",)))
    with pytest.raises(BaseExceptionGroup):
        await client.run()
    assert not client.connected
    await nursery.start(client.run)
    await until(lambda: client.connected)
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

"""A connection that is concluded: what has arrived is still given out, and nothing is waited for. On real sockets."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from gateway.transport.api import Concluded, ConnectionClosed
from gateway.transport.connection import Connection
from gateway.transport.epoll import Epoll
from gateway.transport.large_messages import LARGE_BYTES, LargeMessagePlace
from gateway.transport.limits import Limits
from gateway.transport.receiver import ARRIVED_BYTES
from gateway.transport.socket_stream import SocketStream
from tests.support.frames import CLOSE, PING, TEXT, close, frame, head
from tests.transport.ends import RawClient, serve_upgrade, server_end

PATIENCE = 60.0


@pytest.fixture(params=["by Trio", "by the poller"])
async def poller(request: pytest.FixtureRequest) -> AsyncIterator[Epoll | None]:
    """Each way in which a link learns that there is something to read."""
    if request.param == "by Trio":
        yield None
        return
    poller = Epoll()
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        yield poller
        poller.stop()


@asynccontextmanager
async def opened(
    poller: Epoll | None, limits: Limits | None = None, large: LargeMessagePlace | None = None
) -> AsyncIterator[tuple[Connection, RawClient]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    connection = server_end(SocketStream(near, poller), limits, large)
    client = RawClient(trio.SocketStream(trio.socket.from_stdlib_socket(far)))
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_upgrade, connection)
            await client.send(head())
            assert (await client.read_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        yield connection, client
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.aclose)
            nursery.start_soon(trio.aclose_forcefully, client.raw)


async def given_out(connection: Connection) -> list[bytes]:
    """All messages until there is nothing more."""
    messages = []
    while True:
        try:
            messages.append(await connection.receive())
        except Concluded:
            return messages


async def test_what_lies_in_the_kernel_is_given_out(poller: Epoll | None) -> None:
    """It was never read before; what is not whole is not."""
    async with opened(poller) as (connection, client):
        for number in range(3):
            await client.send(frame(TEXT, b"message %d" % number))
        await client.send(frame(TEXT, b"not whole")[:-1])
        connection.conclude()
        connection.conclude()
        assert await given_out(connection) == [b"message 0", b"message 1", b"message 2"]
        assert await given_out(connection) == []


async def test_a_reader_that_waits_does_so_no_longer(poller: Epoll | None) -> None:
    """And nothing reads what comes after that."""
    async with opened(poller) as (connection, client), trio.open_nursery() as nursery:

        async def reads() -> None:
            assert await given_out(connection) == [b"one"]

        nursery.start_soon(reads)
        await client.send(frame(TEXT, b"one"))
        await trio.testing.wait_all_tasks_blocked(0.01)
        connection.conclude()


async def test_a_concluded_connection_is_still_written_to_and_closed(poller: Epoll | None) -> None:
    """The peer's Close is waited for, as ever."""
    async with opened(poller) as (connection, client), trio.open_nursery() as nursery:
        connection.conclude()
        assert await given_out(connection) == []
        await connection.send(b"an answer")
        assert b"an answer" in await client.read_until(b"an answer")
        nursery.start_soon(connection.aclose, 1008, "replaced")
        assert (await client.read_until(b"replaced"))[0] == 0x80 | CLOSE
        await client.send(close(1008))


async def test_pings_on_the_way_are_answered(poller: Epoll | None) -> None:
    """They lie between messages."""
    async with opened(poller) as (connection, client):
        await client.send(frame(PING, b"there?") + frame(TEXT, b"one"))
        connection.conclude()
        assert await given_out(connection) == [b"one"]
        assert b"there?" in await client.read_until(b"there?")


async def test_an_end_that_has_arrived_is_reported(poller: Epoll | None) -> None:
    """After the messages before it."""
    async with opened(poller) as (connection, client):
        await client.send(frame(TEXT, b"one"))
        await trio.aclose_forcefully(client.raw)
        connection.conclude()
        assert await connection.receive() == b"one"
        with pytest.raises(ConnectionClosed):
            await connection.receive()


async def test_who_goes_on_sending_is_read_no_further(poller: Epoll | None) -> None:
    """No more than what can have been there before."""
    limits = Limits(messages_per_second=1e6, message_burst=1e6)
    async with opened(poller, limits) as (connection, client), trio.open_nursery() as nursery:

        async def floods() -> None:
            while True:
                await client.send(frame(TEXT, b"x" * 1000))

        nursery.start_soon(floods)
        await trio.testing.wait_all_tasks_blocked(0.01)
        connection.conclude()
        messages = await given_out(connection)
        assert 1 < len(messages) <= (ARRIVED_BYTES + 65_536) // 1000
        nursery.cancel_scope.cancel()


async def test_a_large_message_that_waits_for_its_turn_is_given_up(poller: Epoll | None) -> None:
    """It has not come whole, and can't before others are done."""
    large = LargeMessagePlace(1000)
    async with opened(poller, large=large) as (connection, client), trio.open_nursery() as nursery:
        assert await large.take(object(), lambda: None)

        async def reads() -> None:
            assert await given_out(connection) == []

        async def sends() -> None:
            await client.send(frame(TEXT, b"x" * 2 * LARGE_BYTES))

        nursery.start_soon(reads)
        nursery.start_soon(sends)
        while not large.waiting:  # noqa: ASYNC110 - reading goes through the kernel
            await trio.sleep(0.001)
        connection.conclude()
        assert not large.waiting
        await trio.sleep(0.01)
        nursery.cancel_scope.cancel()

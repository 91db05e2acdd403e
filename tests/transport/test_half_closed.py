"""Connections that end on one side, or in one layer: TCP's FIN without TLS's close_notify, the other way round, resets.

On the scripted wire where a moment matters, on real sockets where the kernel does.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.transport.api import ConnectionClosed
from gateway.transport.connection import Connection
from gateway.transport.limits import Limits
from gateway.transport.socket_stream import SocketStream
from tests.support.frames import CLOSE, CONT, PONG, TEXT, close, frame, frames_in, head
from tests.transport.ends import RawClient, ping, serve_upgrade, server_end
from tests.transport.scripted import (
    CLOSE_NOTIFY,
    END,
    TLS_1_2,
    TLS_1_3,
    WIRES,
    Charger,
    PromptWire,
    Story,
    Wire,
    Words,
    converse,
    step,
)

KINDS = pytest.mark.parametrize("kind", WIRES)
VERSIONS = pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])

WHOLE, BEGUN = frame(TEXT, b"1"), frame(TEXT, b"1", fin=False)

NETWORK = (1006, "", "network")


def answers(charger: Charger) -> list[tuple[int, bytes]]:
    assert not charger.failure
    return frames_in(bytes(charger.heard).partition(b"\r\n\r\n")[2])


async def after(kind: type[Wire], version: ssl.TLSVersion, *words: Words) -> tuple[Story, Charger]:
    """The charger says this after the upgrade, one in each read; then nothing more."""
    charger = Charger([step(b"", head()), step(b"\r\n\r\n", *words)], version)

    def one_at_a_time(position: int) -> int:
        """A record: what came with another in one read is another test's."""
        return 5 + int.from_bytes(charger.said[position + 3 : position + 5], "big")

    wire = kind(charger, cut=one_at_a_time)
    with trio.fail_after(60):
        story = await converse(server_end(wire))
    assert wire.closed
    return story, charger


@KINDS
@VERSIONS
@pytest.mark.parametrize("end", [END, CLOSE_NOTIFY])
async def test_what_came_before_a_half_closed_end_is_answered_and_the_peer_still_reads(
    kind: type[Wire], version: ssl.TLSVersion, end: Words, autojump_clock: MockClock
) -> None:
    """FIN without close_notify, close_notify without FIN: an end from the network; TLS is ended from our side too."""
    story, charger = await after(kind, version, frame(TEXT, b"1"), frame(TEXT, b"2"), end)
    assert story == Story([b"1", b"2"], NETWORK)
    assert answers(charger) == [(TEXT, b"re:1"), (TEXT, b"re:2")]
    assert charger.close_notified


@KINDS
@VERSIONS
@pytest.mark.parametrize("ends", [(END,), (CLOSE_NOTIFY,), (CLOSE_NOTIFY, END), ()], ids=str)
async def test_a_close_is_echoed_however_the_peer_goes_on(
    kind: type[Wire], version: ssl.TLSVersion, ends: tuple[Words, ...], autojump_clock: MockClock
) -> None:
    """With FIN, with close_notify, with both, and with neither; the rest is not waited for."""
    start = trio.current_time()
    story, charger = await after(kind, version, frame(TEXT, b"1"), close(1001, b"bye"), *ends)
    assert story == Story([b"1"], (1001, "bye", "peer"))
    assert answers(charger) == [(TEXT, b"re:1"), (CLOSE, b"\x03\xe9bye")]
    assert charger.close_notified
    assert trio.current_time() - start < 0.2


@KINDS
@pytest.mark.parametrize(
    "words",
    [(frame(TEXT, b"1")[:4],), (frame(TEXT, b"1", fin=False),), (frame(TEXT, b"1", fin=False), frame(CONT)[:3])],
)
@pytest.mark.parametrize("end", [END, CLOSE_NOTIFY])
async def test_half_a_message_before_the_end_is_no_message(
    kind: type[Wire], words: tuple[bytes, ...], end: Words, autojump_clock: MockClock
) -> None:
    """Cut within a frame, or between fragments."""
    story, _ = await after(kind, TLS_1_3, *words, end)
    assert story == Story([], NETWORK)


@KINDS
async def test_a_message_and_the_end_of_tls_in_one_read(kind: type[Wire], autojump_clock: MockClock) -> None:
    """The message is given out, though nothing can be sent any more."""
    charger = Charger([step(b"", head()), step(b"\r\n\r\n", frame(TEXT, b"1"), frame(TEXT, b"2"), CLOSE_NOTIFY)])
    connection = server_end(kind(charger))
    await serve_upgrade(connection)
    assert [await connection.receive(), await connection.receive()] == [b"1", b"2"]
    with pytest.raises(ConnectionClosed):
        await connection.send(b"x")
    with pytest.raises(ConnectionClosed):
        await connection.receive()
    await connection.aclose()
    assert charger.close_notified


@KINDS
@VERSIONS
@pytest.mark.parametrize("ends", [(END,), (CLOSE_NOTIFY,), (close(1001),), (close(1001), END)], ids=str)
async def test_what_the_peer_has_ended_is_closed_at_once_where_the_socket_takes_all(
    kind: type[Wire], version: ssl.TLSVersion, ends: tuple[Words, ...], autojump_clock: MockClock
) -> None:
    """And where it doesn't, the rest follows: the peer reads the same either way."""
    charger = Charger([step(b"", head()), step(b"\r\n\r\n", *ends)], version)
    wire = kind(charger)
    connection = server_end(wire)
    await serve_upgrade(connection)
    with pytest.raises(ConnectionClosed) as closed:
        await connection.receive()
    assert connection.close_nowait() is (kind is PromptWire)
    assert wire.closed is (kind is PromptWire)
    await connection.aclose()
    assert wire.closed
    assert not connection.close_nowait()
    assert answers(charger) == ([(CLOSE, b"\x03\xe9")] if closed.value.initiator == "peer" else [])
    assert charger.close_notified
    with pytest.raises(ConnectionClosed, match=closed.value.initiator):
        await connection.receive()


@KINDS
@pytest.mark.parametrize("violation", [b"", frame(TEXT, b"\xff")], ids=["none", "bad text"])
async def test_what_the_gateway_ends_is_closed_with_a_word(
    kind: type[Wire], violation: bytes, autojump_clock: MockClock
) -> None:
    """Nothing is closed at once that the peer has not ended; what comes meanwhile is still read."""
    charger = Charger([step(b"", head()), step(b"\r\n\r\n", violation or frame(TEXT, b"1"))])
    wire = kind(charger)
    connection = server_end(wire)
    await serve_upgrade(connection)
    if violation:
        with pytest.raises(ConnectionClosed):
            await connection.receive()
    assert not connection.close_nowait()
    assert not wire.closed
    if not violation:
        assert await connection.receive() == b"1"
    await connection.aclose(1001)
    assert answers(charger)[-1][0] == CLOSE
    assert wire.closed


class TornWire(PromptWire):
    """One with a peer that may be gone."""

    torn = False

    def send_nowait(self, data: bytes) -> int:
        if self.torn:
            raise trio.BrokenResourceError("connection reset by peer")
        return super().send_nowait(data)


async def test_a_socket_that_is_torn_while_it_is_closed_at_once_is_closed(autojump_clock: MockClock) -> None:
    """The peer has said its Close, and is gone before TLS is ended."""
    wire = TornWire(Charger([step(b"", head()), step(b"\r\n\r\n", close(1001))]))
    connection = server_end(wire)
    await serve_upgrade(connection)
    with pytest.raises(ConnectionClosed):
        await connection.receive()
    wire.torn = True
    assert not connection.close_nowait()
    await connection.aclose()
    assert wire.closed


AFTER_OUR_CLOSE: dict[str, tuple[tuple[Words, ...], bool]] = {
    # What the charger does when it reads our Close, and whether that ends the waiting at once.
    "echo": ((close(1001),), True),
    "echo, FIN": ((close(1001), END), True),
    "echo, close_notify": ((close(1001), CLOSE_NOTIFY), True),
    "close_notify": ((CLOSE_NOTIFY,), True),
    "FIN": ((END,), True),
    "messages, then FIN": ((frame(TEXT, b"1"), frame(TEXT, b"2"), END), True),
    "half a message, then close_notify": ((frame(TEXT, b"1", fin=False), CLOSE_NOTIFY), True),
    "nothing": ((), False),
    "messages, and no more": ((frame(TEXT, b"1"),), False),
}


@KINDS
@VERSIONS
@pytest.mark.parametrize("name", AFTER_OUR_CLOSE)
@pytest.mark.parametrize("reading", [False, True], ids=["alone", "with a reader"])
async def test_our_close_waits_for_an_answer_and_for_no_longer_than_it_takes(
    kind: type[Wire], version: ssl.TLSVersion, name: str, reading: bool, autojump_clock: MockClock
) -> None:
    """Whatever the peer ends, and if it ends nothing, no longer than the deadline; no message is given out."""
    words, at_once = AFTER_OUR_CLOSE[name]
    charger = Charger([step(b"", head()), step(b"\x88\x06\x03\xe9stop", *words)], version)
    wire = kind(charger)
    connection = server_end(wire)
    await serve_upgrade(connection)
    async with trio.open_nursery() as nursery:
        if reading:
            nursery.start_soon(ended, connection, (1001, "stop", "local"))
            await trio.testing.wait_all_tasks_blocked()
        start = trio.current_time()
        await connection.aclose(1001, "stop")
    took = trio.current_time() - start
    assert took < 0.2 if at_once else took <= Limits().close_seconds + 0.2
    assert wire.closed
    assert answers(charger) == [(CLOSE, b"\x03\xe9stop")]
    if at_once:
        assert charger.close_notified
    await ended(connection, (1001, "stop", "local"))


async def ended(connection: Connection, end: tuple[int, str, str]) -> None:
    with pytest.raises(ConnectionClosed) as caught:
        await connection.receive()
    assert (caught.value.code, caught.value.reason, caught.value.initiator) == end


# On real sockets.

Make = Callable[[socket.socket], trio.abc.Stream]


def trio_stream(sock: socket.socket) -> trio.abc.Stream:
    return trio.SocketStream(trio.socket.from_stdlib_socket(sock))


STREAMS = pytest.mark.parametrize("make", [trio_stream, SocketStream])


@asynccontextmanager
async def on_sockets(make: Make, limits: Limits | None = None) -> AsyncIterator[tuple[Connection, RawClient]]:
    """An open connection over TCP, the kernel's buffers as small as they can be."""
    with socket.socket() as listening:
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            listening.setsockopt(socket.SOL_SOCKET, option, 4096)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        far = socket.socket()
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            far.setsockopt(socket.SOL_SOCKET, option, 4096)
        far.connect(listening.getsockname())
        near, _ = listening.accept()
    for end in (near, far):
        end.setblocking(False)
    stream = make(near)
    connection, client = server_end(stream, limits), RawClient(trio_stream(far))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_upgrade, connection)
        await client.send(head())
        assert (await client.read_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    try:
        with trio.fail_after(60):
            yield connection, client
    finally:
        await trio.aclose_forcefully(stream)
        await trio.aclose_forcefully(client.raw)


def tcp(client: RawClient) -> trio.socket.SocketType:
    assert isinstance(client.raw, trio.SocketStream)
    return client.raw.socket


async def broken(operation: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises(ConnectionClosed) as caught:
        await operation()
    assert (caught.value.code, caught.value.initiator) == (1006, "network")


@STREAMS
async def test_a_half_closed_socket_is_still_written_to(make: Make) -> None:
    """A charger that shuts its sending side down reads the answer, our Close, and the end."""
    async with on_sockets(make) as (connection, client):
        await client.send(frame(TEXT, b"last"))
        tcp(client).shutdown(socket.SHUT_WR)
        assert await connection.receive() == b"last"
        await connection.send(b"answer")
        await ping(connection)
        await ended(connection, NETWORK)
        await connection.aclose()
        assert frames_in(await client.read_all()) == [(TEXT, b"answer"), (0x9, b"")]


@STREAMS
async def test_a_reset_ends_a_waiting_receive_and_every_send(make: Make) -> None:
    """Also one that came with unread input of the peer's."""
    async with on_sockets(make) as (connection, client), trio.open_nursery() as nursery:
        nursery.start_soon(broken, connection.receive)
        await connection.send(b"never read")
        await trio.testing.wait_all_tasks_blocked(0.01)
        tcp(client).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        tcp(client).close()
        await trio.testing.wait_all_tasks_blocked(0.01)
        await broken(lambda: connection.send(b"x"))
        await broken(partial(ping, connection))
        await connection.aclose()


@STREAMS
async def test_a_peer_that_goes_while_much_is_sent_ends_the_sender(make: Make) -> None:
    """In the middle of a message that the kernel would not take at once."""
    async with on_sockets(make) as (connection, client), trio.open_nursery() as nursery:
        nursery.start_soon(broken, lambda: connection.send(b"x" * 1_000_000))
        await trio.testing.wait_all_tasks_blocked(0.01)
        tcp(client).close()


@STREAMS
async def test_a_peer_that_reads_late_gets_everything_in_order(make: Make) -> None:
    """Senders wait, messages come in meanwhile and pings are taken in, and then all goes out whole."""
    async with on_sockets(make) as (connection, client), trio.open_nursery() as nursery:
        messages = [b"%d" % i * 50_000 for i in range(3)]
        for message in messages:
            nursery.start_soon(connection.send, message)
        await trio.testing.wait_all_tasks_blocked(0.01)
        await client.send(frame(0x9, b"p") + frame(TEXT, b"meanwhile"))
        assert await connection.receive() == b"meanwhile"
        nursery.start_soon(connection.send, b"the last")
        sent = frames_in(await client.read_until(b"the last"))
        assert sorted(payload for opcode, payload in sent if opcode == TEXT) == [*messages, b"the last"]
        assert [payload for opcode, payload in sent if opcode == PONG] == [b"p"]


@STREAMS
async def test_who_is_not_received_from_has_to_wait(make: Make) -> None:
    """Nothing is read without a receive, so TCP holds the peer; and nothing of it is lost."""
    async with (
        on_sockets(make, Limits(messages_per_second=1e6)) as (connection, client),
        trio.open_nursery() as nursery,
    ):
        sent = []

        async def push() -> None:
            for i in range(100):
                await client.send(frame(TEXT, b"%d" % i * 10_000))
                sent.append(i)

        nursery.start_soon(push)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(sent) < 50
        for i in range(100):
            assert await connection.receive() == b"%d" % i * 10_000


@STREAMS
async def test_both_sides_may_send_much_at_once(make: Make) -> None:
    """As long as a task receives: neither waits for the other to read first."""
    async with on_sockets(make) as (connection, client), trio.open_nursery() as nursery:
        much = b"x" * 900_000
        nursery.start_soon(connection.send, much)
        nursery.start_soon(client.send, frame(TEXT, much))
        assert await connection.receive() == much
        assert (await client.read_until(b"x" * 900_000)).endswith(much)

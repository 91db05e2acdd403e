"""One connection: our server over memory streams, trio-websocket's client or a hand-driven one at the other end."""

from __future__ import annotations

import gc
import re
import ssl

import pytest
import trio
import trio.testing
from trio.testing import MockClock
from trio_websocket import ConnectionClosed as ClientClosed

from gateway.transport.api import ConnectionClosed, Transport
from gateway.transport.connection import Connection, HandshakeFailed
from gateway.transport.limits import Limits
from gateway.transport.sender import MAX_UNSENT_BYTES
from gateway.transport.tls_records import READ_BYTES
from tests.support.frames import BINARY, CONT, PING, PONG, TEXT, close, frame, head
from tests.transport.ends import RawClient, client_context, open_pair, open_raw, ping, serve_upgrade, server_end


class Gate(trio.abc.Stream):
    """A stream whose writes get stuck half-way while ``shut`` is true: a peer that stopped reading."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.shut = False
        self.stuck = 0
        self._opened = trio.Event()

    def open(self) -> None:
        self.shut = False
        self._opened.set()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.shut:
            half = len(data) // 2
            await self.stream.send_all(data[:half])
            self.stuck += 1
            await self._opened.wait()
            data = data[half:]
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        self._opened.set()
        await self.stream.aclose()


async def open_gated(limits: Limits | None = None) -> tuple[Connection, RawClient, Gate]:
    near, far = trio.testing.memory_stream_pair()
    gate = Gate(near)
    connection, client = server_end(gate, limits), RawClient(far)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_upgrade, connection)
        await client.send(head())
        await client.read_until(b"\r\n\r\n")
    return connection, client, gate


async def ended(connection: Transport) -> tuple[int, str, str]:
    with pytest.raises(ConnectionClosed) as caught:
        await connection.receive()
    return caught.value.code, caught.value.reason, caught.value.initiator


async def test_messages_go_both_ways() -> None:
    """And the peer's facts are there."""
    async with open_pair() as (connection, client):
        await client.send_message('[2,"1","Heartbeat",{}]')
        assert await connection.receive() == b'[2,"1","Heartbeat",{}]'
        await connection.send('[3,"1",{"é":1}]'.encode())
        assert await client.get_message() == '[3,"1",{"é":1}]'
        assert client.subprotocol == connection.subprotocol == "ocpp1.6"
        assert (connection.peer.address, connection.peer.tls_version) == ("192.0.2.1", "TLSv1.3")
        assert connection.peer.certificate is None


async def test_a_ping_is_answered_while_receiving() -> None:
    """A6.1: the client's ping() returns only with its own payload's Pong."""
    async with open_pair() as (connection, client), trio.open_nursery() as nursery:
        nursery.start_soon(ended, connection)
        with trio.fail_after(60):
            await client.ping(b"are you there")
        await client.aclose()


async def test_a_ping_before_a_message_is_answered_before_the_message_is_returned() -> None:
    """A slow handler must not hold back a Pong that could have gone."""
    async with open_raw() as (connection, client):
        await client.send(frame(PING, b"p") + frame(TEXT, b"x"))
        assert await connection.receive() == b"x"
        assert await client.read_until(b"\x8a\x01p")


async def test_every_frame_moves_last_heard(autojump_clock: MockClock) -> None:
    """A6.3: pongs and fragments count; half a frame does not."""
    async with open_raw() as (connection, client), trio.open_nursery() as nursery:
        nursery.start_soon(ended, connection)
        start = connection.last_heard
        heard = []
        for data in (frame(PONG), frame(TEXT, b"x", fin=False), frame(PING), frame(CONT, b"y")[:-1]):
            await trio.sleep(1)
            await client.send(data)
            await trio.testing.wait_all_tasks_blocked()
            heard.append(connection.last_heard - start)
        assert heard == [1, 2, 3, 3]
        await connection.aclose()


async def test_our_ping_reaches_the_peer_whose_pong_is_heard(autojump_clock: MockClock) -> None:
    """The end of silence."""
    async with open_pair() as (connection, client), trio.open_nursery() as nursery:
        nursery.start_soon(ended, connection)
        await trio.sleep(7)
        await ping(connection)
        await trio.testing.wait_all_tasks_blocked()
        assert connection.last_heard == trio.current_time()
        await client.aclose()


async def test_messages_before_a_close_are_returned_first() -> None:
    """Then the end is reported, again and again, and the Close is echoed."""
    async with open_raw() as (connection, client):
        await client.send(frame(TEXT, b"1") + frame(TEXT, b"2") + close(1001, b"bye"))
        assert [await connection.receive(), await connection.receive()] == [b"1", b"2"]
        assert await ended(connection) == (1001, "bye", "peer")
        assert await ended(connection) == (1001, "bye", "peer")
        with pytest.raises(ConnectionClosed):
            await connection.send(b"x")
        with pytest.raises(ConnectionClosed):
            await ping(connection)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.aclose)
            assert await client.read_all() == b"\x88\x05\x03\xe9bye"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(BINARY, b"x"), 1003),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"x", rsv=4), 1002),
        (frame(TEXT, length=2**40), 1009),
    ],
)
async def test_a_violation_is_reported_here_and_to_the_peer(data: bytes, code: int) -> None:
    """A3.15-A3.17: the Close is readable even though more input is on its way."""
    async with open_raw() as (connection, client):
        await client.send(data)
        ending = await ended(connection)
        assert (ending[0], ending[2]) == (code, "local")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.aclose)
            assert (await client.read_all())[2:4] == code.to_bytes(2, "big")
            await client.raw.aclose()


async def test_an_end_without_a_close_comes_from_the_network() -> None:
    """TCP's EOF, TLS's close_notify, a reset, and garbage instead of a record."""

    async def eof(client: RawClient) -> None:
        assert isinstance(client.raw, trio.StapledStream)
        await client.raw.send_stream.aclose()

    async def close_notify(client: RawClient) -> None:
        await client.tls.aclose()

    async def garbage(client: RawClient) -> None:
        await client.raw.send_all(b"\x17\x03\x03\x00\x20" + b"x" * 32)

    for end, reason in ((eof, ""), (close_notify, ""), (garbage, r"TLS: \w+")):
        async with open_raw() as (connection, client):
            await client.send(frame(TEXT, b"last") + frame(TEXT, b"half")[:-1])
            await end(client)
            assert await connection.receive() == b"last"
            code, why, initiator = await ended(connection)
            assert (code, initiator) == (1006, "network")
            assert re.fullmatch(reason, why)
            with pytest.raises(ConnectionClosed):
                await connection.send(b"x")
            await connection.aclose()


async def test_aclose_sends_a_close_frame_and_shuts_tls_down() -> None:
    """A strict TLS client sees close_notify, not a truncation."""
    near, far = trio.testing.memory_stream_pair()
    connection = server_end(near)
    client = RawClient(far)
    client.tls = trio.SSLStream(far, client_context(), server_hostname="localhost", https_compatible=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_upgrade, connection)
        await client.send(head())
        await client.read_until(b"\r\n\r\n")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.aclose, 1012, "restart")
        assert await client.read_until(b"restart") == b"\x88\x09\x03\xf4restart"
        await client.send(close(1012))
        assert await client.read_all() == b""  # raises BrokenResourceError without a close_notify
        await client.raw.aclose()
    assert await ended(connection) == (1012, "restart", "local")
    await connection.aclose()  # idempotent


async def test_a_client_sees_our_close_code() -> None:
    """trio-websocket's view of it."""
    async with open_pair() as (connection, client):
        await connection.aclose(1001, "going away")
        with pytest.raises(ClientClosed) as caught:
            await client.get_message()
        assert caught.value.reason is not None
        assert (caught.value.reason.code, caught.value.reason.reason) == (1001, "going away")


async def test_aclose_never_hangs_on_a_silent_peer(autojump_clock: MockClock) -> None:
    """Neither in a cancelled task."""
    for cancelled in (False, True):
        async with open_raw(Limits(close_seconds=2)) as (connection, _):
            start = trio.current_time()
            with trio.CancelScope() as scope:
                if cancelled:
                    scope.cancel()
                await connection.aclose()
            assert trio.current_time() - start <= 4
            assert await ended(connection) == (1000, "", "local")


async def test_a_ping_after_our_close_is_harmless() -> None:
    """The defect of another library that ended a whole server."""
    async with open_raw() as (connection, client), trio.open_nursery() as nursery:
        nursery.start_soon(connection.aclose)
        await client.read_until(b"\x88")
        await client.send(frame(PING, b"late") + frame(TEXT, b"late") + close(1000))
        await client.read_all()
        await client.raw.aclose()


async def test_aclose_ends_a_receive_in_another_task() -> None:
    """Whatever the peer does: answer with a Close, send something else first, or keep silent."""
    for answer in (close(1000), frame(TEXT, b"x") + close(1000), frame(TEXT, b"x"), b""):
        async with open_raw(Limits(close_seconds=0.2)) as (connection, client), trio.open_nursery() as nursery:
            ends: list[tuple[int, str, str]] = []

            async def reader(connection: Connection = connection, ends: list[tuple[int, str, str]] = ends) -> None:
                ends.append(await ended(connection))

            nursery.start_soon(reader)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(connection.aclose, 1001)
            await client.read_until(b"\x88")
            if answer:
                await client.send(answer)
            with trio.move_on_after(1):
                await client.read_all()
            await client.raw.aclose()
        assert ends == [(1001, "", "local")]


async def test_cancelling_receive_loses_no_message(autojump_clock: MockClock) -> None:
    """However the bytes trickle in and whenever the waiting is given up."""
    async with open_raw() as (connection, client), trio.open_nursery() as nursery:
        expected = [str(i).encode() * (i + 1) for i in range(50)]

        async def trickle() -> None:
            for i, message in enumerate(expected):
                await client.send(frame(TEXT, message) + frame(PING, b"p"))
                await trio.sleep(0.1 * (i % 3))

        nursery.start_soon(trickle)
        received: list[bytes] = []
        while len(received) < len(expected):
            with trio.move_on_after(0.05):
                received.append(await connection.receive())
        assert received == expected
        await connection.send(b"alive")
        await client.read_until(b"alive")


async def test_many_tasks_may_send_at_once() -> None:
    """Messages stay whole; each task's own stay in order."""
    async with open_pair() as (connection, client):
        received: list[str] = []

        async def sender(name: int) -> None:
            for i in range(20):
                await connection.send(f"{name}.{i}".encode() + b" " * 5000)

        async with trio.open_nursery() as nursery:
            for name in range(10):
                nursery.start_soon(sender, name)
            while len(received) < 200:
                message = await client.get_message()
                assert isinstance(message, str)
                received.append(message.strip())
        for name in range(10):
            mine = [text for text in received if text.startswith(f"{name}.")]
            assert mine == [f"{name}.{i}" for i in range(20)]


async def test_a_send_cancelled_part_way_ends_its_own_connection_only() -> None:
    """Half a record cannot be taken back: both sides of this connection learn it, and another goes on."""
    connection, _, gate = await open_gated()
    async with open_pair() as (other, client), trio.open_nursery() as nursery:
        ends: list[tuple[int, str, str]] = []

        async def reader() -> None:
            ends.append(await ended(connection))

        nursery.start_soon(reader)
        gate.shut = True
        with trio.CancelScope() as scope:
            nursery.start_soon(_cancel_when_stuck, gate, scope)
            await connection.send(b"x" * 1000)
        assert scope.cancelled_caught
        with pytest.raises(ConnectionClosed):
            await connection.send(b"y")
        await connection.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert ends == [(1006, "a write was cancelled", "local")]
        await other.send(b"unharmed")
        assert await client.get_message() == "unharmed"


async def _cancel_when_stuck(gate: Gate, scope: trio.CancelScope) -> None:
    await trio.testing.wait_all_tasks_blocked()
    assert gate.stuck
    scope.cancel()


async def test_a_send_cancelled_before_its_turn_is_taken_back() -> None:
    """Waiting behind another message, or cancelled from the start: the connection lives, and nothing was sent."""
    connection, client, gate = await open_gated()
    gate.shut = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.send, b"first")
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0):
            await connection.send(b"second")
        gate.open()
    with trio.CancelScope() as scope:
        scope.cancel()
        await connection.send(b"third")
    await connection.send(b"fourth")
    assert await client.read_until(b"fourth") == b"\x81\x05first\x81\x06fourth"


async def test_a_peer_that_does_not_read_is_given_up_after_the_write_deadline(
    autojump_clock: MockClock,
) -> None:
    """The waiting sender, the next one and the reader all learn it."""
    connection, _, gate = await open_gated(Limits(write_seconds=20))
    gate.shut = True
    start = trio.current_time()
    with pytest.raises(ConnectionClosed) as caught:
        await connection.send(b"x")
    assert trio.current_time() - start == 20
    assert (caught.value.code, caught.value.initiator) == (1006, "network")
    assert await ended(connection) == (1006, "the peer does not read", "network")
    await connection.aclose()


class Socket(Gate):
    """One that takes ``room`` bytes at once; ``torn``: its peer is gone."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        super().__init__(stream)
        self.room = 100_000
        self.torn = False
        self._took = b""

    def send_nowait(self, data: bytes) -> int:
        if self.torn:
            raise trio.BrokenResourceError("connection reset by peer")
        self._took += data[: self.room]
        return len(data[: self.room])

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.torn:
            raise trio.BrokenResourceError("connection reset by peer")
        took, self._took = self._took, b""
        await super().send_all(took + bytes(data))


async def open_socket() -> tuple[Connection, RawClient, Socket]:
    near, far = trio.testing.memory_stream_pair()
    sock = Socket(near)
    sock.room = 0
    connection, client = server_end(sock), RawClient(far)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_upgrade, connection)
        await client.send(head())
        await client.read_until(b"\r\n\r\n")
    return connection, client, sock


@pytest.mark.parametrize("room", [0, 3, 20])
async def test_what_a_socket_did_not_take_at_once_goes_out_first(room: int) -> None:
    """A message, and a ping; what comes after it is not mixed into its record."""
    connection, client, sock = await open_socket()
    sock.room = room
    assert not connection.send_nowait(b"first")
    assert not connection.send_nowait(b"second")
    assert not connection.ping_nowait()
    await connection.flush()
    assert not connection.ping_nowait()
    await connection.send(b"third")
    expected = b"\x81\x05first\x81\x06second\x89\x00\x89\x00\x81\x05third"
    assert await client.read_until(b"third") == expected


@pytest.mark.parametrize("what", ["message", "ping"])
async def test_a_socket_that_is_torn_while_something_is_sent_at_once_ends_the_connection(what: str) -> None:
    """The next to send hears of it, and so does the reader."""
    connection, _, sock = await open_socket()
    sock.room, sock.torn = 100_000, True
    assert not (connection.send_nowait(b"first") if what == "message" else connection.ping_nowait())
    assert not connection.send_nowait(b"second")
    assert not connection.ping_nowait()
    with pytest.raises(ConnectionClosed):
        await connection.flush()
    with pytest.raises(ConnectionClosed):
        connection.send_nowait(b"third")
    with pytest.raises(ConnectionClosed):
        connection.ping_nowait()
    assert await ended(connection) == (1006, "connection reset", "network")
    await connection.aclose()


async def test_a_message_behind_another_that_ends_the_connection_is_refused() -> None:
    """It waited for its turn."""
    connection, _, gate = await open_gated()
    gate.shut = True
    refused: list[str] = []

    async def behind() -> None:
        try:
            await connection.send(b"second")
        except ConnectionClosed as closed:
            refused.append(closed.reason)

    scope = trio.CancelScope()

    async def first() -> None:
        with scope:
            await connection.send(b"first")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(behind)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
    assert refused == ["a write was cancelled"]


async def test_aclose_cuts_off_a_stuck_sender(autojump_clock: MockClock) -> None:
    """It waits for its turn no longer than the close deadline."""
    connection, _, gate = await open_gated(Limits(close_seconds=2))
    gate.shut = True
    async with trio.open_nursery() as nursery:

        async def sender() -> None:
            with pytest.raises(ConnectionClosed):
                await connection.send(b"x" * 100)

        nursery.start_soon(sender)
        await trio.testing.wait_all_tasks_blocked()
        start = trio.current_time()
        await connection.aclose(1001)
        assert trio.current_time() - start == 2


async def test_receive_does_not_wait_behind_a_stuck_sender() -> None:
    """Messages come in meanwhile; the sender takes the pong along when it gets on."""
    connection, client, gate = await open_gated()
    gate.shut = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.send, b"slow")
        await trio.testing.wait_all_tasks_blocked()
        await client.send(frame(PING, b"p") + frame(TEXT, b"1"))
        with trio.fail_after(60):
            assert await connection.receive() == b"1"
        gate.open()
    assert await client.read_until(b"\x8a\x01p") == b"\x81\x04slow\x8a\x01p"


async def test_a_peer_that_pings_without_reading_does_not_fill_memory(autojump_clock: MockClock) -> None:
    """Reading stops once enough pongs wait; then the write deadline ends it."""
    connection, client, gate = await open_gated(Limits(write_seconds=20))
    gate.shut = True
    async with trio.open_nursery() as nursery:

        async def sender() -> None:
            with pytest.raises(ConnectionClosed):
                await connection.send(b"x" * 100)

        nursery.start_soon(sender)
        nursery.start_soon(ended, connection)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(50):
            await client.send(frame(PING, b"y" * 125) * 50)
        await trio.testing.wait_all_tasks_blocked()
        assert connection._websocket.unsent < MAX_UNSENT_BYTES + READ_BYTES
    await connection.aclose()


async def test_a_cancelled_receive_with_a_pong_to_send_keeps_the_connection(autojump_clock: MockClock) -> None:
    """The silence deadline may pass in the very instant in which the ping arrives."""
    async with open_raw() as (connection, client):
        with trio.CancelScope() as scope:
            await client.send(frame(PING, b"p") + frame(TEXT, b"x"))
            scope.cancel()
            await connection.receive()
        assert scope.cancelled_caught
        assert await connection.receive() == b"x"
        await connection.send(b"y")
        assert await client.read_until(b"y") == b"\x8a\x01p\x81\x01y"


async def test_a_burst_of_messages_lets_other_tasks_run() -> None:
    """receive() is a checkpoint even when messages wait already."""
    async with open_raw() as (connection, client):
        await client.send(frame(TEXT, b"x") * 100)
        await connection.receive()
        ran = []

        async def other() -> None:
            ran.append(True)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            for _ in range(20):
                await connection.receive()
            assert ran


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "http_request"),
        (b"\x00" * 64, "wrong_version_number"),
        (b"SSH-2.0-OpenSSH_9.0\r\n", "wrong_version_number"),
    ],
)
async def test_what_is_not_tls_is_distinguished(data: bytes, reason: str) -> None:
    """A1.8."""
    near, far = trio.testing.memory_stream_pair()
    await far.send_all(data)
    connection = server_end(near)
    with pytest.raises(HandshakeFailed) as caught:
        await connection.secure()
    assert (caught.value.stage, caught.value.reason) == ("tls", reason)
    await connection.aclose()


async def test_zero_bytes_are_a_failed_handshake() -> None:
    """Quirk 5."""
    near, far = trio.testing.memory_stream_pair()
    await far.aclose()
    connection = server_end(near)
    with pytest.raises(HandshakeFailed, match="tls: closed_by_peer"):
        await connection.secure()
    await connection.aclose()


async def test_a_rejected_upgrade_is_readable_to_its_end() -> None:
    """Status, headers, text, close_notify; then the socket."""
    near, far = trio.testing.memory_stream_pair()
    connection, client = server_end(near), RawClient(far)

    async def reject() -> None:
        await connection.secure()
        await connection.request()
        await connection.reject(503, "try again later", (("Retry-After", "30"),))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reject)
        await client.send(head() + frame(TEXT, b"hasty"))
        answer = await client.read_all()
        await client.raw.aclose()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 30\r\n" in answer
    assert answer.endswith(b"try again later\n")


async def test_a_hasty_message_arrives_after_the_upgrade() -> None:
    """Sent in one packet with the request."""
    near, far = trio.testing.memory_stream_pair()
    connection, client = server_end(near), RawClient(far)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_upgrade, connection)
        await client.send(head() + frame(TEXT, b"hasty"))
    assert await connection.receive() == b"hasty"


async def test_tls_1_2_works_too() -> None:
    """The version that most wallboxes speak."""
    near, far = trio.testing.memory_stream_pair()
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    connection, client = server_end(near), RawClient(far)
    client.tls = trio.SSLStream(far, context, server_hostname="localhost", https_compatible=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_upgrade, connection)
        await client.send(head())
        await client.read_until(b"\r\n\r\n")
    assert connection.peer.tls_version == "TLSv1.2"
    assert connection.peer.cipher == "ECDHE-ECDSA-AES128-GCM-SHA256"


async def _connect_and_end(how: str) -> None:
    async with open_raw(Limits(close_seconds=0.01)) as (connection, client):
        match how:
            case "peer":
                await client.send(close(1000))
            case "violation":
                await client.send(frame(TEXT, b"\xff"))
            case "eof":
                await client.raw.aclose()
        with trio.move_on_after(0.001):
            try:  # pytest.raises would keep the exception, and be a cycle itself
                await connection.receive()
            except ConnectionClosed:
                pass
        await connection.aclose()
        await client.raw.aclose()


@pytest.mark.parametrize("how", ["peer", "violation", "eof", "silent"])
async def test_a_closed_connection_leaves_no_reference_cycle(how: str) -> None:
    """With the collector off, as many connections exist after many closes as before."""
    await _connect_and_end(how)
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            await _connect_and_end(how)
        assert not any(isinstance(thing, Connection) for thing in gc.get_objects())
    finally:
        gc.enable()

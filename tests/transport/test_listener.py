"""The listener on a loopback port: peers that get in, peers that are turned away, and no harm of one to another."""

from __future__ import annotations

import base64
import gc
import logging
import resource
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial

import pytest
import structlog
import trio
import trio.testing
from attrs import define, field
from structlog.testing import capture_logs
from trio.testing import MockClock
from trio_websocket import ConnectionClosed as ClientClosed
from trio_websocket import ConnectionRejected, WebSocketConnection, wrap_client_stream

from gateway.framing.websocket import WebSocket
from gateway.transport import listening_socket as transport_port
from gateway.transport.api import Accept, ConnectionClosed, Rejection, Transport, UpgradeRequest
from gateway.transport.authentication import claim, select_subprotocol, unauthorized
from gateway.transport.connection import Connection
from gateway.transport.epoll import Epoll
from gateway.transport.limits import Limits
from gateway.transport.listener import ConnectionOutcome, Listener, nobody
from gateway.transport.listening_socket import Accepted
from gateway.transport.tls import TlsFiles, TlsProvider
from tests.support.frames import TEXT, frame, head
from tests.transport.ends import RawClient, certificates, tls_client

PASSWORD = b"\x00\xff:secret"


@define
class Port:
    """A running listener, its nursery, and what it observed."""

    listener: Listener
    nursery: trio.Nursery
    number: int
    outcomes: list[ConnectionOutcome] = field(factory=list)
    opened: list[trio.SocketStream] = field(factory=list)

    def seen(self) -> list[tuple[str, str]]:
        return [(outcome.stage, outcome.result) for outcome in self.outcomes]

    async def raw(self) -> trio.SocketStream:
        stream = await trio.open_tcp_stream("127.0.0.1", self.number)
        self.opened.append(stream)
        return stream

    async def ask(self, data: bytes) -> bytes:
        """Send bytes through TLS; return all that comes back until the end."""
        client = RawClient(await self.raw())
        await client.send(data)
        answer = await client.read_all()
        await client.raw.aclose()
        await wait_for(self.seen)
        return answer

    async def client(
        self, identity: str = "CP1", *, password: bytes = PASSWORD, subprotocols: tuple[str, ...] = ("ocpp1.6",)
    ) -> WebSocketConnection:
        name, value = authorization(identity, password)
        return await wrap_client_stream(
            self.nursery,
            tls_client(await self.raw()),  # type: ignore[arg-type]  # any stream does
            "localhost",
            f"/ocpp/{identity}",
            subprotocols=list(subprotocols),
            extra_headers=[(name.encode(), value.encode())],
        )


async def admit(request: UpgradeRequest) -> Accept | Rejection:
    """Admission as the composition root does it, with one password for all."""
    claimed = claim(request, "/ocpp")
    if isinstance(claimed, Rejection):
        return claimed
    if claimed.identity == "unknown":
        return Rejection(404, "unknown", claimed.identity)
    if claimed.password != PASSWORD:
        return unauthorized("password", claimed.identity)
    chosen = select_subprotocol(request.offered, ["ocpp1.6"])
    return chosen if isinstance(chosen, Rejection) else Accept(claimed.identity, chosen)


async def echo(transport: Transport, principal: object) -> None:
    while True:
        await transport.send(await transport.receive() + b" from " + str(principal).encode())


@asynccontextmanager
async def open_port(
    admit: Callable[[UpgradeRequest], Awaitable[Accept | Rejection]] = admit,
    handle: Callable[[Transport, object], Awaitable[None]] = echo,
    limits: Limits | None = None,
    identity_of: Callable[[object], str] = nobody,
    tls: TlsProvider | None = None,
) -> AsyncIterator[Port]:
    async with trio.open_nursery() as nursery:
        outcomes: list[ConnectionOutcome] = []
        listener = Listener(
            name="main",
            host="127.0.0.1",
            port=0,
            tls=tls or TlsProvider(TlsFiles(certificates())),
            admit=admit,
            handle=handle,
            limits=limits or Limits(close_seconds=0.5),
            observe=outcomes.append,
            identity_of=identity_of,
        )
        [(_, number)] = await nursery.start(listener.serve)
        port = Port(listener, nursery, number, outcomes)
        yield port
        for stream in port.opened:
            await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()


async def wait_for(condition: Callable[[], object]) -> None:
    """Let the other tasks, and the kernel, go on until something has become true."""
    with trio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - what is waited for is on the other side of a socket
            await trio.sleep(0.005)


def authorization(identity: str, password: bytes = PASSWORD) -> tuple[str, str]:
    return "Authorization", "Basic " + base64.b64encode(identity.encode() + b":" + password).decode()


async def test_a_charger_gets_in_and_is_served() -> None:
    """Basic auth with raw bytes, the subprotocol echoed, the principal handed over."""
    async with open_port() as port:
        assert port.listener.addresses == (("127.0.0.1", port.number),)
        client = await port.client("CP1")
        assert client.subprotocol == "ocpp1.6"
        await client.send_message("hello")
        assert await client.get_message() == "hello from CP1"
        await client.aclose()
        await wait_for(port.seen)
        assert port.outcomes == [ConnectionOutcome("main", "session", "served", "127.0.0.1")]
        assert port.listener.opening == 0


async def test_the_request_names_its_listener_and_peer() -> None:
    """Admission decides upon them."""
    seen: list[UpgradeRequest] = []

    async def remember(request: UpgradeRequest) -> Rejection:
        seen.append(request)
        return Rejection(403, "test")

    async with open_port(admit=remember) as port:
        await port.ask(head("/ocpp/CP1", authorization("CP1"), ("Sec-WebSocket-Protocol", "ocpp1.6")))
        assert (seen[0].listener, seen[0].target, seen[0].offered) == ("main", "/ocpp/CP1", ("ocpp1.6",))
        assert (seen[0].peer.address, seen[0].peer.tls_version) == ("127.0.0.1", "TLSv1.3")
        assert "Basic" not in repr(seen[0])


@pytest.mark.parametrize(
    ("identity", "password", "offer", "status", "reason"),
    [
        ("unknown", PASSWORD, "ocpp1.6", 404, "unknown"),
        ("CP1", b"wrong", "ocpp1.6", 401, "password"),
        ("%00", PASSWORD, "ocpp1.6", 400, "identity_characters"),
        ("CP1", PASSWORD, "ocpp0.1", 400, "subprotocol_unsupported"),
        ("CP1", PASSWORD, "", 400, "subprotocol_missing"),
    ],
)
async def test_a_refused_charger_gets_its_status(
    identity: str, password: bytes, offer: str, status: int, reason: str
) -> None:
    """A1.5, A7.4, A1.3, X1, X2; counted under the reason."""
    async with open_port() as port:
        more = (authorization(identity, password), ("Sec-WebSocket-Protocol", offer))
        answer = await port.ask(head(f"/ocpp/{identity}", *more))
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert (b"\r\nWWW-Authenticate: Basic realm=" in answer) == (status == 401)
        assert port.seen() == [("admission", reason)]
        assert port.listener.outcomes["admission", reason] == 1


async def test_a_client_library_understands_a_refusal() -> None:
    """trio-websocket's view of a 401."""
    async with open_port() as port:
        with pytest.RaisesGroup(ConnectionRejected) as caught:
            async with trio.open_nursery() as port.nursery:
                await port.client(password=b"wrong")
        [rejection] = caught.value.exceptions
        assert isinstance(rejection, ConnectionRejected)
        assert rejection.status_code == 401


@pytest.mark.parametrize(
    ("data", "outcome"),
    [
        (b"", ("tls", "closed_by_peer")),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", ("tls", "http_request")),
        (b"\x00" * 5000, ("tls", "wrong_version_number")),
        (b"\x16\x03\x01\x00\x05hello", ("tls", "unexpected_message")),
    ],
)
async def test_garbage_on_the_port_is_closed_quietly(data: bytes, outcome: tuple[str, str]) -> None:
    """A1.8: counted, one line below INFO, no traceback; the next charger is served."""
    async with open_port() as port:
        with capture_logs() as logs:
            stream = await port.raw()
            if data:
                await stream.send_all(data)
            await stream.send_eof()
            await wait_for(port.seen)
            await stream.aclose()
        assert port.seen() == [outcome]
        assert [(line["log_level"], "exc_info" in line) for line in logs] == [("debug", False)]
        await (await port.client()).aclose()


async def test_plain_http_over_tls_is_answered_and_closed() -> None:
    """A health probe or a browser: 426."""
    async with open_port() as port:
        answer = await port.ask(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
        assert port.seen() == [("http", "not_an_upgrade")]


async def test_a_silent_peer_is_closed_at_the_handshake_deadline(autojump_clock: MockClock) -> None:
    """A7.21: not a byte, or one at a time."""
    async with open_port(limits=Limits(tls_handshake_seconds=15)) as port:
        start = trio.current_time()
        silent = await port.raw()
        assert await silent.receive_some() == b""
        assert trio.current_time() - start == pytest.approx(15, abs=0.01)
        slow = await port.raw()
        for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 10:
            with suppress(trio.BrokenResourceError):
                await slow.send_all(bytes([byte]))
            await trio.sleep(1)
        assert port.seen() == [("tls", "deadline")] * 2


async def test_a_slow_request_is_closed_at_the_upgrade_deadline(autojump_clock: MockClock) -> None:
    """A7.21: after TLS, the head has its own deadline."""
    async with open_port(limits=Limits(upgrade_seconds=10)) as port:
        client = RawClient(await port.raw())
        start = trio.current_time()
        for byte in head():
            try:
                await client.send(bytes([byte]))
            except trio.BrokenResourceError:
                break
            await trio.sleep(1)
        assert 10 <= trio.current_time() - start <= 12
        assert port.seen() == [("http", "deadline")]


async def test_slow_admission_ends_in_503(autojump_clock: MockClock) -> None:
    """The charger backs off and comes again."""

    async def never(request: UpgradeRequest) -> Accept:
        await trio.sleep_forever()

    async with open_port(admit=never) as port:
        client = RawClient(await port.raw())
        await client.send(head())
        answer = await client.read_until(b"try again later\n")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 30\r\n" in answer


async def test_half_open_peers_do_not_keep_chargers_out(autojump_clock: MockClock) -> None:
    """As soon as all places are taken, the oldest give theirs up long before their own deadline."""
    limits = Limits(max_concurrent_handshakes=4, tls_handshake_seconds=15, crowded_handshake_seconds=4)
    async with open_port(limits=limits) as port:
        silent = [await port.raw() for _ in range(4)]
        for stream in silent:
            await stream.send_all(b"\x16")
        await trio.sleep(1)
        start = trio.current_time()
        client = await port.client()
        assert trio.current_time() - start < 5
        assert ("accept", "crowded_out") in port.seen()
        await client.aclose()
        for stream in silent:
            await stream.aclose()


async def test_peers_that_trickle_do_not_keep_chargers_out_either(autojump_clock: MockClock) -> None:
    """It counts how long they have let us wait altogether, not since their last byte."""
    limits = Limits(max_concurrent_handshakes=4, tls_handshake_seconds=15, crowded_handshake_seconds=4)
    async with open_port(limits=limits) as port, trio.open_nursery() as nursery:

        async def trickle(stream: trio.SocketStream) -> None:
            with suppress(trio.BrokenResourceError):
                for byte in b"\x16\x03\x01\x02\x00\x01" * 10:
                    await stream.send_all(bytes([byte]))
                    await trio.sleep(1)

        for _ in range(4):
            nursery.start_soon(trickle, await port.raw())
        await trio.sleep(1)
        start = trio.current_time()
        client = await port.client()
        assert trio.current_time() - start < 5
        assert ("accept", "crowded_out") in port.seen()
        await client.aclose()
        nursery.cancel_scope.cancel()


async def test_a_peer_that_waits_for_the_gateway_is_not_crowded_out(autojump_clock: MockClock) -> None:
    """If it is the gateway that is slow, dropping those who are nearly through would help no other."""
    limits = Limits(max_concurrent_handshakes=4, admission_seconds=10, crowded_handshake_seconds=4)

    async def slow(request: UpgradeRequest) -> Accept:
        await trio.sleep(8)
        return Accept("x", "ocpp1.6")

    async with open_port(admit=slow, limits=limits) as port, trio.open_nursery() as nursery:

        async def charger() -> None:
            await (await port.client()).aclose()

        for _ in range(9):
            nursery.start_soon(charger)
        await trio.sleep(7)
        assert port.listener.opening == 3  # of four: one is kept for those who come from elsewhere
    assert ("accept", "crowded_out") not in port.seen()


async def test_handshakes_in_progress_are_bounded(autojump_clock: MockClock) -> None:
    """The others wait for a place; those that say nothing need none."""
    limits = Limits(max_concurrent_handshakes=5, crowded_handshake_seconds=1000, tls_handshake_seconds=15)
    async with open_port(limits=limits) as port:
        streams = [await port.raw() for _ in range(12)]
        await trio.sleep(1)
        assert (port.listener.opening, port.listener.waiting) == (0, 12)
        for stream in streams:
            await stream.send_all(b"\x16")
        await trio.sleep(1)
        assert (port.listener.opening, port.listener.waiting) == (4, 8)  # one is kept for those from elsewhere
        await trio.sleep(60)
        assert port.seen() == [("tls", "deadline")] * 12
        for stream in streams:
            await stream.aclose()


async def test_a_failing_handler_ends_its_own_connection_only() -> None:
    """One traceback, close code 1011; the others and the loop go on."""

    async def handle(transport: Transport, principal: object) -> None:
        if principal == "bad":
            raise RuntimeError("bug")
        await echo(transport, principal)

    async with open_port(handle=handle) as port:
        good = await port.client("good")
        with capture_logs() as logs:
            bad = await port.client("bad")
            with pytest.raises(ClientClosed) as caught:
                await bad.get_message()
            await wait_for(port.seen)
        assert caught.value.reason is not None
        assert caught.value.reason.code == 1011
        failures = [line for line in logs if line["log_level"] == "error"]
        assert [line["event"] for line in failures] == ["connection failed"]
        assert failures[0]["exc_info"]
        await good.send_message("still")
        assert await good.get_message() == "still from good"
        await (await port.client("next")).aclose()
        await good.aclose()


async def test_a_failing_admission_ends_its_own_connection_only() -> None:
    """A bug there is no reason to stop accepting either."""

    async def broken(request: UpgradeRequest) -> Accept:
        if "bad" in request.target:
            raise RuntimeError("bug")
        return Accept("x", "ocpp1.6")

    async with open_port(admit=broken) as port:
        with capture_logs() as logs:
            answer = await port.ask(head("/ocpp/bad"))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert [line["event"] for line in logs if line["log_level"] == "error"] == ["connection failed"]
        await (await port.client("good")).aclose()


async def test_a_peer_that_resets_at_once_is_no_failure() -> None:
    """Load balancers' probes do that all day."""
    async with open_port() as port:
        with capture_logs() as logs:
            for _ in range(5):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    probe.connect(("127.0.0.1", port.number))
            await wait_for(lambda: len(port.seen()) == 5)
        assert {line["log_level"] for line in logs} == {"debug"}
        assert port.listener.opening == 0
        await (await port.client()).aclose()


async def test_a_broken_tls_provider_costs_one_connection() -> None:
    """Even a bug before the handshake stays in its connection, and gives its place back."""

    class Broken(TlsProvider):
        @property
        def context(self) -> ssl.SSLContext:
            raise RuntimeError("bug")

    async with trio.open_nursery() as nursery:
        listener = Listener(
            name="x", host="127.0.0.1", port=0, tls=Broken(TlsFiles(certificates())), admit=admit, handle=echo,
            limits=Limits(max_concurrent_handshakes=4),
        )  # fmt: skip
        [(_, number)] = await nursery.start(listener.serve)
        with capture_logs() as logs:
            for _ in range(6):
                async with await trio.open_tcp_stream("127.0.0.1", number) as stream:
                    with suppress(trio.BrokenResourceError):
                        await stream.send_all(b"\x16")
                        assert await stream.receive_some() == b""
        assert [line["event"] for line in logs if line["log_level"] == "error"] == ["connection failed"] * 6
        nursery.cancel_scope.cancel()


async def test_stop_accepting_lets_handlers_finish() -> None:
    """The port is closed at once; serve() returns when the last connection has ended."""
    returned = []
    async with open_port() as port:
        client = await port.client()
        port.listener.stop_accepting()
        await wait_for(lambda: _refuses(port.number))
        await client.send_message("still")
        assert await client.get_message() == "still from CP1"
        await client.aclose()
        await wait_for(lambda: port.seen() == [("session", "served")])
        returned.append(True)
    assert returned


def _refuses(number: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", number)) != 0


async def test_serve_returns_after_the_last_handler() -> None:
    """A drain waits for its return."""
    listener = Listener(
        name="main", host="127.0.0.1", port=0, tls=TlsProvider(TlsFiles(certificates())), admit=admit, handle=echo
    )
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(listener.serve)
            listener.stop_accepting()


async def test_cancelling_serve_closes_with_going_away() -> None:
    """1001, and promptly."""
    listener = Listener(
        name="main", host="127.0.0.1", port=0, tls=TlsProvider(TlsFiles(certificates())), admit=admit, handle=echo
    )
    async with trio.open_nursery() as clients, trio.open_nursery() as servers:
        [(_, number)] = await servers.start(listener.serve)
        port = Port(listener, clients, number)
        client = await port.client()
        servers.cancel_scope.cancel()
        with trio.CancelScope(shield=True), pytest.raises(ClientClosed) as caught:
            await client.get_message()
    await port.opened[0].aclose()
    assert caught.value.reason is not None
    assert caught.value.reason.code == 1001


async def test_running_out_of_descriptors_is_survived(autojump_clock: MockClock) -> None:
    """EMFILE: logged once, retried with a pause, and the waiting charger is served when there are some again."""
    async with open_port() as port:
        sockets = [socket.socket() for _ in range(1)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with capture_logs() as logs:
            with socket.socket() as probe:
                lowest_free = probe.fileno()
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
            try:
                sockets[0].setblocking(False)
                sockets[0].connect_ex(("127.0.0.1", port.number))
                await trio.sleep(5)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert [line["event"] for line in logs if line["log_level"] == "error"] == ["accept failed"]
        assert port.listener.outcomes["accept", "failed"] > 5
        sockets[0].close()
        await trio.sleep(1)
        await (await port.client()).aclose()


async def test_a_reload_ends_none_of_five_hundred_sessions() -> None:
    """Each is answered before it and after it, and a new one gets in."""
    provider = TlsProvider(TlsFiles(certificates()))
    async with open_port(limits=Limits(close_seconds=0.5), tls=provider) as port:
        clients = [await port.client(f"CP{number}") for number in range(500)]
        before = provider.context
        for number, client in enumerate(clients):
            await client.send_message("before")
            assert await client.get_message() == f"before from CP{number}"
        provider.reload(datetime.now(UTC))
        assert provider.context is not before
        for number, client in enumerate([*clients, await port.client("CP500")]):
            await client.send_message("after")
            assert await client.get_message() == f"after from CP{number}"
        assert port.seen() == []


async def test_a_new_certificate_is_served_to_the_next_connection() -> None:
    """A7.22: the context is asked for at every accept."""

    class Counting(TlsProvider):
        asked = 0

        @property
        def context(self) -> ssl.SSLContext:
            self.asked += 1
            return super().context

    provider = Counting(TlsFiles(certificates()))
    async with trio.open_nursery() as nursery:
        listener = Listener(name="x", host="127.0.0.1", port=0, tls=provider, admit=admit, handle=echo)
        [(_, number)] = await nursery.start(listener.serve)
        for _ in range(2):
            stream = tls_client(await trio.open_tcp_stream("127.0.0.1", number))
            await stream.do_handshake()
            await stream.aclose()
        await wait_for(lambda: provider.asked == 2)
        nursery.cancel_scope.cancel()


async def test_sockets_are_tuned() -> None:
    """TCP_NODELAY for small messages, keep-alive for paths that die silently."""
    options: list[int] = []

    async def look(transport: Transport, principal: object) -> None:
        stream = transport._sender._stream._sock  # type: ignore[attr-defined]
        options.append(stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        options.append(stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        options.append(stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))

    async with open_port(handle=look) as port:
        client = await port.client()
        await wait_for(lambda: len(options) == 3)
        assert options == [1, 1, 60]
        await client.aclose()


async def test_no_secret_reaches_a_log_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    """A7.9: accepted, refused and failing connections, everything at DEBUG."""
    caplog.set_level(logging.DEBUG)
    secret = "hunter2-hunter2-hunter2"
    token = base64.b64encode(f"bad:{secret}".encode()).decode()

    async def fail(request: UpgradeRequest) -> Accept:
        if "bad" in request.target:
            raise RuntimeError("bug")
        return Accept(None, "ocpp1.6")

    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    try:
        for admission in (admit, fail):
            async with open_port(admit=admission) as port:
                await port.ask(head("/ocpp/bad", ("Authorization", f"Basic {token}")) + frame(TEXT, b"x"))
    finally:
        structlog.reset_defaults()
    assert "connection ended" in caplog.text
    assert "RuntimeError: bug" in caplog.text
    assert token not in caplog.text
    assert secret not in caplog.text


async def test_a_handler_that_lets_the_end_of_its_connection_out_is_no_failure() -> None:
    """ConnectionClosed is how most sessions end."""
    ends: list[ConnectionClosed] = []

    async def handle(transport: Transport, principal: object) -> None:
        try:
            await transport.receive()
        except ConnectionClosed as closed:
            ends.append(closed)
            raise

    async with open_port(handle=handle) as port:
        with capture_logs() as logs:
            client = await port.client()
            await client.aclose(1001, "bye")
            await wait_for(port.seen)
        assert [line["log_level"] for line in logs] == ["debug"]
        assert (ends[0].code, ends[0].reason, ends[0].initiator) == (1001, "bye", "peer")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command as a client")
async def test_a_key_update_in_mid_session_is_survived() -> None:
    """TLS 1.3: the answer goes out before our next message, which the client can still read."""

    async def tick(transport: Transport, principal: object) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transport.receive)
            while True:
                await transport.send(b"tick")
                await trio.sleep(0.02)

    async with open_port(handle=tick) as port:
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port.number}", "-msg", "-tls1_3", "-crlf"]
        request = head("/ocpp/CP1", authorization("CP1"), ("Sec-WebSocket-Protocol", "ocpp1.6"))
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdin is not None
        assert process.stdout is not None
        async with process.stdin, process.stdout:
            with trio.fail_after(60):
                await _read_until(process.stdout, b"NewSessionTicket")
                await process.stdin.send_all(request.replace(b"\r\n", b"\n"))
                await _read_until(process.stdout, b"tick")
                await process.stdin.send_all(b"K\n")  # s_client's command: update keys, and ask for the same
                await _read_until(process.stdout, b"<<< TLS 1.3, Handshake [length 0005], KeyUpdate")
                await _read_until(process.stdout, b"tick")
            process.kill()
        await process.wait()


async def _read_until(stream: trio.abc.ReceiveStream, marker: bytes) -> None:
    data = b""
    while marker not in data:
        part = await stream.receive_some()
        assert part, data
        data += part


def more_seen(port: Port, than: int) -> bool:
    """Tell whether more outcomes than so many were observed."""
    return len(port.seen()) > than


@pytest.mark.parametrize("path", ["/ocpp/CP1", "/ocpp/unknown", "/elsewhere"])
async def test_served_and_refused_connections_leave_no_cycle(path: str) -> None:
    """With the collector off, no connection outlives its end, nor any scope, parser or exception that holds it."""
    async with open_port() as port:
        gc.collect()
        gc.disable()
        try:
            for i in range(20):
                client = RawClient(await port.raw())
                more = (authorization(path.rpartition("/")[2]), ("Sec-WebSocket-Protocol", "ocpp1.6"))
                await client.send(head(path, *more))
                await client.read_until(b"\r\n\r\n")
                await client.raw.aclose()
                await wait_for(partial(more_seen, port, i))
            await wait_for(lambda: not port.listener.opening)
            await trio.testing.wait_all_tasks_blocked()
            assert not [thing for thing in gc.get_objects() if isinstance(thing, Connection | WebSocket)]
        finally:
            gc.enable()


@pytest.mark.parametrize("where", ["observe", "close", "accept"])
async def test_a_bug_around_a_connection_keeps_no_other_out(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In reporting it, in closing it, in accepting it: the next charger is served, and those that are go on."""
    failures = iter(range(1))

    def fail_once() -> None:
        if next(failures, None) is not None:
            raise SystemError("a bug")

    async with open_port() as port:
        staying = await port.client("CP1")
        if where == "observe":
            monkeypatch.setattr(port.listener, "_observe", lambda _: fail_once())
        elif where == "close":
            aclose = Connection.aclose

            async def failing(self: Connection, code: int = 1000, reason: str = "") -> None:
                fail_once()
                await aclose(self, code, reason)

            monkeypatch.setattr(Connection, "aclose", failing)
        else:
            accept = transport_port.ListeningSocket.accept

            async def failing_accept(self: transport_port.ListeningSocket, poller: Epoll | None = None) -> Accepted:
                accepted = await accept(self, poller)
                try:
                    fail_once()
                except SystemError:
                    await accepted.link.aclose()
                    raise
                return accepted

            monkeypatch.setattr(transport_port.ListeningSocket, "accept", failing_accept)
        with capture_logs() as logs:
            for _ in range(3):
                with suppress(Exception):
                    with trio.fail_after(2):
                        going = await port.client("CP2")
                        await going.aclose()
            await wait_for(lambda: any(line["log_level"] == "error" for line in logs))
        await staying.send_message("hello")
        assert await staying.get_message() == "hello from CP1"
        newcomer = await port.client("CP3")
        await newcomer.send_message("hello")
        assert await newcomer.get_message() == "hello from CP3"

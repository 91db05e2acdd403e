"""The look at NATS servers before they are used, and TLS where an address demands it; a server is a thread, or a real
one."""

import socket
import ssl
import threading
from pathlib import Path

import pytest
import trio
from nats.errors import NoServersError

from gateway.bridge import nats, nats_checks, nats_connection
from gateway.bridge.nats import NatsClient
from gateway.bridge.nats_checks import faults
from gateway.bridge.nats_connection import NatsAddress
from tests.endtoend.gateway_process import development_certificates, free_port
from tests.support.nats_server import LoneNats


class Scripted:
    """A server on loopback that says ``first`` to each connection, and ``second`` to what it is sent; what it was sent
    is in ``heard``. ``tls``: what a connection is lifted to after the first word."""

    def __init__(self, first: bytes, second: bytes = b"", tls: ssl.SSLContext | None = None) -> None:
        self._first, self._second, self._tls = first, second, tls
        self.heard: list[bytes] = []
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Scripted":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(60)

    def url(self, scheme: str = "nats", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                connection.settimeout(10)
                try:
                    self._talk(connection)
                except OSError:
                    pass

    def _talk(self, connection: socket.socket) -> None:
        connection.sendall(self._first)
        if self._tls is None:
            self._hear(connection)
        else:
            with self._tls.wrap_socket(connection, server_side=True) as lifted:
                self._hear(lifted)

    def _hear(self, connection: socket.socket) -> None:
        while got := connection.recv(4096):
            self.heard.append(got)
            if b"PING" in got:
                connection.sendall(self._second)


INFO = b'INFO {"server_id":"A","version":"2.10.0","max_payload":1048576,"auth_required":true}\r\n'
TLS_INFO = b'INFO {"server_id":"A","version":"2.10.0","max_payload":1048576,"tls_available":true}\r\n'


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return development_certificates(tmp_path_factory.mktemp("nats") / "certs")


@pytest.fixture(scope="module")
def tls(certificates: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificates / "server-ecdsa.pem", certificates / "server-ecdsa.key")
    return made


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is not waited here for what has failed."""
    monkeypatch.setattr(nats_connection, "LEAVE_SECONDS", 0.05)
    monkeypatch.setattr(nats, "RETRY_SECONDS", 0.01)


def why(server: str, **given: str) -> tuple[str, bool]:
    """The only fault of one server: its reason, and whether it lasts."""
    [fault] = faults(NatsAddress((server,), **given))
    assert fault.server == server
    return fault.reason, fault.lasts


def test_a_server_that_lets_this_gateway_in_is_no_fault() -> None:
    """It is connected to as nodes do, and left again."""
    with Scripted(INFO, b"PONG\r\n") as server:
        assert faults(NatsAddress((server.url(),), "s3cret")) == []
        assert b'"auth_token": "s3cret"' in b"".join(server.heard)


def test_a_real_server_is_no_fault_and_one_that_is_gone_is() -> None:
    """Each server is looked at, whatever the others are like."""
    real = LoneNats()
    real.start()
    try:
        gone = f"nats://127.0.0.1:{free_port()}"
        [fault] = faults(NatsAddress((real.url, gone)))
        assert (fault.server, fault.reason, fault.lasts) == (gone, "nothing listens there", False)
    finally:
        real.kill()


def test_a_token_that_is_refused_or_missing_is_said() -> None:
    """Waiting mends neither."""
    with Scripted(INFO, b"-ERR 'Authorization Violation'\r\n") as server:
        refused = "it refuses the token of cluster.nats_token_file"
        assert why(server.url(), token="wrong") == (refused, True)
        assert why(server.url()) == ("it asks for a token", True)


def test_what_is_no_server_of_nats_is_said() -> None:
    """A web server, say; or one with another complaint."""
    with Scripted(b"HTTP/1.1 400 Bad Request\r\n") as server:
        assert why(server.url()) == ("what answers there is no NATS server", True)
    with Scripted(INFO, b"-ERR 'maximum connections exceeded'\r\n") as server:
        reason, _ = why(server.url())
        assert "maximum connections exceeded" in reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(113, "No route to host"), ("No route to host", False)),
        (OSError("Multiple exceptions: [Errno 111] a, [Errno 99] b"), ("Multiple exceptions: ", False)),
        (OSError("Multiple exceptions: [Errno 111] a, [Errno 111] b"), ("nothing listens there", False)),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), ("TLS fails: ", True)),
        (ValueError("nats: invalid port"), ("invalid port", True)),
        (NoServersError(), ("no servers available for connection", True)),
    ],
)
def test_any_other_reason_is_the_system_s_or_the_library_s(error: Exception, reason: tuple[str, bool]) -> None:
    """In its words; never none."""
    words, lasts = nats_checks._why(error, False)
    assert words.startswith(reason[0])
    assert lasts is reason[1]


def test_one_that_says_nothing_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may yet come."""
    monkeypatch.setattr(nats_checks, "CHECK_SECONDS", 0.05)
    with Scripted(b"") as server:
        assert why(server.url()) == ("it does not answer", False)


def test_a_name_that_there_is_not_is_said() -> None:
    """No name of a host ends like that."""
    assert why("nats://nats.invalid:4222") == ("its host can't be resolved", False)


def test_a_certificate_is_held_against_the_authority(certificates: Path, tls: ssl.SSLContext, hasty: None) -> None:
    """Of the settings, or the system's; the name in it has to be the host's."""
    ca = str(certificates / "ca.pem")
    with Scripted(TLS_INFO, b"PONG\r\n", tls) as server:
        assert faults(NatsAddress((server.url("tls", "localhost"),), authority=ca)) == []
        reason, lasts = why(server.url("tls", "localhost"))
        assert reason.startswith("its certificate is not trusted: ")
        assert lasts


def test_a_server_without_tls_is_sent_nothing_where_the_address_demands_it() -> None:
    """Neither by the look nor by a node: an attacker on the way could ask for the token by leaving TLS out."""
    with Scripted(INFO, b"PONG\r\n") as server:
        assert why(server.url("tls"), token="s3cret") == ("it offers no TLS, and the address says tls://", True)
        assert server.heard == []


async def test_a_node_sends_nothing_to_a_server_without_tls(nursery: trio.Nursery) -> None:
    """It tries again and again, and stays without the bus."""
    with Scripted(INFO, b"PONG\r\n") as server:
        client = NatsClient(NatsAddress((server.url("tls"),), "s3cret"))
        await nursery.start(client.run)
        with trio.move_on_after(0.3):
            while not client.connected:  # noqa: ASYNC110 - another thread's doing
                await trio.sleep(0.01)
        assert not client.connected
        assert server.heard == []
        nursery.cancel_scope.cancel()


async def test_a_node_tries_again_after_a_handshake_that_failed(
    tls: ssl.SSLContext, nursery: trio.Nursery, hasty: None
) -> None:
    """Certificates are renewed; a node that had stopped trying would stay without the bus."""
    with Scripted(TLS_INFO, b"PONG\r\n", tls) as server:
        untrusting = NatsClient(NatsAddress((server.url("tls", "localhost"),)))
        await nursery.start(untrusting.run)
        with trio.fail_after(60):
            while server.connections < 4:  # noqa: ASYNC110 - another thread's doing
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


def test_a_real_server_with_tls_is_reached_by_it(certificates: Path) -> None:
    """One that demands it, and whose certificate the authority has signed."""
    options = ("--tlscert", str(certificates / "server-ecdsa.pem"), "--tlskey", str(certificates / "server-ecdsa.key"))
    real = LoneNats("--tls", *options)
    real.start()
    try:
        assert faults(NatsAddress((f"tls://localhost:{real.port}",), authority=str(certificates / "ca.pem"))) == []
    finally:
        real.kill()

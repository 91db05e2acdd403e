"""The charger port as strangers and misconfigured chargers meet it: quiet, quick, and open to the next one."""

import base64
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from gateway.api.v1 import charge_point_pb2 as points
from tests.endtoend.charger import chargers
from tests.endtoend.gateway_process import KEY, Gateway
from tests.endtoend.wire import HANDSHAKE, OFFER, Refused, Wire, authorization

DEADLINES = {"tls_handshake_seconds": 1, "upgrade_seconds": 1}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Gateway]:
    """One gateway for all of them: none may harm what comes after it."""
    gateway = Gateway(tmp_path_factory.mktemp("door"), certificates, settings={"sessions": DEADLINES})
    gateway.start()
    gateway.add_charge_point("CP1")
    try:
        yield gateway
        gateway.finish()
    finally:
        gateway.reap()


@pytest.fixture(autouse=True)
def serves_afterwards(gateway: Gateway) -> Iterator[None]:
    """Whatever was tried, a charger gets in afterwards."""
    yield
    trio.run(boot, gateway)


async def boot(gateway: Gateway) -> None:
    async with chargers(gateway, "CP1"):
        pass


def tcp(gateway: Gateway, sent: bytes) -> bytes:
    """Send bytes to the bare port; return all that comes back until the end of the connection."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as stream:
        return converse(stream, sent)


def tls(gateway: Gateway, sent: bytes) -> bytes:
    """The same inside TLS."""
    with (
        socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as stream,
        gateway.tls.wrap_socket(stream, server_hostname="localhost") as secured,
    ):
        return converse(secured, sent)


def converse(stream: socket.socket, sent: bytes) -> bytes:
    """Send, and read to the end; a reset is an end too, and no end at all fails by the socket's time-out."""
    received = b""
    try:
        stream.sendall(sent)
        while data := stream.recv(65536):
            received += data
    except (ConnectionError, ssl.SSLError):
        pass
    return received


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        f"GET /ocpp/CP1 HTTP/1.1\r\n{HANDSHAKE}{OFFER}{authorization()}\r\n".encode(),
        b"\x00" * 300,
        b"\x16\x03\x01\x02\x00\x01",
        bytes(range(256)) * 8,
    ],
    ids=["nothing", "plain-http", "plain-ws", "zeros", "half-a-hello", "garbage"],
)
def test_what_is_not_tls_is_closed_quietly_within_a_deadline(gateway: Gateway, sent: bytes) -> None:
    """No HTTP answer in clear, no upgrade without TLS: at most a TLS alert comes back."""
    answer = tcp(gateway, sent)
    assert b"HTTP" not in answer
    assert len(answer) <= 7


@pytest.mark.parametrize("sent", [b"", b"GET /ocpp/CP1 HTTP/1.1\r\nHost: local"], ids=["nothing", "half-a-request"])
def test_a_request_that_never_ends_is_closed_within_a_deadline(gateway: Gateway, sent: bytes) -> None:
    """A peer that has done its TLS handshake holds no place for ever."""
    assert not tls(gateway, sent).startswith(b"HTTP/1.1 101")


def test_garbage_inside_tls_gets_no_upgrade(gateway: Gateway) -> None:
    """Bytes that are no HTTP are refused, or the connection is closed."""
    answer = tls(gateway, bytes(range(256)) * 8 + b"\r\n\r\n")
    assert not answer.startswith(b"HTTP/1.1 101")


def test_old_tls_is_refused(gateway: Gateway) -> None:
    """TLS 1.2 is the least (WP A00.FR.312)."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSVersion"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as stream,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        old.wrap_socket(stream)


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/ocpp/CP1", HANDSHAKE + OFFER + authorization(), 101),
        ("/ocpp/nobody", HANDSHAKE + OFFER + authorization("nobody"), 404),
        ("/ocpp/", HANDSHAKE + OFFER + authorization(""), 404),
        ("/elsewhere/CP1", HANDSHAKE + OFFER + authorization(), 404),
        ("/ocpp/CP1", HANDSHAKE + OFFER, 401),
        ("/ocpp/CP1", HANDSHAKE + OFFER + authorization(key=b"some other key"), 401),
        ("/ocpp/CP1", HANDSHAKE + OFFER + authorization(key=KEY[:5]), 401),
        ("/ocpp/CP1", HANDSHAKE + OFFER + authorization("CP2"), 401),
        ("/ocpp/CP1", HANDSHAKE + OFFER + "Authorization: Bearer token\r\n", 401),
        ("/ocpp/CP1", HANDSHAKE + OFFER + "Authorization: Basic !!!\r\n", 400),
        ("/ocpp/CP1", HANDSHAKE + OFFER + authorization() * 2, 400),
        ("/ocpp/CP%00", HANDSHAKE + OFFER + authorization(), 400),
        ("/ocpp/CP%zz", HANDSHAKE + OFFER + authorization(), 400),
        ("/ocpp/" + "C" * 49, HANDSHAKE + OFFER + authorization(), 400),
        ("/ocpp/CP1", HANDSHAKE + "Sec-WebSocket-Protocol: ocpp2.0.1\r\n" + authorization(), 400),
        ("/ocpp/CP1", HANDSHAKE + authorization(), 400),
    ],
    ids=[
        "good",
        "unknown-identity",
        "no-identity",
        "other-path",
        "no-credentials",
        "wrong-password",
        "password-cut-short",
        "other-user-name",
        "other-scheme",
        "malformed-credentials",
        "two-credentials",
        "nul-in-identity",
        "bad-escape",
        "long-identity",
        "other-subprotocol",
        "no-subprotocol",
    ],
)
def test_an_upgrade_is_answered_before_it_happens(gateway: Gateway, target: str, headers: str, status: int) -> None:
    """Unknown is 404, unproven 401, malformed 400, each before any 101 (A1.5, A7.4, X1)."""
    request = f"GET {target} HTTP/1.1\r\n{headers}\r\n".encode()
    if status == 101:
        request += b"\x88\x80\x00\x00\x00\x00"  # and an empty Close frame, so that the connection ends
    answer = tls(gateway, request)
    assert status_of(answer) == status
    if status == 101:
        assert b"\r\nsec-websocket-protocol: ocpp1.6\r\n" in answer.lower()


def test_a_plain_request_inside_tls_is_answered_and_closed(gateway: Gateway) -> None:
    """A health probe or a browser gets a 4xx, and the connection ends."""
    assert 400 <= status_of(tls(gateway, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")) < 500


def test_an_identity_is_decoded_once(gateway: Gateway) -> None:
    """`CP%201` is "CP 1" in the path, as the user name, and in the store (A1.1)."""
    gateway.add_charge_point("CP 1")
    request = f"GET /ocpp/CP%201 HTTP/1.1\r\n{HANDSHAKE}{OFFER}{authorization('CP 1')}\r\n".encode()
    assert status_of(tls(gateway, request + b"\x88\x80\x00\x00\x00\x00")) == 101


async def test_a_deleted_charge_point_is_unknown(gateway: Gateway) -> None:
    """A charge point that was admitted before is refused after its deletion."""
    gateway.add_charge_point("CP-gone")
    gateway.points.DeleteChargePoint(points.DeleteChargePointRequest(identity="CP-gone"), timeout=60)
    with pytest.raises(Refused) as refused:
        await Wire.open(gateway, "CP-gone")
    assert refused.value.status == 404


def test_no_password_is_in_the_log(gateway: Gateway) -> None:
    """Neither as sent nor decoded nor in hexadecimal, after all that was tried here."""
    log = gateway.log.read_bytes()
    for secret in (KEY, base64.b64encode(b"CP1:" + KEY), base64.b64encode(KEY), KEY.hex().encode(), b"some other key"):
        assert secret not in log

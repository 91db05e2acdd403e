"""Peers that are no chargers: broken TLS, broken HTTP, peers that never finish; each gets its status or is closed,
within a deadline and without a word in the log above debug."""

from __future__ import annotations

import random
import ssl
import time
from typing import Any

import pytest
import trio

from tests.endtoend.wire import HANDSHAKE, OFFER, PATIENCE, authorization, upgrade
from tests.hostile.conftest import DEADLINE, Scene
from tests.hostile.link import Link
from tests.support.frames import TEXT, frame, head

SLACK = 15.0


def request(target: str = "/ocpp/CP1", *lines: tuple[str, str], **changes: str) -> bytes:
    return head(target, ("Sec-WebSocket-Protocol", "ocpp1.6"), *lines, **changes)


REQUESTS: dict[str, tuple[bytes, int | None]] = {
    # A1: the path and the identity in it.
    "root": (request("/"), 404),
    "empty-identity": (request("/ocpp/"), 404),
    "only-slashes": (request("/ocpp////"), 404),
    "deeper-path": (request("/ocpp/CP1/x"), 404),
    "other-prefix": (request("/OCPP/CP1"), 404),
    "unknown": (upgrade("nobody"), 404),
    "unknown-case": (upgrade("BYSTANDER-1"), 404),
    "dot": (request("/ocpp/."), 400),
    "dots": (request("/ocpp/%2e%2e"), 400),
    "encoded-slash": (request("/ocpp/a%2Fb"), 400),
    "nul": (request("/ocpp/a%00"), 400),
    "control": (request("/ocpp/a%0d%0aX"), 400),
    "bad-escape": (request("/ocpp/a%g0"), 400),
    "cut-escape": (request("/ocpp/a%2"), 400),
    "no-utf-8": (request("/ocpp/%ff"), 400),
    "right-to-left": (request("/ocpp/%e2%80%ae"), 400),
    "too-long": (request("/ocpp/" + "x" * 49), 400),
    "fragment": (request("/ocpp/a#b"), 400),
    "latin-1": (request("/ocpp/Stra\xdfe"), 400),
    # A2: the subprotocol; judged only for those who proved who they are, so a stranger is unknown first.
    # A7: credentials.
    "no-credentials": (request("/ocpp/bystander-1"), 401),
    "bearer": (request("/ocpp/bystander-1", ("Authorization", "Bearer x")), 401),
    "no-base64": (request("/ocpp/bystander-1", ("Authorization", "Basic \x7f")), 400),
    "no-colon": (request("/ocpp/bystander-1", ("Authorization", "Basic YWFh")), 400),
    "twice": (request("/ocpp/bystander-1", ("Authorization", "Basic YTpi"), ("authorization", "Basic YTpi")), 400),
    "other-name": (f"GET /ocpp/bystander-1 HTTP/1.1\r\n{HANDSHAKE}{OFFER}{authorization('x')}\r\n".encode(), 401),
    "wrong-key": (upgrade("bystander-1", b"not the key of it"), 401),
    # A1.8, A7.21: HTTP.
    "no-upgrade": (request(without="Upgrade"), 426),
    "probe": (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 426),
    "no-key": (request(without="Sec-WebSocket-Key"), 400),
    "two-keys": (request("/ocpp/CP1", ("Sec-WebSocket-Key", "x")), 400),
    "bad-key": (request("/ocpp/CP1", without="Sec-WebSocket-Key")[:-2] + b"Sec-WebSocket-Key: x\r\n\r\n", 400),
    "other-version": (request(without="Sec-WebSocket-Version")[:-2] + b"Sec-WebSocket-Version: 8\r\n\r\n", 400),
    "post": (request(method="POST"), 405),
    "options": (request(method="OPTIONS"), 405),
    "http-1.0": (request(version="HTTP/1.0"), 505),
    "http-2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "bare-line-feeds": (request().replace(b"\r\n", b"\n"), 400),
    "space-in-target": (request("/ocpp/a b"), 400),
    "bad-header-name": (request("/ocpp/CP1", ("Bad Name", "x")), 400),
    "no-colon-in-header": (request()[:-2] + b"nonsense\r\n\r\n", 400),
    "folded-header": (request()[:-2] + b"X: a\r\n b\r\n\r\n", 400),
    "body": (request("/ocpp/CP1", ("Content-Length", "5")), 400),
    "chunked": (request("/ocpp/CP1", ("Transfer-Encoding", "chunked")), 400),
    "long-target": (request("/" + "x" * 9000), 431),
    "many-headers": (request("/ocpp/CP1", *[("X", "y")] * 300), 431),
    "long-headers": (request("/ocpp/CP1", *[("X", "y" * 4000)] * 5), 431),
    "endless-target": (b"GET /" + b"x" * 20_000, 431),
    "no-http": (b"hello\r\n\r\n", None),
    "zeros": (b"\x00" * 500, None),
    "tls-in-tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", None),
    "ssh": (b"SSH-2.0-x\r\n", None),
    "frames-at-once": (frame(TEXT, b'[2,"1","Heartbeat",{}]') * 10, None),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_bad_request_gets_its_status(scene: Scene, name: Any) -> None:
    """A1, A2, A7; what is no HTTP gets nothing. A short text, and nothing of the request in it."""
    data, status = REQUESTS[name]
    with trio.fail_after(PATIENCE):
        link = await Link.secure(scene.gateway)
        await link.send(data)
        answer = await read_all(link)
    await link.cut()
    if status is None:
        assert answer == b""
        return
    assert answer.split(b" ", 2)[1] == str(status).encode(), answer[:100]
    assert len(answer) < 400
    assert (b"WWW-Authenticate: Basic" in answer) == (status == 401)


async def read_all(link: Link) -> bytes:
    answer = b""
    try:
        while part := await link.stream.receive_some():
            answer += part
    except trio.BrokenResourceError:
        pass
    return answer


def client_hello() -> bytes:
    """The first bytes of a client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


async def test_client_hellos_changed_at_random_are_closed_within_the_deadline(scene: Scene) -> None:
    """Cut, doubled, with bits flipped; with the stream left open or ended."""
    dice = random.Random(7)
    hello = client_hello()

    async def one(data: bytes, half_close: bool) -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", scene.gateway.port)
        begin = time.monotonic()
        try:
            await stream.send_all(data)
            if half_close:
                await stream.send_eof()
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
        assert time.monotonic() - begin < DEADLINE + SLACK
        await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        for n in range(120):
            data = bytearray(hello)
            for _ in range(dice.randrange(4)):
                data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            cut = dice.choice([len(data), len(data), dice.randrange(len(data))])
            nursery.start_soon(one, bytes(data[:cut]) * dice.choice([1, 1, 3]), n % 2 == 0)
            await trio.sleep(0.005)


async def test_slow_peers_are_closed_at_their_deadline_and_chargers_get_in_meanwhile(scene: Scene) -> None:
    """A7.21: byte by byte, in the TLS handshake and in the head. There are more of them than places."""
    hello, lost, waited = client_hello(), [], []
    attacker = scene.attacker()

    async def slow_tls() -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", scene.gateway.port)
        await dribble(stream, hello)

    async def slow_http() -> None:
        try:
            link = await Link.secure(scene.gateway)
        except trio.BrokenResourceError:
            lost.append(0.0)
            return
        await dribble(link.stream, upgrade(attacker))
        await link.cut()

    async def dribble(stream: trio.abc.SendStream, data: bytes) -> None:
        begin = time.monotonic()
        try:
            for byte in data:
                await stream.send_all(bytes([byte]))
                await trio.sleep(0.15)
        except trio.BrokenResourceError:
            pass
        lost.append(time.monotonic() - begin)
        await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(slow_tls)
            nursery.start_soon(slow_http)
        for _ in range(3):
            await trio.sleep(0.3)
            begin = time.monotonic()
            link = await Link.open(scene.gateway, attacker)
            waited.append(time.monotonic() - begin)
            await link.cut()
    assert len(lost) == 80
    assert max(waited) < 2 * DEADLINE + SLACK  # those before it in the kernel's queue take a deadline per 31 of them
    assert max(lost) < 4 * DEADLINE + SLACK


async def test_silent_peers_far_beyond_the_places_keep_no_charger_out(scene: Scene) -> None:
    """Connections that never say a word, three times as many as there are places."""
    attacker = scene.attacker()
    silent = [await trio.open_tcp_stream("127.0.0.1", scene.gateway.port) for _ in range(100)]
    begin = time.monotonic()
    link = await Link.open(scene.gateway, attacker)
    assert time.monotonic() - begin < 100 / 31 * DEADLINE + SLACK
    assert scene.metric("gateway_handshakes") <= 32
    await link.lives()
    await link.cut()
    for stream in silent:
        await trio.aclose_forcefully(stream)


async def test_a_flood_of_connects_leaves_the_others_their_share(scene: Scene) -> None:
    """Bare connects, handshakes that are given up, and full ones with a wrong key, all as fast as they go."""
    until = trio.current_time() + 2
    counted = {"connects": 0, "handshakes": 0, "wrong keys": 0}

    async def connects() -> None:
        while trio.current_time() < until:
            stream = await trio.open_tcp_stream("127.0.0.1", scene.gateway.port)
            await trio.aclose_forcefully(stream)
            counted["connects"] += 1

    async def handshakes(data: bytes) -> None:
        while trio.current_time() < until:
            try:
                link = await Link.secure(scene.gateway)
                if data:
                    await link.send(data)
                    await link.head()
                    counted["wrong keys"] += 1
                counted["handshakes"] += 1
                await link.cut()
            except (trio.BrokenResourceError, OSError):
                pass

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(connects)
            nursery.start_soon(handshakes, b"")
            nursery.start_soon(handshakes, upgrade("bystander-1", b"not the key of it"))
    assert min(counted.values()) > 10, str(counted)

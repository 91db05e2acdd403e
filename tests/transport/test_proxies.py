"""A listener behind a TCP load balancer: addresses and limits are the charger's, and only the balancer names them."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.transport import proxies
from gateway.transport.api import Accept, Rejection, UpgradeRequest
from gateway.transport.limits import Limits
from gateway.transport.listener import ConnectionOutcome, Listener
from gateway.transport.tls import TlsFiles, TlsProvider
from tests.framing.proxy_headers import proxy_header, raw_header
from tests.support.frames import head
from tests.transport.ends import certificates, tls_client
from tests.transport.test_listener import Port, admit, authorization, echo, wait_for

LOCAL = raw_header(0x20, 0x00, b"")


@asynccontextmanager
async def behind(
    *networks: str, seen: list[UpgradeRequest] | None = None, limits: Limits | None = None
) -> AsyncIterator[Port]:
    """A listener that lets these balancers in."""

    async def noting(request: UpgradeRequest) -> Accept | Rejection:
        if seen is not None:
            seen.append(request)
        return await admit(request)

    async with trio.open_nursery() as nursery:
        outcomes: list[ConnectionOutcome] = []
        listener = Listener(
            name="main",
            host="127.0.0.1",
            port=0,
            tls=TlsProvider(TlsFiles(certificates())),
            admit=noting,
            handle=echo,
            limits=limits or Limits(close_seconds=0.5),
            observe=outcomes.append,
            proxies=networks,
        )
        [(_, number)] = await nursery.start(listener.serve)
        port = Port(listener, nursery, number, outcomes)
        try:
            yield port
        finally:
            for stream in port.opened:
                await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()


async def through(port: Port, header: bytes) -> trio.SocketStream:
    """A connection that the balancer has opened."""
    stream = await port.raw()
    await stream.send_all(header)
    return stream


async def answer(stream: trio.SocketStream) -> bytes:
    """To an upgrade request over TLS, from behind the balancer; empty if the connection is closed before."""
    client = tls_client(stream)
    try:
        await client.send_all(head("/ocpp/CP1", authorization("CP1"), ("Sec-WebSocket-Protocol", "ocpp1.6")))
        return bytes(await client.receive_some())
    except (trio.BrokenResourceError, ssl.SSLError):
        return b""


@pytest.mark.parametrize(("address", "port"), [("192.0.2.7", 55555), ("2001:db8::7", 1), ("127.0.0.9", 65535)])
async def test_a_charger_behind_a_balancer_has_its_own_address(address: str, port: int) -> None:
    """Admission sees it."""
    seen: list[UpgradeRequest] = []
    async with behind("127.0.0.1", seen=seen) as at:
        assert (await answer(await through(at, proxy_header(address, port)))).startswith(b"HTTP/1.1 101 ")
        assert [(each.peer.address, each.peer.port) for each in seen] == [(address, port)]


async def test_a_balancer_that_speaks_for_itself_keeps_its_own_address() -> None:
    """LOCAL, as it does to see whether the port answers."""
    seen: list[UpgradeRequest] = []
    async with behind("127.0.0.0/8", seen=seen) as at:
        assert (await answer(await through(at, LOCAL))).startswith(b"HTTP/1.1 101 ")
        assert seen[0].peer.address == "127.0.0.1"
        quiet = await through(at, LOCAL)
        await quiet.aclose()
        await wait_for(lambda: ("tls", "closed_by_peer") in at.seen())


async def test_a_header_in_pieces_is_put_together() -> None:
    """With the ClientHello right behind it, or later."""
    seen: list[UpgradeRequest] = []
    async with behind("127.0.0.1", seen=seen) as at:
        stream = await at.raw()
        for byte in proxy_header("192.0.2.7", 7):
            await stream.send_all(bytes([byte]))
            await trio.lowlevel.checkpoint()
        assert (await answer(stream)).startswith(b"HTTP/1.1 101 ")
        assert seen[0].peer.address == "192.0.2.7"


@pytest.mark.parametrize("header", [proxy_header("192.0.2.7", 1), b"\x16\x03\x01"])
async def test_a_peer_that_is_no_named_balancer_is_closed(header: bytes) -> None:
    """Whatever it says: else any stranger could take any address. It is listed under its own."""
    async with behind("192.0.2.0/24", "2001:db8::/32") as at:
        stream = await at.raw()
        with pytest.raises(trio.BrokenResourceError):  # noqa: PT012 - either of the two may find it closed
            await stream.send_all(header)
            if not await stream.receive_some():
                raise trio.BrokenResourceError
        await wait_for(at.seen)
        assert [(each.stage, each.result, each.address) for each in at.outcomes] == [
            ("accept", "not_a_proxy", "127.0.0.1")
        ]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"\x16\x03\x01\x00\x05hello", "proxy_header_missing"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n", "proxy_header_missing"),
        (raw_header(0x21, 0x11, b"short"), "proxy_header_malformed"),
        (raw_header(0x21, 0x31, bytes(216)), "proxy_family_unsupported"),
        (raw_header(0x21, 0x11, b"", 65535), "proxy_header_too_long"),
    ],
)
async def test_a_connection_without_a_sound_header_is_closed(sent: bytes, reason: str) -> None:
    """And the next one gets in."""
    async with behind("127.0.0.1") as at:
        stream = await through(at, sent)
        try:
            assert not await stream.receive_some()
        except trio.BrokenResourceError:
            pass  # closed while something was unread
        await wait_for(at.seen)
        assert at.seen() == [("accept", reason)]
        assert (await answer(await through(at, proxy_header("192.0.2.7", 1)))).startswith(b"HTTP/1.1 101 ")


async def test_a_balancer_that_goes_before_the_header_is_noted() -> None:
    """As a plain check of the port does."""
    async with behind("127.0.0.1") as at:
        await (await at.raw()).aclose()
        await wait_for(at.seen)
        assert at.seen() == [("accept", "closed_by_peer")]


async def test_a_header_that_does_not_come_is_waited_for_in_bounds(autojump_clock: MockClock) -> None:
    """Five seconds."""
    async with behind("127.0.0.1") as at:
        began = trio.current_time()
        stream = await through(at, proxy_header("192.0.2.7", 1)[:-1])
        await wait_all_tasks_blocked(0.01)
        assert not await stream.receive_some()
        assert trio.current_time() - began == pytest.approx(proxies.HEADER_SECONDS, abs=0.5)
        assert at.seen() == [("accept", "proxy_header_deadline")]


async def test_only_so_many_headers_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those beyond are closed, and it is said of them; one that has said its header makes room."""
    monkeypatch.setattr(proxies, "MAX_UNINTRODUCED", 2)
    async with behind("127.0.0.1") as at:
        first, _ = await at.raw(), await at.raw()
        await wait_for(lambda: at.listener._proxies._waiting == 2)
        crowd = await at.raw()
        try:
            assert not await crowd.receive_some()
        except trio.BrokenResourceError:
            pass
        await wait_for(at.seen)
        assert at.seen() == [("accept", "crowded_out")]
        await first.send_all(proxy_header("192.0.2.7", 1))
        await wait_for(lambda: at.listener._proxies._waiting == 1)
        assert (await answer(await through(at, proxy_header("192.0.2.8", 1)))).startswith(b"HTTP/1.1 101 ")


async def test_limits_by_address_are_by_the_chargers() -> None:
    """Of four places one address gets three, though all come from one balancer; another charger finds the fourth."""
    async with behind("127.0.0.1", limits=Limits(max_concurrent_handshakes=4)) as at:
        for _ in range(6):
            await through(at, proxy_header("192.0.2.7", 1) + b"\x16")
        await wait_for(lambda: at.listener.opening + at.listener.waiting == 6)
        assert at.listener.opening == 3
        assert (await answer(await through(at, proxy_header("192.0.2.8", 1)))).startswith(b"HTTP/1.1 101 ")


async def test_a_silent_charger_behind_a_balancer_takes_no_place() -> None:
    """The header is the balancer's: what counts is what the charger says."""
    async with behind("127.0.0.1") as at:
        for number in range(5):
            await through(at, proxy_header(f"192.0.2.{number}", 1))
        await wait_for(lambda: at.listener.waiting == 5)
        assert at.listener.opening == 0


async def test_without_balancers_a_header_is_no_tls() -> None:
    """It is not taken from a stranger where nothing is configured."""
    async with behind() as at:
        assert await answer(await through(at, proxy_header("192.0.2.7", 1))) == b""
        await wait_for(at.seen)
        [outcome] = at.outcomes
        assert (outcome.stage, outcome.address) == ("tls", "127.0.0.1")

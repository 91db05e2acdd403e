"""Connections that never get as far as a request over TLS, or never to their end: they count like any other."""

import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest
import trio
import trustme

from gateway import asyncio_listener
from gateway.client import Tls as ClientTls
from gateway.control.http import server
from gateway.control.tls import Tls
from tests.control.fakes import control
from tests.control.http.client import EVENTS, client, settings
from tests.support.crowded import HALF_A_HELLO, at_most, connected, ended, not_ended

INFO = "/v1/ServerService/GetServerInfo"
WATCH = "/v1/EventService/WatchEvents?start_at=WATCH_START_NOW"


@asynccontextmanager
async def https(path: Any, over_tls: bool = True) -> AsyncIterator[tuple[Any, ssl.SSLContext | None]]:
    """HTTP with a certificate, and what a client of it trusts; without TLS: neither."""
    if not over_tls:
        async with control(path, settings()) as gateway:
            yield gateway, None
        return
    authority = trustme.CA()
    pair = authority.issue_cert("localhost")
    files = Tls(pair.cert_chain_pems[0].bytes(), pair.private_key_pem.bytes())
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with control(path, settings(tls=files), ClientTls(authority.cert_pem.bytes())) as gateway:
        yield gateway, context


@pytest.mark.parametrize(
    ("over_tls", "said"),
    [(True, b""), (True, HALF_A_HELLO), (True, b"\x16"), (False, b""), (False, b"GET /v1")],
)
async def test_handshakes_count_from_their_accept(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, over_tls: bool, said: bytes
) -> None:
    """Three times as many as may be open: no more are held, the oldest go, and a client is answered."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 8)
    async with https(tmp_path, over_tls) as (gateway, context):
        port = gateway.server.http_port
        with ExitStack() as opened:
            silent = [opened.enter_context(connected(port, said)) for _ in range(24)]
            async with client(gateway, context) as newcomer:
                assert (await newcomer.get(INFO)).code == 200
                for link in silent[: 24 - 7]:
                    assert await trio.to_thread.run_sync(ended, link)
                assert await trio.to_thread.run_sync(at_most, port, 8)


async def test_a_slow_client_from_elsewhere_keeps_its_place_in_a_crowd(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its handshake is the oldest of all; those of the crowd's address go."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 8)
    async with https(tmp_path) as (gateway, context):
        assert context is not None
        port = gateway.server.http_port
        with ExitStack() as opened:
            elsewhere = opened.enter_context(connected(port, address="127.0.0.2"))
            crowd = [opened.enter_context(connected(port, HALF_A_HELLO)) for _ in range(24)]
            for link in crowd[: 24 - 7]:
                assert await trio.to_thread.run_sync(ended, link)

            def ask() -> bytes:
                with context.wrap_socket(elsewhere, server_hostname="localhost") as link:
                    link.sendall(f"GET {INFO} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                    return link.recv(12)

            assert await trio.to_thread.run_sync(ask) == b"HTTP/1.1 200"


async def test_clients_that_are_answered_stay_before_a_crowd(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is under way, and a connection between two requests: those that shake hands go first."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 4)
    async with (
        https(tmp_path) as (gateway, context),
        client(gateway, context) as watching,
        client(gateway, context) as known,
    ):
        await watching.send("GET", WATCH, headers=EVENTS)
        assert (await watching.head())[0] == 200
        assert (await known.get(INFO)).code == 200
        with ExitStack() as opened:
            crowd = [opened.enter_context(connected(gateway.server.http_port)) for _ in range(20)]
            for link in crowd[:18]:
                assert await trio.to_thread.run_sync(ended, link)
            assert (await known.get(INFO)).code == 200
            await gateway.charge_point()
            assert b"CP1" in await watching.until(b"CP1")


@pytest.mark.parametrize("said", [b"", HALF_A_HELLO])
async def test_a_handshake_has_its_time_and_no_more(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """All of it, however its bytes come."""
    monkeypatch.setattr(asyncio_listener, "HANDSHAKE_SECONDS", 0.1)
    async with https(tmp_path) as (gateway, _):
        with connected(gateway.server.http_port, said) as link:
            assert await trio.to_thread.run_sync(ended, link)


async def test_a_connection_counts_until_its_peer_has_closed_too(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peers that were refused and never take the end: no more are held, and they go first."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 4)
    async with https(tmp_path) as (gateway, context), client(gateway, context) as known:
        assert context is not None
        assert (await known.get(INFO)).code == 200
        port = gateway.server.http_port
        with ExitStack() as opened:
            for _ in range(12):
                opened.enter_context(await trio.to_thread.run_sync(not_ended, port, context))
            assert await trio.to_thread.run_sync(at_most, port, 4)
            assert (await known.get(INFO)).code == 200


async def test_an_ending_has_its_time_and_no_more(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for a peer that never takes the end of TLS."""
    monkeypatch.setattr(asyncio_listener, "CLOSE_SECONDS", 0.1)
    async with https(tmp_path) as (gateway, context):
        assert context is not None
        with await trio.to_thread.run_sync(not_ended, gateway.server.http_port, context) as link:
            assert await trio.to_thread.run_sync(ended, link)

"""Connections to the console that never get as far as a request over TLS, or never to their end."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway import asyncio_listener
from gateway.console import server
from tests.console.test_https import served
from tests.support.crowded import HALF_A_HELLO, at_most, connected, ended, not_ended


@pytest.mark.parametrize("said", [b"", HALF_A_HELLO])
def test_handshakes_count_from_their_accept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    """Three times as many as may be open: no more are held, the oldest go, and a person is answered."""
    monkeypatch.setattr(server, "CONNECTIONS", 8)
    with served(tmp_path, "127.0.0.1:1", lambda: 1000.0) as browser, ExitStack() as opened:
        silent = [opened.enter_context(connected(browser.port, said)) for _ in range(24)]
        assert browser.ask("GET", "/sign-in")[0] == 200
        assert all(ended(link) for link in silent[: 24 - 7])
        assert at_most(browser.port, 8)


def test_a_slow_browser_from_elsewhere_keeps_its_place_in_a_crowd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its handshake is the oldest of all; those of the crowd's address go."""
    monkeypatch.setattr(server, "CONNECTIONS", 8)
    with served(tmp_path, "127.0.0.1:1", lambda: 1000.0) as browser, ExitStack() as opened:
        elsewhere = opened.enter_context(connected(browser.port, address="127.0.0.2"))
        crowd = [opened.enter_context(connected(browser.port)) for _ in range(24)]
        assert all(ended(link) for link in crowd[: 24 - 7])
        with browser.tls.wrap_socket(elsewhere, server_hostname="localhost") as link:
            link.sendall(b"GET /sign-in HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert link.recv(12) == b"HTTP/1.1 200"


def test_a_handshake_has_its_time_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio_listener, "HANDSHAKE_SECONDS", 0.1)
    with served(tmp_path, "127.0.0.1:1", lambda: 1000.0) as browser, connected(browser.port, HALF_A_HELLO) as link:
        assert ended(link)


def test_a_connection_counts_until_its_peer_has_closed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers that were refused and never take the end keep no person out."""
    monkeypatch.setattr(server, "CONNECTIONS", 4)
    with served(tmp_path, "127.0.0.1:1", lambda: 1000.0) as browser, ExitStack() as opened:
        for _ in range(12):
            opened.enter_context(not_ended(browser.port, browser.tls))
        assert browser.ask("GET", "/sign-in")[0] == 200
        assert at_most(browser.port, 4)


def test_an_ending_has_its_time_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio_listener, "CLOSE_SECONDS", 0.1)
    with served(tmp_path, "127.0.0.1:1", lambda: 1000.0) as browser, not_ended(browser.port, browser.tls) as link:
        assert ended(link)

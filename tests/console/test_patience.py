"""Connections that ask for nothing: they keep no browser out of the console, and end."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from time import monotonic, sleep

import pytest
import uvicorn

from gateway.console import patience, server
from gateway.console.server import server_on
from gateway.console.settings import ConsoleSettings

SECONDS = 60.0

FORM = b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"


@contextmanager
def console() -> Iterator[int]:
    """A console on a port that is free."""
    with serving() as (port, _):
        yield port


SEND_BYTES = 4096
"""Of a socket's buffer: much less than the largest file that a page loads."""


@contextmanager
def serving(send_bytes: int | None = None) -> Iterator[tuple[int, uvicorn.Server]]:
    """A console, and its server. Its gateway is not there: its sign-in needs none. ``send_bytes``: of the buffer that
    the system has for each connection."""
    ready = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        if send_bytes is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_bytes)
        port: int = listening.getsockname()[1]
        running = server_on(listening, ConsoleSettings("127.0.0.1:1", port=port), lambda _: ready.set())
        thread = threading.Thread(target=lambda: asyncio.run(running.serve(sockets=[listening])), daemon=True)
        thread.start()
        try:
            assert ready.wait(SECONDS)
            yield port, running
        finally:
            running.should_exit = True
            thread.join(SECONDS)


def status(port: int) -> int:
    """Of the page for the sign-in."""
    browser = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        browser.request("GET", "/sign-in")
        return browser.getresponse().status
    finally:
        browser.close()


def ended(connection: socket.socket) -> bool:
    """True once the other end has closed, whatever it said before."""
    connection.settimeout(SECONDS)
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("said", [b"", b"GET / HT", FORM + b"Content-Length: 100\r\n\r\ntoken="])
def test_connections_that_ask_for_nothing_keep_nobody_out(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    """Twice as many as may be open: the one that waits longest goes when another comes."""
    monkeypatch.setattr(server, "CONNECTIONS", 40)
    with console() as port, ExitStack() as opened:
        silent = []
        for _ in range(80):
            silent.append(opened.enter_context(socket.create_connection(("127.0.0.1", port))))
            silent[-1].sendall(said)
            if not said and len(silent) % 20 == 0:
                assert status(port) == 200
        assert status(port) == 200
        assert ended(silent[0])


@pytest.mark.parametrize("said", [b"", b"GET / HT", FORM + b"Content-Length: 100\r\n\r\ntoken="])
def test_a_request_that_does_not_come_ends_its_connection(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], said: bytes
) -> None:
    """Also in the middle of its form; nothing of it is a failure of the console's."""
    monkeypatch.setattr(patience, "REQUEST_SECONDS", 0.1)
    with console() as port:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(said)
            assert ended(connection)
        assert status(port) == 200
    assert capfd.readouterr().err == ""


def test_a_client_that_takes_no_answer_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has asked, and so keeps nothing waiting but its answer: its place is free again after a while."""
    monkeypatch.setattr(patience, "WRITE_SECONDS", 0.1)
    with serving() as (port, running), socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", port))
        deaf.sendall(b"GET /static/uplot.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 400)
        was_there, deadline = False, monotonic() + SECONDS
        while not was_there or running.server_state.connections:
            was_there = was_there or bool(running.server_state.connections)
            assert monotonic() < deadline, "its connection is kept"
            sleep(0.001)
        assert status(port) == 200


def test_a_client_that_does_not_take_the_end_of_an_answer_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little of it is left, which nothing waits for, and the connection is closed behind it: not for ever."""
    monkeypatch.setattr(patience, "REQUEST_SECONDS", 0.1)
    with serving(SEND_BYTES) as (port, running), socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SEND_BYTES)
        deaf.connect(("127.0.0.1", port))
        deaf.sendall(b"GET /static/uplot.js HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert deaf.recv(1024).startswith(b"HTTP/1.1 200")
        deadline = monotonic() + SECONDS
        while running.server_state.connections:
            assert monotonic() < deadline, "its connection is kept"
            sleep(0.001)
        assert status(port) == 200


def test_requests_that_are_none_leave_no_lines_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    """A stranger could send any number of them."""
    with console() as port:
        for said in (b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: x\r\n"
                     b"Connection: upgrade, close\r\n\r\n"):  # fmt: skip
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(said)
                assert ended(connection)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(FORM + b"Content-Length: 100\r\n\r\ntoken=")
        assert status(port) == 200
    assert capfd.readouterr().err == ""

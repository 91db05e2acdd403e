"""The console over HTTPS, in real connections: what a browser is given to keep, and for how long."""

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPSConnection
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import trio
import trustme
from attrs import define, field

from gateway.client import Tls
from gateway.console.cookies import NAME
from gateway.console.server import server_on
from gateway.console.settings import ConsoleSettings
from gateway.control.server import ControlSettings
from gateway.control.tls import Tls as ServerSide
from gateway.domain.callers import Role
from tests.console.visitor import console
from tests.control.fakes import control
from tests.control.test_authentication import required

SECONDS = 60.0


@define
class Browser:
    """Connections to one console, and the cookie that it has set."""

    port: int
    tls: ssl.SSLContext
    cookie: "Morsel[str] | None" = None
    headers: dict[str, str] = field(factory=dict)

    def ask(self, method: str, place: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        """The status and the page; the headers are kept."""
        connection = HTTPSConnection("localhost", self.port, timeout=SECONDS, context=self.tls)
        given = {} if self.cookie is None else {"cookie": f"{NAME}={self.cookie.value}"}
        try:
            if form is not None:
                given["content-type"] = "application/x-www-form-urlencoded"
            connection.request(method, place, None if form is None else urlencode(form), given)
            answer = connection.getresponse()
            self.headers = {name.lower(): value for name, value in answer.getheaders()}
            cookies: SimpleCookie = SimpleCookie(self.headers.get("set-cookie", ""))
            self.cookie = cookies.get(NAME, self.cookie)
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def sign_in(self, token: str) -> int:
        """Fill in the form of the sign-in."""
        _, page = self.ask("GET", "/sign-in")
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', page)
        assert found is not None, page
        status, _ = self.ask("POST", "/sign-in", {"form_token": found[1], "token": token, "to": "/"})
        return status


@contextmanager
def served(folder: Path, target: str, clock: Callable[[], float], **settings: Any) -> Iterator[Browser]:
    """A console with a certificate of its own, on a port that is free."""
    authority = trustme.CA()
    pair = authority.issue_cert("localhost")
    certificate, key = folder / "console.pem", folder / "console.key"
    pair.cert_chain_pems[0].write_to_path(certificate)
    pair.private_key_pem.write_to_path(key)
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    ready = threading.Event()
    addresses: list[str] = []

    def announced(address: str) -> None:
        addresses.append(address)
        ready.set()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        made = ConsoleSettings(target, port=port, certificate=certificate, key=key, **settings)
        server = server_on(listening, made, announced, clock)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
        thread.start()
        try:
            assert ready.wait(SECONDS)
            assert addresses == [f"https://127.0.0.1:{port}/"]
            yield Browser(port, tls)
        finally:
            server.should_exit = True
            thread.join(SECONDS)


async def test_a_person_signs_in_over_https(tmp_path: Path) -> None:
    """The cookie is sent over TLS alone, by this site alone, and to no script; it ends with the session."""
    async with required(tmp_path) as (gateway, tokens):

        def act() -> None:
            with served(tmp_path, f"127.0.0.1:{gateway.port}", lambda: 1000.0, absolute=7200.0) as browser:
                status, _ = browser.ask("GET", "/")
                assert (status, browser.headers["location"]) == (303, "/sign-in?to=%2F")
                assert browser.sign_in("wrong") == 403
                before = browser.cookie
                assert browser.sign_in(tokens[Role.READ]) == 303
                cookie = browser.cookie
                assert cookie is not None
                assert before is not None
                assert cookie.value != before.value
                assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "strict")
                assert (cookie["max-age"], cookie["path"]) == ("7200", "/")
                assert tokens[Role.READ] not in cookie.value
                assert browser.headers["location"] == "/"
                status, page = browser.ask("GET", "/")
                assert status == 200
                assert "Sign out" in page
                assert browser.headers["strict-transport-security"] == "max-age=31536000"
                # A cookie of the console over plain HTTP, or of another console, is no session here.
                browser.cookie = before
                assert browser.ask("GET", "/")[0] == 303

        await trio.to_thread.run_sync(act)


async def test_a_session_over_https_ends_when_it_is_idle_and_in_any_case(tmp_path: Path) -> None:
    """By the console's clock; what the browser keeps does not prolong it, and each use renews it."""
    now = [1000.0]
    async with required(tmp_path) as (gateway, tokens):

        def act() -> None:
            target = f"127.0.0.1:{gateway.port}"
            with served(tmp_path, target, lambda: now[0], idle=100.0, absolute=250.0) as browser:
                assert browser.sign_in(tokens[Role.READ]) == 303
                first = browser.cookie
                for _ in range(2):
                    now[0] += 90
                    assert browser.ask("GET", "/")[0] == 200
                assert browser.cookie is not first
                now[0] += 90
                assert browser.ask("GET", "/")[0] == 303  # 270 seconds after the sign-in
                assert browser.sign_in(tokens[Role.READ]) == 303
                now[0] += 101
                assert browser.ask("GET", "/")[0] == 303

        await trio.to_thread.run_sync(act)


def test_plain_http_is_not_spoken_where_https_is(tmp_path: Path) -> None:
    """Nothing of a page goes over it."""
    with served(tmp_path, "127.0.0.1:1", lambda: 1000.0) as browser:
        with socket.create_connection(("127.0.0.1", browser.port), SECONDS) as plain:
            plain.sendall(b"GET /sign-in HTTP/1.1\r\nHost: localhost\r\n\r\n")
            plain.settimeout(SECONDS)
            try:
                answered = plain.recv(4096)
            except ConnectionError:
                answered = b""
        assert b"HTTP" not in answered
        assert b"gateway console" not in answered
        assert browser.ask("GET", "/sign-in")[0] == 200


def test_a_certificate_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    """Nothing is served without it."""
    settings = ConsoleSettings("127.0.0.1:1", certificate=tmp_path / "none.pem", key=tmp_path / "none.key")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = server_on(listening, settings, lambda address: None)
        with pytest.raises(OSError, match="No such file"):
            asyncio.run(server.serve(sockets=[listening]))


async def test_the_console_knows_its_gateway_by_its_certificate(tmp_path: Path) -> None:
    """Over TLS; one of another authority is not asked for anything."""
    authority, other = trustme.CA(), trustme.CA()
    pair = authority.issue_cert("localhost")
    files = ServerSide(pair.cert_chain_pems[0].bytes(), pair.private_key_pem.bytes())
    own, strange = (Tls(each.cert_pem.bytes()) for each in (authority, other))
    async with control(tmp_path, ControlSettings(port=0, idle=0.2, tls=files), own) as gateway:

        def act() -> None:
            for tls, expected in ((own, 200), (strange, 503)):
                with console(ConsoleSettings(f"localhost:{gateway.port}", tls)) as made:
                    assert made().get("/").status == expected

        await trio.to_thread.run_sync(act)

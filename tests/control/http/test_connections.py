"""Connections that break the protocol, or take their time."""

import os
import socket
import struct
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve

from gateway.control.http import calls, server
from gateway.control.http.connection import MAX_HEAD_BYTES, HttpTimes
from gateway.control.server import ControlServer, ControlSettings
from gateway.control.services.deserialization import MAX_REQUEST_BYTES
from gateway.errors import SettingsError
from tests.control.fakes import control
from tests.control.http.client import EVENTS, JSON, client, settings


def on(**changes: Any) -> ControlSettings:
    """Settings with HTTP elsewhere."""
    found = settings()
    assert found.http is not None
    return evolve(found, http=evolve(found.http, **changes))


INFO = "/v1/ServerService/GetServerInfo"
RESET = "/v1/CommandService/Reset"
WATCH = "/v1/EventService/WatchEvents?start_at=WATCH_START_NOW"


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"a" * 100_000])
async def test_what_is_no_http_is_refused_and_cut(tmp_path: Any, data: bytes) -> None:
    """With a reason, and nothing of it is waited for."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        await http.stream.send_all(data + (b"\r\n" if b"\n" not in data else b""))
        answer = await http.answer()
        assert answer.code == 400
        assert answer.ending[2] == "MALFORMED_REQUEST"
        assert await ended(http)


async def ended(http: Any) -> bool:
    """True once the other end has closed."""
    with trio.fail_after(60):
        try:
            return await http.stream.receive_some() == b""
        except trio.BrokenResourceError:
            return True


async def test_a_head_has_a_bound(tmp_path: Any) -> None:
    """Of bytes."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        await http.stream.send_all(b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * (MAX_HEAD_BYTES // 6 + 1))
        assert (await http.answer()).code == 400


@pytest.mark.parametrize(
    ("times", "data"),
    [
        (HttpTimes(idle=0.05), b""),
        (HttpTimes(head=0.05), b"GET "),
        (HttpTimes(body=0.05), b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
         b"content-length: 2\r\n\r\n{" % INFO.encode()),
    ],
)  # fmt: skip
async def test_a_client_has_its_time_and_no_more(tmp_path: Any, times: HttpTimes, data: bytes) -> None:
    """For a request to begin, for its head, for its body."""
    async with control(tmp_path, settings(times)) as gateway, client(gateway) as http:
        if data:
            await http.stream.send_all(data)
        assert await ended(http)


async def test_there_are_only_so_many_connections(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is answered that there are too many, where each has a call under way."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 1)
    async with control(tmp_path, settings()) as gateway, client(gateway) as first:
        await first.send("GET", WATCH, headers=EVENTS)
        assert (await first.head())[0] == 200
        async with client(gateway) as second:
            assert (await second.answer()).ending == (429, "RESOURCE_EXHAUSTED", "TOO_MANY_CALLS")
            assert await ended(second)
        await gateway.charge_point()
        assert b"CP1" in await first.until(b"CP1")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET /v1/Serv",
        b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"
        % INFO.encode(),
    ],
)
async def test_connections_that_wait_keep_no_client_out(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """They say nothing, or never the rest: the oldest of them goes, before one of a client that was answered."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 4)
    async with control(tmp_path, settings()) as gateway, client(gateway) as known, AsyncExitStack() as opened:
        assert (await known.get(INFO)).code == 200
        silent = []
        for _ in range(12):
            silent.append(await opened.enter_async_context(client(gateway)))
            if said:
                await silent[-1].stream.send_all(said)
            await trio.sleep(0.01)
        async with client(gateway) as newcomer:
            assert (await newcomer.get(INFO)).code == 200
        assert (await known.get(INFO)).code == 200
        assert await ended(silent[0])


@pytest.mark.parametrize("to", ["/v1/Nope/Get", RESET])
async def test_a_refusal_reaches_a_client_that_sends_all_first(tmp_path: Any, to: str) -> None:
    """As most do: what it still sends is taken and thrown away, so that no reset takes the answer along."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        await http.send("POST", to, b" " * MAX_REQUEST_BYTES * 4, JSON)
        answer = await http.answer()
        assert answer.ending[2] == ("REQUEST_TOO_LARGE" if to == RESET else "UNKNOWN_METHOD")
        assert await ended(http)


async def test_what_is_thrown_away_has_a_bound(tmp_path: Any) -> None:
    """In time: a client that goes on sending is cut."""
    async with control(tmp_path, settings(HttpTimes(leave=0.05))) as gateway, client(gateway) as http:
        head = f"POST /v1/Nope/Get HTTP/1.1\r\nhost: localhost\r\ncontent-length: {10**12}\r\n\r\n"
        await http.stream.send_all(head.encode())
        with trio.fail_after(60):
            assert await cut(http)


async def cut(http: Any) -> bool:
    """True once the other end takes nothing any more."""
    try:
        for _ in range(10_000):
            await http.stream.send_all(b" " * 1024)
            await trio.sleep(0.005)
    except trio.BrokenResourceError:
        return True
    return False


@pytest.mark.parametrize("name", ["authorization", "content-type", "last-event-id", "connect-timeout-ms"])
async def test_a_header_that_decides_is_taken_once(tmp_path: Any, name: str) -> None:
    """Twice it contradicts itself."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        head = f"GET {INFO} HTTP/1.1\r\nhost: localhost\r\n{name}: 1\r\n{name.title()}: 5000\r\n\r\n"
        await http.stream.send_all(head.encode())
        assert (await http.answer()).ending == (400, "INVALID_ARGUMENT", "MALFORMED_REQUEST")


async def test_a_head_is_answered_without_a_body(tmp_path: Any) -> None:
    """With the code that says which verbs there are."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        await http.send("HEAD", INFO)
        code, headers = await http.head()
        assert (code, headers["allow"]) == (405, "GET, POST")
        assert await http.rest() == b""


def of_kernel(own: int, other: int) -> list[str]:
    """The kernel's line of a connection, by its ports; empty: there is none."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    ends = f"{own:04X}", f"{other:04X}"
    found = [line for line in lines if (line[1].split(":")[1], line[2].split(":")[1]) == ends]
    return found[0] if found else []


def timer_of(own: int, other: int) -> str:
    """The kernel's timer of a connection: the kind, and how long it has to go."""
    return of_kernel(own, other)[5]


ESTABLISHED = "01"
"""State of a connection that a process still holds."""

HEAD_BYTES = 250
"""Of an answer, some."""


@pytest.fixture
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system takes little of an answer."""
    small = socket.SOL_SOCKET, socket.SO_SNDBUF, 4096
    monkeypatch.setattr(server, "_look_after", lambda connection: connection.setsockopt(*small))


async def deaf_client(gateway: Any, answer: int) -> Any:
    """A client that has asked so often that its answers, of so many bytes each, are more than the system takes and less
    than a writer waits for; that takes the beginning of the first one, and nothing more."""
    asked = f"GET {INFO} HTTP/1.1\r\nhost: localhost\r\n"
    while True:
        deaf = trio.socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await deaf.connect(("127.0.0.1", gateway.server.http_port))
        await deaf.send((f"{asked}\r\n" * (40_000 // answer) + f"{asked}connection: close\r\n\r\n").encode())
        if (await deaf.recv(1024)).startswith(b"HTTP/1.1 200"):
            return deaf
        deaf.close()  # the one before has not left yet


async def size_of_answer(gateway: Any) -> int:
    async with client(gateway) as http:
        return len((await http.get(INFO)).body) + HEAD_BYTES


@pytest.mark.usefixtures("small_buffers")
async def test_a_client_that_takes_nothing_keeps_no_connection_open_behind_its_end(tmp_path: Any) -> None:
    """Its window is shut, and the last of its answers waits for it: so long, and no longer."""
    async with control(tmp_path, settings(HttpTimes(leave=0.1))) as gateway:
        with await deaf_client(gateway, await size_of_answer(gateway)) as deaf, trio.fail_after(60):
            own = deaf.getsockname()[1]
            while of_kernel(gateway.server.http_port, own)[3:4] == [ESTABLISHED]:  # noqa: ASYNC110 - the kernel's
                await trio.sleep(0.01)
        async with client(gateway) as http:
            assert (await http.get(INFO)).code == 200


@pytest.mark.usefixtures("small_buffers")
async def test_clients_that_take_nothing_make_room(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is closed and still has something to send goes where another one needs its place."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 1)
    async with control(tmp_path, settings(HttpTimes(leave=1_000))) as gateway:
        with await deaf_client(gateway, await size_of_answer(gateway)), trio.fail_after(60):
            while True:
                with suppress(trio.BrokenResourceError):  # of one that is refused
                    async with client(gateway) as http:
                        if (await http.get(INFO)).code == 200:
                            break
                await trio.sleep(0.01)


async def test_a_client_that_vanishes_is_looked_for(tmp_path: Any) -> None:
    """By the kernel, within a minute of silence: a stream of lines says nothing of its own accord."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        await http.send("GET", WATCH)
        assert (await http.head())[0] == 200
        assert isinstance(http.stream, trio.SocketStream)
        own, server_port = http.stream.socket.getsockname()[1], gateway.server.http_port
        kind, jiffies = timer_of(server_port, own).split(":")
        assert kind == "02", "the timer of keepalive"
        assert int(jiffies, 16) <= 61 * os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("ahead", [b"GET / HTTP/1.1\r\n", b"x" * 70_000])
async def test_a_client_that_sent_more_and_left_ends_its_stream(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, ahead: bytes
) -> None:
    """Also a stream without signs of life: what it sent before its end does not hide that."""
    monkeypatch.setattr(calls, "MAX_STREAMS", 1)
    async with control(tmp_path, settings()) as gateway:
        async with client(gateway) as http:
            await http.send("GET", WATCH)
            assert (await http.head())[0] == 200
            await http.stream.send_all(ahead)
            await trio.sleep(0.05)
            assert isinstance(http.stream, trio.SocketStream)
            http.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert await one_more_stream(gateway)


async def one_more_stream(gateway: Any) -> bool:
    """True once one stream more is not one too many."""
    for _ in range(1000):
        async with client(gateway) as http:
            await http.send("GET", WATCH)
            if (await http.head())[0] == 200:
                return True
        await trio.sleep(0.02)
    return False


async def test_a_port_that_is_taken_is_named(tmp_path: Any) -> None:
    """By its setting; the gRPC port is given back."""
    async with control(tmp_path, settings()) as gateway:
        taken = on(port=gateway.server.http_port)
        (tmp_path / "other").mkdir()
        with pytest.RaisesGroup(
            pytest.RaisesExc(SettingsError, match=r"http.address: .* the address is in use"), flatten_subgroups=True
        ):
            async with control(tmp_path / "other", taken):
                raise AssertionError("it listens")


def test_an_open_address_needs_what_grpc_needs() -> None:
    """By the name of its own setting."""
    with pytest.raises(SettingsError, match=r"http.address: 0.0.0.0 is not a loopback"):
        ControlServer(on(host="0.0.0.0"), None)  # type: ignore[arg-type] # it is refused before


async def test_it_is_off_unless_it_is_asked_for(tmp_path: Any) -> None:
    """Nothing listens."""
    async with control(tmp_path, ControlSettings(port=0)) as gateway:
        assert gateway.server.http_port is None

"""Connections that break the protocol, or take their time."""

from typing import Any

import pytest
import trio
from attrs import evolve

from gateway.control.http import server
from gateway.control.http.connection import MAX_HEAD_BYTES, HttpTimes
from gateway.control.server import ControlServer, ControlSettings
from gateway.errors import SettingsError
from tests.control.fakes import control
from tests.control.http.client import client, settings


def on(**changes: Any) -> ControlSettings:
    """Settings with HTTP elsewhere."""
    found = settings()
    assert found.http is not None
    return evolve(found, http=evolve(found.http, **changes))


INFO = "/v1/ServerService/GetServerInfo"


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
    with trio.fail_after(10):
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
    """One more is answered that there are too many."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 1)
    async with control(tmp_path, settings()) as gateway, client(gateway) as first:
        assert (await first.get(INFO)).code == 200
        async with client(gateway) as second:
            assert (await second.answer()).ending == (429, "RESOURCE_EXHAUSTED", "TOO_MANY_CALLS")
            assert await ended(second)
        assert (await first.get(INFO)).code == 200


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

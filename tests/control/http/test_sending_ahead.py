"""A client that sends requests ahead of their answers, without end."""

import socket
import struct
from pathlib import Path

import pytest
import trio

from tests.control.fakes import control
from tests.control.http.client import client, settings

REQUEST = b"GET /v1/ServerService/GetServerInfo HTTP/1.1\r\nhost: localhost\r\n\r\n"
ANSWERS = 500
AHEAD_BYTES = 16 * 1024 * 1024
"""More than a socket's two buffers and what a connection keeps; 64 kB for each answer would be twice as much."""


async def test_little_is_kept_of_what_is_sent_ahead_and_its_end_is_no_news(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also of a stranger's: each is refused, and the connection goes on. Its reset is in no log, whatever waited."""
    sent = answered = 0
    async with control(tmp_path, settings(require_callers=True)) as gateway, client(gateway) as http:

        async def writing() -> None:
            nonlocal sent
            while True:
                sent += await http.stream.socket.send(REQUEST * 1_000)

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(writing)
                while answered < ANSWERS:
                    answered += (await http.stream.receive_some(65_536)).count(b"HTTP/1.1 401")
                nursery.cancel_scope.cancel()
        http.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert sent - answered * len(REQUEST) < AHEAD_BYTES
    assert [each for each in caplog.records if each.name == "asyncio"] == []

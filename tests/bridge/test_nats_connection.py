"""A connection to a NATS server that answers too late."""

import asyncio
import json

import pytest
from nats.aio.msg import Msg
from nats.errors import FlushTimeoutError

from gateway.bridge.nats_connection import NatsConnection

INFO = {"server_id": "late", "version": "2.10.0", "proto": 1, "headers": True, "max_payload": 1_048_576}

GUARD_SECONDS = 60.0


class LateServer:
    """Speaks NATS to one client, and keeps its answers to pings to itself while it is ``holding``."""

    def __init__(self) -> None:
        self.holding = False
        self.held = 0
        self.writer: asyncio.StreamWriter

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        writer.write(b"INFO " + json.dumps(INFO).encode() + b"\r\n")
        while line := await reader.readline():
            if line == b"PING\r\n" and self.holding:
                self.held += 1
            elif line == b"PING\r\n":
                writer.write(b"PONG\r\n")
        writer.close()

    def let_go(self) -> None:
        """Answer all that was held."""
        self.holding = False
        self.writer.write(b"PONG\r\n" * self.held)


async def late_answer() -> bytes:
    """Return the message that is heard behind a PONG whose flush has given up."""
    late = LateServer()
    server = await asyncio.start_server(late.serve, "127.0.0.1", 0)
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def hear(message: Msg) -> None:
        heard.set_result(message.data)

    client = NatsConnection()
    async with server:
        port = server.sockets[0].getsockname()[1]
        await client.connect(servers=[f"nats://127.0.0.1:{port}"], allow_reconnect=False, ping_interval=600)
        await client.subscribe("bell", cb=hear)
        late.holding = True
        with pytest.raises(FlushTimeoutError):
            await client.flush(timeout=0.05)  # type: ignore[arg-type]  # the library takes any number
        late.let_go()
        late.writer.write(b"MSG bell 1 5\r\nrings\r\n")
        found = await asyncio.wait_for(heard, GUARD_SECONDS)
        await client.flush()
        assert client.is_connected
        await client.leave()
    return found


def test_a_pong_that_comes_too_late_ends_no_connection(caplog: pytest.LogCaptureFixture) -> None:
    """Messages that the server sends behind it are heard, and nothing is said of an error."""
    assert asyncio.run(late_answer()) == b"rings"
    assert caplog.records == []

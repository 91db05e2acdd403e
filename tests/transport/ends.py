"""Both ends of a connection for tests: certificates, a server's ``Connection``, and clients that we did not write."""

from __future__ import annotations

import functools
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
import trio.testing
import trustme
from trio_websocket import WebSocketConnection, wrap_client_stream

from gateway.transport.certificate_files import CertificateFiles
from gateway.transport.connection import Connection
from gateway.transport.large_messages import LargeMessagePlace
from gateway.transport.limits import Limits
from gateway.transport.tls import build_context
from gateway.transport.tls_records import TlsRecords


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA()


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


@functools.cache
def certificates() -> tuple[CertificateFiles, ...]:
    """An ECDSA and an RSA certificate for localhost; made once, because RSA keys take their time."""
    made = []
    for key_type in (trustme.KeyType.ECDSA, trustme.KeyType.RSA):
        leaf = authority().issue_cert("localhost", "127.0.0.1", key_type=key_type)
        files = CertificateFiles(*(Path(_folder().name) / f"{key_type.name}.{kind}" for kind in ("pem", "key")))
        leaf.cert_chain_pems[0].write_to_path(str(files.certificate))
        leaf.private_key_pem.write_to_path(str(files.key))
        made.append(files)
    return tuple(made)


@functools.cache
def server_context() -> ssl.SSLContext:
    return build_context(certificates())


def client_context() -> ssl.SSLContext:
    """Make a context that trusts this authority alone: reading the system's takes longer than a handshake."""
    return ssl.create_default_context(cadata=authority().cert_pem.bytes().decode())


@functools.cache
def _shared_client_context() -> ssl.SSLContext:
    return client_context()


async def ping(connection: Connection) -> None:
    """Send a Ping, and see to it that it goes out, as a session does."""
    if not connection.ping_nowait():
        await connection.flush()


def server_end(
    stream: trio.abc.Stream, limits: Limits | None = None, large: LargeMessagePlace | None = None
) -> Connection:
    records = TlsRecords(server_context())
    return Connection(stream, records, address=("192.0.2.1", 40000), limits=limits or Limits(), large=large)


async def serve_upgrade(connection: Connection, subprotocol: str | None = None) -> None:
    await connection.secure()
    await connection.request()
    await connection.accept(subprotocol)


def tls_client(stream: trio.abc.Stream) -> trio.SSLStream[trio.abc.Stream]:
    return trio.SSLStream(stream, _shared_client_context(), server_hostname="localhost", https_compatible=True)


@asynccontextmanager
async def open_pair(
    limits: Limits | None = None,
) -> AsyncIterator[tuple[Connection, WebSocketConnection]]:
    """Our server and trio-websocket's client over memory streams, after the upgrade."""
    near, far = trio.testing.memory_stream_pair()
    connection = server_end(near, limits)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_upgrade, connection, "ocpp1.6")
        client = await wrap_client_stream(
            nursery,
            tls_client(far),  # type: ignore[arg-type]  # any stream does
            "localhost",
            "/ocpp/CP1",
            subprotocols=["ocpp1.6"],
        )
        yield connection, client
        nursery.cancel_scope.cancel()


class RawClient:
    """A client that sends any bytes through TLS, or none at all."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.raw = stream
        self.tls = tls_client(stream)

    async def send(self, data: bytes) -> None:
        await self.tls.send_all(data)

    async def read_until(self, marker: bytes) -> bytes:
        data = b""
        while marker not in data:
            part = await self.tls.receive_some()
            assert part, f"ended after {data!r}"
            data += part
        return data

    async def read_all(self) -> bytes:
        data = b""
        while part := await self.tls.receive_some():
            data += part
        return data


@asynccontextmanager
async def open_raw(
    limits: Limits | None = None, *, large: LargeMessagePlace | None = None
) -> AsyncIterator[tuple[Connection, RawClient]]:
    """Our server and a hand-driven client over memory streams, after the upgrade."""
    from tests.support.frames import head

    near, far = trio.testing.memory_stream_pair()
    connection, client = server_end(near, limits, large), RawClient(far)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_upgrade, connection)
        await client.send(head())
        assert (await client.read_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    yield connection, client

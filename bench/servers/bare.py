"""The yardstick: as little between a charger's socket and its answer as Trio, OpenSSL and ``websockets`` allow.

One task for a session. TLS is ``ssl.SSLObject`` over memory BIOs, WebSocket is ``websockets.server.ServerProtocol``,
and both are moved on straight from the socket, of which Trio only says when it can be read. What a server in the field
needs besides is left out on purpose: deadlines, limits, reassembly of fragments, orderly closing, flow control, a
registry of sessions. So nothing that keeps those promises can cost less, and that is what it is for.
"""

import logging
import socket
import ssl
import sys

import trio
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from bench.servers import work

READ_BYTES = 16 * 1024
"""The most that one TLS record holds."""

BACKLOG = 1024

_SUBPROTOCOLS = [Subprotocol("ocpp1.6")]

_LOGGER = logging.getLogger("websockets.server")
_LOGGER.setLevel(logging.WARNING)


class Gone(Exception):
    """The peer has closed, or isn't welcome."""


class Charger:
    """One connection."""

    __slots__ = ("_incoming", "_outgoing", "_protocol", "_socket", "_tls")

    def __init__(self, accepted: socket.socket, context: ssl.SSLContext) -> None:
        self._socket = accepted
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._protocol = ServerProtocol(subprotocols=_SUBPROTOCOLS, logger=_LOGGER)

    async def serve(self) -> None:
        """To the end of the connection; raises for any."""
        await self._handshake()
        await self._upgrade()
        protocol, tls, incoming = self._protocol, self._tls, self._incoming
        while True:
            incoming.write(await self._read())
            try:
                while True:
                    plaintext = tls.read(READ_BYTES)
                    if not plaintext:
                        raise Gone
                    protocol.receive_data(plaintext)
                    if not incoming.pending and not tls.pending():
                        break
            except ssl.SSLWantReadError:
                pass
            for frame in protocol.events_received():
                assert isinstance(frame, Frame)
                if frame.opcode is Opcode.TEXT:
                    protocol.send_text(work.answer(bytes(frame.data)))
            await self._flush()
            if protocol.eof_sent:
                raise Gone

    async def _handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._write(self._outgoing.read())
                self._incoming.write(await self._read())
            else:
                return await self._write(self._outgoing.read())

    async def _upgrade(self) -> None:
        protocol = self._protocol
        requests = protocol.events_received()
        while not requests:
            try:
                protocol.receive_data(self._tls.read(READ_BYTES))
            except ssl.SSLWantReadError:
                self._incoming.write(await self._read())
            requests = protocol.events_received()
            if protocol.eof_sent:
                raise Gone
        request = requests[0]
        assert isinstance(request, Request)  # the library's first event is the upgrade
        response = protocol.accept(request)
        identity = request.path.rpartition("/")[2]
        if not work.admitted(identity, request.headers.get("Authorization")):
            response = protocol.reject(401, "credentials required\n")
        protocol.send_response(response)
        await self._flush()

    async def _read(self) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                data = self._socket.recv(READ_BYTES)
            except BlockingIOError:
                continue
            if not data:
                raise Gone
            return data

    async def _flush(self) -> None:
        writes = self._protocol.data_to_send()
        if writes:
            self._tls.write(b"".join(writes))
        if self._outgoing.pending:
            await self._write(self._outgoing.read())

    async def _write(self, data: bytes) -> None:
        """Straight to the socket, which nearly always takes it all."""
        while data:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket)
            else:
                data = data[sent:]


async def attend(accepted: socket.socket, context: ssl.SSLContext) -> None:
    """One connection to its end, which ends no other."""
    with accepted:
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await Charger(accepted, context).serve()
        except (Gone, OSError, WebSocketException, work.Unanswerable):
            pass


async def serve(context: ssl.SSLContext) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
        listener.setblocking(False)
        work.ready(listener.getsockname()[1])
        async with trio.open_nursery() as nursery:
            while True:
                await trio.lowlevel.wait_readable(listener)
                try:
                    while True:
                        accepted, _ = listener.accept()
                        nursery.start_soon(attend, accepted, context)
                except BlockingIOError:
                    pass


def main() -> int:
    options = work.options(__doc__)
    work.tune()
    trio.run(serve, work.tls(options.certificates))
    return 0


if __name__ == "__main__":
    sys.exit(main())

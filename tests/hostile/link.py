"""A peer that sends whatever bytes a test wants, over TCP, TLS and after an upgrade, and reads what comes back."""

from __future__ import annotations

import json
import ssl
import struct
from contextlib import suppress
from typing import Any

import trio
from attrs import define, field

from tests.endtoend.gateway_process import Gateway
from tests.endtoend.wire import PATIENCE, upgrade
from tests.support.frames import CLOSE, PING, PONG, TEXT, first_frame, frame

BOOT = '[2,"boot","BootNotification",{"chargePointVendor":"Hostile","chargePointModel":"X"}]'


OPENED: set[trio.SocketStream] = set()
"""Every link of a test; what it leaves open is closed after it, so that a failure says what failed."""


class Ended(Exception):
    """The gateway has closed. ``args``: the close code, None where there was no Close frame."""


@define
class Link:
    """One connection after the TLS handshake."""

    tcp: trio.SocketStream
    stream: trio.SSLStream[trio.SocketStream]
    data: bytes = b""
    messages: list[Any] = field(factory=list)
    """What came that ``answer`` was not waiting for."""
    _sending: trio.Lock = field(factory=trio.Lock, init=False)

    @classmethod
    async def secure(cls, gateway: Gateway, *, receive_buffer: int = 0) -> Link:
        """As far as TLS."""
        tcp = await trio.open_tcp_stream("127.0.0.1", gateway.port)
        OPENED.add(tcp)
        if receive_buffer:
            tcp.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, receive_buffer)
        link = cls(tcp, trio.SSLStream(tcp, gateway.tls, server_hostname="localhost", https_compatible=True))
        try:
            await link.stream.do_handshake()
        except BaseException:
            link.close()
            raise
        return link

    @classmethod
    async def open(cls, gateway: Gateway, identity: str, *, boot: bool = True, **options: Any) -> Link:
        """As far as a confirmed boot."""
        with trio.fail_after(PATIENCE):
            link = await cls.secure(gateway, **options)
            try:
                await link.send(upgrade(identity))
                head = await link.head()
                assert head.startswith(b"HTTP/1.1 101 "), head
                if boot:
                    await link.say(BOOT)
                    await link.answer("boot")
            except BaseException:
                link.close()
                raise
        return link

    async def send(self, data: bytes) -> None:
        """All of it, behind what another task sends."""
        async with self._sending:
            await self.stream.send_all(data)

    async def reply(self, data: bytes) -> None:
        """Send what the gateway waits for; where it has closed, reading says so."""
        with suppress(trio.BrokenResourceError):
            await self.send(data)

    async def say(self, text: str | bytes) -> None:
        """One text message."""
        await self.send(frame(TEXT, text.encode() if isinstance(text, str) else text))

    async def head(self) -> bytes:
        """The HTTP head of the answer."""
        while b"\r\n\r\n" not in self.data:
            part = await self.stream.receive_some()
            if not part:
                break
            self.data += part
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        return head

    async def frame(self) -> tuple[int, bytes]:
        """The next frame. Raises Ended."""
        while (found := first_frame(self.data)) is None:
            try:
                part = await self.stream.receive_some()
            except (trio.BrokenResourceError, ssl.SSLError):
                part = b""
            if not part:
                raise Ended(None)
            self.data += part
        opcode, payload, self.data = found
        return opcode, payload

    async def message(self) -> Any:
        """The next message; pings are answered. Raises Ended."""
        while True:
            opcode, payload = await self.frame()
            if opcode == TEXT:
                return json.loads(payload)
            if opcode == PING:
                await self.reply(frame(PONG, payload))
            elif opcode == CLOSE:
                raise Ended(struct.unpack("!H", payload[:2])[0] if payload else None)

    async def answer(self, message_id: str, seconds: float = PATIENCE) -> Any:
        """The answer to a CALL of this end; the gateway's CALLs are refused on the way. Raises Ended."""
        with trio.fail_after(seconds):
            while True:
                message = await self.message()
                if message[0] == 2:
                    await self.reply(frame(TEXT, json.dumps([4, message[1], "NotSupported", "", {}]).encode()))
                elif message[1] == message_id:
                    return message
                else:
                    self.messages.append(message)

    async def end(self, seconds: float = PATIENCE) -> int | None:
        """Read to the end: the close code."""
        with trio.fail_after(seconds):
            try:
                while True:
                    await self.message()
            except Ended as end:
                code: int | None = end.args[0]
                return code
            except trio.BrokenResourceError:
                return None

    async def lives(self, seconds: float = PATIENCE) -> None:
        """A heartbeat is confirmed."""
        await self.say('[2,"alive","Heartbeat",{}]')
        assert (await self.answer("alive", seconds))[0] == 3

    def close(self) -> None:
        """Close the socket, as it is."""
        self.tcp.socket.close()
        OPENED.discard(self.tcp)

    async def cut(self) -> None:
        """The same, for tasks."""
        self.close()
        await trio.lowlevel.checkpoint()

"""A charger's connection with only the wire faked: what the session sends, the test reads, and the other way round."""

import json
import math
from typing import Any

import trio

from gateway.transport.api import Concluded, ConnectionClosed, Peer

PATIENCE = 3600.0
"""Virtual seconds that a test waits for a frame before it says that none came."""


class FakeTransport:
    """The gateway's end: implements ``gateway.transport.api.Transport`` over memory channels."""

    def __init__(self, *, answers_pings: bool = True) -> None:
        self.peer = Peer("127.0.0.1", 50000, "TLSv1.3", "TLS_AES_128_GCM_SHA256", None)
        self.subprotocol: str | None = "ocpp1.6"
        self.last_heard = self.last_said = trio.current_time()
        self.charged: list[int] = []
        self.answers_pings = answers_pings
        self.pings = 0
        self.closed_with: tuple[int, str] | None = None
        self.sends_block = False
        self.charger_left = False
        self._reads = trio.Event()
        self._queued: list[bytes] = []
        self._flushing = trio.Lock()
        self._to_gateway, self._from_charger = trio.open_memory_channel[bytes](math.inf)
        self._to_charger, self._from_gateway = trio.open_memory_channel[bytes](math.inf)
        self._end = ConnectionClosed(1006, "", "network")
        self._arrived: int | None = None  # once concluded: messages that had come before
        self._waiting = trio.CancelScope()

    def charge(self, messages: int) -> None:
        self.charged.append(messages)

    async def receive(self) -> bytes:
        try:
            if self._arrived is None:
                with trio.CancelScope() as self._waiting:
                    return await self._receive()
            await trio.lowlevel.checkpoint()
            return self._receive_arrived()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise self._end.plain() from None  # as the connection does: one of its own for each

    async def _receive(self) -> bytes:
        data = await self._from_charger.receive()
        self.last_heard = trio.current_time()
        return data

    def _receive_arrived(self) -> bytes:
        assert self._arrived is not None
        try:
            data = self._from_charger.receive_nowait()
        except trio.WouldBlock:
            raise Concluded from None
        if not self._arrived:
            raise Concluded
        self._arrived -= 1
        self.last_heard = trio.current_time()
        return data

    def conclude(self) -> None:
        if self._arrived is None:
            self._arrived = self._from_charger.statistics().current_buffer_used
            self._waiting.cancel()

    async def send(self, data: bytes) -> None:
        while self.sends_block:
            await self._reads.wait()
        self.last_said = trio.current_time()
        try:
            await self._to_charger.send(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise self._end.plain() from None  # as the connection does: one of its own for each

    def reads_again(self) -> None:
        """The charger reads what it is sent: ``sends_block`` is over."""
        self.sends_block = False
        self._reads.set()

    def send_nowait(self, data: bytes) -> bool:
        if self.sends_block:
            self._queued.append(data)
            return False
        self.last_said = trio.current_time()
        try:
            self._to_charger.send_nowait(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise self._end.plain() from None  # as the connection does: one of its own for each
        return True

    async def flush(self) -> None:
        async with self._flushing:
            while self._queued:
                await self.send(self._queued[0])
                del self._queued[0]

    def ping_nowait(self) -> bool:
        self.pings += 1
        self.last_said = trio.current_time()
        if self.answers_pings:
            self.last_heard = trio.current_time()
        return True

    def close_nowait(self) -> bool:
        if not self.charger_left or self.sends_block:
            return False
        if self.closed_with is None:
            self.closed_with = (self._end.code, self._end.reason)
            self._end = ConnectionClosed(*self.closed_with, "local")
        self._to_charger.close()
        self._from_charger.close()
        return True

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        if self.closed_with is None:
            self.closed_with = (code, reason)
            self._end = ConnectionClosed(code, reason, "local")
        self._to_charger.close()  # without a checkpoint: a transport's is shielded
        self._from_charger.close()


class ScriptedCharger:
    """The charger's end, driven line by line by a test."""

    def __init__(self, transport: FakeTransport) -> None:
        self._transport = transport
        self._last_id = 0
        self._held: list[list[Any]] = []
        self.gone = False

    async def send_raw(self, text: str | bytes) -> None:
        try:
            await self._transport._to_gateway.send(text if isinstance(text, bytes) else text.encode())
        except trio.BrokenResourceError:
            pass  # the other end has closed: what is still written is lost, as on any socket

    async def send(self, *frame: Any) -> None:
        await self.send_raw(json.dumps(frame))

    async def call(self, action: str, payload: Any, message_id: str | None = None) -> Any:
        """Send a CALL and return its confirmation's payload; fails on a CALLERROR."""
        kind, *rest = await self.call_frame(action, payload, message_id)
        assert kind == 3, f"{action} was answered {rest}"
        return rest[0]

    async def call_frame(self, action: str, payload: Any, message_id: str | None = None) -> list[Any]:
        """Send a CALL and return its answer without the id: [3, payload] or [4, code, description, details]."""
        if message_id is None:
            self._last_id += 1
            message_id = str(self._last_id)
        await self.send(2, message_id, action, payload)
        while True:
            frame = await self._next()
            if frame[0] != 2 and frame[1] == message_id:
                return [frame[0], *frame[2:]]
            self._held.append(frame)

    async def next_call(self, action: str | None = None) -> tuple[str, str, Any]:
        """The next CALL from the gateway: (message id, action, payload)."""
        for index, frame in enumerate(self._held):
            if frame[0] == 2:
                del self._held[index]
                break
        else:
            frame = await self._next()
        assert frame[0] == 2, f"expected a CALL, got {frame}"
        assert action is None or frame[2] == action, f"expected {action}, got {frame}"
        return frame[1], frame[2], frame[3]

    async def next_answer(self) -> list[Any]:
        """The next frame from the gateway that is no CALL, whole."""
        while (frame := await self._next())[0] == 2:
            self._held.append(frame)
        return frame

    async def answer(self, message_id: str, payload: Any) -> None:
        await self.send(3, message_id, payload)

    async def answer_error(self, message_id: str, code: str, description: str = "", details: Any = None) -> None:
        await self.send(4, message_id, code, description, details or {})

    async def hears_nothing(self, seconds: float) -> None:
        """For so long no frame comes."""
        with trio.move_on_after(seconds):
            frame = await self._transport._from_gateway.receive()
            raise AssertionError(f"expected silence, got {frame!r}")

    async def hang_up(self, code: int = 1000, reason: str = "") -> None:
        self.gone = self._transport.charger_left = True
        self._transport._end = ConnectionClosed(code, reason, "peer")
        await self._transport._to_gateway.aclose()

    async def lose_link(self) -> None:
        self.gone = self._transport.charger_left = True
        self._transport._end = ConnectionClosed(1006, "connection reset", "network")
        await self._transport._to_gateway.aclose()
        await self._transport._from_gateway.aclose()

    async def sees_the_end(self) -> tuple[int, str]:
        """Wait until the gateway has closed the connection; (code, reason)."""
        with trio.fail_after(PATIENCE):
            while True:
                try:
                    self._held.append(json.loads(await self._transport._from_gateway.receive()))
                except trio.EndOfChannel:
                    assert self._transport.closed_with is not None
                    return self._transport.closed_with

    async def _next(self) -> list[Any]:
        with trio.fail_after(PATIENCE):
            frame: list[Any] = json.loads(await self._transport._from_gateway.receive())
            return frame

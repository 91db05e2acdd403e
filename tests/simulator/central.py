"""A small scripted central system: the other end of the simulator's wire, over memory streams or TLS.

It checks every request and confirmation of the charger against OCPP's own JSON schemas.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema_rs
import trio
from attrs import define, field
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, wrap_server_stream

from gateway.simulator.link import Target

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

Reply = dict[str, Any] | tuple[str, str] | None
"""A payload, (CALLERROR code, description), or None: no answer at all."""


def trio_clock() -> Callable[[], datetime]:
    """A wall clock that follows Trio's (so, with autojump_clock, virtual time), starting at NOW."""
    start = trio.current_time()
    return lambda: NOW + timedelta(seconds=trio.current_time() - start)


@cache
def _validator(name: str) -> Any:
    schema = json.loads((files("ocpp.v16") / "schemas" / f"{name}.json").read_text(encoding="utf-8-sig"))
    return jsonschema_rs.Draft4Validator(schema)


@define(eq=False)
class Wire(trio.abc.Stream):
    """The charger's end of a connection; when `dead`, nothing arrives any more and neither end notices."""

    stream: trio.abc.Stream
    dead: bool = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self.stream.receive_some(max_bytes)
        while self.dead and data:
            data = await self.stream.receive_some(max_bytes)
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()


@define(eq=False)
class Central:
    """Accepts every charger and answers everything plausibly, unless `replies` says otherwise."""

    nursery: trio.Nursery
    replies: dict[str, Callable[[dict[str, Any]], Reply]] = field(factory=dict)
    requests: list[tuple[str, dict[str, Any]]] = field(factory=list)
    #: HTTP refusals for the next upgrades, with headers; "close" closes without an answer.
    refusals: deque[tuple[int, list[tuple[bytes, bytes]]] | str] = field(factory=deque)
    targets: list[Target] = field(factory=list)
    headers: list[dict[bytes, bytes]] = field(factory=list)
    subprotocol: str | None = "ocpp1.6"
    connection: WebSocketConnection | None = None
    outstanding: int = 0
    next_transaction: int = 100
    wires: list[Wire] = field(factory=list)
    _ids: int = 0
    _answers: dict[str, Any] = field(factory=dict)
    _changed: trio.Event = field(factory=trio.Event)

    async def dial(self, target: Target) -> trio.abc.Stream:
        """A connection to this central system, for SimulatedCharger's `dial`."""
        self.targets.append(target)
        ours, theirs = memory_stream_pair()
        self.nursery.start_soon(self.serve, ours)
        self.wires.append(Wire(theirs))
        return self.wires[-1]

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends."""
        try:
            async with trio.open_nursery() as nursery:
                if self.refusals and self.refusals[0] == "close":
                    self.refusals.popleft()
                    await stream.aclose()
                    return
                await self.handle(await wrap_server_stream(nursery, stream))
                nursery.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(stream)

    async def handle(self, request: WebSocketRequest) -> None:
        """Answer the upgrade, then every message."""
        self.headers.append(dict(request.headers))
        if self.refusals:
            refusal = self.refusals.popleft()
            assert not isinstance(refusal, str)
            await request.reject(refusal[0], extra_headers=refusal[1])
            return
        connection = await request.accept(subprotocol=self.subprotocol)
        self.connection = connection
        self._ring()
        try:
            while True:
                await self._take(connection, json.loads(await connection.get_message()))
        except ConnectionClosed:
            pass
        finally:
            if self.connection is connection:
                self.connection = None
            self._ring()

    async def _take(self, connection: WebSocketConnection, frame: list[Any]) -> None:
        if frame[0] != 2:
            self._answers[frame[1]] = frame
            self._ring()
            return
        _, identifier, action, payload = frame
        _validator(action).validate(payload)
        self.requests.append((action, payload))
        self._ring()
        reply = self.replies.get(action, self._default(action))(payload)
        if isinstance(reply, dict):
            _validator(f"{action}Response").validate(reply)
            await connection.send_message(json.dumps([3, identifier, reply]))
        elif reply is not None:
            await connection.send_message(json.dumps([4, identifier, *reply, {}]))

    def _default(self, action: str) -> Callable[[dict[str, Any]], Reply]:
        match action:
            case "BootNotification":
                return lambda _: boot("Accepted", 300)
            case "Heartbeat":
                return lambda _: {"currentTime": "2026-03-02T12:00:00Z"}
            case "Authorize":
                return lambda _: {"idTagInfo": {"status": "Accepted"}}
            case "StartTransaction":
                return lambda _: self.started()
            case _:
                return lambda _: {}

    def started(self, status: str = "Accepted") -> dict[str, Any]:
        """A StartTransaction.conf with the next number."""
        self.next_transaction += 1
        return {"transactionId": self.next_transaction, "idTagInfo": {"status": status}}

    async def call(self, action: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a CALL and return its confirmation's payload; raises AssertionError for a CALLERROR."""
        frame = await self.raw_call(action, payload or {})
        assert frame[0] == 3, frame
        _validator(f"{action}Response").validate(frame[2])
        confirmation: dict[str, Any] = frame[2]
        return confirmation

    async def close(self, code: int, reason: str) -> None:
        """Close the connection with a code."""
        assert self.connection is not None
        with trio.move_on_after(1):
            await self.connection.aclose(code, reason)

    async def raw_call(self, action: str, payload: Any) -> list[Any]:
        """Send a CALL and return the frame that answers it."""
        assert self.connection is not None
        self._ids += 1
        identifier = f"c{self._ids}"
        await self.connection.send_message(json.dumps([2, identifier, action, payload]))
        with trio.fail_after(600):
            while identifier not in self._answers:
                await self._changed.wait()
        answer: list[Any] = self._answers.pop(identifier)
        return answer

    async def until(self, condition: Callable[[Central], bool], within: float = 3600) -> None:
        """Wait until a condition on what was received holds."""
        with trio.fail_after(within):
            while not condition(self):
                await self._changed.wait()

    async def heard(self, action: str, times: int = 1, **fields: Any) -> dict[str, Any]:
        """Wait for the n-th request of an action with these fields; its payload."""
        await self.until(lambda central: len(central.having(action, **fields)) >= times)
        return self.having(action, **fields)[times - 1]

    def having(self, action: str, **fields: Any) -> list[dict[str, Any]]:
        """The payloads received so far of an action with these fields."""
        return [
            payload
            for name, payload in self.requests
            if name == action and all(payload.get(key) == value for key, value in fields.items())
        ]

    def actions(self) -> list[str]:
        """The actions received so far, in order."""
        return [action for action, _ in self.requests]

    def _ring(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def boot(status: str, interval: int) -> dict[str, Any]:
    """A BootNotification.conf."""
    return {"status": status, "interval": interval, "currentTime": "2026-03-02T12:00:00Z"}


def reading(payload: dict[str, Any], measurand: str) -> float:
    """One measurand of a MeterValues request."""
    sampled = payload["meterValue"][0]["sampledValue"]
    return float(next(value["value"] for value in sampled if value["measurand"] == measurand))

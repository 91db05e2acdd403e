"""The collector's policy freezes what is alive, at any moment: calls and streams under way then must leave no cycle,
since it would never be found."""

import gc
import json
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trio
from attrs import evolve

from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import command_pb2_grpc, event_pb2, event_pb2_grpc
from gateway.app.settings import ControlSettings, HttpSettings
from tests.app.running import running, settings
from tests.app.test_serve import certificates  # noqa: F401 - a fixture
from tests.endtoend.gateway_process import free_port
from tests.support.wire import ScriptedCharger

ROUNDS = 12

SLACK = 5
"""Objects of one type that may be some library's cache, or the client's. Fewer than half of the rounds."""

DEADLINE = 1.0
"""Seconds: time enough for a command to reach the charger, on a busy machine, too."""


class Calls:
    """Ways that calls go, each of which is under way when everything is frozen."""

    def __init__(self, charger: ScriptedCharger, channel: grpc.Channel, http_port: int) -> None:
        self.charger, self.http_port = charger, http_port
        self.http: trio.SocketStream | None = None
        self.commands = command_pb2_grpc.CommandServiceStub(channel)
        self.events = event_pb2_grpc.EventServiceStub(channel)

    def _begun(self, seconds: float = 60) -> Any:
        request = commands.TriggerMessageRequest(
            charge_point="CP1",
            request_id=str(uuid.uuid4()),
            requested_message=commands.TRIGGERED_MESSAGE_HEARTBEAT,
        )
        return self.commands.TriggerMessage.future(request, timeout=seconds)

    async def _trigger(self, answer: Callable[[str], Awaitable[None]], seconds: float = 60) -> grpc.StatusCode:
        """A command; everything is frozen when it has reached the charger."""
        call = self._begun(seconds)
        message_id, _, _ = await self.charger.next_call("TriggerMessage")
        freeze()
        await answer(message_id)
        code = await trio.to_thread.run_sync(call.code)
        assert isinstance(code, grpc.StatusCode)
        return code

    async def accepted(self) -> None:
        """Accepted by the charger."""
        code = await self._trigger(lambda each: self.charger.answer(each, {"status": "Accepted"}))
        assert code is grpc.StatusCode.OK

    async def fails(self) -> None:
        """CALLERROR: a status with details."""
        code = await self._trigger(lambda each: self.charger.answer_error(each, "InternalError"))
        assert code is not grpc.StatusCode.OK

    async def waits_in_vain(self) -> None:
        """The caller's deadline comes before the charger's answer."""
        late = list[str]()

        async def later(message_id: str) -> None:
            late.append(message_id)

        assert await self._trigger(later, DEADLINE) is not grpc.StatusCode.OK
        await self.charger.answer(late[0], {"status": "Accepted"})

    async def is_given_up(self) -> None:
        """The caller cancels it."""
        call = self._begun()
        message_id, _, _ = await self.charger.next_call("TriggerMessage")
        freeze()
        call.cancel()
        await self.charger.answer(message_id, {"status": "Accepted"})
        assert await self.charger.call("Heartbeat", {})  # answered behind it: it has been dealt with

    async def over_http(self) -> None:
        """By HTTP and JSON. The connection stays: it is asyncio's, whose transports are cycles of their own."""
        if self.http is None:
            self.http = await trio.open_tcp_stream("127.0.0.1", self.http_port)
        request = {"charge_point": "CP1", "request_id": str(uuid.uuid4())}
        body = json.dumps({**request, "requested_message": "TRIGGERED_MESSAGE_HEARTBEAT"}).encode()
        head = f"POST /v1/CommandService/TriggerMessage HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n"
        await self.http.send_all(head.encode() + b"content-type: application/json\r\n\r\n" + body)
        message_id, _, _ = await self.charger.next_call("TriggerMessage")
        freeze()
        await self.charger.answer(message_id, {"status": "Accepted"})
        answer = b""
        while not answer.rstrip().endswith(b"}"):
            more = await self.http.receive_some()
            assert more
            answer += more
        assert answer.startswith(b"HTTP/1.1 200")

    async def watches(self) -> None:
        """A stream that its reader cancels."""
        stream: Any = self.events.WatchEvents(event_pb2.WatchEventsRequest(start_at=event_pb2.WATCH_START_BEGINNING))
        await trio.to_thread.run_sync(lambda: next(stream))
        freeze()
        stream.cancel()
        while await trio.to_thread.run_sync(stream.is_active):  # noqa: ASYNC110 - a thread of gRPC's knows
            await trio.sleep(0.01)


def freeze() -> None:
    """As the policy does."""
    gc.collect()
    gc.freeze()


@contextmanager
def knots() -> Iterator[Counter[str]]:
    """Count what is frozen in this block and becomes garbage that only the collector frees, by type."""
    found = Counter[str]()
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield found
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.unfreeze()
        gc.collect()
        found.update(type(each).__name__ for each in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.mark.parametrize(
    "way", [Calls.accepted, Calls.fails, Calls.waits_in_vain, Calls.is_given_up, Calls.over_http, Calls.watches]
)
async def test_calls_that_were_frozen_under_way_leave_nothing_for_the_collector(
    way: Callable[[Calls], Awaitable[Any]],
    tmp_path: Path,
    certificates: Path,  # noqa: F811
) -> None:
    """Whatever becomes of them, they are freed with their last reference."""
    port, http_port = free_port(), free_port()
    configured = evolve(
        settings(tmp_path, certificates),
        control=ControlSettings(address=f"127.0.0.1:{port}"),
        http=HttpSettings(address=f"127.0.0.1:{http_port}"),
    )
    async with running(configured) as serving:
        charger = await serving.booted()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            calls = Calls(charger, channel, http_port)
            for _ in range(3):
                await way(calls)
            with knots() as found:
                for _ in range(ROUNDS):
                    await way(calls)
                await trio.sleep(0.2)
            if calls.http is not None:
                await calls.http.aclose()
        assert {name: count for name, count in found.items() if count > SLACK} == {}


def test_a_cycle_that_was_frozen_is_seen() -> None:
    """A cycle made on purpose in each round is counted, as those of the tests above would be."""

    class Knot:
        def __init__(self) -> None:
            self.itself = self

    with knots() as found:
        for _ in range(ROUNDS):
            knot = Knot()
            freeze()
            del knot
    assert found["Knot"] == ROUNDS

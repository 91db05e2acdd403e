"""The collector's policy freezes what is alive, at any moment: calls and streams under way then must leave no cycle,
since it would never be found."""

import gc
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
from gateway.app.settings import ControlSettings
from tests.app.running import Running, running, settings
from tests.app.test_serve import certificates  # noqa: F401 - a fixture
from tests.endtoend.gateway_process import free_port
from tests.support.wire import ScriptedCharger

ROUNDS = 20

SLACK = 15
"""Objects of one type that may be some library's cache, or the client's. Fewer than rounds."""


class Calls:
    """Ways that calls go, each of which is under way when everything is frozen."""

    def __init__(self, serving: Running, charger: ScriptedCharger, channel: grpc.Channel) -> None:
        self.charger = charger
        self.commands = command_pb2_grpc.CommandServiceStub(channel)
        self.events = event_pb2_grpc.EventServiceStub(channel)

    async def _trigger(self, answer: Callable[[str], Awaitable[None]], seconds: float = 60) -> grpc.StatusCode:
        """A command; everything is frozen when it has reached the charger."""
        request = commands.TriggerMessageRequest(
            charge_point="CP1",
            request_id=str(uuid.uuid4()),
            requested_message=commands.TRIGGERED_MESSAGE_HEARTBEAT,
        )
        call = self.commands.TriggerMessage.future(request, timeout=seconds)
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

        assert await self._trigger(later, 0.6) is not grpc.StatusCode.OK
        await self.charger.answer(late[0], {"status": "Accepted"})

    async def watches(self) -> None:
        """A stream that its reader cancels."""
        stream = self.events.WatchEvents(event_pb2.WatchEventsRequest(start_at=event_pb2.WATCH_START_BEGINNING))
        await trio.to_thread.run_sync(next, stream)
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
    """What was frozen in this block and fell apart into garbage that only the collector frees, by type."""
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


@pytest.mark.parametrize("way", [Calls.accepted, Calls.fails, Calls.waits_in_vain, Calls.watches])
async def test_calls_that_were_frozen_under_way_leave_nothing_for_the_collector(
    way: Callable[[Calls], Awaitable[Any]],
    tmp_path: Path,
    certificates: Path,  # noqa: F811
) -> None:
    """Whatever becomes of them, they are freed with their last reference."""
    port = free_port()
    configured = evolve(settings(tmp_path, certificates), control=ControlSettings(address=f"127.0.0.1:{port}"))
    async with running(configured) as serving:
        charger = await serving.booted()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            calls = Calls(serving, charger, channel)
            for _ in range(3):
                await way(calls)
            with knots() as found:
                for _ in range(ROUNDS):
                    await way(calls)
                await trio.sleep(0.2)
        assert {name: count for name, count in found.items() if count > SLACK} == {}

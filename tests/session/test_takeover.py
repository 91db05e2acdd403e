"""A newer connection at every moment of an older one's life: one owner, one history, one word to callers."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.domain.commands import ClearCache, CommandRecord, Reset, ResetType
from gateway.domain.events import TransactionStarted
from gateway.session.limits import SessionLimits
from tests.support.harness import Harness, boot
from tests.support.wire import ScriptedCharger

START = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-03-01T12:00:00Z"}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}
DISK_SECONDS = 0.1


async def live(harness: Harness, charger: ScriptedCharger, outcomes: list[Any], nursery: trio.Nursery) -> None:
    """Boot, a status, a start, a command answered, one on the wire and one behind it; some two seconds."""

    async def ask(command: Any, request_id: str) -> None:
        deadline = trio.current_time() + 30
        outcomes.append(await harness.router.call("CP1", command, request_id=request_id, deadline=deadline))

    await charger.send(2, "b", "BootNotification", {"chargePointVendor": "A", "chargePointModel": "B"})
    await charger.send(2, "s", "StatusNotification", STATUS)
    await charger.send(2, "t", "StartTransaction", START)
    await trio.sleep(0.5)
    nursery.start_soon(ask, ClearCache(), "first")
    nursery.start_soon(ask, Reset(ResetType.SOFT), "second")
    with trio.move_on_after(1):
        while True:
            frame = await charger._transport._from_gateway.receive()
            if frame.startswith(b"[2") and b"ClearCache" in frame:
                await charger.answer(frame.split(b'"')[1].decode(), {"status": "Accepted"})
                return


@pytest.mark.parametrize("step", range(40))
async def test_a_takeover_at_any_moment_leaves_one_owner_and_one_history(
    harness: Harness, autojump_clock: MockClock, step: int
) -> None:
    """The disk takes a while for every write, so that there is an await everywhere to be in between."""
    harness.limits = SessionLimits(settle_delay=0, call_timeout=5)
    harness.add_charge_point()
    harness.add_tag("TAG")
    harness.journal.stall_seconds = DISK_SECONDS
    outcomes: list[Any] = []
    async with trio.open_nursery() as nursery, harness.connected() as old:

        async def lives() -> None:
            try:
                await live(harness, old, outcomes, nursery)
            except trio.EndOfChannel:
                pass  # displaced

        nursery.start_soon(lives)
        await trio.sleep(step * DISK_SECONDS / 2)
        async with harness.connected() as new:
            await old.sees_the_end()
            old.gone = True
            await boot(new)
            confirmed = await new.call("StartTransaction", START)
            await trio.sleep(60)
            owner = harness.router.live("CP1")
            assert owner is not None
            assert owner.epoch == 2
            assert len(harness.router) == 1

    events = harness.events()
    opened = next(each.sequence for each in events if each.epoch == 2)
    assert [each.type for each in events if each.epoch == 1 and each.sequence > opened] == []
    [started] = harness.bodies_of(TransactionStarted)
    assert confirmed["transactionId"] == started.number
    assert len(harness.bodies("charge_point.disconnected")) == 2

    commands = {each.command_id: each for each in harness.store.commands("CP1", None, 10)}
    assert all(each.state.final for each in commands.values())
    for outcome in outcomes:
        if isinstance(outcome, CommandRecord):
            assert commands.pop(outcome.command_id).state is outcome.state
    assert commands == {}, "what is recorded has been told"

"""A session whose charge point has a new owner, and which has not heard of it yet: nothing that it writes is recorded.

That moment lies between the commit of the newcomer's opening and the router's word to the old session. Here it lasts
for as long as a test likes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.domain.commands import ClearCache, CommandRecord, CommandState, ReserveNow
from gateway.domain.events import ChargePointConnected
from gateway.domain.values import ConnectorAddress
from gateway.session.commands.provisioning import DesiredKey
from gateway.session.limits import SessionLimits
from gateway.store.commits import Append, Appended, DeleteChargePoint, Opened, OpenSession
from gateway.store.filters import TransactionFilter
from tests.support.harness import BOOT, EPOCH, Harness, boot, virtual_clock
from tests.support.wire import FakeTransport, ScriptedCharger

TIME = "2026-03-01T12:00:00Z"
START = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": TIME}
STOP = {"transactionId": 1, "meterStop": 200, "timestamp": TIME}
READINGS = {"connectorId": 1, "meterValue": [{"timestamp": TIME, "sampledValue": [{"value": "150"}]}]}

Step = Callable[[Harness, ScriptedCharger], Awaitable[None]]


def says(action: str, payload: Any) -> Step:
    """A message of the charger's that has something to be recorded."""

    async def step(_: Harness, charger: ScriptedCharger) -> None:
        await charger.send(2, "late", action, payload)

    return step


async def answers_late(_: Harness, charger: ScriptedCharger) -> None:
    """To the command that was under way."""
    message_id, *_rest = await charger.next_call("ClearCache")
    await charger.answer(message_id, {"status": "Accepted"})


async def answers_nothing(harness: Harness, charger: ScriptedCharger) -> None:
    """So the command that was under way has an outcome that is not known."""
    await trio.sleep(harness.limits.call_timeout + 1)


async def is_let_go(harness: Harness, _: ScriptedCharger) -> None:
    harness.router.disconnect("CP1")


async def hangs_up(_: Harness, charger: ScriptedCharger) -> None:
    await charger.hang_up()


async def loses_its_link(_: Harness, charger: ScriptedCharger) -> None:
    await charger.lose_link()


async def is_silent(harness: Harness, _: ScriptedCharger) -> None:
    await trio.sleep(harness.limits.silence + harness.limits.ping_grace + 1)


WRITES: dict[str, Step] = {
    "boot": says("BootNotification", BOOT | {"firmwareVersion": "2.0"}),
    "status": says("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Faulted"}),
    "start": says("StartTransaction", START | {"meterStart": 300}),
    "start of an unknown tag": says("StartTransaction", START | {"idTag": "NOBODY"}),
    "stop": says("StopTransaction", STOP),
    "readings": says("MeterValues", READINGS),
    "readings of the transaction": says("MeterValues", READINGS | {"transactionId": 1}),
    "readings that cannot be read": says("MeterValues", {"connectorId": 1, "meterValue": "much"}),
    "diagnostics": says("DiagnosticsStatusNotification", {"status": "Uploaded"}),
    "firmware": says("FirmwareStatusNotification", {"status": "Installed"}),
    "security event": says("SecurityEventNotification", {"type": "InvalidMessages", "timestamp": TIME}),
    "vendor data": says("DataTransfer", {"vendorId": "V", "data": "x"}),
    "late answer": answers_late,
    "no answer": answers_nothing,
    "let go": is_let_go,
    "hang up": hangs_up,
    "lost link": loses_its_link,
    "silence": is_silent,
}

MESSAGES = [name for name, step in WRITES.items() if step.__name__ == "step"]
"""Those that are messages of the charger's: by these the session hears of it."""


@asynccontextmanager
async def charging(harness: Harness, transport: FakeTransport) -> AsyncIterator[ScriptedCharger]:
    """A charger with a transaction, and a command on the wire."""
    harness.limits = SessionLimits(settle_delay=0)
    harness.add_charge_point()
    harness.add_tag("TAG")
    async with trio.open_nursery() as nursery, harness.connected(transport=transport) as charger:
        await boot(charger)
        assert (await charger.call("StartTransaction", START))["transactionId"] == 1
        nursery.start_soon(ask, harness)
        await wait_all_tasks_blocked()
        yield charger


async def ask(harness: Harness) -> None:
    await harness.router.call("CP1", ClearCache(), request_id="r", deadline=trio.current_time() + 10_000)


def books(harness: Harness) -> tuple[Any, ...]:
    """All that the store holds of the charge point beside its history."""
    store = harness.store
    return store.charge_point("CP1"), store.transactions(TransactionFilter(), None, 10), store.commands("CP1", None, 10)


def new_owner(harness: Harness) -> int:
    """The store gives the charge point to another connection; answers the newest event's sequence."""
    connected = ChargePointConnected("127.0.0.1:2", "ocpp1.6", 2, "TLSv1.3")
    [opened] = harness.store.commit([OpenSession("CP1", connected, virtual_clock())])
    assert isinstance(opened, Opened)
    assert opened.epoch == 2
    return opened.sequences[-1]


@pytest.mark.parametrize("name", WRITES)
async def test_nothing_is_recorded_of_a_session_that_has_lost_its_charge_point(
    harness: Harness, autojump_clock: MockClock, name: str
) -> None:
    """Neither under its own epoch nor under the new owner's: the history and the state are the new owner's alone."""
    transport = FakeTransport(answers_pings=False)
    async with charging(harness, transport) as old:
        newest = new_owner(harness)
        before = books(harness)
        await WRITES[name](harness, old)
        if not old.gone:
            end = await old.sees_the_end()
            old.gone = True
            if name in MESSAGES:
                assert end == (1008, "replaced")
        await trio.sleep(1)
    assert [each.type for each in harness.events() if each.sequence > newest] == []
    assert books(harness) == before
    assert [frame for frame in old._held if frame[0] != 2] == [], "nothing late is acknowledged"


async def test_every_append_of_a_session_carries_its_epoch(harness: Harness, autojump_clock: MockClock) -> None:
    """An append without one is the operator's, and not fenced."""
    harness.boot_configuration = (DesiredKey("A", ("1",)),)
    async with charging(harness, FakeTransport()) as charger:
        asked = set()
        for _ in range(2):
            message_id, action, _ = await charger.next_call()
            await charger.answer(message_id, {"status": "Accepted"})
            asked.add(action)
        assert asked == {"ClearCache", "ChangeConfiguration"}
        for action, payload in (("MeterValues", READINGS), ("StopTransaction", STOP)):
            await charger.call(action, payload)
    appends = [write for write in harness.journal.commits if isinstance(write, Append)]
    assert len(appends) >= 8
    assert {append.epoch for append in appends} == {1}


async def test_the_end_of_an_old_session_does_not_end_the_new_one(harness: Harness, autojump_clock: MockClock) -> None:
    """Recorded after the newcomer was, while both links break at once or one after the other."""
    harness.add_charge_point()
    async with harness.connected() as old:
        await boot(old)
        newest = new_owner(harness)
        await old.lose_link()
        await trio.sleep(1)
    record = harness.store.charge_point("CP1")
    assert record is not None
    assert record.connection.connected
    assert record.connection.epoch == 2
    assert [each for each in harness.events() if each.sequence > newest] == []


async def test_a_reservation_that_ended_meanwhile_is_not_ended_by_the_old_session(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Events that a session adds to a message by the clock are fenced with the message."""
    harness.limits = SessionLimits(settle_delay=0)
    harness.add_charge_point()
    async with trio.open_nursery() as nursery, harness.connected() as old:
        await boot(old)
        until = virtual_clock().replace(minute=5)
        command = ReserveNow(ConnectorAddress(1, 1), until, "TAG", 7)
        outcomes: list[Any] = []

        async def reserve() -> None:
            outcomes.append(await harness.router.call("CP1", command, request_id="r", deadline=trio.current_time() + 9))

        nursery.start_soon(reserve)
        message_id, _, _ = await old.next_call("ReserveNow")
        await old.answer(message_id, {"status": "Accepted"})
        await trio.sleep(400)
        assert isinstance(outcomes[0], CommandRecord)
        assert outcomes[0].state is CommandState.ANSWERED
        newest = new_owner(harness)
        await old.send(2, "late", "Heartbeat", {})
        assert await old.sees_the_end() == (1008, "replaced")
        old.gone = True
    assert [each.type for each in harness.events() if each.sequence > newest] == []
    held = harness.store.charge_point("CP1")
    assert held is not None
    assert [each.reservation_id for each in held.reservations] == [7]


async def test_the_operators_own_events_need_no_epoch(harness: Harness) -> None:
    """The other side of it: they belong to whichever session is current."""
    harness.add_charge_point()
    new = harness.store.commit(
        [OpenSession("CP1", ChargePointConnected("127.0.0.1:2", "ocpp1.6", 2, "TLSv1.3"), EPOCH)]
    )
    assert isinstance(new[0], Opened)
    assert isinstance(harness.store.commit([Append("CP1", None, ())])[0], Appended)


@pytest.mark.parametrize("name", [*MESSAGES, "late answer"])
async def test_nothing_is_recorded_of_a_charge_point_that_was_deleted_meanwhile(
    harness: Harness, autojump_clock: MockClock, name: str
) -> None:
    """The router's word is still under way: the session hears it from its write, and says so."""
    async with charging(harness, FakeTransport()) as charger:
        harness.store.commit([DeleteChargePoint("CP1", virtual_clock())])
        newest = harness.events()[-1].sequence
        await WRITES[name](harness, charger)
        assert await charger.sees_the_end() == (1008, "deleted")
        charger.gone = True
    assert [each.type for each in harness.events() if each.sequence > newest] == []
    assert [frame for frame in charger._held if frame[0] != 2] == [], "nothing late is acknowledged"

"""A newer connection takes over: what came whole on the older one before is decided, committed and answered there; the
newer one waits for that, a second at most."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define
from trio.testing import MockClock

from gateway.domain.commands import CallOutcome, ClearCache, CommandRecord, CommandState, Reset, ResetType
from gateway.domain.events import ChargePointDisconnected
from gateway.domain.records import IdTagRecord
from gateway.domain.values import Registration
from gateway.domain.vendor_data import VendorAnswer, VendorData, VendorDataStatus
from gateway.session.limits import SessionLimits
from gateway.session.lookups import Lookups, TableAuthorizer
from gateway.session.router import HAND_OVER_SECONDS
from gateway.store.commits import CreateChargePoint, PutIdTag
from tests.support.harness import EPOCH, Harness, boot, virtual_clock
from tests.support.wire import FakeTransport, ScriptedCharger

TIME = "2026-03-01T12:00:00Z"
START = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": TIME}
STOP = {"transactionId": 1, "idTag": "TAG", "meterStop": 2100, "timestamp": TIME}
READINGS = {
    "connectorId": 1,
    "transactionId": 1,
    "meterValue": [{"timestamp": TIME, "sampledValue": [{"value": "150"}]}],
}
VENDOR_DATA = {"vendorId": "com.example", "data": "x"}


def status(number: int) -> dict[str, Any]:
    """One that differs from the one before."""
    return {
        "connectorId": 1,
        "errorCode": "NoError",
        "status": "Charging",
        "info": f"{number}",
        "timestamp": TIME,
    }


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    made = Harness(tmp_path, limits=SessionLimits(settle_delay=0, call_timeout=5))
    made.store.commit(
        [
            CreateChargePoint("CP1", Registration.ACCEPTED, (), EPOCH),
            PutIdTag(IdTagRecord("TAG", "Accepted", EPOCH, EPOCH), create=True),
        ]
    )
    yield made
    made.store.close()


async def charging(charger: ScriptedCharger) -> None:
    await boot(charger)
    assert (await charger.call("StartTransaction", START))["transactionId"] == 1


def recorded(harness: Harness) -> dict[str, int]:
    """The epoch of each message of the charger's that there is an event of, by message id."""
    return {each.cause.removeprefix("message:"): each.epoch for each in harness.events() if each.cause}


def nothing_late(harness: Harness) -> None:
    """No event of an older connection lies behind the opening of the next one."""
    epochs = [each.epoch for each in harness.events() if each.epoch]
    assert epochs == sorted(epochs)


async def answers_until_the_end(charger: ScriptedCharger) -> dict[str, Any]:
    """By message id, what was confirmed until the gateway closed the connection."""
    assert await charger.sees_the_end() == (1008, "replaced")
    charger.gone = True
    return {frame[1]: frame[2] for frame in charger._held if frame[0] == 3}


# --- what had come is dealt with ------------------------------------------------------------------------------


@pytest.mark.parametrize("look_up", [0.0, 0.001, 0.2])
@pytest.mark.parametrize("disk", [0.0, 0.2])
async def test_a_stop_that_came_before_the_takeover_is_recorded_and_answered(
    harness: Harness, autojump_clock: MockClock, look_up: float, disk: float
) -> None:
    """Though its tag has to be looked up first; and its repeat on the new connection gets the same answer."""
    async with harness.connected() as old:
        await charging(old)
        harness.journal.read_seconds, harness.journal.stall_seconds = look_up, disk
        await old.send(2, "stop", "StopTransaction", STOP)
        async with harness.connected() as new:
            answers = await answers_until_the_end(old)
            assert answers["stop"] == {"idTagInfo": {"status": "Accepted"}}
            assert await new.call("StopTransaction", STOP) == answers["stop"]
    assert recorded(harness)["stop"] == 1
    assert len(harness.bodies("transaction.stopped")) == 1
    nothing_late(harness)


@pytest.mark.parametrize("step", range(40))
async def test_whatever_was_said_before_the_takeover_is_recorded_and_answered(
    harness: Harness, autojump_clock: MockClock, step: int
) -> None:
    """A message every few milliseconds, of every kind, sent before the one before it is answered."""
    harness.journal.read_seconds = harness.journal.stall_seconds = 0.003
    said: list[str] = []

    async def speaks(charger: ScriptedCharger) -> None:
        messages: list[tuple[str, dict[str, Any]]] = [("StartTransaction", START)]
        messages += [("StatusNotification", status(number)) for number in range(5)]
        messages += [("Authorize", {"idTag": "TAG"}), ("MeterValues", READINGS), ("Heartbeat", {})]
        messages += [("DataTransfer", VENDOR_DATA), ("StopTransaction", STOP), ("StatusNotification", status(5))]
        for number, (action, payload) in enumerate(messages):
            said.append(f"m{number}")
            await charger.send(2, f"m{number}", action, payload)
            await trio.sleep(0.0041)

    async with trio.open_nursery() as nursery, harness.connected() as old:
        await boot(old)
        nursery.start_soon(speaks, old)
        await trio.sleep((step + 0.5) * 0.0015)
        before = set(said)
        async with harness.connected() as new:
            answers = await answers_until_the_end(old)
            assert before <= answers.keys()
            await trio.sleep(1)
            assert answers.keys() == before, "the rest is refused"
            if "m0" in before:
                assert (await new.call("StartTransaction", START))["transactionId"] == answers["m0"]["transactionId"]
    with_events = {message_id for message_id in recorded(harness) if message_id in said}
    assert with_events >= before - {"m6", "m8"}, "Authorize and Heartbeat leave nothing behind"
    assert {recorded(harness)[message_id] for message_id in with_events & before} <= {1}
    nothing_late(harness)


async def test_a_message_that_comes_after_the_newcomer_is_refused(harness: Harness, autojump_clock: MockClock) -> None:
    """Also while the older connection still has something to do."""
    async with trio.open_nursery() as nursery, harness.connected() as old:
        await charging(old)
        harness.journal.read_seconds = 0.2
        await old.send(2, "before", "StopTransaction", STOP)

        async def speaks_on() -> None:
            await trio.sleep(0.1)
            await old.send(2, "after", "StatusNotification", status(0))

        nursery.start_soon(speaks_on)
        async with harness.connected():
            answers = await answers_until_the_end(old)
    assert "before" in answers
    assert "after" not in answers
    assert recorded(harness)["before"] == 1
    assert "after" not in recorded(harness)


async def test_an_answer_to_a_command_that_had_come_is_the_commands(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """It was read, so it is recorded as read."""
    outcomes: list[CallOutcome] = []

    async def ask() -> None:
        deadline = trio.current_time() + 30
        outcomes.append(await harness.router.call("CP1", ClearCache(), request_id="r", deadline=deadline))

    async with trio.open_nursery() as nursery, harness.connected() as old:
        await charging(old)
        nursery.start_soon(ask)
        message_id, _, _ = await old.next_call("ClearCache")
        harness.journal.stall_seconds = 0.1
        await old.send(2, "s", "StatusNotification", status(0))
        await old.answer(message_id, {"status": "Accepted"})
        async with harness.connected():
            await answers_until_the_end(old)
    [outcome] = outcomes
    assert isinstance(outcome, CommandRecord)
    assert outcome.state is CommandState.ANSWERED


async def test_the_newer_connection_waits_until_an_answer_to_a_command_is_committed(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Though it is the last that came on the older one, and no answer goes out to it."""
    outcomes: list[CallOutcome] = []

    async def ask() -> None:
        deadline = trio.current_time() + 30
        outcomes.append(await harness.router.call("CP1", ClearCache(), request_id="r", deadline=deadline))

    async with trio.open_nursery() as nursery, harness.connected() as old:
        await charging(old)
        nursery.start_soon(ask)
        message_id, _, _ = await old.next_call("ClearCache")
        harness.journal.stall_seconds = 0.3
        before = trio.current_time()
        await old.answer(message_id, {"status": "Accepted"})
        with harness.router.arriving("CP1") as arrival:
            await harness.router.hand_over("CP1", arrival)
            assert trio.current_time() - before >= 0.3
            harness.journal.stall_seconds = 0
            await trio.sleep(0.01)
            [outcome] = outcomes
            assert isinstance(outcome, CommandRecord)
            assert outcome.state is CommandState.ANSWERED


async def test_no_command_goes_out_while_a_connection_is_handed_over(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Its answer would not be read: it is known not to have been sent."""
    outcomes: list[CallOutcome] = []

    async def ask() -> None:
        await trio.sleep(0.1)
        deadline = trio.current_time() + 30
        outcomes.append(await harness.router.call("CP1", Reset(ResetType.HARD), request_id="r", deadline=deadline))

    async with trio.open_nursery() as nursery, harness.connected() as old:
        await charging(old)
        harness.journal.read_seconds = 0.2
        await old.send(2, "stop", "StopTransaction", STOP)
        await old.send(2, "boot", "BootNotification", {"chargePointVendor": "A", "chargePointModel": "B"})
        nursery.start_soon(ask)
        async with harness.connected():
            answers = await answers_until_the_end(old)
    assert answers.keys() >= {"stop", "boot"}
    assert [frame for frame in old._held if frame[0] == 2] == []
    [outcome] = outcomes
    assert isinstance(outcome, CommandRecord)
    assert outcome.state is CommandState.NOT_SENT
    assert harness.store.commands("CP1", None, 10)[0].state is CommandState.NOT_SENT


@define
class SlowService:
    """Answers vendors' data after a while."""

    seconds: float

    def at_once(self, vendor_id: str, message_id: str | None) -> VendorAnswer | None:
        return None

    async def ask(self, data: VendorData) -> VendorAnswer:
        await trio.sleep(self.seconds)
        return VendorAnswer(VendorDataStatus.ACCEPTED, "thanks")


@pytest.mark.parametrize(("seconds", "answered"), [(0.5, True), (1000.0, False)])
async def test_vendors_data_is_answered_if_its_service_does_so_in_time(
    harness: Harness, autojump_clock: MockClock, seconds: float, answered: bool
) -> None:
    """A task of its own waits for the service, and the newcomer for that, within the same second."""
    authorizer = TableAuthorizer(harness.reads, virtual_clock, "Invalid")
    harness.lookups = Lookups(harness.reads, authorizer, harness._number, SlowService(seconds))
    async with harness.connected() as old:
        await boot(old)
        await old.send(2, "data", "DataTransfer", VENDOR_DATA)
        before = trio.current_time()
        async with harness.connected():
            assert trio.current_time() - before == min(seconds, HAND_OVER_SECONDS)
            answers = await answers_until_the_end(old)
    assert ("data" in answers) is answered
    assert ("data" in recorded(harness)) is answered


# --- a link that is dead, or takes nothing --------------------------------------------------------------------


@pytest.mark.parametrize("moment", range(10))
async def test_what_came_before_the_link_died_is_recorded_once(
    harness: Harness, autojump_clock: MockClock, moment: int
) -> None:
    """The answers go nowhere; each repeat on the new connection gets the same one."""
    async with harness.connected() as old:
        await charging(old)
        harness.journal.read_seconds = harness.journal.stall_seconds = 0.01
        await old.send(2, "status", "StatusNotification", status(1))
        await old.send(2, "stop", "StopTransaction", STOP)
        await trio.sleep(moment * 0.005)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(old.lose_link)
            async with harness.connected() as new:
                assert await new.call("StopTransaction", STOP) == {"idTagInfo": {"status": "Accepted"}}
                await new.call("StatusNotification", status(1))
    assert len(harness.bodies("transaction.stopped")) == 1
    nothing_late(harness)


async def test_a_link_that_dies_meanwhile_keeps_nothing_from_being_recorded(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The first answer shows that it is dead; there are messages behind it, and a command on the wire."""
    async with trio.open_nursery() as nursery, harness.connected() as old:
        await charging(old)

        async def dies() -> None:
            await trio.sleep(0.05)
            await old._transport._from_gateway.aclose()

        harness.journal.read_seconds = 0.1
        await old.send(2, "slow", "Authorize", {"idTag": "TAG"})
        await old.send(2, "status", "StatusNotification", status(1))
        await old.send(2, "readings", "MeterValues", READINGS)
        await old.send(2, "stop", "StopTransaction", STOP)
        nursery.start_soon(dies)
        async with harness.connected() as new:
            harness.journal.read_seconds = 0
            old.gone = True
            assert await new.call("StopTransaction", STOP) == {"idTagInfo": {"status": "Accepted"}}
    assert [recorded(harness).get(each) for each in ("status", "readings", "stop")] == [1, 1, 1]
    assert len(harness.bodies("transaction.stopped")) == 1
    nothing_late(harness)


async def test_messages_behind_an_answer_that_is_not_taken_are_recorded(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The link is full: the newcomer waits for its second, and no longer."""
    transport = FakeTransport()
    async with harness.connected(transport=transport) as old:
        await charging(old)
        transport.sends_block = True
        for number in range(3):
            await old.send(2, f"heartbeat {number}", "Heartbeat", {})
            await old.send(2, f"status {number}", "StatusNotification", status(number))
        await old.send(2, "stop", "StopTransaction", STOP)
        await trio.sleep(5)
        assert "stop" not in recorded(harness), "who doesn't read its answers is not read from"
        before = trio.current_time()
        async with harness.connected() as new:
            assert trio.current_time() - before == HAND_OVER_SECONDS
            old.gone = True
            assert await new.call("StopTransaction", STOP) == {"idTagInfo": {"status": "Accepted"}}
    assert {recorded(harness)[each] for each in ("status 0", "status 1", "status 2", "stop")} == {1}
    assert len(harness.bodies("transaction.stopped")) == 1


async def test_answers_that_are_taken_late_are_still_sent(harness: Harness, autojump_clock: MockClock) -> None:
    """A slow link that takes bytes again within the second."""
    transport = FakeTransport()
    async with trio.open_nursery() as nursery, harness.connected(transport=transport) as old:
        await charging(old)
        transport.sends_block = True
        await old.send(2, "heartbeat", "Heartbeat", {})
        await old.send(2, "stop", "StopTransaction", STOP)
        await trio.sleep(5)

        async def recovers() -> None:
            await trio.sleep(0.4)
            transport.reads_again()

        nursery.start_soon(recovers)
        before = trio.current_time()
        async with harness.connected():
            assert trio.current_time() - before == pytest.approx(0.4)
            answers = await answers_until_the_end(old)
    assert answers.keys() >= {"heartbeat", "stop"}


async def test_a_link_that_dies_with_the_last_answer_on_it_is_replaced_all_the_same(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The newcomer waits no longer for it, and it ends as displaced: nothing of it was drained."""
    transport = FakeTransport()
    async with trio.open_nursery() as nursery, harness.connected(transport=transport) as old:
        await charging(old)
        transport.sends_block = True
        await old.send(2, "stop", "StopTransaction", STOP)
        await trio.sleep(5)

        async def dies() -> None:
            await trio.sleep(0.4)
            await transport._from_gateway.aclose()
            transport.reads_again()

        nursery.start_soon(dies)
        before = trio.current_time()
        harness.journal.stall_seconds = 0.1
        async with harness.connected() as new:
            assert trio.current_time() - before == pytest.approx(0.5)
            harness.journal.stall_seconds = 0.0
            old.gone = True
            assert await new.call("StopTransaction", STOP) == {"idTagInfo": {"status": "Accepted"}}
    assert [each.reason for each in harness.bodies_of(ChargePointDisconnected)] == ["replaced", "closed"]
    assert len(harness.bodies("transaction.stopped")) == 1
    nothing_late(harness)


# --- the bound ------------------------------------------------------------------------------------------------


async def test_a_silent_connection_is_not_waited_for(harness: Harness, autojump_clock: MockClock) -> None:
    """Neither is one that has never said anything, nor one that has answered all."""
    async with harness.connected() as first:
        before = trio.current_time()
        async with harness.connected() as second:
            await answers_until_the_end(first)
            await charging(second)
            async with harness.connected():
                await answers_until_the_end(second)
                assert trio.current_time() == before


async def test_a_flood_delays_the_newcomer_by_a_second(harness: Harness, autojump_clock: MockClock) -> None:
    """Messages not dealt with by then are refused by their epoch."""
    async with harness.connected() as old:
        await charging(old)
        harness.journal.stall_seconds = 0.15
        for number in range(1000):
            await old.send(2, f"{number}", "StatusNotification", status(number))
        before = trio.current_time()
        async with harness.connected():
            assert trio.current_time() - before == pytest.approx(HAND_OVER_SECONDS + 0.15)
            await answers_until_the_end(old)
    flood = [each for each in recorded(harness).values() if each]
    assert 5 <= len(flood) < 15
    nothing_late(harness)


@pytest.mark.parametrize("hangs", ["look-up", "commit"])
async def test_a_store_that_hangs_delays_the_opening_by_a_second(
    harness: Harness, autojump_clock: MockClock, hangs: str
) -> None:
    """Then the newcomer's fate is the store's, as that of everybody else."""
    async with harness.connected() as old:
        await charging(old)
        if hangs == "look-up":
            harness.journal.read_seconds = 1000
        else:
            harness.journal.stall_seconds = 1000
        await old.send(2, "stop", "StopTransaction", STOP)
        await trio.sleep(0.1)
        before = trio.current_time()
        with harness.router.arriving("CP1") as arrival:
            await harness.router.hand_over("CP1", arrival)
            assert trio.current_time() - before == HAND_OVER_SECONDS
        harness.journal.read_seconds = harness.journal.stall_seconds = 0


async def test_a_connection_whose_successor_cannot_be_opened_is_ended(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Nothing is read of it any more: the charger has to come anew."""
    async with harness.connected() as old:
        await charging(old)
        harness.journal.failing = True
        with harness.router.arriving("CP1") as arrival:
            await harness.router.hand_over("CP1", arrival)
        assert await old.sees_the_end() == (1011, "store-unavailable")
        old.gone = True


async def test_of_many_newcomers_each_displaces_the_one_before(harness: Harness, autojump_clock: MockClock) -> None:
    """Messages that each has sent before the next one came are recorded in its epoch; the last one stays, and all of
    them together take no longer than one."""
    harness.journal.read_seconds = harness.journal.stall_seconds = 0.02
    transports = [FakeTransport() for _ in range(10)]
    connected_after: list[float] = []

    async def comes(transport: FakeTransport) -> None:
        async with harness.connected(transport=transport):
            connected_after.append(trio.current_time() - before)
            await trio.sleep_forever()

    async with harness.connected() as old:
        await charging(old)
        for number, transport in enumerate(transports):
            await ScriptedCharger(transport).send(2, f"said {number}", "StatusNotification", status(number))
        before = trio.current_time()
        async with trio.open_nursery() as nursery:
            for transport in transports:
                nursery.start_soon(comes, transport)
            await trio.sleep(3)
            assert len(connected_after) == len(transports)
            assert max(connected_after) <= HAND_OVER_SECONDS
            assert [each.closed_with for each in transports].count(None) == 1
            assert {each.closed_with for each in transports} == {None, (1008, "replaced")}
            old.gone = True
            nursery.cancel_scope.cancel()
    said = {number: recorded(harness)[f"said {number}"] for number in range(10)}
    assert sorted(said.values()) == list(range(2, 12))
    nothing_late(harness)

"""The reset that a rotation of a key may ask for, interrupted at every stage.

It is sent once at most, never amid a transaction unless that is asked for, and the charger can connect whatever comes
of it.
"""

from enum import StrEnum

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from gateway.domain.commands import ClearCache, CommandState
from gateway.domain.events import CommandNotSent, CommandOutcomeUnknown, OperationAdvanced
from gateway.domain.operations import OperationRecord, OperationRequest
from gateway.domain.rotations import rotation_request
from gateway.security.rotation import RETRY, ROTATION_WAIT
from tests.session.test_key_rotation import OLD, Wallbox, course, kill, start_again
from tests.session.test_remote_starts import starts
from tests.support.door import Door
from tests.support.harness import BOOT, Harness
from tests.support.wire import ScriptedCharger

WITH_RESET = rotation_request(reset=True)
LONG = 10 * RETRY.total_seconds()


@pytest.fixture
async def door(harness: Harness) -> Door:
    harness.asks_nothing()
    harness.add_charge_point()
    harness.add_tag("TAG")
    door = Door(harness)
    door.give_key(OLD)
    return door


@pytest.fixture
def box(door: Door) -> Wallbox:
    return Wallbox(door)


async def begun(harness: Harness, request: OperationRequest = WITH_RESET) -> OperationRecord:
    found = await harness.router.operate("CP1", request, "r", 60.0)
    assert isinstance(found, OperationRecord), found
    return found


async def clears_its_cache(harness: Harness) -> None:
    await harness.router.call("CP1", ClearCache(), request_id="c", deadline=trio.current_time() + 30)


async def is_reset(charger: ScriptedCharger) -> str:
    message_id, _, payload = await charger.next_call("Reset")
    assert payload == {"type": "Hard"}
    return message_id


async def stops(charger: ScriptedCharger, number: int) -> None:
    stop = {"transactionId": number, "meterStop": 900, "timestamp": "2026-03-01T12:10:00Z"}
    await charger.call("StopTransaction", stop)


class Interruption(StrEnum):
    """Something that becomes of the reset."""

    NONE = "Accepted"
    REJECTED = "Rejected"
    ERROR = "InternalError"
    TIMEOUT = "time-out"
    LINK = "link lost before the answer"
    KILLED = "gateway killed before the answer"
    KILLED_AFTER = "gateway killed after the answer"
    KILLED_BEFORE = "gateway killed before it is sent"


I = Interruption  # noqa: E741 - the table is read by its words
STAGE = {
    **dict.fromkeys((I.NONE, I.KILLED_AFTER, I.KILLED_BEFORE), "RESET_SENT"),
    I.REJECTED: "RESET_REFUSED",
}
KILLS = (I.KILLED, I.KILLED_AFTER, I.KILLED_BEFORE)


@pytest.mark.parametrize("interruption", list(I))
async def test_whatever_becomes_of_the_reset_the_charger_connects_and_is_reset_once(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox, interruption: I
) -> None:
    """With either key until it has used the new one; a reset whose outcome is not known is never sent again."""
    async with box.connected() as charger:
        operation = await begun(harness)
        if interruption is I.KILLED_BEFORE:
            message_id = await box.is_sent_a_key(charger)
            box.next = box.seen[-1]
            number = (await starts(charger))["transactionId"]
            await charger.answer(message_id, {"status": "RebootRequired"})
            await trio.sleep(0.5)
            kill(harness)
        else:
            await box.answers(charger, "RebootRequired")
            reset = await is_reset(charger)
            if interruption in (I.NONE, I.REJECTED, I.KILLED_AFTER):
                await charger.answer(reset, {"status": "Rejected" if interruption is I.REJECTED else "Accepted"})
            elif interruption is I.ERROR:
                await charger.answer_error(reset, "InternalError")
            elif interruption is I.TIMEOUT:
                await charger.hears_nothing(harness.limits.call_timeout + LONG)
            await trio.sleep(0.5)
            if interruption in KILLS:
                kill(harness)
    if interruption in KILLS:
        start_again(harness)
    assert await door.opens_to(OLD)
    assert await door.opens_to(box.next)
    async with box.connected() as charger:  # with the old key: it has lost its link, or its boot changed nothing
        if interruption is I.KILLED_BEFORE:
            await charger.hears_nothing(LONG)
            await stops(charger, number)
            await charger.answer(await is_reset(charger), {"status": "Accepted"})
        await charger.hears_nothing(LONG)
    stages, end, _ = course(harness, operation)
    assert (stages[-1], end) == (STAGE.get(interruption, "RESET_UNKNOWN"), "")
    box.reboots()
    async with box.connected() as charger:
        await charger.hears_nothing(LONG)
    stages, end, reason = course(harness, operation)
    assert (stages[-1], end, reason) == ("KEY_USED", "DONE", "")
    assert await door.opens_to(box.key)
    assert not await door.opens_to(OLD)
    assert [each.stage.value for each in harness.bodies_of(OperationAdvanced)] == stages[1:]


async def test_without_being_asked_nothing_is_reset(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox
) -> None:
    """Nor is a charger that holds the new key at once."""
    async with box.connected() as charger:
        first = await begun(harness, rotation_request())
        await box.answers(charger, "RebootRequired")
        await charger.hears_nothing(LONG)
    box.reboots()
    async with box.connected() as charger:
        await trio.sleep(1)
        assert course(harness, first)[1] == "DONE"
        second = await harness.router.operate("CP1", WITH_RESET, "second", 60.0)
        assert isinstance(second, OperationRecord)
        await box.answers(charger, "Accepted")
        await charger.hears_nothing(LONG)
    assert course(harness, second)[0][-1] == "CHARGER_ACCEPTED"


async def test_a_transaction_is_waited_for(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox
) -> None:
    """However long it takes, within the rotation's day."""
    async with box.connected() as charger:
        operation = await begun(harness)
        number = (await starts(charger))["transactionId"]
        await box.answers(charger, "RebootRequired")
        await charger.hears_nothing(LONG)
        assert course(harness, operation)[0][-1] == "REBOOT_REQUIRED"
        await stops(charger, number)
        await is_reset(charger)
        await trio.sleep(0.5)
        assert course(harness, operation)[0][-1] == "RESET_SENT"


async def test_a_transaction_that_begins_while_the_reset_waits_for_its_turn_holds_it_up(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox
) -> None:
    """The command is withheld and another one is sent later: a reset that was not sent is no try."""
    async with box.connected() as charger:
        operation = await begun(harness)
        message_id = await box.is_sent_a_key(charger)
        box.next = box.seen[-1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clears_its_cache, harness)
            await trio.sleep(0.1)
            await charger.answer(message_id, {"status": "RebootRequired"})
            other, _, _ = await charger.next_call("ClearCache")
            await trio.sleep(0.5)  # the reset waits behind it
            number = (await starts(charger))["transactionId"]
            await charger.answer(other, {"status": "Rejected"})
            await charger.hears_nothing(LONG)
        assert [each.reason for each in harness.bodies_of(CommandNotSent)] == ["transaction-open"]
        assert course(harness, operation)[0][-1] == "REBOOT_REQUIRED"
        await stops(charger, number)
        await is_reset(charger)


async def test_a_transaction_that_begins_after_a_boot_is_not_ended_by_the_reset_that_waits_for_it(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox
) -> None:
    """SENT is on disk by then, so its outcome counts as unknown; nothing is sent, then or later."""
    async with box.connected() as charger:
        operation = await begun(harness)
        await trio.sleep(0.5)
        message_id = await box.is_sent_a_key(charger)
        box.next = box.seen[-1]
        harness.journal.stall_seconds = 1
        await charger.answer(message_id, {"status": "RebootRequired"})
        await trio.sleep(3.5)  # the reset's SENT is being committed
        harness.journal.stall_seconds = 0
        await charger.call("BootNotification", {**BOOT, "firmwareVersion": "2.0"})
        number = (await starts(charger))["transactionId"]
        await charger.hears_nothing(LONG)
        assert [each.reason for each in harness.bodies_of(CommandOutcomeUnknown)] == ["transaction-open"]
        await stops(charger, number)
        await charger.hears_nothing(LONG)
    assert course(harness, operation)[0][-1] == "RESET_UNKNOWN"


async def test_a_reset_does_not_wait_for_a_key_that_could_not_be_begun(
    autojump_clock: MockClock, harness: Harness, door: Door
) -> None:
    """The queue was full when another key was to be sent, which would be tried again a minute later; then the late
    answer to the first one comes, and nothing is in the reset's way."""
    harness.limits = evolve(harness.limits, call_queue=1)
    box = Wallbox(Door(harness))
    async with box.connected() as charger, trio.open_nursery() as nursery:
        operation = await begun(harness)
        message_id = await box.is_sent_a_key(charger)
        box.next = box.seen[-1]
        await trio.sleep(harness.limits.call_timeout + RETRY.total_seconds() - 1)
        assert course(harness, operation)[0][-1] == "OUTCOME_UNKNOWN"
        nursery.start_soon(clears_its_cache, harness)
        other, _, _ = await charger.next_call("ClearCache")
        await charger.hears_nothing(5)
        await charger.answer(other, {"status": "Accepted"})
        await charger.answer(message_id, {"status": "RebootRequired"})
        with trio.fail_after(5):
            await is_reset(charger)
    assert len(box.seen) == 1


async def test_who_insists_has_it_reset_amid_a_transaction(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox
) -> None:
    """At once."""
    async with box.connected() as charger:
        await starts(charger)
        operation = await begun(harness, rotation_request(reset=True, insist=True))
        await box.answers(charger, "RebootRequired")
        reset = await is_reset(charger)
        await charger.answer(reset, {"status": "Accepted"})
        await trio.sleep(0.5)
    assert course(harness, operation)[0][-1] == "RESET_SENT"
    record = harness.store.operation(operation.operation_id)
    assert record is not None
    assert harness.command(record.command_id).state is CommandState.ANSWERED


@pytest.mark.parametrize("reason", ["reset-not-sent", "no-boot", "old-key"])
async def test_a_rotation_that_ends_without_the_new_key_tells_why(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox, reason: str
) -> None:
    """A transaction that never ended, a boot that never came, and one that changed nothing; both keys hold."""
    async with box.connected() as charger:
        operation = await begun(harness)
        if reason == "reset-not-sent":
            await starts(charger)
        await box.answers(charger, "RebootRequired")
        if reason != "reset-not-sent":
            await charger.answer(await is_reset(charger), {"status": "Accepted"})
        if reason == "no-boot":
            await trio.sleep(ROTATION_WAIT.total_seconds() + 5)
    if reason != "no-boot":
        async with box.connected(boots=reason == "old-key"):
            await trio.sleep(ROTATION_WAIT.total_seconds() + 5)
    assert course(harness, operation)[1:] == ("UNKNOWN", reason)
    assert await door.opens_to(OLD)
    assert await door.opens_to(box.next)

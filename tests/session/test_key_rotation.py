"""Rotation of a charger's key, interrupted at every stage: after each the charger can still connect, by the key it
has."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum

import pytest
import trio
from trio.testing import MockClock

from gateway.domain.credentials import MAX_KEYS, generate_key
from gateway.domain.events import CommandSent, OperationAdvanced, OperationEnded
from gateway.domain.operations import (
    OperationKind,
    OperationRecord,
    OperationRefusal,
    OperationRefused,
    OperationRequest,
)
from gateway.domain.records import KeyStanding
from gateway.security.rotation import LAST_WAIT, MOST_KEYS, RETRY, ROTATION_WAIT
from tests.support.door import Door
from tests.support.harness import BOOT, Harness, virtual_clock
from tests.support.wire import ScriptedCharger

ROTATE = OperationRequest(OperationKind.ROTATE_AUTHORIZATION_KEY)
OLD = generate_key()


class Wallbox:
    """A charger that keeps its key where its owner can't see it. ``key``: the one that it connects with now; ``next``:
    the one that it connects with after a boot."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.key = self.next = OLD
        self.seen: list[bytes] = []
        """Keys that it was sent."""

    @asynccontextmanager
    async def connected(self, *, boots: bool = True) -> AsyncIterator[ScriptedCharger]:
        """It boots, or only comes back, and may be spoken to."""
        async with self.door.connected(self.key) as charger:
            if boots:
                await charger.call("BootNotification", BOOT)
            else:
                await charger.call("Heartbeat", {})
            yield charger

    async def is_sent_a_key(self, charger: ScriptedCharger) -> str:
        """The message id of the CALL that brings it."""
        message_id, _, payload = await charger.next_call("ChangeConfiguration")
        assert payload["key"] == "AuthorizationKey"
        assert len(payload["value"]) == 40
        self.seen.append(bytes.fromhex(payload["value"]))
        return message_id

    def takes_it(self) -> None:
        self.key = self.next = self.seen[-1]

    async def answers(self, charger: ScriptedCharger, status: str) -> None:
        """It is sent a key, and says so."""
        message_id = await self.is_sent_a_key(charger)
        if status == "Accepted":
            self.takes_it()
        elif status == "RebootRequired":
            self.next = self.seen[-1]
        await charger.answer(message_id, {"status": status})
        await trio.sleep(0.5)

    def reboots(self) -> None:
        self.key = self.next


@pytest.fixture
async def door(harness: Harness) -> Door:
    harness.asks_nothing()
    harness.add_charge_point()
    return Door(harness)


@pytest.fixture
def box(door: Door) -> Wallbox:
    return Wallbox(door)


async def begun(harness: Harness, request_id: str = "r") -> OperationRecord:
    found = await harness.router.operate("CP1", ROTATE, request_id, 60.0)
    assert isinstance(found, OperationRecord), found
    return found


def course(harness: Harness, operation: OperationRecord) -> tuple[list[str], str, str]:
    """The stages on disk, the end and its reason."""
    record = harness.store.operation(operation.operation_id)
    assert record is not None
    return [each.stage.value for each in record.stages], record.end or "", record.reason


def kill(harness: Harness) -> None:
    """From now on nothing that the gateway does is kept."""
    harness.journal.failing = harness.journal.readable = True


def start_again(harness: Harness) -> None:
    """As at the start of the next one."""
    harness.journal.failing = False
    harness.store.settle(virtual_clock())


class Interruption(StrEnum):
    """Something that comes in the middle of a rotation."""

    TIMEOUT = "time-out"
    LINK = "link lost"
    KILLED = "gateway killed"
    REJECTED = "Rejected"
    NOT_SUPPORTED = "NotSupported"
    ERROR = "InternalError"
    ACCEPTED = "Accepted"
    REBOOT = "RebootRequired"
    REBOOT_THEN_LINK = "RebootRequired, link lost"
    REBOOT_THEN_KILLED = "RebootRequired, gateway killed"
    LINK_BEFORE = "link lost before it is sent"
    KILLED_BEFORE = "gateway killed before it is sent"


I = Interruption  # noqa: E741 - the table below is read by its columns
UNKNOWN = (I.TIMEOUT, I.LINK, I.KILLED, I.ERROR)
CASES = [
    *((each, taken) for each in UNKNOWN for taken in (True, False)),
    *((each, False) for each in I if each not in UNKNOWN),
]


async def interrupted(harness: Harness, box: Wallbox, interruption: I, taken: bool) -> OperationRecord:
    """A rotation is begun, and this comes; the charger is gone after it. ``taken``: it has the new key all the same."""
    async with box.connected() as charger:
        operation = await begun(harness)
        if interruption in (I.LINK_BEFORE, I.KILLED_BEFORE):
            await trio.sleep(0.01)
            if interruption is I.KILLED_BEFORE:
                kill(harness)
        elif interruption in UNKNOWN:
            message_id = await box.is_sent_a_key(charger)
            if taken:
                box.takes_it()
            if interruption is I.TIMEOUT:
                await trio.sleep(harness.limits.call_timeout + 1)
            elif interruption is I.KILLED:
                kill(harness)
            elif interruption is I.ERROR:
                await charger.answer_error(message_id, "InternalError")
                await trio.sleep(1)
        else:
            await box.answers(charger, interruption.partition(",")[0])
            if interruption is I.REBOOT_THEN_KILLED:
                kill(harness)
    if harness.journal.failing:
        start_again(harness)
    return operation


@pytest.mark.parametrize(("interruption", "taken"), CASES)
async def test_after_an_interruption_at_any_stage_the_charger_still_connects(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox, interruption: I, taken: bool
) -> None:
    """With the key that it has; and the rotation goes on until one key holds, and no other one opens the door."""
    door.give_key(OLD)
    operation = await interrupted(harness, box, interruption, taken)
    assert await door.opens_to(box.key)
    if interruption in (I.REJECTED, I.NOT_SUPPORTED):
        assert course(harness, operation) == (["ACCEPTED", "SENT"], "REFUSED", interruption.value)
        assert not await door.opens_to(box.seen[0])
        assert await door.opens_to(OLD)
        return
    if interruption is I.REBOOT_THEN_LINK:
        async with box.connected():  # it has lost its link, and has not booted with the new one
            await trio.sleep(3 * RETRY.total_seconds())
    if "RebootRequired" in interruption:
        assert await door.opens_to(OLD)
        assert await door.opens_to(box.next)
        box.reboots()
    async with box.connected() as charger:
        await trio.sleep(1)
        if course(harness, operation)[1] == "":  # the key was lost with the answer: another one is sent
            await trio.sleep(RETRY.total_seconds())
            await box.answers(charger, "Accepted")
    stages, end, reason = course(harness, operation)
    assert (end, reason) == ("DONE", "")
    assert stages[-1] == ("KEY_USED" if taken or "Reboot" in interruption else "CHARGER_ACCEPTED")
    assert await door.opens_to(box.key)
    assert [await door.opens_to(key) for key in {OLD, *box.seen} - {box.key}] == [False] * len(box.seen)
    assert len(harness.store.credentials("CP1")) == 1
    assert harness.store.credentials("CP1")[0].standing is KeyStanding.SETTLED
    for event in harness.events():
        for key in box.seen:
            assert key.hex().encode() not in event.body_json.lower()


async def test_each_stage_is_an_event_and_no_key_is_in_any(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox
) -> None:
    """Nor in the frames that are kept for operators, nor in the database."""
    door.give_key(OLD)
    async with box.connected() as charger:
        operation = await begun(harness)
        await box.answers(charger, "Accepted")
    advanced = [each.stage.value for each in harness.bodies_of(OperationAdvanced)]
    assert advanced == ["SENT", "CHARGER_ACCEPTED"]
    assert [each.end.value for each in harness.bodies_of(OperationEnded)] == ["DONE"]
    record = harness.store.operation(operation.operation_id)
    assert record is not None
    assert harness.command(record.command_id).operation == "ChangeConfiguration"
    frames = door.frames.of("CP1")
    assert frames is not None
    assert any("AuthorizationKey" in frame.text for frame in frames)
    kept = "".join(frame.text for frame in frames) + repr(record) + repr(harness.command(record.command_id))
    database = b"".join(path.read_bytes() for path in harness.path.iterdir())
    for spelling in (box.key.hex(), box.key.hex().upper(), box.key.decode()):
        assert spelling not in kept
        assert spelling.encode() not in database


async def test_without_any_answer_a_rotation_gives_up_and_all_its_keys_hold(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox
) -> None:
    """Its number of keys is bounded; the charger settles it by connecting with the one that it has taken."""
    door.give_key(OLD)
    async with box.connected() as charger:
        operation = await begun(harness)
        for _ in range(MOST_KEYS):
            await box.is_sent_a_key(charger)
        box.key = box.next = box.seen[1]
        await charger.hears_nothing(2 * RETRY.total_seconds() + LAST_WAIT.total_seconds())
    assert course(harness, operation)[1:] == ("UNKNOWN", "no-answer")
    assert len(set(box.seen)) == MOST_KEYS
    for key in (OLD, *box.seen):
        assert await door.opens_to(key)
    async with box.connected():
        pass
    assert [await door.opens_to(key) for key in (OLD, *box.seen)] == [key == box.key for key in (OLD, *box.seen)]


async def test_a_late_answer_counts(autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox) -> None:
    """It comes while another key is about to be sent."""
    door.give_key(OLD)
    async with box.connected() as charger:
        operation = await begun(harness)
        message_id = await box.is_sent_a_key(charger)
        await trio.sleep(harness.limits.call_timeout + RETRY.total_seconds() / 2)
        assert course(harness, operation)[0][-1] == "OUTCOME_UNKNOWN"
        box.takes_it()
        await charger.answer(message_id, {"status": "Accepted"})
        await charger.hears_nothing(2 * RETRY.total_seconds())
    assert course(harness, operation)[1] == "DONE"
    assert not await door.opens_to(OLD)
    assert await door.opens_to(box.key)


async def test_a_refusal_after_an_unknown_outcome_leaves_the_outcome_unknown(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox
) -> None:
    """The charger may have taken the first key, and both open the door."""
    door.give_key(OLD)
    async with box.connected() as charger:
        operation = await begun(harness)
        await box.is_sent_a_key(charger)
        box.takes_it()
        await trio.sleep(harness.limits.call_timeout + RETRY.total_seconds())
        message_id = await box.is_sent_a_key(charger)
        await charger.answer(message_id, {"status": "Rejected"})
        await trio.sleep(1)
    assert course(harness, operation)[1:] == ("UNKNOWN", "Rejected")
    assert [await door.opens_to(key) for key in (OLD, *box.seen)] == [True, True, False]


async def test_a_boot_that_does_not_come_leaves_both(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox
) -> None:
    """A rotation is followed for a day."""
    door.give_key(OLD)
    async with box.connected() as charger:
        operation = await begun(harness)
        await box.answers(charger, "RebootRequired")
        await trio.sleep(ROTATION_WAIT.total_seconds() + 5)
        assert course(harness, operation)[1:] == ("UNKNOWN", "no-boot")
    assert await door.opens_to(OLD)
    assert await door.opens_to(box.next)


async def test_one_rotation_at_a_time(autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox) -> None:
    """Another one is refused by the first one's name; and after it there may be one."""
    door.give_key(OLD)
    async with box.connected() as charger:
        first = await begun(harness)
        refused = await harness.router.operate("CP1", ROTATE, "second", 60.0)
        assert isinstance(refused, OperationRefused)
        assert (refused.reason, refused.metadata) == (
            OperationRefusal.OPERATION_OPEN,
            {"operation_id": first.operation_id},
        )
        await box.answers(charger, "Rejected")
        await begun(harness, "third")
        await box.answers(charger, "Accepted")
    assert await door.opens_to(box.key)


async def test_a_charge_point_with_too_many_keys_is_sent_no_other(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox
) -> None:
    """Each may be the one that it uses, so none can be taken away."""
    for number in range(MAX_KEYS):
        door.give_key(OLD if number == 0 else generate_key())
    async with door.connected(OLD) as charger:
        await charger.call("BootNotification", BOOT)
        operation = await begun(harness)
        await charger.hears_nothing(60)
    assert course(harness, operation)[1:] == ("NOT_SENT", "too-many-keys")
    assert len(harness.store.credentials("CP1")) == MAX_KEYS
    assert harness.bodies_of(CommandSent) == []


async def test_what_ended_by_itself_names_no_command_as_its_cause(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox
) -> None:
    """The gateway was killed before a key was made, and came back when the time was over."""
    door.give_key(OLD)
    async with box.connected():
        operation = await begun(harness)
        kill(harness)
    start_again(harness)
    await trio.sleep(ROTATION_WAIT.total_seconds() + 1)
    async with box.connected():
        await trio.sleep(1)
    assert course(harness, operation) == (["ACCEPTED"], "NOT_SENT", "deadline")
    [ended] = [each for each in harness.events() if each.type == OperationEnded.TYPE]
    assert ended.cause == ""

"""Upgrade of a charger's security profile, interrupted at every stage: after each the charger can still connect."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum

import pytest
import trio
from trio.testing import MockClock

from gateway.domain.credentials import generate_key
from gateway.domain.events import OperationAdvanced, OperationEnded
from gateway.domain.operations import (
    SECURITY_PROFILE,
    OperationKind,
    OperationRecord,
    OperationRefusal,
    OperationRefused,
    OperationRequest,
)
from gateway.security.rotation import RETRY
from gateway.security.upgrade import UPGRADE_WAIT
from tests.session.test_key_rotation import course, kill, start_again
from tests.session.test_remote_starts import starts
from tests.support.door import BASIC, CERTIFICATE, Door
from tests.support.harness import BOOT, Harness
from tests.support.wire import ScriptedCharger

KEY = generate_key()
UPGRADE = OperationRequest(OperationKind.UPGRADE_SECURITY_PROFILE, arguments={SECURITY_PROFILE: 3})
INSISTING = OperationRequest(OperationKind.UPGRADE_SECURITY_PROFILE, insist=True, arguments={SECURITY_PROFILE: 3})
LISTENERS = {2: BASIC, 3: CERTIFICATE}


class Wallbox:
    """A charger with a key and a certificate. ``profile``: that with which it connects; ``next``: after a boot."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.profile = self.next = 2

    @asynccontextmanager
    async def connected(self, *, boots: bool = True) -> AsyncIterator[ScriptedCharger]:
        async with self.door.connected(KEY if self.profile == 2 else None, LISTENERS[self.profile]) as charger:
            if boots:
                await charger.call("BootNotification", BOOT)
            yield charger

    async def is_sent(self, charger: ScriptedCharger, action: str) -> str:
        """The message id of the next CALL."""
        message_id, _, payload = await charger.next_call(action)
        expected = {"type": "Hard"} if action == "Reset" else {"key": "SecurityProfile", "value": "3"}
        assert payload == expected
        return message_id

    async def answers(self, charger: ScriptedCharger, action: str, status: str = "Accepted") -> None:
        message_id = await self.is_sent(charger, action)
        if action == "ChangeConfiguration" and status in ("Accepted", "RebootRequired"):
            self.next = 3
        await charger.answer(message_id, {"status": status})
        await trio.sleep(0.5)

    def reboots(self) -> None:
        self.profile = self.next

    async def is_let_in(self) -> tuple[bool, bool]:
        """Return whether the listeners of the old and of the higher profile let it in."""
        return await self.door.opens_to(KEY, BASIC), await self.door.opens_to(None, CERTIFICATE)


@pytest.fixture
async def door(harness: Harness) -> Door:
    harness.asks_nothing()
    harness.add_charge_point()
    harness.add_tag("TAG")
    door = Door(harness)
    door.give_key(KEY)
    return door


@pytest.fixture
def box(door: Door) -> Wallbox:
    return Wallbox(door)


async def begun(harness: Harness, request: OperationRequest = UPGRADE) -> OperationRecord:
    found = await harness.router.operate("CP1", request, "r", 60.0)
    assert isinstance(found, OperationRecord), found
    return found


def least(harness: Harness) -> int:
    return harness.charge_point().minimum_security_profile


class Interruption(StrEnum):
    """Something that comes in the middle of an upgrade."""

    NONE = "none"
    REBOOT_REQUIRED = "RebootRequired"
    LINK_BEFORE = "link lost before it is sent"
    TIMEOUT = "time-out of the profile"
    LINK = "link lost before the answer"
    KILLED = "gateway killed before the answer"
    LINK_AFTER = "link lost after the answer"
    KILLED_AFTER = "gateway killed after the answer"
    RESET_REJECTED = "reset Rejected"
    RESET_TIMEOUT = "time-out of the reset"
    RESET_LINK = "link lost with the reset"
    RESET_KILLED = "gateway killed with the reset"


I = Interruption  # noqa: E741 - the table is read by its words
UNKNOWN = (I.TIMEOUT, I.LINK, I.KILLED)
KILLS = (I.KILLED, I.KILLED_AFTER, I.RESET_KILLED)


async def goes_on(harness: Harness, box: Wallbox, charger: ScriptedCharger, operation: OperationRecord) -> None:
    """It answers whatever the gateway still asks, until it is reset."""
    while course(harness, operation)[1] == "":
        with trio.move_on_after(3 * RETRY.total_seconds()) as waiting:
            message_id, action, _ = await charger.next_call()
        if waiting.cancelled_caught:
            return
        box.next = 3
        await charger.answer(message_id, {"status": "Accepted"})
        if action == "Reset":
            return


@pytest.mark.parametrize("interruption", list(I))
async def test_after_an_interruption_at_any_stage_the_charger_still_connects(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox, interruption: I
) -> None:
    """With either profile until the higher one is confirmed; then with that alone, also after another restart."""
    async with box.connected() as charger:
        operation = await begun(harness)
        if interruption is not I.LINK_BEFORE:
            if interruption in UNKNOWN:
                await box.is_sent(charger, "ChangeConfiguration")
                box.next = 3
                if interruption is I.TIMEOUT:
                    await trio.sleep(harness.limits.call_timeout + 1)
            else:
                status = "RebootRequired" if interruption is I.REBOOT_REQUIRED else "Accepted"
                message_id = await box.is_sent(charger, "ChangeConfiguration")
                box.next = 3
                await charger.answer(message_id, {"status": status})
                if interruption not in (I.LINK_AFTER, I.KILLED_AFTER):
                    reset = await box.is_sent(charger, "Reset")
                    if interruption in (I.NONE, I.REBOOT_REQUIRED):
                        await charger.answer(reset, {"status": "Accepted"})
                    elif interruption is I.RESET_REJECTED:
                        await charger.answer(reset, {"status": "Rejected"})
                    elif interruption is I.RESET_TIMEOUT:
                        await trio.sleep(harness.limits.call_timeout + 1)
                await trio.sleep(0.5)
        if interruption in KILLS:
            kill(harness)
    if interruption in KILLS:
        start_again(harness)
    assert await box.is_let_in() == (True, True)
    assert (least(harness), course(harness, operation)[1]) == (0, "")
    if interruption not in (I.NONE, I.REBOOT_REQUIRED):
        async with box.connected(boots=False) as charger:  # on the old profile: it has not booted
            await charger.call("Heartbeat", {})
            await goes_on(harness, box, charger, operation)
            await trio.sleep(0.5)
    box.reboots()
    assert box.profile == 3
    async with box.connected():
        await trio.sleep(0.5)
        stages, end, reason = course(harness, operation)
        assert (stages[-1], end, reason) == ("RECONNECTED", "DONE", "")
    assert least(harness) == 3
    harness.store.settle(harness.charge_point().updated_at)
    assert await box.is_let_in() == (False, True)


@pytest.mark.parametrize("status", ["Rejected", "NotSupported"])
async def test_a_refusal_leaves_the_old_profile(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox, status: str
) -> None:
    """Nothing is reset, and the charger is let in as before."""
    async with box.connected() as charger:
        operation = await begun(harness)
        await box.answers(charger, "ChangeConfiguration", status)
        await charger.hears_nothing(60)
    assert course(harness, operation) == (["ACCEPTED", "SENT"], "REFUSED", status)
    assert (least(harness), await box.is_let_in()) == (0, (True, True))


async def test_a_charger_that_falls_back_is_rolled_back(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox
) -> None:
    """It boots on the old profile after the reset (A05.FR.08); each stage was an event, and both let it in."""
    async with box.connected() as charger:
        operation = await begun(harness)
        await box.answers(charger, "ChangeConfiguration")
        await box.answers(charger, "Reset")
    async with box.connected(boots=False) as charger:
        await charger.call("Heartbeat", {})
        await trio.sleep(1)
        assert course(harness, operation)[1] == ""  # a link that was lost says nothing
        await charger.call("BootNotification", BOOT)
        await trio.sleep(1)
    assert course(harness, operation)[1:] == ("ROLLED_BACK", "fell-back")
    advanced = [each.stage.value for each in harness.bodies_of(OperationAdvanced)]
    assert advanced == ["SENT", "CHARGER_ACCEPTED", "RESET_SENT"]
    assert [each.end.value for each in harness.bodies_of(OperationEnded)] == ["ROLLED_BACK"]
    assert (least(harness), await box.is_let_in()) == (0, (True, True))


async def test_without_a_confirmation_in_time_it_is_rolled_back(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox
) -> None:
    """The charger takes everything, and does not boot; both go on letting it in."""
    async with box.connected() as charger:
        operation = await begun(harness)
        await box.answers(charger, "ChangeConfiguration")
        await box.answers(charger, "Reset")
        await trio.sleep(UPGRADE_WAIT.total_seconds() + 5)
        assert course(harness, operation)[1:] == ("ROLLED_BACK", "deadline")
    assert (least(harness), await box.is_let_in()) == (0, (True, True))


async def test_a_transaction_is_not_ended_by_it(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox
) -> None:
    """One that runs refuses it, unless the caller insists; one that begins meanwhile is waited for."""
    async with box.connected() as charger:
        operation = await begun(harness)
        message_id = await box.is_sent(charger, "ChangeConfiguration")
        number = (await starts(charger))["transactionId"]
        await charger.answer(message_id, {"status": "Accepted"})
        await charger.hears_nothing(300)
        refused = await harness.router.operate("CP1", UPGRADE, "other", 60.0)
        assert isinstance(refused, OperationRefused)
        assert refused.reason is OperationRefusal.TRANSACTION_OPEN
        stop = {"transactionId": number, "meterStop": 900, "timestamp": "2026-03-01T12:10:00Z"}
        await charger.call("StopTransaction", stop)
        await box.is_sent(charger, "Reset")
    assert course(harness, operation)[0][-1] == "RESET_SENT"


@pytest.mark.parametrize("answer", ["", "InternalError", "link lost", "Rejected"])
async def test_a_reset_is_sent_again_only_after_a_refusal(
    autojump_clock: MockClock, harness: Harness, door: Door, box: Wallbox, answer: str
) -> None:
    """One without an answer may be carried out yet, and would be a second one then."""
    async with box.connected() as charger:
        await begun(harness)
        await box.answers(charger, "ChangeConfiguration")
        reset = await box.is_sent(charger, "Reset")
        if answer == "Rejected":
            await charger.answer(reset, {"status": answer})
            await box.answers(charger, "Reset")
        elif answer == "InternalError":
            await charger.answer_error(reset, answer)
        if answer != "link lost":
            await charger.hears_nothing(10 * RETRY.total_seconds())
    async with box.connected(boots=False) as charger:
        await charger.call("Heartbeat", {})
        await charger.hears_nothing(10 * RETRY.total_seconds())

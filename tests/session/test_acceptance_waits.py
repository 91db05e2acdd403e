"""A charger that becomes accepted while it is connected: what may go out before it has heard of that by a Boot.conf."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.domain.commands import ClearCache, CommandState, RemoteStartTransaction
from gateway.domain.values import Registration
from gateway.session.limits import SessionLimits
from gateway.store.commits import UpdateChargePoint
from tests.session.commands.test_commands import Asked
from tests.support.harness import BOOT, Harness, virtual_clock


def prepare(harness: Harness) -> None:
    """Make a charge point that is not accepted yet."""
    harness.limits = SessionLimits(settle_delay=5.0)
    harness.add_charge_point(registration=Registration.PENDING)
    harness.add_tag("TAG")


def accept(harness: Harness) -> None:
    """Accept it as the operator does: recorded first, then passed to the session."""
    harness.store.commit([UpdateChargePoint("CP1", virtual_clock(), registration=Registration.ACCEPTED)])
    harness.router.registration_changed("CP1", Registration.ACCEPTED)


async def test_a_remote_start_waits_for_the_boot_answer_with_the_acceptance(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """S §4.2: never to a charger that takes itself for Pending. Other commands may go before (B1.3)."""
    prepare(harness)
    async with trio.open_nursery() as nursery, harness.connected() as charger:
        asked = Asked(harness, nursery)
        assert (await charger.call("BootNotification", BOOT))["status"] == "Pending"
        await charger.hears_nothing(6)
        accept(harness)
        message_id, _, payload = await charger.next_call("TriggerMessage")
        assert payload == {"requestedMessage": "BootNotification"}
        await charger.answer(message_id, {"status": "Accepted"})
        start = asked.ask(RemoteStartTransaction("TAG"), seconds=600)
        await wait_all_tasks_blocked()
        await charger.hears_nothing(60)
        assert (await charger.call("BootNotification", BOOT))["status"] == "Accepted"
        await charger.hears_nothing(4.9)
        message_id, _, payload = await charger.next_call("RemoteStartTransaction")
        assert payload == {"idTag": "TAG"}
        await charger.answer(message_id, {"status": "Accepted"})
        assert (await start()).state is CommandState.ANSWERED


async def test_what_a_pending_charger_may_be_asked_goes_out_before(harness: Harness, autojump_clock: MockClock) -> None:
    """The other side of it."""
    prepare(harness)
    async with trio.open_nursery() as nursery, harness.connected() as charger:
        await charger.call("BootNotification", BOOT)
        outcome = Asked(harness, nursery).ask(ClearCache())
        await charger.hears_nothing(4.9)
        message_id, *_ = await charger.next_call("ClearCache")
        await charger.answer(message_id, {"status": "Accepted"})
        assert (await outcome()).state is CommandState.ANSWERED


async def test_a_question_of_the_gateways_own_waits_for_the_boots_answer_too(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Quirk 7: the operator's word may come between a boot and its confirmation."""
    prepare(harness)
    async with harness.connected() as charger:
        harness.journal.stall_seconds = 3.0
        await charger.send(2, "b", "BootNotification", BOOT)
        await trio.sleep(1)
        accept(harness)
        assert (await charger._next())[:2] == [3, "b"], "its answer is the first thing that it hears"
        harness.journal.stall_seconds = 0.0
        await charger.hears_nothing(4.9)
        _, _, payload = await charger.next_call("TriggerMessage")
        assert payload == {"requestedMessage": "BootNotification"}

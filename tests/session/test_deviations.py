"""A session's reports of messages that had to be mended: which repairs, of which charger, of which make."""

from attrs import define, field
from trio.testing import MockClock

from gateway.domain.commands import ClearCache, CommandRecord, StatusAnswer
from gateway.domain.events import BootInformation
from gateway.session.ports import NoObserver
from tests.session.commands.test_commands import ready
from tests.support.harness import Harness, boot


@define
class Watching(NoObserver):
    """Remembers."""

    seen: list[tuple[str, str | None, tuple[str, ...]]] = field(factory=list)

    def too_large(self, charge_point: str, size: int) -> None: ...

    def deviated(self, charge_point: str, boot: BootInformation | None, deviations: tuple[str, ...]) -> None:
        self.seen.append((charge_point, None if boot is None else boot.model, deviations))


async def test_a_boot_that_deviates_counts_for_the_make_that_it_names(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Though nothing was known of the make when it came."""
    observer = harness.observer = Watching()
    harness.add_charge_point()
    async with harness.connected() as charger:
        await charger.call("BootNotification", {"chargePointVendor": "Acme", "chargePointModel": 7})
    assert observer.seen == [("CP1", "7", ("number-for-text",))]


async def test_later_messages_count_for_the_make_of_the_last_boot(harness: Harness, autojump_clock: MockClock) -> None:
    """Messages that follow the specification don't count; a make that was never sent is none."""
    observer = harness.observer = Watching()
    harness.add_charge_point()
    status = {"connectorId": "1", "errorCode": "noerror", "status": "Available"}
    async with harness.connected() as charger:
        await boot(charger)
        await charger.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"})
        assert observer.seen == []
        assert await charger.call("StatusNotification", status) == {}
    ((charge_point, model, deviations),) = observer.seen
    assert (charge_point, model) == ("CP1", "One")
    assert set(deviations) == {"text-for-integer", "spelling"}


async def test_an_answer_that_deviates_counts_for_the_make_of_the_last_boot(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """One that follows the specification doesn't."""
    observer = harness.observer = Watching()
    async with ready(harness) as (charger, asked):
        for word in ("Accepted", "accepted"):
            result = asked.ask(ClearCache())
            message_id, _, _ = await charger.next_call("ClearCache")
            assert observer.seen == []
            await charger.answer(message_id, {"status": word})
            outcome = await result()
            assert isinstance(outcome, CommandRecord)
            assert outcome.answer == StatusAnswer("Accepted")
    assert observer.seen == [("CP1", "One", ("spelling",))]


async def test_a_message_that_is_answered_by_an_error_counts_for_nothing(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """It was not mended."""
    observer = harness.observer = Watching()
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        answer = await charger.call_frame("StatusNotification", {"connectorId": {}, "status": "Available"})
    assert answer[0] == 4
    assert observer.seen == []

"""The reader hands a message's events over and reads on: it changes nothing of the order, the promise or the pace."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from gateway.domain import events as e
from tests.support.harness import Harness, boot
from tests.support.wire import FakeTransport, ScriptedCharger

START = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": "2026-03-01T12:00:00Z"}


def status(what: str) -> dict[str, object]:
    return {"connectorId": 1, "errorCode": "NoError", "status": what}


async def booted(harness: Harness, charger: ScriptedCharger) -> None:
    await boot(charger)
    await charger.hears_nothing(harness.limits.settle_delay + 1)


async def test_nothing_is_answered_before_it_is_on_disk(harness: Harness, autojump_clock: MockClock) -> None:
    """However long the commit takes."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await booted(harness, charger)
        harness.journal.stall_seconds = 3
        await charger.send(2, "a", "StatusNotification", status("Available"))
        await charger.hears_nothing(2.9)
        harness.journal.stall_seconds = 0
        assert await charger.next_answer() == [3, "a", {}]


async def test_what_comes_meanwhile_is_decided_with_what_came_before(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A start and its readings in one go: the readings know their transaction, and answers keep their order."""
    harness.add_charge_point()
    harness.add_tag("T")
    async with harness.connected() as charger:
        await booted(harness, charger)
        harness.journal.stall_seconds = 1
        await charger.send(2, "s", "StatusNotification", status("Preparing"))
        await charger.send(2, "t", "StartTransaction", START)
        await charger.send(
            2,
            "m",
            "MeterValues",
            {
                "connectorId": 1,
                "transactionId": 1,
                "meterValue": [{"timestamp": "2026-03-01T12:01:00Z", "sampledValue": [{"value": "5"}]}],
            },
        )
        answers = [await charger.next_answer() for _ in range(3)]
        assert [answer[1] for answer in answers] == ["s", "t", "m"]
        [started] = harness.bodies(e.TransactionStarted.TYPE)
        [values] = harness.bodies(e.MeterValuesReported.TYPE)
        assert isinstance(started, e.TransactionStarted)
        assert isinstance(values, e.MeterValuesReported)
        assert values.transaction_id == started.transaction_id


async def test_a_charger_that_does_not_read_its_answers_is_not_listened_to(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """One answer waits, not as many as it cares to ask for."""
    harness.add_charge_point()
    transport = FakeTransport()
    async with harness.connected(transport=transport) as charger:
        await booted(harness, charger)
        transport.sends_block = True
        before = len(harness.events(e.ConnectorStatusChanged.TYPE))
        for number, what in enumerate(("Available", "Preparing", "Charging", "Finishing")):
            await charger.send(2, str(number), "StatusNotification", status(what))
        await trio.sleep(60)
        assert len(harness.events(e.ConnectorStatusChanged.TYPE)) == before + 1
        transport.reads_again()
        assert [(await charger.next_answer())[1] for _ in range(4)] == ["0", "1", "2", "3"]
        assert len(harness.events(e.ConnectorStatusChanged.TYPE)) == before + 4


async def test_a_session_that_ends_meanwhile_acknowledges_nothing(harness: Harness, autojump_clock: MockClock) -> None:
    """Writes that were handed over are kept all the same, and its end comes after them."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await booted(harness, charger)
        harness.journal.stall_seconds = 1
        await charger.send(2, "a", "StatusNotification", status("Available"))
        await trio.sleep(0.5)
        await charger.lose_link()
    kinds = [event.type for event in harness.events()]
    changed = [e.ConnectorStatusChanged.TYPE, e.ConnectorChargingStateChanged.TYPE]
    assert kinds[-3:] == [*changed, e.ChargePointDisconnected.TYPE]


async def test_a_bug_of_the_journal_ends_its_session_and_acknowledges_nothing(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The charger keeps its message, and says it again on its next connection."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await booted(harness, charger)
        harness.journal.submit = lambda write, on_answer: on_answer(write, LookupError("a bug"))  # type: ignore[method-assign]
        await charger.send(2, "a", "StatusNotification", status("Available"))
        assert await charger.sees_the_end() == (1011, "internal-error")


async def test_a_bug_while_a_message_is_applied_ends_its_session(
    harness: Harness, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows in the journal's task: the reader must not wait for an answer that never goes out."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await booted(harness, charger)

        def fail(*_: object) -> None:
            raise LookupError("a bug")

        monkeypatch.setattr("gateway.session.context.evolve", fail)
        await charger.send(2, "a", "StatusNotification", status("Available"))
        assert await charger.sees_the_end() == (1011, "internal-error")

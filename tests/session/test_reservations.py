"""The record of a reservation over a session: made with the answer, ended with what the charger says, in its order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.domain.commands import CancelReservation, CommandState, ReserveNow
from gateway.domain.events import ReservationEnded, ReservationMade
from gateway.domain.values import ConnectorAddress
from gateway.store.commits import DeleteChargePoint
from tests.session.commands.test_commands import Asked, ready
from tests.support.harness import Harness, virtual_clock
from tests.support.wire import ScriptedCharger

ONE = ConnectorAddress(1, 1)
ACCEPTED = {"status": "Accepted"}
TEN_MINUTES = 600
START = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-03-01T12:00:00Z", "reservationId": 7}


def fault(connector: int = 1) -> dict[str, Any]:
    return {"connectorId": connector, "status": "Faulted", "errorCode": "OtherError"}


def reservation(reservation_id: int = 7) -> ReserveNow:
    return ReserveNow(ONE, virtual_clock() + timedelta(seconds=TEN_MINUTES), "TAG", reservation_id)


def ends(harness: Harness) -> list[tuple[int, str]]:
    bodies = harness.bodies("reservation.ended")
    return [(each.reservation_id, each.why) for each in bodies if isinstance(each, ReservationEnded)]


def held(harness: Harness) -> list[int]:
    record = harness.store.charge_point("CP1")
    assert record is not None
    return [each.reservation_id for each in record.reservations]


async def reserve(charger: ScriptedCharger, asked: Asked, status: str = "Accepted") -> None:
    outcome = asked.ask(reservation())
    message_id, _, _ = await charger.next_call("ReserveNow")
    await charger.answer(message_id, {"status": status})
    await outcome()


@asynccontextmanager
async def reserved(harness: Harness) -> AsyncIterator[tuple[ScriptedCharger, Asked]]:
    """A charger that has accepted reservation 7."""
    async with ready(harness) as (charger, asked):
        await reserve(charger, asked)
        yield charger, asked


async def test_a_reservation_is_on_disk_when_its_command_is_answered(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """B9.10: one commit, with the command as its cause."""
    async with reserved(harness):
        assert held(harness) == [7]
        (answered,) = harness.events("command.answered")
        (made,) = harness.events("reservation.made")
        assert made.sequence == answered.sequence + 1
        assert made.cause == answered.cause
        expiry = virtual_clock() + timedelta(seconds=TEN_MINUTES)
        assert harness.bodies("reservation.made") == [ReservationMade(7, ONE, "TAG", expiry)]


async def test_what_the_charger_refuses_is_not_reserved(harness: Harness, autojump_clock: MockClock) -> None:
    """Its word is the command's answer, and no more."""
    async with ready(harness) as (charger, asked):
        await reserve(charger, asked, "Occupied")
        assert not harness.events("reservation.made")


async def test_a_late_acceptance_reserves_too(harness: Harness, autojump_clock: MockClock) -> None:
    """The caller got OUTCOME_UNKNOWN; the charger holds the connector all the same."""
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(reservation(), seconds=2)
        message_id, _, _ = await charger.next_call("ReserveNow")
        assert (await outcome()).state is CommandState.OUTCOME_UNKNOWN
        assert held(harness) == []
        await trio.sleep(harness.limits.call_timeout + 10)
        await charger.answer(message_id, ACCEPTED)
        await trio.sleep(1)
        assert held(harness) == [7]


async def test_a_cancelled_reservation_is_over_and_a_second_cancellation_ends_nothing(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Some chargers accept whatever they are asked to cancel."""
    async with reserved(harness) as (charger, asked):
        for _ in range(2):
            outcome = asked.ask(CancelReservation(7))
            message_id, _, _ = await charger.next_call("CancelReservation")
            await charger.answer(message_id, ACCEPTED)
            await outcome()
        assert ends(harness) == [(7, "cancelled")]


async def test_a_start_ends_the_reservation_that_it_uses_once(harness: Harness, autojump_clock: MockClock) -> None:
    """B4.11: in the start's own commit; the repeated start and its expiry end nothing more."""
    harness.add_tag("TAG")
    async with reserved(harness) as (charger, _):
        for _ in range(2):
            await charger.call("StartTransaction", START)
        await trio.sleep(TEN_MINUTES)
        await charger.call("Heartbeat", {})
        (started,) = harness.events("transaction.started")
        (ended,) = harness.events("reservation.ended")
        assert ended.sequence == started.sequence + 1
        body = ReservationEnded(7, ONE, "used", started.transaction_id)
        assert harness.bodies("reservation.ended") == [body]


async def test_an_expired_reservation_ends_with_what_the_charger_says_next(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A Heartbeat is enough, and an hour of them ends it once."""
    async with reserved(harness) as (charger, _):
        await trio.sleep(TEN_MINUTES - 1)
        await charger.call("Heartbeat", {})
        assert held(harness) == [7]
        await trio.sleep(1)
        for _ in range(3):
            await charger.call("Heartbeat", {})
        assert ends(harness) == [(7, "expired")]


async def test_a_start_under_an_expired_reservation_uses_it(harness: Harness, autojump_clock: MockClock) -> None:
    """Two clocks: the charger kept it, so it was not over yet."""
    harness.add_tag("TAG")
    async with reserved(harness) as (charger, _):
        await trio.sleep(TEN_MINUTES + 1)
        await charger.call("StartTransaction", START | {"timestamp": "2026-03-01T12:09:58Z"})
        assert ends(harness) == [(7, "used")]


@pytest.mark.parametrize("connector", [0, 1])
async def test_a_fault_in_the_same_breath_as_the_acceptance_ends_it(
    harness: Harness, autojump_clock: MockClock, connector: int
) -> None:
    """Messages of the charger are decided in the order in which it sends them, however long the disk takes."""
    async with ready(harness) as (charger, asked):
        asked.ask(reservation())
        message_id, _, _ = await charger.next_call("ReserveNow")
        harness.journal.stall_seconds = 1.0
        await charger.answer(message_id, ACCEPTED)
        await charger.call("StatusNotification", fault(connector))
        harness.journal.stall_seconds = 0.0
        assert ends(harness) == [(7, "connector-unavailable")]
        assert held(harness) == []


async def test_a_cancellation_and_a_fault_together_end_it_once(harness: Harness, autojump_clock: MockClock) -> None:
    """The first word counts."""
    async with reserved(harness) as (charger, asked):
        asked.ask(CancelReservation(7))
        message_id, _, _ = await charger.next_call("CancelReservation")
        harness.journal.stall_seconds = 1.0
        await charger.answer(message_id, ACCEPTED)
        await charger.call("StatusNotification", fault())
        harness.journal.stall_seconds = 0.0
        assert ends(harness) == [(7, "cancelled")]


async def test_reservations_outlive_the_connection(harness: Harness, autojump_clock: MockClock) -> None:
    """The next session begins with them; one that has expired meanwhile ends there."""
    async with reserved(harness):
        pass
    async with harness.connected() as charger:
        await charger.call("Heartbeat", {})
        assert held(harness) == [7]
    await trio.sleep(TEN_MINUTES)
    async with harness.connected() as charger:
        await charger.call("Heartbeat", {})
        assert ends(harness) == [(7, "expired")]


async def test_a_deleted_charge_points_reservations_end_with_it(harness: Harness, autojump_clock: MockClock) -> None:
    """Every reservation that was made ends."""
    async with reserved(harness):
        harness.store.commit([DeleteChargePoint("CP1", virtual_clock())])
        harness.router.expel("CP1")
        await trio.sleep(1)
        assert ends(harness) == [(7, "deleted")]


async def test_a_charger_that_hangs_up_while_its_answer_is_recorded_has_reserved(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The reader waits for the commit, and not for the charger."""
    async with ready(harness) as (charger, asked):
        asked.ask(reservation())
        message_id, _, _ = await charger.next_call("ReserveNow")
        harness.journal.stall_seconds = 1.0
        await charger.answer(message_id, ACCEPTED)
        await charger.lose_link()
        await trio.sleep(5)
        harness.journal.stall_seconds = 0.0
        assert held(harness) == [7]
        assert [each.type for each in harness.events()][-1] == "charge_point.disconnected"

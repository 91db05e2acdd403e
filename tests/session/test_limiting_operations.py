"""Pauses and limits as operations, on chargers that obey, refuse, ignore, lose their link or report no power."""

from datetime import timedelta
from decimal import Decimal

import pytest
import trio
from trio.testing import MockClock

from gateway.charging.operations import STEERING_WAIT
from gateway.charging.wishes import Change, LiftLimit, SetLimit, WantedRequest
from gateway.domain.charging import ChargingRateUnit
from gateway.domain.events import NewEvent, OperationAccepted
from gateway.domain.operations import End, OperationKind, OperationRecord, OperationRequest, Stage, steering_request_id
from gateway.domain.steering import ChangedWanted, RateLimit, StandingLimit
from gateway.domain.values import ConnectorAddress
from gateway.session.wishes import WantedStates
from tests.support.harness import Harness, virtual_clock
from tests.support.steered import SteeredCharger

ONE = ConnectorAddress(1, 1)
MINUTE = 60.0
ALL_PURPOSES = {"TxProfile", "TxDefaultProfile", "ChargePointMaxProfile"}


class Operator:
    """Begins operations as the control interface does."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self._states = WantedStates(harness.router, harness.journal, harness.reads, virtual_clock, harness.protocol)
        self._begun = 0

    async def begins(self, kind: OperationKind, amperes: int | None = None) -> str:
        self._begun += 1
        number, at = self._begun, virtual_clock()
        limit = None if amperes is None else RateLimit(Decimal(amperes), ChargingRateUnit.AMPERE)
        change: Change = LiftLimit() if limit is None else SetLimit(StandingLimit(limit))
        request = OperationRequest(kind, ONE, limit=limit)
        accepted = OperationAccepted(f"op_{number}", f"r{number}", request, at + STEERING_WAIT)
        wanted = WantedRequest(steering_request_id(f"r{number}"), ONE, change)
        made = await self._states.change("CP1", wanted, (NewEvent(accepted, at),))
        assert isinstance(made, ChangedWanted)
        self._harness.router.operation_begun("CP1")
        return f"op_{number}"

    async def pauses(self) -> str:
        return await self.begins(OperationKind.PAUSE_CHARGING, 0)

    def shown(self, operation_id: str) -> OperationRecord:
        found = self._harness.store.operation(operation_id)
        assert found is not None
        return found

    def end(self, operation_id: str) -> tuple[End | None, str]:
        record = self.shown(operation_id)
        return record.end, record.reason


@pytest.fixture
async def harness(harness: Harness) -> Harness:
    harness.add_charge_point()
    harness.add_tag("TAG")
    return harness


@pytest.fixture
async def operator(harness: Harness) -> Operator:
    return Operator(harness)


@pytest.fixture
async def charger(harness: Harness) -> SteeredCharger:
    return SteeredCharger(harness)


async def test_a_pause_a_limit_and_a_resume_are_done_when_the_meter_shows_them(
    harness: Harness, operator: Operator, charger: SteeredCharger, autojump_clock: MockClock
) -> None:
    """By the command that each of them names."""
    async with charger.connected():
        await charger.boot()
        await charger.start()
        for kind, amperes in (
            (OperationKind.PAUSE_CHARGING, 0),
            (OperationKind.LIMIT_CHARGING, 10),
            (OperationKind.RESUME_CHARGING, None),
        ):
            operation = await operator.begins(kind, amperes)
            await trio.sleep(8 * MINUTE)
            record = operator.shown(operation)
            assert record.end is End.DONE, (kind, record)
            assert Stage.CHARGER_ACCEPTED in [each.stage for each in record.stages]
            assert harness.command(record.command_id).operation.endswith("ChargingProfile")


async def test_without_a_transaction_an_accepted_pause_is_done(
    operator: Operator, charger: SteeredCharger, autojump_clock: MockClock
) -> None:
    """There is nothing that a meter could show."""
    async with charger.connected():
        await charger.boot()
        operation = await operator.pauses()
        await trio.sleep(2 * MINUTE)
        assert operator.end(operation) == (End.DONE, "")


async def test_a_resume_where_nothing_was_limited_is_done(
    operator: Operator, charger: SteeredCharger, autojump_clock: MockClock
) -> None:
    """There is nothing to be taken back."""
    async with charger.connected():
        await charger.boot()
        await charger.start()
        operation = await operator.begins(OperationKind.RESUME_CHARGING)
        await trio.sleep(2 * MINUTE)
        assert operator.end(operation) == (End.DONE, "")


async def test_a_charger_that_refuses_every_way_refuses_the_pause(
    operator: Operator, charger: SteeredCharger, autojump_clock: MockClock
) -> None:
    """The reason is that of the steering."""
    charger.refuses = ALL_PURPOSES
    async with charger.connected():
        await charger.boot()
        await charger.start()
        operation = await operator.pauses()
        await trio.sleep(5 * MINUTE)
        end, reason = operator.end(operation)
        assert end is End.REFUSED
        assert reason


async def test_a_charger_that_lies_about_its_acceptance_is_found_out(
    operator: Operator, charger: SteeredCharger, autojump_clock: MockClock
) -> None:
    """Its meter shows that the vehicle goes on."""
    charger.ignores = ALL_PURPOSES
    async with charger.connected():
        await charger.boot()
        await charger.start()
        operation = await operator.pauses()
        await trio.sleep(STEERING_WAIT.total_seconds() * 3)
        assert operator.end(operation)[0] in (End.NO_EFFECT, End.UNKNOWN)
        assert charger.watts > 0


async def test_a_charger_without_a_meter_leaves_it_unknown(
    operator: Operator, charger: SteeredCharger, autojump_clock: MockClock
) -> None:
    """Accepted, and never shown."""
    charger.meters = False
    async with charger.connected():
        await charger.boot()
        await charger.start()
        operation = await operator.pauses()
        await trio.sleep(STEERING_WAIT.total_seconds() + MINUTE)
        assert operator.end(operation) == (End.UNKNOWN, "not-verified")


async def test_a_charger_that_answers_nothing_times_out_and_the_limit_stays_wanted(
    harness: Harness, operator: Operator, charger: SteeredCharger, autojump_clock: MockClock
) -> None:
    """It is followed no longer."""
    charger.deaf = {"SetChargingProfile"}
    async with charger.connected():
        await charger.boot()
        await charger.start()
        operation = await operator.pauses()
        await trio.sleep(STEERING_WAIT.total_seconds() + MINUTE)
        assert operator.end(operation)[0] in (End.TIMED_OUT, End.REFUSED)
        session = harness.router.session("CP1")
        assert session is not None
        assert session.steering.wanted[ONE].standing is not None


async def test_a_pause_is_done_after_the_link_was_lost_and_the_charger_forgot(
    operator: Operator, charger: SteeredCharger, autojump_clock: MockClock
) -> None:
    """It comes back without its profile, and is given it again."""
    async with charger.connected():
        await charger.boot()
        await charger.start()
        operation = await operator.pauses()
        await trio.sleep(1)
    await trio.sleep(2 * MINUTE)
    async with charger.connected():
        await charger.boot()
        await trio.sleep(6 * MINUTE)
        assert operator.end(operation) == (End.DONE, "")
        assert charger.watts == 0


async def test_the_gateway_may_be_killed_in_a_pause(
    harness: Harness, operator: Operator, charger: SteeredCharger, autojump_clock: MockClock
) -> None:
    """The operation on disk goes on with the next connection."""
    async with charger.connected():
        await charger.boot()
        await charger.start()
        operation = await operator.pauses()
        harness.journal.failing = harness.journal.readable = True
    harness.journal.failing = False
    harness.store.settle(virtual_clock())
    async with charger.connected():
        await trio.sleep(6 * MINUTE)
        assert operator.end(operation) == (End.DONE, "")
    assert operator.shown(operation).created_at <= virtual_clock() - timedelta(minutes=6)

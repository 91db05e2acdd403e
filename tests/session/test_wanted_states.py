"""Changes of what is wanted: through the session that owns the charge point, or by the store where none does."""

from contextlib import AsyncExitStack
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import trio
from attrs import evolve

from gateway.charging.wishes import Change, LiftLimit, SetLimit, SetPlan, WantedRequest
from gateway.domain.charging import ChargingRateUnit
from gateway.domain.commands import RefusalReason, Refused
from gateway.domain.events import NewEvent, OperationAccepted, OperationAdvanced, WantedChanged
from gateway.domain.operations import OperationKind, OperationRequest, Stage
from gateway.domain.steering import ChangedWanted, Plan, PlanStep, RateLimit, StandingLimit, Wanted
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress
from gateway.errors import CommitUnknown, StoreUnavailable
from gateway.session.steering import CONTESTED, MAX_TRIES
from gateway.session.wishes import WantedStates
from gateway.store.commits import DeleteChargePoint, WriteResult
from tests.support.harness import Harness, virtual_clock

ONE = ConnectorAddress(1, 1)
SIX = StandingLimit(RateLimit(Decimal(6), ChargingRateUnit.AMPERE))


def amperes(value: int) -> SetLimit:
    """A limit without an end."""
    return SetLimit(StandingLimit(RateLimit(Decimal(value), ChargingRateUnit.AMPERE)))


def plan(minutes: int = 60) -> SetPlan:
    """A pause from now on."""
    now = virtual_clock()
    pause = RateLimit(Decimal(0), ChargingRateUnit.AMPERE)
    return SetPlan(Plan((PlanStep(now, pause),), now + timedelta(minutes=minutes)))


def request(change: Change, request_id: str = "r1", connector: ConnectorAddress = ONE) -> WantedRequest:
    return WantedRequest(request_id, connector, change, "the optimiser", "cheap at night")


@pytest.fixture
async def harness(harness: Harness, autojump_clock: object) -> Harness:
    """A charge point that is asked nothing of the gateway's own accord."""
    harness.add_charge_point()
    harness.asks_nothing()
    return harness


def states(harness: Harness) -> WantedStates:
    return WantedStates(harness.router, harness.journal, harness.reads, virtual_clock, harness.protocol)


def wanted(harness: Harness, connector: ConnectorAddress = ONE) -> Wanted | None:
    """As it is stored."""
    found = harness.store.state("CP1", virtual_clock())
    assert found is not None
    return found.state.wanted.get(connector)


async def test_a_charge_point_that_is_away_takes_wishes(harness: Harness, autojump_clock: object) -> None:
    """By the store, in the caller's words; the session that begins later has them."""
    made = await states(harness).change("CP1", request(amperes(16)))
    assert made == ChangedWanted("r1", made.fingerprint, ONE, 1, virtual_clock())  # type: ignore[union-attr]
    [body] = harness.bodies_of(WantedChanged)
    assert (body.what, body.by, body.why, body.wanted) == (
        "limit-set",
        "the optimiser",
        "cheap at night",
        wanted(harness),
    )
    async with harness.connected():
        session = harness.router.session("CP1")
        assert session is not None
        assert session.steering.wanted[ONE].revision == 1


async def test_a_connected_one_takes_wishes_by_its_session(harness: Harness, autojump_clock: object) -> None:
    """Under its epoch; the state in memory is the one on disk."""
    async with harness.connected():
        await states(harness).change("CP1", request(plan()))
        await states(harness).change("CP1", request(amperes(16), "r2"))
        session = harness.router.session("CP1")
        assert session is not None
        assert session.steering.wanted[ONE] == wanted(harness)
        assert session.steering.wanted[ONE].revision == 2


@pytest.mark.parametrize("connected", [True, False])
async def test_a_repeated_request_changes_nothing(harness: Harness, autojump_clock: object, connected: bool) -> None:
    """It is answered as it was, whatever was changed meanwhile; another one under its id is refused."""
    change = states(harness).change

    async def scenario() -> None:
        first = await change("CP1", request(amperes(16)))
        await trio.sleep(5)
        await change("CP1", request(LiftLimit(), "r2"))
        assert await change("CP1", request(amperes(16))) == first
        reused = await change("CP1", request(amperes(10)))
        assert isinstance(reused, Refused)
        assert reused.reason is RefusalReason.REQUEST_ID_REUSED
        again = wanted(harness)
        assert again is not None
        assert (again.revision, again.standing) == (2, None)

    if connected:
        async with harness.connected():
            await scenario()
    else:
        await scenario()


async def test_a_repeated_plan_that_is_over_is_answered_as_it_was(harness: Harness, autojump_clock: object) -> None:
    """As a new request it would be refused by now."""
    late = request(plan(1))
    first = await states(harness).change("CP1", late)
    await trio.sleep(3600)
    assert await states(harness).change("CP1", late) == first
    refused = await states(harness).change("CP1", evolve(late, request_id="r2"))
    assert isinstance(refused, Refused)
    assert [each.field for each in refused.violations] == ["plan.ends_at"]


async def test_wishes_at_once_are_all_kept(harness: Harness, autojump_clock: object) -> None:
    """Each on what the one before has made, by the session and, side by side, by the store."""
    harness.journal.stall_seconds = 0.2
    change = states(harness).change
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(change, "CP1", request(amperes(6 + number), f"r{number}"))
    async with harness.connected(), trio.open_nursery() as nursery:
        nursery.start_soon(change, "CP1", request(plan(), "r4"))
        nursery.start_soon(change, "CP1", request(amperes(6), "r5"))
    last = wanted(harness)
    assert last is not None
    assert last.revision == 5
    assert [body.wanted.revision for body in harness.bodies_of(WantedChanged)] == [1, 2, 3, 4, 5]


async def test_the_same_request_twice_at_once_is_made_once(harness: Harness, autojump_clock: object) -> None:
    """Both are answered alike; another one with its id, at the same moment, is refused."""
    for connected in (True, False):
        made: list[ChangedWanted | Refused] = []
        name = f"r-{connected}"

        async def wants(value: int, name: str = name, made: list[ChangedWanted | Refused] = made) -> None:
            made.append(await states(harness).change("CP1", request(amperes(value), name)))

        async with AsyncExitStack() as stack:
            if connected:
                await stack.enter_async_context(harness.connected())
            before = wanted(harness)
            async with trio.open_nursery() as nursery:
                for value in (8, 8, 9):
                    nursery.start_soon(wants, value)
        after = wanted(harness)
        assert after is not None
        assert after.revision == (0 if before is None else before.revision) + 1
        answers = [each for each in made if isinstance(each, ChangedWanted)]
        assert len({*answers}) == 1
        assert answers[0] == ChangedWanted(name, answers[0].fingerprint, ONE, after.revision, virtual_clock())
        reused = f"request_id {name} was used for another change of this charge point"
        refused = [each for each in made if isinstance(each, Refused)]
        assert refused == [Refused(RefusalReason.REQUEST_ID_REUSED, reused)] * (2 if len(answers) == 1 else 1)


@pytest.mark.parametrize(("count", "contested"), [(MAX_TRIES, 0), (MAX_TRIES + 1, 1)])
async def test_a_change_that_others_come_before_is_decided_anew_a_few_times(
    harness: Harness, autojump_clock: object, count: int, contested: int
) -> None:
    """Of so many at once in one session each comes to be; of one more the last is refused, and changes nothing."""
    assert MAX_TRIES == 4
    made: list[ChangedWanted | Refused] = []

    async def wants(number: int) -> None:
        made.append(await states(harness).change("CP1", request(amperes(6 + number), f"r{number}")))

    harness.journal.stall_seconds = 0.2  # a commit: all that wait for one find what it made
    async with harness.connected(), trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(wants, number)
    last = wanted(harness)
    assert last is not None
    assert last.revision == count - contested
    refused = [each for each in made if isinstance(each, Refused)]
    assert refused == [CONTESTED] * contested
    assert CONTESTED.reason is RefusalReason.STORE_UNAVAILABLE


@pytest.mark.parametrize("connected", [True, False])
async def test_a_change_with_the_request_id_of_an_earlier_operation_is_refused(
    harness: Harness, autojump_clock: object, connected: bool
) -> None:
    """Under which the operation beside it would begin: neither of them is recorded. Other events are under no guard."""
    operation = OperationRequest(OperationKind.LIMIT_CHARGING, ONE)
    change = states(harness).change

    def begun(name: str, request_id: str) -> NewEvent:
        return NewEvent(OperationAccepted(name, request_id, operation, virtual_clock()), virtual_clock())

    advanced = NewEvent(OperationAdvanced("op_1", Stage.SENT), virtual_clock())
    async with AsyncExitStack() as stack:
        if connected:
            await stack.enter_async_context(harness.connected())
        first = await change("CP1", request(amperes(16), "r1"), (begun("op_1", "o1"), advanced))
        assert isinstance(first, ChangedWanted)
        refused = await change("CP1", request(amperes(10), "r2"), (begun("op_2", "o1"),))
        assert refused == Refused(
            RefusalReason.REQUEST_ID_REUSED, "request_id o1 was used for another operation of this charge point"
        )
        assert [body.operation_id for body in harness.bodies_of(OperationAccepted)] == ["op_1"]
        last = wanted(harness)
        assert last is not None
        assert (last.revision, last.standing) == (1, amperes(16).standing)
        assert isinstance(await change("CP1", request(amperes(10), "r2"), (begun("op_2", "o2"),)), ChangedWanted)


async def test_a_wish_that_meets_a_connection_being_opened_goes_through_it(
    harness: Harness, autojump_clock: object
) -> None:
    """The store has given the charge point away, and the session is not installed yet."""
    harness.journal.stall_seconds = 0.3
    async with trio.open_nursery() as nursery:

        async def connects() -> None:
            async with harness.connected():
                await trio.sleep(2)

        nursery.start_soon(connects)
        await trio.sleep(0.1)
        assert harness.router.session("CP1") is None
        made = await states(harness).change("CP1", request(amperes(16)))
        assert isinstance(made, ChangedWanted)
        session = harness.router.session("CP1")
        assert session is not None
        assert session.steering.wanted[ONE].revision == 1


async def test_a_wish_that_meets_an_ending_session_is_kept_by_the_store(
    harness: Harness, autojump_clock: object
) -> None:
    """It is not lost with the session."""
    harness.journal.stall_seconds = 0.2
    async with harness.connected() as charger, trio.open_nursery() as nursery:
        nursery.start_soon(charger.lose_link)
        await trio.testing.wait_all_tasks_blocked()
        made = await states(harness).change("CP1", request(amperes(16)))
    assert isinstance(made, ChangedWanted)
    assert wanted(harness) is not None


async def test_a_charge_point_that_is_not_there_is_refused(harness: Harness, autojump_clock: object) -> None:
    """By name."""
    refused = await states(harness).change("CP9", request(amperes(16)))
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.UNKNOWN_CHARGE_POINT


async def test_a_charge_point_that_is_deleted_meanwhile_is_refused_likewise(
    harness: Harness, autojump_clock: object
) -> None:
    """It was there when the change was decided on."""

    class Deletes:
        async def commit(self, write: Any) -> WriteResult:
            await harness.journal.commit(DeleteChargePoint("CP1", virtual_clock()))
            return await harness.journal.commit(write)

    journal: Any = Deletes()
    states = WantedStates(harness.router, journal, harness.reads, virtual_clock, harness.protocol)
    refused = await states.change("CP1", request(amperes(16)))
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.UNKNOWN_CHARGE_POINT


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (request(amperes(3)), "limit.value"),
        (evolve(request(amperes(16)), by="x" * 201), "by"),
        (evolve(request(amperes(16)), why="a\nb"), "why"),
        (request(amperes(16), connector=ConnectorAddress(1, 2)), "connector"),
        (request(amperes(16), connector=ConnectorAddress(0, 1)), "connector"),
    ],
)
async def test_what_can_not_be_wanted_is_refused_by_its_field(
    harness: Harness, autojump_clock: object, bad: WantedRequest, field: str
) -> None:
    """Nothing is changed; online and offline alike."""
    refused = await states(harness).change("CP1", bad)
    assert isinstance(refused, Refused)
    assert [each.field for each in refused.violations] == [field]
    async with harness.connected():
        assert await states(harness).change("CP1", bad) == refused
    assert harness.bodies_of(WantedChanged) == []


async def test_a_limit_below_the_minimum_becomes_a_pause_where_that_is_asked_for(
    harness: Harness, autojump_clock: object
) -> None:
    """Otherwise it is refused."""
    await states(harness).change("CP1", evolve(request(amperes(3)), pause_below_minimum=True))
    paused = wanted(harness)
    assert paused is not None
    assert paused.standing == StandingLimit(RateLimit(Decimal(0), ChargingRateUnit.AMPERE))


async def test_the_whole_charge_point_can_be_limited(harness: Harness, autojump_clock: object) -> None:
    """Beside its connectors."""
    await states(harness).change("CP1", request(amperes(16), connector=WHOLE_CHARGE_POINT))
    assert wanted(harness, WHOLE_CHARGE_POINT) is not None
    assert wanted(harness) is None


async def test_a_store_that_takes_nothing_says_so(harness: Harness, autojump_clock: object) -> None:
    """And where it is in doubt, that: the same request tells later."""
    harness.journal.failing = True
    with pytest.raises(StoreUnavailable):
        await states(harness).change("CP1", request(amperes(16)))
    harness.journal.failing = False
    async with harness.connected():
        harness.journal.doubt, harness.journal.doubt_of = "kept", "wanted.changed"
        with pytest.raises(CommitUnknown):
            await states(harness).change("CP1", request(amperes(16)))
        harness.journal.failing, harness.journal.doubt = False, ""
    made = await states(harness).change("CP1", request(amperes(16)))
    assert isinstance(made, ChangedWanted)
    assert made.revision == 1

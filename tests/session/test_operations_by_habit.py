"""Every operation on charging with every habit of a charger, and the gateway killed in it.

The wanted state is reached, or its failure is shown; and a command that must not be repeated is sent once.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.charging.outcomes import MAX_TRIES
from gateway.charging.wishes import SetLimit
from gateway.domain.charging import ChargingRateUnit
from gateway.domain.operations import End, OperationKind, OperationRecord, OperationRequest
from gateway.domain.steering import RateLimit, StandingLimit
from gateway.domain.values import WHOLE_CHARGE_POINT
from tests.session.test_limiting_operations import ALL_PURPOSES, ONE, Operator
from tests.session.test_steering import Operator as Steerer
from tests.session.test_steering import amperes, plan
from tests.support.harness import Harness, virtual_clock
from tests.support.steered import VEHICLE_WATTS, SteeredCharger

MINUTE = 60.0
LONG = 20 * MINUTE
"""Longer than any operation on charging is followed."""

START, STOP = OperationKind.START_CHARGING, OperationKind.STOP_CHARGING
PAUSE, LIMIT, RESUME = OperationKind.PAUSE_CHARGING, OperationKind.LIMIT_CHARGING, OperationKind.RESUME_CHARGING
OPERATIONS = (START, STOP, PAUSE, LIMIT, RESUME)
AMPERES = {PAUSE: 0, LIMIT: 10, RESUME: None}
ACTION = {
    START: "RemoteStartTransaction",
    STOP: "RemoteStopTransaction",
    PAUSE: "SetChargingProfile",
    LIMIT: "SetChargingProfile",
    RESUME: "ClearChargingProfile",
}


class Habit(StrEnum):
    """A charger's way with commands."""

    OBEYS = "obeys"
    REFUSES = "refuses"
    IGNORES = "ignores"
    LAGS = "lags"
    ANSWERS_LATE = "answers late"
    RECONNECTS = "reconnects midway"
    FORGETS = "reboots and forgets"
    LIES = "lies about acceptance"


class Box(SteeredCharger):
    """A charger with a habit, which lasts from ``turns`` on."""

    def __init__(self, harness: Harness) -> None:
        super().__init__(harness)
        self.habit = Habit.OBEYS
        self.draws_nothing = False
        """Whether it draws nothing, whatever is allowed."""
        self.hangs_up = trio.Event()
        """Set when its habit is to lose the link, and it was asked."""

    @property
    def watts(self) -> float:
        """The power that is drawn now."""
        return 0.0 if self.draws_nothing else super().watts

    def turns(self, habit: Habit, kind: OperationKind) -> None:
        """It has this habit from now on, in what it is asked of this kind."""
        self.habit = habit
        action = ACTION[kind]
        if habit is Habit.REFUSES:
            self.refuses = ALL_PURPOSES
            self.unsupported = {"ClearChargingProfile"}
        elif habit is Habit.IGNORES:
            self.deaf = {action}
        elif habit is Habit.LAGS:
            self.lag = MINUTE
        elif habit is Habit.ANSWERS_LATE:
            self.late = self.harness.limits.call_timeout + 15
        elif habit in (Habit.RECONNECTS, Habit.FORGETS):
            self.silent = {action}
        elif habit is Habit.LIES and kind is not RESUME:
            self.ignores = ALL_PURPOSES

    def comes_back(self) -> None:
        """The link is back, or the charger has booted."""
        if self.habit in (Habit.RECONNECTS, Habit.FORGETS):
            self.silent = set()

    async def _answer(self, transport: Any, message_id: str, action: str, payload: dict[str, Any]) -> None:
        if action in self.silent:
            self.hangs_up.set()
        await super()._answer(transport, message_id, action, payload)

    def _RemoteStartTransaction(self, _: dict[str, Any]) -> dict[str, Any]:
        if self.habit is Habit.REFUSES:
            return {"status": "Rejected"}
        if self.habit not in (Habit.LIES, Habit.RECONNECTS, Habit.FORGETS):
            self._soon(self.start)
        return {"status": "Accepted"}

    def _RemoteStopTransaction(self, _: dict[str, Any]) -> dict[str, Any]:
        if self.habit is Habit.REFUSES:
            return {"status": "Rejected"}
        if self.habit not in (Habit.LIES, Habit.RECONNECTS, Habit.FORGETS):
            self._soon(self.stop)
        return {"status": "Accepted"}

    def _ClearChargingProfile(self, payload: dict[str, Any]) -> dict[str, Any]:
        if self.habit is Habit.LIES:
            return {"status": "Accepted"}
        return super()._ClearChargingProfile(payload)

    def _soon(self, what: Any) -> None:
        async def later() -> None:
            await trio.sleep(self.late + self.lag + 1)
            await what()

        assert self._nursery is not None
        self._nursery.start_soon(later)


@pytest.fixture
async def harness(harness: Harness) -> Harness:
    harness.add_charge_point()
    harness.add_tag("TAG")
    return harness


class Scene:
    """One operation, on one charger."""

    def __init__(self, harness: Harness, kind: OperationKind) -> None:
        self.harness = harness
        self.kind = kind
        self.box = Box(harness)
        self.operator = Operator(harness)
        self.operation_id = ""

    @asynccontextmanager
    async def prepared(self) -> AsyncIterator[None]:
        """The charger is connected, and in the state from which the operation leads."""
        async with self.box.connected():
            await self.box.boot()
            if self.kind is not START:
                await self.box.start()
            if self.kind is RESUME:
                await self.operator.pauses()
                await trio.sleep(8 * MINUTE)
                assert self.box.watts == 0
            await trio.sleep(5)
            yield

    async def begins(self) -> None:
        if self.kind in AMPERES:
            self.operation_id = await self.operator.begins(self.kind, AMPERES[self.kind])
            return
        request = OperationRequest(self.kind, ONE, "TAG" if self.kind is START else "")
        found = await self.harness.router.operate("CP1", request, "r", 120.0)
        assert isinstance(found, OperationRecord), found
        self.operation_id = found.operation_id

    async def returns(self) -> None:
        """Say the messages of a charger that is back after it lost its link, or its memory."""
        box = self.box
        box.comes_back()
        if box.habit is Habit.FORGETS:
            await box.boot()
            if self.kind is STOP:
                await box.stop()  # a boot ends what ran
        elif self.kind is START:
            await box.start()
        elif self.kind is STOP:
            await box.stop()

    @property
    def reached(self) -> bool:
        """True if the charger does what is wanted of it."""
        box, watts = self.box, self.box.watts
        match self.kind:
            case OperationKind.START_CHARGING:
                return box.transaction is not None and watts > 0
            case OperationKind.STOP_CHARGING:
                return box.transaction is None
            case OperationKind.PAUSE_CHARGING:
                return watts == 0
            case OperationKind.LIMIT_CHARGING:
                return 0 < watts < VEHICLE_WATTS
        return watts == VEHICLE_WATTS

    @property
    def record(self) -> OperationRecord:
        return self.operator.shown(self.operation_id)

    @property
    def sendings(self) -> int:
        return len(self.box.sent(ACTION[self.kind]))


DONE, REFUSED, TIMED_OUT, NO_EFFECT = End.DONE, End.REFUSED, End.TIMED_OUT, End.NO_EFFECT

# habit: the end of a start, a stop, a pause, a limit and a resume, as the headings say
ENDS: dict[Habit, tuple[End, ...]] = {
    #                START      STOP       PAUSE      LIMIT      RESUME
    Habit.OBEYS: (DONE, DONE, DONE, DONE, DONE),
    Habit.REFUSES: (REFUSED, REFUSED, REFUSED, REFUSED, TIMED_OUT),
    Habit.IGNORES: (TIMED_OUT, TIMED_OUT, TIMED_OUT, TIMED_OUT, TIMED_OUT),
    Habit.LAGS: (DONE, DONE, DONE, DONE, DONE),
    Habit.ANSWERS_LATE: (DONE, DONE, DONE, DONE, DONE),
    Habit.RECONNECTS: (DONE, DONE, DONE, DONE, DONE),
    Habit.FORGETS: (TIMED_OUT, DONE, DONE, DONE, DONE),  # a boot ends what ran, and profiles are sent again
    Habit.LIES: (NO_EFFECT, NO_EFFECT, NO_EFFECT, NO_EFFECT, NO_EFFECT),
}  # fmt: skip

MOST_SENT = {START: 1, STOP: 1, PAUSE: MAX_TRIES, LIMIT: MAX_TRIES, RESUME: MAX_TRIES}
"""CALLs of the operation's action: what must not be repeated is not; profiles are within the bound of tries."""

AWAY = (Habit.RECONNECTS, Habit.FORGETS)


@pytest.mark.parametrize("habit", list(Habit))
@pytest.mark.parametrize("kind", OPERATIONS)
async def test_what_is_wanted_is_reached_or_its_failure_is_shown(
    harness: Harness, autojump_clock: MockClock, kind: OperationKind, habit: Habit
) -> None:
    """By the operation's end: DONE, and the charger does it; any other, and it does not."""
    scene = Scene(harness, kind)
    box = scene.box
    async with scene.prepared():
        box.turns(habit, kind)
        before = scene.sendings
        await scene.begins()
        if habit in AWAY:
            await box.hangs_up.wait()
        else:
            await trio.sleep(LONG)
    if habit in AWAY:
        await trio.sleep(MINUTE)
        async with box.connected():
            await scene.returns()
            await trio.sleep(LONG)
    assert scene.record.end is ENDS[habit][OPERATIONS.index(kind)], scene.record
    assert scene.reached == (scene.record.end is DONE)
    assert 1 <= scene.sendings - before <= MOST_SENT[kind]


@pytest.mark.parametrize("kept", ["by hand", "of the charge point", "of a plan", "too little", "over"])
async def test_a_start_under_a_pause_of_the_gateways_is_done_without_power(
    harness: Harness, autojump_clock: MockClock, kept: str
) -> None:
    """Nothing is wrong with it: power comes when the pause is over. A vehicle that takes nothing is another matter."""
    scene, steerer = Scene(harness, START), Steerer(harness)
    if kept == "too little":  # over three phases, by a charger of which it was not known that it takes A alone
        await steerer.wants(SetLimit(StandingLimit(RateLimit(Decimal(4000), ChargingRateUnit.WATT))))
    async with scene.prepared():
        match kept:
            case "by hand":
                await steerer.wants(amperes(0))
            case "of the charge point":
                await steerer.wants(amperes(0), WHOLE_CHARGE_POINT)
            case "too little":
                pass
            case "of a plan":
                await steerer.wants(plan(0, 16, minutes=60))
            case _:
                await steerer.wants(plan(0, None, minutes=3))
                scene.box.draws_nothing = True
        await trio.sleep(MINUTE)
        await scene.begins()
        await trio.sleep(LONG)
        assert (scene.box.transaction is None, scene.box.watts) == (False, 0.0)
    expected = (NO_EFFECT, "no-power") if kept == "over" else (DONE, "paused")
    assert (scene.record.end, scene.record.reason) == expected


KILLED_AT = ("accepted", "sent", "answered")


@pytest.mark.parametrize("killed_at", KILLED_AT)
@pytest.mark.parametrize("habit", [Habit.OBEYS, Habit.LIES])
@pytest.mark.parametrize("kind", OPERATIONS)
async def test_the_same_holds_where_the_gateway_is_killed(
    harness: Harness, autojump_clock: MockClock, kind: OperationKind, habit: Habit, killed_at: str
) -> None:
    """Before its command is sent, before it is answered, and after: the next one goes on with what is on disk, and
    sends no start and no stop a second time."""
    scene = Scene(harness, kind)
    box = scene.box
    async with scene.prepared():
        box.turns(habit, kind)
        before = scene.sendings
        if killed_at == "sent":
            box.silent = {ACTION[kind]}
        await scene.begins()
        if killed_at == "sent":
            await box.hangs_up.wait()
        elif killed_at == "answered":
            await trio.sleep(2)
        harness.journal.failing = harness.journal.readable = True
    box.silent = set()
    harness.journal.failing = False
    harness.store.settle(virtual_clock())
    async with box.connected():
        await trio.sleep(LONG)
    end = scene.record.end
    assert end is not None
    if not scene.reached:
        assert end is not DONE
    assert scene.sendings - before <= MOST_SENT[kind]

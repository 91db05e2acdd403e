"""The table of an operation's course: every row, and that nothing seen twice happens twice."""

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gateway.charging.operations import POWER_WAIT, STOP_WAIT, TABLE, Happening, Steered, Step, step
from gateway.domain.commands import Command, CommandState, RemoteStartTransaction, RemoteStopTransaction
from gateway.domain.events import OperationAdvanced, OperationEnded
from gateway.domain.operations import (
    STEERING,
    End,
    OpenOperation,
    OperationKind,
    OperationRecord,
    OperationRequest,
    Stage,
    StageReached,
)
from gateway.domain.power import Power
from gateway.domain.steering import Steering, SteeringState
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ONE = ConnectorAddress(1, 1)
KINDS = (OperationKind.START_CHARGING, OperationKind.STOP_CHARGING)
STEERED = tuple(sorted(STEERING))


def operation(kind: OperationKind, stage: Stage, **more: object) -> OpenOperation:
    """An operation that has reached a stage just now."""
    start = kind is OperationKind.START_CHARGING
    request = OperationRequest(kind, ONE, "TAG" if start else "")
    expires = NOW + timedelta(minutes=1)
    record = OperationRecord("op", "CP1", "r", request, NOW, expires, (StageReached(stage, NOW, 1),), "cmd", "tx")
    return OpenOperation(record, **more)  # type: ignore[arg-type]


def ends(found: Step) -> tuple[list[Stage], End | None, str]:
    """The stages and the end of a step's events."""
    stages = [each.stage for each in found.events if isinstance(each, OperationAdvanced)]
    over = [each for each in found.events if isinstance(each, OperationEnded)]
    return stages, over[0].end if over else None, over[0].reason if over else ""


@pytest.mark.parametrize("kind", [*KINDS, *STEERED])
def test_each_stage_that_a_row_names_has_a_row(kind: OperationKind) -> None:
    """And every row but the last of a kind can be left without an event of the charger's."""
    rows = TABLE[kind]
    named = {then for row in rows.values() for then in row.values() if isinstance(then, Stage)}
    assert named | {Stage.ACCEPTED} == set(rows)
    by_time = {Happening.WAITED_BLIND, Happening.TOO_LATE, Happening.NEVER_STARTED, Happening.WAITED, Happening.NOTHING}
    assert all(by_time & set(row) for row in rows.values())


@pytest.mark.parametrize("kind", KINDS)
def test_an_accepted_operation_is_sent_once_and_in_time(kind: OperationKind) -> None:
    """Its command, until its expiry; not when there is one already."""
    accepted = operation(kind, Stage.ACCEPTED)
    expected: dict[OperationKind, Command] = {
        OperationKind.START_CHARGING: RemoteStartTransaction("TAG", ONE),
        OperationKind.STOP_CHARGING: RemoteStopTransaction("tx"),
    }
    found = step(accepted, None, NOW, pending=False)
    assert found == Step((), expected[kind], accepted.record.expires_at)
    assert step(evolve(accepted, command=CommandState.QUEUED), None, NOW, pending=False) == Step()
    late = step(accepted, None, accepted.record.expires_at, pending=False)
    assert (ends(late), late.send) == (([], End.NOT_SENT, "deadline"), None)


@pytest.mark.parametrize(
    ("reason", "end"),
    [("disconnected", End.OFFLINE), ("deadline", End.NOT_SENT), ("gateway-restarted", End.NOT_SENT)],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_command_that_was_not_sent_ends_it(kind: OperationKind, reason: str, end: End) -> None:
    """For the command's own reason."""
    unsent = operation(kind, Stage.ACCEPTED, command=CommandState.NOT_SENT, command_reason=reason)
    assert ends(step(unsent, None, NOW, pending=False)) == ([], end, reason)


def test_a_start_goes_through_all_that_has_happened_in_one_step() -> None:
    """As after a restart."""
    seen = operation(
        OperationKind.START_CHARGING, Stage.ACCEPTED, command=CommandState.ANSWERED, accepted=True, began_at=NOW
    )
    found = step(seen, Power(7000.0, NOW), NOW, pending=False)
    assert ends(found) == ([Stage.SENT, Stage.TRANSACTION_STARTED, Stage.POWER_RISEN], End.DONE, "")


@pytest.mark.parametrize(
    ("stage", "accepted", "end"),
    [
        (Stage.SENT, None, End.TIMED_OUT),
        (Stage.SENT, False, End.REFUSED),
        (Stage.CHARGER_ACCEPTED, True, End.NO_EFFECT),
    ],
)
def test_a_start_that_is_not_pending_any_more_is_over(stage: Stage, accepted: bool | None, end: End) -> None:
    """While it is pending nothing is over."""
    sent = operation(OperationKind.START_CHARGING, stage, command=CommandState.SENT, accepted=accepted, said="Rejected")
    assert ends(step(sent, None, NOW, pending=False))[1] is end
    if accepted is not False:
        assert step(sent, None, NOW + timedelta(days=1), pending=True) == Step()


@pytest.mark.parametrize(
    ("watts", "end", "reason"), [(None, End.UNKNOWN, "no-readings"), (299.0, End.NO_EFFECT, "no-power")]
)
def test_a_transaction_without_power_ends_in_time(watts: float | None, end: End, reason: str) -> None:
    """Power of before it began says nothing."""
    started = operation(OperationKind.START_CHARGING, Stage.TRANSACTION_STARTED, began_at=NOW)
    power = None if watts is None else Power(watts, NOW + timedelta(minutes=1))
    assert step(started, Power(7000.0, NOW - timedelta(seconds=1)), NOW, pending=False).events == ()
    assert step(started, power, NOW, pending=False).due == NOW + POWER_WAIT
    assert ends(step(started, power, NOW + POWER_WAIT, pending=False)) == ([], end, reason)


@pytest.mark.parametrize(
    ("stage", "end"),
    [(Stage.SENT, End.TIMED_OUT), (Stage.CHARGER_ACCEPTED, End.NO_EFFECT), (Stage.POWER_FALLEN, End.DONE)],
)
def test_a_stop_without_a_stop_ends_in_time(stage: Stage, end: End) -> None:
    """But not before the charger has been back for a while."""
    sent = operation(OperationKind.STOP_CHARGING, stage, command=CommandState.SENT)
    assert step(sent, None, NOW, pending=False).due == NOW + STOP_WAIT
    assert ends(step(sent, None, NOW + STOP_WAIT, pending=False)) == ([], end, "no-stop")
    held = evolve(sent, held_until=NOW + 2 * STOP_WAIT)
    assert step(held, None, NOW + STOP_WAIT, pending=False) == Step((), None, NOW + 2 * STOP_WAIT)


@pytest.mark.parametrize("stage", [Stage.ACCEPTED, Stage.SENT, Stage.CHARGER_ACCEPTED, Stage.POWER_FALLEN])
def test_a_transaction_that_is_over_is_stopped_at_any_stage(stage: Stage) -> None:
    """However it came about."""
    seen = operation(OperationKind.STOP_CHARGING, stage, command=CommandState.SENT, over="lost")
    assert ends(step(seen, None, NOW, pending=False)) == ([Stage.TRANSACTION_STOPPED], End.DONE, "")


facts = st.fixed_dictionaries(
    {
        "command": st.sampled_from([None, *CommandState]),
        "accepted": st.sampled_from([None, True, False]),
        "said": st.just("word"),
        "command_reason": st.sampled_from(["", "disconnected", "deadline"]),
        "began_at": st.sampled_from([None, NOW]),
        "over": st.sampled_from(["", "stopped", "lost"]),
        "held_until": st.sampled_from([None, NOW + timedelta(hours=1)]),
    }
)


@given(
    kind=st.sampled_from(KINDS),
    data=st.data(),
    facts=facts,
    watts=st.sampled_from([None, 0.0, 200.0, 7000.0]),
    minutes=st.integers(0, 90),
    pending=st.booleans(),
)
def test_a_step_ends_once_and_a_second_look_finds_nothing_new(
    kind: OperationKind, data: st.DataObject, facts: dict[str, object], watts: float | None, minutes: int, pending: bool
) -> None:
    """Whatever has happened: at most one end, the last event; and what has just been reached is not reached again."""
    stage = data.draw(st.sampled_from(sorted(TABLE[kind])))
    seen = operation(kind, stage, **facts)
    now = NOW + timedelta(minutes=minutes)
    power = None if watts is None else Power(watts, now)
    found = step(seen, power, now, pending=pending)
    over = [each for each in found.events if isinstance(each, OperationEnded)]
    assert len(over) <= 1
    assert over == list(found.events[-1:])[: len(over)]
    stages = [each.stage for each in found.events if isinstance(each, OperationAdvanced)]
    assert len({stage, *stages}) == len(stages) + 1
    if over:
        return
    for reached in stages:
        record = evolve(seen.record, stages=(*seen.record.stages, StageReached(reached, now, 2)))
        seen = evolve(seen, record=record)
    again = step(seen, power, now, pending=pending)
    assert again.events == ()
    assert (again.send is None) == (seen.record.stage is not Stage.ACCEPTED or seen.command is not None)


# --- pauses and limits --------------------------------------------------------------------------------------------


def limiting(stage: Stage = Stage.ACCEPTED, kind: OperationKind = OperationKind.PAUSE_CHARGING) -> OpenOperation:
    """A pause that has made revision 3 of what is wanted."""
    return operation(kind, stage, revision=3)


def steered(state: SteeringState, *, open_: bool = True, revision: int = 3, tries: int = 1) -> Steered:
    """The progress of revision 3."""
    steering = Steering(revision, state, NOW, "word", tries=(NOW,) * tries, command_id="cmd_9")
    return Steered(3, steering, open_)


@pytest.mark.parametrize("kind", STEERED)
@pytest.mark.parametrize(
    ("state", "open_", "stages", "end", "reason"),
    [
        (SteeringState.VERIFIED, True, [Stage.SENT, Stage.CHARGER_ACCEPTED], End.DONE, ""),
        (SteeringState.APPLIED, False, [Stage.SENT, Stage.CHARGER_ACCEPTED], End.DONE, ""),
        (SteeringState.APPLIED, True, [Stage.SENT, Stage.CHARGER_ACCEPTED], None, ""),
        (SteeringState.PENDING, True, [Stage.SENT], None, ""),
        (SteeringState.REFUSED, True, [], End.REFUSED, "word"),
        (SteeringState.INEFFECTIVE, True, [], End.NO_EFFECT, "ineffective"),
    ],
)
def test_a_limit_ends_as_its_steering_says(
    kind: OperationKind, state: SteeringState, open_: bool, stages: list[Stage], end: End | None, reason: str
) -> None:
    """Done when the meter shows it, or the charger has accepted it and nothing charges."""
    found = step(limiting(kind=kind), None, NOW, steered=steered(state, open_=open_))
    assert ends(found) == (stages, end, reason)
    assert all(each.command_id == "cmd_9" for each in found.events if isinstance(each, OperationAdvanced))
    assert found.send is None


RESUMED = limiting(Stage.CHARGER_ACCEPTED, OperationKind.RESUME_CHARGING)
ENDED = RESUMED.record.expires_at


@pytest.mark.parametrize(
    ("watts", "at", "now", "stages", "end", "reason"),
    [
        (300, NOW, NOW, [Stage.POWER_RISEN], End.DONE, ""),
        (300, NOW - timedelta(seconds=1), NOW, [], None, ""),
        (0, NOW, NOW, [], None, ""),
        (0, NOW, ENDED, [], End.NO_EFFECT, "no-power"),
        (None, NOW, ENDED, [], End.UNKNOWN, "not-verified"),
    ],
)
def test_a_resume_is_done_when_power_flows_again(
    watts: float | None, at: datetime, now: datetime, stages: list[Stage], end: End | None, reason: str
) -> None:
    """By a reading since the charger has accepted it; of a whole charge point by its word."""
    power = None if watts is None else Power(watts, at)
    applied = steered(SteeringState.APPLIED)
    assert ends(step(RESUMED, power, now, steered=applied)) == (stages, end, reason)
    request = evolve(RESUMED.record.request, connector=WHOLE_CHARGE_POINT)
    whole = evolve(RESUMED, record=evolve(RESUMED.record, request=request))
    assert ends(step(whole, power, NOW, steered=applied)) == ([], End.DONE, "")


def test_a_limit_says_nothing_of_another_revision() -> None:
    """Progress of an earlier one is not its own, and a later one ends it."""
    earlier = steered(SteeringState.VERIFIED, revision=2)
    assert step(limiting(), None, NOW, steered=earlier).events == ()
    later = Steered(4, earlier.steering, True)
    assert ends(step(limiting(), None, NOW, steered=later)) == ([], End.NO_EFFECT, "superseded")


@pytest.mark.parametrize(
    ("stage", "end"),
    [(Stage.ACCEPTED, End.TIMED_OUT), (Stage.SENT, End.TIMED_OUT), (Stage.CHARGER_ACCEPTED, End.UNKNOWN)],
)
def test_a_limit_is_not_followed_for_ever(stage: Stage, end: End) -> None:
    """Until its expiry, or until the charger has been back for a while."""
    seen = limiting(stage)
    state = SteeringState.APPLIED if stage is Stage.CHARGER_ACCEPTED else SteeringState.PENDING
    progress = steered(state, tries=0)
    over = seen.record.expires_at
    assert step(seen, None, NOW, steered=progress).due == over
    assert ends(step(seen, None, over, steered=progress)) == ([], end, "not-verified")
    held = evolve(seen, held_until=over + timedelta(minutes=1))
    assert step(held, None, over, steered=progress).events == ()

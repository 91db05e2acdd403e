"""Wanted states, their steering and installed profiles in the store."""

import tempfile
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.charging.wishes import (
    Change,
    ClearPlan,
    DecidedChange,
    LiftLimit,
    SetLimit,
    SetPlan,
    WantedRequest,
    decided,
)
from gateway.domain.charging import ChargingRateUnit, ProfilePurpose
from gateway.domain.decision import NotConnected
from gateway.domain.events import (
    Body,
    BootInformation,
    ChargePointBooted,
    ChargePointDisconnected,
    ChargingProfileInstalled,
    ChargingProfileRemoved,
    NewEvent,
    SteeringChanged,
    TransactionAttributed,
    TransactionClosed,
    TransactionLost,
)
from gateway.domain.state import evolve
from gateway.domain.steering import MAX_STEERED, Plan, PlanStep, RateLimit, StandingLimit, Steering, SteeringState
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress, Registration
from gateway.store.api import Store, StoredState
from gateway.store.commits import Append, Appended, DeleteChargePoint, Fenced, GuardFailed, WriteResult
from gateway.store.limits import MAX_REQUESTS
from gateway.store.sqlite import SqliteStore
from tests.domain.test_profiles import DEFAULT, MAX, ONE, TWO, TX, profile
from tests.store.builders import T0, append, at, connect, create, event, limited, one, started, stopped

SIX = StandingLimit(RateLimit(Decimal(6), ChargingRateUnit.AMPERE))
PLAN = Plan((PlanStep(T0, RateLimit(Decimal(0), ChargingRateUnit.AMPERE)),), T0 + timedelta(hours=1))


def state(store: Store) -> StoredState:
    """The state of CP1 as it is stored."""
    found = store.state("CP1", T0)
    assert found is not None
    return found


def decide(store: Store, change: Change, request_id: str = "r1", connector: ConnectorAddress = ONE) -> DecidedChange:
    """A change that is in order."""
    found = decided(state(store).state, WantedRequest(request_id, connector, change, "me", "because"), T0)
    assert isinstance(found, DecidedChange)
    return found


def commit(store: Store, change: DecidedChange, *guards: NotConnected, epoch: int | None = None) -> WriteResult:
    """Commit it for CP1, under the epoch that it has."""
    epoch = state(store).state.epoch if epoch is None else epoch
    return one(store, Append("CP1", epoch, (change.event,), (*guards, *change.guards)))


def test_a_wanted_state_is_loaded_with_the_session(store: Store) -> None:
    """With its plan, its limit and how far it has got; set while it was away."""
    create(store)
    assert isinstance(commit(store, decide(store, SetPlan(PLAN)), NotConnected()), Appended)
    assert isinstance(commit(store, decide(store, SetLimit(SIX), "r2"), NotConnected()), Appended)
    opened = connect(store)
    wanted = opened.state.wanted[ONE]
    assert (wanted.revision, wanted.plan, wanted.standing) == (2, PLAN, SIX)
    assert opened.state.steering == {ONE: Steering(2, SteeringState.PENDING, T0)}
    assert state(store).connected


def test_what_is_lifted_and_cleared_leaves_its_revision(store: Store) -> None:
    """So that a later change has another one."""
    create(store)
    for number, change in enumerate((SetPlan(PLAN), SetLimit(SIX), LiftLimit(), ClearPlan())):
        commit(store, decide(store, change, f"r{number}"))
    wanted = state(store).state.wanted[ONE]
    assert (wanted.revision, wanted.plan, wanted.standing) == (4, None, None)


def test_a_change_by_the_store_needs_that_there_is_no_connection(store: Store) -> None:
    """A session that was opened meanwhile owns the charge point: by its epoch, and by its connection."""
    create(store)
    change = decide(store, SetLimit(SIX))
    connect(store)
    assert isinstance(commit(store, change, NotConnected(), epoch=0), Fenced)
    failed = commit(store, change, NotConnected())
    assert failed == GuardFailed(NotConnected())
    assert state(store).state.wanted == {}


def test_an_end_in_the_same_batch_lets_the_store_change_it(store: Store) -> None:
    """Ends of connections are gathered, and looked at in time."""
    opened = connect(store)
    change = decide(store, SetLimit(SIX))
    ended = Append("CP1", opened.epoch, (event(ChargePointDisconnected("closed", "peer")),))
    _, result = store.commit([ended, Append("CP1", opened.epoch, (change.event,), (NotConnected(), *change.guards))])
    assert isinstance(result, Appended)


def test_a_repeated_request_is_found_by_its_id(store: Store) -> None:
    """With the answer of the first time."""
    create(store)
    commit(store, decide(store, SetLimit(SIX)))
    failed = commit(store, decide(store, SetLimit(SIX)))
    assert isinstance(failed, GuardFailed)
    assert failed.changed is not None
    assert (failed.changed.connector, failed.changed.revision, failed.changed.at) == (ONE, 1, T0)
    assert failed.changed == store.changed_wanted("CP1", "r1")
    assert store.changed_wanted("CP1", "r2") is None
    assert store.changed_wanted("CP2", "r1") is None


def test_two_changes_of_one_revision_are_one(store: Store) -> None:
    """The second one was decided on what is not there any more; on another connector nothing has changed."""
    create(store)
    change, late, other = (
        decide(store, SetLimit(SIX)),
        decide(store, SetPlan(PLAN), "r2"),
        decide(store, SetPlan(PLAN), "r3", TWO),
    )
    assert isinstance(commit(store, change), Appended)
    failed = commit(store, late)
    assert isinstance(failed, GuardFailed)
    assert failed.changed is None
    assert isinstance(commit(store, other), Appended)


def test_only_the_last_requests_are_remembered(store: Store) -> None:
    """A caller that plans each minute fills no table."""
    create(store)
    for number in range(MAX_REQUESTS + 2):
        commit(store, decide(store, SetLimit(SIX), f"r{number}"))
    assert [number for number in range(MAX_REQUESTS + 2) if store.changed_wanted("CP1", f"r{number}") is None] == [0, 1]


def test_steering_changes_are_kept(store: Store) -> None:
    """Shown with the charge point, too; what is wanted next begins anew, and keeps what is on the charger."""
    opened = connect(store)
    commit(store, decide(store, SetLimit(SIX)))
    applied = Steering(
        1, SteeringState.APPLIED, at(5), purpose=MAX, profile_id=900_000_011, tries=(at(4),), command_id="cmd_1"
    )
    append(store, SteeringChanged(ONE, applied), epoch=opened.epoch)
    assert state(store).state.steering == {ONE: applied}
    record = store.charge_point("CP1")
    assert record is not None
    assert record.steering == ((ONE, applied),)
    commit(store, decide(store, LiftLimit(), "r2"))
    pending = state(store).state.steering[ONE]
    assert (pending.revision, pending.state, pending.profile_id) == (2, SteeringState.PENDING, 900_000_011)


def test_a_deleted_charge_point_leaves_nothing_wanted(store: Store) -> None:
    """Another unit may come under its identity."""
    opened = connect(store)
    commit(store, decide(store, SetLimit(SIX)))
    append(store, ChargingProfileInstalled(ONE, profile()), epoch=opened.epoch)
    one(store, DeleteChargePoint("CP1", T0))
    assert store.state("CP1", T0) is None
    assert store.changed_wanted("CP1", "r1") is None
    create(store)
    after = state(store).state
    assert (after.wanted, after.steering, after.profiles) == ({}, {}, {})
    assert store.changed_wanted("CP1", "r1") is None


def test_no_more_connectors_are_steered_than_there_is_room_for(store: Store) -> None:
    """The one after them is refused by name."""
    create(store)
    for number in range(MAX_STEERED):
        commit(store, decide(store, SetLimit(SIX), f"r{number}", ConnectorAddress(number + 1, 1)))
    present = state(store).state
    refused = decided(present, WantedRequest("r", ConnectorAddress(99, 1), SetLimit(SIX)), T0)
    assert isinstance(refused, tuple)
    assert [each.field for each in refused] == ["connector"]
    assert isinstance(decided(present, WantedRequest("r", ONE, SetLimit(SIX)), T0), DecidedChange)


AWAITED = (
    ChargingProfileInstalled(ONE, profile(1, TX)),
    ChargingProfileInstalled(TWO, profile(2, TX)),
    ChargingProfileInstalled(WHOLE_CHARGE_POINT, profile(3, TX, 1)),
    ChargingProfileInstalled(ONE, profile(4, DEFAULT, 2)),
    ChargingProfileInstalled(ONE, profile(5, TX, 3, "tx_1")),
)
"""The profiles of two remote starts, one for any connector, the connector's own, and a running transaction's."""

TIED = TransactionAttributed("tx_1", ONE, 1, "ev_1", 9, 600, "Local", 500, T0, "found by its register", "q")

IN_ORDER = {
    "a start": (((), started(1), 0), {1, 2, 3, 4, 5}),
    "a start too late": (((), started(1), 700), {2, 4, 5}),
    "a start elsewhere, too late": (((), started(1, connector=TWO), 700), {1, 4, 5}),
    "a stop": (((started(1),), stopped(1), 0), {2, 4}),
    "a loss": (((started(1),), TransactionLost("tx_1", ONE), 0), {2, 4}),
    "a close": (((started(1),), TransactionClosed("tx_1", ONE, "why"), 0), {2, 4}),
    "a stop that is tied to it": (((started(1),), TIED, 0), {2, 4}),
    "another's stop": (((started(1), started(2, connector=TWO)), stopped(2), 0), {1, 3, 4, 5}),
    "a removal": (((), ChargingProfileRemoved(ONE, 4, DEFAULT, ""), 0), {1, 2, 3, 5}),
}


@pytest.mark.parametrize("case", IN_ORDER)
def test_profiles_follow_their_transactions(store: Store, case: str) -> None:
    """Each in the store as in the session's memory: with its connector, its transaction, or gone."""
    (before, body, seconds), left = IN_ORDER[case]
    opened = connect(store)
    memory = opened.state
    for each, at_seconds in (*((each, 0) for each in (*AWAITED, *before)), (body, seconds)):
        new = NewEvent(each, at(at_seconds), cause="command:cmd_1")
        evolve(memory, new, one(store, Append("CP1", opened.epoch, (new,))).sequences[0])
    assert set(memory.profiles) == left
    assert state(store).state.profiles == memory.profiles


BOOTED = ChargePointBooted(BootInformation("Acme", "One"), Registration.ACCEPTED, 300)

BODIES = st.one_of(
    st.builds(
        ChargingProfileInstalled,
        st.sampled_from([ONE, TWO]),
        st.builds(
            profile,
            st.integers(1, 4),
            st.sampled_from(ProfilePurpose),
            st.integers(0, 1),
            st.sampled_from([None, "tx_1"]),
        ),
    ),
    st.builds(ChargingProfileRemoved, st.just(ONE), st.integers(1, 4), st.sampled_from([DEFAULT, TX]), st.just("")),
    st.sampled_from(
        [started(1), stopped(1), TransactionLost("tx_1", ONE), TransactionClosed("tx_1", ONE, "why"), BOOTED]
    ),
)


@given(st.lists(st.tuples(BODIES, st.sampled_from([0.0, 700.0])), max_size=8))
@settings(max_examples=25)
def test_profiles_are_folded_in_the_store_as_in_memory(bodies: list[tuple[Body, float]]) -> None:
    """Whatever is installed, cleared, started and ended, in whatever order."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "gateway.db", clock=lambda: T0)
        try:
            opened = connect(store)
            memory, now, begun = opened.state, 0.0, False
            for body, seconds in bodies:
                if body == started(1):
                    if begun:
                        continue  # a store takes each transaction once
                    begun = True
                now += seconds
                new = NewEvent(body, at(now), cause="command:cmd_1")
                result = one(store, Append("CP1", opened.epoch, (new,)))
                evolve(memory, new, result.sequences[0])
            assert state(store).state.profiles == memory.profiles
        finally:
            store.close()


def test_pages_go_on_behind_an_identity_with_spaces(store: Store) -> None:
    """The numbers of a place are those behind the last two spaces."""
    names = ["CP", "CP 1", "CP 1 1", "CQ"]
    for name in names:
        create(store, name)
        append(store, limited(store, name), identity=name)
    found, after = list[str](), ""
    while len(found) <= len(names) and (page := store.steering(None, after, 1)):
        [(identity, connector, _)] = page
        found.append(identity)
        after = f"{identity} {connector.evse} {connector.connector}"
    assert found == names


@pytest.mark.parametrize(
    "after", ["CP", "CP 1", "CP a 1", "CP 1 99999999999", f"CP {2**31} 1", "CP -1 1", "CP \u0661 1"]
)
def test_a_place_that_no_page_has_had_is_refused(store: Store, after: str) -> None:
    """As an error of the caller's."""
    with pytest.raises(ValueError):
        store.steering(None, after, 1)

"""The charging states of a charge point's connectors: each change is recorded once, in any order."""

from datetime import timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.charging_state import ChargingState, StateBasis, Verdict
from gateway.domain.connector_charging import MAX_CONNECTORS, ConnectorCharging, states_of
from gateway.domain.events import (
    ConnectorChargingStateChanged,
    ConnectorStatusChanged,
    MeterValuesReported,
    NewEvent,
)
from gateway.domain.power import PowerSource
from gateway.domain.records import ChargingStateRecord
from gateway.domain.state import connector_record
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress, Flag
from tests.energy.values import at

ONE = ConnectorAddress(1, 1)


def status(minutes, word, connector=ONE, measured=None):
    """``measured``: its own time, where that is another one."""
    time = at(minutes if measured is None else measured)
    late = (Flag.LATE,) if at(minutes) - time > timedelta(minutes=5) else ()
    return NewEvent(ConnectorStatusChanged(connector, word, "NoError"), at(minutes), time, flags=late)


def power(minutes, watts, connector=ONE, measured=None):
    time = at(minutes if measured is None else measured)
    late = (Flag.LATE,) if at(minutes) - time > timedelta(minutes=5) else ()
    found = (float(watts), time, False, PowerSource.MEASURED)
    return NewEvent(MeterValuesReported(connector, ()), at(minutes), time, flags=late, power=found)


def register(minutes, wh, connector=ONE, *, flags=(), location="Outlet"):
    """A message with a register, and no power."""
    body = MeterValuesReported(connector, ())
    return NewEvent(body, at(minutes), at(minutes), flags=flags, registers=((location, float(wh)),))


class Follower:
    """The part that a session and a store have in the states, without either."""

    def __init__(self):
        self.charging = ConnectorCharging()
        self.records = {}
        self.kept = {}
        self.recorded = []

    def commit(self, events):
        for event in events:
            self.charging.apply(event)
            if isinstance(event.body, ConnectorChargingStateChanged):
                self.recorded.append(event.body)
                verdict = Verdict(event.body.state, event.body.basis)
                self.kept[event.body.connector] = ChargingStateRecord(event.body.connector, verdict, event.received_at)
            elif isinstance(event.body, ConnectorStatusChanged):
                self.records[event.body.connector] = connector_record(event, event.body)

    def hear(self, event):
        changes = self.charging.changes((event,))
        self.commit((event, *changes))
        return changes

    def look(self, minutes):
        changes = self.charging.look(at(minutes))
        self.commit(changes)
        return changes

    def reconnect(self, minutes):
        self.charging = ConnectorCharging()
        self.charging.begin(self.records.values(), self.kept.values(), at(minutes))

    def state(self, connector=ONE):
        return self.charging.states[connector.evse, connector.connector].verdict.state


def test_a_change_says_what_it_was_worked_out_from():
    """Old and new state, basis, status and the power that counted."""
    one = Follower()
    one.hear(status(0, "Preparing"))
    one.hear(power(1, 7000))
    [change] = one.hear(power(2.1, 7100))
    assert change.body == ConnectorChargingStateChanged(
        ONE, ChargingState.CHARGING, ChargingState.CONNECTED, StateBasis.POWER, "Preparing", 7100.0
    )
    [change] = one.hear(status(3, "SuspendedEV"))
    assert (change.body.state, change.body.watts) == (ChargingState.CONNECTED, None)


def test_the_charge_point_as_a_whole_has_no_state():
    """Its status and its main meter say nothing of a vehicle."""
    one = Follower()
    assert one.hear(status(0, "Available", WHOLE_CHARGE_POINT)) == ()
    assert one.hear(power(1, 7000, WHOLE_CHARGE_POINT)) == ()
    assert one.charging.states == {}
    assert one.charging.powers[0, 0][0] == 7000


def test_connectors_are_followed_within_a_bound():
    """A charger that counts through connector numbers fills no memory."""
    one = Follower()
    for number in range(MAX_CONNECTORS + 50):
        one.hear(status(0, "Available", ConnectorAddress(number + 1, 1)))
        one.hear(power(1, 7000, ConnectorAddress(number + 1, 1)))
    assert len(one.charging.states) == len(one.charging.powers) == MAX_CONNECTORS
    assert len(one.recorded) == MAX_CONNECTORS


def test_a_power_without_a_status_is_enough():
    """Some chargers never send one for a connector."""
    one = Follower()
    [change] = one.hear(power(0, 7000))
    assert (change.body.state, change.body.basis) == (ChargingState.CHARGING, StateBasis.POWER_ONLY)
    one.reconnect(1)
    assert one.state() is ChargingState.CHARGING
    assert one.hear(power(2, 7000)) == ()


def test_a_state_of_before_follows_from_the_status_alone():
    """As a database has it that knew no charging states: the first event says what it was."""
    one = Follower()
    one.records[ONE] = connector_record(status(0, "Charging"), status(0, "Charging").body)
    one.reconnect(5)
    assert (one.state(), one.recorded) == (ChargingState.CHARGING, [])
    [change] = one.hear(status(6, "Available"))
    assert change.body.previous_state is ChargingState.CHARGING


@pytest.mark.parametrize("state", ChargingState)
@pytest.mark.parametrize("basis", StateBasis)
def test_every_kept_state_is_gone_on_from(state, basis):
    """Whatever the store holds."""
    record = connector_record(status(0, "Charging"), status(0, "Charging").body)
    found = states_of([record], [ChargingStateRecord(ONE, Verdict(state, basis), at(0))])
    assert found[1, 1].verdict == Verdict(state, basis)


STEP = st.tuples(
    st.floats(0.01, 4),
    st.one_of(
        st.tuples(st.just("status"), st.sampled_from(["Available", "Preparing", "Charging", "SuspendedEV", "Odd"])),
        st.tuples(st.just("power"), st.sampled_from([0, 200, 7000])),
        st.tuples(st.just("register"), st.sampled_from([1000, 1001, 1120, 1250, 2400])),
        st.tuples(st.just("look"), st.none()),
        st.tuples(st.just("reconnect"), st.none()),
    ),
    st.sampled_from([0.0, 0.0, 0.0, 1.0, 30.0]),
)


@given(st.lists(STEP, max_size=40))
def test_each_change_is_recorded_once_and_follows_on_the_one_before(steps):
    """Any order of statuses, powers, queued ones, repeats, timers and reconnects: the events are a chain without a gap
    or a repetition, and its end is the state."""
    one, minutes = Follower(), 100.0
    for step, (kind, value), ago in steps:
        minutes += step
        if kind == "status":
            said = status(minutes, value, measured=minutes - ago)
            one.hear(said)
            assert one.hear(said) == ()
        elif kind == "power":
            said = power(minutes, value, measured=minutes - ago)
            one.hear(said)
            assert one.hear(said) == ()
        elif kind == "register":
            one.hear(register(minutes, value))
        elif kind == "look":
            one.look(minutes)
        elif kind == "reconnect":
            one.reconnect(minutes)
    previous = ChargingState.UNKNOWN
    for change in one.recorded:
        assert change.previous_state is previous
        assert change.state is not previous
        previous = change.state
    if one.charging.states and one.recorded:
        assert one.state() is previous


@given(st.lists(st.tuples(st.floats(-60, 0), st.sampled_from([0, 7000])), max_size=10))
def test_what_is_older_than_the_newest_power_changes_nothing(older):
    """In any order."""
    one = Follower()
    one.hear(status(60, "Charging"))
    one.hear(power(61, 7000))
    recorded = list(one.recorded)
    known = evolve(one.charging.states[1, 1])
    for minutes, watts in older:
        one.hear(power(62, watts, measured=61 + minutes - 0.01))
    assert one.recorded == recorded
    assert one.charging.states[1, 1] == known
    assert one.charging.powers[1, 1][0] == 7000


# --- the slope of the register --------------------------------------------------------------------------------


def test_a_register_that_rises_shows_that_a_vehicle_charges() -> None:
    """The last rung of the ladder, while no power is known. It must last, as any power."""
    one = Follower()
    one.hear(status(0, "Preparing"))
    for minute, wh in ((1, 1001), (2, 1118)):
        assert one.hear(register(minute, wh)) == ()
    [change] = one.hear(register(3, 1235))
    assert change.body.state is ChargingState.CHARGING
    assert change.body.basis is StateBasis.POWER
    assert change.body.watts == pytest.approx(117 * 60)
    assert one.charging.power(ONE) is None


def test_a_register_that_stands_shows_that_none_does() -> None:
    """Though the status says Charging; and an old slope says nothing."""
    one = Follower()
    one.hear(status(0, "Charging"))
    assert one.state() is ChargingState.CHARGING
    for minute in (1, 2):
        one.hear(register(minute, 1001))
    [change] = one.hear(register(3, 1001))
    assert (change.body.state, change.body.basis, change.body.watts) == (
        ChargingState.CONNECTED,
        StateBasis.POWER,
        0.0,
    )
    assert one.look(8.1) == ()
    [faded] = one.look(9.2)
    assert (faded.body.state, faded.body.basis) == (ChargingState.CHARGING, StateBasis.STATUS_ONLY)


def test_a_power_comes_before_the_register() -> None:
    """As soon as one is known, whatever the register does."""
    one = Follower()
    one.hear(status(0, "Charging"))
    one.hear(register(1, 1001))
    one.hear(power(2, 7000))
    for minute in (3, 4, 5, 6):
        assert one.hear(register(minute, 1001)) == ()
    assert one.state() is ChargingState.CHARGING
    assert one.charging.registers == one.charging.slopes == {}


@pytest.mark.parametrize(
    "later",
    [
        {"flags": (Flag.LATE,)},
        {"flags": (Flag.METER_IMPLAUSIBLE,)},
        {"location": "Inlet"},
    ],
)
def test_registers_that_do_not_count_move_nothing(later) -> None:
    """Queued ones, those that contradict themselves, and those of another place."""
    one = Follower()
    one.hear(status(0, "Preparing"))
    one.hear(register(1, 1001))
    for minute in (2, 3, 4, 5):
        assert one.hear(register(minute, 1001 + 500 * minute, **later)) == ()
    assert one.state() is ChargingState.CONNECTED


def test_registers_are_followed_within_a_bound() -> None:
    """And none of the charge point as a whole has a state."""
    one = Follower()
    for number in range(MAX_CONNECTORS + 50):
        for minute in (0, 1):
            one.hear(register(minute, 1001, ConnectorAddress(number + 1, 1)))
    assert len(one.charging.registers) == MAX_CONNECTORS
    assert one.hear(register(2, 1001, WHOLE_CHARGE_POINT)) == ()


def test_what_was_followed_before_a_known_status_is_followed_again() -> None:
    """A status that is none of the nine says nothing: an older one that comes later counts."""
    one = Follower()
    one.hear(status(1, "Odd"))
    [change] = one.hear(status(2, "Available", measured=-28))
    assert change.body.state is ChargingState.AVAILABLE

"""What makes and ends the record of a reservation, and what an answer brings about (S §5.13, OCPP.md B9.10, B4.11)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import commands as c
from gateway.domain import reservations as r
from gateway.domain.commands import ConfigurationKey, StatusAnswer
from gateway.domain.consequences import consequences
from gateway.domain.events import ConfigurationReported, NewEvent, ReservationEnded, ReservationMade
from gateway.domain.state import ChargePointState, evolve
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress, Registration
from tests.domain.values import strategy_of

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ONE, TWO = ConnectorAddress(1, 1), ConnectorAddress(2, 1)
ACCEPTED = StatusAnswer("Accepted")


def after(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def reserve(reservation_id: int = 7, connector: ConnectorAddress = ONE, minutes: float = 10) -> c.ReserveNow:
    return c.ReserveNow(connector, after(minutes), "TAG", reservation_id, "GROUP")


def made(reservation_id: int = 7, connector: ConnectorAddress = ONE, minutes: float = 10) -> ReservationMade:
    return ReservationMade(reservation_id, connector, "TAG", after(minutes), "GROUP")


def ended(why: str, reservation_id: int = 7, connector: ConnectorAddress = ONE, by: str | None = None):
    return ReservationEnded(reservation_id, connector, why, by)


def holding(*bodies: ReservationMade) -> ChargePointState:
    """A charge point with these reservations, made now."""
    state = ChargePointState("CP1", 1, Registration.ACCEPTED)
    for body in bodies:
        evolve(state, NewEvent(body, NOW), 0)
    return state


# --- answers --------------------------------------------------------------------------------------------------


def test_an_accepted_reservation_is_made_as_it_was_asked_for():
    """With its group."""
    assert consequences(reserve(), ACCEPTED, holding(), NOW) == (made(),)


@pytest.mark.parametrize("word", ["Faulted", "Occupied", "Rejected", "Unavailable", "accepted"])
def test_any_other_word_reserves_and_cancels_nothing(word):
    """What was reserved before stays."""
    state = holding(made())
    assert consequences(reserve(), StatusAnswer(word), state, NOW) == ()
    assert consequences(c.CancelReservation(7), StatusAnswer(word), state, NOW) == ()


def test_an_error_has_no_consequences():
    """The charger has not agreed to anything."""
    assert consequences(reserve(), c.ChargerError("InternalError"), holding(made()), NOW) == ()


def test_the_same_id_replaces_on_whatever_connector():
    """First the end of the one, then the other."""
    state = holding(made(7), made(8, TWO))
    assert consequences(reserve(7, WHOLE_CHARGE_POINT), ACCEPTED, state, NOW) == (
        ended("replaced"),
        made(7, WHOLE_CHARGE_POINT),
    )


def test_a_connector_has_one_reservation():
    """A charger that still had the one would have said Occupied (S §5.13)."""
    state = holding(made(7), made(8, TWO), made(9, WHOLE_CHARGE_POINT))
    assert consequences(reserve(10), ACCEPTED, state, NOW) == (ended("replaced"), made(10))


def test_reservations_of_any_connector_are_several():
    """As many as there are connectors."""
    state = holding(made(9, WHOLE_CHARGE_POINT))
    assert consequences(reserve(10, WHOLE_CHARGE_POINT), ACCEPTED, state, NOW) == (made(10, WHOLE_CHARGE_POINT),)


def test_an_acceptance_after_the_expiry_makes_what_has_ended():
    """A late answer; and what it replaces is gone all the same."""
    state = holding(made(7))
    late = consequences(reserve(7, minutes=10), ACCEPTED, state, after(11))
    assert late == (ended("replaced"), made(7), ended("expired"))


def test_a_cancelled_reservation_ends_and_an_unknown_one_does_not():
    """Whatever the charger says of it."""
    assert consequences(c.CancelReservation(7), ACCEPTED, holding(made(7)), NOW) == (ended("cancelled"),)
    assert consequences(c.CancelReservation(8), ACCEPTED, holding(made(7)), NOW) == ()


def test_a_reported_configuration_is_an_event_unless_it_is_empty():
    """A charger that answers with nothing has told nothing."""
    keys = (ConfigurationKey("A", True, "1"),)
    answer = c.ConfigurationAnswer(keys, ("B",))
    assert consequences(c.GetConfiguration(), answer, holding(), NOW) == (ConfigurationReported(keys, ("B",)),)
    assert consequences(c.GetConfiguration(), c.ConfigurationAnswer(), holding(), NOW) == ()


# --- what the charger says ------------------------------------------------------------------------------------


def test_a_start_uses_the_reservation_that_it_names():
    """An unknown, missing or stale id uses none (B4.11)."""
    state = holding(made(7), made(8, TWO))
    assert r.used(state, 7, "tx", None) == (ended("used", by="tx"),)
    for other in (None, 0, -1, 9):
        assert r.used(state, other, "tx", None) == ()


def test_what_was_queued_before_the_reservation_means_another_one():
    """An offline start under an id that its caller has given out again; a status of another day."""
    state = holding(made(7))
    assert r.used(state, 7, "tx", after(-1)) == ()
    assert r.used(state, 7, "tx", after(1)) == (ended("used", by="tx"),)
    assert r.unavailable(state, ONE, "Faulted", after(-1)) == ()
    assert r.unavailable(state, ONE, "Faulted", after(1)) == (ended("connector-unavailable"),)


@pytest.mark.parametrize("status", ["Faulted", "Unavailable"])
def test_a_connector_that_is_out_of_service_loses_its_reservation(status):
    """Its own; the whole charge point loses all of them."""
    state = holding(made(7), made(8, TWO), made(9, WHOLE_CHARGE_POINT))
    assert r.unavailable(state, ONE, status, None) == (ended("connector-unavailable"),)
    everything = r.unavailable(state, WHOLE_CHARGE_POINT, status, None)
    assert [each.reservation_id for each in everything] == [7, 8, 9]


@pytest.mark.parametrize("status", ["Available", "Reserved", "Preparing", "Charging", "SuspendedEV", "Novel"])
def test_any_other_status_ends_no_reservation(status):
    """Available too: it can be older than the reservation."""
    assert r.unavailable(holding(made()), ONE, status, None) == ()


def test_what_has_expired_is_overdue_unless_something_else_ends_it_now():
    """At its expiry, not before."""
    state = holding(made(7, minutes=10), made(8, TWO, minutes=11))
    assert r.overdue(state, after(9.9)) == ()
    assert [event.body for event in r.overdue(state, after(10))] == [ended("expired")]
    used = NewEvent(ended("used", by="tx"), NOW)
    assert [event.body for event in r.overdue(state, after(11), [used])] == [ended("expired", 8, TWO)]


# --- over a life ----------------------------------------------------------------------------------------------

IDS = st.integers(0, 3)
CONNECTORS = st.sampled_from([WHOLE_CHARGE_POINT, ONE, TWO])
STEPS = st.one_of(
    st.tuples(st.just("reserve"), IDS, CONNECTORS, st.integers(-5, 20)),
    st.tuples(st.just("cancel"), IDS),
    st.tuples(st.just("start"), IDS),
    st.tuples(st.just("status"), CONNECTORS, st.sampled_from(["Faulted", "Unavailable", "Available"])),
    st.tuples(st.just("wait"), st.integers(0, 20)),
)


@given(st.lists(STEPS, max_size=30))
def test_every_reservation_that_is_made_ends_once_or_holds(steps):
    """Whatever happens in whatever order; and a connector never has two."""
    state, now, open_ = holding(), NOW, set()
    for kind, *what in steps:
        match kind, what:
            case "reserve", [number, connector, minutes]:
                asked = c.ReserveNow(connector, now + timedelta(minutes=minutes), "TAG", number)
                bodies = consequences(asked, ACCEPTED, state, now)
            case "cancel", [number]:
                bodies = consequences(c.CancelReservation(number), ACCEPTED, state, now)
            case "start", [number]:
                bodies = r.used(state, number, "tx", None)
            case "status", [connector, status]:
                bodies = r.unavailable(state, connector, status, None)
            case "wait", [minutes]:
                now += timedelta(minutes=minutes)
                bodies = ()
        events = [NewEvent(body, now) for body in bodies]
        for event in (*events, *r.overdue(state, now, events)):
            number = event.body.reservation_id
            if isinstance(event.body, ReservationMade):
                assert number not in open_
                open_.add(number)
            else:
                open_.remove(number)
            evolve(state, event, 0)
        assert open_ == set(state.reservations)
        own = [each.connector for each in state.reservations.values() if each.connector != WHOLE_CHARGE_POINT]
        assert len(own) == len(set(own))


@given(strategy_of(c.Command), strategy_of(c.Answer))
def test_any_answer_to_any_command_has_consequences_without_an_error(command, answer):
    """Also one of another kind than was asked for."""
    consequences(command, answer, holding(made()), NOW)

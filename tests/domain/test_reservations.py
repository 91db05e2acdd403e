"""Begin and end of a reservation's record, and the effect of an answer (S §5.13, B9.10, B4.11)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import commands as c
from gateway.domain import reservations as r
from gateway.domain.command_states import consequences
from gateway.domain.commands import ConfigurationKey, StatusAnswer
from gateway.domain.events import (
    ConfigurationReported,
    ConnectorStatusChanged,
    NewEvent,
    ReservationEnded,
    ReservationMade,
    TransactionStarted,
)
from gateway.domain.state import ChargePointState, evolve
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress, Flag, Registration
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
def test_any_other_word_reserves_nothing(word):
    """Earlier reservations stay."""
    assert consequences(reserve(), StatusAnswer(word), holding(made()), NOW) == ()


@pytest.mark.parametrize("word", ["Faulted", "Occupied", "Unavailable", "accepted", "NotSupported"])
def test_a_cancellation_that_is_answered_oddly_ends_nothing(word):
    """It says neither that it is cancelled, nor that it is unknown."""
    assert consequences(c.CancelReservation(7), StatusAnswer(word), holding(made()), NOW) == ()


REJECTED = StatusAnswer("Rejected")


def test_a_reservation_that_the_charger_does_not_know_is_gone():
    """S §5.1: Rejected means that there is none of that id; nothing ends of what is unknown here as well."""
    assert consequences(c.CancelReservation(7), REJECTED, holding(made(7), made(8, TWO)), NOW) == (ended("gone"),)
    assert consequences(c.CancelReservation(9), REJECTED, holding(made(7)), NOW) == ()


@pytest.mark.parametrize(
    ("reserved", "says", "over"),
    [(ONE, ONE, False), (ONE, TWO, True), (WHOLE_CHARGE_POINT, TWO, False), (WHOLE_CHARGE_POINT, ONE, False)],
)
def test_a_rejected_cancellation_ends_nothing_that_the_charger_shows_to_hold(reserved, says, over):
    """Its connector says Reserved at this moment."""
    state = holding(made(7, reserved))
    status(state, says, "Reserved")
    expected = (ended("gone", 7, reserved),) if over else ()
    assert consequences(c.CancelReservation(7), REJECTED, state, NOW) == expected


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
    """A charger that answers with nothing has reported nothing."""
    keys = (ConfigurationKey("A", True, "1"),)
    answer = c.ConfigurationAnswer(keys, ("B",))
    assert consequences(c.GetConfiguration(), answer, holding(), NOW) == (ConfigurationReported(keys, ("B",)),)
    assert consequences(c.GetConfiguration(), c.ConfigurationAnswer(), holding(), NOW) == ()


# --- what the charger says ------------------------------------------------------------------------------------


def starting(tag="TAG", connector=ONE, reservation_id=None, parent=None, queued=None, state=None):
    """Return the ends of reservations that a start brings about."""
    started = TransactionStarted("tx", 1, connector, tag, "Accepted", 0, "key", reservation_id)
    return r.used(state, started, parent, queued)


@pytest.mark.parametrize("tag", ["TAG", "OTHER"])
def test_a_start_uses_the_reservation_that_it_names(tag):
    """B4.11: by whatever tag, on whatever connector; and no other one of its tag's."""
    state = holding(made(7), made(8, TWO), made(9, WHOLE_CHARGE_POINT))
    assert starting(tag, reservation_id=7, state=state) == (ended("used", by="tx"),)
    assert starting(tag, WHOLE_CHARGE_POINT, 8, state=state) == (ended("used", 8, TWO, by="tx"),)


@pytest.mark.parametrize("named", [None, 0, -1, 9])
@pytest.mark.parametrize(("tag", "parent"), [("TAG", None), ("tag", "X"), ("OTHER", "GROUP"), ("OTHER", "group")])
def test_a_start_by_the_reserved_tag_or_its_group_uses_its_reservation(named, tag, parent):
    """S §5.13: that of its connector before one of any connector; an unknown id changes nothing."""
    whole = made(6, WHOLE_CHARGE_POINT, minutes=5)
    state = holding(whole, made(7), made(8, TWO))
    assert starting(tag, reservation_id=named, parent=parent, state=state) == (ended("used", by="tx"),)
    third = ConnectorAddress(3, 1)
    of_any = (ended("used", 6, WHOLE_CHARGE_POINT, by="tx"),)
    assert starting(tag, third, named, parent, state=state) == of_any


@pytest.mark.parametrize(("tag", "parent"), [("OTHER", None), ("OTHER", "OTHERS"), ("OTHER", ""), ("", None)])
def test_a_start_by_another_tag_shows_that_its_connectors_reservation_is_gone(tag, parent):
    """Only the reserved tag is let in there; of other connectors, and of any, it says nothing."""
    state = holding(made(6, WHOLE_CHARGE_POINT), made(7), made(8, TWO))
    assert starting(tag, parent=parent, state=state) == (ended("gone"),)
    assert starting(tag, ConnectorAddress(3, 1), parent=parent, state=state) == ()


def test_empty_groups_are_no_group():
    """A reservation without one, and a tag without one, have nothing in common."""
    body = ReservationMade(7, WHOLE_CHARGE_POINT, "TAG", after(10), "")
    assert starting("OTHER", parent="", state=holding(body)) == ()


def test_what_was_queued_before_the_reservation_means_another_one():
    """An offline start under an id that its caller has given out again; a status of another day."""
    state = holding(made(7))
    status(state, ONE, "Reserved")
    for tag in ("TAG", "OTHER"):
        assert starting(tag, reservation_id=7, queued=after(-1), state=state) == ()
        assert starting(tag, queued=after(-1), state=state) == ()
    assert starting(reservation_id=7, queued=after(1), state=state) == (ended("used", by="tx"),)
    for word, why in (("Faulted", "connector-unavailable"), ("Available", "gone")):
        assert r.shown_by(state, ONE, word, after(-1), NOW) == ()
        assert r.shown_by(state, ONE, word, after(1), NOW) == (ended(why),)


@pytest.mark.parametrize("status", ["Faulted", "Unavailable"])
def test_a_connector_that_is_out_of_service_loses_its_reservation(status):
    """Its own; the whole charge point loses all of them."""
    state = holding(made(7), made(8, TWO), made(9, WHOLE_CHARGE_POINT))
    assert r.shown_by(state, ONE, status, None, NOW) == (ended("connector-unavailable"),)
    everything = r.shown_by(state, WHOLE_CHARGE_POINT, status, None, NOW)
    assert [each.reservation_id for each in everything] == [7, 8, 9]


@pytest.mark.parametrize("word", ["Available", "Reserved", "Preparing", "Charging", "SuspendedEV", "Novel"])
def test_any_other_status_ends_no_reservation(word):
    """Available too, from a charger that has never shown that it holds it: it may be older than the reservation."""
    assert r.shown_by(holding(made()), ONE, word, None, NOW) == ()


def status(state, connector, word, at=NOW, flags=()):
    """The charger says so, and it is recorded."""
    body = ConnectorStatusChanged(connector, word, "NoError")
    evolve(state, NewEvent(body, NOW, at, flags=flags), 0)


@pytest.mark.parametrize("between", [[], ["Preparing"], ["Charging", "Finishing"], ["Preparing", "SuspendedEV"]])
@pytest.mark.parametrize(("minutes", "why"), [(0, "gone"), (8.9, "gone"), (9.5, "expired"), (11, "expired")])
def test_available_after_reserved_shows_that_it_is_gone(between, minutes, why):
    """It would say Reserved if it still held it; near its expiry that was the reason (TC_047)."""
    state = holding(made(7), made(8, TWO))
    for word in ("Reserved", *between):
        assert r.shown_by(state, ONE, word, None, after(minutes)) == ()
        status(state, ONE, word)
    assert r.shown_by(state, ONE, "Available", None, after(minutes)) == (ended(why),)
    assert r.shown_by(state, TWO, "Available", None, after(minutes)) == ()
    assert r.shown_by(state, WHOLE_CHARGE_POINT, "Available", None, after(minutes)) == ()


def test_available_after_charging_shows_that_it_was_used():
    """By a charger that never says Reserved, and whose start has not come (yet)."""
    state = holding(made(7))
    status(state, ONE, "Charging")
    assert r.shown_by(state, ONE, "Available", None, NOW) == (ended("gone"),)


def test_what_was_queued_before_the_reservation_shows_nothing_of_it():
    """Reserved, of another one."""
    state = holding(made(7))
    status(state, ONE, "Reserved", after(-6), (Flag.LATE,))
    assert r.shown_by(state, ONE, "Available", None, NOW) == ()


def test_a_reservation_that_replaces_one_that_is_shown_is_shown():
    """The connector says Reserved already, and will not say it again."""
    state = holding(made(7))
    status(state, ONE, "Reserved")
    for body in consequences(reserve(8), ACCEPTED, state, NOW):
        evolve(state, NewEvent(body, NOW), 0)
    assert r.shown_by(state, ONE, "Available", None, NOW) == (ended("gone", 8),)


def test_a_reservation_of_any_connector_is_gone_with_the_one_that_was_kept_for_it():
    """While one connector says Reserved for it; of two such reservations it is not known which one it was."""
    state = holding(made(9, WHOLE_CHARGE_POINT))
    status(state, TWO, "Reserved")
    assert r.shown_by(state, ONE, "Available", None, NOW) == ()
    assert r.shown_by(state, TWO, "Available", None, NOW) == (ended("gone", 9, WHOLE_CHARGE_POINT),)
    status(state, ONE, "Reserved")
    assert r.shown_by(state, TWO, "Available", None, NOW) == ()
    two = holding(made(9, WHOLE_CHARGE_POINT), made(10, WHOLE_CHARGE_POINT))
    status(two, TWO, "Reserved")
    assert r.shown_by(two, TWO, "Available", None, NOW) == ()


def test_another_unit_holds_nothing():
    """It was asked for none of them."""
    state = holding(made(7), made(9, WHOLE_CHARGE_POINT))
    assert [each.why for each in r.forgotten(state)] == ["gone", "gone"]


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
    st.tuples(st.just("reject"), IDS),
    st.tuples(st.just("start"), IDS, CONNECTORS, st.sampled_from(["TAG", "OTHER"])),
    st.tuples(st.just("status"), CONNECTORS, st.sampled_from(["Faulted", "Unavailable", "Available", "Reserved"])),
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
            case "reject", [number]:
                bodies = consequences(c.CancelReservation(number), REJECTED, state, now)
            case "start", [number, connector, tag]:
                bodies = starting(tag, connector, number, state=state)
            case "status", [connector, word]:
                bodies = r.shown_by(state, connector, word, None, now)
                status(state, connector, word, now)
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

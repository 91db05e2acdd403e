"""The newest readings of a charge point: nothing older replaces them, and they stay small."""

from datetime import timedelta

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.events import MeterValuesReported, NewEvent, TransactionStopped
from gateway.domain.latest import (
    MAX_BYTES,
    MAX_PLACES,
    MAX_SETS,
    Latest,
    LatestMessages,
    decoded,
    encoded,
)
from gateway.domain.measurements import RULES, Kind, Reading, ValueSource
from gateway.domain.values import ConnectorAddress, Flag
from tests.domain.test_readings import CURRENT, NOW, POWER, REGISTER, sample
from tests.ocpp.v16.profiles.charger import at

ONE = ConnectorAddress(1, 1)
PLACE = (1, 1)


def values(seconds, *sampled, connector=ONE, flags=(), elements=None):
    body = MeterValuesReported(
        connector, tuple(elements or [{"timestamp": at(seconds), "sampledValue": list(sampled)}])
    )
    moment = NOW + timedelta(seconds=seconds)
    return NewEvent(body, NOW + timedelta(hours=1), moment, at(seconds), flags)


def stop(seconds, wh, flags=()):
    body = TransactionStopped("tx_1", ONE, wh, "Local", None)
    return NewEvent(body, NOW + timedelta(hours=1), NOW + timedelta(seconds=seconds), at(seconds), flags)


def of(*events, has_power=False):
    messages = LatestMessages()
    for event in events:
        messages.add(event.body, event, has_power)
    return messages


def worked_out(*events):
    return of(*events).view().worked_out().get(PLACE, Latest())


def shown(latest):
    return {kind: found.value for kind in Kind if (found := latest.total(kind)) is not None}


def test_each_quantity_has_the_newest_value_and_its_time():
    """Also where messages bring different ones: the energy each minute, the rest now and then."""
    energy = [values(10 * n, sample(str(1000 + n), REGISTER)) for n in range(6)]
    rest = values(5, sample("7000", POWER), sample("55", "SoC"))
    latest = worked_out(energy[0], rest, *energy[1:])
    assert shown(latest) == {Kind.ENERGY_REGISTER: 1005.0, Kind.POWER: 7000.0, Kind.STATE_OF_CHARGE: 55.0}
    assert latest.total(Kind.POWER).at == NOW + timedelta(seconds=5)
    assert latest.total(Kind.ENERGY_REGISTER).at == NOW + timedelta(seconds=50)


def test_what_is_older_never_replaces_what_is_newer():
    """B6.6: what is of the same time does."""
    assert shown(worked_out(values(20, sample("2", POWER)), values(10, sample("1", POWER)))) == {Kind.POWER: 2.0}
    assert shown(worked_out(values(20, sample("2", POWER)), values(20, sample("3", POWER)))) == {Kind.POWER: 3.0}


def test_a_power_that_no_message_has_is_the_slope_of_the_register():
    """E6: an estimate, and labelled."""
    latest = worked_out(*(values(60 * n, sample(str(1000 + 120 * n), REGISTER)) for n in range(4)))
    power = latest.total(Kind.POWER)
    assert (power.value, power.source, power.estimated) == (7200.0, ValueSource.REGISTER_SLOPE, True)


def test_a_stop_brings_its_register():
    """One that can't be is passed over."""
    before = values(0, sample("1000", REGISTER))
    assert shown(worked_out(before, stop(30, 1060)))[Kind.ENERGY_REGISTER] == 1060.0
    assert worked_out(before, stop(30, 1060)).total(Kind.ENERGY_REGISTER).context == "Transaction.End"
    assert shown(worked_out(before, stop(30, -1))) == {Kind.ENERGY_REGISTER: 1000.0}
    assert shown(worked_out(before, stop(30, 0, (Flag.METER_IMPLAUSIBLE,)))) == {Kind.ENERGY_REGISTER: 1000.0}


def test_a_message_of_many_moments_gives_the_newest():
    """In whatever order; and of one that is too large to be kept, its newest moment."""
    elements = [{"timestamp": at(n), "sampledValue": [sample(str(n), POWER)]} for n in range(300)]
    assert len(orjson.dumps(elements)) > MAX_BYTES
    event = values(299, elements=elements)
    assert shown(worked_out(event)) == {Kind.POWER: 299.0}
    [message] = of(event).kept[PLACE].values()
    assert len(message[0]) < MAX_BYTES
    few = values(9, elements=elements[9::-1])
    assert shown(worked_out(few)) == {Kind.POWER: 9.0}


def test_what_is_kept_is_bounded():
    """Connectors, sets of measurands, and bytes."""
    messages = LatestMessages()
    for number in range(MAX_PLACES + 20):
        for measurand in (POWER, CURRENT, REGISTER, "SoC", "Frequency", "Temperature", "Voltage"):
            event = values(0, sample("1", measurand), connector=ConnectorAddress(number, 1))
            messages.add(event.body, event, False)
    assert len(messages.kept) == MAX_PLACES
    assert all(len(sets) == MAX_SETS for sets in messages.kept.values())
    large = values(0, *[sample("1", "x" * 400)] * 100)
    assert of(large).view().kept == ()


def test_what_a_session_leaves_is_gone_on_from():
    """The store keeps it as bytes; a set of measurands that no longer comes is still shown."""
    left = of(values(0, sample("7000", POWER), sample("55", "SoC"))).view().encoded()
    messages = LatestMessages(left)
    assert messages.view().encoded() == b""
    event = values(60, sample("1200", REGISTER))
    messages.add(event.body, event, False)
    latest = decoded(messages.view().encoded())[PLACE]
    assert shown(latest) == {Kind.ENERGY_REGISTER: 1200.0, Kind.POWER: 7000.0, Kind.STATE_OF_CHARGE: 55.0}
    assert latest.rules == RULES


def test_what_a_later_version_left_is_passed_over():
    """A kind, a source or a flag that this one does not know."""
    [entry] = orjson.loads(of(values(0, sample("7000", POWER), sample("55", "SoC"))).view().encoded())
    entry[3][0][0] = "colour"
    assert shown(decoded(orjson.dumps([entry]))[PLACE]) == {Kind.STATE_OF_CHARGE: 55.0}


READING = st.builds(
    Reading,
    st.sampled_from(Kind),
    st.floats(0, 1e6),
    st.integers(0, 600).map(lambda seconds: NOW + timedelta(seconds=seconds)),
    st.sampled_from(["", "L1"]),
    st.sampled_from(ValueSource),
    st.booleans(),
    st.text(max_size=3),
    st.text(max_size=3),
    st.lists(st.sampled_from(Flag), max_size=2).map(tuple),
    st.none() | st.integers(0, 10**18),
)


@given(st.lists(READING, max_size=20, unique_by=lambda each: (each.kind, each.phase, each.at)), st.randoms())
def test_the_order_in_which_messages_come_changes_nothing(readings, random):
    """The newest of each quantity, however they arrive, and however often."""
    plain = Latest().after(readings)
    shuffled = [*readings, *readings]
    random.shuffle(shuffled)
    latest = Latest()
    for reading in shuffled:
        latest = latest.after([reading])
    assert latest == plain
    assert decoded(encoded({PLACE: latest})) == {PLACE: latest}


ODD = st.none() | st.text(max_size=3) | st.integers(-9, 9) | st.lists(st.none(), max_size=2)
ANY = st.dictionaries(
    st.sampled_from(["timestamp", "sampledValue"]),
    ODD | st.lists(ODD | st.dictionaries(st.sampled_from(["measurand", "value", "unit", "phase"]), ODD), max_size=3),
)


@given(st.lists(ODD | ANY, max_size=4))
def test_it_never_raises(elements):
    """Whatever a charger sends."""
    body = MeterValuesReported(ONE, tuple(elements))
    messages = LatestMessages()
    messages.add(body, NewEvent(body, NOW), False)
    messages.add(body, NewEvent(body, NOW), False)
    decoded(messages.view().encoded())

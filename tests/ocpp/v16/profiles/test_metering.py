"""MeterValues: always confirmed, kept as sent, attributed to the transaction that was running."""

import orjson
import pytest

from gateway.domain.events import MeterValuesReported, TransactionForeign
from gateway.domain.records import TransactionState
from gateway.domain.repeats import repeat_key
from gateway.domain.state import MAX_FOREIGN
from gateway.domain.times import read_time
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress, Flag
from gateway.ocpp.v16.profiles import metering
from tests.ocpp.v16.profiles.charger import NOW, Books, at, charger, has

SAMPLES = [{"value": "1200", "measurand": "Energy.Active.Import.Register"}]


def values(one, connector=1, number=None, time=None, **more):
    payload = {"connectorId": connector, "meterValue": [{"timestamp": time or at(10), "sampledValue": SAMPLES}]}
    if number is not None:
        payload["transactionId"] = number
    event, *_ = one.new_events("MeterValues", **payload | more)
    assert isinstance(event.body, MeterValuesReported)
    return event


def test_values_of_a_transaction_are_kept_as_sent():
    """B6.1."""
    one = charger()
    number = one.start()
    event = values(one, number=number)
    assert event.body == MeterValuesReported(
        ConnectorAddress(1, 1), ({"timestamp": at(10), "sampledValue": SAMPLES},), "tx_CP-1_1", number
    )
    assert event.reported_raw == at(10)
    assert has(event)


def test_the_json_of_values_is_made_once_and_their_key_is_the_one_that_is_stored():
    """Keys are stored for ever: they are those of the values themselves, whatever they are made from."""
    one = charger()
    number = one.start()
    event = values(one, number=number)
    sent = ({"timestamp": at(10), "sampledValue": SAMPLES},)
    assert event.body.meter_value_json == orjson.dumps(sent)
    assert event.repeat_key == repeat_key("MeterValues", (1, number, sent), read_time(at(10), NOW))


def test_values_outside_a_transaction_are_kept():
    """B6.3, quirk 83: also after a stop, and then no session's."""
    one = charger()
    assert values(one).body.transaction_id is None
    one.stop(one.start())
    assert values(one, time=at(120)).body.transaction_id is None


def test_values_without_a_number_belong_to_what_runs_on_the_connector_by_inference():
    """B6.3."""
    one = charger()
    one.start()
    event = values(one)
    assert event.body.transaction_id == "tx_CP-1_1"
    assert has(event, Flag.TRANSACTION_INFERRED)
    assert values(one, connector=2).body.transaction_id is None


def test_values_from_before_the_running_transaction_are_not_its_own():
    """B6.4: the one running at the time of the sample."""
    one = charger()
    one.start()
    assert values(one, time=at(-900)).body.transaction_id is None


def test_of_two_open_transactions_on_a_connector_the_samples_time_decides():
    """B6.4: an older, queued start beside the running one."""
    one = charger("OTHER")
    one.start()
    one.start("OTHER", time=at(-9999))
    assert values(one, time=at(10)).body.transaction_id == "tx_CP-1_1"
    assert values(one, time=at(-5000)).body.transaction_id == "tx_CP-1_2"


@pytest.mark.parametrize("time", ["1970-01-01T00:00:01Z", "never"])
def test_values_without_a_usable_time_belong_to_what_runs_now(time):
    """B2.2."""
    one = charger()
    one.start()
    event = values(one, time=time)
    assert event.body.transaction_id == "tx_CP-1_1"
    assert event.reported_at is None


def test_values_of_the_main_meter_are_no_transactions():
    """B6.2: connector 0, whatever number comes with it."""
    one = charger()
    number = one.start()
    event = values(one, connector=0, number=number)
    assert event.body == MeterValuesReported(WHOLE_CHARGE_POINT, event.body.meter_value, None, number)
    assert has(event)


@pytest.mark.parametrize("time", [at(50), at(70)])
def test_closing_samples_belong_to_the_ended_transaction(time):
    """B6.4, E24."""
    one = charger()
    number = one.start()
    one.stop(number, time=at(60))
    event = values(one, number=number, time=time)
    assert event.body.transaction_id == "tx_CP-1_1"
    assert has(event)
    assert one.state.open_transactions == {}


def test_an_old_number_does_not_take_the_samples_of_the_running_transaction():
    """Quirk 35: until power-cycled it names the one before."""
    one = charger()
    old = one.start(time=at(-100))
    one.stop(old, time=at(-50))
    one.start()
    event = values(one, number=old)
    assert event.body.transaction_id == "tx_CP-1_3"
    assert event.body.number == old
    assert has(event, Flag.TRANSACTION_INFERRED)
    assert values(one, number=old, time=at(-60)).body.transaction_id == "tx_CP-1_1"


@pytest.mark.parametrize("time", [at(-130), at(-110), at(-1), "1970-01-01T00:00:01Z", "never"])
@pytest.mark.parametrize("ends_in", ["", "stop of b"])
def test_the_number_that_a_charger_names_decides(time, ends_in):
    """Two starts on one connector, and readings of the first after the second: it is the one that runs."""
    one = charger("OTHER")
    a, b = one.start(time=at(-240), meter=1000), one.start("OTHER", time=at(-120), meter=1000)
    assert one.books.by_number(a).state is TransactionState.LOST
    if ends_in:
        one.stop(b, 1000, time=at(-119))
    event = values(one, number=a, time=time)
    assert (event.body.transaction_id, event.body.number) == ("tx_CP-1_1", a)
    assert Flag.TRANSACTION_INFERRED not in event.flags
    (stopped, *_) = one.stop(a, 3000, time=at())
    assert (stopped.body.transaction_id, stopped.body.energy) == ("tx_CP-1_1", 2000)


@pytest.mark.parametrize("connector", [1, 2, 9])
def test_a_number_decides_whatever_the_connector(connector):
    """Each of two open ones by its own; also under a connector that is not the transaction's."""
    one = charger("OTHER")
    first, second = one.start(), one.start("OTHER", connector=2)
    assert values(one, connector=connector, number=first).body.transaction_id == "tx_CP-1_1"
    assert values(one, connector=connector, number=second).body.transaction_id == "tx_CP-1_2"


@pytest.mark.parametrize("number", [0, -1, 4711])
def test_an_unusable_number_is_replaced_by_inference(number):
    """Quirks 37, 47."""
    one = charger()
    one.start()
    event = values(one, number=number)
    assert (event.body.transaction_id, event.body.number) == ("tx_CP-1_1", number)
    assert has(event, Flag.TRANSACTION_INFERRED)


def test_a_transaction_of_another_system_is_named_once_for_each_connection():
    """Its values and its stop are recorded under its number, by which it can be stopped."""
    one = charger()
    values = [{"timestamp": at(10), "sampledValue": SAMPLES}]
    named = []
    for seconds, number in ((10, 815), (20, 815), (30, 816), (40, 0), (50, -1)):
        values = [{"timestamp": at(seconds), "sampledValue": SAMPLES}]
        events = one.new_events("MeterValues", connectorId=1, transactionId=number, meterValue=values)
        assert events[0].body.number == number
        named += [each.body for each in events[1:]]
    assert named == [TransactionForeign(815, ConnectorAddress(1, 1)), TransactionForeign(816, ConnectorAddress(1, 1))]
    one.reconnect()
    values = [{"timestamp": at(60), "sampledValue": SAMPLES}]
    events = one.new_events("MeterValues", connectorId=1, transactionId=815, meterValue=values)
    assert [type(each.body) for each in events] == [MeterValuesReported, TransactionForeign]


def test_numbers_of_other_systems_are_remembered_within_a_bound():
    """A charger that counts on is not announced for ever."""
    one = charger()
    found = 0
    for number in range(1, 200):
        values = [{"timestamp": at(number), "sampledValue": SAMPLES}]
        found += len(one.new_events("MeterValues", connectorId=1, transactionId=10_000 + number, meterValue=values)) - 1
    assert found == MAX_FOREIGN


def test_another_chargers_transaction_is_never_added_to():
    """B5.7, for readings."""
    books = Books()
    one, other = charger(books=books), charger(books=books, identity="CP-2")
    number = one.start()
    assert values(other, number=number).body.transaction_id is None


@pytest.mark.parametrize("connector", [-1, 9])
def test_an_impossible_connector_is_flagged(connector):
    """B4.12's like."""
    one = charger()
    one.state.configuration["NumberOfConnectors"] = "2"
    assert Flag.UNKNOWN_CONNECTOR in values(one, connector=connector).flags


def test_of_several_moments_the_newest_is_the_messages_time():
    """Batches come in any order (B6.6)."""
    one = charger()
    batch = [{"timestamp": time, "sampledValue": SAMPLES} for time in (at(-20), at(-5), "1970-01-01T00:00:00Z", at(-9))]
    event = values(one, meterValue=batch)
    assert event.reported_raw == at(-5)
    assert has(event)


def test_queued_values_are_flagged_as_late():
    """Quirk 55."""
    assert has(values(charger(), time=at(-900)), Flag.LATE)


@pytest.mark.parametrize(
    ("sent", "kept"), [([], ()), ([{}], ({},)), ([None, 1], (None, 1)), ({"timestamp": at()}, ({"timestamp": at()},))]
)
def test_values_of_any_shape_are_confirmed_and_kept(sent, kept):
    """B6.1, quirk 29."""
    event = values(charger(), meterValue=sent)
    assert event.body.meter_value == kept
    assert Flag.DEVIATES in event.flags


# --- registers that contradict themselves ---------------------------------------------------------------------


def reported(one, wh, seconds, number=None, **sampled):
    """Meter values with a register; their event."""
    values = [{"timestamp": at(seconds), "sampledValue": [{"value": str(wh), **sampled}]}]
    more = {} if number is None else {"transactionId": number}
    return one.new_event("MeterValues", connectorId=1, meterValue=values, **more)


def test_a_register_that_runs_backwards_is_flagged():
    """And so is a negative one; a queued older value, a begin, another place or unit are no such thing."""
    one = charger()
    assert Flag.METER_IMPLAUSIBLE not in reported(one, 5000, 10).flags
    assert Flag.METER_IMPLAUSIBLE not in reported(one, "5.1", 20, unit="kWh").flags
    assert Flag.METER_IMPLAUSIBLE not in reported(one, 4000, 15).flags
    assert Flag.METER_IMPLAUSIBLE not in reported(one, 0, 25, context="Transaction.Begin").flags
    assert Flag.METER_IMPLAUSIBLE not in reported(one, 7, 26, location="Inlet").flags
    assert Flag.METER_IMPLAUSIBLE in reported(one, 4000, 30).flags
    assert Flag.METER_IMPLAUSIBLE not in reported(one, 4100, 40).flags
    assert Flag.METER_IMPLAUSIBLE in reported(one, -5, 50).flags


@pytest.mark.parametrize(
    "registers",
    [
        lambda wh: [{"value": str(wh), "phase": name} for name in ("L1", "L2", "L3")],
        lambda wh: [{"value": str(wh), "measurand": "Energy.Active.Export.Register"}],
        lambda wh: [{"value": str(wh / 1000), "unit": "KWH"}],
    ],
    ids=["by phase", "export", "loosely spelled"],
)
def test_any_energy_register_that_runs_backwards_is_flagged(registers):
    """By phase, and what is given back, too."""
    one = charger()
    for seconds, wh, flagged in ((10, 3000, False), (20, 3100, False), (15, 3050, False), (30, 1000, True)):
        values = [{"timestamp": at(seconds), "sampledValue": registers(wh)}]
        event = one.new_event("MeterValues", connectorId=1, meterValue=values)
        assert (Flag.METER_IMPLAUSIBLE in event.flags) == flagged, wh


def test_a_register_that_runs_backwards_within_one_message_is_flagged():
    """The newest moment counts from then on."""
    one = charger()
    values = [
        {"timestamp": at(seconds), "sampledValue": [{"value": wh}]} for seconds, wh in ((-100, "5000"), (0, "4000"))
    ]
    event = one.new_event("MeterValues", connectorId=1, meterValue=values)
    assert Flag.METER_IMPLAUSIBLE in event.flags
    assert Flag.METER_IMPLAUSIBLE not in reported(one, 4100, 10).flags


def test_a_register_that_rises_by_more_than_a_charger_gives_is_flagged():
    """45 kWh in a minute; in half an hour, or at a time that is not known, it may be."""
    one = charger()
    reported(one, 1000, -3600)
    assert Flag.METER_IMPLAUSIBLE not in reported(one, 46_000, -1800).flags
    assert Flag.METER_IMPLAUSIBLE in reported(one, 91_000, -1740).flags
    assert Flag.METER_IMPLAUSIBLE not in reported(one, 91_100, -1680).flags


def begun(one, meter, seconds):
    """A start; its event."""
    before = len(one.events)
    number = one.start(meter=meter, time=at(seconds))
    (event,) = one.events[before:]
    return number, event


def test_a_start_below_the_last_stop_of_its_connector_is_flagged():
    """So is what is sampled below it, and its stop; the energy is what the registers say."""
    one = charger()
    one.stop(one.start(meter=1000, time=at(-3600)), 5000, at(-1800))
    number, event = begun(one, 900, -600)
    assert has(event, Flag.METER_IMPLAUSIBLE, Flag.LATE)
    assert Flag.METER_IMPLAUSIBLE in reported(one, 800, -500, number).flags
    (stop,) = one.stop(number, 1900, at(0))
    assert Flag.METER_IMPLAUSIBLE in stop.flags
    assert stop.body.energy == 1000
    # A meter that was changed is no reason to flag every session from then on.
    assert Flag.METER_IMPLAUSIBLE not in begun(one, 1900, 10)[1].flags


@pytest.mark.parametrize("meter", [0, 7, 5000, 5001, 4950])
def test_a_start_that_goes_on_or_begins_anew_is_left_alone(meter):
    """A register of the session, and one that is read at another place."""
    one = charger()
    one.stop(one.start(meter=1000, time=at(-3600)), 5000, at(-1800))
    assert Flag.METER_IMPLAUSIBLE not in begun(one, meter, 0)[1].flags


def test_a_start_in_whole_kwh_after_an_exact_stop_is_left_alone():
    """It loses less than one."""
    one = charger()
    one.stop(one.start(meter=1000, time=at(-3600)), 5600, at(-1800))
    assert Flag.METER_IMPLAUSIBLE not in begun(one, 5000, 0)[1].flags


@pytest.mark.parametrize("between", ["boot", "reconnect", "older", "other connector"])
def test_a_start_is_held_against_no_other_meter_and_no_later_stop(between):
    """After a Boot or a new connection it may be another unit; what was queued says nothing of the present."""
    one = charger()
    one.stop(one.start(meter=1000, time=at(-3600)), 5000, at(-1800))
    if between == "boot":
        one.call("BootNotification", chargePointVendor="V", chargePointModel="M")
    if between == "reconnect":
        one.reconnect()
    before = len(one.events)
    one.start(
        connector=2 if between == "other connector" else 1, meter=900, time=at(-5000 if between == "older" else 0)
    )
    assert Flag.METER_IMPLAUSIBLE not in one.events[before].flags


def test_a_late_stop_of_an_earlier_session_is_not_the_last_one():
    """Stops come out of order."""
    one = charger()
    first = one.start(meter=1000, time=at(-3600))
    second = one.start(meter=4000, time=at(-1800))
    one.stop(second, 6000, at(-900))
    one.stop(first, 4000, at(-1900))
    assert Flag.METER_IMPLAUSIBLE in begun(one, 4500, 0)[1].flags


def test_a_register_of_the_session_begins_anew_with_each():
    """E15: after a start it is compared with nothing that was before."""
    one = charger()
    first = one.start(time=at(0))
    reported(one, 9000, 10, first)
    one.stop(first, 9000, at(20))
    second = one.start(time=at(30))
    assert Flag.METER_IMPLAUSIBLE not in reported(one, 10, 40, second).flags


@pytest.mark.parametrize(
    ("start", "samples", "stop"),
    [(0, [(10, 450_000), (3500, 452_200)], 452_300), (1000, [(10, 1500), (3500, 6000)], 1000)],
    ids=["a lifetime register after a start of 0", "a stop that did not move"],
)
def test_a_stop_is_held_against_the_samples_of_its_session(start, samples, stop):
    """A meter that contradicts itself is flagged; the energy stays what the registers say (E13)."""
    one = charger()
    number = one.start(meter=start, time=at(0))
    for seconds, wh in samples:
        reported(one, wh, seconds, number)
    (event,) = one.stop(number, stop, at(3600))
    assert Flag.METER_IMPLAUSIBLE in event.flags
    assert (event.body.energy, event.body.meter_stop) == (stop - start, stop)


def test_samples_within_the_stop_count_too():
    """transactionData is metering as any other."""
    one = charger()
    number = one.start(meter=0, time=at(0))
    data = [
        {"timestamp": at(seconds), "sampledValue": [{"value": str(wh)}]}
        for seconds, wh in ((10, 450_000), (60, 450_100))
    ]
    (event,) = one.stop(number, 450_200, at(3600), transactionData=data)
    assert Flag.METER_IMPLAUSIBLE in event.flags


def test_of_a_very_long_list_the_times_at_either_end_are_read(monkeypatch):
    """The newest of those: a message may hold a hundred thousand, and each takes its time."""
    read = []
    original = metering.read_time
    monkeypatch.setattr(metering, "MAX_TIMES", 5)
    monkeypatch.setattr(metering, "read_time", lambda raw, now: read.append(raw) or original(raw, now))
    for order in (1, -1):
        read.clear()
        one = charger()
        times = [at(-60 * minute) for minute in range(100)][::order]
        values = [{"timestamp": time, "sampledValue": [{"value": "1"}]} for time in times]
        one.call("MeterValues", connectorId=1, meterValue=values)
        assert read[:5] == times[:5]
        assert len(read) < 20
        (event,) = one.events
        assert event.reported_at == NOW

"""Sentences, figures and curves: each shape of a charge point, a command and a price."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.api.v1 import (
    charge_point_pb2,
    command_pb2,
    common_pb2,
    fleet_pb2,
    operation_pb2,
    steering_pb2,
    transaction_pb2,
)
from gateway.api.v1.energy_pb2 import PriceSchedule
from gateway.api.v1.reading_pb2 import ChargingState
from gateway.console import figures, live
from gateway.console.curves import kilowatts, limits
from gateway.console.fleet_pages import curve, is_label_key, quoted
from gateway.console.form_fields import FieldError, when
from gateway.console.prices import price_at, price_steps
from gateway.console.progress import rollouts_of
from gateway.console.quirks import NAMES, quirk_rows
from gateway.console.words import BASES, DOUBTS, ENDS, Situation, command_text, limit_text, operation_text, sentences

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
ONE = common_pb2.ConnectorAddress(evse=1, connector=1)
AMPERES, WATTS = common_pb2.CHARGING_RATE_UNIT_AMPERES, common_pb2.CHARGING_RATE_UNIT_WATTS


def point(state: str = "", connected: bool = True, registration: int = 1, **connector: Any) -> Any:
    made = charge_point_pb2.ChargePoint(identity="CP1", registration=registration)  # type: ignore[arg-type]
    made.connection.connected = connected
    made.connection.since_time.FromDatetime(NOW - timedelta(hours=2, minutes=5))
    if state:
        number = ChargingState.Value(f"CHARGING_STATE_{state}")
        made.connectors.append(charge_point_pb2.Connector(connector=ONE, charging_state=number, **connector))
    return made


def said(found: Any, transactions: tuple[Any, ...] = (), steered: tuple[Any, ...] = ()) -> str:
    return " ".join(sentences(Situation(found, transactions, steered, NOW)))


def charging() -> Any:
    made = point("CHARGING", status="Charging")
    made.connectors[0].latest.power.value = 7360
    return made


TRANSACTION = transaction_pb2.Transaction(connector=ONE, id_tag="TAG", energy_so_far={"milliwatt_hours": 3_200_000})  # type: ignore[arg-type]


def steered(state: int, value: float, standing: bool = True) -> Any:
    limit = steering_pb2.RateLimit(value=value, unit=AMPERES)
    wanted = steering_pb2.Wanted(connector=ONE)
    if standing:
        wanted.standing.limit.CopyFrom(limit)
    made = steering_pb2.SteeredConnector(wanted=wanted, present_limit=limit)
    made.steering.state = state  # type: ignore[assignment]
    return made


@pytest.mark.parametrize(
    ("found", "transactions", "wanted", "expected"),
    [
        (charge_point_pb2.ChargePoint(), (), (), "It has never connected"),
        (point(connected=False), (), (), "It is offline for 2 h 5 min"),
        (point(registration=2), (), (), "connected and held in waiting"),
        (point(registration=3), (), (), "connected and rejected"),
        (point(), (), (), "has not said anything of its connectors yet"),
        (point("AVAILABLE"), (), (), "Connector 1 is free: no vehicle is plugged in."),
        (charging(), (TRANSACTION,), (), "is charging with 7.36 kW for TAG, 3.200 kWh so far."),
        (point("CHARGING"), (), (), "Connector 1 is charging."),
        (point("FAULTED", error_code="GroundFailure", info="wet"), (), (), "reports a fault; GroundFailure (wet)."),
        (point("FAULTED"), (), (), "no error code"),
        (point("CONNECTED", status="SuspendedEV"), (TRANSACTION,), (), "the vehicle takes no power"),
        (point("CONNECTED", status="SuspendedEVSE"), (TRANSACTION,), (), "the charger gives no power"),
        (point("CONNECTED", status="Preparing"), (), (), "it was not started"),
        (point("CONNECTED", status="SuspendedEV"), (), (), "no session is open"),
        (
            point("CONNECTED", status="Charging"),
            (TRANSACTION,),
            (),
            "Connector 1 has a vehicle plugged in, which does not charge.",
        ),
        (point("UNKNOWN"), (), (), "is in a state that is not known"),
        (
            charging(),
            (TRANSACTION,),
            (steered(3, 8),),
            "the limit set by hand, 8 A per phase, holds: the meter shows it",
        ),
        (charging(), (), (steered(1, 0, False),), "the plan, a pause, is to be sent"),
    ],
)
def test_a_charge_point_is_told_in_a_sentence(
    found: Any, transactions: tuple[Any, ...], wanted: tuple[Any, ...], expected: str
) -> None:
    assert expected in said(found, transactions, wanted)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (command_pb2.Command(state=1), "It waits for the charger"),  # type: ignore[arg-type]
        (command_pb2.Command(state=2), "on its way"),  # type: ignore[arg-type]
        (command_pb2.Command(state=4, reason="deadline"), "It was not sent: deadline. Nothing happened."),  # type: ignore[arg-type]
        (command_pb2.Command(state=5, reason="timeout"), "it may have been carried out"),  # type: ignore[arg-type]
        (command_pb2.Command(), "It is not known"),
        (command_pb2.Command(state=3, answer={"status": {"status": "Accepted"}}), "The charger answered: Accepted."),  # type: ignore[arg-type]
        (command_pb2.Command(answer={"empty": {}}, late=True), "The charger answered. It came after the time"),  # type: ignore[arg-type]
        (command_pb2.Command(error={"code": "NotSupported"}), "answered with an error: NotSupported."),  # type: ignore[arg-type]
    ],
)
def test_a_command_is_told_in_a_sentence(command: Any, expected: str) -> None:
    assert expected in command_text(command)


def test_an_operation_is_told_in_a_sentence() -> None:
    stages = [operation_pb2.OperationStageReached(stage=operation_pb2.OPERATION_STAGE_SENT)]
    assert "as far as: sent." in operation_text(operation_pb2.Operation(stages=stages))
    ended = operation_pb2.Operation(end=operation_pb2.OPERATION_END_REFUSED, reason="Rejected")
    assert operation_text(ended) == "The charger refused it. The reason: Rejected."


def test_limits_are_shown_in_their_unit_and_drawn_as_power() -> None:
    """One in amperes is drawn with three phases, unless it says how many."""
    assert limit_text(steering_pb2.RateLimit(value=4000, unit=WATTS)) == "4.00 kW"
    assert kilowatts(steering_pb2.RateLimit(value=4000, unit=WATTS)) == 4.0
    assert kilowatts(steering_pb2.RateLimit(value=10, unit=AMPERES)) == pytest.approx(6.9)
    assert kilowatts(steering_pb2.RateLimit(value=10, unit=AMPERES, number_phases=1)) == pytest.approx(2.3)
    plan = steering_pb2.Plan(after=steering_pb2.RateLimit(value=6, unit=AMPERES, number_phases=1))
    plan.steps.add(limit=steering_pb2.RateLimit(value=10, unit=AMPERES, number_phases=1)).start_time.FromSeconds(100)
    plan.steps.add().start_time.FromSeconds(200)
    plan.end_time.FromSeconds(300)
    each = steering_pb2.SteeredConnector(wanted=steering_pb2.Wanted(connector=ONE, plan=plan))
    other = steering_pb2.SteeredConnector(wanted={"connector": {"evse": 2, "connector": 1}, "plan": plan})  # type: ignore[arg-type]
    drawn = limits(ONE, [each, other], NOW, NOW)
    assert drawn == [[100.0, 200.0, 300.0], [pytest.approx(2.3), None, pytest.approx(1.38)]]
    [times, values] = limits(ONE, [steered(3, 10)], NOW, NOW + timedelta(hours=1))
    assert (times[1] or 0) - (times[0] or 0) == 3600
    assert values == [pytest.approx(6.9)] * 2


def test_prices_are_those_of_the_wall_s_clock() -> None:
    """By day of the week, or by period; none where the schedule says nothing."""
    daily = PriceSchedule(time_zone="Europe/London")
    daily.daily_prices.add(weekdays=[5], start_of_day="00:00", end_of_day="12:30:00", price_per_kwh="0.1")
    daily.daily_prices.add(weekdays=[5], start_of_day="12:30", end_of_day="24:00", price_per_kwh="0.3")
    assert price_at(daily, NOW) == 0.1
    assert price_at(daily, NOW + timedelta(days=1)) is None
    begin = NOW + timedelta(minutes=7)
    steps = [(begin, 0.1), (NOW + timedelta(minutes=30), 0.3)]
    assert price_steps(daily, begin, NOW + timedelta(hours=2)) == steps
    assert price_steps(daily, NOW, NOW + timedelta(days=30)) == []
    period = PriceSchedule()
    each = period.periods.add(price_per_kwh="-0.02")
    each.start_time.FromDatetime(NOW)
    each.end_time.FromDatetime(NOW + timedelta(hours=1))
    assert [price_at(period, NOW + timedelta(hours=hour)) for hour in (0, 1)] == [-0.02, None]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (figures.power(999.6), "1000 W"),
        (figures.power(-1500), "-1.50 kW"),
        (figures.power(2_500_000), "2.50 MW"),
        (figures.span(59), "59 s"),
        (figures.span(3599), "59 min"),
        (figures.span(90_000), "1 d 1 h"),
        (figures.number(12345), "12\u202f345"),
        (figures.time_tag(None), "–"),
        (figures.word(ChargingState, 7), "out of service"),
        (figures.word(ChargingState, 99), "unknown"),
        (figures.connector_name(common_pb2.ConnectorAddress()), "whole charge point"),
        (figures.connector_name(common_pb2.ConnectorAddress(evse=2, connector=3)), "2.3"),
    ],
)
def test_figures_read_well(shown: str, expected: str) -> None:
    assert shown == expected


def test_a_minute_that_is_missing_is_a_gap() -> None:
    from gateway.api.v1.fleet_summary_pb2 import PowerMinute

    minutes = [PowerMinute(power={"watts": 1000.0 * each}) for each in (1, 2)]  # type: ignore[arg-type]
    minutes[0].start_time.FromSeconds(60)
    minutes[1].start_time.FromSeconds(300)
    assert curve(minutes) == "[[60, 120, 300], [1.0, null, 2.0]]"


def test_what_is_searched_is_a_text_and_no_filter() -> None:
    assert quoted('a"b\\c\n') == '"a\\"b\\\\c"'
    assert [key for key in ("site", "a/b-c_d.e", "ü", "", "a b", "x" * 64, "-a", "a.") if is_label_key(key)] == [
        "site",
        "a/b-c_d.e",
    ]


@pytest.mark.parametrize("header", [None, "", "*", "ü", "A"])
def test_a_place_that_is_none_is_empty(header: str | None) -> None:
    assert live.resume_token(header) == b""


def test_a_time_of_a_form_is_utc_or_refused() -> None:
    assert when({"at": "2026-11-27T12:00"}, "at") == NOW
    assert when({"at": "2026-11-27T13:00+01:00"}, "at") == NOW
    assert when({}, "at") is None
    with pytest.raises(FieldError, match="at: is not a time"):
        when({"at": "noon"}, "at")


@pytest.mark.parametrize(
    ("words", "enum"),
    [
        (DOUBTS, common_pb2.EnergyDoubt),
        (BASES, common_pb2.EnergyBasis),
        (ENDS, operation_pb2.OperationEnd),
    ],
)
def test_every_value_of_the_contract_has_its_words(words: dict[int, str], enum: Any) -> None:
    """One that is added to the contract gets a sentence here."""
    assert words.keys() == set(enum.values()) - {0}


def test_a_quirk_profile_names_every_value_and_where_it_comes_from() -> None:
    """Those of its own or its make first; what is not said is a dash."""
    found = charge_point_pb2.ChargePoint()
    profile = found.effective_quirks
    profile.own_requests, profile.pong_expected, profile.max_stack_level = True, False, 0
    profile.clock_offset.FromMilliseconds(-1500)
    profile.measurands.extend(["Voltage,SoC", "Voltage"])
    for field, source in (("own_requests", 1), ("pong_expected", 2), ("ping_interval", 3), ("max_stack_level", 4)):
        found.quirk_origins.add(field=field, source=source, detail="Hearth")
    rows = {row.name: (row.value, row.source, row.special) for row in quirk_rows(found)}
    assert rows == {
        "Answers pings": ("no", "built in, of its make", True),
        "Pinged after": ("–", "the settings, of its make", True),
        "Stack level of a charging profile, at most": ("0", "this charge point alone", True),
        "Asked for things without a command": ("yes", "the settings for all", False),
        "Measurands asked for": ("Voltage,SoC; Voltage", "not known", False),
        "Its clock is ahead by": ("-1.5 s", "not known", False),
    }
    assert [row.special for row in quirk_rows(found)] == [True] * 3 + [False] * 3


def test_every_quirk_has_words() -> None:
    assert set(NAMES) == set(charge_point_pb2.QuirkProfile.DESCRIPTOR.fields_by_name)


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (300 * 2**20, "300 MiB"), (2**31, "2.0 GiB"), (2**41, "2.0 TiB")],
)
def test_an_amount_of_data_has_the_unit_that_reads_best(count: int, shown: str) -> None:
    assert figures.size(count) == shown


def test_installations_of_one_firmware_are_one_rollout() -> None:
    """By the address; the newest first, each with what has become of its charge points."""
    found = []
    for location, end in (("b", 0), ("a", 1), ("b", 1), ("b", 2), ("", 4), ("a", 7)):
        made = operation_pb2.Operation(end=end)  # type: ignore[arg-type]
        made.arguments_json = json.dumps({"location": location}) if location else ""
        made.create_time.FromDatetime(NOW)
        found.append(made)
    rollouts = [
        (each.location, each.done, each.failed, each.unknown, each.open, each.ended, each.total)
        for each in rollouts_of(found)
    ]
    assert rollouts == [("b", 1, 1, 0, 1, 2, 3), ("a", 1, 0, 1, 0, 2, 2), ("", 0, 0, 1, 0, 1, 1)]
    found[0].request_id = found[2].request_id = "fleet_1"
    jobs = [fleet_pb2.FleetJob(fleet_job_id="fleet_1")]
    assert [(each.location, each.total) for each in rollouts_of(found, jobs)] == [("a", 2), ("b", 1), ("", 1)]

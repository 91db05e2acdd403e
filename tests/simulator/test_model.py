"""The wallbox, the vehicle and the limits, without any I/O."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulator import rpc
from gateway.simulator.idtags import TagInfo, parse_tag_info
from gateway.simulator.operations import OperationFault, Operations
from gateway.simulator.profiles import (
    Limit,
    Period,
    Profile,
    ProfileError,
    Session,
    composite,
    composite_schedule,
    parse_profile,
)
from gateway.simulator.vehicle import Vehicle, VehicleConfig, taper
from gateway.simulator.wallbox import Wallbox
from tests.simulator.central import NOW

ACCEPTED = TagInfo("Accepted")
HARDWARE = Limit(32.0, 3)


def box(**settings: Any) -> Wallbox:
    return Wallbox(NOW, **settings)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def charging_box(vehicle: VehicleConfig | None = None, **settings: Any) -> Wallbox:
    made = box(**settings)
    made.plug_in(1, Vehicle.arriving(vehicle or VehicleConfig()), NOW)
    assert made.authorize(1, "TAG", ACCEPTED, NOW)
    return made


def flat(purpose: str, limit: float, *, connector: int = 1, level: int = 0, **more: Any) -> Profile:
    values: dict[str, Any] = {
        "id": 1,
        "connector": connector,
        "stack_level": level,
        "purpose": purpose,
        "kind": "Absolute",
        "unit": "A",
        "periods": (Period(0, limit, 3),),
        "anchor": NOW,
    }
    return Profile(**(values | more))


# --- the vehicle ---------------------------------------------------------------------------------------------


def test_the_power_is_constant_up_to_eighty_percent_and_falls_from_there() -> None:
    """The curve of a battery at a wallbox."""
    config = VehicleConfig()
    powers = [Vehicle(config, config.capacity_wh * share / 100).power(32, 3) for share in range(100)]
    assert set(powers[:81]) == {11_000.0}
    assert all(later < earlier for earlier, later in pairwise(powers[80:]))
    assert powers[-1] > 0
    assert Vehicle(config, config.capacity_wh).power(32, 3) == 0


@pytest.mark.parametrize(
    ("amps", "phases", "watts"), [(16, 1, 3680), (32, 1, 7360), (16, 3, 11000), (10, 3, 6900), (5.9, 3, 0)]
)
def test_the_power_follows_the_offer(amps: float, phases: int, watts: float) -> None:
    """By phases, never above the on-board charger, nothing under 6 A."""
    assert Vehicle.arriving(VehicleConfig()).power(amps, phases) == watts


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_taper_never_rises(one: float, other: float) -> None:
    """A fuller battery takes no more."""
    assert taper(max(one, other)) <= taper(min(one, other)) <= 1


# --- limits --------------------------------------------------------------------------------------------------


def profiles() -> st.SearchStrategy[Profile]:
    """Any profile on connector 0 or 1, current or not."""

    def build(purpose: str, limits: list[float], **values: Any) -> Profile:
        periods = tuple(Period(n * 600, limit, 1 + n % 3) for n, limit in enumerate(limits))
        connector = 0 if purpose == "ChargePointMaxProfile" else values.pop("connector")
        values.pop("connector", None)
        return flat(purpose, 0, connector=connector, periods=periods, **values)

    moments = st.none() | st.integers(-5000, 5000).map(after)
    return st.builds(
        build,
        st.sampled_from(["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"]),
        st.lists(st.floats(0, 25_000), min_size=1, max_size=4),
        connector=st.integers(0, 1),
        level=st.integers(0, 8),
        unit=st.sampled_from(["A", "W"]),
        kind=st.sampled_from(["Absolute", "Relative"]),
        anchor=st.integers(-5000, 5000).map(after),
        recurrence=st.none() | st.just(timedelta(days=1)),
        duration=st.none() | st.integers(0, 5000).map(lambda n: timedelta(seconds=n)),
        valid_from=moments,
        valid_to=moments,
    )


def watts_of(profile: Profile, period: Period) -> float:
    phases = min(period.phases, 3)
    return period.limit * 230 * phases if profile.unit == "A" else period.limit


@given(st.lists(profiles(), max_size=6), st.integers(0, 6000))
def test_the_composite_limit_is_never_above_the_hardware_or_the_box_limit(installed: list[Profile], at: int) -> None:
    """Nor above the highest-level ChargePointMaxProfile in force."""
    session = Session(1, since=NOW)
    limit = composite(installed, HARDWARE, session, after(at))
    assert 0 <= limit.amps <= HARDWARE.amps
    assert limit.phases <= HARDWARE.phases
    ceilings = [
        (p.stack_level, watts_of(p, period))
        for p in installed
        if p.purpose == "ChargePointMaxProfile" and (period := p.period_at(after(at), NOW)) is not None
    ]
    if ceilings:
        top = max(level for level, _ in ceilings)
        assert limit.watts <= max(watts for level, watts in ceilings if level == top) * (1 + 1e-9)


@given(st.lists(profiles(), max_size=5), st.lists(st.integers(0, 3599), max_size=8))
def test_the_schedule_says_what_the_limit_will_be(installed: list[Profile], moments: list[int]) -> None:
    """GetCompositeSchedule and the limit in force agree at every second."""
    session = Session(1, since=NOW)
    steps = composite_schedule(installed, HARDWARE, session, NOW, timedelta(hours=1))
    assert steps[0][0] == 0
    assert [start for start, _ in steps] == sorted({start for start, _ in steps})
    for moment in moments:
        promised = [limit for start, limit in steps if start <= moment][-1]
        assert promised == composite(installed, HARDWARE, session, after(moment))


def test_the_highest_stack_level_wins_and_the_lowest_purpose_counts() -> None:
    """S §3.13.2 and §3.13.3."""
    session = Session(1, since=NOW)
    base = [flat("TxDefaultProfile", 10), flat("TxDefaultProfile", 20, level=1)]
    assert composite(base, HARDWARE, session, NOW).amps == 20
    assert composite([*base, flat("TxProfile", 14)], HARDWARE, session, NOW).amps == 14
    capped = [*base, flat("ChargePointMaxProfile", 12, connector=0)]
    assert composite(capped, HARDWARE, session, NOW).amps == 12
    expired = flat("TxDefaultProfile", 20, level=1, duration=timedelta(seconds=60))
    assert composite([base[0], expired], HARDWARE, session, after(61)).amps == 10


def test_watts_are_the_total_and_phases_are_reduced() -> None:
    """B10.7: 6 kW over three phases is 8.7 A each; over one, 26.1 A."""
    session = Session(1, since=NOW)
    three = flat("TxProfile", 0, unit="W", periods=(Period(0, 6000, 3),))
    one = flat("TxProfile", 0, unit="W", periods=(Period(0, 6000, 1),))
    assert composite([three], HARDWARE, session, NOW).amps == pytest.approx(6000 / 690)
    limit = composite([one], HARDWARE, session, NOW)
    assert limit.phases == 1
    assert limit.amps == pytest.approx(6000 / 230)


def test_recurring_and_relative_schedules_start_when_they_should() -> None:
    """Daily from startSchedule; Relative from the start of the transaction."""
    night = flat(
        "TxDefaultProfile",
        0,
        kind="Recurring",
        recurrence=timedelta(days=1),
        duration=timedelta(hours=6),
        anchor=NOW - timedelta(days=9, hours=1),
    )
    assert night.period_at(NOW) is not None
    assert night.period_at(after(5 * 3600)) is None
    assert night.period_at(after(23 * 3600)) is not None
    relative = flat("TxProfile", 0, kind="Relative", periods=(Period(0, 6, 3), Period(600, 16, 3)))
    later = relative.period_at(after(700), after(200))
    assert later is not None
    assert later.limit == 6


def test_connectors_share_the_limit_of_the_box() -> None:
    """Two charging at once get half of ChargePointMaxProfile each."""
    shared = charging_box(connectors=2)
    shared.plug_in(2, Vehicle.arriving(VehicleConfig()), NOW)
    shared.authorize(2, "TAG", ACCEPTED, NOW)
    shared.profiles.install(flat("ChargePointMaxProfile", 20, connector=0), None)
    assert [shared.offer(connector).amps for connector in shared.connectors.values()] == [10, 10]
    shared.unplug(2, after(1))
    assert shared.offer(shared.connector(1)).amps == 20


def test_profiles_replace_each_other_by_id_and_by_place_and_are_bounded() -> None:
    """B10.4; more than the box stores are refused; a TxProfile goes with its transaction."""
    store = charging_box()
    running = store.connectors[1].transaction
    assert store.profiles.install(flat("TxProfile", 10), running)
    assert store.profiles.install(flat("TxDefaultProfile", 10), running)
    assert len(store.profiles) == 1
    assert store.profiles.install(flat("TxDefaultProfile", 12, id=2), running)
    assert len(store.profiles) == 1
    taken = [store.profiles.install(flat("TxProfile", 8, id=n + 10, level=n % 9), running) for n in range(40)]
    assert len(store.profiles) <= 12
    assert taken[0]
    assert not store.profiles.install(flat("TxProfile", 8, transaction_id=77), running)
    store.stop(1, "Local", after(1))
    assert [profile.purpose for profile in store.profiles] == ["TxDefaultProfile"]


# --- the meter -----------------------------------------------------------------------------------------------


def test_the_register_is_the_integral_of_the_power() -> None:
    """An hour at 11 kW, and the battery gets its share of it."""
    made = charging_box()
    made.advance(after(3600))
    assert made.connector(1).register_wh == pytest.approx(11_000)
    vehicle = made.connector(1).vehicle
    assert vehicle is not None
    assert vehicle.stored_wh == pytest.approx(58_000 * 0.35 + 11_000 * 0.92)


@given(st.lists(st.tuples(st.floats(-100, 4000), st.sampled_from([None, 0.0, 6.0, 10.0, 40.0])), max_size=15))
def test_the_register_never_runs_backwards(steps: list[tuple[float, float | None]]) -> None:
    """Whatever the limits and even if the clock is set back; and never faster than the hardware."""
    made, now = charging_box(), NOW
    for seconds, limit in steps:
        before = made.connector(1).register_wh
        now += timedelta(seconds=seconds)
        made.advance(now)
        gained = made.connector(1).register_wh - before
        assert 0 <= gained <= HARDWARE.watts * max(seconds, 0) / 3600 + 1e-6
        if limit is None:
            made.profiles.clear()
        else:
            made.profiles.install(flat("ChargePointMaxProfile", limit, connector=0, anchor=NOW), None)


def test_a_transaction_meters_whole_watt_hours_from_the_lifetime_register() -> None:
    """meterStart continues where the last transaction stopped (SE 3.77)."""
    made = charging_box(register_wh=5_000.7)
    made.stop(1, "Local", after(600))
    made.authorize(1, "TAG", ACCEPTED, after(601))
    messages = [m for m in made.take_messages() if m.transaction is not None]
    assert [m.action for m in messages if m.action != "MeterValues"] == [
        "StartTransaction",
        "StopTransaction",
        "StartTransaction",
    ]
    starts = [m.payload["meterStart"] for m in messages if m.action == "StartTransaction"]
    stops = [m.payload["meterStop"] for m in messages if m.action == "StopTransaction"]
    assert starts == [5000, stops[0]]


def test_currents_and_voltages_are_per_phase() -> None:
    """P = Σ I × V over the phases in use (E3)."""
    made = charging_box(VehicleConfig(phases=1))
    made.configuration.change("MeterValuesSampledData", "Power.Active.Import,Current.Import,Voltage,SoC")
    made.take_messages()
    made.sample(1, "Trigger")
    values = made.take_messages()[0].payload["meterValue"][0]["sampledValue"]
    assert [(value["measurand"], value.get("phase")) for value in values] == [
        ("Power.Active.Import", None),
        ("Current.Import", "L1"),
        ("Voltage", "L1-N"),
        ("SoC", None),
    ]
    assert float(values[1]["value"]) * float(values[2]["value"]) == pytest.approx(7_360, abs=2)


def test_speed_shortens_waits_and_fills_the_battery_but_keeps_the_meter_true() -> None:
    """The contract of ChargerConfig.speed."""
    made = box(speed=60)
    made.plug_in(1, Vehicle.arriving(VehicleConfig(), pace=60), NOW)
    made.authorize(1, "TAG", ACCEPTED, NOW)
    assert made.connector(1).next_sample_at == after(1)
    made.advance(after(60))
    assert made.connector(1).register_wh == pytest.approx(11_000 / 60)
    vehicle = made.connector(1).vehicle
    assert vehicle is not None
    assert vehicle.soc == pytest.approx(0.35 + 11_000 * 0.92 / 58_000)


# --- readers: the documented error or a value, never another ---------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
PROFILE = st.fixed_dictionaries(
    {},
    optional={
        "chargingProfileId": JSON | st.integers(0, 5),
        "stackLevel": JSON | st.integers(0, 9),
        "chargingProfilePurpose": JSON | st.sampled_from(["TxProfile", "ChargePointMaxProfile"]),
        "chargingProfileKind": JSON | st.sampled_from(["Absolute", "Relative", "Recurring"]),
        "recurrencyKind": JSON | st.just("Daily"),
        "validFrom": JSON | st.datetimes().map(str),
        "chargingSchedule": JSON
        | st.fixed_dictionaries(
            {
                "chargingRateUnit": st.sampled_from(["A", "W", "kW"]),
                "chargingSchedulePeriod": JSON
                | st.lists(
                    st.fixed_dictionaries({"startPeriod": st.integers(-1, 9), "limit": JSON | st.floats()}),
                    max_size=3,
                ),
            },
            optional={"startSchedule": JSON | st.datetimes().map(str), "duration": JSON},
        ),
    },
)


@given(PROFILE)
def test_any_profile_is_read_or_refused_by_name(raw: dict[str, Any]) -> None:
    """And what is read can be evaluated at any time."""
    try:
        profile = parse_profile(raw, 1, NOW)
    except ProfileError as error:
        assert str(error)  # noqa: PT017 - either outcome is right
    else:
        steps = composite_schedule([profile], HARDWARE, Session(1, NOW), NOW, timedelta(days=7))
        assert steps[0][0] == 0


@given(st.text(max_size=60) | JSON.map(lambda value: rpc.call("1", "A", {"x": str(value)})))
def test_any_frame_decodes_to_something(text: str) -> None:
    """decode never raises."""
    assert rpc.decode(text) is not None


@given(st.lists(JSON, max_size=5))
def test_any_json_array_decodes_to_something(frame: list[Any]) -> None:
    """Also those that look like messages."""
    import orjson

    try:
        text = orjson.dumps(frame).decode()
    except TypeError:
        return  # integers beyond 64 bits
    assert rpc.decode(text) is not None


@given(JSON)
def test_any_tag_info_is_read(raw: Any) -> None:
    """An info that can't be read lets no tag charge."""
    if parse_tag_info(raw).usable(NOW):
        assert raw["status"] == "Accepted"


ACTIONS = st.sampled_from(
    [
        "CancelReservation",
        "ChangeAvailability",
        "ChangeConfiguration",
        "ClearChargingProfile",
        "GetCompositeSchedule",
        "GetConfiguration",
        "GetDiagnostics",
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "ReserveNow",
        "Reset",
        "SendLocalList",
        "SetChargingProfile",
        "TriggerMessage",
        "UnlockConnector",
        "UpdateFirmware",
    ]
)
FIELDS = st.sampled_from(
    [
        "connectorId",
        "type",
        "key",
        "value",
        "id",
        "duration",
        "location",
        "retrieveDate",
        "idTag",
        "transactionId",
        "reservationId",
        "expiryDate",
        "updateType",
        "listVersion",
        "localAuthorizationList",
        "requestedMessage",
        "csChargingProfiles",
        "chargingProfile",
    ]
)
USEFUL = st.sampled_from([0, 1, "Hard", "Inoperative", "Full", "TAG", "2026-03-02T13:00:00Z", "MeterValues", [{}]])


@given(ACTIONS, st.dictionaries(FIELDS, USEFUL | JSON, max_size=8) | JSON)
def test_any_request_is_answered_or_refused(action: str, payload: Any) -> None:
    """A confirmation or an OperationFault with a code, never another exception."""
    operations = Operations(charging_box(), fixed_cable=False)
    try:
        answer = operations.answer(action, payload, after(1), accepted=True)
    except OperationFault as fault:
        assert fault.code  # noqa: PT017 - either outcome is right
    else:
        assert isinstance(answer.payload, dict)

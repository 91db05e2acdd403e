"""Forms as requests to the gateway, and the curve of a session of its readings; without a gateway."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.api.v1 import command_pb2, common_pb2, energy_pb2, steering_pb2, transaction_pb2
from gateway.console.action_table import ACTIONS
from gateway.console.curves import PAGES, limits, power_curve
from gateway.console.fleet_pages import MAX_FILTER, MAX_IDENTITIES, any_of
from gateway.console.form_fields import FieldError
from gateway.console.prices import price_steps, zone_of
from gateway.control import filter_text
from gateway.control.services.list_requests import CHARGE_POINT_FIELDS

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
ONE = common_pb2.ConnectorAddress(evse=1, connector=1)


def asked(action: str, **form: str) -> Any:
    """The request that a form makes."""
    return ACTIONS[action].request("CP1", "r", form)


def test_a_connector_is_named_or_left_out() -> None:
    """An empty field is the charge point as a whole."""
    for action, more in (("resume", {}), ("trigger", {"message": "TRIGGERED_MESSAGE_HEARTBEAT"})):
        assert asked(action, connector="1", **more).connector == ONE
        assert not asked(action, connector=" ", **more).HasField("connector")
    message = asked("trigger", message="TRIGGERED_MESSAGE_HEARTBEAT").requested_message
    assert message == command_pb2.TRIGGERED_MESSAGE_HEARTBEAT
    with pytest.raises(FieldError, match="message: is none that can be asked for"):
        asked("trigger", message="TRIGGERED_MESSAGE_UNSPECIFIED")


def test_signed_firmware_is_fetched_and_installed_when_it_is_said_to() -> None:
    """At once unless there is a time; lines of a form are lines of a certificate, and none of a signature."""
    form = {"location": "https://f.example/1", "certificate": "A\r\nB", "signature": "eA ==\r\neQ=="}
    made = asked("signed-firmware", **form, at="2030-01-01T00:00", install_at="2030-01-02T00:00+01:00")
    assert (made.signing_certificate, made.signature) == ("A\nB", "eA==eQ==")
    assert made.retrieve_time.ToDatetime(UTC) == datetime(2030, 1, 1, tzinfo=UTC)
    assert made.install_time.ToDatetime(UTC) == datetime(2030, 1, 1, 23, tzinfo=UTC)
    now = asked("signed-firmware", **form)
    assert not now.HasField("retrieve_time")
    assert not now.HasField("install_time")


def test_plain_firmware_without_a_time_is_one_request_however_often_its_form_is_sent() -> None:
    """At once is no time of the console's; a time that is given is taken."""
    form = {"location": "https://f.example/1"}
    first = asked("firmware", **form)
    assert (first.location, first.HasField("retrieve_time"), first.signature) == (form["location"], False, "")
    assert asked("firmware", **form) == first
    made = asked("firmware", **form, at="2030-01-01T00:00")
    assert made.retrieve_time.ToDatetime(UTC) == datetime(2030, 1, 1, tzinfo=UTC)


def test_times_of_a_plan_are_utc_unless_they_have_an_offset() -> None:
    """A step that an operator wrote in local time must not be moved."""
    steps = "2030-01-01T00:00 16\n2030-01-01T02:00+01:00 none\n\n2030-01-01T02:00Z end\n"
    plan = asked("plan", steps=steps, connector="1").plan
    first, second = plan.steps
    midnight = int(datetime(2030, 1, 1, tzinfo=UTC).timestamp())
    assert (first.start_time.seconds, first.limit.value) == (midnight, 16)
    assert (second.start_time.seconds, second.HasField("limit")) == (midnight + 3600, False)
    assert plan.end_time.seconds == midnight + 7200


@pytest.mark.parametrize("line", ["noon 16", "2030-01-01T00:00 much"])
def test_a_line_of_a_plan_that_can_not_be_read_is_named(line: str) -> None:
    with pytest.raises(FieldError, match="steps: line 2 is not a time and a number of amperes"):
        asked("plan", steps=f"2030-01-01T00:00 16\n{line}\n2030-01-02T00:00 end", connector="1")


def sample(measurand: str, at: datetime, phase: str = "", **fields: Any) -> Any:
    made = common_pb2.MeterSample(measurand=measurand, phase=phase, **fields)
    made.sample_time.FromDatetime(at)
    return made


class Pages:
    """A visit whose gateway has so many pages of readings, one reading on each."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.tokens: list[str] = []
        self.now = NOW
        self.gateway = SimpleNamespace(transactions=SimpleNamespace(ListTransactionReadings=None))
        self.console = SimpleNamespace(settings=SimpleNamespace(prices=None))

    async def call(self, rpc: Any, request: Any) -> Any:
        self.tokens.append(request.page_token)
        number = len(self.tokens)
        at = NOW + timedelta(minutes=number)
        samples = [
            sample("Power.Active.Import", at, power_watts=1000.0 * number),
            sample("Power.Active.Import", at, "L1", power_watts=5.0),
            sample("Energy.Active.Import.Register", at, energy={"milliwatt_hours": 1_000_000 * (number + 10)}),
            sample("Voltage", at),
        ]
        readings = [transaction_pb2.TransactionReading(samples=samples)]
        more = str(number) if number < self.count else ""
        return transaction_pb2.ListTransactionReadingsResponse(readings=readings, next_page_token=more)


def drawn(pages: Pages) -> Any:
    visit: Any = pages
    return asyncio.run(power_curve(visit, transaction_pb2.Transaction(transaction_id="tx_1", connector=ONE)))


def test_a_curve_is_drawn_of_all_pages_of_readings() -> None:
    """Of the whole connector, not of its phases; energy from the first register on."""
    pages = Pages(3)
    curve = drawn(pages)
    assert pages.tokens == ["", "1", "2"]
    assert curve["power"][1] == [1.0, 2.0, 3.0]
    assert curve["energy"][1] == [0.0, 1.0, 2.0]


def test_a_curve_has_a_bound() -> None:
    """A session of weeks costs its page no more calls than that."""
    pages = Pages(PAGES * 2)
    assert len(drawn(pages)["power"][1]) == len(pages.tokens) == PAGES


def test_a_connector_of_which_nothing_is_wanted_has_no_limit() -> None:
    """It is not drawn as one of nothing."""
    each = steering_pb2.SteeredConnector(wanted=steering_pb2.Wanted(connector=ONE))
    assert limits(ONE, [each], NOW, NOW) == [[], []]


@pytest.mark.parametrize("value", ["", "1_6", "\u0661\u0666", "nan", "inf", "0x10", "6 A", "1e9999"])
def test_what_is_no_number_is_refused(value: str) -> None:
    """Python reads more than a person means."""
    with pytest.raises(FieldError, match="value: "):
        asked("limit", value=value, unit="A")


def test_a_number_may_have_a_comma() -> None:
    assert asked("limit", value="8,5", unit="A").limit.value == 8.5


@pytest.mark.parametrize(("action", "field"), [("limit", "phases"), ("limit", "connector"), ("unlock", "connector")])
def test_nothing_is_left_out_of_a_number(action: str, field: str) -> None:
    """One and a half connectors are none."""
    with pytest.raises(FieldError, match=f"{field}: must be a whole number"):
        asked(action, **{"value": "6", "unit": "A", field: "1.5"})


@pytest.mark.parametrize(
    ("action", "field", "most"), [("configure", "value", 500), ("clear-plan", "why", 200), ("plan", "why", 200)]
)
def test_nothing_is_cut_off_a_text(action: str, field: str, most: int) -> None:
    """A value is set as it was typed, or not at all."""
    form = {"key": "K", "connector": "1", "steps": "2030-01-01T00:00 16\n2030-01-01T02:00"}
    assert getattr(asked(action, **form, **{field: "x" * most}), field) == "x" * most
    with pytest.raises(FieldError, match=f"{field}: has more than {most} characters"):
        asked(action, **form, **{field: "x" * (most + 1)})
    assert asked("configure", key="K", value=" a ").value == " a "


@pytest.mark.parametrize("time", ["0001-01-01T00:00+14:00", "9999-12-31T23:00-10:00", "noon"])
def test_what_is_no_time_is_refused(time: str) -> None:
    """Also where UTC has no such year."""
    with pytest.raises(FieldError, match="until: is not a time"):
        asked("pause", until=time)


@pytest.mark.parametrize("line", ["2030-01-01T00:00 16 A", "2030-01-01T00:00 1_6", "0001-01-01T00:00+14:00 6"])
def test_a_line_of_a_plan_is_read_whole(line: str) -> None:
    with pytest.raises(FieldError, match="steps: line 1 is not a time and a number of amperes"):
        asked("plan", steps=f"{line}\n2030-01-02T00:00", connector="1")


def test_a_plan_without_an_end_is_refused() -> None:
    """Its last step would be taken for the end, and its limit lost."""
    with pytest.raises(FieldError, match="steps: the last line has to be the end of the plan"):
        asked("plan", steps="2030-01-01T00:00 16\n2030-01-01T02:00 6", connector="1")


def test_a_filter_holds_as_many_identities_as_it_has_room_for() -> None:
    """Of the longest that there are; a tag that was used at many places is searched all the same."""
    identities = [f"{number:048}" for number in range(100)]
    text = any_of(['identity = "x"'], identities)
    assert 25 <= text.count(" OR ") <= MAX_IDENTITIES
    assert len(text) <= MAX_FILTER == filter_text.MAX_FILTER
    assert filter_text.read_filter(text, CHARGE_POINT_FIELDS) is not None
    assert any_of(["a"], identities[:2]).count(" OR ") == 2


@pytest.mark.parametrize(
    "daily",
    [
        {"start_of_day": "", "end_of_day": "24:00", "price_per_kwh": "1"},
        {"start_of_day": "00:00", "end_of_day": "24:00", "price_per_kwh": "much"},
        {"start_of_day": "00:00", "end_of_day": "24:00", "price_per_kwh": ""},
    ],
)
def test_prices_that_can_not_be_read_are_not_drawn(daily: dict[str, str]) -> None:
    """The gateway says what is wrong with them; the page has more to show."""
    schedule = energy_pb2.PriceSchedule(currency="GBP")
    schedule.daily_prices.add(**daily)
    assert price_steps(schedule, NOW, NOW + timedelta(hours=1)) == []


@pytest.mark.parametrize(
    ("zone", "found"),
    [("Europe/London", "Europe/London"), ("", ""), ("Nowhere/Nothing", ""), ("../x", ""), ("Europe", "")],
)
def test_a_zone_that_there_is_not_is_utc(zone: str, found: str) -> None:
    schedule = energy_pb2.PriceSchedule(time_zone=zone)
    schedule.daily_prices.add(start_of_day="00:00", end_of_day="24:00", price_per_kwh="1")
    assert zone_of(schedule) == found
    assert bool(price_steps(schedule, NOW, NOW)) is (zone == found)

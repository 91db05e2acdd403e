"""Energy by interval, costs and estimates: what is asked, and what is shown."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from gateway.api.v1 import common_pb2, completion_pb2
from gateway.api.v1 import energy_pb2 as pb
from tests.cli.fakes import FakeGateway, at

Run = Callable[..., Result]

ENERGY = pb.TransactionEnergy(
    transaction_id="tx_1",
    charge_point="HOME-1",
    energy=common_pb2.Energy(watt_hours="4000", milliwatt_hours=4_000_000),
    basis=common_pb2.ENERGY_BASIS_REGISTER_DELTAS,
    doubts=[common_pb2.ENERGY_DOUBT_STOP_LEFT_OUT, common_pb2.ENERGY_DOUBT_RESET],
    contradicted=True,
    start_time=at("2026-07-01T10:10:00Z"),
    end_time=at("2026-07-01T10:50:00Z"),
    revision=17,
    state=common_pb2.ENERGY_STATE_PROVISIONAL,
    pending=True,
    rules_differ=True,
    rules_version=2,
    recorded_rules_version=1,
    recorded_energy=common_pb2.Energy(watt_hours="3999", milliwatt_hours=3_999_000),
    provenance=common_pb2.PROVENANCE_REPLAYED,
    replayed_message_count=12,
)

INTERVALS = [
    pb.EnergyInterval(
        start_time=at(f"2026-07-01T10:{minute:02}:00Z"),
        end_time=at(f"2026-07-01T10:{minute + 15:02}:00Z"),
        energy=common_pb2.Energy(milliwatt_hours=1_000_000),
        quality=pb.ENERGY_QUALITY_INTERPOLATED,
    )
    for minute in (0, 15, 30)
]


def test_intervals_are_shown_in_the_zone_that_was_asked_for(fake: FakeGateway, run: Run) -> None:
    """With the total, how it was found, and a word of warning where the meter contradicts itself."""
    fake.answers["ListTransactionEnergy"] = pb.ListTransactionEnergyResponse(energy=ENERGY, intervals=INTERVALS)
    result = run("transactions", "energy", "tx_1", "--interval", 15, "--zone", "Europe/London")
    assert result.exit_code == 0, result.output
    (request,) = fake.asked("ListTransactionEnergy")
    assert (request.transaction_id, request.interval.seconds, request.time_zone) == ("tx_1", 900, "Europe/London")
    text = result.stdout
    assert "2026-07-01 11:00:00 BST" in text
    assert "1.000 kWh" in text
    assert "interpolated" in text
    assert "4.000 kWh" in text
    assert "register-deltas" in text
    assert "stop-left-out, reset" in text
    assert "check it before it is billed" in text
    assert "17, and a later one follows" in text
    assert "provisional" in text
    assert "3.999 kWh by rules 1; these are rules 2" in text
    assert "replayed" in text


def test_intervals_come_from_all_pages_as_json(fake: FakeGateway, run: Run) -> None:
    """The whole answer is one value."""
    first = pb.ListTransactionEnergyResponse(energy=ENERGY, intervals=INTERVALS[:2], next_page_token="more")
    fake.answers["ListTransactionEnergy"] = [
        first, pb.ListTransactionEnergyResponse(energy=ENERGY, intervals=INTERVALS[2:])]  # fmt: skip
    shown = json.loads(run("transactions", "energy", "tx_1", "--json").stdout)
    assert [request.page_token for request in fake.asked("ListTransactionEnergy")] == ["", "more"]
    assert shown["energy"]["energy"] == {"watt_hours": "4000", "milliwatt_hours": "4000000"}
    assert len(shown["intervals"]) == 3
    assert fake.asked("ListTransactionEnergy")[0].interval.seconds == 1800


def test_fewer_intervals_than_there_are_are_announced(fake: FakeGateway, run: Run) -> None:
    """By a note on standard error."""
    fake.answers["ListTransactionEnergy"] = pb.ListTransactionEnergyResponse(energy=ENERGY, intervals=INTERVALS)
    assert "the first 2 intervals" in run("transactions", "energy", "tx_1", "--limit", 2).stderr


PRICES = {
    "currency": "GBP",
    "time_zone": "Europe/London",
    "standing_charge": "0.25",
    "maximum_total": "40",
    "daily_prices": [
        {"start_of_day": "00:00", "end_of_day": "05:00", "price_per_kwh": "0.075"},
        {"start_of_day": "05:00", "end_of_day": "24:00", "price_per_kwh": "0.2475"},
    ],
    "tiers": [{"from_milliwatt_hours": "50000000", "additional_price_per_kwh": "0.02"}],
}

COST = pb.Cost(
    currency="GBP",
    lines=[
        pb.CostLine(
            start_time=at("2026-07-01T10:10:00Z"),
            end_time=at("2026-07-01T10:50:00Z"),
            energy=common_pb2.Energy(milliwatt_hours=4_000_000),
            price_per_kwh="0.2475",
            amount="0.99",
            quality=pb.ENERGY_QUALITY_MEASURED,
        )
    ],
    energy_amount="0.99",
    standing_charge="0.25",
    limit_adjustment="0",
    rounding_adjustment="0",
    total="1.24",
)


def test_a_cost_is_shown_line_by_line(fake: FakeGateway, run: Run, tmp_path: Path) -> None:
    """By the schedule of a file, which is the one that docs/energy.md shows."""
    fake.answers["ComputeCost"] = pb.ComputeCostResponse(energy=ENERGY, cost=COST)
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(PRICES))
    result = run("transactions", "cost", "tx_1", "--prices", path)
    assert result.exit_code == 0, result.output
    (request,) = fake.asked("ComputeCost")
    assert (request.transaction_id, request.price_schedule.currency) == ("tx_1", "GBP")
    assert [each.price_per_kwh for each in request.price_schedule.daily_prices] == ["0.075", "0.2475"]
    assert request.price_schedule.tiers[0].from_milliwatt_hours == 50_000_000
    assert "2026-07-01 11:10:00 BST" in result.stdout
    assert "0.2475" in result.stdout
    assert "1.24 GBP" in result.stdout
    assert "rounding" not in result.stdout
    shown = json.loads(run("transactions", "cost", "tx_1", "--prices", "-", "--json", input=json.dumps(PRICES)).stdout)
    assert shown["cost"]["total"] == "1.24"


def test_the_schedule_on_the_page_is_the_one_that_is_tested() -> None:
    """As JSON, word for word."""
    page = (Path(__file__).parents[2] / "docs" / "energy.md").read_text()
    block = page[page.index('    {"currency"') : page.index("A cost names")]
    assert json.loads(block) == PRICES


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "can't be read"),
        ('{"colour": "red"}', "can't be read"),
        ('{"decimals": 1e400}', "can't be read"),
        ('{"periods":' * 3000, "can't be read"),
        ("[]", "no JSON object"),
        ("\xff", "can't be read"),
        (" " * 1_000_001, "bytes"),
    ],
)
def test_a_price_schedule_that_can_not_be_read_is_refused(fake: FakeGateway, run: Run, text: str, words: str) -> None:
    """And nothing is asked."""
    result = run("transactions", "cost", "tx_1", "--prices", "-", input=text)
    assert result.exit_code == 1
    assert words in result.stderr
    assert fake.asked("ComputeCost") == []


def test_an_estimate_is_shown_with_its_bounds(fake: FakeGateway, run: Run) -> None:
    """For an energy, a state of charge, or a full battery."""
    fake.answers["EstimateCompletion"] = pb.EstimateCompletionResponse(
        energy=ENERGY,
        state=completion_pb2.COMPLETION_STATE_ESTIMATED,
        finish_time=at("2026-07-01T12:00:00Z"),
        earliest_time=at("2026-07-01T11:50:00Z"),
        latest_time=at("2026-07-01T12:30:00Z"),
        remaining=common_pb2.Energy(milliwatt_hours=6_000_000),
    )
    text = run("transactions", "estimate", "tx_1", "--kwh", "10.5").stdout
    for shown in ("estimated", "2026-07-01 12:00:00", "2026-07-01 11:50:00", "2026-07-01 12:30:00", "6.000 kWh"):
        assert shown in text
    assert json.loads(run("transactions", "estimate", "tx_1", "--soc", 80, "--json").stdout)["finish_time"]
    assert run("transactions", "estimate", "tx_1", "--full").exit_code == 0
    kwh, soc, full = fake.asked("EstimateCompletion")
    assert (kwh.energy_milliwatt_hours, soc.soc_percent, full.WhichOneof("target")) == (10_500_000, 80, "full")


@pytest.mark.parametrize("options", [(), ("--kwh", 1, "--full"), ("--soc", 101), ("--kwh", "nan"), ("--kwh", -1)])
def test_an_estimate_needs_one_target(fake: FakeGateway, run: Run, options: tuple[object, ...]) -> None:
    """Wrong usage; nothing is asked."""
    assert run("transactions", "estimate", "tx_1", *options).exit_code == 2
    assert fake.asked("EstimateCompletion") == []

"""`gateway transactions`: lists that were cut or are empty, stops that belong to none, and details that few have."""

import json

import grpc
import pytest

from gateway.api.v1 import transaction_pb2 as pb
from gateway.api.v1.common_pb2 import EnergyBasis, EnergyDoubt
from gateway.api.v1.completion_pb2 import Completion, CompletionState
from gateway.api.v1.event_pb2 import Event, TransactionOrphaned
from tests.cli.fakes import Failure, at

T0, T1, T2 = (at(f"2024-05-01T{hour}:00:00Z") for hour in (10, 11, 12))


def transaction(**more) -> pb.Transaction:
    return pb.Transaction(transaction_id="tx_1", charge_point="HOME-1", start_time=T0, **more)


def shown(fake, run, found: pb.Transaction) -> dict[str, str]:
    """The facts of a transaction, by their names."""
    fake.answers["GetTransaction"] = pb.GetTransactionResponse(transaction=found)
    result = run("transactions", "show", "tx_1", "--no-readings")
    assert result.exit_code == 0, result.output
    assert fake.asked("ListTransactionReadings") == []
    return dict(line.strip().split("  ", 1) for line in result.stdout.splitlines() if "  " in line.strip())


def test_lists_that_were_cut_say_so(fake, run):
    """Transactions, and the readings of one."""
    fake.answers["ListTransactions"] = pb.ListTransactionsResponse(transactions=[transaction()] * 3)
    result = run("transactions", "list", "--limit", 2)
    assert "the newest 2; --limit for more" in result.stderr
    fake.answers["GetTransaction"] = pb.GetTransactionResponse(transaction=transaction())
    fake.answers["ListTransactionReadings"] = pb.ListTransactionReadingsResponse(readings=[pb.TransactionReading()] * 3)
    result = run("transactions", "show", "tx_1", "--limit", 2)
    assert "the first 2 readings; --limit for more" in result.stderr


def test_transactions_are_printed_as_json(fake, run):
    """The list, and one with or without its readings."""
    fake.answers["ListTransactions"] = pb.ListTransactionsResponse(transactions=[transaction()])
    (listed,) = json.loads(run("transactions", "--json").stdout)
    assert listed["transaction_id"] == "tx_1"
    fake.answers["GetTransaction"] = pb.GetTransactionResponse(transaction=transaction())
    fake.answers["ListTransactionReadings"] = pb.ListTransactionReadingsResponse(readings=[pb.TransactionReading()])
    assert len(json.loads(run("transactions", "show", "tx_1", "--json").stdout)["readings"]) == 1
    assert "readings" not in json.loads(run("transactions", "show", "tx_1", "--no-readings", "--json").stdout)


ORPHAN = Event(
    event_id="ev_1",
    charge_point="HOME-1",
    receive_time=T0,
    transaction_orphaned=TransactionOrphaned(number=77, why="unknown-number", payload_json='{"meterStop":900}'),
)


def test_stops_that_belong_to_none_are_listed_as_they_were_sent(fake, run):
    """With the id by which one is tied to its transaction."""
    fake.answers["ListOrphans"] = pb.ListOrphansResponse(orphans=[ORPHAN])
    _, line = run("transactions", "orphans").stdout.splitlines()
    assert line.split()[:2] == ["ev_1", "HOME-1"]
    assert line.split()[-3:] == ["77", "unknown-number", '{"meterStop":900}']
    (found,) = json.loads(run("transactions", "orphans", "--json").stdout)
    assert found["event_id"] == "ev_1"


def test_stops_that_were_tied_are_left_out_unless_they_are_asked_for(fake, run):
    """Together with a filter of the caller's."""
    for given in ((), ("--filter", "a = 1 OR b = 2"), ("--tied", "--filter", "a = 1"), ("--tied",)):
        run("transactions", "orphans", *given)
    asked = [each.filter for each in fake.asked("ListOrphans")]
    assert asked == ["attributed = false", "attributed = false AND (a = 1 OR b = 2)", "a = 1", ""]


def test_a_charger_without_such_stops_must_exist(fake, run):
    """A name that is mistyped does not look like one that has none."""
    assert run("transactions", "orphans", "--charger", "HOME-1").exit_code == 0
    fake.answers["GetChargePoint"] = Failure(
        grpc.StatusCode.NOT_FOUND, "no charge point HOME-9", "CHARGE_POINT_UNKNOWN"
    )
    result = run("transactions", "orphans", "--charger", "HOME-9")
    assert result.exit_code != 0
    assert "no charge point HOME-9" in result.stderr


def test_energy_is_that_of_the_bill_with_its_doubts(fake, run):
    """The difference of the registers as long as there is none."""
    summary = pb.EnergySummary(
        energy={"milliwatt_hours": 5_000_000},
        basis=EnergyBasis.values()[1],
        doubts=EnergyDoubt.values()[1:2],
        revision=3,
    )
    found = shown(fake, run, transaction(energy={"milliwatt_hours": 7_000_000}, energy_summary=summary))
    assert "5" in found["energy"]
    assert found["found by"].endswith(")")
    assert found["revision"].strip() == "3"
    assert "7" in shown(fake, run, transaction(energy={"milliwatt_hours": 7_000_000}))["energy"]


@pytest.mark.parametrize(
    ("completion", "words"),
    [
        (Completion(state=CompletionState.values()[-1]), CompletionState.keys()[-1]),
        (Completion(state="COMPLETION_STATE_ESTIMATED", finish_time=T1, earliest_time=T0, latest_time=T2), "11:00"),
        (Completion(state="COMPLETION_STATE_ESTIMATED", finish_time=T1, earliest_time=T0), "later than in three days"),
    ],
)
def test_the_time_at_which_a_vehicle_is_full_is_an_estimate_with_its_bounds(fake, run, completion, words):
    """Or the reason why there is none."""
    found = shown(fake, run, transaction(completion=completion))["full"]
    assert words.removeprefix("COMPLETION_STATE_").lower().replace("_", " ") in found

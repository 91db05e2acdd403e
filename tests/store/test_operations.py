"""Operations as both stores keep them: their stages and ends, and what a deleted charge point leaves of them."""

import pytest
from attrs import evolve

from gateway.domain.codec import decode
from gateway.domain.commands import CommandState
from gateway.domain.events import (
    OperationAccepted,
    OperationAdvanced,
    OperationEnded,
    ReservationEnded,
    ReservationMade,
)
from gateway.domain.operations import End, OperationKind, OperationRecord, OperationRequest, Stage, steering_request_id
from gateway.domain.values import ConnectorAddress
from gateway.store.api import Store
from gateway.store.commits import DeleteChargePoint, OpenSession
from tests.store.builders import (
    ALL,
    CONNECTED,
    answered,
    append,
    at,
    create,
    limited,
    one,
    queued,
    sent,
    started,
    stopped,
)

KIND = OperationKind.STOP_CHARGING
THERE = ConnectorAddress(1, 1)


def accepted(number: int, transaction_id: str | None = None) -> OperationAccepted:
    return OperationAccepted(f"op_{number}", f"req_{number}", OperationRequest(KIND), at(60), transaction_id)


def advanced(number: int, stage: Stage = Stage.SENT, transaction_id: str | None = None) -> OperationAdvanced:
    return OperationAdvanced(f"op_{number}", stage, f"cmd_{number}", transaction_id)


def ended(number: int, end: End = End.DONE, reason: str = "", transaction_id: str | None = None) -> OperationEnded:
    return OperationEnded(f"op_{number}", end, reason, transaction_id)


@pytest.fixture
def store(store: Store) -> Store:
    """With two operations of CP1 and one of CP2."""
    create(store, "CP1")
    create(store, "CP2")
    append(store, accepted(1), accepted(2, "tx_2"), seconds=1)
    append(store, accepted(3), identity="CP2", seconds=1)
    return store


def operation(store: Store, number: int) -> OperationRecord:
    found = store.operation(f"op_{number}")
    assert found is not None
    return found


def test_a_stage_is_its_operations_alone(store: Store) -> None:
    """With its command, its time and its place in the history; others stay as they are."""
    before = operation(store, 2), operation(store, 3)
    (sequence,) = append(store, advanced(1), seconds=5).sequences
    found = operation(store, 1)
    assert [(each.stage, each.at) for each in found.stages] == [(Stage.ACCEPTED, at(1)), (Stage.SENT, at(5))]
    assert (found.stages[-1].sequence, found.sequence, found.command_id) == (sequence, sequence, "cmd_1")
    assert (operation(store, 2), operation(store, 3)) == before


def test_a_transaction_stays_that_of_an_operation_unless_another_is_named(store: Store) -> None:
    """By a stage and by the end."""
    append(store, advanced(1), advanced(2))
    assert [operation(store, number).transaction_id for number in (1, 2)] == ["", "tx_2"]
    append(store, advanced(1, Stage.CHARGER_ACCEPTED, "tx_1"))
    append(store, ended(1), ended(2, transaction_id="tx_9"))
    assert [operation(store, number).transaction_id for number in (1, 2)] == ["tx_1", "tx_9"]


def test_an_end_is_its_operations_alone_and_the_last_of_it(store: Store) -> None:
    """Nothing that comes behind it changes it."""
    before = operation(store, 2), operation(store, 3)
    (sequence,) = append(store, ended(1, End.NO_EFFECT, "rejected"), seconds=7).sequences
    found = operation(store, 1)
    assert (found.end, found.reason, found.ended_at, found.sequence) == (End.NO_EFFECT, "rejected", at(7), sequence)
    append(store, advanced(1), ended(1, End.DONE, "again"), seconds=9)
    assert operation(store, 1) == found
    assert (operation(store, 2), operation(store, 3)) == before


def test_open_operations_are_loaded_with_the_session(store: Store) -> None:
    """Each with what has become of its command, its transaction and what it changed that is wanted."""
    pause = OperationRequest(OperationKind.PAUSE_CHARGING, THERE)
    wanted = evolve(limited(store), request_id=steering_request_id("req_4"))
    append(store, started(2), OperationAccepted("op_4", "req_4", pause, at(60)), wanted)
    for number in (1, 2):
        append(store, queued(number, f"op_{number}"), sent(number), advanced(number))
    append(store, answered(2), stopped(2))
    start = OperationRequest(OperationKind.START_CHARGING, id_tag="TAG")
    append(store, OperationAccepted("op_5", "req_5", start, at(60)), advanced(5, Stage.CHARGER_ACCEPTED, "tx_5"))
    append(store, started(5), seconds=8)
    opened = one(store, OpenSession("CP1", CONNECTED, at(9)))
    found = opened.state.operations
    assert list(found) == ["op_1", "op_2", "op_4", "op_5"]
    assert [(each.command, each.accepted, each.said, each.over) for each in found.values()] == [
        (CommandState.OUTCOME_UNKNOWN, None, "", ""),
        (CommandState.ANSWERED, True, "Accepted", "stopped"),
        (None, None, "", ""),
        (None, None, "", ""),
    ]
    assert [each.record.command_id for each in found.values()] == ["cmd_1", "cmd_2", "", "cmd_5"]
    assert [each.revision for each in found.values()] == [0, 0, 1, 0]
    assert [each.began_at for each in found.values()] == [None, None, None, at(8)], "of starts alone"


def test_a_first_open_operation_is_loaded_as_any(store: Store) -> None:
    """With its command, where it is the only one."""
    append(store, queued(3, "op_3"), sent(3), answered(3), identity="CP2")
    (found,) = one(store, OpenSession("CP2", CONNECTED, at(9))).state.operations.values()
    assert (found.command, found.said, found.record.command_id) == (CommandState.ANSWERED, "Accepted", "cmd_3")


def test_another_charge_point_changes_no_operation(store: Store) -> None:
    """Whatever id it names."""
    before = operation(store, 1)
    append(store, advanced(1), ended(1), identity="CP2")
    assert operation(store, 1) == before


def test_a_deleted_charge_point_ends_its_operations_and_reservations(store: Store) -> None:
    """Those that were sent have an unknown outcome; those of others go on."""
    append(store, advanced(2), ReservationMade(7, THERE, "TAG", at(900)), seconds=2)
    append(store, ReservationMade(8, THERE, "TAG", at(900)), identity="CP2")
    one(store, DeleteChargePoint("CP1", at(9)))
    assert [(operation(store, n).end, operation(store, n).reason) for n in (1, 2)] == [
        (End.NOT_SENT, "deleted"),
        (End.UNKNOWN, "deleted"),
    ]
    assert [operation(store, n).ended_at for n in (1, 2)] == [at(9), at(9)]
    assert operation(store, 2).transaction_id == "tx_2"
    assert operation(store, 3).end is None
    events = [each for each in store.events(0, 100, ALL).events if each.type == ReservationEnded.TYPE]
    assert [decode(each.type, each.version, each.body_json) for each in events] == [
        ReservationEnded(7, THERE, "deleted")
    ]


def test_what_is_selected_has_all_of_the_labels(store: Store) -> None:
    """Of those that are named, or of all; by identity, and those that are there."""
    a, b = {"a": "1"}, {"b": "2"}
    create(store, "CP4", labels=a | b)
    create(store, "CP3", labels=a)
    assert store.selected(a, None, 10) == ["CP3", "CP4"]
    assert store.selected(a, None, 1) == ["CP3"]
    assert store.selected(a | b, None, 10) == ["CP4"]
    assert store.selected({}, ["CP2", "CP9", "CP1"], 10) == ["CP1", "CP2"]
    assert store.selected(a, ["CP1", "CP4"], 10) == ["CP4"]
    assert store.selected(a, [], 10) == []
    one(store, DeleteChargePoint("CP3", at(9)))
    assert store.selected(a, None, 10) == ["CP4"]

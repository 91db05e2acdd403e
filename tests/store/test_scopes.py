"""Reads within a scope: the records of charge points that have all of its labels, as they are at the time."""

import pytest
from attrs import evolve

from gateway.store.commits import DeleteChargePoint, UpdateChargePoint
from gateway.store.filters import RecordFilter, TransactionFilter
from tests.store.builders import T0, append, at, connect, limited, one, queued, started

LABELS = ({"site": "north", "x": "y"}, {"site": "south", "x": "y"}, {"site": "north"}, {})

READS = {
    "transactions": lambda s, scope: [
        each.charge_point for each in s.transactions(TransactionFilter(scope=scope), None, 10)
    ],
    "commands": lambda s, scope: [
        each.charge_point for each in s.commands(None, None, 10, RecordFilter(scope=scope))
    ],
    "commands of a caller": lambda s, scope: [
        each.charge_point for each in s.commands(None, None, 10, RecordFilter(("ann",), scope))
    ],
    "steering": lambda s, scope: [identity for identity, _, _ in s.steering(None, "", 10, scope)],
    "charge points": lambda s, scope: [each.identity for each in s.charge_points("", 10, labels=scope)],
    "identities": lambda s, scope: s.labelled(scope, None, 10),
}  # fmt: skip


@pytest.fixture
def labelled(store):
    """CP1 to CP4, each with its labels, a transaction, a command of Ann's and a limit."""
    for number, labels in enumerate(LABELS, start=1):
        identity = f"CP{number}"
        epoch = connect(store, identity).epoch
        one(store, UpdateChargePoint(identity, T0, labels=labels))
        append(store, limited(store, identity), identity=identity, epoch=epoch)
        append(store, started(number), identity=identity, seconds=number)
        append(store, evolve(queued(number), caller="ann"), identity=identity)
    return store


@pytest.mark.parametrize("read", READS)
def test_a_read_holds_what_is_in_its_scope_alone(labelled, read):
    """None is all; of several labels each has to be there, with its value."""
    for scope, found in (
        ({}, ["CP1", "CP2", "CP3", "CP4"]),
        ({"site": "north"}, ["CP1", "CP3"]),
        ({"site": "north", "x": "y"}, ["CP1"]),
        ({"site": "south"}, ["CP2"]),
        ({"site": "y"}, []),
        ({"x": ""}, []),
        ({"owner": "north"}, []),
    ):
        assert sorted(READS[read](labelled, scope)) == found


@pytest.mark.parametrize("read", READS)
def test_a_scope_is_that_of_the_labels_as_they_are_now(labelled, read):
    """Records of before are those of where the charge point is by now; where it is no more, they are of no scope."""
    one(labelled, UpdateChargePoint("CP1", at(9), labels={"site": "south"}))
    one(labelled, UpdateChargePoint("CP4", at(9), labels={"site": "north"}))
    one(labelled, DeleteChargePoint("CP3", at(9)))
    assert sorted(READS[read](labelled, {"site": "north"})) == ["CP4"]
    assert sorted(READS[read](labelled, {"site": "south"})) == ["CP1", "CP2"]

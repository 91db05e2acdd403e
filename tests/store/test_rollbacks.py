"""A batch that fails leaves nothing behind: not in the database, and not in what the writer remembers.

The writer remembers who owns a charge point and which transactions are open. What it noted during a batch that was
rolled back never happened.
"""

import pytest

from gateway.domain.values import Registration
from gateway.errors import StoreError
from gateway.store.commits import (
    AllocatedNumbers,
    AllocateNumbers,
    Append,
    Appended,
    CreateChargePoint,
    DeleteChargePoint,
    Fenced,
    Missing,
    OpenSession,
)
from tests.store.builders import (
    CONNECTED,
    append,
    at,
    connect,
    create,
    disconnected,
    event,
    meter,
    nth,
    one,
    queued,
    started,
    status,
    stopped,
    types,
)

IMPOSSIBLE = AllocateNumbers(0)
"""A write that no store takes: the batch that it is in is rolled back."""


def fail(store, *writes):
    """The writes, in a batch that can't be."""
    with pytest.raises(StoreError):
        store.commit([*writes, IMPOSSIBLE])


def test_an_owner_of_a_batch_that_failed_owns_nothing(store):
    """The session before it goes on writing, and the next one's epoch follows on that one's."""
    first = connect(store)
    fail(store, OpenSession("CP1", CONNECTED, at(1)))
    assert append(store, status(), epoch=first.epoch) == Appended(nth(store, 3))
    assert append(store, status(), epoch=first.epoch + 1) == Fenced(first.epoch)
    assert connect(store).epoch == first.epoch + 1


def test_a_charge_point_of_a_batch_that_failed_is_missing(store):
    """Created in it, and written to in it."""
    fail(store, CreateChargePoint("CP1", Registration.ACCEPTED, (), at(0)), Append("CP1", None, (event(status()),)))
    assert append(store, status()) == Missing()
    assert store.charge_point("CP1") is None
    assert create(store) == Appended(nth(store, 1))
    assert one(store, OpenSession("CP1", CONNECTED, at(1))).epoch == 1


def test_a_charge_point_deleted_in_a_batch_that_failed_is_still_there(store):
    """With its epoch, its session and its connectors."""
    epoch = connect(store).epoch
    append(store, status("Charging"), epoch=epoch)
    fail(store, DeleteChargePoint("CP1", at(1)))
    assert append(store, status("Finishing"), epoch=epoch) == Appended(nth(store, 4))
    record = store.charge_point("CP1")
    assert record.connection.connected
    assert [each.status for each in record.connectors] == ["Finishing"]


def test_a_charge_point_created_anew_in_a_batch_that_failed_is_still_deleted(store):
    """The other way round."""
    connect(store)
    one(store, DeleteChargePoint("CP1", at(1)))
    fail(store, CreateChargePoint("CP1", Registration.ACCEPTED, (), at(2)))
    assert append(store, status()) == Missing()
    assert store.charge_point("CP1") is None


def test_a_transaction_of_a_batch_that_failed_is_not_remembered_as_open(store):
    """Its number of a row is given to the next one; readings that name it belong to no transaction."""
    epoch = connect(store).epoch
    fail(store, Append("CP1", epoch, (event(started(1)), event(meter(1)))))
    assert store.transaction("tx_1") is None
    append(store, started(2), epoch=epoch)
    append(store, meter(1), epoch=epoch)
    assert [each.type for each in store.readings("tx_2", 0, 10)] == ["transaction.started"]


def test_a_stop_of_a_batch_that_failed_leaves_the_transaction_open(store):
    """And its readings go on."""
    epoch = connect(store).epoch
    append(store, started(1), epoch=epoch)
    fail(store, Append("CP1", epoch, (event(stopped(1)),)))
    append(store, meter(1), epoch=epoch)
    append(store, stopped(1), epoch=epoch)
    kinds = [each.type for each in store.readings("tx_1", 0, 10)]
    assert kinds == ["transaction.started", "meter_values.reported", "transaction.stopped"]


def test_an_end_of_a_batch_that_failed_ends_no_connection(store):
    """Ends are gathered until the batch's end: those of one that failed are not written with the next."""
    epoch = connect(store).epoch
    fail(store, Append("CP1", epoch, (event(disconnected()),)))
    connect(store, "CP2")
    assert store.charge_point("CP1").connection.connected
    assert types(store, *nth(store, 2)) == ["charge_point.created", "charge_point.connected"]


def test_sequences_and_numbers_go_on_as_if_it_had_not_been(store):
    """No gap of events, and no event twice."""
    epoch = connect(store).epoch
    fail(store, Append("CP1", epoch, (event(status()), event(queued()))), AllocateNumbers(10))
    assert append(store, status(), epoch=epoch) == Appended(nth(store, 3))
    assert one(store, AllocateNumbers(1)) == AllocatedNumbers(1, 1)
    assert types(store) == ["charge_point.created", "charge_point.connected", "connector.status_changed"]

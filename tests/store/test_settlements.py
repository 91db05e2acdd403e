"""Settled energy, attributions and closing registers, as the store keeps them."""

from datetime import timedelta

import apsw
import pytest

from gateway.domain.events import (
    TransactionAttributed,
    TransactionClosed,
    TransactionEnergyChanged,
    TransactionOrphaned,
)
from gateway.domain.records import AttributionRecord, TransactionState
from gateway.domain.values import ConnectorAddress
from gateway.energy.settlement import EnergyState, state_of
from gateway.store.commits import (
    Appended,
    AttributeOrphan,
    CloseTransaction,
    Forget,
    GuardFailed,
    Missing,
    Trim,
)
from gateway.store.energy_commits import SettleEnergy as Settle
from gateway.store.sqlite import SqliteStore, migrate
from tests.store.builders import CONNECTOR, append, at, connect, create, event, meter, one, started, stopped


def changed(revision=1, mwh=500_000, previous=None):
    body = TransactionEnergyChanged(
        "tx_1",
        CONNECTOR,
        revision,
        mwh,
        previous,
        "provisional",
        "running",
        "stopped",
        1,
        "stop-minus-start",
        "0f",
        600,
    )
    return event(body, 100)


def attributed(orphan, transaction_id="tx_1", request_id="r-1"):
    body = TransactionAttributed(
        transaction_id, CONNECTOR, orphan, f"ev_{orphan}", 9, 700, "Local", 600, at(5), "found", request_id
    )
    return event(body, 50, reported_at=at(4))


def due(store, seconds=10_000):
    return [each.transaction_id for each in store.due_energies(at(seconds), 10)]


@pytest.fixture
def ended(store):
    """CP1 is connected, and has stopped tx_1 of its two transactions."""
    connect(store)
    append(store, started(), started(2), stopped(), seconds=1)
    return store


def test_an_ended_transaction_is_due_until_it_is_settled(ended):
    """From the time on at which it was last heard of; what comes later makes it due again."""
    assert (due(ended), due(ended, 0.5)) == (["tx_1"], [])
    newest = ended.transaction("tx_1").settlement.newest
    settled = one(ended, Settle("CP1", "tx_1", newest, 0, changed()))
    assert isinstance(settled, Appended)
    assert [each.event.body.revision for each in settled.events] == [1]
    known = ended.transaction("tx_1").settlement
    assert (known.revision, known.mwh, known.basis, known.digest) == (1, 500_000, "stop-minus-start", "0f")
    assert (known.due, known.quiet_needed, due(ended)) == (False, timedelta(minutes=10), [])
    append(ended, meter(), seconds=60)
    assert due(ended) == ["tx_1"]
    known = ended.transaction("tx_1").settlement
    assert (known.due, known.revision, known.quiet_before) == (True, 1, timedelta(seconds=59))
    assert one(ended, Settle("CP1", "tx_1", known.newest, 1, None)) == Appended(())
    assert due(ended) == []


def test_what_was_said_by_a_clock_that_was_ahead_is_due(ended):
    """Beyond a time, which is given: the clock may not come there for years."""
    append(ended, stopped(2), seconds=400_000_000)
    found = ended.due_energies(at(10_000), 10)
    assert [each.transaction_id for each in found] == ["tx_1"]
    found = ended.due_energies(at(10_000), 10, at(10_060))
    assert [each.transaction_id for each in found] == ["tx_1", "tx_2"]
    assert [each.transaction_id for each in ended.due_energies(at(0), 10, at(0))] == ["tx_1", "tx_2"]
    assert ended.due_energies(at(0), 10, at(400_000_000)) == []


def test_what_is_out_of_date_is_not_settled(ended):
    """By position, by revision, open, or none of the charge point's; nothing is written."""
    head, newest = ended.bounds().head, ended.transaction("tx_1").settlement.newest
    assert one(ended, Settle("CP1", "tx_1", newest - 1, 0, changed())) == GuardFailed()
    assert one(ended, Settle("CP1", "tx_1", newest, 1, changed())) == GuardFailed()
    assert one(ended, Settle("CP1", "tx_2", newest, 0, None)) == GuardFailed()
    assert one(ended, Settle("CP1", "tx_9", newest, 0, None)) == Missing()
    assert one(ended, Settle("CP9", "tx_1", newest, 0, None)) == Missing()
    assert (ended.bounds().head, due(ended)) == (head, ["tx_1"])


def test_an_orphan_ends_one_transaction_once(ended):
    """Its request id, too, is used once for a charge point."""
    (first,) = append(ended, TransactionOrphaned(9, "unknown-number", {})).sequences
    assert ended.attribution(first) is None
    assert one(ended, AttributeOrphan("CP1", attributed(first, "tx_1"))) == GuardFailed()
    assert isinstance(one(ended, AttributeOrphan("CP1", attributed(first, "tx_2"))), Appended)
    record = ended.transaction("tx_2")
    assert (record.state, record.meter_stop, record.energy) == (TransactionState.STOPPED, 700, 600)
    assert (record.stopped_at, record.stop_received_at) == (at(4), at(5))
    kept = AttributionRecord(first, "tx_2", "r-1")
    assert ended.attribution(first) == ended.attribution_by_request("CP1", "r-1") == kept
    append(ended, started(3))
    assert one(ended, AttributeOrphan("CP1", attributed(first, "tx_3", "r-2"))) == GuardFailed()
    assert one(ended, AttributeOrphan("CP1", attributed(first + 1, "tx_3"))) == GuardFailed()
    create(ended, "CP2")
    assert one(ended, AttributeOrphan("CP2", attributed(first, "tx_3"))) == Missing()


def test_what_is_said_after_an_attribution_makes_it_due_again(ended):
    """Though it was remembered as open until then."""
    (orphan,) = append(ended, TransactionOrphaned(9, "unknown-number", {})).sequences
    assert isinstance(one(ended, AttributeOrphan("CP1", attributed(orphan, "tx_2"))), Appended)
    newest = ended.transaction("tx_2").settlement.newest
    assert one(ended, Settle("CP1", "tx_2", newest, 0, None)) == Appended(())
    assert due(ended) == ["tx_1"]
    append(ended, meter(2), seconds=60)
    assert due(ended) == ["tx_1", "tx_2"]


def test_a_closing_register_is_taken_once(ended):
    """Of an open transaction, and of one that was closed without; a stop replaces it in the record's state alone."""
    for body in (
        TransactionClosed("tx_2", CONNECTOR, "gone"),
        TransactionClosed("tx_2", CONNECTOR, "read", 900, at(9)),
    ):
        assert isinstance(one(ended, CloseTransaction("CP1", event(body, 60))), Appended)
    record = ended.transaction("tx_2")
    assert (record.state, record.close_meter, record.close_meter_at) == (TransactionState.CLOSED, 900, at(9))
    again = TransactionClosed("tx_2", CONNECTOR, "read", 901, at(9))
    assert one(ended, CloseTransaction("CP1", event(again, 61))) == GuardFailed()
    assert one(ended, CloseTransaction("CP1", event(TransactionClosed("tx_1", CONNECTOR, "x", 9), 61))) == GuardFailed()


def test_what_an_energy_follows_from_is_read_in_order(ended):
    """Registers, ends and boots, of this transaction and its charge point alone."""
    append(ended, meter(), meter(2), TransactionOrphaned(9, "unknown-number", {}), changed().body)
    found = ended.energy_events("tx_1", 0, 10)
    assert [each.type for each in found] == ["transaction.started", "transaction.stopped", "meter_values.reported"]
    assert ended.energy_events("tx_1", found[0].sequence, 1) == found[1:2]
    assert ended.energy_events("tx_9", 0, 10) == []
    assert ended.event(found[1].sequence) == found[1]
    assert ended.event(2**62) is None


def test_a_forgotten_transaction_takes_its_attribution_along(ended):
    """Nothing is kept of it for ever."""
    (orphan,) = append(ended, TransactionOrphaned(9, "unknown-number", {})).sequences
    one(ended, AttributeOrphan("CP1", attributed(orphan, "tx_2")))
    while one(ended, Trim(None, 1000)).deleted:
        pass
    none = timedelta()
    one(ended, Forget(None, none, none, 1000, 2**62, 2**62))
    assert ended.transaction("tx_2") is None
    assert ended.attribution(orphan) is None


# --- transactions of before there were revisions ------------------------------------------------------------------

BEFORE_SETTLEMENT = 11
"""The version of the schema that had no energy of transactions."""


@pytest.fixture
def migrated(tmp_path):
    """A database in which tx_1 was stopped and tx_3 was closed by an operator before energies were recorded, and tx_2
    is open; as this version opens it."""
    present, older = tmp_path / "present.db", tmp_path / "older.db"
    store = SqliteStore(present, clock=lambda: at(0))
    connect(store)
    append(store, started(), started(2), started(3, connector=ConnectorAddress(3, 1)), stopped(), seconds=1)
    one(store, CloseTransaction("CP1", event(TransactionClosed("tx_3", ConnectorAddress(3, 1), "gone"), 2)))
    store.close()
    cx = apsw.Connection(str(older))
    with pytest.MonkeyPatch.context() as patched:
        scripts = migrate.scripts()[:BEFORE_SETTLEMENT]
        patched.setattr(migrate, "scripts", lambda: scripts)
        migrate.migrate(cx, older, at(0))
    cx.execute("ATTACH ? AS present", (str(present),))
    for table in ("charge_point", "event_type", "event", "txn"):
        known = {row[1] for row in cx.execute(f"PRAGMA present.table_info({table})")}
        shared = ", ".join(row[1] for row in cx.execute(f"PRAGMA main.table_info({table})") if row[1] in known)
        cx.execute(f"INSERT OR REPLACE INTO main.{table} ({shared}) SELECT {shared} FROM present.{table}")
    cx.close()
    store = SqliteStore(older, clock=lambda: at(100))
    yield store
    store.close()


def test_what_ended_before_energies_were_recorded_has_revision_0(migrated):
    """It is not worked out anew, and final where the charger stopped it; the open one is settled as any other."""
    for transaction, state in (("tx_1", EnergyState.FINAL), ("tx_3", EnergyState.PROVISIONAL)):
        record = migrated.transaction(transaction)
        assert (record.settlement.revision, record.settlement.mwh, record.settlement.due) == (0, None, False)
        assert state_of(record, at(100)) is state
    assert migrated.transaction("tx_1").energy == 500
    assert due(migrated) == []
    assert state_of(migrated.transaction("tx_2"), at(100)) is EnergyState.RUNNING


def test_what_comes_later_gives_an_old_transaction_its_first_revision(migrated):
    """A queued sample makes it due; from then on it is as any other."""
    epoch = connect(migrated).epoch
    append(migrated, meter(), epoch=epoch, seconds=60)
    assert due(migrated) == ["tx_1"]
    newest = migrated.transaction("tx_1").settlement.newest
    assert isinstance(one(migrated, Settle("CP1", "tx_1", newest, 0, changed())), Appended)
    assert migrated.transaction("tx_1").settlement.revision == 1
    assert due(migrated) == []

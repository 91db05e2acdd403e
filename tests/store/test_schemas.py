"""Databases of all earlier schemas: each was made by the code that had it, with two simulated wallboxes that charged.

``schemas/schema-NN.db.gz`` holds one of each version, made by ``python scripts/earlier_schema.py NN``.
"""

import gzip
import stat
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from gateway.domain.events import ChargePointConnected, ConnectorStatusChanged, NewEvent
from gateway.domain.values import ConnectorAddress
from gateway.store.api import EventFilter
from gateway.store.commits import Append, Appended, Opened, OpenSession
from gateway.store.filters import TransactionFilter
from gateway.store.sqlite.backup import examine, restore, upgrade_copy
from gateway.store.sqlite.migrate import scripts
from gateway.store.sqlite.store import SqliteStore

SCHEMAS = Path(__file__).parent / "schemas"
NOW = datetime(2027, 6, 1, tzinfo=UTC)


def counts(path: Path) -> dict[str, int]:
    """Rows of the tables that every schema has."""
    cx = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        tables = ("charge_point", "credential", "connector", "txn", "command", "event")
        return {table: cx.execute(f"SELECT count(*) FROM {table}").get for table in tables}
    finally:
        cx.close()


@pytest.fixture(params=sorted(SCHEMAS.glob("*.gz")), ids=lambda path: path.name.split(".")[0])
def earlier(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A database of an earlier schema, in a place of its own."""
    path = tmp_path / "gateway.db"
    path.write_bytes(gzip.decompress(request.param.read_bytes()))
    return path


MAX_BEHIND = 4
"""Schemas that no release has, and of which there may be no database yet: migrations of one day's work."""


def test_there_is_a_database_of_each_earlier_schema() -> None:
    """Without a gap, and up to the newest ones."""
    versions = [int(path.name.removeprefix("schema-").split(".")[0]) for path in sorted(SCHEMAS.glob("*.gz"))]
    assert versions == list(range(1, versions[-1] + 1))
    assert len(scripts()) - 1 - versions[-1] <= MAX_BEHIND


def test_a_database_of_an_earlier_schema_is_brought_up_to_date_with_all_that_it_holds(earlier: Path) -> None:
    """Each row, each event as a value, and the sums that were billed; a charger goes on with it."""
    before = counts(earlier)
    assert min(before.values()) > 0
    billed = bills(earlier)
    store = SqliteStore(earlier, clock=lambda: NOW)
    try:
        store.settle(NOW)
        events, position = [], 0
        while (page := store.events(position, 200, EventFilter())).position > position:
            events += page.events
            position = page.position
        assert len([event for event in events if event.received_at < NOW]) == before["event"]
        charge_points = store.charge_points("", 100)
        assert len(charge_points) == before["charge_point"]
        assert {each.identity: bool(store.credentials(each.identity)) for each in charge_points} == dict.fromkeys(
            (each.identity for each in charge_points), True
        )
        transactions = store.transactions(TransactionFilter(), None, 100)
        assert len(transactions) == before["txn"]
        assert {each.number: each.meter_start for each in transactions} == billed
        for each in transactions:
            assert store.readings(each.transaction_id, 0, 1000)
        assert len(store.commands(None, None, 100)) == before["command"]
        for each in charge_points:
            assert store.state(each.identity, NOW) is not None
        connected = ChargePointConnected("192.0.2.1:1", "ocpp1.6", 2, "TLSv1.3")
        [opened] = store.commit([OpenSession("SIM-0001", connected, NOW)])
        assert isinstance(opened, Opened)
        status = NewEvent(ConnectorStatusChanged(ConnectorAddress(1, 1), "Available", "NoError"), NOW)
        [appended] = store.commit([Append("SIM-0001", opened.epoch, (status,))])
        assert isinstance(appended, Appended)
    finally:
        store.close()
    after = counts(earlier)
    assert {name: after[name] for name in ("charge_point", "credential", "connector", "txn", "command")} == {
        name: before[name] for name in ("charge_point", "credential", "connector", "txn", "command")
    }


def bills(path: Path) -> dict[int, int]:
    """The registers at which transactions began, by their numbers."""
    cx = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return dict(cx.execute("SELECT number, meter_start FROM txn"))
    finally:
        cx.close()


def test_the_database_of_before_is_kept_and_can_be_gone_back_to(earlier: Path, tmp_path: Path) -> None:
    """Whole, private, and of the schema that it had: what it is put back to opens as it did."""
    before = counts(earlier)
    version = examine(earlier).schema
    SqliteStore(earlier, clock=lambda: NOW).close()
    kept = upgrade_copy(earlier, version)
    assert counts(kept) == before
    assert examine(kept).schema == version
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    restored = restore(kept, earlier, NOW)
    assert restored.backup.schema == version
    assert counts(earlier)["event"] == before["event"]
    SqliteStore(earlier, clock=lambda: NOW).close()

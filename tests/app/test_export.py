"""`gateway export`: what was recorded of each day, as CSV, from a database that may be served meanwhile."""

import csv
import gzip
import json
import os
import stat
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from typer.testing import CliRunner, Result

from gateway.app import export as module
from gateway.app.export import COLUMNS, Kind
from gateway.cli.main import app
from gateway.domain.events import ChargePointConnected, MeterValuesReported, NewEvent, TransactionStarted
from gateway.domain.events.report import VendorDataReceived
from gateway.domain.values import ConnectorAddress, Registration
from gateway.store.commits import Append, CreateChargePoint, Opened, OpenSession
from gateway.store.encoding import to_micros
from gateway.store.sqlite import history
from gateway.store.sqlite.store import SqliteStore
from tests.support.syncing import noted_syncs

MIDNIGHT = datetime(2026, 11, 26, tzinfo=UTC)
SCHEMAS = Path(__file__).parents[1] / "store" / "schemas"
CONNECTOR = ConnectorAddress(1, 1)


def sample(wh: str, watts: str) -> dict[str, Any]:
    return {
        "timestamp": "2026-11-26T12:00:00Z",
        "sampledValue": [
            {"value": wh, "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": watts, "measurand": "Power.Active.Import", "unit": "W"},
        ],
    }


def event(body: Any, at: datetime) -> NewEvent:
    return NewEvent(body, at, at)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A database with a transaction at noon, and an event on each side of both midnights."""
    path = tmp_path / "gateway.toml"
    listener = '[[listeners]]\ncertificates = [{ certificate = "c.pem", key = "c.key" }]\n'
    path.write_text(f'{listener}[store]\npath = "{tmp_path}/gateway.db"\n', encoding="utf-8")
    store = SqliteStore(tmp_path / "gateway.db", clock=lambda: MIDNIGHT)
    noon, moment = MIDNIGHT + timedelta(hours=12), timedelta(milliseconds=1)
    start = TransactionStarted("tx_1", 7, CONNECTOR, "TAG, with a comma", "Accepted", 1000, "key")
    values = MeterValuesReported(CONNECTOR, (sample("1500.5", "7400"),), "tx_1", 7)
    vendor = VendorDataReceived("V", "Accepted", "M", '{"password":"hunter2-hunter2","x":1}')
    store.commit([CreateChargePoint("CP1", Registration.ACCEPTED, (), MIDNIGHT - timedelta(days=2))])
    connected = ChargePointConnected("192.0.2.1:1", "ocpp1.6", 2, "TLSv1.3")
    [opened] = store.commit([OpenSession("CP1", connected, MIDNIGHT - moment)])
    assert isinstance(opened, Opened)
    events = (event(vendor, MIDNIGHT), event(start, noon), event(values, noon + moment))
    store.commit([Append("CP1", opened.epoch, events)])
    store.commit([Append("CP1", opened.epoch, (event(vendor, MIDNIGHT + timedelta(days=1)),))])
    store.close()
    return path


def run(config: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, arguments), "--config", str(config)])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_day_is_exported_from_midnight_to_midnight(config: Path, tmp_path: Path) -> None:
    """UTC's, the first moment included; a file for each kind, private."""
    done = run(config, tmp_path, "--from", "2026-11-26")
    assert done.exit_code == 0, done.output
    events = rows(tmp_path / "events-2026-11-26.csv")
    assert [each["type"] for each in events] == [
        "vendor_data.received", "transaction.started", "meter_values.reported",
    ]  # fmt: skip
    assert events[1]["received_at"] == "2026-11-26T12:00:00.000Z"
    assert json.loads(events[1]["body"])["id_tag"] == "TAG, with a comma"
    for kind in Kind:
        path = tmp_path / f"{kind.value}-2026-11-26.csv"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS[kind])
    assert list(tmp_path.glob("*.partial")) == []


def test_transactions_and_readings_are_rows_of_values(config: Path, tmp_path: Path) -> None:
    """In the gateway's units; empty where there is none yet."""
    run(config, tmp_path, "--from", "2026-11-26")
    [transaction] = rows(tmp_path / "transactions-2026-11-26.csv")
    assert (transaction["number"], transaction["meter_start_wh"], transaction["meter_stop_wh"]) == ("7", "1000", "")
    assert transaction["id_tag"] == "TAG, with a comma"
    readings = rows(tmp_path / "readings-2026-11-26.csv")
    found = {each["kind"]: (float(each["value"]), each["at"], each["transaction_id"]) for each in readings}
    assert found == {
        "energy-register": (1500.5, "2026-11-26T12:00:00.000Z", "tx_1"),
        "power": (7400, "2026-11-26T12:00:00.000Z", "tx_1"),
    }


def test_secrets_in_bodies_are_taken_out(config: Path, tmp_path: Path) -> None:
    """By the table that operators' frames are shown by."""
    run(config, tmp_path, "--from", "2026-11-26", "--only", "events")
    text = (tmp_path / "events-2026-11-26.csv").read_text(encoding="utf-8")
    assert "hunter2" not in text
    assert "(redacted)" in text


def test_several_days_and_some_kinds(config: Path, tmp_path: Path) -> None:
    """A day without anything is a file with its header."""
    done = run(config, tmp_path, "--from", "2026-11-25", "--to", "2026-11-28", "--only", "events", "--json")
    assert done.exit_code == 0, done.output
    files = {Path(each["path"]).name: each["rows"] for each in json.loads(done.stdout)["files"]}
    assert files == {
        "events-2026-11-25.csv": 1,
        "events-2026-11-26.csv": 3,
        "events-2026-11-27.csv": 1,
        "events-2026-11-28.csv": 0,
    }


def test_an_export_overwrites_nothing_and_reads_beside_a_gateway_that_serves(config: Path, tmp_path: Path) -> None:
    """Nothing is written where one of the files is there."""
    store = SqliteStore(tmp_path / "gateway.db", clock=lambda: MIDNIGHT)
    try:
        assert run(config, tmp_path, "--from", "2026-11-26", "--only", "readings").exit_code == 0
        again = run(config, tmp_path, "--from", "2026-11-25", "--to", "2026-11-26")
        assert again.exit_code == 1
        assert "is there already; an export overwrites nothing" in again.stderr
        assert not (tmp_path / "events-2026-11-25.csv").exists()
    finally:
        store.close()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--only", "secrets"), "expected events, transactions, readings"),
        (("--from", "2026-11-26", "--to", "2026-11-25"), "from --from on"),
        (("--from", "1926-11-26", "--to", "2026-11-25"), "from --from on"),
        (("--from", "yesterday"), "--from"),
    ],
)
def test_what_can_not_be_meant_is_refused(
    config: Path, tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    """As wrong usage."""
    done = run(config, tmp_path, *arguments)
    assert done.exit_code == 2
    assert reason in done.stderr


def test_a_folder_that_is_not_there_and_a_database_of_another_schema_are_refused(config: Path, tmp_path: Path) -> None:
    """By name; nothing is made, and nothing migrated."""
    assert "no such folder" in run(config, tmp_path / "none").stderr
    earlier = SCHEMAS / "schema-20.db.gz"
    (tmp_path / "gateway.db").write_bytes(gzip.decompress(earlier.read_bytes()))
    assert "has schema version 20, not " in run(config, tmp_path).stderr
    (tmp_path / "gateway.db").unlink()
    assert "there is no database" in run(config, tmp_path).stderr


def test_events_off_the_order_of_time_are_found(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that was set back, within a bound."""
    cx = apsw.Connection(str(tmp_path / "gateway.db"))
    begin = to_micros(MIDNIGHT)
    [(first,)] = cx.execute("SELECT min(sequence) FROM event WHERE received_at >= ?", (begin,))
    later = MIDNIGHT + timedelta(days=30)
    cx.execute("UPDATE event SET received_at = ? WHERE sequence = ?", (to_micros(later), first))
    cx.close()
    with history.History(tmp_path / "gateway.db") as found:
        assert len(list(found.events(MIDNIGHT, MIDNIGHT + timedelta(days=1)))) == 2
        assert [
            each.sequence for each in found.events(MIDNIGHT + timedelta(days=30), MIDNIGHT + timedelta(days=31))
        ] == [first]


def test_a_file_is_on_disk_before_it_gets_its_name(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it: what has a file's name after a power failure is the file."""
    done = noted_syncs(monkeypatch)
    assert run(config, tmp_path, "--from", "2026-11-26").exit_code == 0
    made = [each for each in done if each != "folder"]
    assert made == [f"whole {each.removeprefix('whole ').removeprefix('part ')}" for each in made]
    assert {each.split()[-1] for each in made} >= {path.name for path in tmp_path.glob("*-2026-11-26.csv")}


def test_a_disk_that_is_full_leaves_no_half_of_a_file(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files before it are whole."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = run(config, tmp_path, "--from", "2026-11-26")
    assert done.exit_code == 1
    assert "No space left on device" in done.stderr
    assert list(tmp_path.glob("*.csv*")) == []
    assert module.file_of(tmp_path, date(2026, 11, 26), Kind.EVENTS).name == "events-2026-11-26.csv"


@pytest.mark.parametrize("option", ["--from", "--to"])
@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "2026-11-26T12:00", ""])
def test_a_day_that_is_none_is_refused_in_plain_words(config: Path, tmp_path: Path, option: str, text: str) -> None:
    """With the form that is expected; nothing is written."""
    done = run(config, tmp_path, option, text)
    assert done.exit_code == 2
    assert f"expected a day, as 2026-12-31, found {text!r}" in " ".join(done.stderr.replace("│", "").split())
    assert list(tmp_path.glob("*.csv")) == []

"""`gateway backup` and `gateway restore`, on a database that is not served."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.main import app
from gateway.domain.values import Registration
from gateway.store.commits import CreateChargePoint
from gateway.store.sqlite.store import SqliteStore

NOW = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings whose database has one charge point."""
    path = tmp_path / "gateway.toml"
    listener = '[[listeners]]\ncertificates = [{ certificate = "c.pem", key = "c.key" }]\n'
    path.write_text(f'{listener}[store]\npath = "{tmp_path}/gateway.db"\n', encoding="utf-8")
    add(tmp_path, "A")
    return path


def add(folder: Path, identity: str) -> None:
    store = SqliteStore(folder / "gateway.db", clock=lambda: NOW)
    store.commit([CreateChargePoint(identity, Registration.ACCEPTED, (), NOW)])
    store.close()


def run(config: Path, *arguments: str | Path, text: str | None = None) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments), "--config", str(config)], input=text)


def test_a_backup_to_a_file_is_put_back(config: Path, tmp_path: Path) -> None:
    """The database that is kept has what came after it."""
    made = run(config, "backup", tmp_path / "b.db")
    assert made.exit_code == 0, made.output
    assert "schema version" in made.stdout
    add(tmp_path, "B")
    restored = run(config, "restore", tmp_path / "b.db", "--yes")
    assert restored.exit_code == 0, restored.output
    assert "store id: store_" in restored.stdout
    assert "the database of before: " in restored.stdout
    store = SqliteStore(tmp_path / "gateway.db", clock=lambda: NOW)
    try:
        assert [each.identity for each in store.charge_points("", 10)] == ["A"]
    finally:
        store.close()


def test_of_a_folder_of_backups_the_newest_stay(config: Path, tmp_path: Path) -> None:
    """Other files in it are none of its business."""
    folder = tmp_path / "backups"
    folder.mkdir()
    for name in ("gateway-20260101T000000Z.db", "gateway-20260102T000000Z.db", "mine.db"):
        (folder / name).touch()
    made = run(config, "backup", folder, "--keep", "2", "--json")
    assert made.exit_code == 0, made.output
    facts = json.loads(made.stdout)
    assert facts["removed"] == [str(folder / "gateway-20260101T000000Z.db")]
    left = {each.name for each in folder.iterdir()}
    assert left == {"gateway-20260102T000000Z.db", "mine.db", Path(facts["path"]).name}


def test_a_backup_that_can_not_be_made_says_why(config: Path, tmp_path: Path) -> None:
    """In one line."""
    (tmp_path / "there").touch()
    for arguments, reason in (
        (("there",), "is there already"),
        (("new.db", "--keep", "3"), "--keep is for a folder"),
        (("none/b.db",), "no such folder"),
    ):
        done = run(config, "backup", tmp_path / arguments[0], *arguments[1:])
        assert done.exit_code == 1
        assert reason in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_nothing_is_put_back_without_a_yes(config: Path, tmp_path: Path) -> None:
    """No answer is no."""
    run(config, "backup", tmp_path / "b.db")
    done = run(config, "restore", tmp_path / "b.db", text="n\n")
    assert done.exit_code == 1
    assert "nothing was changed" in done.stderr
    assert list(tmp_path.glob("*-replaced-*")) == []


def test_the_state_that_was_last_served_is_put_back_as_it_is(config: Path, tmp_path: Path) -> None:
    """Nothing was given out since: it stays the same store."""
    run(config, "backup", tmp_path / "b.db")
    done = run(config, "restore", tmp_path / "b.db", "--yes")
    assert done.exit_code == 0, done.output
    assert "it is the state that was last served here" in done.stdout
    facts = json.loads(run(config, "restore", tmp_path / "b.db", "--yes", "--json").stdout)
    assert facts["store_id"] is None
    assert Path(facts["kept"]).exists()


def test_what_refuses_a_restore_is_said_before_the_question(config: Path, tmp_path: Path) -> None:
    """A database that is served, a backup that is none, and the database itself: a yes would be in vain."""
    run(config, "backup", tmp_path / "b.db")
    (tmp_path / "damaged.db").write_bytes(b"SQLite format 3\0" + bytes(4096))
    for backup, reason in (
        ("none.db", "is no file"),
        ("damaged.db", "damaged"),
        ("gateway.db", "is the database itself"),
    ):
        done = run(config, "restore", tmp_path / backup, text="y\n")
        assert (done.exit_code, reason in done.stderr, "Put " in done.output) == (1, True, False), done.output
    store = SqliteStore(tmp_path / "gateway.db", clock=lambda: NOW)
    try:
        done = run(config, "restore", tmp_path / "b.db", text="y\n")
    finally:
        store.close()
    assert done.exit_code == 1
    assert "is served by" in done.stderr
    assert "Put " not in done.output
    assert list(tmp_path.glob("*-replaced-*")) == []


def test_a_question_says_how_far_the_backup_goes(config: Path, tmp_path: Path) -> None:
    """And a yes puts it back."""
    run(config, "backup", tmp_path / "b.db")
    done = run(config, "restore", tmp_path / "b.db", text="y\n")
    assert done.exit_code == 0, done.output
    assert "with events up to" in done.stderr
    assert len(list(tmp_path.glob("*-replaced-*"))) == 1


@pytest.mark.parametrize("option", ["--snapshot", "--with-log"])
def test_what_is_for_a_file_is_refused_for_postgresql(config: Path, tmp_path: Path, option: str) -> None:
    """Before the database is reached."""
    text = config.read_text(encoding="utf-8").replace(f'path = "{tmp_path}/gateway.db"', 'url = "postgresql:///g"')
    config.write_text(text, encoding="utf-8")
    done = run(config, "recover", option)
    assert done.exit_code == 1
    assert f"store.url: the database is on PostgreSQL, and {option} is for one in a file" in done.stderr


def test_a_database_on_postgresql_is_no_file(config: Path, tmp_path: Path) -> None:
    """One that lies where SQLite's would is not taken for it: it has tools of its own."""
    run(config, "backup", tmp_path / "b.db")
    text = config.read_text(encoding="utf-8").replace(f'path = "{tmp_path}/gateway.db"', 'url = "postgresql:///g"')
    config.write_text(text, encoding="utf-8")
    (tmp_path / "exports").mkdir()
    for arguments in (("backup", tmp_path / "c.db"), ("restore", tmp_path / "b.db"), ("export", tmp_path / "exports")):
        done = run(config, *arguments, text="y\n")
        assert done.exit_code == 1
        assert "store.url: the database is on PostgreSQL, and no file" in done.stderr
        assert "Put " not in done.output
    assert not (tmp_path / "c.db").exists()
    assert list((tmp_path / "exports").iterdir()) == []

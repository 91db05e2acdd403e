"""Findings of `gateway doctor` about a database on PostgreSQL, each brought about by a look that is made up."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from gateway.app.checks import Check, Level
from gateway.app.database_checks import CONNECTIONS, HELD_SECONDS, KEPT_BYTES, OLD_IDS, checks
from gateway.app.doctor import Host, examine
from gateway.app.settings.sections import StoreSettings
from gateway.store.postgres.server_look import ServerLook, Standby
from tests.app.running import settings as running_settings
from tests.endtoend.gateway_process import development_certificates

FIRST = Standby("standby1", True, True, 0)
SOUND = ServerLook(
    place="gateway at db1",
    version="15.18",
    tables=True,
    size_bytes=1_000_000,
    room=90,
    standby=False,
    wants_standby=True,
    encrypted=True,
    local=False,
    id_age=1_000,
    oldest_seconds=None,
    clock_ahead=0.01,
    clock_doubt=0.02,
    standbys=(FIRST,),
    commits=(0.001, 0.002, 0.003),
    waited=True,
)


LOCAL = StoreSettings(url="postgresql:///g", durability="local")


def found(store: StoreSettings | None = None, **changed: Any) -> list[Check]:
    return list(checks(evolve(SOUND, **changed), store or StoreSettings()))


def of(name: str, store: StoreSettings | None = None, **changed: Any) -> list[tuple[Level, str]]:
    return [(each.level, each.text) for each in found(store, **changed) if each.name == name]


def test_a_sound_server_has_no_finding() -> None:
    """Each thing that was looked at is said."""
    assert {each.level for each in found()} == {Level.OK}
    assert [each.name for each in found()] == [
        "database", "connections", "standby", "commits", "horizon", "disk", "clock",
    ]  # fmt: skip
    assert of("commits") == [(Level.OK, "a commit with its standby takes 2.0 ms, the longest of 3 took 3.0")]
    assert "first start makes its tables" in of("database", tables=False)[0][1]


@pytest.mark.parametrize(
    ("name", "changed", "level", "words"),
    [
        ("database", {"encrypted": False}, Level.WARNING, "not encrypted"),
        ("connections", {"room": CONNECTIONS - 1}, Level.WARNING, "max_connections"),
        ("standby", {"standbys": ()}, Level.ERROR, "none confirms"),
        ("standby", {"standbys": (Standby("far", False, True, 5),)}, Level.ERROR, "none confirms"),
        ("standby", {"standbys": (Standby("", False, False, 0),)}, Level.WARNING, "not shown to this user"),
        ("standby", {"wants_standby": False, "standbys": ()}, Level.ERROR, "store.durability asks for one"),
        ("standby", {"wants_standby": False, "store": LOCAL}, Level.OK, "on the server's disk alone"),
        ("commits", {"commits": (0.03, 0.03)}, Level.WARNING, "every answer to a charger waits"),
        ("commits", {"commits": (0.001, 9.0)}, Level.ERROR, "commit_deadline_seconds"),
        ("commits", {"waited": False}, Level.OK, "on the server's disk alone"),
        ("commits", {"flushes": False}, Level.ERROR, "fsync is off"),
        ("horizon", {"prepared": (("left-behind", 700.0),)}, Level.WARNING, "left-behind is 700 s old"),
        ("horizon", {"oldest_seconds": HELD_SECONDS + 1}, Level.WARNING, "has run for 6 s"),
        ("horizon", {"oldest_seconds": HELD_SECONDS - 1}, Level.OK, "no transaction holds up"),
        ("horizon", {"hidden": 2}, Level.WARNING, "of other users that write: 2. Watchers wait"),
        ("horizon", {"id_age": OLD_IDS + 1}, Level.WARNING, "not frozen"),
        ("disk", {"idle_slots": (("gone", KEPT_BYTES + 1),)}, Level.WARNING, "gone keeps 1,000,000,001 bytes"),
        ("disk", {"idle_slots": (("resting", 1),)}, Level.OK, "not to be seen from here"),
        ("clock", {"clock_ahead": -3.0}, Level.WARNING, "-3.00 s"),
        ("clock", {"clock_ahead": 3.0, "clock_doubt": 1.5}, Level.OK, "+3.00 s"),
    ],
)
def test_what_is_worth_a_look_is_said(name: str, changed: dict[str, Any], level: Level, words: str) -> None:
    """By its level, and in words that say what to do or what follows."""
    [(got, text), *_] = [each for each in of(name, **changed) if words in each[1]]
    assert got is level
    assert words in text


def test_of_a_standby_nothing_is_said_that_is_the_primary_s() -> None:
    """That it is one is an error of the settings."""
    names = [each.name for each in found(standby=True, commits=(), standbys=())]
    assert names == ["database", "connections", "horizon", "clock"]


def test_a_database_of_this_machine_needs_no_encryption() -> None:
    """Its socket, or its loopback address."""
    assert [level for level, _ in of("database", encrypted=False, local=True)] == [Level.OK]


def test_a_server_that_is_away_is_an_error_and_a_library_that_is_missing_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is looked at of a folder that such a gateway does not use."""
    made = running_settings(tmp_path, development_certificates(tmp_path / "certs"))
    given = evolve(made, store=StoreSettings(url="postgresql://gateway:hidden@127.0.0.1:1/gateway"))
    host = Host(lambda: datetime.now(UTC), lambda: 0.0)
    found = examine(given, host)
    [database] = [each for each in found if each.name == "database"]
    assert database.level is Level.ERROR
    assert "gateway at 127.0.0.1 can't be reached" in database.text
    assert "hidden" not in " ".join(each.text for each in found)
    assert not {"disk", "space"} & {each.name for each in found}
    monkeypatch.setitem(sys.modules, "gateway.store.postgres.server_look", None)
    [database] = [each for each in examine(given, host) if each.name == "database"]
    assert "psycopg is not installed" in database.text

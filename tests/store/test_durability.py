"""A server on which what is acknowledged would not be kept is refused by the names of its settings."""

from typing import Any

import pytest

from gateway.errors import StoreError, StoreUnavailable
from gateway.store.postgres.connection import NOT_ALLOWED, Broken, ServerError, mapped
from gateway.store.postgres.durability import OLDEST_SERVER, Durability, problems
from gateway.store.postgres.examination import faults

SOUND = ("on", "on", "on", "*", "UTF8", False)
REPLICATED, LOCAL = Durability.REPLICATED, Durability.LOCAL


class Server:
    """A connection to a server with these settings."""

    def __init__(self, settings: tuple[object, ...] = SOUND, version: int = OLDEST_SERVER) -> None:
        self.settings = settings
        self.server_version = version
        self.closed = False

    def one(self, _: str) -> tuple[object, ...]:
        return self.settings

    def close(self) -> None:
        self.closed = True


def found(server: Any, durability: Durability) -> list[str]:
    return problems(server, durability)


@pytest.mark.parametrize("durability", Durability)
def test_a_sound_server_has_no_problem(durability: Durability) -> None:
    """Of the oldest version that is supported, too."""
    assert found(Server(), durability) == []


def test_an_old_server_is_refused_for_its_version_alone() -> None:
    """Its settings may have other names."""
    [why] = found(Server(version=OLDEST_SERVER - 1), LOCAL)
    assert why == "the server is PostgreSQL 12; the gateway needs 13 or later"


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (0, "off", "fsync is off"),
        (1, "off", "full_page_writes is off"),
        (2, "off", "synchronous_commit is off"),
        (4, "SQL_ASCII", "the database's encoding is SQL_ASCII"),
        (5, True, "the server is a standby"),
    ],
)
@pytest.mark.parametrize("durability", Durability)
def test_each_setting_that_loses_what_was_acknowledged_is_named(
    durability: Durability, place: int, value: object, words: str
) -> None:
    """Alone, and among others."""
    [why] = found(Server((*SOUND[:place], value, *SOUND[place + 1 :])), durability)
    assert why.startswith(words)
    assert len(found(Server(("off", "off", "off", "*", "LATIN1", True)), durability)) == 5


@pytest.mark.parametrize("commit", ["local", "remote_write"])
def test_a_commit_on_one_disk_is_enough_only_where_that_was_said(commit: str) -> None:
    """As the settings of the gateway have it."""
    server = Server(("on", "on", commit, "", "UTF8", False))
    assert found(server, LOCAL) == []
    assert [why.split()[0] for why in found(server, REPLICATED)] == ["synchronous_commit", "synchronous_standby_names"]


# --- the look before it is served -------------------------------------------------------------------------------

URL = "postgresql://ann:secret@db.example/gateway"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Broken("connection refused"), "can't be reached: connection refused"),
        (ServerError("42501", "permission denied for table meta"), "can't be looked at: permission denied"),
        (StoreError("it was written by a later version"), "it was written by a later version"),
    ],
)
def test_a_database_that_can_not_be_looked_at_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    """Which names the place and no password; the connection is closed."""
    server = Server()

    def held_up(*_: object) -> None:
        raise error

    monkeypatch.setattr("gateway.store.postgres.examination.Connection", lambda url: server)
    monkeypatch.setattr("gateway.store.postgres.examination.held_up", held_up)
    [why] = faults(URL, "hidden", LOCAL)
    assert words in why
    assert not {"secret", "hidden"} & set(why.split())
    assert server.closed


def test_a_database_that_can_be_served_has_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """And otherwise the problems of its server are its faults."""
    server = Server()
    monkeypatch.setattr("gateway.store.postgres.examination.Connection", lambda url: server)
    monkeypatch.setattr("gateway.store.postgres.examination.held_up", lambda *_: [])
    assert faults(URL, "", REPLICATED) == []
    server.settings = ("off", *SOUND[1:])
    assert faults(URL, "", REPLICATED) == ["fsync is off: a power cut takes what was acknowledged"]


@pytest.mark.parametrize("state", ["22003", "23505", "42P01"])
def test_a_statement_that_can_never_be_is_no_failing_store(state: str) -> None:
    """To wait for it would be in vain."""
    assert not isinstance(mapped(ServerError(state, "no"), "db"), StoreUnavailable)


@pytest.mark.parametrize("state", [NOT_ALLOWED, "53100", "57014"])
def test_what_an_operator_can_mend_is_a_failing_store(state: str) -> None:
    """The message has the code."""
    error = mapped(ServerError(state, "the disk is full"), "db")
    assert isinstance(error, StoreUnavailable)
    assert state in str(error)

"""The implementations that the suite runs against: each is a way to open a store, again and again, on one place."""

from collections.abc import Callable

import pytest

from gateway.store.api import Store
from gateway.store.postgres import PostgresStore
from gateway.store.sqlite import SqliteStore
from tests.store.builders import T0
from tests.support import postgres


class Place:
    """The place of one store; opening it again closes the one before."""

    def __init__(self, opening: Callable[[], Store]) -> None:
        self._opening = opening
        self._open: list[Store] = []

    def open(self) -> Store:
        self.close()
        self._open.append(self._opening())
        return self._open[-1]

    def close(self) -> None:
        while self._open:
            self._open.pop().close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request, tmp_path):
    """An implementation's place, with nothing in it."""
    if request.param == "postgres":
        url = request.getfixturevalue("database")
        place = Place(lambda: PostgresStore(url, clock=lambda: T0, durability=None))
    else:
        place = Place(lambda: SqliteStore(tmp_path / "gateway.db", clock=lambda: T0))
    yield place
    place.close()


@pytest.fixture(scope="session")
def server():
    """A PostgreSQL for all tests of this process, quick and of no durability; the place of one that is missing."""
    postgres.require()
    with postgres.shared() as running:
        yield running


@pytest.fixture(scope="session")
def tables(server):
    """The URL of a database with the gateway's tables, which tests use one after the other."""
    url = server.url(server.database())
    PostgresStore(url, clock=lambda: T0, durability=None).close()
    return url


@pytest.fixture
def database(tables):
    """The URL of a database in which there is nothing but the gateway's empty tables."""
    yield tables
    postgres.empty(tables)


@pytest.fixture
def own_database(server):
    """The URL of a database with nothing in it at all: for a test that changes its tables."""
    name = server.database()
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def store(place) -> Store:
    """An empty store."""
    return place.open()

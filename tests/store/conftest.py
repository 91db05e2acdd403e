"""The implementations that the suite runs against: each is a way to open a store, again and again, on one place."""

from collections.abc import Callable

import pytest

from gateway.store.api import Store
from gateway.store.sqlite import SqliteStore
from tests.store.builders import T0


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


@pytest.fixture(params=["sqlite"])
def place(request, tmp_path):
    """An implementation's place, with nothing in it."""
    openings = {"sqlite": lambda: SqliteStore(tmp_path / "gateway.db", clock=lambda: T0)}
    place = Place(openings[request.param])
    yield place
    place.close()


@pytest.fixture
def store(place) -> Store:
    """An empty store."""
    return place.open()

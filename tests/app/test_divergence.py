"""Numbers that another life of the store gave out are counted and logged, and no charger is refused for them."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.app.divergence import NUMBERS_AHEAD, Divergence
from gateway.app.housekeeping import MARK_SECONDS, mark_store
from gateway.observability.metrics import Metrics
from gateway.store.commits import AllocateNumbers
from gateway.store.reads import Reads
from gateway.store.sqlite import SqliteStore
from gateway.store.sqlite.companion import read_companion
from tests.store.builders import T0, append, connect, create, one, started

T = TypeVar("T")


class Direct:
    """Reads at once."""

    async def read(self, query: Callable[..., T], *args: Any) -> T:
        await trio.lowlevel.checkpoint()
        return query(*args)


def direct() -> Any:
    """A journal of which reads alone are used here."""
    return Direct()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "gateway.db")) as store:
        one(store, AllocateNumbers(100))
        for identity, transactions in (("CP1", [started(7)]), ("MOVED", [])):
            create(store, identity)
            connect(store, identity)
            append(store, *transactions, identity=identity)
        yield store


@pytest.mark.parametrize(
    ("number", "counted"), [(1, 0), (100, 0), (101, 1), (100 + NUMBERS_AHEAD, 1), (101 + NUMBERS_AHEAD, 0), (2**31, 0)]
)
async def test_a_number_that_was_not_given_out_yet_is_a_sign_of_another_life(
    store: SqliteStore, number: int, counted: int
) -> None:
    """One that is far ahead is another system's."""
    metrics = Metrics()
    with capture_logs() as logs:
        await Divergence(Reads(store, direct()), metrics, lambda: T0).number("CP1", number)
    labels = {"kind": "transaction_number"}
    assert (metrics.registry.get_sample_value("gateway_from_another_life_total", labels) or 0) == counted
    assert [(line["log_level"], line["which"]) for line in logs] == [("error", f"{number} of CP1")] * counted


async def test_a_charger_that_moves_here_with_a_transaction_under_way_is_no_sign_of_another_life(
    store: SqliteStore,
) -> None:
    """The store never gave it a number, so the one that it brings along is another system's."""
    metrics = Metrics()
    with capture_logs() as logs:
        for number in (101, 40_000):
            await Divergence(Reads(store, direct()), metrics, lambda: T0).number("MOVED", number)
    assert logs == []


def test_all_are_counted_and_one_line_an_hour_is_logged(store: SqliteStore) -> None:
    """Also where the clock goes back."""
    metrics, now = Metrics(), T0
    lives = Divergence(Reads(store, direct()), metrics, lambda: now)
    with capture_logs() as logs:
        for minutes in (0, 1, 59, 61, 30, 89):
            now = T0 + timedelta(minutes=minutes)
            lives.seen("resume_token", "position 7")
    labels = {"kind": "resume_token"}
    assert metrics.registry.get_sample_value("gateway_from_another_life_total", labels) == 6
    assert len(logs) == 3


async def test_how_far_the_store_has_come_is_written_down_every_minute(
    store: SqliteStore, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """So that an older state in its place is noticed."""
    before = store.bounds().head
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mark_store, Reads(store, direct()))
        connect(store)
        await trio.sleep(MARK_SECONDS + 1)
        companion = read_companion(tmp_path / "gateway.db")
        assert companion is not None
        assert companion.head == store.bounds().head > before
        nursery.cancel_scope.cancel()

"""The metrics of a whole gateway: what it shows, and the page that lists it."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
from prometheus_client.core import Metric
from trio.testing import MockClock

from gateway.app.figures import StoreFigures, StoreFiles, store_files
from gateway.app.loop_lag import LoopLag
from gateway.app.serve import Gateway, utc_now
from gateway.app.settings.sections import StoreSettings
from gateway.domain.values import Registration
from gateway.observability.metrics import Metrics
from gateway.store.api import EventFilter
from gateway.store.commits import CreateChargePoint
from gateway.store.reads import Reads
from gateway.store.sqlite.store import SqliteStore
from gateway.store.totals import Totals
from tests.app.running import Disk, running, settings, until
from tests.endtoend.gateway_process import development_certificates

T = TypeVar("T")

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `([a-z0-9_]+)` \| (counter|gauge|histogram) \| ([^|]*) \| ([^|]+) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return development_certificates(tmp_path_factory.mktemp("metrics") / "certs")


@pytest.fixture
def gateway(tmp_path: Path, certificates: Path) -> Iterator[Gateway]:
    """One that does not run."""
    disk = Disk(tmp_path / "gateway.db", clock=utc_now)
    try:
        yield Gateway(settings(tmp_path, certificates), disk)
    finally:
        disk.close()


def shown(family: Metric) -> tuple[str, str, tuple[str, ...]]:
    """Name, type and labels, as the page has them."""
    name = family.name + ("_total" if family.type == "counter" else "")
    labels: tuple[str, ...] = tuple(getattr(family, "_labelnames", ()))
    return name, "gauge" if family.type == "info" else family.type, labels


def test_the_page_lists_each_metric_with_its_type_and_labels(gateway: Gateway) -> None:
    """And none that there is not."""
    listed = {
        (name, kind, tuple(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels, _ in ROW.findall(PAGE.read_text(encoding="utf-8"))
    }
    assert listed == {shown(family) for family in gateway.metrics.registry.collect()}


def test_names_follow_the_conventions(gateway: Gateway) -> None:
    """Base units, no unit in front of another word, and every metric says what it is."""
    for family in gateway.metrics.registry.collect():
        name, kind, labels = shown(family)
        assert name.startswith(("gateway_", "process_", "python_")), name
        assert family.documentation.endswith((".", "seconds.", "information")), name
        assert not re.search(r"(milli|micro|kilo|mega|minutes|hours|percent)", name), name
        if kind == "histogram":
            assert name.endswith(("_seconds", "_writes")), name
        assert not {"charge_point", "identity", "address", "id_tag"} & set(labels), name


def sample(gateway: Gateway, name: str, labels: dict[str, str] | None = None) -> float:
    """A metric's value; 0 where it has none yet."""
    return gateway.metrics.registry.get_sample_value(name, labels) or 0.0


async def test_a_gateway_that_serves_shows_its_sessions_and_what_it_holds(tmp_path: Path, certificates: Path) -> None:
    """Each figure moves with what it is of."""
    async with running(settings(tmp_path, certificates)) as serving:
        value = partial(sample, serving.gateway)
        charger = await serving.booted()
        await charger.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"})
        assert value("gateway_sessions", {"state": "accepted"}) == 1
        assert value("gateway_sessions", {"state": "pending"}) == 0
        assert value("gateway_connectors", {"state": "available"}) == 1
        assert value("gateway_sessions_opened_total") == 1
        assert value("gateway_answer_seconds_count", {"action": "BootNotification"}) == 1
        assert value("gateway_commit_writes_count") == value("gateway_commit_seconds_count") >= 3
        assert value("gateway_commits_waiting") == 0
        assert value("gateway_store_healthy") == 1
        await until(lambda: value("gateway_store_bytes"))
        await until(lambda: value("gateway_charge_points", {"registration": "accepted"}) == 1)
        assert value("gateway_store_wal_bytes") > 0
        assert value("gateway_store_free_bytes") > 1000
        assert value("gateway_transactions_open") == 0
        await until(lambda: value("gateway_loop_lag_seconds_count", {"loop": "trio"}))
        await until(lambda: value("gateway_loop_lag_seconds_count", {"loop": "asyncio"}))
        await charger.lose_link()
        await until(lambda: value("gateway_sessions_ended_total", {"reason": "closed"}))
        assert value("gateway_sessions", {"state": "accepted"}) == 0


async def test_watchers_are_shown_with_their_lag(tmp_path: Path, certificates: Path) -> None:
    """As many events as the one furthest behind has not been given."""
    async with running(settings(tmp_path, certificates)) as serving:
        feed = serving.gateway.feed
        value = partial(sample, serving.gateway)
        assert (value("gateway_watchers"), value("gateway_watcher_lag_events")) == (0, 0)
        await until(lambda: serving.gateway._serving)
        head = feed.head()
        async with feed.subscribe(EventFilter(), None), feed.subscribe(EventFilter(), None):
            await serving.booted()
            assert (value("gateway_watchers"), value("gateway_watcher_lag_events")) == (2, feed.head() - head)
        assert value("gateway_watchers") == 0


async def test_the_lag_of_the_loop_is_what_a_sleeper_waits_beyond_its_time(autojump_clock: MockClock) -> None:
    """Here by a clock that goes faster than the loop's."""
    metrics = Metrics()
    lag = LoopLag(metrics, lambda: 1.2 * trio.current_time())
    with trio.move_on_after(3.5):
        await lag.run()
    value = metrics.registry.get_sample_value
    assert value("gateway_loop_lag_seconds_bucket", {"loop": "trio", "le": "0.1"}) == 0
    assert value("gateway_loop_lag_seconds_bucket", {"loop": "trio", "le": "0.25"}) == 3


def test_totals_of_a_store(tmp_path: Path) -> None:
    """Charge points by registration; the rest is none."""
    store = SqliteStore(tmp_path / "gateway.db", clock=utc_now)
    try:
        store.commit(
            [
                CreateChargePoint("A", Registration.ACCEPTED, (), utc_now()),
                CreateChargePoint("B", Registration.PENDING, (), utc_now()),
                CreateChargePoint("C", Registration.ACCEPTED, (), utc_now()),
            ]
        )
        assert store.totals() == Totals({"Accepted": 2, "Pending": 1}, 0, 0, {}, {})
        files = store_files(tmp_path / "gateway.db")
        assert files.database >= 4096
        assert files.log > 0
        assert 0 < files.free <= files.disk
    finally:
        store.close()


class Direct:
    """Reads in the calling thread."""

    async def read(self, fn: Callable[..., T], *args: Any) -> T:
        return fn(*args)


async def test_figures_of_a_store_that_gives_no_answer_stay_as_they_were(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A scrape does not wait for it, and the alert on free space goes on."""
    store = SqliteStore(tmp_path / "gateway.db", clock=utc_now)
    metrics = Metrics()

    figures = StoreFigures(Reads(store, Direct()), StoreSettings(tmp_path / "gateway.db"), metrics)
    assert figures.files == StoreFiles()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(figures.run)
            await trio.testing.wait_all_tasks_blocked()
            before = figures.files
            assert before.database > 0
            (tmp_path / "gateway.db").rename(tmp_path / "away.db")
            await trio.sleep(60)
            assert figures.files == before
            nursery.cancel_scope.cancel()
    finally:
        store.close()

"""Figures that are read when they are shown: of all sessions, of the store's files, of both loops.

Figures of sessions are made up when they are asked for, in the thread of a scrape, from one look at each session. Those
of the store are read in the background: a scrape must not wait for a disk that hangs, which is when it is needed most.
"""

import os
import ssl
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final, Protocol

import apsw
import trio
from attrs import frozen
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.app import logs
from gateway.app.drain import Draining
from gateway.app.settings.sections import StoreSettings
from gateway.app.stall_clock import StallClock
from gateway.chargers.capacity import Capacity
from gateway.chargers.load_budget import LoadBudget
from gateway.domain.charging_state import ChargingState
from gateway.domain.drain import DrainStage
from gateway.domain.values import Registration
from gateway.errors import StoreUnavailable
from gateway.feed.feed import Feed
from gateway.histogram import BATCH_BOUNDS, LATENCY_BOUNDS
from gateway.journal.journal import Journal
from gateway.journal.retention import Retention
from gateway.observability.metrics import Metrics
from gateway.observability.observer import GatewayObserver
from gateway.session.router import Router
from gateway.store.reads import Reads
from gateway.store.totals import Totals
from gateway.transport.accounts import Accounts
from gateway.transport.large_messages import LargeMessagePlace

READ_SECONDS: Final = 15.0
"""Between two looks at the store: a scrape's usual interval."""

NO_TOTALS: Final = Totals({}, 0, 0, {}, {})


@frozen
class StoreFiles:
    """Bytes of the database, of its write-ahead log, free on their disk, and of that disk."""

    database: int = 0
    log: int = 0
    free: int = 0
    disk: int = 0


def store_files(path: Path) -> StoreFiles:
    """Look at the files. Raises OSError."""
    log = path.with_name(path.name + "-wal")
    disk = os.statvfs(path.parent)
    log_bytes = log.stat().st_size if log.exists() else 0
    return StoreFiles(path.stat().st_size, log_bytes, disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)


class StoreFigures:
    """Figures of the store, as of the last look. ``run`` looks."""

    def __init__(self, reads: Reads, settings: StoreSettings, metrics: Metrics) -> None:
        self._reads = reads
        self._path = None if settings.url else settings.path
        self.files = StoreFiles()
        self.totals = NO_TOTALS
        gauge, labelled = metrics.gauge, metrics.labelled_gauge
        gauge("gateway_store_bytes", "Size of the database.", lambda: self.files.database)
        if self._path is not None:  # of a server its own monitoring knows them
            gauge("gateway_store_wal_bytes", "Size of the database's write-ahead log.", lambda: self.files.log)
            gauge("gateway_store_free_bytes", "Free space on the database's disk.", lambda: self.files.free)
        gauge("gateway_transactions_open", "Transactions that are open.", lambda: self.totals.open_transactions)
        gauge("gateway_commands_unfinished", "Commands without an outcome.", lambda: self.totals.unfinished_commands)
        labelled(
            "gateway_charge_points",
            "Charge points that are known, by registration.",
            ("registration",),
            lambda: _by_label(self.totals.charge_points.items()),
        )
        labelled(
            "gateway_operations_open",
            "Operations on charging that are open, by the stage that they have reached.",
            ("stage",),
            lambda: _by_label(self.totals.operations.items()),
        )
        labelled(
            "gateway_plans",
            "Connectors for which a limit or plan is wanted, by how far it has got.",
            ("state",),
            lambda: _by_label(self.totals.steering.items()),
        )

    @property
    def on_disk(self) -> bool:
        """True if the store is a file, whose disk is looked at."""
        return self._path is not None

    async def run(self) -> None:
        """Look until cancelled. Where the disk or the store gives no answer, the last figures stay."""
        while True:
            try:
                self.files = (
                    StoreFiles(await self._reads.size_bytes())
                    if self._path is None
                    else await self._reads.compute(store_files, self._path)
                )
                self.totals = await self._reads.totals()
            except (StoreUnavailable, OSError):
                pass
            await trio.sleep(READ_SECONDS)


class SessionFigures(Collector):
    """Sessions by registration, connectors by charging state, and commands that wait, by one look at each session."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def describe(self) -> list[GaugeMetricFamily]:
        return [
            GaugeMetricFamily("gateway_sessions", "Charge points connected, by registration.", labels=["state"]),
            GaugeMetricFamily("gateway_connectors", "Their connectors by charging state.", labels=["state"]),
            GaugeMetricFamily("gateway_commands_waiting", "Commands under way to connected charge points."),
        ]

    def collect(self) -> Iterator[Metric]:
        sessions, connectors, commands = self.describe()
        by_registration = Counter(dict.fromkeys(Registration, 0))
        by_charging: Counter[ChargingState] = Counter()
        waiting = 0
        for session in self._router.sessions():
            by_registration[session.registration] += 1
            by_charging.update(each.verdict.state for each in session.charging.values())
            waiting += session.commands.waiting
        for registration, count in by_registration.items():
            sessions.add_metric([registration.value.lower()], count)
        for state, count in by_charging.items():
            connectors.add_metric([state.value], count)
        commands.add_metric([], waiting)
        yield from (sessions, connectors, commands)


class Shown(Protocol):
    """A gateway, as far as figures of its parts are shown."""

    router: Router
    capacity: Capacity
    clock: StallClock
    journal: Journal
    feed: Feed
    retention: Retention
    accounts: Accounts
    large: LargeMessagePlace
    draining: Draining
    load: LoadBudget
    diagnostics: GatewayObserver

    @property
    def store_is_well(self) -> bool:
        """True while commits are taken and chargers are let in."""
        ...


def show_figures(metrics: Metrics, of: Shown) -> None:
    """Register the figures that are read from the parts at each scrape."""
    gauge, counter = metrics.gauge, metrics.counter
    metrics.registry.register(SessionFigures(of.router))
    gauge("gateway_handshake_rate", "Handshakes a second that may begin under load; 0: all.", lambda: of.load.rate)
    gauge("gateway_overloaded", "1 while new connections are refused for load.", lambda: float(of.load.refusing))
    gauge("gateway_flapping", "Charge points that come and go.", lambda: len(of.diagnostics.flapping))
    gauge("gateway_draining", "1 while the gateway drains.", lambda: float(of.draining.stage is not DrainStage.SERVING))
    metrics.labelled_gauge(
        "gateway_sessions_by_transaction",
        "Sessions without a transaction (idle), which a drain closes first, and with one (charging).",
        ("state",),
        lambda: _by_label(zip(("idle", "charging"), of.router.idle_and_charging(), strict=True)),
    )
    gauge("gateway_connections", "Upgraded connections.", lambda: of.capacity.taken)
    gauge("gateway_capacity", "Charge points that fit.", lambda: of.capacity.room.sessions)
    counter("gateway_stalls", "Times that the loop stood still.", lambda: of.clock.stalls)
    counter("gateway_stalled_seconds", "How long the loop stood still, in all.", lambda: of.clock.stalled)
    counter("gateway_log_lines_dropped", "Lines that the log did not take.", logs.dropped)
    gauge("gateway_retention_waiting", "1 while nothing goes by age.", lambda: float(of.retention.waits))
    gauge("gateway_accounts", "Budgets kept of charge points.", lambda: len(of.accounts))
    gauge(
        "gateway_large_messages_waiting", "Charge points whose large message waits its turn.", lambda: of.large.waiting
    )
    gauge("gateway_store_healthy", "1 while commits are taken.", lambda: float(of.store_is_well))
    gauge("gateway_commits_waiting", "Writes that wait for the store.", lambda: of.journal.waiting)
    gauge("gateway_watchers", "Subscribers of events.", lambda: len(of.feed.lags()))
    gauge(
        "gateway_watcher_lag_events",
        "Events that the last of the subscribers is behind.",
        lambda: max(of.feed.lags(), default=0),
    )
    sizes = "Writes in each transaction of the store."
    metrics.histogram("gateway_commit_writes", sizes, BATCH_BOUNDS).take(of.journal.batch_sizes)
    seconds = "From the hand-over of a transaction of the store to its end."
    metrics.histogram("gateway_commit_seconds", seconds, LATENCY_BOUNDS).take(of.journal.commit_seconds)
    facts = {"version": version("gateway"), "sqlite": apsw.sqlite_lib_version(), "openssl": ssl.OPENSSL_VERSION}
    metrics.info("gateway_build_info", "What runs: 1, with its versions as labels.", facts)
    metrics.process()


def _by_label(items: Iterable[tuple[str, int]]) -> Iterator[tuple[tuple[str], float]]:
    return (((value.lower(),), count) for value, count in items)

"""``background``: what runs for as long as the gateway serves, beside its sessions and its control interface."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from attrs import frozen

from gateway.app.certificate_expiry import end_overdue_signings, report_expiring_certificates
from gateway.app.figures import StoreFigures
from gateway.app.gc_policy import GcPolicy
from gateway.app.housekeeping import (
    LostEnds,
    end_abandoned_operations,
    end_overdue_reservations,
    mark_store,
    record_last_heard,
)
from gateway.app.log_levels import LogLevels
from gateway.app.loop_lag import LoopLag
from gateway.app.nodes import CHORES, NodeOfMany
from gateway.app.server_figures import ServerFigures
from gateway.chargers.load_budget import LoadBudget
from gateway.control.fleet_runner import FleetRunner
from gateway.control.fleet_summary import FleetSummaries
from gateway.control.settlement import Settlement
from gateway.feed.feed import Feed
from gateway.journal.clock_watch import ClockWatch
from gateway.journal.journal import Journal
from gateway.journal.retention import Retention
from gateway.observability.metrics import Metrics
from gateway.session.keepalive import TimerQueue
from gateway.session.router import Router
from gateway.store.reads import Reads


@frozen
class Task:
    """A long-lived task: the name under which its failures are counted, and what it runs."""

    name: str
    run: Callable[..., Awaitable[None]]
    args: tuple[Any, ...] = ()


@frozen
class Background:
    """The objects that the tasks work on; certificates are reported ``certificate_warning`` before their end."""

    journal: Journal
    reads: Reads
    router: Router
    metrics: Metrics
    feed: Feed
    clock_watch: ClockWatch
    retention: Retention
    timers: TimerQueue
    collector: GcPolicy
    lost_ends: LostEnds
    settlement: Settlement
    fleet: FleetRunner
    summaries: FleetSummaries
    figures: StoreFigures
    server_figures: ServerFigures
    lag: LoopLag
    log_levels: LogLevels
    load: LoadBudget
    certificate_warning: timedelta
    node: NodeOfMany | None = None
    """This gateway as one of several."""

    def tasks(self) -> tuple[Task, ...]:
        """Return all tasks, in the order in which they are started once the store is open."""
        node = self.node
        if node is None:
            return self._own()
        as_chore = node.node.membership.as_chore
        first = tuple(Task(name, run) for name, run in node.tasks())
        return first + tuple(
            Task(each.name, as_chore, (each.run, *each.args)) if each.name in CHORES else each for each in self._own()
        )

    def _own(self) -> tuple[Task, ...]:
        """Return the tasks of a gateway that is the only one."""
        journal, reads, router, trusted = self.journal, self.reads, self.router, self.clock_watch.trusted
        return (
            Task("feed", self.feed.run),
            Task("clock", self.clock_watch.run),
            Task("retention", self.retention.run),
            Task("silence", self.timers.run),
            Task("collector", self.collector.run),
            Task("last-heard", record_last_heard, (journal, router)),
            Task("lost-ends", self.lost_ends.run),
            Task("mark", mark_store, (reads,)),
            Task("reservations", end_overdue_reservations, (journal, reads, trusted)),
            Task("operations", end_abandoned_operations, (journal, reads, trusted)),
            Task("energy", self.settlement.run),
            Task("fleet-jobs", self.fleet.run),
            Task("fleet-summary", self.summaries.run),
            Task("figures", self.figures.run),
            Task("server-figures", self.server_figures.run),
            Task("lag", self.lag.run),
            Task("log-levels", self.log_levels.run),
            Task("load", self.load.run),
            Task("signings", end_overdue_signings, (journal, reads, router, trusted, self.metrics.count)),
            Task(
                "certificate-expiry",
                report_expiring_certificates,
                (journal, reads, trusted, self.certificate_warning),
            ),
        )

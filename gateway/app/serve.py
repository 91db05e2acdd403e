"""The composition root: everything is made here, introduced to each other, started in order, and drained."""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from time import monotonic, perf_counter
from typing import Final

import structlog
import trio

from gateway import signals
from gateway.app import logs
from gateway.app.announcements import Announcements
from gateway.app.background import Background
from gateway.app.divergence import Divergence
from gateway.app.drain import Drain, Draining, terms_of
from gateway.app.endpoints import Endpoints
from gateway.app.figures import StoreFigures, show_figures
from gateway.app.from_settings import (
    certificate_statuses,
    connection_limits,
    control_settings,
    descriptors,
    entry_terms,
    quirk_book,
    session_limits,
    signing_checks,
    tracing,
)
from gateway.app.gc_policy import GcPolicy
from gateway.app.housekeeping import LostEnds
from gateway.app.log_levels import LogLevels
from gateway.app.loop_lag import LoopLag
from gateway.app.nodes import live_powers, new_node, server_facts
from gateway.app.process_share import shared
from gateway.app.running_status import RunningStatus
from gateway.app.server_figures import ServerFigures
from gateway.app.service_manager import NONE, HandedOver, ServiceManager
from gateway.app.settings import ListenerSettings, Settings
from gateway.app.stall_clock import StallClock
from gateway.app.store_lifetime import open_store, opened
from gateway.app.stores import ServedStore, commit_deadline
from gateway.app.supervision import Supervisor
from gateway.chargers.admission import Admission, identity_of
from gateway.chargers.capacity import Capacity, raise_file_limit
from gateway.chargers.connections import ChargerConnections
from gateway.chargers.load_budget import LoadBudget
from gateway.control.energy import TransactionEnergies
from gateway.control.fleet_runner import FleetRunner
from gateway.control.fleet_summary import FleetSummaries
from gateway.control.ports import Commands
from gateway.control.server import ControlServer
from gateway.control.services.all_services import ControlPorts
from gateway.control.settlement import Settlement
from gateway.control.signing import SigningDesk
from gateway.control.vendor_data import VendorServiceRegistry
from gateway.domain import dialects
from gateway.domain.credentials import Verifier
from gateway.domain.log_levels import LogLevel
from gateway.domain.values import Clock
from gateway.feed.feed import Feed
from gateway.journal.clock_watch import ClockWatch
from gateway.journal.journal import Journal
from gateway.journal.numbers import NumberAllocator
from gateway.journal.retention import Retention
from gateway.observability.metrics import Metrics
from gateway.observability.observer import GatewayObserver
from gateway.ocpp.protocol import ProtocolVersion
from gateway.ocpp.v16.profiles.routing import protocol as protocol_16
from gateway.session.commands.provisioning import DesiredKey
from gateway.session.keepalive import TimerQueue
from gateway.session.lookups import Lookups, TableAuthorizer
from gateway.session.router import Router
from gateway.session.wishes import WantedStates, nowhere
from gateway.store.reads import Reads
from gateway.transport.accounts import Accounts
from gateway.transport.addresses import Addresses
from gateway.transport.large_messages import LargeMessagePlace
from gateway.transport.listener import Listener
from gateway.transport.tls import TlsProvider

log = structlog.get_logger()

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit code. Raises ``GatewayError`` for what can't be started."""
    try:
        settings, sockets, share = shared(os.environ, settings)
        logs.configure(settings.logging, None if share is None else share.slot)
        manager = ServiceManager(os.environ, monotonic)
        raise_file_limit()
        with opened(settings, utc_now) as store:
            count = None if share is None else share.count
            gateway = Gateway(settings, store, manager=manager, sockets=sockets, processes=count)
            gateway.endpoints.try_groups()
            with gateway.collector.policy():
                try:
                    trio.run(gateway.run, clock=gateway.clock, strict_exception_groups=True)
                finally:
                    gateway.close()
        log.info("gateway stopped")
    finally:
        logs.close()
        signals.ignore()
    return 0


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


VERSIONS: Final[tuple[ProtocolVersion, ...]] = (protocol_16(),)
"""The versions of OCPP that chargers may negotiate, the preferred one first."""


class Gateway:
    """One run of the gateway on an open store."""

    def __init__(
        self,
        settings: Settings,
        store: ServedStore,
        versions: Sequence[ProtocolVersion] = VERSIONS,
        now: Clock = utc_now,
        manager: ServiceManager | None = None,
        sockets: HandedOver = NONE,
        processes: int | None = None,
    ) -> None:
        """``now``: the wall clock. It and Trio's clock go at one pace. ``sockets``: those that listen already.
        ``processes``: of one service, which share ports and memory; None: it is alone."""
        self._sockets, self._settings = sockets, settings
        self._now, self._store = now, store
        self.clock = StallClock()
        """For the run: what the process sleeps through counts for no deadline."""
        self._draining = False
        self._serving = False
        """Whether chargers are let in: the store is open, and what the last run left is settled."""
        self._nursery: trio.Nursery | None = None
        self.metrics = Metrics(perf_counter)
        self.lag = LoopLag(self.metrics, perf_counter)
        self._tracing, self._supervisor = tracing(settings.tracing, version("gateway")), Supervisor(self.metrics)
        self.collector = GcPolicy()
        self.metrics.registry.register(self.collector.pauses)
        sessions = settings.sessions
        self.diagnostics = GatewayObserver(self.metrics, now, sessions.kept_frames)
        journal = self.journal = Journal(
            store,
            deadline=commit_deadline(settings.store),
            linger=settings.store.linger_milliseconds / 1000,
        )
        reads = self._reads = Reads(store, journal)
        self.feed = Feed(store, journal.read)
        journal.on_commit.append(self.feed.notify)
        journal.on_health.append(self._health_changed)
        protocols = {each.subprotocol: each for each in versions}
        for each in versions:
            dialects.register(each.subprotocol, each.samples)
        profiles = frozenset(terms.security_profile for terms in map(entry_terms, settings.listeners))
        self.router = Router(reads, now, protocols.values(), profiles)
        self.draining = Draining(self.router, terms_of(settings.drain))
        node = self.node = new_node(settings, store, self.router, reads, journal, self.feed, now, self.metrics)
        self.lost_ends = LostEnds(journal, reads, self.router, now, None if node is None else node.own_pages())
        self.settlement = Settlement(journal, reads, TransactionEnergies(reads, now), now)
        self.vendors = VendorServiceRegistry(now, sessions.vendor_data_seconds, self.metrics.count)
        self.signing = SigningDesk(journal, reads, self.router.signing_changed, now, self.metrics.count)
        authorizer = TableAuthorizer(reads, now, settings.authorization.unknown_tags)
        self.other_lives = Divergence(reads, self.metrics, now)
        self.capacity = Capacity(descriptors(settings))
        self.addresses, self.timers = Addresses(sessions.shared_addresses), TimerQueue()
        limits = connection_limits(sessions)
        self.accounts, self.large = Accounts(limits), LargeMessagePlace(limits.message_seconds)
        take_number, checks = NumberAllocator(journal).take, signing_checks(settings, reads, now)
        self.quirks = quirk_book(settings)
        self.load = LoadBudget(perf_counter, self.metrics.count, processes=processes or 1)
        self.log_levels = LogLevels(LogLevel(settings.logging.level), now, self.diagnostics.tapped)
        self.chargers = ChargerConnections(
            router=self.router,
            capacity=self.capacity,
            journal=journal,
            reads=reads,
            lookups=Lookups(reads, authorizer, take_number, self.vendors, self.other_lives.number, checks),
            protocols=protocols,
            clock=now,
            limits=session_limits(sessions),
            observer=self.diagnostics,
            recorder=self.diagnostics.recorder,
            timers=self.timers,
            boot_configuration=tuple(DesiredKey(each.key, each.values) for each in settings.boot_configuration),
            quirks=self.quirks,
            load=self.load,
            traces=None if self._tracing is None else self._tracing.commands,
            clock_is_even=lambda: self.clock_watch.is_even(),
        )
        self.admission = Admission(
            reads=reads,
            verifier=Verifier(settings.authorization.accept_hex_passwords),
            clock=now,
            observer=self.metrics,
            terms={each.name: entry_terms(each) for each in settings.listeners},
            subprotocols=tuple(protocols),
            refusing=self._why_refusing,
            has_place=lambda identity: self.capacity.has_place(replaces=self.router.live(identity) is not None),
            addresses=self.addresses,
            quirks=self.quirks,
            load=self.load,
            flapping=self.diagnostics.flapping,
        )
        self.clock_watch = ClockWatch(journal, reads, now, lambda: self.metrics.count("clock_jumps"))
        self.retention = Retention(
            journal,
            reads,
            now,
            max_age_days=settings.store.retention.max_age_days,
            max_bytes=settings.store.retention.max_bytes,
            watch=self.clock_watch,
        )
        commands: Commands = self.router if node is None else node.node.commands
        self.fleet = FleetRunner(journal, reads, commands, now)
        fleet_changed = self.fleet.wake
        elsewhere: Callable[[str], Awaitable[bool]] = nowhere
        if node is not None:
            node.node.on_fleet_changed = self.fleet.wake
            fleet_changed, elsewhere = node.node.fleet_changed, node.node.commands.elsewhere
        wanted = WantedStates(self.router, journal, reads, utc_now, next(iter(protocols.values())), elsewhere)
        grace = timedelta(seconds=settings.control.offline_grace_seconds)
        self.summaries = FleetSummaries(reads, live_powers(node, self.router, now), now, grace)
        new_control = partial(
            ControlServer,
            control_settings(settings.control, settings.http, processes is not None),
            ControlPorts(
                facts=server_facts(reads, tuple(protocols), node, self.router, self.draining, now),
                journal=journal,
                reads=reads,
                commands=commands,
                wanted=wanted,
                feed=self.feed,
                diagnostics=self.diagnostics,
                vendors=self.vendors,
                signing=self.signing,
                authorizer=authorizer,
                clock=now,
                clock_watch=self.clock_watch,
                summaries=self.summaries,
                quirks=self.quirks,
                log_levels=self.log_levels,
                draining=self.draining,
                status=RunningStatus(self),
                fleet_changed=fleet_changed,
                from_another_life=self.other_lives.seen,
            ),
            late=self.lag.asyncio.observe,
            refused=lambda reason: self.metrics.count("refused_rpcs", reason),
            traces=None if self._tracing is None else self._tracing.rpcs,
        )
        self.endpoints: Endpoints = Endpoints(
            settings,
            new_control=new_control,
            new_listener=self._listener,
            metrics=self.metrics,
            is_ready=lambda: self.store_is_well and not self._draining,
            clock=now,
        )
        self._announcements = Announcements(manager, self.endpoints.certificates, lambda: self.store_is_well)
        self.figures = StoreFigures(reads, settings.store, self.metrics)
        show_figures(self.metrics, self)
        self._background = Background(
            journal=journal,
            reads=reads,
            router=self.router,
            metrics=self.metrics,
            feed=self.feed,
            clock_watch=self.clock_watch,
            retention=self.retention,
            timers=self.timers,
            collector=self.collector,
            lost_ends=self.lost_ends,
            settlement=self.settlement,
            fleet=self.fleet,
            summaries=self.summaries,
            figures=self.figures,
            server_figures=ServerFigures(reads, self.metrics),
            lag=self.lag,
            log_levels=self.log_levels,
            load=self.load,
            certificate_warning=timedelta(days=settings.certificates.warning_days),
            node=node,
        )

    def close(self) -> None:
        """Send the traces that have not been sent, for some seconds; after the run."""
        if self._tracing is not None:
            self._tracing.close()

    def _listener(self, settings: ListenerSettings, tls: TlsProvider) -> Listener:
        statuses = certificate_statuses(settings, tls, self._now, self.metrics.count)
        return Listener(
            name=settings.name,
            host=settings.host,
            port=settings.port,
            tls=tls,
            admit=self.admission if statuses is None else statuses.guarding(self.admission),
            handle=self.chargers,
            limits=connection_limits(self._settings.sessions),
            slowed=lambda what: self.metrics.count("slowed", what),
            addresses=self.addresses,
            may_wait=lambda: self.capacity.may_wait // len(self._settings.listeners),
            may_begin=self.load.may_begin,
            identity_of=identity_of,
            accounts=self.accounts,
            large=self.large,
            proxies=settings.proxies,
            recheck=None if statuses is None else statuses.watch,
            sockets=self._sockets.of(settings.name),
            observe=self.diagnostics.connection_over,
        )

    # --- the run ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Start dependencies before listeners; drain in the reverse order.

        A signal is heeded at any time, and ends a start as well.
        """
        with trio.open_signal_receiver(*HANDLED) as received:
            earlier = signals.take()
            if any(number in signals.STOPPING for number in earlier):
                log.info("stopped by a signal before the start")
                return
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await nursery.start(self.journal.run)
                starting = trio.CancelScope()
                nursery.start_soon(self._start, nursery, starting)
                if earlier:
                    self.endpoints.certificates.reload()
                nursery.start_soon(self._supervisor.keep, "certificates", self.endpoints.certificates.run)
                nursery.start_soon(self._supervisor.keep, "watchdog", self._announcements.manager.run)
                await self.draining.until_stopped(received, self._announcements.reload)
                starting.cancel()
                await self._drain(received)
                nursery.cancel_scope.cancel()

    async def _start(self, nursery: trio.Nursery, scope: trio.CancelScope) -> None:
        """Everything that is there before chargers are let in. Raises ``GatewayError`` where waiting mends nothing."""
        room = self.capacity.room
        with scope:
            await open_store(self._store, self._now, self.clock_watch.trusted, partial(self._open, nursery))
            log.info("capacity", sessions=room.sessions, replaced=room.replaced, descriptors=room.descriptors)
            for task in self._background.tasks():
                nursery.start_soon(self._supervisor.keep, task.name, task.run, *task.args)
            await self.endpoints.open(nursery)
            self._serving = True
            self.endpoints.update_readiness()
            self._announcements.opened()
            log.info("gateway ready")

    async def _open(self, nursery: trio.Nursery) -> None:
        await self.endpoints.open(nursery)
        self._announcements.opened()

    # --- readiness and the end --------------------------------------------------------------------------------

    def _why_refusing(self) -> str | None:
        if self._draining:
            return "draining"
        return None if self.store_is_well else "store-unavailable"

    @property
    def store_is_well(self) -> bool:
        """True while commits are taken and chargers are let in."""
        return self._serving and self.journal.healthy

    def _health_changed(self, healthy: bool) -> None:
        if not healthy:
            # Nothing that a charger says could be acknowledged: it keeps its messages and comes back (503 until then).
            assert self._nursery is not None, "the journal runs in it"
            self._nursery.start_soon(self._supervisor.once, "end-all", self.router.end_all, "store-unavailable", 1011)
        else:
            self.lost_ends.store_is_back()
        self.endpoints.update_readiness()
        self._announcements.changed()

    async def _drain(self, received: AsyncIterator[int]) -> None:
        """Let in nothing new, tell everybody, then drain; a second signal cuts it short."""
        self._draining = self.chargers.draining = True
        self._announcements.stopping()
        self.endpoints.stop()
        self.router.stop_commands()
        self.endpoints.update_readiness()
        if self.node is not None:
            await self.node.drain()
        commands = self.router if self.node is None else self.node.node.commands
        await Drain(self.draining, self.router, commands.commands_done, self.endpoints, self.journal).run(received)

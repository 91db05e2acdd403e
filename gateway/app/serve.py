"""The composition root: everything is made here, introduced to each other, started in order, and drained."""

import signal
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

import structlog
import trio

from gateway import signals
from gateway.app import logs
from gateway.app.divergence import Divergence
from gateway.app.endpoints import Endpoints
from gateway.app.from_settings import (
    connection_limits,
    control_settings,
    entry_terms,
    quirk,
    session_limits,
)
from gateway.app.gc_policy import GcPolicy
from gateway.app.housekeeping import (
    LostEnds,
    end_abandoned_operations,
    end_overdue_reservations,
    mark_store,
    record_last_heard,
)
from gateway.app.settings import ListenerSettings, Settings
from gateway.app.stall_clock import StallClock
from gateway.app.store_lifetime import open_store, opened
from gateway.app.supervision import Supervisor
from gateway.chargers.admission import Admission, Principal
from gateway.chargers.capacity import Capacity, file_limit, raise_file_limit, room_for
from gateway.chargers.connections import ChargerConnections
from gateway.control.energy import TransactionEnergies
from gateway.control.server import ControlServer
from gateway.control.settlement import Settlement
from gateway.control.vendor_data import VendorServiceRegistry
from gateway.domain import dialects
from gateway.domain.credentials import Verifier
from gateway.domain.quirks import BUILT_IN
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
from gateway.session.wishes import WantedStates
from gateway.store.reads import Reads
from gateway.store.sqlite.store import SqliteStore
from gateway.transport.accounts import Accounts
from gateway.transport.addresses import Addresses
from gateway.transport.large_messages import LargeMessagePlace
from gateway.transport.listener import Listener
from gateway.transport.tls import TlsProvider

log = structlog.get_logger()

IN_FLIGHT_SHARE = 0.6
"""Of the drain's deadline, for commands under way; the rest is for closing sessions and ending calls."""

LAST_WORD_SECONDS = 2.0
"""After a drain that was cut short, for callers to receive the outcomes of their commands: without that they would
read "nothing was sent" of what was."""

CONTROL_GRACE = 1.0
"""Seconds for control calls to hand out their last answers, once all sessions are over."""

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit code. Raises ``GatewayError`` for what can't be started."""
    logs.configure(settings.logging)
    try:
        raise_file_limit()
        with opened(settings, utc_now) as store:
            gateway = Gateway(settings, store)
            gateway.endpoints.try_groups()
            with gateway.collector.policy():
                trio.run(gateway.run, clock=gateway.clock, strict_exception_groups=True)
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
        store: SqliteStore,
        versions: Sequence[ProtocolVersion] = VERSIONS,
        now: Clock = utc_now,
    ) -> None:
        """``now``: the wall clock. It and Trio's clock go at one pace."""
        self._settings = settings
        self._now = now
        self._store = store
        self.clock = StallClock()
        """For the run: what the process sleeps through counts for no deadline."""
        self._draining = False
        self._serving = False
        """Whether chargers are let in: the store is open, and what the last run left is settled."""
        self._nursery: trio.Nursery | None = None
        self.metrics = Metrics()
        self._supervisor = Supervisor(self.metrics)
        self.collector = GcPolicy(lambda: not self.endpoints.control.calls)
        self.metrics.registry.register(self.collector.pauses)
        sessions = settings.sessions
        self.diagnostics = GatewayObserver(self.metrics, now, sessions.kept_frames)
        journal = self.journal = Journal(store, deadline=settings.store.commit_deadline_seconds)
        reads = self._reads = Reads(store, journal)
        self.feed = Feed(store, journal.read)
        journal.on_commit.append(self.feed.notify)
        journal.on_health.append(self._health_changed)
        protocols = {each.subprotocol: each for each in versions}
        for each in versions:
            dialects.register(each.subprotocol, each.samples)
        self.router = Router(reads, now, protocols.values())
        self.lost_ends = LostEnds(journal, reads, self.router, now)
        self.settlement = Settlement(journal, reads, TransactionEnergies(reads, now), now)
        self.vendors = VendorServiceRegistry(now, sessions.vendor_data_seconds, self.metrics.count)
        authorizer = TableAuthorizer(reads, now, settings.authorization.unknown_tags)
        self.other_lives = Divergence(reads, self.metrics, now)
        self.capacity = Capacity(
            room_for(file_limit(), sessions.max_concurrent_handshakes * len(settings.listeners), sessions.max_sessions)
        )
        self.addresses = Addresses(sessions.shared_addresses)
        self.timers = TimerQueue()
        limits = connection_limits(sessions)
        self.accounts = Accounts(limits)
        self.large = LargeMessagePlace(limits.message_seconds)
        self.chargers = ChargerConnections(
            router=self.router,
            capacity=self.capacity,
            journal=journal,
            reads=reads,
            lookups=Lookups(reads, authorizer, NumberAllocator(journal).take, self.vendors, self.other_lives.number),
            protocols=protocols,
            clock=now,
            limits=session_limits(sessions),
            observer=self.diagnostics,
            recorder=self.diagnostics.recorder,
            timers=self.timers,
            boot_configuration=tuple(DesiredKey(each.key, each.values) for each in settings.boot_configuration),
            quirks=(*BUILT_IN, *(quirk(each) for each in settings.quirks)),
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
        new_control = partial(
            ControlServer,
            control_settings(settings.control),
            journal=journal,
            reads=reads,
            commands=self.router,
            wanted=WantedStates(self.router, journal, reads, utc_now, next(iter(protocols.values()))),
            feed=self.feed,
            diagnostics=self.diagnostics,
            vendors=self.vendors,
            authorizer=authorizer,
            clock=now,
            clock_watch=self.clock_watch,
            from_another_life=self.other_lives.seen,
        )
        self.endpoints = Endpoints(
            settings,
            new_control=new_control,
            new_listener=self._listener,
            metrics=self.metrics,
            is_ready=lambda: self._store_is_well and not self._draining,
            clock=now,
        )
        self.metrics.gauge("gateway_sessions", "Chargers connected.", lambda: len(self.router))
        self.metrics.gauge("gateway_connections", "Upgraded connections.", lambda: self.capacity.taken)
        self.metrics.gauge("gateway_capacity", "Chargers that fit.", lambda: self.capacity.room.sessions)
        self.metrics.counter("gateway_stalls", "Times that the loop stood still.", lambda: self.clock.stalls)
        self.metrics.counter("gateway_stalled_seconds", "How long, in all.", lambda: self.clock.stalled)
        self.metrics.counter("gateway_log_lines_dropped", "Lines that the log did not take.", logs.dropped)
        self.metrics.gauge(
            "gateway_retention_waiting", "1 while nothing goes by age.", lambda: float(self.retention.waits)
        )
        self.metrics.gauge("gateway_accounts", "Budgets kept of chargers.", lambda: len(self.accounts))
        self.metrics.gauge(
            "gateway_large_messages_waiting", "Chargers whose large message waits its turn.", lambda: self.large.waiting
        )
        self.metrics.gauge("gateway_store_healthy", "1 while commits are taken.", lambda: float(self._store_is_well))

    def _listener(self, settings: ListenerSettings, tls: TlsProvider) -> Listener:
        return Listener(
            name=settings.name,
            host=settings.host,
            port=settings.port,
            tls=tls,
            admit=self.admission,
            handle=self.chargers,
            limits=connection_limits(self._settings.sessions),
            slowed=lambda what: self.metrics.count("slowed", what),
            addresses=self.addresses,
            may_wait=lambda: self.capacity.may_wait // len(self._settings.listeners),
            identity_of=identity_of,
            accounts=self.accounts,
            large=self.large,
            proxies=settings.proxies,
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
                await self._until_stopped(received)
                starting.cancel()
                await self._drain(received)
                nursery.cancel_scope.cancel()

    async def _start(self, nursery: trio.Nursery, scope: trio.CancelScope) -> None:
        """Everything that is there before chargers are let in. Raises ``GatewayError`` where waiting mends nothing."""
        keep, trusted = self._supervisor.keep, self.clock_watch.trusted
        room = self.capacity.room
        with scope:
            await open_store(self._store, self._now, self.clock_watch.trusted, partial(self.endpoints.open, nursery))
            log.info("capacity", sessions=room.sessions, replaced=room.replaced, descriptors=room.descriptors)
            nursery.start_soon(keep, "feed", self.feed.run)
            nursery.start_soon(keep, "clock", self.clock_watch.run)
            nursery.start_soon(keep, "retention", self.retention.run)
            nursery.start_soon(keep, "silence", self.timers.run)
            nursery.start_soon(keep, "collector", self.collector.run)
            nursery.start_soon(keep, "last-heard", record_last_heard, self.journal, self.router)
            nursery.start_soon(keep, "lost-ends", self.lost_ends.run)
            nursery.start_soon(keep, "mark", mark_store, self._reads)
            nursery.start_soon(keep, "reservations", end_overdue_reservations, self.journal, self._reads, trusted)
            nursery.start_soon(keep, "operations", end_abandoned_operations, self.journal, self._reads, trusted)
            nursery.start_soon(keep, "energy", self.settlement.run)
            await self.endpoints.open(nursery)
            self._serving = True
            self.endpoints.update_readiness()
            log.info("gateway ready")

    async def _until_stopped(self, received: AsyncIterator[int]) -> None:
        async for number in received:
            if number != signal.SIGHUP:
                log.info("stopping", signal=signal.Signals(number).name)
                return
            self.endpoints.certificates.reload()

    # --- readiness and the end --------------------------------------------------------------------------------

    def _why_refusing(self) -> str | None:
        if self._draining:
            return "draining"
        return None if self._store_is_well else "store-unavailable"

    @property
    def _store_is_well(self) -> bool:
        return self._serving and self.journal.healthy

    def _health_changed(self, healthy: bool) -> None:
        if not healthy:
            # Nothing that a charger says could be acknowledged: it keeps its messages and comes back (503 until then).
            assert self._nursery is not None, "the journal runs in it"
            end_all = self._supervisor.once
            self._nursery.start_soon(end_all, "end-all", self.router.end_all, "store-unavailable", 1011)
        else:
            self.lost_ends.store_is_back()
        self.endpoints.update_readiness()

    async def _drain(self, received: AsyncIterator[int]) -> None:
        """Finish what is in flight, close sessions paced, then the control interface and the journal; a second signal
        or the deadline cuts it short. What is cut off is settled at the next start."""
        seconds = self._settings.drain.deadline_seconds
        deadline = trio.current_time() + seconds
        self._draining = self.chargers.draining = True
        self.endpoints.stop()
        self.router.stop_commands()
        self.endpoints.update_readiness()
        log.info("draining", sessions=len(self.router), deadline_seconds=seconds)
        with trio.move_on_at(deadline) as cut_short:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._cut_short_by_signal, received, cut_short)
                self.endpoints.stop_accepting()
                with trio.move_on_after(seconds * IN_FLIGHT_SHARE):
                    await self.router.commands_done()
                await self.router.drain(self._settings.drain.closes_per_second, deadline)
                await self.endpoints.drain_control(CONTROL_GRACE)
                await self.journal.aclose()
                nursery.cancel_scope.cancel()
        if cut_short.cancelled_caught:
            log.warning("drain cut short", sessions=len(self.router))
            await self._last_word()
        else:
            log.info("drained")

    async def _last_word(self) -> None:
        """End all sessions at once, which settles their commands; what takes longer is settled at the next start."""
        with trio.move_on_after(LAST_WORD_SECONDS):
            await self.router.end_all("draining", 1001)
            await self.router.commands_done()
            await self.endpoints.drain_control(CONTROL_GRACE)

    async def _cut_short_by_signal(self, received: AsyncIterator[int], scope: trio.CancelScope) -> None:
        async for number in received:
            if number != signal.SIGHUP:
                scope.cancel()


def identity_of(principal: object) -> str:
    """Return the identity of a connection."""
    assert isinstance(principal, Principal)
    return principal.identity

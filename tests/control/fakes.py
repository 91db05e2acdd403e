"""Neighbours of the control interface in its tests: a real store, journal and feed, and a router that answers
what a test says."""

from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import trio
from attrs import define, evolve, field

from gateway.bridge import Bridge
from gateway.client import GatewayClient
from gateway.control.fleet_summary import FleetSummaries
from gateway.control.nodes import NodeList
from gateway.control.server import ControlServer, ControlSettings
from gateway.control.server_info import Described, ServerFacts
from gateway.control.services.all_services import ControlPorts
from gateway.control.signing import SigningDesk
from gateway.control.vendor_data import VendorServiceRegistry
from gateway.domain.commands import CallOutcome, Command, CommandRecord, CommandState, Refused, StatusAnswer
from gateway.domain.drain import DrainProgress, DrainStage, DrainTerms
from gateway.domain.events import ChargePointConnected, NewEvent
from gateway.domain.fleet_summary import Look
from gateway.domain.gateway_status import StoreStatus
from gateway.domain.log_levels import LogLevel, LogOverride
from gateway.domain.steering import ChangedWanted
from gateway.domain.values import Registration
from gateway.errors import StoreUnavailable
from gateway.feed import Feed
from gateway.journal import Journal
from gateway.journal.clock_watch import ClockWatch
from gateway.observability.frame_log import FrameLog
from gateway.ocpp.v16.profiles.routing import protocol
from gateway.session.lookups import TableAuthorizer
from gateway.session.router import Router
from gateway.session.wishes import WantedStates
from gateway.store.commits import Append, Appended, CreateChargePoint, Opened, OpenSession
from gateway.store.reads import Reads
from gateway.store.sqlite import SqliteStore
from tests.support.new_store import new_store

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def answered(answer=None, **changes) -> CommandRecord:
    """A command's record, answered Accepted unless the test says otherwise."""
    record = CommandRecord(
        command_id="cmd_1",
        charge_point="CP1",
        request_id="r1",
        operation="Reset",
        arguments={"reset_type": "Soft"},
        state=CommandState.ANSWERED,
        created_at=datetime.now(UTC),
        answer=StatusAnswer("Accepted") if answer is None else answer,
    )
    return evolve(record, **changes)


@define
class FakeCommands:
    """The router: ``outcome`` is what a call ends in, or a function of its command. Remembers what it was asked."""

    outcome: CallOutcome | Callable[[Command], CallOutcome] = field(factory=answered)
    operation: object = None
    wait: float = 0.0
    calls: list = field(factory=list)
    begun: trio.Event = field(factory=trio.Event)
    cancelled: trio.Event = field(factory=trio.Event)
    connections: dict = field(factory=dict)
    notified: list = field(factory=list)
    callers: list = field(factory=list)
    unsupported_codes = frozenset({"NotImplemented", "NotSupported"})

    async def call(self, identity, command, *, request_id, deadline, answer_by=None, caller=""):
        self.callers.append(caller)
        self.calls.append((identity, command, request_id, deadline - trio.current_time()))
        self.begun.set()
        try:
            await trio.sleep(self.wait)
        except trio.Cancelled:
            self.cancelled.set()
            raise
        return self.outcome(command) if callable(self.outcome) else self.outcome

    def operation_begun(self, identity):
        self.notified.append(("begun", identity))

    async def operate(self, identity, request, request_id, seconds, caller=""):
        self.callers.append(caller)
        self.calls.append((identity, request, request_id, seconds))
        await trio.sleep(self.wait)
        return self.operation

    def disconnect(self, identity, reason="disconnected-by-operator", caller=""):
        self.callers.append(caller)
        self.notified.append(("disconnect", identity))
        return identity in self.connections

    async def connected(self, identity):
        return identity in self.connections

    async def let_go(self, identity, caller):
        return self.disconnect(identity, caller=caller)

    def live(self, identity):
        return self.connections.get(identity)

    def registration_changed(self, identity, registration):
        self.notified.append(("registration", identity, registration))

    def transaction_closed(self, identity, closed):
        self.notified.append(("closed", identity, closed.body))

    security_profiles = frozenset({2, 3})

    def broken_by(self, command):
        return protocol().check(command)

    def minimum_profile_raised(self, identity, profile):
        self.notified.append(("profile", identity, profile))

    def expel(self, identity):
        self.notified.append(("expel", identity))


@define
class FakeWanted:
    """Changes of what is wanted: of operations it commits what is recorded with them, or refuses; others are the real
    ones'."""

    journal: object
    real: object = None
    refused: Refused | None = None
    changes: list = field(factory=list)

    async def change(self, identity, request, also=()):
        if not also:
            return await self.real.change(identity, request)
        self.changes.append((identity, request))
        if self.refused is not None:
            return self.refused
        await self.journal.commit(Append(identity, None, also))
        return ChangedWanted(request.request_id, "", request.connector, 1, also[0].received_at)


@define
class FakeDiagnostics:
    """Refusals, frames, deviations and latencies, as the running gateway remembers them."""

    refused: list = field(factory=list)
    deviating: list = field(factory=list)
    latencies: list = field(factory=list)
    flapping: list = field(factory=list)
    rings: dict = field(factory=dict)
    keeps_frames: bool = True
    log: FrameLog = field(factory=lambda: FrameLog(lambda: NOW, 20))

    def refused_connections(self):
        return self.refused

    def frames(self, charge_point):
        return self.rings.get(charge_point)

    def deviations(self):
        return self.deviating

    def latency_counts(self):
        return self.latencies

    def flapping_charge_points(self):
        return self.flapping

    def tapped(self, charge_point):
        return self.log.tapped(charge_point)


@define
class FakePowers:
    """Sessions as a look finds them."""

    seen: dict = field(factory=dict)
    unanswered: tuple = ()

    async def look(self):
        return Look(dict(self.seen), self.unanswered)


@define
class FakeDraining:
    """A drain that goes as far as the test says."""

    terms: DrainTerms = field(factory=lambda: DrainTerms(1000.0, 0.5, 25.0))
    progress: DrainProgress = field(factory=DrainProgress)

    def begin(self, terms):
        begun = self.progress.stage is DrainStage.SERVING
        if begun:
            self.terms, self.progress = terms, DrainProgress(DrainStage.COMMANDS, 7, 5, 2, 24.5)
        return begun


@define
class FakeNodes:
    """Nodes that are as the test says; ``failing``: the store can't be read."""

    nodes: tuple = ()
    own: int = 1
    failing: bool = False
    has: dict = field(factory=dict)

    async def all(self):
        await trio.lowlevel.checkpoint()
        if self.failing:
            raise StoreUnavailable("it is away")
        return NodeList(self.own, self.nodes)

    async def node_of(self, identity):
        await trio.lowlevel.checkpoint()
        return self.has.get(identity, 0)


@define
class FakeStatus:
    """A store on a disk, and what is served, as the test says."""

    of_store: StoreStatus = field(factory=lambda: StoreStatus(True, 5_000_000, 1_000_000, 70_000_000, 100_000_000, 0))
    served: list = field(factory=list)

    def store(self):
        return self.of_store

    def certificates(self):
        return self.served


@define
class FakeLogLevels:
    """Levels that are set, and whether there is room."""

    settings_level: LogLevel = LogLevel.INFO
    overrides: tuple = ()
    room: bool = True

    def set(self, charge_point, level, seconds):
        kept = tuple(each for each in self.overrides if each.charge_point != charge_point)
        if self.room:
            given = () if level is None else (LogOverride(charge_point, level, NOW + timedelta(seconds=seconds)),)
            self.overrides = (*kept, *given)
        return self.room


@define
class Control:
    """A running control interface and what stands behind it."""

    store: SqliteStore
    journal: Journal
    feed: Feed
    commands: FakeCommands
    wanted: FakeWanted
    diagnostics: FakeDiagnostics
    vendors: VendorServiceRegistry
    server: ControlServer
    bridge: Bridge
    client: GatewayClient
    port: int
    powers: FakePowers
    log_levels: FakeLogLevels
    draining: "FakeDraining"
    nodes: "FakeNodes"
    status: "FakeStatus"

    async def call(self, rpc, request, timeout=60):
        """Call a stub's method in a thread; raises grpc.RpcError."""
        return await trio.to_thread.run_sync(lambda: self.client.call(rpc, request, timeout))

    async def charge_point(self, identity="CP1", registration=Registration.ACCEPTED):
        """Provision a charge point, and connect it once."""
        await self.journal.commit(CreateChargePoint(identity, registration, (), NOW))
        connected = ChargePointConnected("192.0.2.1:4711", "ocpp1.6", 2)
        opened = await self.journal.commit(OpenSession(identity, connected, NOW + timedelta(seconds=1)))
        assert isinstance(opened, Opened)
        return opened.epoch

    async def append(self, identity, epoch, *bodies, reported_at=None, cause="message:m1", flags=()):
        """Commit events as a session would."""
        events = tuple(
            NewEvent(body, NOW + timedelta(minutes=1), reported_at, reported_at and "raw", flags, cause)
            for body in bodies
        )
        appended = await self.journal.commit(Append(identity, epoch, events))
        assert isinstance(appended, Appended)
        return appended.sequences


@asynccontextmanager
async def control(
    path, settings=None, client_tls=None, journal_seen=lambda journal: journal, vendor_seconds=1.0, **bridge_options
):
    """A control interface on a port of its own, until the block is left. ``journal_seen`` makes the journal that it is
    given of the real one; ``vendor_seconds``: what a service has for its answer."""
    store = new_store(path)
    journal = Journal(store)
    feed = Feed(store, journal.read)
    journal.on_commit.append(feed.notify)
    commands = FakeCommands()
    wanted = FakeWanted(journal)
    version = protocol()
    router = Router(Reads(store, journal), lambda: datetime.now(UTC), (version,))
    diagnostics, powers, levels = FakeDiagnostics(), FakePowers(), FakeLogLevels()
    draining, nodes, status = FakeDraining(), FakeNodes(), FakeStatus()
    vendors = VendorServiceRegistry(lambda: datetime.now(UTC), answer_seconds=vendor_seconds)
    clock_watch = ClockWatch(journal, Reads(store, journal), lambda: datetime.now(UTC))
    bridge = Bridge(**bridge_options)
    seen = journal_seen(journal)
    wanted.real = WantedStates(router, seen, Reads(store, seen), lambda: datetime.now(UTC), version)
    signing = SigningDesk(seen, Reads(store, seen), router.signing_changed, lambda: datetime.now(UTC))
    server = ControlServer(
        settings or ControlSettings(port=0, idle=0.2),
        ControlPorts(
            journal=seen,
            reads=Reads(store, seen),
            commands=commands,
            wanted=wanted,
            feed=feed,
            diagnostics=diagnostics,
            vendors=vendors,
            signing=signing,
            authorizer=TableAuthorizer(Reads(store, journal), lambda: datetime.now(UTC), "Invalid"),
            clock=lambda: datetime.now(UTC),
            clock_watch=clock_watch,
            facts=ServerFacts(Reads(store, seen), Described("0.1.0", ("ocpp1.6",)), NOW, nodes),
            log_levels=levels,
            draining=draining,
            status=status,
            summaries=FleetSummaries(Reads(store, seen), powers, lambda: datetime.now(UTC)),
        ),
        bridge=bridge,
    )
    try:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                await nursery.start(journal.run)
                await nursery.start(feed.run)
                port = await nursery.start(lambda task_status: server.run(task_status=task_status))
                target = "localhost" if client_tls else "127.0.0.1"
                with GatewayClient(f"{target}:{port}", client_tls) as client:
                    behind = (store, journal, feed, commands, wanted, diagnostics, vendors)
                    yield Control(*behind, server, bridge, client, port, powers, levels, draining, nodes, status)
                nursery.cancel_scope.cancel()
    finally:
        store.close()

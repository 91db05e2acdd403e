"""Neighbours of the control interface in its tests: a real store, journal and feed, and a router that answers
what a test says."""

from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import trio
from attrs import define, evolve, field

from gateway.bridge import Bridge
from gateway.client import GatewayClient
from gateway.control.server import ControlServer, ControlSettings
from gateway.control.vendor_data import VendorServiceRegistry
from gateway.domain.commands import CallOutcome, Command, CommandRecord, CommandState, Refused, StatusAnswer
from gateway.domain.events import ChargePointConnected, NewEvent
from gateway.domain.steering import ChangedWanted
from gateway.domain.values import Registration
from gateway.feed import Feed
from gateway.journal import Journal
from gateway.journal.clock_watch import ClockWatch
from gateway.ocpp.v16.profiles.routing import protocol
from gateway.session.lookups import TableAuthorizer
from gateway.session.router import Router
from gateway.session.wishes import WantedStates
from gateway.store.commits import Append, Appended, CreateChargePoint, Opened, OpenSession
from gateway.store.reads import Reads
from gateway.store.sqlite import SqliteStore

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
    unsupported_codes = frozenset({"NotImplemented", "NotSupported"})

    async def call(self, identity, command, *, request_id, deadline, answer_by=None):
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

    async def operate(self, identity, request, request_id, seconds):
        self.calls.append((identity, request, request_id, seconds))
        await trio.sleep(self.wait)
        return self.operation

    def disconnect(self, identity, reason="disconnected-by-operator"):
        self.notified.append(("disconnect", identity))
        return identity in self.connections

    def live(self, identity):
        return self.connections.get(identity)

    def registration_changed(self, identity, registration):
        self.notified.append(("registration", identity, registration))

    def transaction_closed(self, identity, closed):
        self.notified.append(("closed", identity, closed.body))

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
    """Refusals, frames and deviations, as the running gateway remembers them."""

    refused: list = field(factory=list)
    deviating: list = field(factory=list)
    rings: dict = field(factory=dict)
    keeps_frames: bool = True

    def refused_connections(self):
        return self.refused

    def frames(self, charge_point):
        return self.rings.get(charge_point)

    def deviations(self):
        return self.deviating


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

    async def call(self, rpc, request, timeout=10.0):
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
async def control(path, settings=None, client_tls=None, journal_seen=lambda journal: journal, **bridge_options):
    """A control interface on a port of its own, until the block is left. ``journal_seen`` makes the journal that it is
    given of the real one."""
    store = SqliteStore(path / "gateway.db")
    journal = Journal(store)
    feed = Feed(store, journal.read)
    journal.on_commit.append(feed.notify)
    commands = FakeCommands()
    wanted = FakeWanted(journal)
    version = protocol()
    router = Router(Reads(store, journal), lambda: datetime.now(UTC), (version,))
    diagnostics = FakeDiagnostics()
    vendors = VendorServiceRegistry(lambda: datetime.now(UTC), answer_seconds=1.0)
    clock_watch = ClockWatch(journal, Reads(store, journal), lambda: datetime.now(UTC))
    bridge = Bridge(**bridge_options)
    seen = journal_seen(journal)
    wanted.real = WantedStates(router, seen, Reads(store, seen), lambda: datetime.now(UTC), version)
    server = ControlServer(
        settings or ControlSettings(port=0, idle=0.2),
        journal=seen,
        reads=Reads(store, seen),
        commands=commands,
        wanted=wanted,
        feed=feed,
        diagnostics=diagnostics,
        vendors=vendors,
        authorizer=TableAuthorizer(Reads(store, journal), lambda: datetime.now(UTC)),
        clock=lambda: datetime.now(UTC),
        clock_watch=clock_watch,
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
                    yield Control(
                        store, journal, feed, commands, wanted, diagnostics, vendors, server, bridge, client, port
                    )
                nursery.cancel_scope.cancel()
    finally:
        store.close()

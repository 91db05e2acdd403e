"""``ControlServer``: the gRPC server in its asyncio loop; its start, readiness, drain and end come from Trio.

This module is asyncio's, and knows no Trio: what Trio sees of it is awaited through the bridge.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
import structlog
from attrs import frozen
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gateway.api.v1 import (
    caller_pb2_grpc,
    charge_point_pb2_grpc,
    command_pb2_grpc,
    diagnostics_pb2_grpc,
    energy_pb2_grpc,
    id_tag_pb2_grpc,
    operation_pb2_grpc,
    retention_pb2_grpc,
    steering_pb2_grpc,
    transaction_pb2_grpc,
    vendor_data_pb2_grpc,
)
from gateway.bridge import Bridge, Started, Unavailable
from gateway.control.callers import CallerControl
from gateway.control.charge_points import ChargePoints
from gateway.control.commands import CommandCalls
from gateway.control.commit_tracker import ChangingJournal
from gateway.control.convert.batches import BatchMessages
from gateway.control.diagnostics import DiagnosticsCalls
from gateway.control.energy import TransactionEnergies
from gateway.control.event_streams import IDLE_SECONDS, EventStreams, unnoticed
from gateway.control.fleet_import import FleetImport
from gateway.control.id_tags import IdTags
from gateway.control.listen_address import check_address, listening_address, why_not_listening
from gateway.control.operations import OperationCalls
from gateway.control.ports import Authorizer, ClockWatch, Commands, Diagnostics, Feed, Journal, WantedStates
from gateway.control.retention import RetentionControl
from gateway.control.services.authentication import Authentication
from gateway.control.services.caller import CallerRpcs
from gateway.control.services.charge_point import ChargePointRpcs
from gateway.control.services.command import CommandRpcs
from gateway.control.services.diagnostics import DiagnosticsRpcs
from gateway.control.services.energy import EnergyRpcs
from gateway.control.services.event import EventRpcs
from gateway.control.services.id_tag import IdTagRpcs
from gateway.control.services.operation import OperationRpcs
from gateway.control.services.retention import RetentionRpcs
from gateway.control.services.rpc import Service
from gateway.control.services.scope import Scopes, StoredOwners
from gateway.control.services.steering import SteeringRpcs
from gateway.control.services.transaction import TransactionRpcs
from gateway.control.services.vendor_data import VendorDataRpcs
from gateway.control.steering import SteeringCalls
from gateway.control.tls import ServerTls, Tls
from gateway.control.transactions import Transactions
from gateway.control.vendor_data import VendorServiceRegistry
from gateway.domain.charging_state import OFFLINE_GRACE
from gateway.domain.values import Clock
from gateway.errors import SettingsError
from gateway.store.reads import Reads

log = structlog.get_logger()

MAX_REQUEST_BYTES = 4 * 1024 * 1024
"""The largest request is a full local list: a thousand tags make a hundred kilobytes."""

MAX_RESPONSE_BYTES = 16 * 1024 * 1024
"""Pages and batches keep far below; a single event may hold a megabyte of a charger's."""

MAX_RPCS = 8192
"""At once. Above what the bridge carries, so that callers are refused there, with a reason."""

MAX_STREAMS_PER_CONNECTION = 1000
"""A client library opens one connection, and multiplexes its calls on it."""

LAST_ANSWER_SECONDS = 0.5
"""For the answers to calls that are ended when the server stops: they are ready, and have to be written."""

SERVICES = (
    "ChargePoint",
    "Command",
    "Operation",
    "Transaction",
    "IdTag",
    "Event",
    "Diagnostics",
    "VendorData",
    "Retention",
    "Energy",
    "Steering",
    "Caller",
)
"""What there is, as health and reflection name it."""

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", MAX_RESPONSE_BYTES),
    ("grpc.max_concurrent_streams", MAX_STREAMS_PER_CONNECTION),
    # Two gateways on one port would share its clients unnoticed.
    ("grpc.so_reuseport", 0),
    # A client that vanished without a word is noticed, and its watch given up.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Clients may look after their idle watches as often as this.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)


@frozen
class ControlSettings:
    """``port`` 0 lets the system choose. Times in seconds."""

    host: str = "127.0.0.1"
    port: int = 50051
    tls: Tls | None = None
    allow_insecure: bool = False
    require_callers: bool = False
    """Let in only callers that were made known, and those to what their roles allow."""
    default_timeout: float = 60.0
    """The deadline of a call whose caller set none."""
    idle: float = IDLE_SECONDS
    """Without events for so long, watchers get a sign of life."""
    offline_grace: float = OFFLINE_GRACE.total_seconds()
    """A charge point may be offline for so long before the charging states of its connectors are unknown."""


class ControlServer:
    """One run of the control interface. Raises SettingsError for an address that isn't allowed."""

    def __init__(
        self,
        settings: ControlSettings,
        *,
        journal: Journal,
        reads: Reads,
        commands: Commands,
        wanted: WantedStates,
        feed: Feed,
        diagnostics: Diagnostics,
        vendors: VendorServiceRegistry,
        authorizer: Authorizer,
        clock: Clock,
        clock_watch: ClockWatch,
        from_another_life: Callable[[str, str], None] = unnoticed,
        bridge: Bridge | None = None,
    ) -> None:
        clients_need_certificates = settings.tls is not None and settings.tls.client_ca is not None
        authenticated = clients_need_certificates or settings.require_callers
        check_address(settings.host, settings.tls is not None, authenticated, settings.allow_insecure)
        self._settings = settings
        self._tls = None if settings.tls is None else ServerTls(settings.tls)
        self._bridge = bridge or Bridge()
        self._ready = True
        self._grace: float | None = None
        self._changed: asyncio.Event | None = None
        timeout = settings.default_timeout
        changes = ChangingJournal(journal)
        grace = timedelta(seconds=settings.offline_grace)
        self._charge_points = ChargePointRpcs(
            self._bridge,
            timeout,
            ChargePoints(changes, reads, commands, clock, grace),
            FleetImport(changes, reads, clock),
        )
        self._commands = CommandRpcs(self._bridge, timeout, CommandCalls(reads, commands, clock))
        energies = TransactionEnergies(reads, clock)
        self._transactions = TransactionRpcs(
            self._bridge, timeout, Transactions(changes, reads, commands, energies, clock)
        )
        self._energy = EnergyRpcs(self._bridge, timeout, energies)
        id_tags = IdTags(changes, reads, authorizer, clock)
        self._id_tags = IdTagRpcs(self._bridge, timeout, id_tags)
        self._steering = SteeringRpcs(self._bridge, timeout, SteeringCalls(reads, wanted, clock))
        self._operations = OperationRpcs(
            self._bridge, timeout, OperationCalls(reads, commands, wanted, id_tags, feed, clock, settings.idle)
        )
        self._events = EventRpcs(
            self._bridge,
            timeout,
            lambda: EventStreams(feed, reads.store_id, settings.idle, reads.generations, from_another_life),
            lambda: BatchMessages(reads.store_id, reads.generations),
        )
        self._diagnostics = DiagnosticsRpcs(self._bridge, timeout, DiagnosticsCalls(reads, diagnostics))
        self._vendor_data = VendorDataRpcs(self._bridge, timeout, vendors)
        # Without it nothing stands before an RPC: a trial on loopback pays nothing for it.
        self._authentication: Authentication | None = None
        if settings.require_callers:
            owners, call = StoredOwners(reads), self._bridge.call
            scopes = Scopes(
                lambda labels, identities, limit: call(owners.labelled, labels, identities, limit),
                lambda field, value: call(owners.owner, field, value),
            )
            self._authentication = Authentication(lambda: call(reads.callers), scopes)
        self._callers = CallerRpcs(self._bridge, timeout, CallerControl(changes, reads, clock), self._callers_changed)
        self._retention = RetentionRpcs(self._bridge, timeout, RetentionControl(clock_watch))

    # --- from Trio --------------------------------------------------------------------------------------------

    @property
    def calls(self) -> int:
        """Calls under way; watches are none."""
        return self._bridge.calls

    async def run(self, *, task_status: Any = None) -> None:
        """Serve until drained or cancelled; a Trio task. Reports the port that it listens on as started.

        Raises SettingsError if it can't listen. Cancelling ends calls under way: reads with UNAVAILABLE, and with
        OUTCOME_UNKNOWN what may have changed something.
        """
        if task_status is None:
            await self._bridge.run(self._serve)
        else:
            await self._bridge.run(self._serve, task_status=task_status)

    def set_ready(self, ready: bool) -> None:
        """Set the state that the health service reports. Never waits."""
        self._ready = ready
        self._tell()

    def replace_tls(self, tls: Tls) -> None:
        """Present another certificate to clients that connect from now on. Nothing happens where TLS is off. Never
        waits."""
        if self._tls is not None:
            self._tls.replace(tls)

    def drain(self, grace: float) -> None:
        """Take no more calls, end all watches with UNAVAILABLE, let calls finish for ``grace`` seconds; then ``run``
        returns. Never waits."""
        self._grace = grace
        self._tell()

    def _tell(self) -> None:
        try:
            self._bridge.post(self._notice)
        except Unavailable:
            pass  # not started yet, and then it looks when it starts; or over

    # --- in asyncio -------------------------------------------------------------------------------------------

    def _notice(self) -> None:
        if self._changed is not None:
            self._changed.set()

    async def _callers_changed(self) -> None:
        if self._authentication is not None:
            await self._authentication.changed()

    async def _serve(self, started: Started) -> None:
        self._changed = asyncio.Event()
        first = () if self._authentication is None else (self._authentication,)
        server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=MAX_RPCS, interceptors=first)
        servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]
        names = self._register(server, servicer)
        port = self._listen(server)
        await server.start()
        log.info("control interface listens", host=self._settings.host, port=port, tls=self._settings.tls is not None)
        started(port)
        grace = 0.0
        try:
            while self._grace is None:
                self._changed.clear()
                await _set_health(servicer, names, self._ready)
                await self._changed.wait()
            grace = self._grace or 0.0
            await servicer.enter_graceful_shutdown()
        finally:
            for service in self._services:
                service.stop()
            await self._stop(server, grace)
            log.info("control interface stopped")

    async def _stop(self, server: grpc.aio.Server, grace: float) -> None:
        """Calls may finish for ``grace`` seconds. What is left then is answered that its outcome is not known: gRPC
        would end it without a reason."""
        stopping = asyncio.ensure_future(server.stop(grace + LAST_ANSWER_SECONDS))
        await asyncio.wait((stopping,), timeout=grace)
        self._bridge.interrupt()
        await stopping

    @property
    def _services(self) -> tuple[Service, ...]:
        return (
            self._charge_points,
            self._commands,
            self._operations,
            self._transactions,
            self._energy,
            self._id_tags,
            self._events,
            self._diagnostics,
            self._vendor_data,
            self._retention,
            self._steering,
            self._callers,
        )

    def _register(self, server: grpc.aio.Server, servicer: Any) -> list[str]:
        """Add all services; returns the names whose health is reported, the whole server's (empty) among them."""
        charge_point_pb2_grpc.add_ChargePointServiceServicer_to_server(self._charge_points, server)
        command_pb2_grpc.add_CommandServiceServicer_to_server(self._commands, server)
        operation_pb2_grpc.add_OperationServiceServicer_to_server(self._operations, server)
        transaction_pb2_grpc.add_TransactionServiceServicer_to_server(self._transactions, server)
        energy_pb2_grpc.add_EnergyServiceServicer_to_server(self._energy, server)
        id_tag_pb2_grpc.add_IdTagServiceServicer_to_server(self._id_tags, server)
        self._events.add_to(server)
        diagnostics_pb2_grpc.add_DiagnosticsServiceServicer_to_server(self._diagnostics, server)
        vendor_data_pb2_grpc.add_VendorDataServiceServicer_to_server(self._vendor_data, server)
        retention_pb2_grpc.add_RetentionServiceServicer_to_server(self._retention, server)
        steering_pb2_grpc.add_SteeringServiceServicer_to_server(self._steering, server)
        caller_pb2_grpc.add_CallerServiceServicer_to_server(self._callers, server)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        ours = [f"gateway.api.v1.{name}Service" for name in SERVICES]
        reflection.enable_server_reflection([*ours, "grpc.health.v1.Health", reflection.SERVICE_NAME], server)
        return ["", *ours]

    def _listen(self, server: grpc.aio.Server) -> int:
        address = listening_address(self._settings.host, self._settings.port)
        tls = self._tls
        try:
            if tls is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, tls.credentials())
        except RuntimeError:
            port = 0
        if port == 0:  # gRPC gives no reason
            reason = why_not_listening(self._settings.host, self._settings.port)
            if reason is None:
                reason = "gRPC refuses to" if tls is None else "gRPC refuses to with this certificate, key or client_ca"
            raise SettingsError(f"control.address: can't listen on {address}: {reason}")
        return port


async def _set_health(servicer: Any, names: list[str], ready: bool) -> None:
    status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
    for name in names:
        await servicer.set(name, status)

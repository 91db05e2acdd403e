"""``services``: every gRPC service but health and reflection, each with its name and how a server gets it."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from attrs import field, frozen

from gateway.api.v1 import (
    audit_pb2_grpc,
    caller_pb2_grpc,
    charge_point_pb2_grpc,
    command_pb2_grpc,
    diagnostics_pb2_grpc,
    energy_pb2_grpc,
    fleet_pb2_grpc,
    id_tag_pb2_grpc,
    operation_pb2_grpc,
    retention_pb2_grpc,
    server_pb2_grpc,
    signing_pb2_grpc,
    steering_pb2_grpc,
    transaction_pb2_grpc,
    vendor_data_pb2_grpc,
)
from gateway.bridge import Bridge
from gateway.control.callers import CallerControl
from gateway.control.charge_points import ChargePoints
from gateway.control.commands import CommandCalls
from gateway.control.commit_tracker import ChangingJournal
from gateway.control.convert.batches import BatchMessages
from gateway.control.diagnostics import DiagnosticsCalls
from gateway.control.drain import DrainControl
from gateway.control.energy import TransactionEnergies
from gateway.control.event_streams import EventStreams, unnoticed
from gateway.control.fleet import FleetCalls
from gateway.control.fleet_import import FleetImport
from gateway.control.fleet_summary import FleetSummaries
from gateway.control.id_tags import IdTags
from gateway.control.label_watches import LabelWatches
from gateway.control.log_levels import LogLevelControl
from gateway.control.operations import OperationCalls
from gateway.control.ports import (
    Authorizer,
    ClockWatch,
    Commands,
    Diagnostics,
    Draining,
    Feed,
    Journal,
    LogLevels,
    RunningStatus,
    WantedStates,
)
from gateway.control.retention import RetentionControl
from gateway.control.server_info import ServerFacts
from gateway.control.services.audit import AuditRpcs
from gateway.control.services.caller import CallerRpcs
from gateway.control.services.charge_point import ChargePointRpcs
from gateway.control.services.command import CommandRpcs
from gateway.control.services.deserialization import ReadingServer
from gateway.control.services.diagnostics import DiagnosticsRpcs
from gateway.control.services.energy import EnergyRpcs
from gateway.control.services.event import EventRpcs
from gateway.control.services.fleet import FleetRpcs
from gateway.control.services.id_tag import IdTagRpcs
from gateway.control.services.operation import OperationRpcs
from gateway.control.services.retention import RetentionRpcs
from gateway.control.services.rpc import Service
from gateway.control.services.server import ServerRpcs
from gateway.control.services.signing import SigningRpcs
from gateway.control.services.steering import SteeringRpcs
from gateway.control.services.transaction import TransactionRpcs
from gateway.control.services.vendor_data import VendorDataRpcs
from gateway.control.signing import SigningDesk
from gateway.control.status import StatusCalls
from gateway.control.steering import SteeringCalls
from gateway.control.transactions import Transactions
from gateway.control.vendor_data import VendorServiceRegistry
from gateway.control.watchers import Watchers
from gateway.domain.quirks import QuirkBook
from gateway.domain.values import Clock
from gateway.store.reads import Reads


@frozen
class ControlPorts:
    """Everything of the gateway that the control interface works on; ``clock`` is the wall clock."""

    journal: Journal
    reads: Reads
    commands: Commands
    wanted: WantedStates
    feed: Feed
    diagnostics: Diagnostics
    vendors: VendorServiceRegistry
    signing: SigningDesk
    authorizer: Authorizer
    clock: Clock
    clock_watch: ClockWatch
    facts: ServerFacts
    summaries: FleetSummaries
    log_levels: LogLevels
    draining: Draining
    status: RunningStatus
    quirks: QuirkBook = field(factory=QuirkBook)
    fleet_changed: Callable[[], None] = lambda: None
    from_another_life: Callable[[str, str], None] = unnoticed


@frozen
class ServicePolicy:
    """Settings of the services. ``timeout``, ``idle`` and ``offline_grace`` in seconds."""

    timeout: float
    idle: float
    offline_grace: float
    callers_required: bool
    callers_changed: Callable[[], Awaitable[None]]
    """Awaited after each change of the callers."""


@frozen
class NamedService:
    """A service, the name that health and reflection know it by, and how it is added to a server."""

    name: str
    service: Service
    add: Callable[[Any, Any], None]


def services(bridge: Bridge, ports: ControlPorts, policy: ServicePolicy) -> tuple[NamedService, ...]:
    """Make all services, in the order in which they are stopped."""
    reads, clock, commands, feed, wanted = ports.reads, ports.clock, ports.commands, ports.feed, ports.wanted
    timeout, changes = policy.timeout, ChangingJournal(ports.journal)
    grace = timedelta(seconds=policy.offline_grace)
    energies = TransactionEnergies(reads, clock)
    id_tags = IdTags(changes, reads, ports.authorizer, clock)
    operations = OperationCalls(reads, commands, wanted, id_tags, feed, clock, policy.idle)
    diagnosing = DiagnosticsCalls(ports.journal, reads, ports.diagnostics, clock)
    watchers = Watchers(clock)
    drain = DrainControl(ports.journal, ports.draining, clock)
    log_levels = LogLevelControl(ports.journal, reads, ports.log_levels, clock)
    charge_points = ChargePoints(changes, reads, commands, clock, grace, ports.quirks, ports.facts.nodes)
    transactions = Transactions(changes, reads, commands, energies, clock)
    events = EventRpcs(
        bridge,
        timeout,
        lambda: LabelWatches(
            EventStreams(
                feed, reads.store_id, policy.idle, reads.current_generations, ports.from_another_life, watchers
            ),
            reads.labelled,
        ),
        lambda: BatchMessages(reads.store_id, reads.current_generations),
        lambda names: reads.run(lambda store: store.ever_known(names)),
    )
    made: dict[str, tuple[Service, Callable[[Any, Any], None]]] = {
        "ChargePoint": (
            ChargePointRpcs(bridge, timeout, charge_points, FleetImport(changes, reads, clock)),
            charge_point_pb2_grpc.add_ChargePointServiceServicer_to_server,
        ),
        "Command": (
            CommandRpcs(bridge, timeout, CommandCalls(reads, commands, clock)),
            command_pb2_grpc.add_CommandServiceServicer_to_server,
        ),
        "Operation": (
            OperationRpcs(bridge, timeout, operations),
            operation_pb2_grpc.add_OperationServiceServicer_to_server,
        ),
        "Transaction": (
            TransactionRpcs(bridge, timeout, transactions),
            transaction_pb2_grpc.add_TransactionServiceServicer_to_server,
        ),
        "Energy": (EnergyRpcs(bridge, timeout, energies), energy_pb2_grpc.add_EnergyServiceServicer_to_server),
        "IdTag": (IdTagRpcs(bridge, timeout, id_tags), id_tag_pb2_grpc.add_IdTagServiceServicer_to_server),
        "Event": (events, _add_bytes),
        "Diagnostics": (
            DiagnosticsRpcs(bridge, timeout, diagnosing, log_levels, StatusCalls(ports.status, watchers, clock)),
            diagnostics_pb2_grpc.add_DiagnosticsServiceServicer_to_server,
        ),
        "VendorData": (
            VendorDataRpcs(bridge, timeout, ports.vendors),
            vendor_data_pb2_grpc.add_VendorDataServiceServicer_to_server,
        ),
        "Signing": (
            SigningRpcs(bridge, timeout, ports.signing),
            signing_pb2_grpc.add_SigningServiceServicer_to_server,
        ),
        "Retention": (
            RetentionRpcs(bridge, timeout, RetentionControl(ports.clock_watch)),
            retention_pb2_grpc.add_RetentionServiceServicer_to_server,
        ),
        "Steering": (
            SteeringRpcs(bridge, timeout, SteeringCalls(reads, wanted, clock)),
            steering_pb2_grpc.add_SteeringServiceServicer_to_server,
        ),
        "Caller": (
            CallerRpcs(bridge, timeout, CallerControl(changes, reads, clock), policy.callers_changed),
            caller_pb2_grpc.add_CallerServiceServicer_to_server,
        ),
        "Fleet": (
            FleetRpcs(
                bridge,
                timeout,
                FleetCalls(changes, reads, clock, ports.fleet_changed, ports.commands.broken_by),
                ports.summaries,
            ),
            fleet_pb2_grpc.add_FleetServiceServicer_to_server,
        ),
        "Server": (
            ServerRpcs(bridge, timeout, ports.facts, policy.callers_required, drain),
            server_pb2_grpc.add_ServerServiceServicer_to_server,
        ),
        "Audit": (AuditRpcs(bridge, timeout, reads), audit_pb2_grpc.add_AuditServiceServicer_to_server),
    }
    return tuple(NamedService(name, service, add) for name, (service, add) in made.items())


def _add_bytes(service: EventRpcs, server: ReadingServer) -> None:
    """Add a service whose responses are bytes already."""
    service.add_to(server)

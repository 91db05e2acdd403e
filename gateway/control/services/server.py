"""ServerService."""

import hashlib
from collections.abc import AsyncIterator
from importlib import resources

from gateway.api.v1 import server_pb2 as pb
from gateway.api.v1.caller_pb2 import Caller
from gateway.api.v1.server_pb2_grpc import ServerServiceServicer
from gateway.bridge import Bridge
from gateway.control.commands import MAX_REQUEST_ID
from gateway.control.convert.common import timestamp
from gateway.control.convert.enums import ROLE
from gateway.control.convert.nodes import cluster, node
from gateway.control.convert.requests import Fields
from gateway.control.drain import DrainControl
from gateway.control.server_info import CAPABILITIES, ServerFacts
from gateway.control.services.deserialization import MAX_REQUEST_BYTES
from gateway.control.services.event import MAX_CHARGE_POINTS
from gateway.control.services.paging import MAX_SIZE
from gateway.control.services.rpc import ADMITTED, CALLER, MARGIN_SECONDS, Context, Service, changing, streaming, unary
from gateway.domain.drain import MAX_DEADLINE_SECONDS, MAX_RATE, DrainProgress, DrainStage

CONTRACT_VERSION = "v1"

MAX_RESPONSE_BYTES = 16 * 1024 * 1024
"""Pages and batches keep far below; a single event may hold a megabyte of a charger's."""

MAX_STREAMS_PER_CONNECTION = 1000
"""A client library opens one connection, and multiplexes its calls on it."""

MIN_PING_SECONDS = 10
"""Clients may look after their idle watches as often as this."""


STAGES = {
    DrainStage.SERVING: pb.DRAIN_STAGE_SERVING,
    DrainStage.COMMANDS: pb.DRAIN_STAGE_COMMANDS,
    DrainStage.SESSIONS: pb.DRAIN_STAGE_SESSIONS,
    DrainStage.ENDING: pb.DRAIN_STAGE_ENDING,
}


class ServerRpcs(Service, ServerServiceServicer):
    """The gateway itself."""

    def __init__(
        self, bridge: Bridge, default_timeout: float, facts: ServerFacts, callers_required: bool, drain: DrainControl
    ) -> None:
        super().__init__(bridge, default_timeout)
        self._drain = drain
        self._facts = facts
        self._known = pb.ServerInfo(
            version=facts.described.version,
            contract_version=CONTRACT_VERSION,
            contract_digest=_contract_digest(),
            capabilities=CAPABILITIES,
            limits=_limits(default_timeout),
            start_time=timestamp(facts.started_at),
            ocpp_subprotocols=facts.described.subprotocols,
            callers_required=callers_required,
        )

    @changing
    async def Drain(self, request: pb.DrainRequest, context: Context) -> pb.DrainResponse:
        fields = Fields()
        rate = request.closes_per_second if request.HasField("closes_per_second") else None
        if rate is not None and not 1 <= rate <= MAX_RATE:
            fields.wrong("closes_per_second", f"must be 1 to {MAX_RATE:,g}")
        jitter = request.jitter if request.HasField("jitter") else None
        if jitter is not None and not 0 <= jitter <= 1:
            fields.wrong("jitter", "must be 0 to 1")
        seconds = fields.optional_seconds("deadline", request, "deadline")
        if seconds is not None and seconds > MAX_DEADLINE_SECONDS:
            fields.wrong("deadline", f"must be 0 to {MAX_DEADLINE_SECONDS:,g} seconds")
        fields.check()
        deadline = None if seconds is None else float(seconds)
        progress = await self.change(context, {}, self._drain.begin, rate, jitter, deadline, CALLER.get())
        return pb.DrainResponse(progress=_progress(progress))

    @streaming
    async def WatchDrain(self, request: pb.WatchDrainRequest, context: Context) -> AsyncIterator[pb.WatchDrainResponse]:
        async with self.stream(self._drain.watch) as looks:
            async for progress in looks:
                yield pb.WatchDrainResponse(progress=_progress(progress))

    @unary
    async def GetServerInfo(self, request: pb.GetServerInfoRequest, context: Context) -> pb.GetServerInfoResponse:
        found = await self.call(context, self._facts.store)
        nodes = await self.call(context, self._facts.known_nodes)
        response = pb.GetServerInfoResponse(server=self._known)
        asks = ADMITTED.get()
        if asks is not None:
            response.caller.MergeFrom(
                Caller(name=asks.name, roles=map(ROLE.number, asks.all_roles()), scope=asks.scope)
            )
        response.server.store.MergeFrom(
            pb.StoreInfo(
                store_id=found.store_id,
                kind=found.kind,
                floor_position=found.bounds.floor,
                head_position=found.bounds.head,
            )
        )
        response.server.cluster.MergeFrom(cluster(nodes))
        return response

    @unary
    async def ListNodes(self, request: pb.ListNodesRequest, context: Context) -> pb.ListNodesResponse:
        found = await self.call(context, self._facts.nodes.all)
        return pb.ListNodesResponse(nodes=map(node, found.nodes), own_slot=found.own)


def _progress(of: DrainProgress) -> pb.DrainProgress:
    message = pb.DrainProgress(
        stage=STAGES[of.stage], session_count=of.sessions, idle_count=of.idle, charging_count=of.charging
    )
    message.left_duration.FromMilliseconds(round(1000 * of.left))
    return message


def _contract_digest() -> str:
    """Of the descriptor set that is part of the package."""
    file = resources.files("gateway.api.v1") / "descriptors.binpb"
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _limits(default_timeout: float) -> pb.ServerLimits:
    limits = pb.ServerLimits(
        request_bytes=MAX_REQUEST_BYTES,
        response_bytes=MAX_RESPONSE_BYTES,
        page_size=MAX_SIZE,
        watch_charge_points=MAX_CHARGE_POINTS,
        latest_charge_points=MAX_SIZE,
        connection_streams=MAX_STREAMS_PER_CONNECTION,
        request_id_length=MAX_REQUEST_ID,
    )
    limits.default_deadline.FromMilliseconds(round(default_timeout * 1000))
    limits.keepalive.FromSeconds(MIN_PING_SECONDS)
    limits.answer_margin.FromMilliseconds(round(MARGIN_SECONDS * 1000))
    return limits

"""DiagnosticsService."""

from collections.abc import AsyncIterator
from typing import Final

from gateway.api.v1 import diagnostics_pb2 as pb
from gateway.api.v1.diagnostics_pb2_grpc import DiagnosticsServiceServicer
from gateway.bridge import Bridge
from gateway.control.convert.common import timestamp
from gateway.control.convert.diagnostics import deviation, flapping, frame, gateway_status, latency, refused_connection
from gateway.control.convert.enums import LOG_LEVEL
from gateway.control.convert.requests import Fields
from gateway.control.diagnostics import DiagnosticsCalls
from gateway.control.errors import invalid
from gateway.control.log_levels import LogLevelControl
from gateway.control.ports import LogLevels
from gateway.control.services.paging import MAX_SIZE, page
from gateway.control.services.rpc import CALLER, SCOPE, Context, Service, changing, streaming, unary
from gateway.control.status import StatusCalls
from gateway.domain.commands import FieldViolation
from gateway.domain.identity import MAX_CHARACTERS
from gateway.domain.log_levels import MAX_SECONDS, MIN_SECONDS

MAX_WATCHERS: Final = 100
"""Watches that are listed: a platform has some, and a hundred show which one is slow."""


class DiagnosticsRpcs(Service, DiagnosticsServiceServicer):
    """Diagnostics of connections."""

    def __init__(
        self,
        bridge: Bridge,
        default_timeout: float,
        diagnosing: DiagnosticsCalls,
        levels: LogLevelControl,
        status: StatusCalls,
    ) -> None:
        super().__init__(bridge, default_timeout)
        self._status = status
        self._levels = levels
        self._diagnosing = diagnosing

    @unary
    async def ListRefusedConnections(
        self, request: pb.ListRefusedConnectionsRequest, context: Context
    ) -> pb.ListRefusedConnectionsResponse:
        filters = (request.charge_point, request.address)
        scope = SCOPE.get()
        wanted = page(request.page_size, request.page_token, "refused connections", *filters, dict(scope))
        entries = await self.call(
            context, self._diagnosing.refused_connections, *filters, _before(wanted.after), wanted.size, scope
        )
        messages, token = wanted.cut(entries, lambda entry: str(entry.number), refused_connection)
        return pb.ListRefusedConnectionsResponse(refused_connections=messages, next_page_token=token)

    @unary
    async def ListFrames(self, request: pb.ListFramesRequest, context: Context) -> pb.ListFramesResponse:
        fields = Fields()
        fields.text("charge_point", request.charge_point)
        fields.check()
        kept = await self.call(context, self._diagnosing.frames, request.charge_point)
        return pb.ListFramesResponse(frames=map(frame, kept))

    @streaming
    async def TapChargePoint(
        self, request: pb.TapChargePointRequest, context: Context
    ) -> AsyncIterator[pb.TapChargePointResponse]:
        fields = Fields()
        fields.text("charge_point", request.charge_point)
        fields.check()
        async with self.stream(self._diagnosing.tap, request.charge_point, CALLER.get()) as batches:
            async for batch in batches:
                if batch is None:
                    yield pb.TapChargePointResponse()
                else:
                    yield pb.TapChargePointResponse(frames=map(frame, batch.frames), missing_count=batch.missing)

    @unary
    async def ListFlapping(self, request: pb.ListFlappingRequest, context: Context) -> pb.ListFlappingResponse:
        found = await self.call(context, self._diagnosing.flapping)
        return pb.ListFlappingResponse(flapping=map(flapping, found[:MAX_SIZE]), total_count=len(found))

    @unary
    async def GetGatewayStatus(
        self, request: pb.GetGatewayStatusRequest, context: Context
    ) -> pb.GetGatewayStatusResponse:
        found = await self.call(context, self._status.get)
        return pb.GetGatewayStatusResponse(status=gateway_status(found, MAX_WATCHERS))

    @unary
    async def GetLogLevels(self, request: pb.GetLogLevelsRequest, context: Context) -> pb.GetLogLevelsResponse:
        levels = await self.call(context, self._levels.get)
        return pb.GetLogLevelsResponse(settings_level=LOG_LEVEL.number(levels.settings_level), overrides=_held(levels))

    @changing
    async def SetLogLevel(self, request: pb.SetLogLevelRequest, context: Context) -> pb.SetLogLevelResponse:
        fields = Fields()
        level = fields.optional_word("level", LOG_LEVEL, request.level)
        seconds = fields.optional_seconds("duration", request, "duration")
        if level is not None and not MIN_SECONDS <= (seconds or 0) <= MAX_SECONDS:
            fields.wrong("duration", f"must be {MIN_SECONDS} to {MAX_SECONDS:,} seconds")
        if not request.level and request.HasField("duration"):
            fields.wrong("duration", "must be left out where level is unset: the settings' level has no end")
        if len(request.charge_point) > MAX_CHARACTERS:
            fields.wrong("charge_point", f"must have at most {MAX_CHARACTERS} characters")
        fields.check()
        about = {"charge_point": request.charge_point} if request.charge_point else {}
        given = (request.charge_point, level, float(seconds or 0), CALLER.get())
        levels = await self.change(context, about, self._levels.set, *given)
        return pb.SetLogLevelResponse(settings_level=LOG_LEVEL.number(levels.settings_level), overrides=_held(levels))

    @unary
    async def ListDeviations(self, request: pb.ListDeviationsRequest, context: Context) -> pb.ListDeviationsResponse:
        filters = (request.vendor, request.model, request.firmware_version)
        wanted = page(request.page_size, request.page_token, "deviations", *filters)
        entries = await self.call(context, self._diagnosing.deviations, *filters, _before(wanted.after), wanted.size)
        messages, token = wanted.cut(entries, lambda entry: str(entry.number), deviation)
        return pb.ListDeviationsResponse(deviations=messages, next_page_token=token)

    @unary
    async def ListLatencies(self, request: pb.ListLatenciesRequest, context: Context) -> pb.ListLatenciesResponse:
        filters = (request.vendor, request.model, request.firmware_version, request.action)
        wanted = page(request.page_size, request.page_token, "latencies", *filters)
        entries = await self.call(context, self._diagnosing.latencies, *filters, _before(wanted.after), wanted.size)
        messages, token = wanted.cut(entries, lambda entry: str(entry.number), latency)
        return pb.ListLatenciesResponse(latencies=messages, next_page_token=token)


def _held(levels: LogLevels) -> list[pb.LogOverride]:
    return [
        pb.LogOverride(
            charge_point=each.charge_point, level=LOG_LEVEL.number(each.level), end_time=timestamp(each.ends_at)
        )
        for each in levels.overrides
    ]


def _before(after: str) -> int | None:
    """The entry that a page begins after; None for the first page."""
    if not after:
        return None
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        raise invalid(FieldViolation("page_token", "is not a token of this list"))
    return int(after)

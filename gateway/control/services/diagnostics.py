"""DiagnosticsService."""

from gateway.api.v1 import diagnostics_pb2 as pb
from gateway.api.v1.diagnostics_pb2_grpc import DiagnosticsServiceServicer
from gateway.bridge import Bridge
from gateway.control.convert.diagnostics import deviation, frame, refused_connection
from gateway.control.convert.requests import Fields
from gateway.control.diagnostics import DiagnosticsCalls
from gateway.control.errors import invalid
from gateway.control.services.paging import page
from gateway.control.services.rpc import Context, Service, unary
from gateway.domain.commands import FieldViolation


class DiagnosticsRpcs(Service, DiagnosticsServiceServicer):
    """Diagnostics of connections."""

    def __init__(self, bridge: Bridge, default_timeout: float, diagnosing: DiagnosticsCalls) -> None:
        super().__init__(bridge, default_timeout)
        self._diagnosing = diagnosing

    @unary
    async def ListRefusedConnections(
        self, request: pb.ListRefusedConnectionsRequest, context: Context
    ) -> pb.ListRefusedConnectionsResponse:
        filters = (request.charge_point, request.address)
        wanted = page(request.page_size, request.page_token, "refused connections", *filters)
        entries = await self.call(
            context, self._diagnosing.refused_connections, *filters, _before(wanted.after), wanted.size
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

    @unary
    async def ListDeviations(self, request: pb.ListDeviationsRequest, context: Context) -> pb.ListDeviationsResponse:
        filters = (request.vendor, request.model, request.firmware_version)
        wanted = page(request.page_size, request.page_token, "deviations", *filters)
        entries = await self.call(context, self._diagnosing.deviations, *filters, _before(wanted.after), wanted.size)
        messages, token = wanted.cut(entries, lambda entry: str(entry.number), deviation)
        return pb.ListDeviationsResponse(deviations=messages, next_page_token=token)


def _before(after: str) -> int | None:
    """The entry that a page begins after; None for the first page."""
    if not after:
        return None
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        raise invalid(FieldViolation("page_token", "is not a token of this list"))
    return int(after)

"""RetentionService."""

from gateway.api.v1 import retention_pb2 as pb
from gateway.api.v1.retention_pb2_grpc import RetentionServiceServicer
from gateway.bridge import Bridge
from gateway.control.convert.requests import Fields
from gateway.control.ports import ClockStatus
from gateway.control.retention import RetentionControl
from gateway.control.services.rpc import CALLER, Context, Service, unary


class RetentionRpcs(Service, RetentionServiceServicer):
    """Deleting by age, and the clock that it rests on."""

    def __init__(self, bridge: Bridge, default_timeout: float, retention: RetentionControl) -> None:
        super().__init__(bridge, default_timeout)
        self._retention = retention

    @unary
    async def GetRetention(self, request: pb.GetRetentionRequest, context: Context) -> pb.GetRetentionResponse:
        return pb.GetRetentionResponse(retention=_retention(await self.call(context, self._retention.status)))

    @unary
    async def ConfirmClock(self, request: pb.ConfirmClockRequest, context: Context) -> pb.ConfirmClockResponse:
        fields = Fields()
        fields.present("clock_time", request, "clock_time")
        shown = fields.optional_time("clock_time", request, "clock_time")
        fields.check()
        assert shown is not None
        status = await self.call(context, self._retention.confirm, shown, CALLER.get())
        return pb.ConfirmClockResponse(retention=_retention(status))


def _retention(status: ClockStatus) -> pb.Retention:
    message = pb.Retention(waiting=bool(status.reason), reason=status.reason)
    message.clock_time.FromDatetime(status.now)
    message.steady_duration.FromTimedelta(status.steady)
    return message

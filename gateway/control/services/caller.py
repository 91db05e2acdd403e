"""CallerService."""

from collections.abc import Awaitable, Callable

from gateway.api.v1 import caller_pb2 as pb
from gateway.api.v1.caller_pb2_grpc import CallerServiceServicer
from gateway.bridge import Bridge
from gateway.control.callers import CallerControl
from gateway.control.convert.common import timestamp
from gateway.control.convert.enums import ROLE
from gateway.control.convert.requests import Fields
from gateway.control.services.rpc import CALLER, Context, Service, changing, unary
from gateway.domain.callers import Caller, Role

SET_BY_CALLERS = frozenset({"name", "roles", "certificate_name", "scope"})


class CallerRpcs(Service, CallerServiceServicer):
    """Callers of the services. ``changed`` is awaited once there may be others than before."""

    def __init__(
        self, bridge: Bridge, default_timeout: float, callers: CallerControl, changed: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(bridge, default_timeout)
        self._callers = callers
        self._changed = changed

    @changing
    async def CreateCaller(self, request: pb.CreateCallerRequest, context: Context) -> pb.CreateCallerResponse:
        fields = Fields()
        fields.present("caller", request, "caller")
        given = request.caller
        for descriptor, _ in given.ListFields():
            if descriptor.name not in SET_BY_CALLERS:
                fields.wrong(f"caller.{descriptor.name}", "is the gateway's to set")
        roles = {
            fields.word(f"caller.roles[{index}]", ROLE, number, Role.READ) for index, number in enumerate(given.roles)
        }
        fields.check()
        kept = tuple(each for each in Role if each in roles)
        try:
            asked = given.name, kept, given.certificate_name, dict(given.scope), CALLER.get()
            made = await self.change(context, {"caller": given.name}, self._callers.create, *asked)
        finally:
            await self._changed()
        return pb.CreateCallerResponse(caller=_caller(made.caller), token=made.token)

    @unary
    async def ListCallers(self, request: pb.ListCallersRequest, context: Context) -> pb.ListCallersResponse:
        return pb.ListCallersResponse(callers=map(_caller, await self.call(context, self._callers.all)))

    @changing
    async def RevokeCaller(self, request: pb.RevokeCallerRequest, context: Context) -> pb.RevokeCallerResponse:
        fields = Fields()
        name = fields.text("name", request.name)
        fields.check()
        try:
            await self.change(context, {"caller": name}, self._callers.revoke, name, CALLER.get())
        finally:
            await self._changed()
        return pb.RevokeCallerResponse()


def _caller(caller: Caller) -> pb.Caller:
    return pb.Caller(
        name=caller.name,
        roles=map(ROLE.number, caller.roles),
        certificate_name=caller.certificate_name,
        create_time=timestamp(caller.created_at),
        scope=caller.scope,
    )

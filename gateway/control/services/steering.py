"""SteeringService."""

import asyncio
from datetime import datetime
from typing import Any, TypeAlias

import structlog

from gateway.api.v1 import steering_pb2 as pb
from gateway.api.v1.steering_pb2_grpc import SteeringServiceServicer
from gateway.bridge import Bridge, Overloaded
from gateway.charging import plans
from gateway.charging.wishes import Change, ClearPlan, LiftLimit, SetLimit, SetPlan, WantedRequest
from gateway.control.convert.common import connector as connector_message
from gateway.control.convert.common import timestamp
from gateway.control.convert.enums import STEERING_STATE
from gateway.control.convert.requests import Fields
from gateway.control.convert.steering import installed_profile, rate_limit, read_limit, read_plan, steering, wanted
from gateway.control.errors import Failure, Status, outcome_unknown
from gateway.control.services.paging import page
from gateway.control.services.rpc import CALLER, SCOPE, Context, Service, cause_of, changing, unary
from gateway.control.steering import SteeringCalls
from gateway.domain.state import ChargePointState
from gateway.domain.steering import ChangedWanted, StandingLimit
from gateway.domain.values import ConnectorAddress
from gateway.errors import StoreUnavailable

log = structlog.get_logger()

Request: TypeAlias = pb.SetWantedLimitRequest | pb.LiftWantedLimitRequest | pb.SetPlanRequest | pb.ClearPlanRequest


class SteeringRpcs(Service, SteeringServiceServicer):
    """Wanted limits and plans, and how far they have got."""

    def __init__(self, bridge: Bridge, default_timeout: float, calls: SteeringCalls) -> None:
        super().__init__(bridge, default_timeout)
        self._calls = calls

    @changing
    async def SetWantedLimit(self, request: pb.SetWantedLimitRequest, context: Context) -> pb.SetWantedLimitResponse:
        fields = Fields()
        limit = None
        if request.HasField("limit"):
            limit = read_limit(fields, "limit", request.limit)
        elif not request.no_limit:
            fields.wrong("wanted", "must be set")
        until = fields.optional_time("until_time", request, "until_time")
        changed = await self._change(request, fields, SetLimit(StandingLimit(limit, until)), context)
        return pb.SetWantedLimitResponse(**_changed(changed))

    @changing
    async def LiftWantedLimit(self, request: pb.LiftWantedLimitRequest, context: Context) -> pb.LiftWantedLimitResponse:
        return pb.LiftWantedLimitResponse(**_changed(await self._change(request, Fields(), LiftLimit(), context)))

    @changing
    async def SetPlan(self, request: pb.SetPlanRequest, context: Context) -> pb.SetPlanResponse:
        fields = Fields()
        fields.present("plan", request, "plan")
        changed = await self._change(request, fields, SetPlan(read_plan(fields, "plan", request.plan)), context)
        return pb.SetPlanResponse(**_changed(changed))

    @changing
    async def ClearPlan(self, request: pb.ClearPlanRequest, context: Context) -> pb.ClearPlanResponse:
        return pb.ClearPlanResponse(**_changed(await self._change(request, Fields(), ClearPlan(), context)))

    async def _change(self, request: Request, fields: Fields, change: Change, context: Context) -> ChangedWanted:
        """Change it. Where the outcome is not known the answer says so; the same request again shows it."""
        identity, request_id = request.charge_point, request.request_id
        fields.text("charge_point", identity)
        fields.text("request_id", request_id)
        connector = fields.connector(request)
        adjustment = _adjustment(request, fields)
        fields.check()
        wish = WantedRequest(
            request_id,
            connector,
            change,
            request.by,
            request.why,
            *adjustment,
            CALLER.get(),
        )
        about, times = {"charge_point": identity, "request_id": request_id}, self.times(context)
        if times.work <= 0:
            raise Failure(Status.DEADLINE_EXCEEDED, "DEADLINE", "the deadline leaves no time; nothing was done", about)
        try:
            async with asyncio.timeout(times.answer):
                return await self._bridge.call(self._calls.change, identity, wish)
        except Failure:
            raise
        except Overloaded as error:
            raise Failure(Status.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", str(error), about) from error
        except StoreUnavailable as error:
            message = "the store is unavailable; nothing was done"
            raise Failure(Status.UNAVAILABLE, "STORE_UNAVAILABLE", message, about) from error
        except Exception as error:
            cause = cause_of(error)
            if cause == "internal-error":
                log.error("rpc failed", rpc=type(request).__name__, exc_info=error)
            message = "the gateway can't say whether it was done; repeat it with the same request_id to learn that"
            raise outcome_unknown(message, cause, about) from error

    @unary
    async def GetSteering(self, request: pb.GetSteeringRequest, context: Context) -> pb.GetSteeringResponse:
        fields = Fields()
        fields.text("charge_point", request.charge_point)
        connector = fields.optional_connector(request)
        fields.check()
        state, now = await self.call(context, self._calls.state, request.charge_point)
        return pb.GetSteeringResponse(
            connectors=[_steered(state, each, now) for each in sorted(state.wanted) if connector in (None, each)],
            charging_profiles=list(map(installed_profile, state.profiles.values())),
        )

    @unary
    async def ListSteering(self, request: pb.ListSteeringRequest, context: Context) -> pb.ListSteeringResponse:
        fields = Fields()
        state = fields.optional_word("state", STEERING_STATE, request.state)
        fields.check()
        scope = SCOPE.get()
        part = page(request.page_size, request.page_token, "steering", state, dict(scope))
        found = await self.call(context, self._calls.page, state, part.after, part.size, scope)
        messages, token = part.cut(
            found,
            lambda row: f"{row[0]} {row[1].evse} {row[1].connector}",
            lambda row: pb.ChargePointSteering(charge_point=row[0], steering=steering(row[1], row[2])),
        )
        return pb.ListSteeringResponse(steering=messages, next_page_token=token)


def _adjustment(request: Request, fields: Fields) -> tuple[bool, bool]:
    """Return whether limits that are too low become pauses, and whether the connector is insisted on."""
    if isinstance(request, pb.SetWantedLimitRequest | pb.SetPlanRequest):
        if request.below_minimum not in pb.BelowMinimum.values():
            fields.wrong("below_minimum", f"has no value {request.below_minimum}")
        return request.below_minimum == pb.BELOW_MINIMUM_PAUSE, request.insist
    return False, False


def _changed(changed: ChangedWanted) -> dict[str, Any]:
    return {
        "connector": connector_message(changed.connector),
        "revision": changed.revision,
        "change_time": timestamp(changed.at),
    }


def _steered(state: ChargePointState, connector: ConnectorAddress, now: datetime) -> pb.SteeredConnector:
    value = state.wanted[connector]
    return pb.SteeredConnector(
        wanted=wanted(value),
        steering=steering(connector, state.steering[connector]),
        present_limit=rate_limit(plans.in_force(value, now)),
        next_change_time=timestamp(plans.next_change(value, now)),
    )

"""OperationService."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import structlog

from gateway.api.v1 import operation_pb2 as pb
from gateway.api.v1.operation_pb2_grpc import OperationServiceServicer
from gateway.bridge import Bridge, Overloaded
from gateway.control.convert.enums import RATE_UNIT
from gateway.control.convert.operations import operation
from gateway.control.convert.requests import Fields
from gateway.control.convert.security_arguments import firmware_update, get_log
from gateway.control.errors import Failure, Status, outcome_unknown
from gateway.control.operations import OperationCalls
from gateway.control.services.list_requests import operation_query
from gateway.control.services.paging import page
from gateway.control.services.rpc import CALLER, Context, Service, cause_of, changing, streaming, unary
from gateway.control.upgrade_checks import CA_CERTIFICATE, CLIENT_CERTIFICATE
from gateway.domain.charging import ChargingRateUnit
from gateway.domain.operations import SECURITY_PROFILE, OperationKind, OperationRequest
from gateway.domain.rotations import rotation_request
from gateway.domain.steering import RateLimit

log = structlog.get_logger()


class OperationRpcs(Service, OperationServiceServicer):
    """Operations on charging."""

    def __init__(self, bridge: Bridge, default_timeout: float, operations: OperationCalls) -> None:
        super().__init__(bridge, default_timeout)
        self._operations = operations

    @changing
    async def StartCharging(self, request: pb.StartChargingRequest, context: Context) -> pb.StartChargingResponse:
        fields = _fields(request)
        wanted = OperationRequest(
            OperationKind.START_CHARGING,
            fields.optional_connector(request),
            fields.text("id_tag", request.id_tag),
            insist=request.insist,
        )
        fields.check()
        return pb.StartChargingResponse(operation=await self._begin(request, wanted, context))

    @changing
    async def StopCharging(self, request: pb.StopChargingRequest, context: Context) -> pb.StopChargingResponse:
        fields = _fields(request)
        connector = fields.optional_connector(request)
        wanted = OperationRequest(OperationKind.STOP_CHARGING, connector, "", request.transaction_id)
        fields.check()
        return pb.StopChargingResponse(operation=await self._begin(request, wanted, context))

    @changing
    async def PauseCharging(self, request: pb.PauseChargingRequest, context: Context) -> pb.PauseChargingResponse:
        fields = _fields(request)
        wanted = OperationRequest(
            OperationKind.PAUSE_CHARGING,
            fields.optional_connector(request),
            insist=request.insist,
            until=fields.optional_time("until_time", request, "until_time"),
        )
        fields.check()
        return pb.PauseChargingResponse(operation=await self._begin(request, wanted, context))

    @changing
    async def ResumeCharging(self, request: pb.ResumeChargingRequest, context: Context) -> pb.ResumeChargingResponse:
        fields = _fields(request)
        connector = fields.optional_connector(request)
        wanted = OperationRequest(OperationKind.RESUME_CHARGING, connector, insist=request.insist)
        fields.check()
        return pb.ResumeChargingResponse(operation=await self._begin(request, wanted, context))

    @changing
    async def LimitCharging(self, request: pb.LimitChargingRequest, context: Context) -> pb.LimitChargingResponse:
        fields = _fields(request)
        given = request.limit
        limit = RateLimit(
            fields.number("limit.value", given.value),
            fields.word("limit.unit", RATE_UNIT, given.unit, ChargingRateUnit.AMPERE),
            given.number_phases if given.HasField("number_phases") else None,
        )
        wanted = OperationRequest(
            OperationKind.LIMIT_CHARGING,
            fields.optional_connector(request),
            insist=request.insist,
            limit=limit,
            until=fields.optional_time("until_time", request, "until_time"),
            pause_below_minimum=request.pause_below_minimum,
        )
        fields.check()
        return pb.LimitChargingResponse(operation=await self._begin(request, wanted, context))

    @changing
    async def RotateAuthorizationKey(
        self, request: pb.RotateAuthorizationKeyRequest, context: Context
    ) -> pb.RotateAuthorizationKeyResponse:
        fields = _fields(request)
        if request.insist and not request.reset:
            fields.wrong("insist", "needs reset: nothing else of a rotation ends a transaction")
        fields.check()
        wanted = rotation_request(reset=request.reset, insist=request.insist)
        return pb.RotateAuthorizationKeyResponse(operation=await self._begin(request, wanted, context))

    @changing
    async def UploadLog(self, request: pb.UploadLogRequest, context: Context) -> pb.UploadLogResponse:
        fields = _fields(request)
        wanted = OperationRequest(OperationKind.UPLOAD_LOG, own_command=get_log(cast(Any, request), fields))
        fields.check()
        return pb.UploadLogResponse(operation=await self._begin(request, wanted, context))

    @changing
    async def InstallFirmware(self, request: pb.InstallFirmwareRequest, context: Context) -> pb.InstallFirmwareResponse:
        fields = _fields(request)
        command = firmware_update(request, fields)
        wanted = OperationRequest(OperationKind.INSTALL_FIRMWARE, own_command=command)
        fields.check()
        return pb.InstallFirmwareResponse(operation=await self._begin(request, wanted, context))

    @changing
    async def RenewCertificate(
        self, request: pb.RenewCertificateRequest, context: Context
    ) -> pb.RenewCertificateResponse:
        _fields(request).check()
        wanted = OperationRequest(OperationKind.RENEW_CERTIFICATE)
        return pb.RenewCertificateResponse(operation=await self._begin(request, wanted, context))

    @changing
    async def UpgradeSecurityProfile(
        self, request: pb.UpgradeSecurityProfileRequest, context: Context
    ) -> pb.UpgradeSecurityProfileResponse:
        fields = _fields(request)
        if request.security_profile not in (2, 3):
            fields.wrong("security_profile", "must be 2 or 3")
        fields.check()
        arguments = {
            SECURITY_PROFILE: request.security_profile,
            CA_CERTIFICATE: request.ca_certificate_installed,
            CLIENT_CERTIFICATE: request.client_certificate_installed,
        }
        wanted = OperationRequest(
            OperationKind.UPGRADE_SECURITY_PROFILE, insist=request.insist, arguments={**arguments}
        )
        return pb.UpgradeSecurityProfileResponse(operation=await self._begin(request, wanted, context))

    async def _begin(self, request: Any, wanted: OperationRequest, context: Context) -> pb.Operation:
        """Begin it. Where it can't be asked whether it was, no other word is true than that this is unknown."""
        identity, request_id = request.charge_point, request.request_id
        about, times = {"charge_point": identity, "request_id": request_id}, self.times(context)
        try:
            async with asyncio.timeout(times.answer):
                record = await self._bridge.call(
                    self._operations.begin, identity, wanted, request_id, times.work, CALLER.get()
                )
        except Failure:
            raise
        except Overloaded as error:
            message = f"{error}; this call did nothing, and did not look for an earlier one with its request_id"
            raise Failure(Status.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", message, about) from error
        except Exception as error:
            cause = cause_of(error)
            if cause == "internal-error":
                log.error("rpc failed", rpc=wanted.kind.value, exc_info=error)
            message = "the gateway can't say what became of it; repeat it with the same request_id to learn that"
            raise outcome_unknown(message, cause, about) from error
        return operation(record)

    @unary
    async def GetOperation(self, request: pb.GetOperationRequest, context: Context) -> pb.GetOperationResponse:
        record = await self.call(context, self._operations.get, _id(request.operation_id))
        return pb.GetOperationResponse(operation=operation(record))

    @unary
    async def ListOperations(self, request: pb.ListOperationsRequest, context: Context) -> pb.ListOperationsResponse:
        asked = operation_query(request)
        wanted = page(request.page_size, request.page_token, "operations", asked)
        listed = await self.call(context, self._operations.page, asked, wanted.after, wanted.size)
        messages, token = wanted.cut_found(listed.found, operation)
        return pb.ListOperationsResponse(operations=messages, next_page_token=token, resume_token=listed.token)

    @streaming
    async def WatchOperation(
        self, request: pb.WatchOperationRequest, context: Context
    ) -> AsyncIterator[pb.WatchOperationResponse]:
        fields = Fields()
        fields.text("operation_id", request.operation_id)
        if request.after_sequence < 0:
            fields.wrong("after_sequence", "must not be negative")
        fields.check()
        async with self.stream(self._operations.watch, request.operation_id, request.after_sequence) as records:
            async for record in records:
                yield pb.WatchOperationResponse(operation=operation(record))


def _fields(request: Any) -> Fields:
    fields = Fields()
    fields.text("charge_point", request.charge_point)
    fields.text("request_id", request.request_id)
    return fields


def _id(operation_id: str) -> str:
    fields = Fields()
    fields.text("operation_id", operation_id)
    fields.check()
    return operation_id

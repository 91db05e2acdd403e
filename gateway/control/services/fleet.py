"""FleetService."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from attrs import evolve

from gateway.api.v1 import fleet_pb2 as pb
from gateway.api.v1.fleet_pb2_grpc import FleetServiceServicer
from gateway.bridge import Bridge
from gateway.control.convert.common import timestamp
from gateway.control.convert.enums import FLEET_END, FLEET_OUTCOME, OPERATION_KIND, OPERATION_STAGE
from gateway.control.convert.fleet_summary import fleet_summary
from gateway.control.convert.requests import Fields
from gateway.control.convert.security_arguments import firmware_update
from gateway.control.fleet import DEFAULT_LIMIT, DEFAULT_PACE, FleetCalls, NewFleetJob
from gateway.control.fleet_summary import FleetSummaries
from gateway.control.services.paging import page
from gateway.control.services.rpc import CALLER, SCOPE, Context, Service, changing, streaming, unary
from gateway.domain.firmware import FirmwareUpdate
from gateway.domain.fleet import UNDER_WAY, WAITING, FleetItem, FleetJob, Pace
from gateway.domain.operations import OperationKind
from gateway.domain.security_commands import SignedUpdateFirmware


class FleetRpcs(Service, FleetServiceServicer):
    """Operations for many charge points."""

    def __init__(self, bridge: Bridge, default_timeout: float, fleet: FleetCalls, summaries: FleetSummaries) -> None:
        super().__init__(bridge, default_timeout)
        self._fleet = fleet
        self._summaries = summaries

    @changing
    async def RotateAuthorizationKeys(
        self, request: pb.RotateAuthorizationKeysRequest, context: Context
    ) -> pb.RotateAuthorizationKeysResponse:
        fields = Fields()
        if request.insist and not request.reset:
            fields.wrong("insist", "needs reset: nothing else of a rotation ends a transaction")
        fields.check()
        new = evolve(_new(request, OperationKind.ROTATE_AUTHORIZATION_KEY), reset=request.reset, insist=request.insist)
        made = await self.change(context, {"request_id": new.request_id}, self._fleet.create, new)
        return pb.RotateAuthorizationKeysResponse(fleet_job=_job(made))

    @changing
    async def RenewCertificates(
        self, request: pb.RenewCertificatesRequest, context: Context
    ) -> pb.RenewCertificatesResponse:
        new = _new(request, OperationKind.RENEW_CERTIFICATE)
        made = await self.change(context, {"request_id": new.request_id}, self._fleet.create, new)
        return pb.RenewCertificatesResponse(fleet_job=_job(made))

    @changing
    async def RollOutFirmware(self, request: pb.RollOutFirmwareRequest, context: Context) -> pb.RollOutFirmwareResponse:
        fields = Fields()
        firmware = firmware_update(request, fields)
        fields.check()
        new = evolve(_new(request, OperationKind.INSTALL_FIRMWARE), firmware=firmware)
        made = await self.change(context, {"request_id": new.request_id}, self._fleet.create, new)
        return pb.RollOutFirmwareResponse(fleet_job=_job(made))

    @unary
    async def GetFleetJob(self, request: pb.GetFleetJobRequest, context: Context) -> pb.GetFleetJobResponse:
        found = await self.call(context, self._fleet.get, _id(request))
        return pb.GetFleetJobResponse(fleet_job=_job(found))

    @unary
    async def ListFleetJobs(self, request: pb.ListFleetJobsRequest, context: Context) -> pb.ListFleetJobsResponse:
        return pb.ListFleetJobsResponse(fleet_jobs=map(_job, await self.call(context, self._fleet.all)))

    @unary
    async def ListFleetJobItems(
        self, request: pb.ListFleetJobItemsRequest, context: Context
    ) -> pb.ListFleetJobItemsResponse:
        fields = Fields()
        outcome = fields.optional_word("outcome", FLEET_OUTCOME, request.outcome) or ""
        fields.check()
        job_id = _id(request)
        wanted = page(request.page_size, request.page_token, "fleet job items", job_id, outcome)
        found = await self.call(context, self._fleet.items, job_id, outcome, wanted.after, wanted.size)
        messages, token = wanted.cut(found, lambda item: item.charge_point, _item)
        return pb.ListFleetJobItemsResponse(items=messages, next_page_token=token)

    @streaming
    async def WatchFleetJob(
        self, request: pb.WatchFleetJobRequest, context: Context
    ) -> AsyncIterator[pb.WatchFleetJobResponse]:
        async with self.stream(self._fleet.watch, _id(request)) as jobs:
            async for job in jobs:
                yield pb.WatchFleetJobResponse(fleet_job=_job(job))

    @changing
    async def CancelFleetJob(self, request: pb.CancelFleetJobRequest, context: Context) -> pb.CancelFleetJobResponse:
        job_id = _id(request)
        cancelled = await self.change(context, {"fleet_job": job_id}, self._fleet.cancel, job_id, CALLER.get())
        return pb.CancelFleetJobResponse(fleet_job=_job(cancelled))

    @unary
    async def GetFleetSummary(self, request: pb.GetFleetSummaryRequest, context: Context) -> pb.GetFleetSummaryResponse:
        found = await self.call(context, self._summaries.get, SCOPE.get())
        return pb.GetFleetSummaryResponse(summary=fleet_summary(found))

    @streaming
    async def WatchFleetSummary(
        self, request: pb.WatchFleetSummaryRequest, context: Context
    ) -> AsyncIterator[pb.WatchFleetSummaryResponse]:
        async with self.stream(self._summaries.watch, SCOPE.get()) as summaries:
            async for each in summaries:
                yield pb.WatchFleetSummaryResponse(summary=fleet_summary(each))


def _new(request: Any, kind: OperationKind) -> NewFleetJob:
    """The job that a request asks for; its fields are those of each request of this kind."""
    fields = Fields()
    fields.present("selection", request, "selection")
    seconds = fields.optional_seconds("time_limit", request, "time_limit")
    fields.check()
    selection = request.selection
    return NewFleetJob(
        request.request_id,
        kind,
        tuple(selection.charge_points) or None,
        dict(sorted(selection.labels.items())),
        selection.every,
        Pace(request.pace.per_minute or DEFAULT_PACE.per_minute, request.pace.at_once or DEFAULT_PACE.at_once),
        DEFAULT_LIMIT if seconds is None else timedelta(seconds=seconds),
        CALLER.get(),
        max_failures=request.max_failures,
    )


def _id(request: Any) -> str:
    fields = Fields()
    job_id = fields.text("fleet_job_id", request.fleet_job_id)
    fields.check()
    return job_id


def _job(job: FleetJob) -> pb.FleetJob:
    return pb.FleetJob(
        fleet_job_id=job.job_id,
        request_id=job.request_id,
        kind=OPERATION_KIND.number(job.kind),
        pace=pb.FleetPace(per_minute=job.pace.per_minute, at_once=job.pace.at_once),
        create_time=timestamp(job.created_at),
        expire_time=timestamp(job.expires_at),
        caller=job.caller,
        cancel_time=timestamp(job.cancelled_at),
        end=FLEET_END.number(job.end),
        end_time=timestamp(job.ended_at),
        reset=job.reset,
        insist=job.insist,
        firmware=None if job.firmware is None else _firmware(job.firmware),
        max_failures=job.max_failures,
        counts=[
            pb.FleetCount(outcome=FLEET_OUTCOME.number(outcome), count=count)
            for outcome, count in sorted(job.counts.items())
        ],
    )


def _firmware(firmware: FirmwareUpdate) -> pb.FleetFirmware:
    signed = firmware if isinstance(firmware, SignedUpdateFirmware) else None
    return pb.FleetFirmware(
        location=firmware.location,
        retrieve_time=timestamp(firmware.retrieve_date),
        install_time=None if signed is None else timestamp(signed.install_date),
        signature="" if signed is None else signed.signature,
    )


def _item(item: FleetItem) -> pb.FleetJobItem:
    state = item.outcome or (UNDER_WAY if item.operation_id else WAITING)
    return pb.FleetJobItem(
        charge_point=item.charge_point,
        outcome=FLEET_OUTCOME.number(state),
        operation_id=item.operation_id,
        reason=item.reason,
        stage=OPERATION_STAGE.number(item.stage),
    )

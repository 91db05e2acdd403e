"""CommandService: an operation is how its request is read and what its result looks like."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar, cast

import structlog

from gateway.api.v1 import command_pb2 as pb
from gateway.api.v1.command_pb2_grpc import CommandServiceServicer
from gateway.bridge import Bridge, Overloaded
from gateway.control.commands import CommandCalls, unknown, violations
from gateway.control.convert import arguments as a
from gateway.control.convert import commands as m
from gateway.control.convert import security_arguments as x
from gateway.control.convert.requests import Fields
from gateway.control.errors import Failure, Status
from gateway.control.services.list_requests import command_query
from gateway.control.services.paging import page
from gateway.control.services.rpc import CALLER, Context, Service, cause_of, changing_by, unary
from gateway.domain.commands import Command

log = structlog.get_logger()

Q = TypeVar("Q")
Q_contra = TypeVar("Q_contra", contravariant=True)
M = TypeVar("M")
M_co = TypeVar("M_co", covariant=True)


class Rpc(Protocol[Q_contra, M_co]):
    """A method of the service, as gRPC calls it."""

    def __call__(self, request: Q_contra, context: Context) -> Awaitable[M_co]: ...


def _operation(read: Callable[[Q, Fields], Command], result: m.Result[M]) -> Rpc[Q, M]:
    # Typed as seen from outside of the class, where self is bound.
    return cast("Rpc[Q, M]", changing_by(_carried, read, result))


async def _carried(
    self: "CommandRpcs", request: Any, context: Context, read: Callable[[Any, Fields], Command], result: m.Result[M]
) -> M:
    """Read the request, carry the command; returns the ``result`` of its record. What is wrong with it is
    reported at once.

    The outcome at the deadline is the session's to say, because only it knows whether anything was sent. Where
    it can't be asked, no other word is true than that the outcome is unknown: an earlier call with the same
    request id may have sent the command.
    """
    fields = Fields()
    fields.violations += violations(request.charge_point, request.request_id)
    command = read(request, fields)
    fields.check()
    identity, request_id = request.charge_point, request.request_id
    times = self.times(context)
    try:
        async with asyncio.timeout(times.last):
            record = await self._bridge.call(
                self._commands.carry, identity, command, request_id, times.work, times.answer, CALLER.get()
            )
    except Failure as failure:
        failure.violations = tuple(map(a.in_request, failure.violations))
        raise
    except Overloaded as error:
        message = f"{error}; this call did nothing, and did not look for an earlier one with its request_id"
        about = {"charge_point": identity, "request_id": request_id}
        raise Failure(Status.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", message, about) from error
    except Exception as error:
        cause = cause_of(error)
        if cause == "internal-error":
            log.error("rpc failed", rpc=type(command).__name__, exc_info=error)
        raise unknown(identity, request_id, cause, "the gateway can't say what became of it") from error
    return result(record)


class CommandRpcs(Service, CommandServiceServicer):
    """The operations, and the commands that they became."""

    def __init__(self, bridge: Bridge, default_timeout: float, commands: CommandCalls) -> None:
        super().__init__(bridge, default_timeout)
        self._commands = commands

    CancelReservation = _operation(
        a.cancel_reservation,
        m.status_result(pb.CancelReservationResponse, pb.CancelReservationStatus, "Accepted Rejected"),
    )
    ChangeAvailability = _operation(
        a.change_availability,
        m.status_result(pb.ChangeAvailabilityResponse, pb.ChangeAvailabilityStatus, "Accepted Rejected Scheduled"),
    )
    ChangeConfiguration = _operation(
        a.change_configuration,
        m.status_result(
            pb.ChangeConfigurationResponse,
            pb.ChangeConfigurationStatus,
            "Accepted Rejected RebootRequired NotSupported",
        ),
    )
    ClearCache = _operation(
        a.clear_cache, m.status_result(pb.ClearCacheResponse, pb.ClearCacheStatus, "Accepted Rejected")
    )
    ClearChargingProfile = _operation(
        a.clear_charging_profile,
        m.status_result(pb.ClearChargingProfileResponse, pb.ClearChargingProfileStatus, "Accepted Unknown"),
    )
    DataTransfer = _operation(a.data_transfer, m.data_transfer)
    GetCompositeSchedule = _operation(a.get_composite_schedule, m.composite_schedule)
    GetConfiguration = _operation(a.get_configuration, m.configuration)
    GetDiagnostics = _operation(a.get_diagnostics, m.diagnostics)
    GetLocalListVersion = _operation(a.get_local_list_version, m.local_list_version)
    RemoteStartTransaction = _operation(
        a.remote_start_transaction,
        m.status_result(pb.RemoteStartTransactionResponse, pb.RemoteStartTransactionStatus, "Accepted Rejected"),
    )
    RemoteStopTransaction = _operation(
        a.remote_stop_transaction,
        m.status_result(pb.RemoteStopTransactionResponse, pb.RemoteStopTransactionStatus, "Accepted Rejected"),
    )
    ReserveNow = _operation(
        a.reserve_now,
        m.status_result(pb.ReserveNowResponse, pb.ReserveNowStatus, "Accepted Faulted Occupied Rejected Unavailable"),
    )
    Reset = _operation(a.reset, m.status_result(pb.ResetResponse, pb.ResetStatus, "Accepted Rejected"))
    SendLocalList = _operation(
        a.send_local_list,
        m.status_result(
            pb.SendLocalListResponse, pb.SendLocalListStatus, "Accepted Failed NotSupported VersionMismatch"
        ),
    )
    SetChargingProfile = _operation(
        a.set_charging_profile,
        m.status_result(pb.SetChargingProfileResponse, pb.SetChargingProfileStatus, "Accepted Rejected NotSupported"),
    )
    TriggerMessage = _operation(
        a.trigger_message,
        m.status_result(pb.TriggerMessageResponse, pb.TriggerMessageStatus, "Accepted Rejected NotImplemented"),
    )
    UnlockConnector = _operation(
        a.unlock_connector,
        m.status_result(pb.UnlockConnectorResponse, pb.UnlockConnectorStatus, "Unlocked UnlockFailed NotSupported"),
    )
    UpdateFirmware = _operation(a.update_firmware, m.empty_result(pb.UpdateFirmwareResponse))

    # The security extension
    CertificateSigned = _operation(
        x.certificate_signed,
        m.status_result(pb.CertificateSignedResponse, pb.CertificateSignedStatus, "Accepted Rejected"),
    )
    DeleteCertificate = _operation(
        x.delete_certificate,
        m.status_result(pb.DeleteCertificateResponse, pb.DeleteCertificateStatus, "Accepted Failed NotFound"),
    )
    ExtendedTriggerMessage = _operation(
        x.extended_trigger_message,
        m.status_result(
            pb.ExtendedTriggerMessageResponse, pb.ExtendedTriggerMessageStatus, "Accepted Rejected NotImplemented"
        ),
    )
    GetInstalledCertificateIds = _operation(x.get_installed_certificate_ids, m.installed_certificates)
    GetLog = _operation(x.get_log, m.log)
    InstallCertificate = _operation(
        x.install_certificate,
        m.status_result(pb.InstallCertificateResponse, pb.InstallCertificateStatus, "Accepted Failed Rejected"),
    )
    SignedUpdateFirmware = _operation(
        x.signed_update_firmware,
        m.status_result(
            pb.SignedUpdateFirmwareResponse,
            pb.SignedUpdateFirmwareStatus,
            "Accepted Rejected AcceptedCanceled InvalidCertificate RevokedCertificate",
        ),
    )

    @unary
    async def GetCommand(self, request: pb.GetCommandRequest, context: Context) -> pb.GetCommandResponse:
        fields = Fields()
        by_request = bool(request.charge_point or request.request_id)
        if by_request:
            fields.text("charge_point", request.charge_point)
            fields.text("request_id", request.request_id)
            if request.command_id:
                fields.wrong("command_id", "must be left out where charge_point and request_id are set")
        else:
            fields.text("command_id", request.command_id)
        fields.check()
        if by_request:
            given = (request.charge_point, request.request_id)
            record = await self.call(context, self._commands.by_request, *given)
        else:
            record = await self.call(context, self._commands.get, request.command_id)
        return pb.GetCommandResponse(command=m.command(record))

    @unary
    async def ListCommands(self, request: pb.ListCommandsRequest, context: Context) -> pb.ListCommandsResponse:
        asked = command_query(request)
        wanted = page(request.page_size, request.page_token, "commands", asked)
        listed = await self.call(context, self._commands.page, asked, wanted.after, wanted.size)
        basic = request.view == pb.COMMAND_VIEW_BASIC
        messages, token = wanted.cut_found(listed.found, m.basic_command if basic else m.command)
        return pb.ListCommandsResponse(commands=messages, next_page_token=token, resume_token=listed.token)

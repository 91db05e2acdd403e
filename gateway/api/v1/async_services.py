# Generated from protos/ by `make protos`. Not to be edited.
"""The services of the interface as classes: `async` methods, over any transport."""

from collections.abc import AsyncIterable

from gateway.api.methods import Method, Repeatable, AsyncResponseStream, AsyncTransport
from gateway.api.v1 import messages as v1


class AuditService:
    """Which caller did what to which charge point, when, and what came of it. There are entries from when callers
    are required (control.require_callers in the settings): before that they have no names. The audit is no second
    history: an entry stands for an event, or for a change of id tags, callers or the clock, and is recorded with
    it; what came of a command or an operation is read from its record. Only refused calls are recorded for the
    audit alone. Entries are kept as long as the events of their time."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list_audit(self, request: v1.ListAuditRequest, timeout: float | None = None) -> v1.ListAuditResponse:
        """Lists entries, the newest first, a page at a time."""
        return await self._transport.unary(Method("/gateway.api.v1.AuditService/ListAudit", v1.ListAuditRequest, v1.ListAuditResponse, Repeatable.READ), request, timeout)


class CallerService:
    """Who may call the services of the gateway, and what. Callers count where control.require_callers in the
    settings is true; until then they can be made known, and everybody who reaches the port may do everything.
    docs/security.md has the role that each RPC needs. A change that ends in OUTCOME_UNKNOWN (UNKNOWN) may have been
    done: read before it is asked for again. After every other reason it was not. docs/outcomes.md lists every way
    to end."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def create_caller(self, request: v1.CreateCallerRequest, timeout: float | None = None) -> v1.CreateCallerResponse:
        """Makes a caller known; it counts at once. ALREADY_EXISTS with reason CALLER_EXISTS if its name, or the
        name in its certificate, is another's. RESOURCE_EXHAUSTED with reason TOO_MANY_CALLERS if there are 1,000."""
        return await self._transport.unary(Method("/gateway.api.v1.CallerService/CreateCaller", v1.CreateCallerRequest, v1.CreateCallerResponse, Repeatable.NEVER), request, timeout)

    async def list_callers(self, request: v1.ListCallersRequest, timeout: float | None = None) -> v1.ListCallersResponse:
        """Lists all callers by name. Tokens are in no answer."""
        return await self._transport.unary(Method("/gateway.api.v1.CallerService/ListCallers", v1.ListCallersRequest, v1.ListCallersResponse, Repeatable.READ), request, timeout)

    async def revoke_caller(self, request: v1.RevokeCallerRequest, timeout: float | None = None) -> v1.RevokeCallerResponse:
        """Revokes a caller, at once: its next call is refused, and its watches end. A call of it that is under way
        is finished. NOT_FOUND with reason UNKNOWN_CALLER if there is none."""
        return await self._transport.unary(Method("/gateway.api.v1.CallerService/RevokeCaller", v1.RevokeCallerRequest, v1.RevokeCallerResponse, Repeatable.NEVER), request, timeout)


class SteeringService:
    """Limits and plans that are wanted of connectors, and how far they have got. The gateway keeps what is wanted,
    also for a charger that is offline, and brings it onto the charger: after it connects or boots, when a
    transaction starts, after a restart of the gateway, and where the charger has lost or refused its profile.
    docs/steering.md has the states, the times and the bounds. A change is identified by its request_id: the same
    request again changes nothing and is answered as it was; another one under the same id is refused with reason
    REQUEST_ID_REUSED (INVALID_ARGUMENT). The last 256 requests of a charge point are known. What is answered is on
    disk. A change that ends in OUTCOME_UNKNOWN (UNKNOWN) may have been done: repeat it with the same request_id.
    After every other reason it was not. docs/outcomes.md lists every way to end."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def set_wanted_limit(self, request: v1.SetWantedLimitRequest, timeout: float | None = None) -> v1.SetWantedLimitResponse:
        """Sets a limit by hand: it comes before a plan, until it is lifted or its time is over."""
        return await self._transport.unary(Method("/gateway.api.v1.SteeringService/SetWantedLimit", v1.SetWantedLimitRequest, v1.SetWantedLimitResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def lift_wanted_limit(self, request: v1.LiftWantedLimitRequest, timeout: float | None = None) -> v1.LiftWantedLimitResponse:
        """Lifts the limit that was set by hand; the plan, if there is one, holds again."""
        return await self._transport.unary(Method("/gateway.api.v1.SteeringService/LiftWantedLimit", v1.LiftWantedLimitRequest, v1.LiftWantedLimitResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def set_plan(self, request: v1.SetPlanRequest, timeout: float | None = None) -> v1.SetPlanResponse:
        """Sets a plan, in place of the one before."""
        return await self._transport.unary(Method("/gateway.api.v1.SteeringService/SetPlan", v1.SetPlanRequest, v1.SetPlanResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def clear_plan(self, request: v1.ClearPlanRequest, timeout: float | None = None) -> v1.ClearPlanResponse:
        """Takes the plan back."""
        return await self._transport.unary(Method("/gateway.api.v1.SteeringService/ClearPlan", v1.ClearPlanRequest, v1.ClearPlanResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def get_steering(self, request: v1.GetSteeringRequest, timeout: float | None = None) -> v1.GetSteeringResponse:
        """Returns what is wanted of a charge point's connectors, how far that has got, and the profiles that it has
        accepted."""
        return await self._transport.unary(Method("/gateway.api.v1.SteeringService/GetSteering", v1.GetSteeringRequest, v1.GetSteeringResponse, Repeatable.READ), request, timeout)

    async def list_steering(self, request: v1.ListSteeringRequest, timeout: float | None = None) -> v1.ListSteeringResponse:
        """Lists how far the wanted states of all charge points have got, by identity and connector, a page at a
        time."""
        return await self._transport.unary(Method("/gateway.api.v1.SteeringService/ListSteering", v1.ListSteeringRequest, v1.ListSteeringResponse, Repeatable.READ), request, timeout)


class ChargePointService:
    """Which chargers may connect, what is known of them, and whether they are there. A change that ends in
    OUTCOME_UNKNOWN (UNKNOWN) may have been done: read before it is asked for again. After every other reason it was
    not. docs/outcomes.md lists every way to end."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def create_charge_point(self, request: v1.CreateChargePointRequest, timeout: float | None = None) -> v1.CreateChargePointResponse:
        """Creates a charge point, so that it may connect. ALREADY_EXISTS if its identity is taken. With a
        request_id it may be repeated: a generated key is not lost with its answer."""
        return await self._transport.unary(Method("/gateway.api.v1.ChargePointService/CreateChargePoint", v1.CreateChargePointRequest, v1.CreateChargePointResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    def import_charge_points(
        self, requests: AsyncIterable[v1.ImportChargePointsRequest], timeout: float | None = None
    ) -> AsyncResponseStream[v1.ImportChargePointsResponse]:
        """Imports a fleet with the keys that its chargers have already: all of it or none. The caller sends a
        header and the charge points in batches, and ends its side; until then nothing is begun. The gateway answers
        with progress (each key gets a slow hash of some 30 ms, so thousands take minutes) and, last, with the
        result. All faults are reported, and then the RPC ends: INVALID_ARGUMENT with reason IMPORT_REFUSED, or
        ALREADY_EXISTS with reason CHARGE_POINT_EXISTS if nothing else is wrong than that identities are taken. One
        import at a time: FAILED_PRECONDITION with reason IMPORT_RUNNING. An import that is cancelled before the
        result may or may not have happened, whole; repeated, it is refused as taken. One that the gateway ends says
        which, as every change."""
        return self._transport.both(Method("/gateway.api.v1.ChargePointService/ImportChargePoints", v1.ImportChargePointsRequest, v1.ImportChargePointsResponse, Repeatable.NEVER), requests, timeout)

    async def get_charge_point(self, request: v1.GetChargePointRequest, timeout: float | None = None) -> v1.GetChargePointResponse:
        """Returns one charge point. NOT_FOUND if there is none."""
        return await self._transport.unary(Method("/gateway.api.v1.ChargePointService/GetChargePoint", v1.GetChargePointRequest, v1.GetChargePointResponse, Repeatable.READ), request, timeout)

    async def list_charge_points(self, request: v1.ListChargePointsRequest, timeout: float | None = None) -> v1.ListChargePointsResponse:
        """Lists charge points, by identity unless another order is asked for, a page at a time."""
        return await self._transport.unary(Method("/gateway.api.v1.ChargePointService/ListChargePoints", v1.ListChargePointsRequest, v1.ListChargePointsResponse, Repeatable.READ), request, timeout)

    async def count_charge_points(self, request: v1.CountChargePointsRequest, timeout: float | None = None) -> v1.CountChargePointsResponse:
        """Counts charge points by their registration and whether they are connected, and their connectors by
        status."""
        return await self._transport.unary(Method("/gateway.api.v1.ChargePointService/CountChargePoints", v1.CountChargePointsRequest, v1.CountChargePointsResponse, Repeatable.READ), request, timeout)

    async def get_latest_readings(self, request: v1.GetLatestReadingsRequest, timeout: float | None = None) -> v1.GetLatestReadingsResponse:
        """Returns the charging states and newest readings of the connectors of up to 1,000 charge points at once:
        an app server that starts needs no scan. One that is not known is said to be so, and fails nothing."""
        return await self._transport.unary(Method("/gateway.api.v1.ChargePointService/GetLatestReadings", v1.GetLatestReadingsRequest, v1.GetLatestReadingsResponse, Repeatable.READ), request, timeout)

    def stream_latest_readings(self, request: v1.StreamLatestReadingsRequest, timeout: float | None = None) -> AsyncResponseStream[v1.StreamLatestReadingsResponse]:
        """Streams the charging states and newest readings of the connectors of all charge points, in batches, and
        ends: what a platform shows when it starts. Watch from its resume_token, and nothing is missed."""
        return self._transport.stream(Method("/gateway.api.v1.ChargePointService/StreamLatestReadings", v1.StreamLatestReadingsRequest, v1.StreamLatestReadingsResponse, Repeatable.READ), request, timeout)

    async def update_charge_point(self, request: v1.UpdateChargePointRequest, timeout: float | None = None) -> v1.UpdateChargePointResponse:
        """Changes what the mask names, or the key, or both. A change of the registration reaches a live connection
        at once; a change of the key counts from the next connection on. ABORTED with reason ETAG_MISMATCH if an
        etag was given and the charge point has changed since."""
        return await self._transport.unary(Method("/gateway.api.v1.ChargePointService/UpdateChargePoint", v1.UpdateChargePointRequest, v1.UpdateChargePointResponse, Repeatable.NEVER), request, timeout)

    async def delete_charge_point(self, request: v1.DeleteChargePointRequest, timeout: float | None = None) -> v1.DeleteChargePointResponse:
        """Removes a charge point and its keys and ends its connection. Its transactions and events stay."""
        return await self._transport.unary(Method("/gateway.api.v1.ChargePointService/DeleteChargePoint", v1.DeleteChargePointRequest, v1.DeleteChargePointResponse, Repeatable.NEVER), request, timeout)

    async def disconnect_charge_point(self, request: v1.DisconnectChargePointRequest, timeout: float | None = None) -> v1.DisconnectChargePointResponse:
        """Closes the connection of a charge point; it may come back. FAILED_PRECONDITION with reason
        CHARGE_POINT_OFFLINE if it is not connected."""
        return await self._transport.unary(Method("/gateway.api.v1.ChargePointService/DisconnectChargePoint", v1.DisconnectChargePointRequest, v1.DisconnectChargePointResponse, Repeatable.NEVER), request, timeout)


class CommandService:
    """The operations of a central system on a charger: one call for each of OCPP 1.6's operations. A command is a
    durable resource, identified by the caller's request_id: repeated, it sends nothing and returns the first
    outcome, while it is under way by waiting for it. Where that outcome was unknown and the charger has answered
    since, the later one is returned. A request_id is known for at least 7 days, and for 7 days after retention has
    deleted the command's events. The charger's "Rejected" is a response. A command whose outcome is not a
    confirmation ends in an error; the reason in its google.rpc.ErrorInfo, with charge_point and request_id in the
    metadata, and command_id where there is a command, is CHARGE_POINT_OFFLINE (FAILED_PRECONDITION), QUEUE_FULL
    (RESOURCE_EXHAUSTED): nothing was sent; NOT_SENT (DEADLINE_EXCEEDED; UNAVAILABLE where the gateway was stopping
    or its store failing, FAILED_PRECONDITION to a request that repeats that one): nothing was sent; DRAINING,
    STORE_UNAVAILABLE (UNAVAILABLE): nothing was sent, and there is no command with this request_id; OUTCOME_UNKNOWN
    (UNKNOWN): it may have been carried out, now or by an earlier request with this request_id; or the charger's own
    error code, e.g. NotSupported (UNIMPLEMENTED, FAILED_PRECONDITION), with its code, description and details in
    the metadata. docs/outcomes.md lists every way to end. An error without ErrorInfo comes from gRPC and says
    nothing of the command. The gateway answers a quarter of a second before the caller's deadline, so that the
    caller sees which it was; with less than that it sends nothing new."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def cancel_reservation(self, request: v1.CancelReservationRequest, timeout: float | None = None) -> v1.CancelReservationResponse:
        """Cancels a reservation."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/CancelReservation", v1.CancelReservationRequest, v1.CancelReservationResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def change_availability(self, request: v1.ChangeAvailabilityRequest, timeout: float | None = None) -> v1.ChangeAvailabilityResponse:
        """Takes a connector, or with (0, 0) the whole charge point, into or out of use."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/ChangeAvailability", v1.ChangeAvailabilityRequest, v1.ChangeAvailabilityResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def change_configuration(self, request: v1.ChangeConfigurationRequest, timeout: float | None = None) -> v1.ChangeConfigurationResponse:
        """Sets a configuration key."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/ChangeConfiguration", v1.ChangeConfigurationRequest, v1.ChangeConfigurationResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def clear_cache(self, request: v1.ClearCacheRequest, timeout: float | None = None) -> v1.ClearCacheResponse:
        """Clears the charger's authorization cache."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/ClearCache", v1.ClearCacheRequest, v1.ClearCacheResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def clear_charging_profile(self, request: v1.ClearChargingProfileRequest, timeout: float | None = None) -> v1.ClearChargingProfileResponse:
        """Removes charging profiles: the one with the id alone, or those that meet all other criteria; without any:
        all."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/ClearChargingProfile", v1.ClearChargingProfileRequest, v1.ClearChargingProfileResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def data_transfer(self, request: v1.DataTransferRequest, timeout: float | None = None) -> v1.DataTransferResponse:
        """Sends vendor data."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/DataTransfer", v1.DataTransferRequest, v1.DataTransferResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def get_composite_schedule(self, request: v1.GetCompositeScheduleRequest, timeout: float | None = None) -> v1.GetCompositeScheduleResponse:
        """Returns the limits that result from all of the charger's profiles together."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/GetCompositeSchedule", v1.GetCompositeScheduleRequest, v1.GetCompositeScheduleResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def get_configuration(self, request: v1.GetConfigurationRequest, timeout: float | None = None) -> v1.GetConfigurationResponse:
        """Asks for configuration keys."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/GetConfiguration", v1.GetConfigurationRequest, v1.GetConfigurationResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def get_diagnostics(self, request: v1.GetDiagnosticsRequest, timeout: float | None = None) -> v1.GetDiagnosticsResponse:
        """Asks for an upload of diagnostics."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/GetDiagnostics", v1.GetDiagnosticsRequest, v1.GetDiagnosticsResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def get_local_list_version(self, request: v1.GetLocalListVersionRequest, timeout: float | None = None) -> v1.GetLocalListVersionResponse:
        """Asks for the version of the charger's local authorization list."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/GetLocalListVersion", v1.GetLocalListVersionRequest, v1.GetLocalListVersionResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def remote_start_transaction(self, request: v1.RemoteStartTransactionRequest, timeout: float | None = None) -> v1.RemoteStartTransactionResponse:
        """Asks to start a transaction. Accepted is not started: the event transaction.started is."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/RemoteStartTransaction", v1.RemoteStartTransactionRequest, v1.RemoteStartTransactionResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def remote_stop_transaction(self, request: v1.RemoteStopTransactionRequest, timeout: float | None = None) -> v1.RemoteStopTransactionResponse:
        """Asks to stop a transaction. Accepted is not stopped: the event transaction.stopped is."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/RemoteStopTransaction", v1.RemoteStopTransactionRequest, v1.RemoteStopTransactionResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def reserve_now(self, request: v1.ReserveNowRequest, timeout: float | None = None) -> v1.ReserveNowResponse:
        """Reserves a connector for a tag."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/ReserveNow", v1.ReserveNowRequest, v1.ReserveNowResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def reset(self, request: v1.ResetRequest, timeout: float | None = None) -> v1.ResetResponse:
        """Restarts the charger."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/Reset", v1.ResetRequest, v1.ResetResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def send_local_list(self, request: v1.SendLocalListRequest, timeout: float | None = None) -> v1.SendLocalListResponse:
        """Replaces or changes the charger's local authorization list."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/SendLocalList", v1.SendLocalListRequest, v1.SendLocalListResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def set_charging_profile(self, request: v1.SetChargingProfileRequest, timeout: float | None = None) -> v1.SetChargingProfileResponse:
        """Installs a charging profile."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/SetChargingProfile", v1.SetChargingProfileRequest, v1.SetChargingProfileResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def trigger_message(self, request: v1.TriggerMessageRequest, timeout: float | None = None) -> v1.TriggerMessageResponse:
        """Asks the charger to send a message."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/TriggerMessage", v1.TriggerMessageRequest, v1.TriggerMessageResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def unlock_connector(self, request: v1.UnlockConnectorRequest, timeout: float | None = None) -> v1.UnlockConnectorResponse:
        """Unlocks a connector, e.g. for a cable that is stuck. It is not for stopping a transaction."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/UnlockConnector", v1.UnlockConnectorRequest, v1.UnlockConnectorResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def update_firmware(self, request: v1.UpdateFirmwareRequest, timeout: float | None = None) -> v1.UpdateFirmwareResponse:
        """Asks the charger to fetch and install firmware. Its progress comes as firmware.status_reported."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/UpdateFirmware", v1.UpdateFirmwareRequest, v1.UpdateFirmwareResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def certificate_signed(self, request: v1.CertificateSignedRequest, timeout: float | None = None) -> v1.CertificateSignedResponse:
        """Gives the charger a new certificate of its own. The security extension's, as all that follow."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/CertificateSigned", v1.CertificateSignedRequest, v1.CertificateSignedResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def delete_certificate(self, request: v1.DeleteCertificateRequest, timeout: float | None = None) -> v1.DeleteCertificateResponse:
        """Deletes a root certificate from the charger."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/DeleteCertificate", v1.DeleteCertificateRequest, v1.DeleteCertificateResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def extended_trigger_message(self, request: v1.ExtendedTriggerMessageRequest, timeout: float | None = None) -> v1.ExtendedTriggerMessageResponse:
        """Asks the charger to send a message, also one of the security extension."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/ExtendedTriggerMessage", v1.ExtendedTriggerMessageRequest, v1.ExtendedTriggerMessageResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def get_installed_certificate_ids(self, request: v1.GetInstalledCertificateIdsRequest, timeout: float | None = None) -> v1.GetInstalledCertificateIdsResponse:
        """Asks for the root certificates that are installed in the charger."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/GetInstalledCertificateIds", v1.GetInstalledCertificateIdsRequest, v1.GetInstalledCertificateIdsResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def get_log(self, request: v1.GetLogRequest, timeout: float | None = None) -> v1.GetLogResponse:
        """Asks for an upload of a log. Its progress comes as log.status_reported."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/GetLog", v1.GetLogRequest, v1.GetLogResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def install_certificate(self, request: v1.InstallCertificateRequest, timeout: float | None = None) -> v1.InstallCertificateResponse:
        """Installs a root certificate in the charger."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/InstallCertificate", v1.InstallCertificateRequest, v1.InstallCertificateResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def signed_update_firmware(self, request: v1.SignedUpdateFirmwareRequest, timeout: float | None = None) -> v1.SignedUpdateFirmwareResponse:
        """Asks the charger to fetch, verify and install signed firmware. Its progress comes as
        firmware.status_reported."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/SignedUpdateFirmware", v1.SignedUpdateFirmwareRequest, v1.SignedUpdateFirmwareResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def get_command(self, request: v1.GetCommandRequest, timeout: float | None = None) -> v1.GetCommandResponse:
        """Returns one command. NOT_FOUND if there is none."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/GetCommand", v1.GetCommandRequest, v1.GetCommandResponse, Repeatable.READ), request, timeout)

    async def list_commands(self, request: v1.ListCommandsRequest, timeout: float | None = None) -> v1.ListCommandsResponse:
        """Lists commands, the newest first, a page at a time."""
        return await self._transport.unary(Method("/gateway.api.v1.CommandService/ListCommands", v1.ListCommandsRequest, v1.ListCommandsResponse, Repeatable.READ), request, timeout)


class DiagnosticsService:
    """Diagnostics of connections: refused connections and the reasons, the last frames of each charge point,
    repairs that reading them needed, and latencies. All of it is kept in memory only, within bounds, since the
    gateway started, and is of the node that is asked; none of it holds a password or an AuthorizationKey."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list_refused_connections(self, request: v1.ListRefusedConnectionsRequest, timeout: float | None = None) -> v1.ListRefusedConnectionsResponse:
        """Lists connections that were not served, the newest entry first, a page at a time. What repeats is one
        entry with a count. At most 1,000 entries are kept; when there are more, the network with the most loses
        those least recently seen."""
        return await self._transport.unary(Method("/gateway.api.v1.DiagnosticsService/ListRefusedConnections", v1.ListRefusedConnectionsRequest, v1.ListRefusedConnectionsResponse, Repeatable.READ), request, timeout)

    async def list_frames(self, request: v1.ListFramesRequest, timeout: float | None = None) -> v1.ListFramesResponse:
        """Lists the last frames of a charge point, the oldest first: all that are kept, as set by
        sessions.kept_frames. Those of the 1,000 charge points that went last are there, too. NOT_FOUND if there is
        no such charge point, FAILED_PRECONDITION with reason FRAMES_NOT_KEPT if the setting is 0."""
        return await self._transport.unary(Method("/gateway.api.v1.DiagnosticsService/ListFrames", v1.ListFramesRequest, v1.ListFramesResponse, Repeatable.READ), request, timeout)

    async def list_deviations(self, request: v1.ListDeviationsRequest, timeout: float | None = None) -> v1.ListDeviationsResponse:
        """Lists the repairs that reading chargers' messages needed, by make and firmware; the newest entry first, a
        page at a time. At most 2,000 entries are kept; the least recently seen go first."""
        return await self._transport.unary(Method("/gateway.api.v1.DiagnosticsService/ListDeviations", v1.ListDeviationsRequest, v1.ListDeviationsResponse, Repeatable.READ), request, timeout)

    async def list_latencies(self, request: v1.ListLatenciesRequest, timeout: float | None = None) -> v1.ListLatenciesResponse:
        """Lists how long answers took, by action, make and firmware: of the gateway to charge points, and of charge
        points to the gateway's CALLs. The newest entry first, a page at a time. 200 firmwares are kept at most;
        beyond that the one of the fewest connections and boots goes."""
        return await self._transport.unary(Method("/gateway.api.v1.DiagnosticsService/ListLatencies", v1.ListLatenciesRequest, v1.ListLatenciesResponse, Repeatable.READ), request, timeout)

    def tap_charge_point(self, request: v1.TapChargePointRequest, timeout: float | None = None) -> AsyncResponseStream[v1.TapChargePointResponse]:
        """Streams the frames of a charge point as they come, without secrets, also those of its connections to
        come, until the caller ends it or the gateway stops. The first response is empty: the tap is open. It is
        noted in the audit. NOT_FOUND if there is no such charge point, FAILED_PRECONDITION with reason
        FRAMES_NOT_KEPT if sessions.kept_frames is 0, RESOURCE_EXHAUSTED with reason TOO_MANY_TAPS if eight are
        open."""
        return self._transport.stream(Method("/gateway.api.v1.DiagnosticsService/TapChargePoint", v1.TapChargePointRequest, v1.TapChargePointResponse, Repeatable.NEVER), request, timeout)

    async def list_flapping(self, request: v1.ListFlappingRequest, timeout: float | None = None) -> v1.ListFlappingResponse:
        """Lists the charge points that come and go: 20 connects with their own key or certificate within ten
        minutes. They are answered 503 for 30 seconds after a connect, twice as long each time, ten minutes at most,
        until they stay. The one with the most connects first, at most 1,000."""
        return await self._transport.unary(Method("/gateway.api.v1.DiagnosticsService/ListFlapping", v1.ListFlappingRequest, v1.ListFlappingResponse, Repeatable.READ), request, timeout)

    async def get_log_levels(self, request: v1.GetLogLevelsRequest, timeout: float | None = None) -> v1.GetLogLevelsResponse:
        """Returns the levels of the log: of the settings, and those that hold for a while."""
        return await self._transport.unary(Method("/gateway.api.v1.DiagnosticsService/GetLogLevels", v1.GetLogLevelsRequest, v1.GetLogLevelsResponse, Repeatable.READ), request, timeout)

    async def set_log_level(self, request: v1.SetLogLevelRequest, timeout: float | None = None) -> v1.SetLogLevelResponse:
        """Sets the level of the log for a while, of the process or of one charge point; it ends in its time, and
        with the process. Lines of a charge point are those that name it; at debug each of its frames is one,
        without secrets. It is noted in the audit. NOT_FOUND if there is no such charge point, RESOURCE_EXHAUSTED
        with reason TOO_MANY_LOG_LEVELS if 16 have one."""
        return await self._transport.unary(Method("/gateway.api.v1.DiagnosticsService/SetLogLevel", v1.SetLogLevelRequest, v1.SetLogLevelResponse, Repeatable.NEVER), request, timeout)

    async def get_gateway_status(self, request: v1.GetGatewayStatusRequest, timeout: float | None = None) -> v1.GetGatewayStatusResponse:
        """Returns how the gateway that answers fares: its store and the disk under it, who watches events and how
        far behind, and the certificates that it serves. Sizes are those of the last look, 15 seconds old at most
        while the disk answers."""
        return await self._transport.unary(Method("/gateway.api.v1.DiagnosticsService/GetGatewayStatus", v1.GetGatewayStatusRequest, v1.GetGatewayStatusResponse, Repeatable.READ), request, timeout)


class OperationService:
    """Charging switched on and off, paused and limited, and verified; and how a charger is let in, changed.
    docs/operations-of-charging.md and docs/security.md have the courses of operations. An operation is a durable
    resource, identified by the caller's request_id: repeated, it begins nothing and returns the operation as it is.
    It is answered at once when it is accepted and on disk; what becomes of it is watched (WatchOperation) or asked
    for (GetOperation). A start or a stop sends one command, never twice, and never after its expiry: the caller's
    deadline, two minutes at most. A pause or a limit is kept for a charge point that is not connected: the
    operation ends OFFLINE, reason "kept", and GetSteering shows what becomes of it. A request_id is one
    operation's, of whatever kind, and is known for as long as the operation is kept: as commands are. What can be
    known beforehand is refused beforehand, and nothing comes into being: FAILED_PRECONDITION with a reason of
    CHARGE_POINT_OFFLINE, CHARGE_POINT_PENDING, CHARGE_POINT_REJECTED; ID_TAG_NOT_ACCEPTED: the tag is unknown,
    blocked, expired, or in use, as the metadata's status says; UNKNOWN_CONNECTOR, CONNECTOR_UNAVAILABLE,
    CONNECTOR_RESERVED, NOT_PLUGGED_IN, TRANSACTION_OPEN, OPERATION_OPEN; SEVERAL_TRANSACTIONS: the request does not
    say which one is to be stopped; NOT_FOUND, reason NO_TRANSACTION; RESOURCE_EXHAUSTED, reason TOO_MANY_OPERATIONS
    or QUEUE_FULL. With insist a start goes out in spite of a reason of the second and third line. docs/outcomes.md
    lists every way to end."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def start_charging(self, request: v1.StartChargingRequest, timeout: float | None = None) -> v1.StartChargingResponse:
        """Starts charging: DONE when a transaction has come of it and the meter shows power."""
        return await self._transport.unary(Method("/gateway.api.v1.OperationService/StartCharging", v1.StartChargingRequest, v1.StartChargingResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def stop_charging(self, request: v1.StopChargingRequest, timeout: float | None = None) -> v1.StopChargingResponse:
        """Stops charging: DONE when the transaction has stopped, or, where no stop comes, the meter shows no power
        any more."""
        return await self._transport.unary(Method("/gateway.api.v1.OperationService/StopCharging", v1.StopChargingRequest, v1.StopChargingResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def pause_charging(self, request: v1.PauseChargingRequest, timeout: float | None = None) -> v1.PauseChargingResponse:
        """Pauses charging: a limit of 0 is set by hand (as SetWantedLimit does), which comes before a plan until it
        is lifted or its time is over. DONE when the meter shows it, or the charger has accepted it and no
        transaction is open."""
        return await self._transport.unary(Method("/gateway.api.v1.OperationService/PauseCharging", v1.PauseChargingRequest, v1.PauseChargingResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def resume_charging(self, request: v1.ResumeChargingRequest, timeout: float | None = None) -> v1.ResumeChargingResponse:
        """Lifts what PauseCharging or LimitCharging has set; a plan holds again. DONE when power flows after the
        charger has accepted it (or what the plan still limits, as of PauseCharging), or it has accepted it and no
        transaction is open; NO_EFFECT (no-power) where power stays away."""
        return await self._transport.unary(Method("/gateway.api.v1.OperationService/ResumeCharging", v1.ResumeChargingRequest, v1.ResumeChargingResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def limit_charging(self, request: v1.LimitChargingRequest, timeout: float | None = None) -> v1.LimitChargingResponse:
        """Limits charging by hand, never upwards: DONE as PauseCharging is."""
        return await self._transport.unary(Method("/gateway.api.v1.OperationService/LimitCharging", v1.LimitChargingRequest, v1.LimitChargingResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def rotate_authorization_key(self, request: v1.RotateAuthorizationKeyRequest, timeout: float | None = None) -> v1.RotateAuthorizationKeyResponse:
        """Gives the charger another AuthorizationKey: 20 random letters and digits that are shown to no one, and
        are on disk as a verifier only. The charger's answer decides which key lets it in: after "Accepted" the new
        one alone, after "RebootRequired" both until it has booted with the new one, after "Rejected" or
        "NotSupported" the old one alone. After a time-out, a lost link or a restart of the gateway all that it may
        have taken do, until it has connected with one; a rotation that is resumed after that, or whose key was not
        sent, makes a new key, up to four in all. With reset the charger is reset after "RebootRequired": once no
        transaction is open (with insist: at once), and never a second time where it gave no answer; the stages tell
        what came of it. DONE when the new key holds. It is followed for a day, whatever the caller's deadline.
        FAILED_PRECONDITION, reason OPERATION_OPEN, while another change of how the charge point is let in is under
        way."""
        return await self._transport.unary(Method("/gateway.api.v1.OperationService/RotateAuthorizationKey", v1.RotateAuthorizationKeyRequest, v1.RotateAuthorizationKeyResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def upload_log(self, request: v1.UploadLogRequest, timeout: float | None = None) -> v1.UploadLogResponse:
        """Has the charger upload a log (GetLog), and follows it: DONE when it is uploaded, NO_EFFECT when that
        fails, or a later upload takes its place. Not sent within two minutes it never is; followed for six hours."""
        return await self._transport.unary(Method("/gateway.api.v1.OperationService/UploadLog", v1.UploadLogRequest, v1.UploadLogResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def install_firmware(self, request: v1.InstallFirmwareRequest, timeout: float | None = None) -> v1.InstallFirmwareResponse:
        """Has the charger fetch and install firmware, and follows it: signed firmware (SignedUpdateFirmware) where
        a certificate and a signature are given, else plain (UpdateFirmware). DONE when the charger reports it as
        installed, or has booted with another firmware version and gone on with it for five minutes (reason "new-
        version"); NO_EFFECT when a step fails, or a later update takes the place of signed firmware. Plain firmware
        whose reports may be a later update's ends UNKNOWN ("superseded"). Not sent within two minutes it never is;
        followed for a day from the time at which it is to be fetched, or installed: what it has come to is UNKNOWN
        then ("no-report" where nothing was ever reported, "idle" where the last report was Idle, "no-end")."""
        return await self._transport.unary(Method("/gateway.api.v1.OperationService/InstallFirmware", v1.InstallFirmwareRequest, v1.InstallFirmwareResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def renew_certificate(self, request: v1.RenewCertificateRequest, timeout: float | None = None) -> v1.RenewCertificateResponse:
        """Has the charger ask for a new certificate of its own (ExtendedTriggerMessage), and follows it until the
        signing service has issued it and the charger has taken it: DONE. NO_EFFECT when the request is not to be
        signed, the service refuses, or the charger does not take the certificate. Followed for two days.
        FAILED_PRECONDITION, reason OPERATION_OPEN, while the certificate is being renewed."""
        return await self._transport.unary(Method("/gateway.api.v1.OperationService/RenewCertificate", v1.RenewCertificateRequest, v1.RenewCertificateResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def upgrade_security_profile(self, request: v1.UpgradeSecurityProfileRequest, timeout: float | None = None) -> v1.UpgradeSecurityProfileResponse:
        """Raises the security profile of a charger: SecurityProfile is set, the charger is reset, once no
        transaction is open, and its connection with the higher profile confirms it: DONE, and from then on a lower
        one is refused (ChargePoint.minimum_security_profile). Where it comes back with the old one, or not within
        an hour, it is ROLLED_BACK; until it is known both let it in. Beforehand: FAILED_PRECONDITION with reason
        PREREQUISITE_MISSING, whose metadata "missing" names what (listener, ca_certificate, authorization_key,
        client_certificate); PROFILE_NOT_HIGHER; TRANSACTION_OPEN, unless insist; OPERATION_OPEN."""
        return await self._transport.unary(Method("/gateway.api.v1.OperationService/UpgradeSecurityProfile", v1.UpgradeSecurityProfileRequest, v1.UpgradeSecurityProfileResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def get_operation(self, request: v1.GetOperationRequest, timeout: float | None = None) -> v1.GetOperationResponse:
        """One operation. NOT_FOUND, reason UNKNOWN_OPERATION, if there is none."""
        return await self._transport.unary(Method("/gateway.api.v1.OperationService/GetOperation", v1.GetOperationRequest, v1.GetOperationResponse, Repeatable.READ), request, timeout)

    async def list_operations(self, request: v1.ListOperationsRequest, timeout: float | None = None) -> v1.ListOperationsResponse:
        """Operations, newest first."""
        return await self._transport.unary(Method("/gateway.api.v1.OperationService/ListOperations", v1.ListOperationsRequest, v1.ListOperationsResponse, Repeatable.READ), request, timeout)

    def watch_operation(self, request: v1.WatchOperationRequest, timeout: float | None = None) -> AsyncResponseStream[v1.WatchOperationResponse]:
        """The operation as it is, and again each time it has reached a stage, until it has ended. NOT_FOUND, reason
        UNKNOWN_OPERATION, if there is none."""
        return self._transport.stream(Method("/gateway.api.v1.OperationService/WatchOperation", v1.WatchOperationRequest, v1.WatchOperationResponse, Repeatable.READ), request, timeout)


class EventService:
    """All that happens, as it is recorded. docs/events.md is the contract: each type, when it happens, its fields."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def watch_events(self, request: v1.WatchEventsRequest, timeout: float | None = None) -> AsyncResponseStream[v1.WatchEventsResponse]:
        """Events as they are recorded, in batches. Order is promised for each charge point; delivery is at least
        once: who keeps the resume token of the last batch dealt with, and starts anew with it, misses nothing. The
        first message comes at once, and carries a resume token whether or not it carries events. A watcher that
        reads slowly lags behind and is not cut off; one that lags below retention ends with OUT_OF_RANGE, reason
        BELOW_RETENTION. One that ends with UNAVAILABLE or INTERNAL is to be started anew with the last resume
        token, after a pause: INTERNAL is a failure of the gateway's on this one watch, and nothing is lost by it. A
        watch that ends with INTERNAL again and again at the same token is to be reported."""
        return self._transport.stream(Method("/gateway.api.v1.EventService/WatchEvents", v1.WatchEventsRequest, v1.WatchEventsResponse, Repeatable.READ), request, timeout)

    def watch_meter_values(self, request: v1.WatchMeterValuesRequest, timeout: float | None = None) -> AsyncResponseStream[v1.WatchMeterValuesResponse]:
        """Meter values as they are recorded, as typed samples: those reported, and those that come with a
        transaction's start and stop. Promises as for WatchEvents; a batch holds whole events."""
        return self._transport.stream(Method("/gateway.api.v1.EventService/WatchMeterValues", v1.WatchMeterValuesRequest, v1.WatchMeterValuesResponse, Repeatable.READ), request, timeout)


class TransactionService:
    """Charging transactions, and what was metered in them."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def get_transaction(self, request: v1.GetTransactionRequest, timeout: float | None = None) -> v1.GetTransactionResponse:
        """Returns one transaction. NOT_FOUND if there is none."""
        return await self._transport.unary(Method("/gateway.api.v1.TransactionService/GetTransaction", v1.GetTransactionRequest, v1.GetTransactionResponse, Repeatable.READ), request, timeout)

    async def list_transactions(self, request: v1.ListTransactionsRequest, timeout: float | None = None) -> v1.ListTransactionsResponse:
        """Lists transactions, the newest start first unless another order is asked for, a page at a time."""
        return await self._transport.unary(Method("/gateway.api.v1.TransactionService/ListTransactions", v1.ListTransactionsRequest, v1.ListTransactionsResponse, Repeatable.READ), request, timeout)

    def stream_open_transactions(self, request: v1.StreamOpenTransactionsRequest, timeout: float | None = None) -> AsyncResponseStream[v1.StreamOpenTransactionsResponse]:
        """Streams all open transactions, in batches, the earliest start first, and ends: what a platform shows when
        it starts. Watch from its resume_token, and nothing is missed."""
        return self._transport.stream(Method("/gateway.api.v1.TransactionService/StreamOpenTransactions", v1.StreamOpenTransactionsRequest, v1.StreamOpenTransactionsResponse, Repeatable.READ), request, timeout)

    async def count_transactions(self, request: v1.CountTransactionsRequest, timeout: float | None = None) -> v1.CountTransactionsResponse:
        """Counts transactions by their state."""
        return await self._transport.unary(Method("/gateway.api.v1.TransactionService/CountTransactions", v1.CountTransactionsRequest, v1.CountTransactionsResponse, Repeatable.READ), request, timeout)

    async def list_transaction_readings(self, request: v1.ListTransactionReadingsRequest, timeout: float | None = None) -> v1.ListTransactionReadingsResponse:
        """Lists all that was metered in a transaction, in the order of receipt, a page at a time. NOT_FOUND if
        there is none."""
        return await self._transport.unary(Method("/gateway.api.v1.TransactionService/ListTransactionReadings", v1.ListTransactionReadingsRequest, v1.ListTransactionReadingsResponse, Repeatable.READ), request, timeout)

    async def close_transaction(self, request: v1.CloseTransactionRequest, timeout: float | None = None) -> v1.CloseTransactionResponse:
        """Ends the record of an open transaction whose stop does not come; nothing is sent to the charger, and a
        stop that comes later still counts. With a register, which then ends its bill, also that of one that is
        lost, or was closed without one. Closing one again as it is closed changes nothing and returns it. NOT_FOUND
        if there is none; FAILED_PRECONDITION, reason TRANSACTION_NOT_OPEN, if it has ended otherwise, or
        METER_BELOW_LAST, if the register is below the last one that is known and the operator does not insist."""
        return await self._transport.unary(Method("/gateway.api.v1.TransactionService/CloseTransaction", v1.CloseTransactionRequest, v1.CloseTransactionResponse, Repeatable.NEVER), request, timeout)

    async def attribute_orphan(self, request: v1.AttributeOrphanRequest, timeout: float | None = None) -> v1.AttributeOrphanResponse:
        """Ties a stop that belongs to no transaction to one of the same charge point that has no stop, and ends it
        as the stop would have. Repeating it with the same request_id changes nothing and returns the transaction.
        NOT_FOUND if there is no such transaction, or no such stop; FAILED_PRECONDITION, reason TRANSACTION_STOPPED,
        if the transaction has a stop, ORPHAN_ATTRIBUTED, if the stop is tied to a transaction already, or
        METER_BELOW_START, if its register is below that of the start and the operator does not insist."""
        return await self._transport.unary(Method("/gateway.api.v1.TransactionService/AttributeOrphan", v1.AttributeOrphanRequest, v1.AttributeOrphanResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def list_orphans(self, request: v1.ListOrphansRequest, timeout: float | None = None) -> v1.ListOrphansResponse:
        """Lists stops that belong to no transaction that the gateway knows, in the order of receipt, a page at a
        time. Those that were tied to a transaction since are among them, unless the filter says `attributed =
        false`."""
        return await self._transport.unary(Method("/gateway.api.v1.TransactionService/ListOrphans", v1.ListOrphansRequest, v1.ListOrphansResponse, Repeatable.READ), request, timeout)


class EnergyService:
    """The energy of transactions as it is billed: by interval of local time, and what it costs. docs/energy.md has
    the rules. Everything here is worked out from the recorded events when it is asked for, and changes nothing.
    What is worked out names its revision: a number that rises by one with each result that is another one than
    before, and has an event (transaction.energy_changed). It names its position, too: the same position gives the
    same numbers for as long as the readings are kept."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list_transaction_energy(self, request: v1.ListTransactionEnergyRequest, timeout: float | None = None) -> v1.ListTransactionEnergyResponse:
        """The energy of a transaction by clock-aligned interval, in order, a page at a time. The intervals of all
        pages sum exactly to its energy. NOT_FOUND if there is no such transaction; FAILED_PRECONDITION, reason
        TOO_MANY_READINGS, if it has more readings than are worked out."""
        return await self._transport.unary(Method("/gateway.api.v1.EnergyService/ListTransactionEnergy", v1.ListTransactionEnergyRequest, v1.ListTransactionEnergyResponse, Repeatable.READ), request, timeout)

    async def compute_cost(self, request: v1.ComputeCostRequest, timeout: float | None = None) -> v1.ComputeCostResponse:
        """Computes the cost of a transaction by a price schedule. NOT_FOUND if there is no such transaction;
        FAILED_PRECONDITION, reason ENERGY_NOT_KNOWN, if its energy is not known, TOO_MANY_READINGS, if it has more
        readings than are worked out, or ENERGY_REVISED, if its energy is of another revision than the one that is
        asked for."""
        return await self._transport.unary(Method("/gateway.api.v1.EnergyService/ComputeCost", v1.ComputeCostRequest, v1.ComputeCostResponse, Repeatable.READ), request, timeout)

    async def estimate_completion(self, request: v1.EstimateCompletionRequest, timeout: float | None = None) -> v1.EstimateCompletionResponse:
        """An estimate of when the charging of a transaction will be done. Where there is none, the state of the
        response says why. NOT_FOUND if there is no such transaction; FAILED_PRECONDITION, reason
        TRANSACTION_NOT_OPEN, if it has ended, or TOO_MANY_READINGS, if it has more readings than are worked out."""
        return await self._transport.unary(Method("/gateway.api.v1.EnergyService/EstimateCompletion", v1.EstimateCompletionRequest, v1.EstimateCompletionResponse, Repeatable.READ), request, timeout)


class FleetService:
    """The fleet in numbers, and one operation for each of many charge points, at a pace that is kept. A fleet job
    is a durable resource, identified by the caller's request_id: repeated, it begins nothing and returns the job as
    it is. With any other field than the job's request had it is refused with reason REQUEST_ID_REUSED
    (INVALID_ARGUMENT), fleet_job in the metadata: also with another selection, whichever charge points were in it;
    in what order they are named does not matter. The charge points are selected when it is made. Each gets one
    operation (OperationService), whose request_id is the job's id; it is begun when the charge point is connected,
    at most so many in a minute and so many at once, and never twice, whatever becomes of the gateway in between. An
    operation that waits for its charger's return or boot, or for a signing service, holds no place. A job ends when
    all of its operations have ended. The newest 100 jobs are kept."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def rotate_authorization_keys(self, request: v1.RotateAuthorizationKeysRequest, timeout: float | None = None) -> v1.RotateAuthorizationKeysResponse:
        """Gives each charger another AuthorizationKey (OperationService.RotateAuthorizationKey), with its reset
        where that is asked for. NOT_FOUND with reason UNKNOWN_CHARGE_POINT if one of those that are named is not
        there; RESOURCE_EXHAUSTED with reason TOO_MANY_FLEET_JOBS if eight jobs are running."""
        return await self._transport.unary(Method("/gateway.api.v1.FleetService/RotateAuthorizationKeys", v1.RotateAuthorizationKeysRequest, v1.RotateAuthorizationKeysResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def renew_certificates(self, request: v1.RenewCertificatesRequest, timeout: float | None = None) -> v1.RenewCertificatesResponse:
        """Has each charger ask for a new certificate of its own (OperationService.RenewCertificate). Errors as of
        RotateAuthorizationKeys."""
        return await self._transport.unary(Method("/gateway.api.v1.FleetService/RenewCertificates", v1.RenewCertificatesRequest, v1.RenewCertificatesResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def roll_out_firmware(self, request: v1.RollOutFirmwareRequest, timeout: float | None = None) -> v1.RollOutFirmwareResponse:
        """Has each charger fetch and install firmware (OperationService.InstallFirmware): signed where a
        certificate and a signature are given, else plain; no charger gets the one in place of the other. The job
        keeps what it sends: a location with a password or another secret is refused with INVALID_ARGUMENT. A
        charger that gave no answer is sent nothing a second time; its outcome is UNKNOWN or TIMED_OUT. One of which
        nothing was heard for an hour holds no place any more. Errors else as of RotateAuthorizationKeys."""
        return await self._transport.unary(Method("/gateway.api.v1.FleetService/RollOutFirmware", v1.RollOutFirmwareRequest, v1.RollOutFirmwareResponse, Repeatable.BY_REQUEST_ID), request, timeout)

    async def get_fleet_job(self, request: v1.GetFleetJobRequest, timeout: float | None = None) -> v1.GetFleetJobResponse:
        """Returns one job. NOT_FOUND with reason UNKNOWN_FLEET_JOB if there is none."""
        return await self._transport.unary(Method("/gateway.api.v1.FleetService/GetFleetJob", v1.GetFleetJobRequest, v1.GetFleetJobResponse, Repeatable.READ), request, timeout)

    async def list_fleet_jobs(self, request: v1.ListFleetJobsRequest, timeout: float | None = None) -> v1.ListFleetJobsResponse:
        """Lists the jobs that are kept, newest first."""
        return await self._transport.unary(Method("/gateway.api.v1.FleetService/ListFleetJobs", v1.ListFleetJobsRequest, v1.ListFleetJobsResponse, Repeatable.READ), request, timeout)

    async def list_fleet_job_items(self, request: v1.ListFleetJobItemsRequest, timeout: float | None = None) -> v1.ListFleetJobItemsResponse:
        """Lists what has become of each charge point of a job, by identity. NOT_FOUND with reason UNKNOWN_FLEET_JOB
        if there is no such job."""
        return await self._transport.unary(Method("/gateway.api.v1.FleetService/ListFleetJobItems", v1.ListFleetJobItemsRequest, v1.ListFleetJobItemsResponse, Repeatable.READ), request, timeout)

    def watch_fleet_job(self, request: v1.WatchFleetJobRequest, timeout: float | None = None) -> AsyncResponseStream[v1.WatchFleetJobResponse]:
        """The job as it is, and again when it has come further, at most once a second, until it has ended.
        NOT_FOUND with reason UNKNOWN_FLEET_JOB if there is none."""
        return self._transport.stream(Method("/gateway.api.v1.FleetService/WatchFleetJob", v1.WatchFleetJobRequest, v1.WatchFleetJobResponse, Repeatable.READ), request, timeout)

    async def cancel_fleet_job(self, request: v1.CancelFleetJobRequest, timeout: float | None = None) -> v1.CancelFleetJobResponse:
        """Begins nothing more of a job. What was begun goes on, and the job ends with it. Repeating it changes
        nothing. NOT_FOUND with reason UNKNOWN_FLEET_JOB if there is none."""
        return await self._transport.unary(Method("/gateway.api.v1.FleetService/CancelFleetJob", v1.CancelFleetJobRequest, v1.CancelFleetJobResponse, Repeatable.NEVER), request, timeout)

    async def get_fleet_summary(self, request: v1.GetFleetSummaryRequest, timeout: float | None = None) -> v1.GetFleetSummaryResponse:
        """Returns the fleet in numbers: counts, power now and over the last 24 hours, faults, and what is silent.
        Where several gateways share the store the power is that of the charge points at the one that answers; all
        else is of all."""
        return await self._transport.unary(Method("/gateway.api.v1.FleetService/GetFleetSummary", v1.GetFleetSummaryRequest, v1.GetFleetSummaryResponse, Repeatable.READ), request, timeout)

    def watch_fleet_summary(self, request: v1.WatchFleetSummaryRequest, timeout: float | None = None) -> AsyncResponseStream[v1.WatchFleetSummaryResponse]:
        """The same, and again every five seconds, until the caller ends it."""
        return self._transport.stream(Method("/gateway.api.v1.FleetService/WatchFleetSummary", v1.WatchFleetSummaryRequest, v1.WatchFleetSummaryResponse, Repeatable.READ), request, timeout)


class IdTagService:
    """The operator's table of idTags: who may charge. What happens to tags that are not in it is the gateway's
    setting. A change that ends in OUTCOME_UNKNOWN (UNKNOWN) may have been done: read before it is asked for again.
    After every other reason it was not. docs/outcomes.md lists every way to end."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def create_id_tag(self, request: v1.CreateIdTagRequest, timeout: float | None = None) -> v1.CreateIdTagResponse:
        """Adds a tag. ALREADY_EXISTS if there is one that differs in case at most."""
        return await self._transport.unary(Method("/gateway.api.v1.IdTagService/CreateIdTag", v1.CreateIdTagRequest, v1.CreateIdTagResponse, Repeatable.NEVER), request, timeout)

    async def get_id_tag(self, request: v1.GetIdTagRequest, timeout: float | None = None) -> v1.GetIdTagResponse:
        """Returns one tag. NOT_FOUND if there is none."""
        return await self._transport.unary(Method("/gateway.api.v1.IdTagService/GetIdTag", v1.GetIdTagRequest, v1.GetIdTagResponse, Repeatable.READ), request, timeout)

    async def list_id_tags(self, request: v1.ListIdTagsRequest, timeout: float | None = None) -> v1.ListIdTagsResponse:
        """Lists tags in a stable order, a page at a time."""
        return await self._transport.unary(Method("/gateway.api.v1.IdTagService/ListIdTags", v1.ListIdTagsRequest, v1.ListIdTagsResponse, Repeatable.READ), request, timeout)

    async def update_id_tag(self, request: v1.UpdateIdTagRequest, timeout: float | None = None) -> v1.UpdateIdTagResponse:
        """Changes what the mask names. ABORTED with reason ETAG_MISMATCH if an etag was given and the tag has
        changed since."""
        return await self._transport.unary(Method("/gateway.api.v1.IdTagService/UpdateIdTag", v1.UpdateIdTagRequest, v1.UpdateIdTagResponse, Repeatable.NEVER), request, timeout)

    async def delete_id_tag(self, request: v1.DeleteIdTagRequest, timeout: float | None = None) -> v1.DeleteIdTagResponse:
        """Removes a tag. Transactions that it started stay."""
        return await self._transport.unary(Method("/gateway.api.v1.IdTagService/DeleteIdTag", v1.DeleteIdTagRequest, v1.DeleteIdTagResponse, Repeatable.NEVER), request, timeout)

    async def check_id_tag(self, request: v1.CheckIdTagRequest, timeout: float | None = None) -> v1.CheckIdTagResponse:
        """Returns the standing that a charge point would be answered if a transaction with this tag started there
        now. Nothing is recorded or reserved: another start may use the tag before this one does. NOT_FOUND if there
        is no such charge point."""
        return await self._transport.unary(Method("/gateway.api.v1.IdTagService/CheckIdTag", v1.CheckIdTagRequest, v1.CheckIdTagResponse, Repeatable.READ), request, timeout)


class RetentionService:
    """Retention by age: events are deleted, or wait because the gateway's clock is doubted."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def get_retention(self, request: v1.GetRetentionRequest, timeout: float | None = None) -> v1.GetRetentionResponse:
        """Returns the state of retention."""
        return await self._transport.unary(Method("/gateway.api.v1.RetentionService/GetRetention", v1.GetRetentionRequest, v1.GetRetentionResponse, Repeatable.READ), request, timeout)

    async def confirm_clock(self, request: v1.ConfirmClockRequest, timeout: float | None = None) -> v1.ConfirmClockResponse:
        """Confirms that the gateway's clock is right: deleting by age goes on at once, and is bounded as always.
        Does nothing if the clock is not doubted. FAILED_PRECONDITION, reason CLOCK_DIFFERS, if the gateway's clock
        shows another time by now."""
        return await self._transport.unary(Method("/gateway.api.v1.RetentionService/ConfirmClock", v1.ConfirmClockRequest, v1.ConfirmClockResponse, Repeatable.NEVER), request, timeout)


class ServerService:
    """What the gateway is that a client has reached. Any caller may ask."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def get_server_info(self, request: v1.GetServerInfoRequest, timeout: float | None = None) -> v1.GetServerInfoResponse:
        """Returns what it is, what it can do, and its limits. While its store can't be read, what is said of the
        store is as of when it could last."""
        return await self._transport.unary(Method("/gateway.api.v1.ServerService/GetServerInfo", v1.GetServerInfoRequest, v1.GetServerInfoResponse, Repeatable.READ), request, timeout)

    async def drain(self, request: v1.DrainRequest, timeout: float | None = None) -> v1.DrainResponse:
        """Drains the gateway, and ends it as SIGTERM does: no charge point is let in, commands under way have their
        outcomes waited for, then sessions are closed at a pace, those without a transaction first. Noted in the
        audit. Where a drain is under way it stays as it is. A second signal to the process cuts it short."""
        return await self._transport.unary(Method("/gateway.api.v1.ServerService/Drain", v1.DrainRequest, v1.DrainResponse, Repeatable.NEVER), request, timeout)

    def watch_drain(self, request: v1.WatchDrainRequest, timeout: float | None = None) -> AsyncResponseStream[v1.WatchDrainResponse]:
        """Streams the course of the drain, at once and each second, until the gateway stops: then with UNAVAILABLE
        and reason DRAINING, or without a word."""
        return self._transport.stream(Method("/gateway.api.v1.ServerService/WatchDrain", v1.WatchDrainRequest, v1.WatchDrainResponse, Repeatable.READ), request, timeout)

    async def list_nodes(self, request: v1.ListNodesRequest, timeout: float | None = None) -> v1.ListNodesResponse:
        """Lists the gateways that share the store, whichever of them answers; where there is one, itself."""
        return await self._transport.unary(Method("/gateway.api.v1.ServerService/ListNodes", v1.ListNodesRequest, v1.ListNodesResponse, Repeatable.READ), request, timeout)


class SigningService:
    """Certificates of chargers, signed by a service outside of the gateway: an authority, or what stands before
    one. docs/security.md is the contract."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def sign_certificates(
        self, requests: AsyncIterable[v1.SignCertificatesRequest], timeout: float | None = None
    ) -> AsyncResponseStream[v1.SignCertificatesResponse]:
        """Registers the caller as the signing service, for as long as the stream is open. The caller sends a
        registration and receives a confirmation; from then on it receives the requests of chargers that wait to be
        signed, also those that came while no service was there, and answers each with a certificate or a refusal.
        The gateway has checked each request before: its form, its key, its signature, and that its name is the
        charger's. An answer is on disk when the gateway has taken it; one that is not taken is reported, and the
        request waits on. Where several services are registered the newest receives the requests, and the others
        stand by. A request that no service has answered is sent again to each that registers, so a service may see
        one twice. The caller half-closes to leave. UNAVAILABLE: the gateway is stopping."""
        return self._transport.both(Method("/gateway.api.v1.SigningService/SignCertificates", v1.SignCertificatesRequest, v1.SignCertificatesResponse, Repeatable.NEVER), requests, timeout)


class VendorDataService:
    """Vendors' data (OCPP's DataTransfer) from chargers, handled by services outside of the gateway. docs/vendor-
    data.md is the contract."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def handle_vendor_data(
        self, requests: AsyncIterable[v1.HandleVendorDataRequest], timeout: float | None = None
    ) -> AsyncResponseStream[v1.HandleVendorDataResponse]:
        """Registers the caller for vendors' data, for as long as the stream is open. The caller sends a
        registration and receives a confirmation when it takes effect; from then on it receives the data that
        chargers send, and answers each item before its deadline. A charger whose data is not answered in time, or
        whose service's stream ends first, is answered Rejected. Where several services are registered for the same
        data the newest receives it, and the others stand by. The caller half-closes to leave. UNAVAILABLE: the
        gateway is stopping."""
        return self._transport.both(Method("/gateway.api.v1.VendorDataService/HandleVendorData", v1.HandleVendorDataRequest, v1.HandleVendorDataResponse, Repeatable.NEVER), requests, timeout)


class Services:
    """All services, over one transport."""

    def __init__(self, transport: AsyncTransport) -> None:
        self.audit = AuditService(transport)
        self.callers = CallerService(transport)
        self.charge_points = ChargePointService(transport)
        self.commands = CommandService(transport)
        self.diagnostics = DiagnosticsService(transport)
        self.energy = EnergyService(transport)
        self.events = EventService(transport)
        self.fleet = FleetService(transport)
        self.id_tags = IdTagService(transport)
        self.operations = OperationService(transport)
        self.retention = RetentionService(transport)
        self.server = ServerService(transport)
        self.signing = SigningService(transport)
        self.steering = SteeringService(transport)
        self.transactions = TransactionService(transport)
        self.vendor_data = VendorDataService(transport)

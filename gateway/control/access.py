"""The role that each RPC needs: one table, for callers with a name. It is shown in docs/security.md."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeAlias

from gateway.domain.callers import Role


class Open(StrEnum):
    """Needs that are no role."""

    TO_ALL = "every client"
    """Also those that show neither a token nor a certificate that is known."""
    TO_CALLERS = "any caller"


Need: TypeAlias = Role | Open

READ, OPERATE, ADMINISTER = Role.READ, Role.OPERATE, Role.ADMINISTER

NEEDS: Final[Mapping[str, Mapping[str, Need]]] = {
    "gateway.api.v1.ChargePointService": {
        "CreateChargePoint": ADMINISTER,
        "ImportChargePoints": ADMINISTER,
        "GetChargePoint": READ,
        "ListChargePoints": READ,
        "CountChargePoints": READ,
        "StreamLatestReadings": READ,
        "GetLatestReadings": READ,
        "UpdateChargePoint": ADMINISTER,
        "DeleteChargePoint": ADMINISTER,
        "DisconnectChargePoint": OPERATE,
    },
    "gateway.api.v1.CommandService": {
        "CancelReservation": OPERATE,
        "ChangeAvailability": OPERATE,
        # Its keys hold the charger's password, and the address that it connects to.
        "ChangeConfiguration": ADMINISTER,
        "ClearCache": OPERATE,
        "ClearChargingProfile": OPERATE,
        # A vendor's own commands may do anything.
        "DataTransfer": ADMINISTER,
        "GetCompositeSchedule": OPERATE,
        "GetConfiguration": OPERATE,
        # The charger sends its logs to an address of the caller's.
        "GetDiagnostics": ADMINISTER,
        "GetLocalListVersion": OPERATE,
        "RemoteStartTransaction": OPERATE,
        "RemoteStopTransaction": OPERATE,
        "ReserveNow": OPERATE,
        "Reset": OPERATE,
        # Who may charge while the gateway is out of reach.
        "SendLocalList": ADMINISTER,
        "SetChargingProfile": OPERATE,
        "TriggerMessage": OPERATE,
        "UnlockConnector": OPERATE,
        "UpdateFirmware": ADMINISTER,
        # The charger's identity, the roots that it trusts, and the addresses of its files.
        "CertificateSigned": ADMINISTER,
        "DeleteCertificate": ADMINISTER,
        "ExtendedTriggerMessage": OPERATE,
        "GetInstalledCertificateIds": OPERATE,
        "GetLog": ADMINISTER,
        "InstallCertificate": ADMINISTER,
        "SignedUpdateFirmware": ADMINISTER,
        "GetCommand": READ,
        "ListCommands": READ,
    },
    "gateway.api.v1.OperationService": {
        "StartCharging": OPERATE,
        "StopCharging": OPERATE,
        "PauseCharging": OPERATE,
        "ResumeCharging": OPERATE,
        "LimitCharging": OPERATE,
        # It changes what lets the charger in.
        "RotateAuthorizationKey": ADMINISTER,
        "UpgradeSecurityProfile": ADMINISTER,
        # As the commands that they send.
        "UploadLog": ADMINISTER,
        "InstallFirmware": ADMINISTER,
        "RenewCertificate": ADMINISTER,
        "GetOperation": READ,
        "ListOperations": READ,
        "WatchOperation": READ,
    },
    "gateway.api.v1.TransactionService": {
        "GetTransaction": READ,
        "ListTransactions": READ,
        "CountTransactions": READ,
        "StreamOpenTransactions": READ,
        "ListTransactionReadings": READ,
        "CloseTransaction": OPERATE,
        "AttributeOrphan": OPERATE,
        "ListOrphans": READ,
    },
    "gateway.api.v1.IdTagService": {
        "CreateIdTag": ADMINISTER,
        "GetIdTag": READ,
        "ListIdTags": READ,
        "UpdateIdTag": ADMINISTER,
        "DeleteIdTag": ADMINISTER,
        "CheckIdTag": READ,
    },
    "gateway.api.v1.EventService": {"WatchEvents": READ, "WatchMeterValues": READ},
    "gateway.api.v1.DiagnosticsService": {
        "ListRefusedConnections": READ,
        "ListFrames": READ,
        "ListDeviations": READ,
        "ListLatencies": READ,
        # Everything that a charger says, while it says it.
        "TapChargePoint": ADMINISTER,
        "ListFlapping": READ,
        "GetLogLevels": READ,
        "GetGatewayStatus": READ,
        # At debug it shows what a tap shows, to the readers of the log.
        "SetLogLevel": ADMINISTER,
    },
    "gateway.api.v1.VendorDataService": {"HandleVendorData": Role.VENDOR_DATA},
    "gateway.api.v1.SigningService": {"SignCertificates": Role.SIGNING},
    "gateway.api.v1.RetentionService": {"GetRetention": READ, "ConfirmClock": ADMINISTER},
    "gateway.api.v1.EnergyService": {
        "ListTransactionEnergy": READ,
        "ComputeCost": READ,
        "EstimateCompletion": READ,
    },
    "gateway.api.v1.SteeringService": {
        "SetWantedLimit": OPERATE,
        "LiftWantedLimit": OPERATE,
        "SetPlan": OPERATE,
        "ClearPlan": OPERATE,
        "GetSteering": READ,
        "ListSteering": READ,
    },
    "gateway.api.v1.FleetService": {
        "RotateAuthorizationKeys": ADMINISTER,
        "RenewCertificates": ADMINISTER,
        "RollOutFirmware": ADMINISTER,
        "GetFleetJob": READ,
        "ListFleetJobs": READ,
        "ListFleetJobItems": READ,
        "WatchFleetJob": READ,
        "CancelFleetJob": ADMINISTER,
        "GetFleetSummary": READ,
        "WatchFleetSummary": READ,
    },
    "gateway.api.v1.CallerService": {
        "CreateCaller": ADMINISTER,
        "ListCallers": ADMINISTER,
        "RevokeCaller": ADMINISTER,
    },
    "gateway.api.v1.ServerService": {
        "GetServerInfo": Open.TO_CALLERS,
        "Drain": ADMINISTER,
        "WatchDrain": READ,
        "ListNodes": READ,
    },
    # It shows who works where and when, of all charge points.
    "gateway.api.v1.AuditService": {"ListAudit": ADMINISTER},
    # Probes of platforms send no token, and learn no more than whether to send calls here.
    "grpc.health.v1.Health": {"Check": Open.TO_ALL, "List": Open.TO_ALL, "Watch": Open.TO_ALL},
    # It shows the contract, which is public; strangers need not find it here.
    "grpc.reflection.v1.ServerReflection": {"ServerReflectionInfo": Open.TO_CALLERS},
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": Open.TO_CALLERS},
}
"""By service and method."""


def need_of(method: str) -> Need:
    """The need of a method, by its path: ``/service/method``. One that is not in the table needs the most."""
    _, service, name = method.split("/", 2) if method.count("/") == 2 else ("", "", "")
    return NEEDS.get(service, {}).get(name, ADMINISTER)

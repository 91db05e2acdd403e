"""The scope of callers: which RPCs a caller with one may call, and by which fields they name charge points.

A caller with a scope is let in to what is listed here and to nothing else, so that a new RPC is closed to it.
"""

from collections.abc import Mapping
from typing import Final

CHARGE_POINTS: Final = "/gateway.api.v1.ChargePointService/"
LATEST: Final = f"{CHARGE_POINTS}GetLatestReadings"
"""Charge points outside of the scope are said not to be known."""

_COMMANDS = (
    "CancelReservation",
    "ChangeAvailability",
    "ClearCache",
    "ClearChargingProfile",
    "ExtendedTriggerMessage",
    "GetCompositeSchedule",
    "GetConfiguration",
    "GetInstalledCertificateIds",
    "GetLocalListVersion",
    "RemoteStartTransaction",
    "RemoteStopTransaction",
    "ReserveNow",
    "Reset",
    "SetChargingProfile",
    "TriggerMessage",
    "UnlockConnector",
)

_BY_SERVICE: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "ChargePoint": {
        "GetChargePoint": ("identity",),
        "ListChargePoints": (),
        "CountChargePoints": (),
        "StreamLatestReadings": (),
        "DisconnectChargePoint": ("identity",),
    },
    "Command": {
        **dict.fromkeys(_COMMANDS, ("charge_point",)),
        "GetCommand": ("command_id", "charge_point"),
        "ListCommands": ("charge_point",),
    },
    "Operation": {
        "StartCharging": ("charge_point",),
        "StopCharging": ("charge_point", "transaction_id"),
        "PauseCharging": ("charge_point",),
        "ResumeCharging": ("charge_point",),
        "LimitCharging": ("charge_point",),
        "GetOperation": ("operation_id",),
        "ListOperations": ("charge_point",),
        "WatchOperation": ("operation_id",),
    },
    "Transaction": {
        "GetTransaction": ("transaction_id",),
        "ListTransactions": ("charge_point",),
        "CountTransactions": (),
        "StreamOpenTransactions": (),
        "ListTransactionReadings": ("transaction_id",),
        "CloseTransaction": ("transaction_id",),
        "AttributeOrphan": ("transaction_id", "orphan_event_id"),
        "ListOrphans": ("charge_point",),
    },
    "IdTag": {"CheckIdTag": ("charge_point",)},
    "Event": {"WatchEvents": ("charge_points",), "WatchMeterValues": ("charge_points",)},
    "Diagnostics": {
        "ListFrames": ("charge_point",),
        "ListRefusedConnections": ("charge_point",),
        "TapChargePoint": ("charge_point",),
    },
    "Energy": {
        "ListTransactionEnergy": ("transaction_id",),
        "ComputeCost": ("transaction_id",),
        "EstimateCompletion": ("transaction_id",),
    },
    "Fleet": {"GetFleetSummary": (), "WatchFleetSummary": ()},
    "Steering": {
        "SetWantedLimit": ("charge_point",),
        "LiftWantedLimit": ("charge_point",),
        "SetPlan": ("charge_point",),
        "ClearPlan": ("charge_point",),
        "GetSteering": ("charge_point",),
        "ListSteering": (),
    },
}

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    f"/gateway.api.v1.{service}Service/{method}": fields
    for service, methods in _BY_SERVICE.items()
    for method, fields in methods.items()
}
"""By method: the fields that name a charge point, or what belongs to one. Those that are set have to be in the scope,
and the first one has to be set, but for ``BY_QUERY``; a watch without ``charge_points`` is of all in the scope."""

BY_QUERY: Final = frozenset(
    f"/gateway.api.v1.{service}Service/{method}"
    for service, method in (
        ("ChargePoint", "ListChargePoints"),
        ("ChargePoint", "CountChargePoints"),
        ("ChargePoint", "StreamLatestReadings"),
        ("Command", "GetCommand"),
        ("Command", "ListCommands"),
        ("Operation", "ListOperations"),
        ("Transaction", "ListTransactions"),
        ("Transaction", "CountTransactions"),
        ("Transaction", "StreamOpenTransactions"),
        ("Transaction", "ListOrphans"),
        ("Diagnostics", "ListRefusedConnections"),
        ("Steering", "ListSteering"),
        ("Fleet", "GetFleetSummary"),
        ("Fleet", "WatchFleetSummary"),
    )
)
"""Lists and counts whose query holds them to the scope (``services.rpc.SCOPE``), and what has two names: they need name
no charge point."""

CHECK_TAG: Final = "/gateway.api.v1.IdTagService/CheckIdTag"
"""Uses of the tag outside of the scope are left out of the answer."""

NOT_SCOPED: Final[Mapping[str, str]] = {
    "/gateway.api.v1.IdTagService/GetIdTag": "a tag is no charge point's",
    "/gateway.api.v1.IdTagService/ListIdTags": "a tag is no charge point's",
    "/gateway.api.v1.DiagnosticsService/ListDeviations": "it counts by vendor, model and firmware, over all chargers",
    "/gateway.api.v1.DiagnosticsService/ListLatencies": "it counts by vendor, model and firmware, over all chargers",
    "/gateway.api.v1.DiagnosticsService/ListFlapping": "it is of all charge points",
    "/gateway.api.v1.DiagnosticsService/GetGatewayStatus": "it is about the gateway, and names other callers",
    "/gateway.api.v1.DiagnosticsService/GetLogLevels": "it names the charge points with a level of their own",
    "/gateway.api.v1.ServerService/WatchDrain": "it counts the sessions of all charge points",
    "/gateway.api.v1.ServerService/ListNodes": "it counts the sessions of all charge points",
    "/gateway.api.v1.RetentionService/GetRetention": "it is about the gateway's clock",
    **{
        f"/gateway.api.v1.FleetService/{method}": "a job is of many charge points"
        for method in ("GetFleetJob", "ListFleetJobs", "ListFleetJobItems", "WatchFleetJob")
    },
}
"""Methods that a role with a scope could call and that can't be held to one, with the reason."""

MAX_WATCHED: Final = 1000
"""Charge points of one watch, as of any."""


def is_scoped(method: str) -> bool:
    """Return true if a caller with a scope may call a method."""
    return method in FIELDS or method == LATEST

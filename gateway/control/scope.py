"""The scope of callers: which RPCs a caller with one may call, and by which fields they name charge points.

A caller with a scope is let in to what is listed here and to nothing else, so that a new RPC is closed to it.
"""

from collections.abc import Mapping
from typing import Final

CHARGE_POINTS: Final = "/gateway.api.v1.ChargePointService/"
LIST: Final = f"{CHARGE_POINTS}ListChargePoints"
"""Filtered by the scope's labels."""

LATEST: Final = f"{CHARGE_POINTS}GetLatestReadings"
"""Charge points outside of the scope are said not to be known."""

_COMMANDS = (
    "CancelReservation",
    "ChangeAvailability",
    "ClearCache",
    "ClearChargingProfile",
    "GetCompositeSchedule",
    "GetConfiguration",
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
    "ChargePoint": {"GetChargePoint": ("identity",), "DisconnectChargePoint": ("identity",)},
    "Command": {
        **dict.fromkeys(_COMMANDS, ("charge_point",)),
        "GetCommand": ("command_id",),
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
        "ListTransactionReadings": ("transaction_id",),
        "CloseTransaction": ("transaction_id",),
        "ListOrphans": ("charge_point",),
    },
    "Event": {"WatchEvents": ("charge_points",), "WatchMeterValues": ("charge_points",)},
    "Diagnostics": {"ListFrames": ("charge_point",)},
    "Energy": {
        "ListTransactionEnergy": ("transaction_id",),
        "ComputeCost": ("transaction_id",),
        "EstimateCompletion": ("transaction_id",),
    },
    "Steering": {
        "SetWantedLimit": ("charge_point",),
        "LiftWantedLimit": ("charge_point",),
        "SetPlan": ("charge_point",),
        "ClearPlan": ("charge_point",),
        "GetSteering": ("charge_point",),
    },
}

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    f"/gateway.api.v1.{service}Service/{method}": fields
    for service, methods in _BY_SERVICE.items()
    for method, fields in methods.items()
}
"""By method: the fields that name a charge point, or what belongs to one. Those that are set have to be in the scope,
and the first one has to be set; a watch without ``charge_points`` is of all in the scope."""

MAX_WATCHED: Final = 1000
"""Charge points of one watch, as of any."""


def is_scoped(method: str) -> bool:
    """Return true if a caller with a scope may call a method."""
    return method in FIELDS or method in (LIST, LATEST)

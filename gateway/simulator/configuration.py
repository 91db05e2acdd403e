"""The configuration keys of the wallbox (S §9): what they hold, which may be written, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from attrs import define, frozen

from gateway.simulator import profiles

#: Measurands that the meter of the simulated wallbox knows.
MEASURANDS = (
    "Energy.Active.Import.Register",
    "Power.Active.Import",
    "Current.Import",
    "Voltage",
    "Current.Offered",
    "Power.Offered",
    "SoC",
)

#: How many id tags the local list holds, and the authorization cache (each): a household and its guests.
TAGS_LIMIT = 100
#: Entries that one SendLocalList may carry.
LIST_MESSAGE_LIMIT = 50

#: The one key that may be written and is never shown (WP A01.FR.08).
SECRET_KEY = "AuthorizationKey"  # noqa: S105 - the name of a key, not its value

_PROFILES = "Core,FirmwareManagement,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger"


@frozen
class Range:
    """A whole number within bounds."""

    least: int
    most: int

    def __call__(self, value: str) -> bool:
        text = value.strip()
        return text.isascii() and text.isdigit() and len(text) < 10 and self.least <= int(text) <= self.most


def _is_boolean(value: str) -> bool:
    return value.strip().lower() in ("true", "false")


def _is_authorization_key(value: str) -> bool:
    """16 to 20 bytes as hexadecimal digits (WP 7.2)."""
    try:
        return 16 <= len(bytes.fromhex(value)) <= 20 and len(value) <= 40
    except ValueError:
        return False


@define
class Key:
    """One key: its value, and the check that a new value must pass (None: read-only)."""

    value: str
    accepts: Callable[[str], bool] | None = None


class Configuration:
    """The table of keys. `measurands` are those that this particular box can sample."""

    def __init__(
        self, connectors: int, measurands: Iterable[str] = MEASURANDS, schedule_periods: int = profiles.MAX_PERIODS
    ) -> None:
        known = frozenset(measurands)

        def measurand_list(value: str) -> bool:
            names = split_list(value)
            return len(set(names)) == len(names) and known.issuperset(names)

        seconds = Range(0, 86_400)
        self._keys = {
            "AllowOfflineTxForUnknownId": Key("true", _is_boolean),
            "AuthorizationCacheEnabled": Key("true", _is_boolean),
            SECRET_KEY: Key("", _is_authorization_key),
            "AuthorizeRemoteTxRequests": Key("true", _is_boolean),
            "ChargeProfileMaxStackLevel": Key(str(profiles.MAX_STACK_LEVEL)),
            "ChargingScheduleAllowedChargingRateUnit": Key("Current,Power"),
            "ChargingScheduleMaxPeriods": Key(str(schedule_periods)),
            "ClockAlignedDataInterval": Key("0"),
            "ConnectionTimeOut": Key("120", Range(1, 86_400)),
            "ConnectorPhaseRotation": Key(",".join(f"{n}.RST" for n in range(connectors + 1))),
            "ConnectorSwitch3to1PhaseSupported": Key("true"),
            "GetConfigurationMaxKeys": Key("64"),
            "HeartbeatInterval": Key("300", Range(1, 86_400)),
            "LocalAuthListEnabled": Key("true", _is_boolean),
            "LocalAuthListMaxLength": Key(str(TAGS_LIMIT)),
            "LocalAuthorizeOffline": Key("true", _is_boolean),
            "LocalPreAuthorize": Key("false", _is_boolean),
            "MaxChargingProfilesInstalled": Key(str(profiles.MAX_INSTALLED)),
            "MeterValueSampleInterval": Key("60", seconds),
            "MeterValuesAlignedData": Key(""),
            "MeterValuesSampledData": Key("Energy.Active.Import.Register", measurand_list),
            "NumberOfConnectors": Key(str(connectors)),
            "ReserveConnectorZeroSupported": Key("false"),
            "ResetRetries": Key("0"),
            "SendLocalListMaxLength": Key(str(LIST_MESSAGE_LIMIT)),
            "StopTransactionOnEVSideDisconnect": Key("true"),
            "StopTransactionOnInvalidId": Key("true", _is_boolean),
            "StopTxnAlignedData": Key(""),
            "StopTxnSampledData": Key("", measurand_list),
            "SupportedFeatureProfiles": Key(_PROFILES),
            "TransactionMessageAttempts": Key("3", Range(1, 100)),
            "TransactionMessageRetryInterval": Key("60", seconds),
            "UnlockConnectorOnEVSideDisconnect": Key("true"),
            "WebSocketPingInterval": Key("0", seconds),
        }

    def change(self, name: str, value: str) -> str:
        """Set a key; answers the status of ChangeConfiguration.conf (S §5.3)."""
        key = self._keys.get(name)
        if key is None:
            return "NotSupported"
        if key.accepts is None or not key.accepts(value):
            return "Rejected"
        if name != SECRET_KEY:  # the credential is kept where the link needs it, not in a table that is shown
            key.value = value
        return "Accepted"

    def shown(self, names: Iterable[str]) -> tuple[list[dict[str, Any]], list[str]]:
        """The `configurationKey` entries and `unknownKey` of GetConfiguration.conf; no names asks for all."""
        asked = list(names)
        entries = [self._entry(name, self._keys[name]) for name in asked or self._keys if name in self._keys]
        return entries, [name for name in asked if name not in self._keys]

    def _entry(self, name: str, key: Key) -> dict[str, Any]:
        entry: dict[str, Any] = {"key": name, "readonly": key.accepts is None}
        if name != SECRET_KEY:
            entry["value"] = key.value
        return entry

    def whole(self, name: str) -> int:
        """The value of a numeric key."""
        return int(self._keys[name].value)

    def enabled(self, name: str) -> bool:
        """The value of a boolean key."""
        return self._keys[name].value.strip().lower() == "true"

    def names(self, name: str) -> tuple[str, ...]:
        """The value of a key that holds a comma-separated list."""
        return split_list(self._keys[name].value)


def split_list(value: str) -> tuple[str, ...]:
    """A comma-separated list, empty elements left out."""
    return tuple(part.strip() for part in value.split(",") if part.strip())

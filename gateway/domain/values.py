"""Small values that everything else is made of: addresses, ids, clocks, quality flags."""

import secrets
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

from gateway.quick_frozen import quick_frozen

JSON: TypeAlias = Any
"""A value that JSON can hold: what a charger sent, kept as sent."""

Clock: TypeAlias = Callable[[], datetime]
"""The wall clock, injected: answers the present as an aware datetime in UTC."""


@quick_frozen(order=True)
class ConnectorAddress:
    """An address on a charge point. (0, 0) is the charge point as a whole.

    OCPP 1.6 knows one number: its connector n > 0 is (n, 1) here, its connector 0 is (0, 0). Negative numbers and
    numbers above what the charger has are kept as sent and flagged, never refused (B4.12).
    """

    evse: int
    connector: int


WHOLE_CHARGE_POINT = ConnectorAddress(0, 0)


class Switch(StrEnum):
    """An operator's decision for one charge point, or that it is left to the settings for all."""

    DEFAULT = "default"
    ON = "on"
    OFF = "off"

    def resolve(self, default: bool) -> bool:
        """Return whether it is on, where the settings say ``default``."""
        return default if self is Switch.DEFAULT else self is Switch.ON


class Registration(StrEnum):
    """The platform's standing decision on a charge point; what a BootNotification is answered with (S §4.2)."""

    ACCEPTED = "Accepted"
    PENDING = "Pending"
    REJECTED = "Rejected"


class Flag(StrEnum):
    """A reason to look twice at an event. Flags never withhold anything; they say what was inferred."""

    DEVIATES = "deviates"
    """The message broke its schema; it was kept as sent and read leniently."""
    CLOCK_SUSPECT = "clock-suspect"
    """The reported time can't be right (1970, year 1, the future): the received time is the better one."""
    TIME_UNREADABLE = "time-unreadable"
    """The reported time could not be parsed; the received time stands in."""
    TIME_ZONE_ASSUMED = "time-zone-assumed"
    """The reported time carried no zone; UTC was assumed."""
    LATE = "late"
    """Delivered long after it happened: queued by the charger while it was offline."""
    TRANSACTION_INFERRED = "transaction-inferred"
    """The message named no (usable) transaction; the gateway attributed it by connector and time."""
    UNKNOWN_CONNECTOR = "unknown-connector"
    """A connector number that is zero, negative or above what the charger has, where a real one is needed."""
    METER_IMPLAUSIBLE = "meter-implausible"
    """A register that runs backwards, is negative, or can't be; or one of 0 whose start came with its stop only."""
    ID_TAG_UNRELATED = "id-tag-unrelated"
    """Stopped by a tag that is neither the starting one nor of its group."""
    STOP_BEFORE_START = "stop-before-start"
    """The stop's time lies before its start's."""
    STATUS_ERROR_MISMATCH = "status-error-mismatch"
    """errorCode and status contradict each other (B7.2)."""
    TRANSACTION_OPEN = "transaction-open"
    """Available was reported while a transaction is open on the connector: its stop may be lost (B7.5)."""
    UNREAD = "unread"
    """The message has more values, or nests deeper, than is read: it is kept as the text that was sent."""
    SERIAL_CHANGED = "serial-changed"
    """The same identity booted with another serial number."""
    METER_CHANGED = "meter-changed"
    """The same identity booted with another meter's serial number."""
    BY_OPERATOR = "by-operator"
    """An operator has ended the transaction, by a register or by a stop that belonged to none."""
    STALE = "stale"
    """Of an open transaction's record, and of no event: something shows that it is over, though no stop has come."""


def new_id(prefix: str) -> str:
    """Return a fresh id of the gateway's, e.g. ``tx_4f0c...``; unique without coordination (random, 128 bits)."""
    return f"{prefix}_{secrets.token_hex(16)}"

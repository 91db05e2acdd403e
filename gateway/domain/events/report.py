"""Events of what a charger reports of itself: firmware, diagnostics, logs, security, vendor data."""

from typing import ClassVar, TypeAlias

from attrs import frozen

from gateway.domain.values import JSON


@frozen
class FirmwareStatusReported:
    """``request_id`` only from the security extension's SignedFirmwareStatusNotification (WP 5.x)."""

    TYPE: ClassVar[str] = "firmware.status_reported"
    VERSION: ClassVar[int] = 1
    status: str
    request_id: int | None = None
    signed: bool = False
    command_id: str = ""
    """The command that it belongs to; empty: to none, as far as is known."""


@frozen
class DiagnosticsStatusReported:
    TYPE: ClassVar[str] = "diagnostics.status_reported"
    VERSION: ClassVar[int] = 1
    status: str
    command_id: str = ""
    """The command that it belongs to; empty: to none, as far as is known."""


@frozen
class LogStatusReported:
    TYPE: ClassVar[str] = "log.status_reported"
    VERSION: ClassVar[int] = 1
    status: str
    request_id: int | None = None
    command_id: str = ""
    """The command that it belongs to; empty: to none, as far as is known."""


@frozen
class SecurityEventReported:
    """``kind`` is the event's type as the charger named it, known or not (B11.4)."""

    TYPE: ClassVar[str] = "security.event_reported"
    VERSION: ClassVar[int] = 1
    kind: str
    tech_info: str | None = None


@frozen
class VendorDataReceived:
    """A DataTransfer from the charger and the status it was answered with."""

    TYPE: ClassVar[str] = "vendor_data.received"
    VERSION: ClassVar[int] = 1
    vendor_id: str
    status: str
    message_id: str | None = None
    data: JSON = None
    caller: str = ""
    """The service that answered, by its name as a caller; empty: none did, or it had no name."""


Body: TypeAlias = (
    FirmwareStatusReported | DiagnosticsStatusReported | LogStatusReported | SecurityEventReported | VendorDataReceived
)

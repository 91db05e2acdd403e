"""Events of a charge point: its registration, its connection, its boots, and its connectors."""

from datetime import datetime
from typing import ClassVar, TypeAlias

from attrs import field, frozen

from gateway.domain.charging_state import ChargingState, StateBasis
from gateway.domain.values import ConnectorAddress, Registration


@frozen
class ChargePointCreated:
    TYPE: ClassVar[str] = "charge_point.created"
    VERSION: ClassVar[int] = 1
    registration: Registration
    caller: str = ""
    """The caller of the control interface; empty: it had no name, as in older events."""
    request_id: str = ""
    """The caller's id of the request; empty: it gave none, as in older events."""


@frozen
class ChargePointUpdated:
    """The operator changed the registration, the credentials or the notes; ``changed`` names the fields."""

    TYPE: ClassVar[str] = "charge_point.updated"
    VERSION: ClassVar[int] = 1
    registration: Registration
    changed: tuple[str, ...]
    caller: str = ""
    """As in ``ChargePointCreated``."""
    request_id: str = ""
    """The id of a request to create it that came again, and was given another key; empty: it was another change."""


@frozen
class ChargePointDeleted:
    TYPE: ClassVar[str] = "charge_point.deleted"
    VERSION: ClassVar[int] = 1
    caller: str = ""
    """As in ``ChargePointCreated``."""


@frozen
class ChargePointConnected:
    """An authenticated session began; it owns the charge point from here on (its epoch is the event's)."""

    TYPE: ClassVar[str] = "charge_point.connected"
    VERSION: ClassVar[int] = 1
    remote_address: str
    subprotocol: str
    security_profile: int
    tls_version: str = ""
    certificate_serial: str = ""
    """In hexadecimal, of the client certificate that it presented; empty: it presented none, as in older events."""
    certificate_not_after: datetime | None = None
    """When that certificate ends."""


@frozen
class ChargePointDisconnected:
    """``initiator``: peer, local (the gateway closed) or network. ``code``: the WebSocket close code, 1006 if none.

    ``reason``: closed, silent, message-too-large, replaced, disconnected-by-operator, draining, store-unavailable,
    protocol, gateway-restarted ...
    """

    TYPE: ClassVar[str] = "charge_point.disconnected"
    VERSION: ClassVar[int] = 1
    reason: str
    initiator: str
    code: int = 1006
    last_heard: datetime | None = None
    """When the last frame came; as of the last write of it where no session was there to know (replaced,
    gateway-restarted); None in older events."""
    message_bytes: int = 0
    """Of the message that was beyond the limit (message-too-large), as far as it was announced."""
    latest: bytes | None = field(default=None, eq=False, repr=False)
    """The newest readings of its connectors (``gateway.domain.latest``), where its session recorded its end; empty: as
    they were before. Not a field of the stored body: kept with the charge point."""
    caller: str = ""
    """The caller of the control interface that ended it; empty: none did, or it had no name."""


@frozen
class BootInformation:
    """A charge point's description of itself at its boot (S §6.5). Empty and missing are both None."""

    vendor: str
    model: str
    charge_point_serial_number: str | None = None
    charge_box_serial_number: str | None = None
    firmware_version: str | None = None
    iccid: str | None = None
    imsi: str | None = None
    meter_type: str | None = None
    meter_serial_number: str | None = None


@frozen
class ChargePointBooted:
    """A BootNotification was answered with ``registration`` and ``interval`` (seconds)."""

    TYPE: ClassVar[str] = "charge_point.booted"
    VERSION: ClassVar[int] = 1
    boot: BootInformation
    registration: Registration
    interval: int


@frozen
class ConnectorStatusChanged:
    """A connector's status, error or vendor information changed. ``status`` and ``error_code`` as the charger said."""

    TYPE: ClassVar[str] = "connector.status_changed"
    VERSION: ClassVar[int] = 1
    connector: ConnectorAddress
    status: str
    error_code: str
    previous_status: str | None = None
    info: str | None = None
    vendor_id: str | None = None
    vendor_error_code: str | None = None


@frozen
class ConnectorChargingStateChanged:
    """A connector's charging state became another one, from its status and its import power together. Being offline
    changes none: that is worked out when it is read."""

    TYPE: ClassVar[str] = "connector.charging_state_changed"
    VERSION: ClassVar[int] = 1
    connector: ConnectorAddress
    state: ChargingState
    previous_state: ChargingState
    basis: StateBasis
    status: str = ""
    """The status that it was worked out from; empty: none was known."""
    watts: float | None = None
    """The power that it was worked out from; None: none counted."""


Body: TypeAlias = (
    ChargePointCreated
    | ChargePointUpdated
    | ChargePointDeleted
    | ChargePointConnected
    | ChargePointDisconnected
    | ChargePointBooted
    | ConnectorStatusChanged
    | ConnectorChargingStateChanged
)

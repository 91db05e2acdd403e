"""An event as it is committed and as it is stored, and the bodies that one may have."""

from datetime import datetime
from typing import TypeAlias

from attrs import field

from gateway.domain.events import (
    certificate,
    charge_point,
    command,
    configuration,
    local_list,
    operation,
    report,
    reservation,
    steering,
    transaction,
)
from gateway.domain.power import LivePower
from gateway.domain.values import Flag
from gateway.quick_frozen import quick_frozen

Body: TypeAlias = (
    charge_point.Body
    | transaction.Body
    | reservation.Body
    | report.Body
    | configuration.Body
    | command.Body
    | steering.Body
    | operation.Body
    | local_list.Body
    | certificate.Body
)

BODIES: dict[str, type[Body]] = {cls.TYPE: cls for cls in Body.__args__}
"""Event type to its present body class."""


@quick_frozen
class NewEvent:
    """An event about to be committed. ``received_at`` is the gateway's clock, aware UTC."""

    body: Body
    received_at: datetime
    reported_at: datetime | None = None
    """The charger's time, parsed to UTC; None where it gave none or one that can't be read."""
    reported_raw: str | None = None
    """The charger's time as sent."""
    flags: tuple[Flag, ...] = ()
    cause: str = ""
    """The OCPP message id (``message:<id>``) or the command (``command:<id>``) behind it; empty: the gateway."""
    repeat_key: bytes = b""
    """What identifies the charger's message if it sends it again (``gateway.domain.repeats``); empty: nothing does.
    Kept with the charge point, not with the event."""
    registers: tuple[tuple[str, float], ...] = ()
    """The import registers that meter values hold, in Wh by location. Not stored: they follow from the body."""
    power: LivePower | None = None
    """The power at the newest moment of meter values. Not stored, either."""


@quick_frozen
class StoredEvent:
    """A committed event. ``sequence`` rises over the whole store; order is promised per charge point only.

    ``body_json`` are the stored bytes; ``gateway.domain.codec.decode`` gives the body. ``event_id`` is stable.
    """

    sequence: int
    event_id: str
    charge_point: str
    epoch: int
    type: str
    version: int
    received_at: datetime
    reported_at: datetime | None
    reported_raw: str | None
    flags: tuple[Flag, ...]
    cause: str
    body_json: bytes
    transaction_id: str | None = None
    body: Body | None = field(default=None, eq=False, repr=False)
    """The body, where it need not be decoded: the event comes from its commit, and is small."""

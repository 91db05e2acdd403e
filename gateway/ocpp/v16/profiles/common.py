"""Functions that the handlers share: events of a request, idTagInfo, doubts about a connector."""

from typing import Any, Final

from gateway.domain.decision import Authorization, Context, Request
from gateway.domain.events import Body, NewEvent
from gateway.domain.power import LivePower
from gateway.domain.secrets import shown_text
from gateway.domain.state import ChargePointState
from gateway.domain.times import NO_TIME, ReportedTime, format_time
from gateway.domain.values import JSON, ConnectorAddress, Flag
from gateway.ocpp.v16.configuration_keys import NUMBER_OF_CONNECTORS, number_of_connectors

UNKNOWN: Final = Authorization("Invalid")
"""A tag of which nothing is known."""


def event(
    request: Request[Any],
    context: Context,
    body: Body,
    time: ReportedTime = NO_TIME,
    raw: str | None = None,
    flags: tuple[Flag, ...] = (),
    repeat_key: bytes = b"",
    registers: tuple[tuple[str, float], ...] = (),
    power: LivePower | None = None,
) -> NewEvent:
    """An event that a request brought about, with its doubts: those of the reading, of its time and ``flags``."""
    doubts = (*request.flags, *time.flags, *flags)
    if len(doubts) > 1:
        doubts = tuple(dict.fromkeys(doubts))
    cause = f"message:{request.message_id}"
    return NewEvent(body, context.now, time.trusted, raw, doubts, cause, repeat_key, registers, power)


def id_tag_info(authorization: Authorization, status: str | None = None) -> dict[str, JSON]:
    """S §7.3. ``status`` stands in for the authorization's own."""
    info: dict[str, JSON] = {"status": status or authorization.status}
    if authorization.expiry_date is not None:
        info["expiryDate"] = format_time(authorization.expiry_date)
    if authorization.parent_id_tag:
        info["parentIdTag"] = authorization.parent_id_tag
    return info


def present(text: str | None) -> str | None:
    """A text that says something: empty ones and the word ``null`` don't (quirk 13)."""
    if text is None or text.strip().lower() in ("", "null"):
        return None
    return text


def shown(text: str | None) -> str | None:
    """A charger's words as they are kept: without what they repeat of secrets."""
    return None if text is None else shown_text(text)


def doubts_of(state: ChargePointState, connector: ConnectorAddress) -> tuple[Flag, ...]:
    """UNKNOWN_CONNECTOR where a real connector is needed: zero, negative or above what the charger has reported."""
    if connector.evse < 1:
        return (Flag.UNKNOWN_CONNECTOR,)
    if NUMBER_OF_CONNECTORS in state.configuration:
        count = number_of_connectors(state.configuration)
        if count is not None and connector.evse > count:
            return (Flag.UNKNOWN_CONNECTOR,)
    return ()

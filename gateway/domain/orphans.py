"""Stops that belong to no transaction, read for an operator who ties one to its transaction."""

from typing import Final

from attrs import frozen

from gateway.domain.events import FIRST_DIALECT, TransactionOrphaned
from gateway.domain.values import JSON

MAX_WH: Final = 10**15
"""More was not measured, and no longer fits 64 bits in milliwatt-hours."""

DEFAULT_REASON: Final = "Local"
"""The reason of a stop without one (B5.3)."""


@frozen
class OrphanStop:
    """A stop as it was sent. ``meter_stop`` in Wh; ``meter_value``: what was metered, as sent."""

    meter_stop: int
    reason: str
    id_tag: str | None
    meter_value: tuple[JSON, ...]


def stop_of(orphan: TransactionOrphaned) -> OrphanStop | None:
    """The stop in an orphan; None where its register can't be read: it is missing, negative or no whole number, the
    message was kept as its text, or it is of another version of OCPP than 1.6. Never raises."""
    sent = orphan.payload
    if orphan.dialect != FIRST_DIALECT or not isinstance(sent, dict):
        return None
    register = _watt_hours(sent.get("meterStop"))
    if register is None:
        return None
    values = sent.get("transactionData")
    reason, tag = sent.get("reason"), sent.get("idTag")
    return OrphanStop(
        register,
        reason if isinstance(reason, str) and reason.strip() else DEFAULT_REASON,
        tag if isinstance(tag, str) and tag.strip() else None,
        tuple(values) if isinstance(values, list) else () if values is None else (values,),
    )


def _watt_hours(sent: JSON) -> int | None:
    """A register in whole Wh; also as text, or with decimals that are zero, as it is read from a live stop."""
    if isinstance(sent, str):
        text = sent.strip()
        sent = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
    if isinstance(sent, float):
        sent = int(sent) if sent.is_integer() else None
    if isinstance(sent, bool) or not isinstance(sent, int) or not 0 <= sent <= MAX_WH:
        return None
    return sent

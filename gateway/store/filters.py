"""Filters of lists: what a page holds. Empty means all; a record has to pass each of them."""

from datetime import datetime
from typing import Final

from attrs import field, frozen

from gateway.domain.labels import Labels
from gateway.domain.records import TransactionState


@frozen
class RecordFilter:
    """Filter of commands and operations, besides that by charge point. ``callers``: those that one of these asked for.
    ``scope``: those of charge points that have all of these labels now."""

    callers: tuple[str, ...] = ()
    scope: Labels = field(factory=dict)


ALL_RECORDS: Final = RecordFilter()


@frozen
class AuditFilter:
    """Filter of the audit. ``begins`` counts, ``ends`` does not any more."""

    callers: tuple[str, ...] = ()
    charge_points: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    begins: datetime | None = None
    ends: datetime | None = None


@frozen
class TransactionFilter:
    """Filter of transactions. ``started_from`` <= start < ``started_before``. ``scope``: those of charge points that
    have all of these labels now."""

    charge_point: str | None = None
    state: TransactionState | None = None
    started_from: datetime | None = None
    started_before: datetime | None = None
    id_tag: str | None = None
    scope: Labels = field(factory=dict)

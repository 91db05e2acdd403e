"""Lists that clients filter and put in order, and counts: one form for all resources.

A store looks at a bounded number of records in one call (``SCANNED``), so that a filter that hardly any passes costs no
more than one that lets all through; a page may then hold fewer records than were asked for, or none, and still not be
the last.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Generic, Protocol, TypeVar

from attrs import frozen

from gateway.domain.commands import CommandRecord
from gateway.domain.conditions import AllOf, Condition, Order
from gateway.domain.events import StoredEvent
from gateway.domain.fleet_summary import FleetCounts
from gateway.domain.labels import Labels
from gateway.domain.operations import OperationRecord
from gateway.domain.records import ChargePointRecord, ConnectorsRecord, IdTagRecord, TransactionRecord, TransactionState
from gateway.domain.values import Registration

R = TypeVar("R")

SCANNED: Final = 50_000
"""Transactions, commands or other records that one call looks at, at most: some 100 ms of a reader. Charge points are
all looked at: there are as many as are provisioned."""


@frozen
class Query:
    """Records to find. ``labels``: keys and values; of charge points that have all of these, so that a key with two
    values finds none. ``order`` None: the resource's own."""

    condition: Condition | None = None
    labels: tuple[tuple[str, str], ...] = ()
    order: Order | None = None


ALL: Final = Query()


@frozen
class Found(Generic[R]):
    """``places``: of each record, for a next call that is to begin behind it. ``after``: for the next call; empty:
    these were the last."""

    records: list[R]
    places: list[str]
    after: str = ""


@frozen
class ChargePointCount:
    """Charge points that have both in common."""

    registration: Registration
    connected: bool
    count: int


@frozen
class ConnectorCount:
    """Connectors of charge points by the status that they reported last, the charge point as a whole left out."""

    status: str
    connected: bool
    count: int


@frozen
class ChargePointCounts:
    """Counts of charge points and of their connectors."""

    charge_points: list[ChargePointCount]
    connectors: list[ConnectorCount]


class ListStore(Protocol):
    """The part of a store that has such lists. Methods raise ``StoreUnavailable``, and ValueError for an ``after`` that
    no page has had: it is empty, or as the page before has it."""

    def find_charge_points(self, query: Query, after: str, limit: int, whole: bool = True) -> Found[ChargePointRecord]:
        """Not ``whole``: without connectors, and whatever else takes more to read than the charge point's own
        fields."""
        ...

    def find_connectors(self, query: Query, after: str, limit: int) -> Found[ConnectorsRecord]:
        """Charge points with their connectors, charging states and newest readings, and nothing else."""
        ...

    def count_charge_points(self, query: Query) -> ChargePointCounts:
        """Counts, in one moment's state. The query's order counts for nothing."""
        ...

    def ever_known(self, identities: Sequence[str]) -> frozenset[str]:
        """Those of at most 1,000 identities that a charge point has, or had before it was deleted."""
        ...

    def find_transactions(self, query: Query, after: str, limit: int) -> Found[TransactionRecord]: ...

    def count_transactions(self, query: Query) -> dict[TransactionState, int]:
        """By state; one of which there is none is left out."""
        ...

    def find_commands(self, query: Query, after: str, limit: int) -> Found[CommandRecord]: ...

    def find_operations(self, query: Query, after: str, limit: int) -> Found[OperationRecord]: ...

    def find_orphans(self, query: Query, after: str, limit: int) -> Found[StoredEvent]:
        """Stops without a transaction, the first received first unless another order is asked for."""
        ...

    def find_id_tags(self, query: Query, after: str, limit: int) -> Found[IdTagRecord]:
        """Without regard to case. Tags have no labels: with one in the query none is found."""
        ...

    def fleet_counts(self, labels: Labels, now: datetime, gone_before: datetime) -> FleetCounts:
        """Counts of the charge points with all of the labels, in one moment's state. The connectors of one that went
        away at ``gone_before`` or earlier are in no known state."""
        ...


def both(*conditions: Condition | None) -> Condition | None:
    """All of the conditions that there are."""
    given = tuple(each for each in conditions if each is not None)
    if len(given) > 1:
        return AllOf(given)
    return given[0] if given else None


def steering_place(after: str) -> tuple[str, int, int]:
    """The wanted state that a page begins after, as an identity, which may hold spaces, and a connector; empty: at the
    first. Raises ValueError for what no page has given out."""
    if not after:
        return "", -1, -1
    identity, *numbers = after.rsplit(" ", 2)
    if len(numbers) != 2 or not all(each.isascii() and each.isdigit() and len(each) < 11 for each in numbers):
        raise ValueError(f"{after[:100]!r} is no place in a list")
    evse, connector = map(int, numbers)
    if max(evse, connector) >= 2**31:
        raise ValueError(f"{after[:100]!r} is no place in a list")
    return identity, evse, connector

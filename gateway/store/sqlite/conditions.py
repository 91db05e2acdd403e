"""Conditions that several queries share: labels, scopes, filters of records."""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

import json
from collections.abc import Iterable

from gateway.domain.labels import Labels
from gateway.store.filters import RecordFilter


def record_conditions(charge_point: str | None, where: RecordFilter, table: str) -> tuple[list[str], list[str]]:
    """Conditions on a table of commands or operations, and what they are given."""
    conditions, given = [], list[str]()
    if charge_point is not None:
        conditions.append(f"{table}.charge_point = (SELECT key FROM charge_point WHERE identity = ?)")
        given.append(charge_point)
    if where.callers:
        # Said twice for the index, which has none without a caller.
        conditions.append(f"{table}.caller IN (SELECT value FROM json_each(?)) AND {table}.caller <> ''")
        given.append(json.dumps(sorted(where.callers)))
    if where.scope:
        sql, labels = in_scope(where.scope, f"{table}.charge_point")
        conditions.append(sql)
        given += labels
    return conditions, given


def in_scope(scope: Labels, column: str) -> tuple[str, list[str]]:
    """A condition on the key of a charge point: that it has all of the labels; and what it is given."""
    return in_labels(scope.items(), column)


def in_labels(labels: Iterable[tuple[str, str]], column: str) -> tuple[str, list[str]]:
    """The same of keys and values, at least one; a key with two values finds none."""
    one = "SELECT charge_point FROM label WHERE key = ? AND value = ?"
    given = [text for pair in labels for text in pair]
    return f"{column} IN ({' INTERSECT '.join([one] * (len(given) // 2))})", given

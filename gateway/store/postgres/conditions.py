"""Conditions of queries: labels, scopes, filters of records; and what they are given."""

from collections.abc import Iterable

import orjson

from gateway.domain.labels import Labels
from gateway.store.filters import RecordFilter
from gateway.store.postgres.encoding import Array, Value


def label_column(labels: Labels) -> list[str]:
    """Labels as they are found by: each as the JSON of its key and value."""
    return [orjson.dumps([key, value]).decode() for key, value in sorted(labels.items())]


def label_array(labels: Labels) -> Array:
    """Labels that a row's ``label`` has to hold."""
    return Array("text", label_column(labels))


def texts(words: Iterable[str]) -> Array:
    """Words, one of which a column has to be."""
    return Array("text", sorted(words))


class Conditions:
    """Conditions that hold together."""

    def __init__(self) -> None:
        self.given: list[Value | Array] = []
        self._all: list[str] = []

    def add(self, sql: str, *given: Value | Array) -> None:
        """One more, with a question mark for each value that it is given."""
        for value in given:
            self.given.append(value)
            sql = sql.replace("?", f"${len(self.given)}", 1)
        self._all.append(sql)

    def scope(self, labels: Labels, column: str) -> None:
        """The charge point whose key the column holds has all of the labels now."""
        if labels:
            sql = f"{column} IN (SELECT key FROM charge_point WHERE deleted_at IS NULL AND label @> ?::text[])"  # noqa: S608
            self.add(sql, label_array(labels))

    def record(self, charge_point: str | None, where: RecordFilter, table: str) -> None:
        """Those on a table of commands or operations."""
        if charge_point is not None:
            sql = f"{table}.charge_point = (SELECT key FROM charge_point WHERE identity = ?)"  # noqa: S608 - a constant
            self.add(sql, charge_point)
        if where.callers:
            self.add(f"{table}.caller = ANY (?) AND {table}.caller <> ''", texts(where.callers))
        self.scope(where.scope, f"{table}.charge_point")

    def where(self) -> str:
        """The clause; empty without a condition."""
        return f"WHERE {' AND '.join(self._all)}" if self._all else ""

    def limit(self, value: int) -> str:
        """The clause that bounds the page."""
        self.given.append(value)
        return f"LIMIT ${len(self.given)}"

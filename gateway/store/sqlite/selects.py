"""Rows of a query, all at once."""

from typing import Any

import apsw

from gateway.store.rows import Row


def fetch(cx: apsw.Connection, sql: str, given: tuple[Any, ...] = ()) -> list[Row]:
    """All rows of a query whose LIMIT or key bounds them."""
    found: list[Row] = cx.execute(sql, given).fetchall()
    return found


def one(cx: apsw.Connection, sql: str, given: tuple[Any, ...] = ()) -> Row:
    """The row of a query that always has one."""
    (row,) = fetch(cx, sql, given)
    return row

"""Notices: what one node leaves for another whose charge points it has changed, and how that one finds them."""

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from gateway.store.nodes import Notice, NoticeKind
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.encoding import Array

_LEAVE: Final = """WITH left_to AS (
    UPDATE node SET notices = notices + $2::int8 WHERE node = $1::int4 RETURNING notices)
    INSERT INTO notice (node, n, kind, charge_point, epoch, position, caller)
    SELECT $1::int4, left_to.notices - $2::int8 + u.n, u.kind, u.key, u.epoch, (SELECT mine()), u.caller
    FROM left_to, unnest($3::text[], $4::int4[], $5::int8[], $6::text[]) WITH ORDINALITY
    AS u (kind, key, epoch, caller, n)"""

_STATE: Final = "SELECT incarnation, batch, notices FROM node WHERE node = $1"
_FOUND: Final = """SELECT n.kind, c.identity, n.epoch, n.position, n.caller FROM notice n
    JOIN charge_point c ON c.key = n.charge_point WHERE n.node = $1 AND n.n > $2 ORDER BY n.n"""
_FORGET: Final = "DELETE FROM notice WHERE node = $1 AND n <= $2"


@frozen
class Left:
    """A notice that a batch leaves for the slot ``node``; ``key``: the charge point's."""

    node: int
    kind: NoticeKind
    key: int
    epoch: int
    caller: str = ""


def leave(cx: Connection, left: Mapping[int, Left]) -> None:
    """Queue the writing of notices, those of each slot together."""
    for node in sorted({each.node for each in left.values()}):
        own = [each for each in left.values() if each.node == node]
        cx.send(
            _LEAVE,
            node,
            len(own),
            Array("text", [each.kind for each in own]),
            Array("int4", [each.key for each in own]),
            Array("int8", [each.epoch for each in own]),
            Array("text", [each.caller for each in own]),
        )


@frozen
class Found:
    """A slot's row, and the notices since those that were seen."""

    incarnation: int
    batch: int
    notices: int
    found: tuple[Notice, ...]


def find(cx: Connection, node: int, seen: int) -> Found | None:
    """The notices after those that were seen; None: there is no such slot. Those that were seen go, where nothing
    keeps the transaction open."""
    state, rows = cx.send(_STATE, node), cx.send(_FOUND, node, seen)
    cx.sync()
    if not state.rows:
        return None
    found = tuple(Notice(NoticeKind(kind), identity, epoch, at, who) for kind, identity, epoch, at, who in rows.rows)
    incarnation, batch, notices = state.rows[0]
    return Found(incarnation, batch, notices, found)


def forget(cx: Connection, node: int, seen: int) -> None:
    """Queue the deletion of notices that were seen."""
    cx.send(_FORGET, node, seen)

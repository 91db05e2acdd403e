"""The nodes of a database: their rows, the ending of one that is silent, and what one of them does for all."""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

from collections.abc import Sequence
from typing import Final

from gateway.domain.events import StoredEvent
from gateway.domain.records import ChargePointRecord
from gateway.store import nodes, rows
from gateway.store.causes import NODE_LOST
from gateway.store.commits import Done, Missing
from gateway.store.encoding import maybe_time, to_time
from gateway.store.limits import bounded
from gateway.store.nodes import Ended, NodeRecord, NoticeKind, OwnerRecord
from gateway.store.postgres import notices
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.history import EVENTS_OF
from gateway.store.postgres.lane import SLOT_LOCK
from gateway.store.postgres.queries import whole_charge_points
from gateway.store.postgres.settlement import settle_owned
from gateway.store.postgres.writer import Writer

_SILENT: Final = """SELECT incarnation, seen_at < clock_timestamp() - make_interval(secs => $2::float8)
    FROM node WHERE node = $1"""
_NODES: Final = """SELECT n.node, n.incarnation,
    greatest(extract(epoch FROM clock_timestamp() - n.seen_at), 0)::float8, n.address, n.version, n.draining,
    (SELECT count(*) FROM charge_point c WHERE c.node = n.node),
    EXISTS (SELECT 1 FROM chores k WHERE k.node = n.node AND k.until > clock_timestamp()),
    (extract(epoch FROM n.seen_at) * 1000000)::int8,
    CASE WHEN n.taken_holder = n.holder THEN (extract(epoch FROM n.taken_at) * 1000000)::int8 END
    FROM node n ORDER BY n.node"""
_OWNER: Final = """SELECT n.node, n.incarnation, c.epoch FROM charge_point c JOIN node n USING (node)
    WHERE c.identity = $1 AND c.deleted_at IS NULL"""
_OWNED: Final = f"""SELECT {rows.CHARGE_POINT} FROM charge_point WHERE node = $1 AND identity > $2
    AND deleted_at IS NULL ORDER BY identity LIMIT $3"""
_KEEP: Final = """INSERT INTO chores (node, until) VALUES ($1, clock_timestamp() + make_interval(secs => $2::float8))
    ON CONFLICT (single) DO UPDATE SET node = excluded.node, until = excluded.until
    WHERE chores.node = excluded.node OR chores.until < clock_timestamp() RETURNING node"""
_LEAVE: Final = "DELETE FROM chores WHERE node = $1"
_STUCK: Final = f"""SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.classid::int8 = {SLOT_LOCK} AND l.objid::int8 <> $1
    AND a.datname = current_database() AND l.database = a.datid AND a.wait_event IS DISTINCT FROM 'SyncRep'
    AND a.wait_event_type IS DISTINCT FROM 'Lock'
    AND (a.xact_start < clock_timestamp() - make_interval(secs => $2::float8)
    OR EXISTS (SELECT 1 FROM node n WHERE n.node = l.objid::int8
    AND n.seen_at < clock_timestamp() - make_interval(secs => $3::float8)))"""
"""Of a process that was stopped within a batch, or halfway through sending one, which no time-out of the server's
ends; or of one that is silent. One that waits for a lock waits for such a one; one whose commit waits for a standby is
not ended: it would count as kept."""
_SPAN: Final = 0xFFFF
"""From the first sequence of a transaction to the last that it can have."""


# --- writes ---------------------------------------------------------------------------------------------------


def beat(writer: Writer, write: nodes.Beat) -> Done:
    """The fence has said that the node is there; what was seen of its notices goes."""
    slot = writer.lane.slot
    writer.send("UPDATE node SET draining = $2 WHERE node = $1 AND draining <> $2", slot, write.draining)
    notices.forget(writer.cx, slot, writer.lane.notices)
    return Done()


def end_node(writer: Writer, write: nodes.EndNode) -> Ended | Missing:
    row = writer.first(_SILENT, write.node, write.silence)
    if row is None or row[0] != write.incarnation or not row[1] or write.node == writer.lane.slot:
        return Missing()
    writer.send("UPDATE node SET incarnation = incarnation + 1 WHERE node = $1", write.node)
    settled = settle_owned(writer, write.node, NODE_LOST, write.at, bounded(write.limit))
    return Ended(settled, write.incarnation + 1)


def ask_to_disconnect(writer: Writer, write: nodes.AskToDisconnect) -> Done | Missing:
    owner = writer.present(write.charge_point)
    asked = owner is not None and writer.ask_owner(owner, NoticeKind.DISCONNECT, write.caller)
    return Done() if asked else Missing()


# --- reads ----------------------------------------------------------------------------------------------------


def all_nodes(cx: Connection) -> list[NodeRecord]:
    return [NodeRecord(*(*row[:-2], to_time(row[-2]), maybe_time(row[-1]))) for row in cx.rows(_NODES)]


def owner(cx: Connection, identity: str) -> OwnerRecord | None:
    row = cx.first(_OWNER, identity)
    return None if row is None else OwnerRecord(*row)


def owned(cx: Connection, node: int, after: str, limit: int) -> list[ChargePointRecord]:
    return whole_charge_points(cx, cx.rows(_OWNED, node, after, bounded(limit)))


def noticed(cx: Connection, identity: str, position: int, id_prefix: str) -> list[StoredEvent]:
    found: Sequence[rows.Row] = cx.rows(EVENTS_OF, identity, position, position | _SPAN)
    return [rows.event(row, id_prefix) for row in found]


# --- for all of them, each one statement that is its own transaction ---------------------------------------------


def keep_chores(cx: Connection, node: int, seconds: float) -> bool:
    return cx.first(_KEEP, node, seconds) is not None


def leave_chores(cx: Connection, node: int) -> None:
    cx.send(_LEAVE, node)
    cx.sync()


def free_lanes(cx: Connection, node: int, seconds: float, silence: float) -> int:
    return len(cx.rows(_STUCK, node, seconds, silence))

"""Guards: the facts that a decision rests on, looked up again in the transaction that records it."""

from gateway.domain.decision import (
    Guard,
    IdTagFree,
    NotConnected,
    OperationUnused,
    RequestIdUnused,
    SigningOpen,
    StartPending,
    SteeringRequestUnused,
    WantedUnchanged,
)
from gateway.domain.transactions import folded
from gateway.store.commits import GuardFailed
from gateway.store.sqlite import queries, steering
from gateway.store.sqlite.selects import one
from gateway.store.sqlite.signing import open_signing
from gateway.store.sqlite.writer import Owner, Writer


def failed_guard(writer: Writer, owner: Owner, guard: Guard) -> GuardFailed | None:
    """Return why a guard does not hold; None: it holds."""
    match guard:
        case IdTagFree(id_tag, connector):
            used = writer.cx.execute(
                f"""SELECT 1 FROM txn WHERE folded_tag = ? AND {queries.OCCUPIES}
                AND NOT (charge_point = ? AND evse = ? AND connector = ?) LIMIT 1""",  # noqa: S608 - a constant
                (folded(id_tag), owner.key, connector.evse, connector.connector),
            ).fetchone()
            return None if used is None else GuardFailed(guard)
        case RequestIdUnused(request_id):
            # By the index alone: that of a new command is never there, and this is asked of every one.
            sql = "SELECT 1 FROM command WHERE charge_point = ? AND request_id = ? AND request_id <> ''"
            if writer.cx.execute(sql, (owner.key, request_id)).fetchone() is None:
                return None
            return GuardFailed(guard, queries.command_by_request(writer.cx, owner.identity, request_id))
        case StartPending(command_id):
            sql = "SELECT 1 FROM pending_start WHERE charge_point = ? AND command_id = ?"
            there = writer.cx.execute(sql, (owner.key, command_id)).fetchone()
            return GuardFailed(guard) if there is None else None
        case OperationUnused(request_id):
            sql = "SELECT 1 FROM operation WHERE charge_point = ? AND request_id = ?"
            there = writer.cx.execute(sql, (owner.key, request_id)).fetchone()
            return None if there is None else GuardFailed(guard)
        case SteeringRequestUnused(request_id):
            changed = steering.changed_by_request(writer.cx, owner.key, request_id)
            return None if changed is None else GuardFailed(guard, changed=changed)
        case WantedUnchanged(connector, revision):
            return None if steering.revision(writer.cx, owner.key, connector) == revision else GuardFailed(guard)
        case SigningOpen(signing_id, wanted):
            found = open_signing(writer.cx, owner.key)
            holds = found is not None and found.signing_id == signing_id and wanted in (None, bool(found.chain))
            return None if holds else GuardFailed(guard)
        case NotConnected():
            writer.flush_end_of(owner)
            sql = "SELECT connected FROM charge_point WHERE key = ?"
            return GuardFailed(guard) if one(writer.cx, sql, (owner.key,))[0] else None

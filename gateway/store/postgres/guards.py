"""Guards: the facts that a decision rests on, looked up again in the transaction that records it."""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

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
from gateway.store import rows
from gateway.store.commits import GuardFailed
from gateway.store.encoding import clamped
from gateway.store.postgres import queries, signing, steering
from gateway.store.postgres.books import Owner
from gateway.store.postgres.writer import Writer


def failed_guard(writer: Writer, owner: Owner, guard: Guard) -> GuardFailed | None:
    """Return why a guard does not hold; None: it holds."""
    match guard:
        case IdTagFree(id_tag, connector):
            used = writer.first(
                f"""SELECT 1 FROM txn WHERE folded_tag = $1 AND {queries.OCCUPIES}
                AND NOT (charge_point = $2 AND evse = $3 AND connector = $4) LIMIT 1""",
                folded(id_tag),
                owner.key,
                clamped(connector.evse),
                clamped(connector.connector),
            )
            return None if used is None else GuardFailed(guard)
        case RequestIdUnused(request_id):
            row = writer.first(queries.COMMAND_BY_REQUEST, owner.identity, request_id)
            return None if row is None else GuardFailed(guard, rows.command(row))
        case StartPending(command_id):
            sql = "SELECT 1 FROM pending_start WHERE charge_point = $1 AND command_id = $2"
            return GuardFailed(guard) if writer.first(sql, owner.key, command_id) is None else None
        case OperationUnused(request_id):
            sql = "SELECT 1 FROM operation WHERE charge_point = $1 AND request_id = $2"
            return None if writer.first(sql, owner.key, request_id) is None else GuardFailed(guard)
        case SteeringRequestUnused(request_id):
            changed = steering.changed(request_id, writer.first(steering.CHANGED, owner.key, request_id))
            return None if changed is None else GuardFailed(guard, changed=changed)
        case WantedUnchanged(connector, revision):
            return None if steering.revision(writer, owner, connector) == revision else GuardFailed(guard)
        case SigningOpen(signing_id, wanted):
            found = signing.open_signing(writer.rows(signing.OPEN, owner.key))
            holds = found is not None and found.signing_id == signing_id and wanted in (None, bool(found.chain))
            return None if holds else GuardFailed(guard)
        case NotConnected():
            sql = "SELECT connected FROM charge_point WHERE key = $1"
            return GuardFailed(guard) if writer.one(sql, owner.key)[0] else None

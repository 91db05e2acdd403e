"""The writes to a transaction's record that no charger makes, each checked before it changes anything."""

from gateway.domain.events import TransactionAttributed, TransactionClosed
from gateway.store import commits
from gateway.store.commits import Appended, GuardFailed, Missing
from gateway.store.energy_commits import SettleEnergy
from gateway.store.rows import Row
from gateway.store.sqlite.writer import Owner, Writer


def _found(writer: Writer, charge_point: str, transaction_id: str) -> tuple[Owner, Row] | None:
    """The owner of a transaction, and its state, closing register, newest event, revision and key."""
    owner = writer.owner(charge_point)
    sql = """SELECT state, close_meter, last_sequence, energy_revision, key FROM txn
        WHERE transaction_id = ? AND charge_point = ?"""
    row = None if owner is None else writer.cx.execute(sql, (transaction_id, owner.key)).fetchone()
    return None if owner is None or row is None else (owner, row)


def close_transaction(writer: Writer, write: commits.CloseTransaction) -> Appended | GuardFailed | Missing:
    body = write.closed.body
    assert isinstance(body, TransactionClosed)
    found = _found(writer, write.charge_point, body.transaction_id)
    if found is None:
        return Missing()
    owner, (state, close_meter, *_) = found
    if state != "OPEN" and (state == "STOPPED" or body.meter_stop is None or close_meter is not None):
        return GuardFailed()
    return Appended(writer.append(owner, owner.epoch, [write.closed]))


def attribute_orphan(writer: Writer, write: commits.AttributeOrphan) -> Appended | GuardFailed | Missing:
    body = write.attributed.body
    assert isinstance(body, TransactionAttributed)
    found = _found(writer, write.charge_point, body.transaction_id)
    if found is None:
        return Missing()
    owner, (state, *_) = found
    sql = "SELECT 1 FROM attribution WHERE orphan = ? OR (charge_point = ? AND request_id = ?)"
    used = writer.cx.execute(sql, (body.orphan, owner.key, body.request_id)).fetchone()
    if state == "STOPPED" or used is not None:
        return GuardFailed()
    return Appended(writer.append(owner, owner.epoch, [write.attributed]))


def settle_energy(writer: Writer, write: SettleEnergy) -> Appended | GuardFailed | Missing:
    found = _found(writer, write.charge_point, write.transaction_id)
    if found is None:
        return Missing()
    owner, (state, _, newest, revision, key) = found
    if state == "OPEN" or (newest, revision) != (write.position, write.revision):
        return GuardFailed()
    if write.changed is None:
        writer.cx.execute("UPDATE txn SET energy_sequence = ? WHERE key = ?", (newest, key))
        return Appended(())
    return Appended(writer.append(owner, owner.epoch, [write.changed]))

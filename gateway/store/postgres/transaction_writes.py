"""The writes to a transaction's record that no charger makes, each checked before it changes anything."""

from gateway.domain.events import TransactionAttributed, TransactionClosed
from gateway.store import commits
from gateway.store.commits import Appended, GuardFailed, Missing
from gateway.store.energy_commits import SettleEnergy
from gateway.store.postgres.books import Owner
from gateway.store.postgres.writer import Writer
from gateway.store.rows import Row


def _found(writer: Writer, charge_point: str, transaction_id: str) -> tuple[Owner, Row] | None:
    """The owner of a transaction, and its state, closing register, newest event, revision and number."""
    owner = writer.owner(charge_point)
    sql = """SELECT state, close_meter, last_sequence, energy_revision, number FROM txn
        WHERE transaction_id = $1 AND charge_point = $2"""
    row = None if owner is None else writer.first(sql, transaction_id, owner.key)
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
    sql = "SELECT 1 FROM attribution WHERE orphan = $1 OR (charge_point = $2 AND request_id = $3)"
    used = writer.first(sql, body.orphan, owner.key, body.request_id)
    if state == "STOPPED" or used is not None:
        return GuardFailed()
    return Appended(writer.append(owner, owner.epoch, [write.attributed]))


def settle_energy(writer: Writer, write: SettleEnergy) -> Appended | GuardFailed | Missing:
    found = _found(writer, write.charge_point, write.transaction_id)
    if found is None:
        return Missing()
    owner, (state, _, newest, revision, number) = found
    if state == "OPEN" or (newest, revision) != (write.position, write.revision):
        return GuardFailed()
    if write.changed is None:
        writer.send("UPDATE txn SET energy_sequence = $1 WHERE number = $2", newest, number)
        return Appended(())
    return Appended(writer.append(owner, owner.epoch, [write.changed]))

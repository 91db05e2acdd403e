"""The writes that an operator makes to a transaction's record, each checked before it changes anything."""

from gateway.domain.events import TransactionClosed
from gateway.store import commits
from gateway.store.commits import Appended, GuardFailed, Missing
from gateway.store.sqlite.writer import Writer


def close_transaction(books: Writer, write: commits.CloseTransaction) -> Appended | GuardFailed | Missing:
    body = write.closed.body
    assert isinstance(body, TransactionClosed)
    owner = books.owner(write.charge_point)
    sql = "SELECT state FROM txn WHERE transaction_id = ? AND charge_point = ?"
    row = None if owner is None else books.cx.execute(sql, (body.transaction_id, owner.key)).fetchone()
    if owner is None or row is None:
        return Missing()
    if row[0] != "OPEN":
        return GuardFailed()
    return Appended(books.append(owner, owner.epoch, [write.closed]))

"""Transactions, their readings, their end by an operator, and stops that belong to none (Trio's side)."""

import trio

from gateway.control.errors import Failure, Status, invalid, not_found
from gateway.control.ports import Commands, Journal
from gateway.domain.commands import FieldViolation
from gateway.domain.events import NewEvent, StoredEvent, TransactionClosed
from gateway.domain.records import TransactionRecord, TransactionState
from gateway.domain.values import Clock
from gateway.store.api import TransactionFilter
from gateway.store.commits import Appended, CloseTransaction, Missing
from gateway.store.reads import Reads

MAX_REASON = 200
"""Characters of an operator's reason: a sentence for those who read the history."""


class Transactions:
    """They raise ``Failure`` and ``StoreUnavailable``; cancelling those that only read is safe."""

    def __init__(self, journal: Journal, reads: Reads, commands: Commands, clock: Clock) -> None:
        self._journal = journal
        self._reads = reads
        self._commands = commands
        self._clock = clock

    async def get(self, transaction_id: str) -> TransactionRecord:
        """One transaction."""
        record = await self._reads.transaction(transaction_id)
        if record is None:
            raise not_found("transaction", transaction_id)
        return record

    async def close(self, transaction_id: str, reason: str) -> TransactionRecord:
        """End the record of an open transaction; the session, if there is one, follows. One that an operator has closed
        already is answered as it is."""
        if not reason.strip() or len(reason) > MAX_REASON or not reason.isprintable():
            raise invalid(FieldViolation("reason", f"must have 1 to {MAX_REASON} printable characters"))
        record = await self.get(transaction_id)
        if record.state is TransactionState.CLOSED:
            return record
        closed = NewEvent(TransactionClosed(transaction_id, record.connector, reason), self._clock())
        with trio.CancelScope(shield=True):  # a commit can't be withdrawn, and the session must not stay behind
            result = await self._journal.commit(CloseTransaction(record.charge_point, closed))
            if isinstance(result, Appended):
                self._commands.transaction_closed(record.charge_point, closed)
        if isinstance(result, Missing):
            raise not_found("transaction", transaction_id)
        record = await self.get(transaction_id)
        if record.state is not TransactionState.CLOSED:
            raise Failure(
                Status.FAILED_PRECONDITION,
                "TRANSACTION_NOT_OPEN",
                f"transaction {transaction_id} is not open: it is {record.state.value}",
                {"transaction_id": transaction_id, "state": record.state.value},
            )
        return record

    async def page(self, where: TransactionFilter, after: str | None, limit: int) -> list[TransactionRecord]:
        """A page, the newest start first."""
        return await self._reads.transactions(where, after, limit)

    async def readings(self, transaction_id: str, after: int, limit: int) -> list[StoredEvent]:
        """The events that hold a transaction's readings."""
        await self.get(transaction_id)
        return await self._reads.readings(transaction_id, after, limit)

    async def orphans(self, charge_point: str | None, after: int, limit: int) -> list[StoredEvent]:
        """Stops without a transaction."""
        return await self._reads.orphans(charge_point, after, limit)

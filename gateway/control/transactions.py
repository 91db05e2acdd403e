"""Transactions, their readings, and stops that belong to none (Trio's side)."""

from gateway.control.failures import not_found
from gateway.control.ports import Journal
from gateway.domain.events import StoredEvent
from gateway.domain.records import TransactionRecord
from gateway.store.api import Store, TransactionFilter


class Transactions:
    """All methods only read; they raise ``Failure`` and ``StoreUnavailable``, and cancelling them is safe."""

    def __init__(self, journal: Journal, store: Store) -> None:
        self._journal = journal
        self._store = store

    async def get(self, transaction_id: str) -> TransactionRecord:
        """One transaction."""
        record = await self._journal.read(self._store.transaction, transaction_id)
        if record is None:
            raise not_found("transaction", transaction_id)
        return record

    async def page(self, where: TransactionFilter, after: str | None, limit: int) -> list[TransactionRecord]:
        """A page, the newest start first."""
        return await self._journal.read(self._store.transactions, where, after, limit)

    async def readings(self, transaction_id: str, after: int, limit: int) -> list[StoredEvent]:
        """The events that hold a transaction's readings."""
        await self.get(transaction_id)
        return await self._journal.read(self._store.readings, transaction_id, after, limit)

    async def orphans(self, charge_point: str | None, after: int, limit: int) -> list[StoredEvent]:
        """Stops without a transaction."""
        return await self._journal.read(self._store.orphans, charge_point, after, limit)

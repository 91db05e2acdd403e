"""Signs that another life of this store was served: what it gave out, and this one never did.

A restored snapshot of the whole folder, or a copy that is served on another machine, shows by nothing at the start. It
shows when a client or a charger names what the other life gave out: a resume token, or a transaction number.
"""

from datetime import datetime, timedelta

import structlog

from gateway.domain.values import Clock
from gateway.session.ports import Counter
from gateway.store.filters import TransactionFilter
from gateway.store.reads import Reads

LINE_EVERY = timedelta(hours=1)
"""Of each kind one line in the log; a fleet repeats what it holds with every message. All are counted."""

NUMBERS_AHEAD = 1_000_000
"""A transaction number further ahead than this is another system's, which chargers bring along when they move here; no
life of this store has come so far since any backup that is worth restoring."""

TRANSACTIONS_LOOKED_AT = 20
"""Of the charge point that brings an unknown number. Stops of unknown transactions are recorded among them."""

log = structlog.get_logger()


class Divergence:
    """Counts what another life gave out (``from_another_life``, by kind) and logs it. Refuses nothing."""

    def __init__(self, reads: Reads, observer: Counter, clock: Clock) -> None:
        self._reads = reads
        self._observer = observer
        self._clock = clock
        self._logged_at: dict[str, datetime] = {}

    def seen(self, what: str, which: str) -> None:
        """``what``: ``resume_token`` or ``transaction_number``; ``which``: words for the log. Never waits."""
        self._observer.count("from_another_life", what)
        now = self._clock()
        if what not in self._logged_at or not timedelta(0) <= now - self._logged_at[what] < LINE_EVERY:
            self._logged_at[what] = now
            log.error(
                "another life of this store gave this out",
                what=what,
                which=which,
                meaning="an older snapshot was restored, or a copy is served elsewhere: see docs/store.md, Restoring",
            )

    async def number(self, charge_point: str, number: int) -> None:
        """A charge point named a transaction number that the store does not hold. Raises ``StoreUnavailable``."""
        first = await self._reads.next_number()
        if first <= number < first + NUMBERS_AHEAD and await self._has_numbers_of_this_store(charge_point, first):
            self.seen("transaction_number", f"{number} of {charge_point}")

    async def _has_numbers_of_this_store(self, charge_point: str, first: int) -> bool:
        """Return true if the charge point has had a number of this store. One that has not, and brings a number along,
        has moved here from another system with a transaction under way."""
        where = TransactionFilter(charge_point=charge_point)
        known = await self._reads.transactions(where, None, TRANSACTIONS_LOOKED_AT)
        return any(record.number is not None and 0 < record.number < first for record in known)

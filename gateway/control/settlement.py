"""The settlement of transactions' energy: worked out some seconds after its end, and anew after what comes later.

What is due is on disk: a transaction has ended, and its newest event came after those that its energy was worked out
with. The result is committed only if that is still so, with its event, so that each is recorded once,
however often the process is killed between what brought it about and its record.
"""

from datetime import timedelta
from typing import Final

import structlog
import trio

from gateway.control.energy import TransactionEnergies
from gateway.control.errors import Failure
from gateway.control.ports import Journal
from gateway.domain.events import NewEvent
from gateway.domain.values import Clock
from gateway.energy.settlement import revised
from gateway.errors import StoreUnavailable
from gateway.store.api import DueEnergy
from gateway.store.energy_commits import SettleEnergy
from gateway.store.reads import Reads

ROUND_SECONDS: Final = 2.0
"""Between two looks at what is due: one query of an index that holds nothing else."""

SETTLE_AFTER: Final = timedelta(seconds=5)
"""A transaction is settled once nothing has come for so long: a queue's samples follow one another faster, and are
worked out once, and not each."""

AHEAD: Final = timedelta(minutes=1)
"""What was said later than that was said by a clock that was wrong, and is not waited for until the clock comes there:
it may take years. Clocks of nodes differ by less."""

AT_ONCE: Final = 50
"""Transactions of a round; the next one follows at once where there are more."""

BUSY_SHARE: Final = 0.5
"""Of a core, while much is due, such as at the hour when a tariff ends: thousands of stops in a minute, with 25 ms of a
core each. The rest is for others."""

log = structlog.get_logger()


class Settlement:
    """One task works through all that is due."""

    def __init__(self, journal: Journal, reads: Reads, energies: TransactionEnergies, clock: Clock) -> None:
        self._journal = journal
        self._reads = reads
        self._energies = energies
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled. What a store that is unavailable keeps from being recorded stays due."""
        while True:
            try:
                more = await self.settle_due()
            except StoreUnavailable:
                more = False
            if not more:
                await trio.sleep(ROUND_SECONDS)

    async def settle_due(self) -> bool:
        """Settle what is due, at most ``AT_ONCE``; answers whether more may be. Raises ``StoreUnavailable``."""
        now = self._clock()
        due = await self._reads.due_energies(now - SETTLE_AFTER, AT_ONCE, now + AHEAD)
        for each in due:
            began = trio.current_time()
            await self._settle(each)
            await trio.sleep((trio.current_time() - began) * (1 / BUSY_SHARE - 1))
        return len(due) == AT_ONCE

    async def _settle(self, due: DueEnergy) -> None:
        """One that can't be worked out must not keep those after it: it is recorded as looked at."""
        record = await self._reads.transaction(due.transaction_id)
        if record is None:
            return  # retention has taken it
        known, changed = record.settlement, None
        try:
            found = await self._energies.worked_out(due.transaction_id)
            if not found.metering.deleted or not known.revision:  # what retention takes changes no revision
                changed = revised(record, found.energy, found.happened)
        except StoreUnavailable:
            raise
        except Failure as failure:
            log.warning("energy not worked out", transaction=due.transaction_id, reason=failure.reason)
        except Exception:
            log.exception("energy not worked out", transaction=due.transaction_id)
        event = None if changed is None else NewEvent(changed, self._clock())
        # Where something came meanwhile this is refused, and the transaction is due again.
        await self._journal.commit(
            SettleEnergy(due.charge_point, due.transaction_id, known.newest, known.revision, event)
        )

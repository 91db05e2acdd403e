"""The log's levels, as the operator sets them for a while (Trio's side)."""

import structlog

from gateway.control.errors import Failure, Status, not_found
from gateway.control.ports import Journal, LogLevels
from gateway.domain.log_levels import LogLevel
from gateway.domain.values import Clock
from gateway.store.audit_commits import RecordAction
from gateway.store.reads import Reads

log = structlog.get_logger()


class LogLevelControl:
    """Raises ``Failure`` and ``StoreUnavailable``. Cancelling leaves open whether a level was set."""

    def __init__(self, journal: Journal, reads: Reads, levels: LogLevels, clock: Clock) -> None:
        self._journal = journal
        self._reads = reads
        self._levels = levels
        self._clock = clock

    async def get(self) -> LogLevels:
        """The present levels."""
        return self._levels

    async def set(self, charge_point: str, level: LogLevel | None, seconds: float, caller: str = "") -> LogLevels:
        """Hold a level for so long; None: the settings' again. Noted in the audit before."""
        if charge_point and await self._reads.charge_point(charge_point) is None:
            raise not_found("charge point", charge_point)
        detail = "as the settings say" if level is None else f"{level.value} for {seconds:.0f} s"
        if caller:
            await self._journal.commit(RecordAction(caller, "SetLogLevel", self._clock(), charge_point, detail))
        if not self._levels.set(charge_point, level, seconds):
            text = "as many charge points have a log level of their own as may"
            raise Failure(Status.RESOURCE_EXHAUSTED, "TOO_MANY_LOG_LEVELS", text)
        of = {"charge_point": charge_point} if charge_point else {}
        log.info("log level set", set_to=detail, caller=caller, **of)
        return self._levels

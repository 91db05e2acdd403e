"""Refused calls: a line of the log for each, and an entry of the audit where the caller has a name; both in bounds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import structlog

from gateway.control.errors import Failure
from gateway.control.services.rpc import Context, failure_of
from gateway.control.services.scope import OutsideOfScope
from gateway.domain.audit import RefusedCall
from gateway.domain.values import Clock

log = structlog.get_logger()

AT_ONCE, EACH_SECOND = 20, 1.0
"""Refusals that are noted: a client with a wrong token, or too small a role, tries for ever."""

RECORD_SECONDS: Final = 1.0
"""For an entry to be on disk. A refusal must not wait for a store that hangs."""

Record: TypeAlias = Callable[[RefusedCall], Awaitable[object]]


class Allowance:
    """So many at once, and so many a second after that."""

    def __init__(self) -> None:
        self._left = float(AT_ONCE)
        self._at = 0.0
        self.omitted = 0
        """Those since the last one that was allowed."""

    def take(self) -> bool:
        """Return whether one more is allowed now."""
        now = asyncio.get_running_loop().time()
        self._left = min(AT_ONCE, self._left + (now - self._at) * EACH_SECOND)
        self._at = now
        if self._left < 1:
            self.omitted += 1
            return False
        self._left -= 1
        return True


class RefusedCalls:
    """The calls of one run that were refused before their method. Belongs to asyncio's loop."""

    def __init__(self, record: Record, clock: Clock, count: Callable[[str], None]) -> None:
        """``record`` writes an entry of the audit; ``count`` counts each refusal by its reason."""
        self._count = count
        self._record = record
        self._clock = clock
        self._lines = Allowance()
        self._entries = Allowance()
        self._writing: set[asyncio.Task[None]] = set()
        """As many as the allowance lets through in ``RECORD_SECONDS``."""

    def note(self, method: str, failure: Failure, context: Context, request: Any, caller: str = "") -> None:
        """Note a refusal. ``caller``: the one that was refused; empty: it is not known. Raises nothing."""
        caller = caller or failure.metadata.get("caller", "")
        outside = isinstance(failure, OutsideOfScope)
        reason = "OUTSIDE_OF_SCOPE" if outside else failure.reason
        self._count(reason)
        if self._lines.take():
            unlogged, self._lines.omitted = self._lines.omitted, 0
            log.warning(
                "caller refused",
                rpc=method,
                reason=reason,
                check=failure.metadata.get("check", ""),
                peer=context.peer(),
                caller=caller,
                unlogged_before=unlogged,
            )
        if caller and self._entries.take():
            omitted, self._entries.omitted = self._entries.omitted, 0
            named = failure.charge_point if isinstance(failure, OutsideOfScope) else _charge_point(request)
            action = method.rpartition("/")[2]
            call = RefusedCall(caller, action, reason, self._clock(), named, omitted)
            # Not awaited: the time of the answer would show whether there is what the scope hides.
            task = asyncio.create_task(self._write(call))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _write(self, call: RefusedCall) -> None:
        try:
            async with asyncio.timeout(RECORD_SECONDS):
                await self._record(call)
        except Exception as error:
            failure_of(error, "audit")  # logs what is a bug
            self._entries.omitted += call.omitted + 1

    async def settle(self) -> None:
        """Wait until what was refused is recorded, or can't be."""
        await asyncio.gather(*self._writing)


def _charge_point(request: Any) -> str:
    """The charge point that a request names; empty: none."""
    for name in ("charge_point", "identity"):
        value = getattr(request, name, "")
        if isinstance(value, str) and value:
            return value
        found = getattr(value, "identity", "")
        if isinstance(found, str) and found:
            return found
    return ""

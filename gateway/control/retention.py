"""Retention by age: its state, and an operator's confirmation of a doubted clock (Trio's side)."""

from datetime import datetime

from gateway.control.errors import Failure, Status
from gateway.control.ports import ClockStatus, ClockWatch


class RetentionControl:
    """Both raise ``StoreUnavailable``. Cancelling is safe: a confirmation is given or not."""

    def __init__(self, watch: ClockWatch) -> None:
        self._watch = watch

    async def status(self) -> ClockStatus:
        """Return the present state."""
        return await self._watch.status()

    async def confirm(self, shown: datetime, caller: str = "") -> ClockStatus:
        """The clock is right, at the time that the operator was shown. Raises ``Failure`` if it shows another by
        now."""
        if not await self._watch.confirm(shown, caller):
            status = await self._watch.status()
            raise Failure(
                Status.FAILED_PRECONDITION,
                "CLOCK_DIFFERS",
                f"the gateway's clock shows {status.now.isoformat()}, and {shown.isoformat()} was confirmed",
                {"clock_time": status.now.isoformat()},
            )
        return await self._watch.status()

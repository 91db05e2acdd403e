"""Readiness of a charger: when the gateway may send CALLs.

    closed ──Boot.conf Accepted, settle delay──▶ open
    closed ──Boot.conf Pending, settle delay───▶ restricted (no remote start or stop: S §4.2, B1.3)
    closed ──accepted earlier; another message, or a short silence──▶ open (J §5.4)
    any ────a BootNotification arrives──▶ closed until it is answered (commands before Boot.conf: quirk 7);
            a CALLERROR is no answer: then as if the Boot had not come
    any ────a newer connection is about to take over───▶ closed for good

A Rejected charger is not spoken to (S §4.2). No task and no timer runs while no CALL waits.
"""

import math

import trio

from gateway.domain.values import Registration
from gateway.ocpp.protocol import Access

ACCESS = {
    Registration.ACCEPTED: Access.FULL,
    Registration.PENDING: Access.RESTRICTED,
    Registration.REJECTED: Access.NONE,
}


class Readiness:
    """The gate of one session. Only its session moves it; any number of tasks wait at it."""

    def __init__(self, *, accepted_before: bool, settle_delay: float, ready_after_silence: float) -> None:
        self._settle_delay = settle_delay
        self._ready_after_silence = ready_after_silence
        self._accepted_before = accepted_before
        self._access = Access.FULL if accepted_before else Access.NONE
        self._opens_at = trio.current_time() + ready_after_silence if accepted_before else math.inf
        self._awaits_sign = accepted_before
        self._changed: trio.Event | None = None
        self._closed = False

    def pace(self, settle_delay: float, ready_after_silence: float) -> None:
        """Take other pauses from the next answer to a boot on."""
        self._settle_delay, self._ready_after_silence = settle_delay, ready_after_silence

    def close(self) -> None:
        """From now on nothing goes out."""
        self._closed = True

    def hold(self) -> None:
        """A BootNotification came in: nothing goes out until it is answered and the charger has settled."""
        self._awaits_sign = False
        self._move(Access.NONE, math.inf)

    def boot_answered(self, answer: Registration | None) -> None:
        """Note that a BootNotification was answered.

        ``answer``: that of the last Boot.conf of this connection; None: there was none yet, or the Boot could not be
        read or handled.
        """
        if answer is not None:
            access = ACCESS[answer]
            self._move(access, trio.current_time() + self._settle_delay if access else math.inf)
        elif self._accepted_before:
            self._awaits_sign = True
            self._move(Access.FULL, trio.current_time() + self._ready_after_silence)

    def message_handled(self) -> None:
        """The charger sent something other than a Boot, and it has been answered."""
        if self._awaits_sign:
            self._awaits_sign = False
            self._move(self._access, trio.current_time())

    def permits(self, access: Access) -> bool:
        """Return true if ``access`` is given at this very moment."""
        return self._access >= access and trio.current_time() >= self._opens_at and not self._closed

    async def wait(self, access: Access) -> None:
        """Return once ``access`` is given. Cancelling is safe."""
        while not self.permits(access):
            if self._changed is None:
                self._changed = trio.Event()
            with trio.move_on_at(self._opens_at if self._access >= access and not self._closed else math.inf):
                await self._changed.wait()

    def _move(self, access: Access, opens_at: float) -> None:
        self._access, self._opens_at = access, opens_at
        if self._changed is not None:
            self._changed.set()
            self._changed = None

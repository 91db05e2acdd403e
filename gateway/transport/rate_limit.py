"""Rate limit of one peer: its messages, and all the frames and small reads that are none. What it may still
send belongs to its identity (``accounts``) as soon as it has one.

A peer that sends faster is read more slowly: the connection waits before it gives out a message, or reads again,
and nothing is lost. A ping behind such messages is answered once they are read. What can lie before it is bounded: one
read, and the kernel's buffer (``listening_socket.BUFFER_BYTES``).
"""

from collections.abc import Callable

import trio

from gateway.transport.accounts import Account, new_account
from gateway.transport.large_messages import LARGE_BYTES
from gateway.transport.limits import Limits

PAID_BYTES = 4096
"""Of a message's size, what counts as one more message: a megabyte costs as much as 257 small ones, about what it costs
to read and to store, which is as much as any does: of larger ones there is but one at a time, and a charger that sends
one needn't wait before it goes on. Everyday messages stay below. A reader charges what a message costs beyond its bytes
(``charge``)."""


def ignored(_: str) -> None:
    """A callback that does nothing."""


class RateLimit:
    """The rate limit of one connection. For the one task that receives, but for ``cut_short``.

    ``slowed`` is called each time the peer has to wait, and for what: ``messages`` or ``frames``.
    """

    __slots__ = (
        "_began",
        "_message_seconds",
        "_slowed",
        "_waiting",
        "charged",
    )

    def __init__(self, limits: Limits, slowed: Callable[[str], None]) -> None:
        self.charged = new_account(limits)
        """The account that all of it is on; a new one until the charge point is known."""
        self._message_seconds = limits.message_seconds
        self._began: float | None = None  # when the first part came of a message that is not complete
        self._slowed = slowed
        self._waiting: trio.Event | None = None

    def account(self, account: Account) -> None:
        """Charge this account from now on; what is owed on it is waited for first."""
        self.charged = account

    def message(self, now: float, size: int) -> None:
        """Charge a message of ``size`` bytes that is given out. ``now`` may be when it was read."""
        account = self.charged
        pause = account.messages.take(now, 1 if size < PAID_BYTES else 1 + min(size, LARGE_BYTES) // PAID_BYTES)
        if pause:
            account.next_message_at = now + pause

    def charge(self, messages: int) -> None:
        """Charge as much as ``messages`` everyday messages cost."""
        now = trio.current_time()
        account = self.charged
        pause = account.messages.take(now, messages)
        if pause:
            account.next_message_at = now + pause

    def read(self, now: float, messages: int, others: int, arriving: int) -> bool:
        """Charge one read of ``messages`` whole messages and ``others`` frames that are none; of one more message
        ``arriving`` bytes have come so far. True if that one has taken too long: a larger one may take longer."""
        account = self.charged
        pause = account.frames.take(now, 1 + others)
        if pause:
            account.next_read_at = now + pause
        if not arriving:
            self._began = None
        elif self._began is None or messages:
            self._began = now
        else:
            return now - self._began > self._message_seconds * max(1, arriving / LARGE_BYTES)
        return False

    def resumed(self) -> None:
        """Begin anew to time the message that is arriving: the gateway kept the peer from going on until now."""
        if self._began is not None:
            self._began = trio.current_time()

    async def until_next_message(self) -> None:
        """Wait until the account allows the next message, also for what another connection of the charger uses up
        meanwhile. Cancelling changes nothing of what is owed."""
        account = self.charged
        while account.next_message_at:
            if await self._wait(account.next_message_at, "messages"):
                return
            if account.next_message_at <= trio.current_time():
                account.next_message_at = 0.0

    async def until_next_read(self) -> None:
        """Wait until the account allows the next read; otherwise as ``until_next_message``."""
        account = self.charged
        while account.next_read_at:
            if await self._wait(account.next_read_at, "frames"):
                return
            if account.next_read_at <= trio.current_time():
                account.next_read_at = 0.0

    def cut_short(self) -> None:
        """End the waiting: the connection is over."""
        if self._waiting is not None:
            self._waiting.set()

    async def _wait(self, time: float, what: str) -> bool:
        """Wait until ``time``. True: the connection has ended before that."""
        if time <= trio.current_time():
            return False
        self._slowed(what)
        self._waiting = ended = trio.Event()
        try:
            with trio.move_on_at(time):
                await ended.wait()
        finally:
            self._waiting = None
        return ended.is_set()

"""Send budgets of chargers, kept beyond their connections: connecting anew does not refill one.

An account is forgotten once it is full again and no connection uses it; then it says nothing that a new one doesn't.
"""

from collections import OrderedDict
from typing import Final

import trio
from attrs import define

from gateway.transport.limits import Limits
from gateway.transport.token_bucket import TokenBucket

MAX_OWING: Final = 65_536
"""Accounts without a connection that are not full again, over a hundred bytes each: three times the chargers of one
gateway. Past it the one that was left first is forgotten."""

SWEPT: Final = 4
"""Accounts looked at for each one that is left: more than come, so those that are full again don't pile up."""


@define(eq=False)
class Account:
    """One charger's: its messages, and all the frames and small reads that are none."""

    messages: TokenBucket
    frames: TokenBucket
    connections: int = 0
    next_message_at: float = 0.0
    """When the next message may be given out, on whichever of its connections; 0 for at once: nearly always, and cheap
    to ask."""
    next_read_at: float = 0.0
    """The same for the next read."""

    def full(self, now: float) -> bool:
        """True if nothing is owed."""
        return self.messages.full(now) and self.frames.full(now)


class Accounts:
    """One for all listeners of a gateway. Belongs to the Trio loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._used: dict[str, Account] = {}
        self._left: OrderedDict[str, Account] = OrderedDict()

    def __len__(self) -> int:
        """Number of accounts kept."""
        return len(self._used) + len(self._left)

    def open(self, identity: str) -> Account:
        """The account of a charger that has been admitted; ``leave`` when its connection is over. Connections that
        overlap share it."""
        account = self._used.get(identity)
        if account is None:
            account = self._used[identity] = self._back(identity)
        account.connections += 1
        return account

    def _back(self, identity: str) -> Account:
        """The one that it has left, or a full one."""
        return self._left.pop(identity) if identity in self._left else new_account(self._limits)

    def leave(self, identity: str) -> None:
        """A connection for which it was opened is over."""
        account = self._used[identity]
        account.connections -= 1
        if account.connections:
            return
        del self._used[identity]
        now = trio.current_time()
        if not account.full(now):
            self._left[identity] = account
        if len(self._left) > MAX_OWING:
            self._left.popitem(last=False)
        for _ in range(min(SWEPT, len(self._left))):
            # Those that owe go to the end: all come by in turn.
            name, oldest = self._left.popitem(last=False)
            if not oldest.full(now):
                self._left[name] = oldest


def new_account(limits: Limits) -> Account:
    """A full one."""
    return Account(
        TokenBucket(limits.messages_per_second, limits.message_burst),
        TokenBucket(limits.frames_per_second, limits.frame_burst),
    )

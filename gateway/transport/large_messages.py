"""The place of the one large message that is taken in at a time, over all connections of a gateway."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import trio
from attrs import define, field

LARGE_BYTES: Final = 1024 * 1024
"""A message of more is large. Real ones are, rarely: a StopTransaction with ten hours of samples. Every connection may
hold one of up to this size that is not complete yet; beyond it there is one at a time, or a hundred chargers could hold
half a gigabyte."""


LOOK_AGAIN_SECONDS: Final = 1.0
"""Between two looks at a message that has had its time and is still there: it is being read, most likely."""


@define(eq=False)
class _Claim:
    who: object
    too_slow: Callable[[], None]
    since: float = 0.0
    decided: trio.Event = field(factory=trio.Event)


class LargeMessagePlace:
    """One for all listeners of a gateway. Belongs to the Trio loop; connections take turns in the order of asking.

    ``seconds``: how long a message may take to arrive while others wait; without others it has the time that any
    message has.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._holder: _Claim | None = None
        self._waiting: OrderedDict[object, _Claim] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Number of connections that wait for the place."""
        return len(self._waiting)

    def held_by(self, who: object) -> bool:
        """Return true if the place is that connection's."""
        return self._holder is not None and self._holder.who is who

    async def take(self, who: object, too_slow: Callable[[], None]) -> bool:
        """Wait for the place; False if ``leave`` was called meanwhile. ``too_slow`` is called, perhaps repeatedly, once
        the message has had its time and others wait; it must do nothing if the message is complete."""
        claim = _Claim(who, too_slow)
        if self._holder is None:
            self._give(claim)
            await trio.lowlevel.checkpoint()
            return True
        self._waiting[who] = claim
        try:
            while not claim.decided.is_set():
                holder = self._holder
                over = holder.since + self._seconds
                with trio.move_on_at(max(over, trio.current_time() + LOOK_AGAIN_SECONDS)):
                    await claim.decided.wait()
                if holder is self._holder and trio.current_time() >= over:
                    holder.too_slow()
        except BaseException:
            self.leave(who)
            raise
        return self._holder is claim

    def leave(self, who: object) -> None:
        """They hold it no more, and wait for it no more. Repeating it does nothing."""
        claim = self._waiting.pop(who, None)
        if claim is not None:
            claim.decided.set()
        elif self.held_by(who):
            self._holder = None
            if self._waiting:
                self._give(self._waiting.popitem(last=False)[1])

    def _give(self, claim: _Claim) -> None:
        claim.since = trio.current_time()
        self._holder = claim
        claim.decided.set()


class LargeMessageArrival:
    """One connection's large message: it waits for the place, arrives in it, and is given out."""

    __slots__ = ("_arriving", "_place", "given_out", "waits")

    def __init__(self, place: LargeMessagePlace) -> None:
        self._place = place
        self._arriving: trio.CancelScope | None = None
        self.waits = False
        """True while the connection waits for the place."""
        self.given_out = False
        """True while the session has the message: the place is left when it asks for the next one, or at its end."""

    @property
    def held(self) -> bool:
        """True if the place is this connection's."""
        return self._place.held_by(self)

    async def take(self) -> bool:
        """As ``LargeMessagePlace.take``."""
        self.waits = True
        try:
            return await self._place.take(self, self._too_slow)
        finally:
            self.waits = False

    async def cut_short(self, read: Callable[[], Awaitable[None]]) -> bool:
        """Read some of the message. True: that took too long while others wait for the place."""
        with trio.CancelScope() as self._arriving:
            await read()
        arriving, self._arriving = self._arriving, None
        return arriving.cancelled_caught

    def leave(self) -> None:
        """As ``LargeMessagePlace.leave``."""
        self._place.leave(self)

    def _too_slow(self) -> None:
        if self._arriving is not None:
            self._arriving.cancel()

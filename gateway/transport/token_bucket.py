"""A token bucket, kept as the one time at which it is full again. Pure.

Nothing is ever refused or dropped. A peer that has spent its burst is given a time to wait, and meanwhile
nothing more is read from it: TCP carries that to the peer.
"""


class TokenBucket:
    """``rate`` tokens come back each second, up to ``burst`` of them. Times are Trio's.

    One subtraction and one comparison where there are tokens left.
    """

    __slots__ = ("_full_at", "_seconds", "_window")

    def __init__(self, rate: float, burst: float) -> None:
        self._seconds = 1 / rate
        self._window = burst / rate
        self._full_at = float("-inf")

    def take(self, now: float, tokens: int = 1) -> float:
        """Take tokens; seconds to wait before what they stand for is done, 0 as long as the burst lasts.

        Taking is never refused, also of more than the burst: the wait grows with what is owed.
        """
        full_at = self._full_at
        if full_at < now:
            full_at = now
        self._full_at = full_at = full_at + tokens * self._seconds
        owed = full_at - now - self._window
        return owed if owed > 1e-6 else 0.0  # sums of fractions: a burst's last token owes nothing

    def full(self, now: float) -> bool:
        """True once all tokens are back."""
        return self._full_at <= now

    def allows(self, now: float) -> bool:
        """Take one token if there is one: for what is left out rather than delayed."""
        if self._full_at - now + self._seconds > self._window:
            return False
        self.take(now)
        return True

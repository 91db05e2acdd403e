"""Bounds on the log lines that one charge point can bring about, over all its connections."""

from collections import OrderedDict

import trio
from attrs import define

LINES_AT_ONCE, SECONDS_A_LINE = 20, 60.0
"""Lines about one charge point's faults at once, and how soon another may follow: enough to see what is wrong with it,
and at most 1,440 a day of one that never stops."""

ALL_AT_ONCE, ALL_SECONDS_A_LINE = 200, 0.2
"""The same for all charge points together: a firmware that goes wrong does so in thousands of them on one day."""

MAX_KEPT = 4_096
"""Charge points with lines to their account. One whose account is clear again is forgotten; so is the one that wrote
least recently when there are more."""


@define(eq=False)
class _Account:
    clear_at: float = 0.0
    unwritten: int = 0


class FaultLog:
    """One for all sessions of a gateway. Belongs to the Trio loop."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._all = _Account()

    def __len__(self) -> int:
        """Number of charge points that have an account."""
        return len(self._accounts)

    def take(self, charge_point: str) -> int | None:
        """Ask for a line. How many were left out since the last one; None if this one is to be left out, too."""
        now = trio.current_time()
        account = self._account(charge_point, now)
        own = _has_room(account, now, LINES_AT_ONCE, SECONDS_A_LINE)
        if not own or not _has_room(self._all, now, ALL_AT_ONCE, ALL_SECONDS_A_LINE):
            account.unwritten += 1
            return None
        _charge(account, now, SECONDS_A_LINE)
        _charge(self._all, now, ALL_SECONDS_A_LINE)
        unwritten, account.unwritten = account.unwritten, 0
        return unwritten

    def _account(self, charge_point: str, now: float) -> _Account:
        account = self._accounts.get(charge_point)
        if account is None:
            account = self._accounts[charge_point] = _Account()
        self._accounts.move_to_end(charge_point)
        oldest, its = next(iter(self._accounts.items()))
        if its is not account and (its.clear_at <= now or len(self._accounts) > MAX_KEPT):
            del self._accounts[oldest]
        return account


def _has_room(account: _Account, now: float, at_once: int, seconds: float) -> bool:
    return max(account.clear_at - now, 0.0) <= (at_once - 0.5) * seconds  # half a line: sums of fractions


def _charge(account: _Account, now: float, seconds: float) -> None:
    account.clear_at = max(account.clear_at, now) + seconds

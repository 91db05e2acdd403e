"""The load that the process may take on: handshakes are paced by what is left for the sessions that are there.

A probe looks four times a second how late the loop is, and once how much memory the process has. Where the loop is
late handshakes are held to a rate, which is halved each time that it still is, and grows slowly once it is in time: a
storm of reconnects then takes what the sessions leave, and no more. Where even the least rate does not help, or memory
is nearly used up, a peer that is through TLS is answered 503 with a time to come again, before anything is looked up.

Shed first are strangers, whose address no charger has come from; then reconnects. What was admitted is served, and no
message of it is ever dropped.
"""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

import structlog
import trio

from gateway.ticks import next_tick
from gateway.transport.token_bucket import TokenBucket

log = structlog.get_logger()

PROBE_SECONDS: Final = 0.25
"""Between two looks: short against the time for which a charger waits for an answer."""

LATE_SECONDS: Final = 0.25
"""A loop that is later than that has more to do than it can: messages wait for longer than a bad mobile link takes."""

IN_TIME_SECONDS: Final = 0.1
"""A loop that is in time again."""

FIRST_RATE: Final = 200.0
"""Handshakes a second when the loop is late for the first time: what one core does of them, without anything else."""

LEAST_RATE: Final = 10.0
"""Handshakes a second whatever the load: else none would come in, and those that wait would be given up."""

SLOWER: Final = 0.5
FASTER: Final = 1.1
"""By which the rate changes at a look: quickly down and slowly up, as congestion control does."""

BURST: Final = 5
"""Handshakes at once within the rate."""

MEMORY_SECONDS: Final = 1.0
"""Between two looks at the memory, which grows by what the handshakes of a second leave: 10 MB of 200."""

REFUSING_AFTER: Final = 8
"""Looks in a row at which the loop is late at the least rate, two seconds, before those behind TLS are refused."""

MEMORY_SHARE: Final = 0.9
"""Of the memory that the process may have (its control group's, else the machine's), above which none is let in."""

RETRY_AFTER_OVERLOAD: Final = (30, 120)
"""Seconds within which those that were refused come again, each at another time."""

HEARTBEAT_SPREAD: Final = 1.0
"""By how much of the heartbeat interval those who are accepted under load get a longer one, at most."""

_GROUPS: Final = Path("/sys/fs/cgroup")
_OWN_GROUPS: Final = Path("/proc/self/cgroup")
_STATM: Final = Path("/proc/self/statm")


def memory_limit(own: Path = _OWN_GROUPS, groups: Path = _GROUPS) -> int:
    """Bytes that the process may have: the least of its control groups', each of which holds those below it, and of the
    machine's; 0: none of them can be seen. ``own``: the process's groups; ``groups``: where all are."""
    found = [limit for path in _limits(own, groups) if (limit := _number(path)) is not None]
    try:
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (OSError, ValueError):
        pass
    return min(found, default=0)


def _limits(own: Path, groups: Path) -> Iterator[Path]:
    """Files with the limits of the process's group and of those above it, of either version of control groups."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return  # no control groups, or no Linux
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if line.startswith("0::"):
            root, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        inside = PurePosixPath(path.lstrip("/"))
        if ".." in inside.parts:  # outside of what this process is shown
            inside = PurePosixPath()
        for each in (inside, *inside.parents):
            yield root / each / name


def _number(path: Path) -> int | None:
    """The number in a file; None: there is none, as where nothing is limited."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdecimal() else None


def memory_used(statm: Path = _STATM) -> int:
    """Bytes that the process has in memory; 0: that can't be seen."""
    try:
        return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


class LoadBudget:
    """Belongs to the Trio loop. ``now``: seconds by a clock that never goes back; ``used`` and ``most``: bytes, which
    so many ``processes`` share."""

    def __init__(
        self,
        now: Callable[[], float],
        count: Callable[[str], None] = lambda what: None,
        used: Callable[[], int] = memory_used,
        most: int | None = None,
        processes: int = 1,
    ) -> None:
        self._now = now
        self._count = count
        self._used = used
        self._most = (memory_limit() if most is None else most) // processes
        self._rate: float | None = None
        self._bucket: TokenBucket | None = None
        self._late_looks = 0
        self._memory_short = False

    @property
    def paced(self) -> bool:
        """True while handshakes are held to a rate."""
        return self._bucket is not None

    @property
    def rate(self) -> float:
        """Handshakes a second that may begin; 0: as many as come."""
        return self._rate or 0.0

    @property
    def refusing(self) -> bool:
        """True while none is let in."""
        return self._memory_short or self._late_looks >= REFUSING_AFTER

    def may_begin(self) -> bool:
        """Return whether a handshake may begin now, and count it as begun."""
        return self._bucket is None or self._bucket.allows(trio.current_time())

    def retry_after(self) -> int:
        """Seconds after which one that is refused may come again."""
        return random.randint(*RETRY_AFTER_OVERLOAD)  # noqa: S311 - spreads load, keeps no secret

    def heartbeat_interval(self, seconds: int) -> int:
        """The interval for one that is accepted now, where it would be so many seconds: longer under load, and another
        for each, so that those of a storm do not beat together for ever."""
        if not self.paced:
            return seconds
        return round(seconds * (1 + HEARTBEAT_SPREAD * random.random()))  # noqa: S311 - as above

    def weigh(self) -> None:
        """Take note of how much memory is used."""
        was_refusing = self.refusing
        self._memory_short = self._most > 0 and self._used() > MEMORY_SHARE * self._most
        self._report(was_refusing)

    def look(self, late: float) -> None:
        """Take note of how late the loop is, in seconds."""
        was_paced, was_refusing = self.paced, self.refusing
        if late > LATE_SECONDS:
            at_least = self._rate == LEAST_RATE
            self._late_looks = self._late_looks + 1 if at_least else 0
            self._set(FIRST_RATE if self._rate is None else max(LEAST_RATE, self._rate * SLOWER))
        elif late < IN_TIME_SECONDS:
            self._late_looks = 0
            if self._rate is not None:
                faster = self._rate * FASTER
                self._set(None if faster > FIRST_RATE else faster)
        if self.paced and not was_paced:
            self._count("overloads")
            log.warning("overload: handshakes are paced", late_seconds=round(late, 3))
        self._report(was_refusing, late)
        if was_paced and not self.paced:
            log.info("handshakes are paced no more")

    def _report(self, was_refusing: bool, late: float = 0.0) -> None:
        if self.refusing != was_refusing:
            event = "overload: new connections are refused" if self.refusing else "new connections are let in again"
            log.warning(event, late_seconds=round(late, 3), memory=self._memory_short)

    def _set(self, rate: float | None) -> None:
        if rate != self._rate:
            self._rate = rate
            self._bucket = None if rate is None else TokenBucket(rate, BURST)

    async def run(self) -> None:
        """Look until cancelled."""
        memory_at = 0.0
        while True:
            at = next_tick(PROBE_SECONDS)
            due = self._now() + at - trio.current_time()
            await trio.sleep_until(at)
            if at >= memory_at:
                memory_at = at + MEMORY_SECONDS
                self.weigh()
            self.look(max(0.0, self._now() - due))

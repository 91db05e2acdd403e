"""Waiting for thousands of sockets at once: registered with the kernel once each, and looked at together.

Trio's own ``wait_readable`` registers each single wait with the kernel, and tracks it: a tenth of what a message
costs. Sessions read nearly all the time, so here a socket is registered once and edge-triggered: the kernel says when
something has come, and the socket remembers that until it has been read (epoll(7)). Linux only; elsewhere, and
without an ``Epoll``, ``SocketStream`` waits as Trio does.

Where messages come so close together that it pays, sockets are looked at every few milliseconds and not as each message
comes: what came meanwhile is read in one turn of the loop, committed in one transaction and answered in another turn
(docs/adr/0011-company.md). A charger that owes the answer to a command is not waited with: its socket is among the
``hurried`` ones, which are watched all the time.
"""

import select
from itertools import islice
from typing import Final, Protocol

import structlog
import trio

EVENTS_AT_ONCE: Final = 64
"""Sockets woken between two checkpoints. All that wait for the loop wait until these have done what their messages ask
for, some 0.05 to 0.1 ms each."""

ENDED_AT_ONCE: Final = 8
"""Sockets woken between two checkpoints because they have ended: some 0.35 ms each. Where a network goes, hundreds end
in one moment, and what the others' chargers say does not wait behind them."""

POLLS_AT_ONCE: Final = 16
"""Times that a look asks the kernel, for what has been said behind sockets that have ended."""

LOOK_SECONDS: Final = 0.008
"""From one look at the sockets to the next: the most that a message waits for company. A charger on a mobile network
waits for 50 ms and more anyway, and for 30 s before it gives up."""

COMPANY_PER_SECOND: Final = 100.0
"""Wake-ups a second, below which nothing waits for company: hardly any would come within ``LOOK_SECONDS``."""

BUSY_PER_SECOND: Final = 2_000.0
"""Wake-ups a second, above which nothing waits either: messages have company by then, and a command that comes between
two looks would wait behind bursts."""

COMPANY: Final = 8
"""Messages that are waited for. With so many a commit and its wake-ups are shared well enough; more would hold the loop
up, and with it the commands that come between two looks."""

MEASURED_SECONDS: Final = 1.0
"""For so long wake-ups are counted before their rate is known: a burst of a few messages waits for nothing."""

_EVENTS: Final = 0x1 | 0x2000 | 1 << 31
"""EPOLLIN, EPOLLRDHUP, EPOLLET."""

_OVER: Final = 0x2000 | 0x8 | 0x10
"""EPOLLRDHUP, EPOLLERR, EPOLLHUP."""

AVAILABLE: Final = hasattr(select, "epoll")

PAUSE_SECONDS: Final = 0.1
"""After a failure of the poll itself, which the kernel has no reason for: not a busy loop."""

_LOG = structlog.get_logger()


class Reader(Protocol):
    """Reader of a socket."""

    def readable(self, over: bool) -> None:
        """Handle data, an end or an error that has come. ``over``: after what there is to read comes the end, which is
        not reported again. Must not block or raise."""


class Looks:
    """The times at which sockets are looked at: as soon as something comes or, where much does, together with what
    else comes until some milliseconds after the look before: as many as ``COMPANY`` take, ``LOOK_SECONDS`` at most.
    Pure; times are Trio's."""

    __slots__ = ("_counted", "_interval", "_last", "_since")

    def __init__(self, now: float) -> None:
        self._since = now
        self._counted = 0
        self._last = -1
        self._interval = 0.0

    def next_look(self, now: float, found: list[tuple[int, int]]) -> float:
        """Count what a look has found. Return when to look next; 0.0: as soon as something comes.

        One socket that is heard of again and again has no company, and is not counted.
        """
        if not found:
            return 0.0
        if len(found) > 1 or found[0][0] != self._last:
            self._counted += len(found)
            self._last = found[0][0]
        elapsed = now - self._since
        if elapsed >= MEASURED_SECONDS:
            rate = self._counted / elapsed
            self._interval = min(LOOK_SECONDS, COMPANY / rate) if COMPANY_PER_SECOND <= rate <= BUSY_PER_SECOND else 0.0
            self._since, self._counted = now, 0
        return now + self._interval if self._interval and len(found) < EVENTS_AT_ONCE else 0.0


class Epoll:
    """Wake-ups of sockets' readers when something has come. Belongs to one Trio loop."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._hurried = select.epoll()
        self._readers: dict[int, Reader] = {}
        self._ended: dict[int, None] = {}  # those that have ended, and are not woken yet
        self._some_ended = trio.Event()
        self._scope = trio.CancelScope(shield=True)

    def __len__(self) -> int:
        """Number of registered sockets."""
        return len(self._readers)

    def add(self, fd: int, reader: Reader) -> None:
        """Wake ``reader`` whenever something has come for ``fd``, and soon if it already has. Raises OSError."""
        self._epoll.register(fd, _EVENTS)
        self._readers[fd] = reader

    def remove(self, fd: int) -> None:
        """Before it is closed: its number may be another socket's right after."""
        del self._readers[fd]
        self._ended.pop(fd, None)
        for epoll in (self._epoll, self._hurried):
            if not epoll.closed:
                try:
                    epoll.unregister(fd)
                except FileNotFoundError:
                    continue  # it is in the other one

    def hurry(self, fd: int, hurried: bool = True) -> bool:
        """Have nothing that comes for ``fd`` wait for company, or (not ``hurried``) have it wait again. What has come
        and is not read yet is reported anew. False: it stays as it is."""
        before, after = (self._epoll, self._hurried) if hurried else (self._hurried, self._epoll)
        if after.closed:
            return False
        try:
            after.register(fd, _EVENTS)
        except OSError:  # the kernel has no room for it: what comes is late by some milliseconds, or early
            return False
        before.unregister(fd)
        return True

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Wake them until ``stop``. Shielded: connections that are being closed still read what their peers answer."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch, self._epoll, Looks(trio.current_time()))
                    nursery.start_soon(self._watch, self._hurried, None)
                    nursery.start_soon(self._wake_ended)
                    task_status.started()
        finally:
            self._epoll.close()
            self._hurried.close()

    async def _watch(self, epoll: select.epoll, looks: Looks | None) -> None:
        """Wake the readers of what has been said, at once or when ``looks`` says; those of what has ended, soon."""
        readers, ended, poll, watched = self._readers, self._ended, epoll.poll, epoll.fileno()
        next_look = 0.0
        while True:
            if next_look:
                await trio.sleep_until(next_look)
            else:
                await trio.lowlevel.wait_readable(watched)
            found: list[tuple[int, int]] = []
            room = EVENTS_AT_ONCE
            for _ in range(POLLS_AT_ONCE):
                try:
                    new = poll(0, room)
                except Exception:
                    _LOG.exception("poll failed")
                    await trio.sleep(PAUSE_SECONDS)
                    break
                found += new
                last = len(new) < room
                for fd, events in new:
                    if events & _OVER:
                        ended[fd] = None
                        self._some_ended.set()
                        continue
                    room -= 1
                    try:
                        readers[fd].readable(False)
                    except Exception:  # a bug of one socket's: the others' word comes once
                        _LOG.exception("reader failed")
                if last or not room:
                    break
            if looks is not None:
                next_look = looks.next_look(trio.current_time(), found)

    async def _wake_ended(self) -> None:
        """Wake the readers of sockets that have ended, a few between two checkpoints."""
        while True:
            await self._some_ended.wait()
            for fd in list(islice(self._ended, ENDED_AT_ONCE)):
                del self._ended[fd]
                try:
                    self._readers[fd].readable(True)
                except Exception:
                    _LOG.exception("reader failed")
            if not self._ended:
                self._some_ended = trio.Event()

    def stop(self) -> None:
        """End ``run``."""
        self._scope.cancel()

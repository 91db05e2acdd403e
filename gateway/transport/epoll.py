"""Waiting for thousands of sockets at once: registered with the kernel once each, and not again for every read.

Trio's own ``wait_readable`` registers each single wait with the kernel, and tracks it: a tenth of what a message
costs. Sessions read nearly all the time, so here a socket is registered once and edge-triggered: the kernel says when
something has come, and the socket remembers that until it has been read (epoll(7)). Linux only; elsewhere, and
without an ``Epoll``, ``SocketStream`` waits as Trio does.
"""

import select
from typing import Final, Protocol

import structlog
import trio

EVENTS_AT_ONCE: Final = 512
"""Sockets woken between two checkpoints: waking one costs a microsecond."""

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


class Epoll:
    """Wake-ups of sockets' readers when something has come. Belongs to one Trio loop."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Reader] = {}
        self._scope = trio.CancelScope(shield=True)

    def __len__(self) -> int:
        """Number of registered sockets."""
        return len(self._readers)

    def add(self, fd: int, reader: Reader) -> None:
        """Wake ``reader`` whenever something has come for ``fd``, and soon if it already has. Raises OSError."""
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
        self._readers[fd] = reader

    def remove(self, fd: int) -> None:
        """Before it is closed: its number may be another socket's right after."""
        del self._readers[fd]
        if not self._epoll.closed:
            self._epoll.unregister(fd)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Wake them until ``stop``. Shielded: connections that are being closed still read what their peers answer."""
        task_status.started()
        poll, readers, fd = self._epoll.poll, self._readers, self._epoll.fileno()
        try:
            with self._scope:
                while True:
                    await trio.lowlevel.wait_readable(fd)
                    try:
                        polled = poll(0, EVENTS_AT_ONCE)
                    except Exception:
                        _LOG.exception("poll failed")
                        await trio.sleep(PAUSE_SECONDS)
                        continue
                    for each, events in polled:
                        try:
                            readers[each].readable(events & _OVER != 0)
                        except Exception:  # a bug of one socket's: the others' word comes once
                            _LOG.exception("reader failed")
        finally:
            self._epoll.close()

    def stop(self) -> None:
        """Remove a reader."""
        self._scope.cancel()

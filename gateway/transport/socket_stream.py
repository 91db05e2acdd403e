"""A charger's TCP socket: a Trio stream that can also be written to without waiting.

``trio.SocketStream`` tries every read before it waits for the socket, and goes through several coroutines and context
managers for each call. A charger's next message is hardly ever there yet, and what it is sent fits into the kernel's
buffer: so this waits first when it reads, and waits when it writes only if it must (docs/performance.md).
"""

import errno
import operator
import socket
from collections.abc import Awaitable, Callable
from typing import Final

import outcome
import trio

from gateway.transport.epoll import Epoll

READ_BYTES: Final = 64 * 1024
"""The default bound of ``receive_some``."""

_CLOSED: Final = frozenset({errno.EBADF, errno.ENOTSOCK})


class SocketStream(trio.abc.Stream):
    """Stream that owns ``sock``, connected and not blocking. One task reads at a time and one writes; any may close it.

    Errors are those of every Trio stream: BrokenResourceError, ClosedResourceError once it is closed.
    """

    __slots__ = ("_fd", "_hurried", "_interrupted", "_over", "_poller", "_reader", "_ready", "_sending", "_sock")

    def __init__(self, sock: socket.socket, poller: Epoll | None = None) -> None:
        self._sock = sock
        self._fd = sock.fileno()
        self._sending = False
        self._poller = poller
        self._reader: trio.lowlevel.Task | None = None  # the task that waits for the poller
        self._interrupted = False  # since the read that is under way began
        self._ready = False  # the poller has said that there is something to read
        self._hurried = False  # the poller has been asked to have nothing wait for company
        self._over = False  # the poller has said that the end comes after it: it will say nothing more
        if poller is not None:
            poller.add(self._fd, self)

    def send_nowait(self, data: bytes) -> int:
        """Hand over what the kernel takes at once; how many bytes, 0 if none. Raises BrokenResourceError."""
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise _translated(error) from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As ``trio.abc.SendStream``: cancelled, it may have sent a part."""
        self._begin_sending()
        try:
            await trio.lowlevel.checkpoint()
            with memoryview(data) as rest:
                sent = 0
                while sent < len(rest):
                    try:
                        sent += self._sock.send(rest[sent:])
                    except (BlockingIOError, InterruptedError):
                        await self._until(trio.lowlevel.wait_writable)
                    except OSError as error:
                        raise _translated(error) from error
        finally:
            self._sending = False

    async def wait_send_all_might_not_block(self) -> None:
        """As ``trio.abc.SendStream``."""
        self._begin_sending()
        try:
            await trio.lowlevel.wait_writable(self._fd)
        finally:
            self._sending = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """As ``trio.abc.ReceiveStream``. Cancelling loses nothing. Raises WouldBlock after ``interrupt``."""
        size = READ_BYTES if max_bytes is None else operator.index(max_bytes)
        if size < 1:
            raise ValueError("max_bytes is less than 1")
        self._interrupted = False
        while True:
            await self.arrived()
            try:
                return self.receive_nowait(size)
            except trio.WouldBlock:  # what made it readable is gone: a bad checksum
                if self._interrupted:
                    raise

    def receive_nowait(self, max_bytes: int) -> bytes:
        """Read what is there, b"" for the end. Raises WouldBlock if there is nothing. Not while another task reads."""
        try:
            data = self._sock.recv(max_bytes)
        except (BlockingIOError, InterruptedError):
            self._ready = False
            raise trio.WouldBlock from None
        except OSError as error:
            raise _translated(error) from error
        if data and len(data) < max_bytes and not self._over:
            self._ready = False  # all of it has been read, and the poller reports more (epoll(7))
        if self._hurried and self._poller is not None:
            self._hurried = False
            self._poller.hurry(self._fd, False)
        return data

    def hurry(self) -> None:
        """Have what comes next read as soon as it comes: it is waited for. (Else it may wait for company, as
        ``Epoll`` says.) Repeating it does nothing."""
        if self._poller is not None and not self._hurried and self._fd >= 0:
            self._hurried = self._poller.hurry(self._fd)

    def look_again(self) -> None:
        """See whether there is anything to read. After a read that asked for no more than there was, ``arrived`` would
        return at once, though nothing has come since. Reads nothing."""
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            self._ready = False
        except OSError:
            pass  # the next read says so

    def interrupt(self) -> None:
        """End the waiting of a reader: ``arrived`` returns, ``receive_some`` returns what is there or raises
        WouldBlock."""
        self._interrupted = True
        if self._poller is not None:
            self._wake(None)
        elif self._fd >= 0:
            trio.lowlevel.notify_closing(self._fd)  # wakes the task that waits for it, and closes nothing

    async def _until(self, ready: Callable[[int], Awaitable[None]]) -> None:
        try:
            await ready(self._open())
        except trio.ClosedResourceError:
            self._open()  # it is: an interruption wakes readers and writers

    def arrived(self) -> Awaitable[None]:
        """Wait until there is something to read, an end, or an ``interrupt``. Nothing is read; cancelling is safe.

        To be awaited at once: what is returned is Trio's own, so that no coroutine is resumed only to pass the wake-up
        on. Raises BusyResourceError; awaiting it raises ClosedResourceError.
        """
        if self._poller is None:
            return self._until(trio.lowlevel.wait_readable)
        if self._ready:
            return trio.lowlevel.checkpoint()  # noqa: ASYNC105 - the caller awaits it
        if self._fd < 0:
            raise trio.ClosedResourceError("the socket was closed")
        if self._reader is not None:
            raise trio.BusyResourceError("another task is reading from this socket")
        self._reader = trio.lowlevel.current_task()
        return trio.lowlevel.wait_task_rescheduled(self._abort)  # noqa: ASYNC105 - the caller awaits it

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def readable(self, over: bool) -> None:
        """As ``Reader``: the poller's to call."""
        self._ready = True
        self._over = self._over or over
        reader, self._reader = self._reader, None
        if reader is not None:
            trio.lowlevel.reschedule(reader)

    def _wake(self, error: Exception | None) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            if error is None:
                trio.lowlevel.reschedule(reader)
            else:
                trio.lowlevel.reschedule(reader, outcome.Error(error))

    async def aclose(self) -> None:
        """As ``close_nowait``."""
        self.close_nowait()
        await trio.lowlevel.checkpoint()

    def close_nowait(self) -> None:
        """Close the socket; tasks that read or write get ClosedResourceError. Repeating it does nothing."""
        if self._fd >= 0:
            trio.lowlevel.notify_closing(self._fd)
            if self._poller is not None:
                self._poller.remove(self._fd)
                self._wake(trio.ClosedResourceError("the socket was closed"))
            self._fd = -1
            self._sock.close()

    def _begin_sending(self) -> None:
        self._open()
        if self._sending:
            raise trio.BusyResourceError("another task is writing to this socket")
        self._sending = True

    def _open(self) -> int:
        if self._fd < 0:
            raise trio.ClosedResourceError("the socket was closed")
        return self._fd


def _translated(error: OSError) -> trio.ClosedResourceError | trio.BrokenResourceError:
    if error.errno in _CLOSED:
        return trio.ClosedResourceError("the socket was closed")
    return trio.BrokenResourceError(f"the socket connection broke: {error}")

"""Writing the log without ever waiting for its reader: a bounded queue, and a thread that alone may block.

Standard error can be a pipe without a reader, a file on a disk that hangs or is full, a terminal that is gone. A loop
that wrote to it would stand still with all its chargers. What finds no room in the queue is dropped and counted, and a
line says how many lines are missing as soon as lines get through again.
"""

import errno
import io
import os
import select
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

MAX_HELD_BYTES: Final = 4 * 1024 * 1024
"""Lines that wait to be written: some 20,000, a minute of a gateway in trouble."""

MAX_LINE_BYTES: Final = 64 * 1024
"""A longer line is cut: nothing that is logged on purpose comes near it."""

AT_ONCE_BYTES: Final = 64 * 1024
"""Written in one go: a pipe takes so much at a time."""

FLUSH_SECONDS: Final = 2.0
"""How long the end of the process waits for what is still in the queue."""

RETRY_SECONDS: Final = 1.0
"""How often a descriptor that takes nothing now, and must not be waited for, is tried again."""

POLL_SECONDS: Final = 0.01
"""Between looks at whether all is written, at the end of the process: an ``Event``'s lock is not reentrant."""

CUT: Final = b"... (cut)"


class LogWriter:
    """Takes lines from any thread, and writes them to a descriptor from a daemon thread of its own.

    ``put`` never waits and never raises. ``dropped_line`` makes the line that says how many lines were dropped.
    """

    def __init__(
        self, descriptor: int, dropped_line: Callable[[int], str], *, max_held_bytes: int = MAX_HELD_BYTES
    ) -> None:
        self._descriptor = descriptor
        self._dropped_line = dropped_line
        self._max_held = max_held_bytes
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        # Reentrant: a line may be logged wherever Python runs the gateway's code, also while a line is being put.
        self._lock = threading.RLock()
        self._held = 0
        self._dropped = 0
        self._reported = 0
        self._torn = False
        self._closed = False
        self._thread = threading.Thread(target=self._write_all, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines dropped since the start: no room in the queue, or they could not be written."""
        return self._dropped

    @property
    def held_bytes(self) -> int:
        """Bytes that wait to be written."""
        return self._held

    def put(self, line: str) -> None:
        """Have a line written, without its end. Never waits; without room it is dropped and counted."""
        data = line.encode("utf-8", "backslashreplace")
        if len(data) > MAX_LINE_BYTES:
            data = data[: MAX_LINE_BYTES - len(CUT)] + CUT
        data += b"\n"
        with self._lock:
            if self._closed or self._held + len(data) > self._max_held:
                self._dropped += 1
                return
            self._held += len(data)
            self._lines.put(data)

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait for the queue to be written, so long at most; whether it was."""
        until = time.monotonic() + seconds
        while self._held and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
        return not self._held

    def close(self, seconds: float = FLUSH_SECONDS) -> None:
        """Flush, and let the thread end. What can't be written in time is lost with the process."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._lines.put(None)
        self._thread.join(seconds)

    # --- in the thread ----------------------------------------------------------------------------------------

    def _write_all(self) -> None:
        ended = False
        while not ended:
            first = self._lines.get()
            if first is None:
                return
            lines, size = [first], len(first)
            while size < AT_ONCE_BYTES and not self._lines.empty():
                line = self._lines.get()
                if line is None:
                    ended = True
                    break
                lines.append(line)
                size += len(line)
            written = self._write(b"".join(lines))
            with self._lock:
                self._held -= size
                if not written:
                    self._dropped += len(lines)
                missing = self._dropped - self._reported
            if written and missing:
                self._say_dropped(missing)

    def _say_dropped(self, missing: int) -> None:
        try:
            line = self._dropped_line(missing)
        except Exception:  # the thread must live: it is the only writer
            line = f"{missing} log lines dropped"
        if self._write(line.encode("utf-8", "backslashreplace") + b"\n"):
            self._reported += missing

    def _write(self, data: bytes) -> bool:
        """Write all of it; False where it can't be: a reader that is gone, a full disk."""
        if self._torn:
            data = b"\n" + data
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                self._wait_writable()
            except InterruptedError:
                continue
            except OSError:
                self._torn = len(rest) < len(data) or self._torn
                return False
        self._torn = False
        return True

    def _wait_writable(self) -> None:
        """Wait for a descriptor that was made non-blocking: it is shared with other processes."""
        try:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            poll.poll(1000 * RETRY_SECONDS)
        except OSError as error:
            if error.errno != errno.EINTR:
                time.sleep(RETRY_SECONDS)


class LineStream(io.TextIOBase):
    """Stands in for ``sys.stderr``: what is printed there (warnings, tracebacks of threads, ``print``) goes the way of
    the log's lines. A line that isn't ended waits for its end."""

    def __init__(self, writer: LogWriter, descriptor: int) -> None:
        self._writer = writer
        self._descriptor = descriptor
        self._parts: dict[int, str] = {}
        """Beginnings of lines, by thread."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        try:
            return os.isatty(self._descriptor)
        except OSError:
            return False

    def write(self, text: str, /) -> int:
        thread = threading.get_ident()
        *lines, rest = (self._parts.pop(thread, "") + text).split("\n")
        for line in lines:
            self._writer.put(line)
        if len(rest) > MAX_LINE_BYTES:
            self._writer.put(rest)
        elif rest:
            self._parts[thread] = rest
        return len(text)

    def flush(self) -> None:
        """Nothing: the writer's thread writes as soon as it can."""

    def finish(self) -> None:
        """Put what has no end of line."""
        for thread in tuple(self._parts):
            self._writer.put(self._parts.pop(thread, ""))


class StderrRedirected:
    """While it lasts ``sys.stderr`` is a ``LineStream``."""

    def __init__(self, writer: LogWriter, descriptor: int) -> None:
        self.stream = LineStream(writer, descriptor)
        self._before = sys.stderr
        sys.stderr = self.stream

    def restore(self) -> None:
        """Have back what was there."""
        self.stream.finish()
        if sys.stderr is self.stream:
            sys.stderr = self._before

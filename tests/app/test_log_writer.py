"""The log's writer: whatever becomes of the log's reader, who logs never waits; what is missing is counted and said."""

from __future__ import annotations

import fcntl
import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from gateway.app.log_writer import MAX_LINE_BYTES, LineStream, LogWriter, StderrRedirected

PAGE = 4096
"""The least that a pipe can hold."""


class Pipe:
    """A pipe as small as can be, and what is read from it."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, PAGE)

    def read_until(self, end: bytes) -> list[bytes]:
        """The lines up to the first that has ``end`` in it. Blocks as long as they don't come."""
        found = b""
        while end not in found or not found.endswith(b"\n"):
            found += os.read(self.reading, 65536)
        return found.splitlines()

    def close(self) -> None:
        for descriptor in (self.reading, self.writing):
            with suppress(OSError):  # the test has closed it
                os.close(descriptor)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def dropped_line(missing: int) -> str:
    return f"{missing} missing"


def wait_for(condition: object) -> None:
    """For what another thread does."""
    until = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.005)


def test_lines_are_written_in_their_order(pipe: Pipe) -> None:
    """Whole, whatever is in them."""
    writer = LogWriter(pipe.writing, dropped_line)
    for text in ("one", "zwei \u00fc", "half a pair \ud800", "x" * (MAX_LINE_BYTES + 1), "last"):
        putting = threading.Thread(target=writer.put, args=(text,))  # from any thread, one after the other
        putting.start()
        putting.join()
        if text == "one":
            wait_for(lambda: not writer.held_bytes)
    lines = pipe.read_until(b"last")
    assert lines[:3] == [b"one", "zwei \u00fc".encode(), b"half a pair \\ud800"]
    assert len(lines[3]) == MAX_LINE_BYTES
    assert lines[3].endswith(b"(cut)")
    assert writer.flush()
    assert writer.dropped == 0
    writer.close()


def test_a_pipe_without_a_reader_holds_nothing_up_and_drops_are_counted(pipe: Pipe) -> None:
    """Bounded memory, every line put is either written or counted, and a line says how many are missing."""
    most = 64 * 1024
    writer = LogWriter(pipe.writing, dropped_line, max_held_bytes=most)
    put = 10_000
    for number in range(put):
        writer.put(f"line {number:06}")  # would never return if it waited: there is no reader
    assert writer.held_bytes <= most
    dropped = writer.dropped
    assert dropped > put // 3
    assert not writer.flush(0.05)

    read = b""
    while read.count(b"line ") < put - dropped or b"missing" not in read or not read.endswith(b"\n"):
        read += os.read(pipe.reading, 65536)
    lines = read.splitlines()
    assert [line for line in lines if line.startswith(b"line ")] == [b"line %06d" % n for n in range(put - dropped)]
    assert [line for line in lines if b"missing" in line] == [b"%d missing" % dropped]
    writer.put("goes on")
    assert pipe.read_until(b"goes on") == [b"goes on"]
    writer.close()


def test_closing_does_not_wait_for_a_reader_for_ever(pipe: Pipe) -> None:
    """The process ends in bounded time; its thread is a daemon."""
    writer = LogWriter(pipe.writing, dropped_line)
    for _ in range(2_000):
        writer.put("a line that finds no room")
    writer.close(0.05)
    writer.close(0.05)
    held = writer.held_bytes
    writer.put("after the end")
    assert (writer.dropped, writer.held_bytes) == (1, held)
    os.set_blocking(pipe.reading, False)  # the thread may end between a look at it and a read
    while writer._thread.is_alive():
        with suppress(BlockingIOError):
            os.read(pipe.reading, 65536)  # lets the thread go on, and end
        writer._thread.join(0.01)


def test_a_reader_that_is_gone_is_no_failure(pipe: Pipe) -> None:
    """EPIPE for every line: each is counted, and who logs doesn't notice."""
    writer = LogWriter(pipe.writing, dropped_line)
    os.close(pipe.reading)
    for _ in range(100):
        writer.put("line")
    wait_for(lambda: writer.dropped == 100)
    assert writer.flush()
    writer.close()


def test_a_log_on_a_full_disk_goes_on_when_there_is_room() -> None:
    """ENOSPC: what did not get through is counted and said once something does."""
    read, written = os.pipe()
    full = os.open("/dev/full", os.O_WRONLY)
    descriptor = os.dup(full)
    writer = LogWriter(descriptor, dropped_line)
    for _ in range(3):
        writer.put("lost")
    wait_for(lambda: writer.dropped == 3)
    os.dup2(written, descriptor)
    writer.put("room again")
    writer.close()
    assert os.read(read, 1000) == b"room again\n3 missing\n"
    for each in (read, written, full, descriptor):
        os.close(each)


def test_a_descriptor_that_must_not_be_waited_for_gets_everything(pipe: Pipe) -> None:
    """Another process that shares it has made it non-blocking."""
    os.set_blocking(pipe.writing, False)
    writer = LogWriter(pipe.writing, dropped_line)
    for number in range(1_000):
        writer.put(f"line {number}")
    lines = pipe.read_until(b"line 999\n")
    assert lines == [b"line %d" % number for number in range(1_000)]
    assert writer.flush()
    assert writer.dropped == 0
    writer.close()


def test_a_line_may_be_logged_while_one_is_put() -> None:
    """By a destructor, at any allocation: the lock is its thread's already."""
    read, written = os.pipe()
    writer = LogWriter(written, dropped_line)
    with writer._lock:
        writer.put("inside")
    assert os.read(read, 100) == b"inside\n"
    writer.close()
    os.close(read)
    os.close(written)


def test_what_is_printed_goes_the_same_way_in_whole_lines(pipe: Pipe) -> None:
    """In parts, by several threads at once."""
    writer = LogWriter(pipe.writing, dropped_line)
    stream = LineStream(writer, pipe.writing)
    print("in", "parts", file=stream)
    stream.write("no end yet, ")
    thread = threading.Thread(target=lambda: print("from a thread", file=stream))
    thread.start()
    thread.join()
    print("and the end", file=stream)
    stream.write("no end at all")
    stream.finish()
    assert pipe.read_until(b"at all") == [b"in parts", b"from a thread", b"no end yet, and the end", b"no end at all"]
    assert (stream.fileno(), stream.isatty(), stream.writable()) == (pipe.writing, False, True)
    writer.close()


def test_a_line_about_dropped_lines_that_can_not_be_made_is_said_plainly() -> None:
    """The thread lives on: it is the only writer."""

    def broken(missing: int) -> str:
        raise ValueError(missing)

    read, written = os.pipe()
    full = os.open("/dev/full", os.O_WRONLY)
    descriptor = os.dup(full)
    writer = LogWriter(descriptor, broken)
    writer.put("lost")
    wait_for(lambda: writer.dropped == 1)
    os.dup2(written, descriptor)
    writer.put("one")
    wait_for(lambda: not writer.held_bytes)
    writer.put("two")
    writer.close()
    assert os.read(read, 1000) == b"one\n1 log lines dropped\ntwo\n"
    for each in (read, written, full, descriptor):
        os.close(each)


def test_a_line_without_end_is_cut_in_bounded_parts(pipe: Pipe) -> None:
    """A program that prints no end of line fills no memory."""
    writer = LogWriter(pipe.writing, dropped_line)
    stream = LineStream(writer, pipe.writing)
    assert stream.write("x" * (MAX_LINE_BYTES + 1)) == MAX_LINE_BYTES + 1
    print("next", file=stream)
    first, second = pipe.read_until(b"next\n")
    assert (len(first), second) == (MAX_LINE_BYTES, b"next")
    writer.close()


def test_standard_error_is_redirected_while_it_lasts(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """And given back, unless another has taken it since; what has no end is written."""
    before = sys.stderr
    writer = LogWriter(pipe.writing, dropped_line)
    redirected = StderrRedirected(writer, pipe.writing)
    try:
        assert (sys.stderr.encoding, sys.stderr.errors) == ("utf-8", "backslashreplace")
        print("half \ud800", end="", file=sys.stderr, flush=True)
    finally:
        redirected.restore()
    assert sys.stderr is before
    assert writer.flush()
    assert os.read(pipe.reading, 100) == b"half \\ud800\n"
    other = io.StringIO()
    again = StderrRedirected(writer, pipe.writing)
    monkeypatch.setattr(sys, "stderr", other)
    again.restore()
    assert sys.stderr is other
    monkeypatch.undo()
    sys.stderr = before
    writer.close()


def test_a_descriptor_that_is_gone_is_no_terminal() -> None:
    """The question raises nothing."""
    read, written = os.pipe()
    writer = LogWriter(written, dropped_line)
    writer.close()
    os.close(read)
    os.close(written)
    assert not LineStream(writer, written).isatty()

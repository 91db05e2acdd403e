"""Following the gateway's streams: across interruptions by the resume token, and several of them at once."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from attrs import define, field

from gateway.cli.connection import describe
from gateway.client import problem_of

LEAST_PAUSE = 0.5
MOST_PAUSE = 10.0
"""Seconds between attempts to resume: quick after a restart, patient in an outage."""

MOST_FAILURES = 5
"""INTERNAL in a row, each before anything beyond a watch's first response came: then it fails on the next events, and
another attempt would again."""

STOPPING = "DRAINING"
"""The reason that a gateway gives while it stops."""

QUEUE_LIMIT = 256
"""Batches between the streams and the screen. When it is full the streams wait, and lag on the gateway's disk."""


def follow(
    call: Callable[..., Any],
    request: Any,
    *,
    interrupted: Callable[[grpc.RpcError | None], None] = lambda error: None,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Any]:
    """The responses of a watch, without end. Where the gateway goes away after it has answered once, or fails on the
    watch (INTERNAL), the watch goes on with the last resume token; ``interrupted`` is called each time.

    Raises grpc.RpcError for anything that a later attempt would not mend.
    """
    answered, wait, failures = False, LEAST_PAUSE, 0
    while True:
        error: Any = None
        try:
            for number, response in enumerate(call(request)):
                answered, wait = True, wait if failures else LEAST_PAUSE
                if number:
                    failures = 0
                yield response
                # Only now: what the reader did not deal with comes again.
                request.resume_token = response.resume_token
        except grpc.RpcError as caught:
            error = caught
            failures += error.code() is grpc.StatusCode.INTERNAL
            resumable = error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL)
            if not answered or not resumable or failures > MOST_FAILURES:
                raise
        interrupted(error)
        pause(wait)
        wait = min(MOST_PAUSE, 2 * wait)


def absent(error: grpc.RpcError | None) -> str:
    """Return the reason why a watch waits, in a line. ``error``: the one that ended it, if any."""
    if error is None:
        return "the gateway ended the watch; trying again"
    return f"{'the gateway is stopping' if problem_of(error).reason == STOPPING else describe(error)}; trying again"


@define
class Absence:
    """Says that the gateway is away, once however often it is tried, and that it is back."""

    _say: Callable[[str], None]
    _lasts: bool = False

    def begins(self, error: grpc.RpcError | None) -> None:
        """A watch was interrupted, or an attempt to resume it has failed."""
        # A gateway that stops and is gone then is one absence, whatever the attempts say meanwhile.
        if not self._lasts:
            self._say(absent(error))
        self._lasts = True

    def ends(self) -> None:
        """It has answered."""
        if self._lasts:
            self._say("resumed")
        self._lasts = False


@define
class Streams:
    """Several streams in threads of their own, read by one. The threads end with the process or with the channel."""

    _queue: "queue.Queue[Any]" = field(factory=lambda: queue.Queue(QUEUE_LIMIT))
    _over: threading.Event = field(factory=threading.Event)

    def add(self, stream: Iterator[Any]) -> None:
        """Start reading a stream."""
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def get(self, seconds: float) -> Any | None:
        """The next response of any stream, or None when none comes in time. Raises what a stream raised."""
        try:
            item = self._queue.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """Let the threads end: they stop at their next response."""
        self._over.set()

    def _read(self, stream: Iterator[Any]) -> None:
        try:
            for each in stream:
                if not self._put(each):
                    return
        except Exception as error:  # handed to the reader, in whose thread it is dealt with
            self._put(error)

    def _put(self, item: Any) -> bool:
        while not self._over.is_set():
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

"""Watchers of events, each in a thread of its own as an internal service would have it."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from gateway.api.v1 import event_pb2 as events
from tests.endtoend.gateway_process import Gateway

BEGINNING, NOW = events.WATCH_START_BEGINNING, events.WATCH_START_NOW


class Watcher:
    """Collects events in the order they come. With ``resumes`` a broken stream is taken up where it ended."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        start: "events.WatchStart.ValueType" = BEGINNING,
        charge_points: Sequence[str] = (),
        types: Sequence[str] = (),
        resumes: bool = False,
    ) -> None:
        self.events: list[events.Event] = []
        self.ends: list[grpc.StatusCode] = []
        """How each stream ended, so far."""
        self._gateway = gateway
        self._start = start
        self._charge_points = charge_points
        self._types = types
        self._resumes = resumes
        self._token = b""
        self._news = threading.Condition()
        self._stopping = threading.Event()
        self._stream: Any = None  # a grpc.Call that is also the iterator of its answers
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        self._wait("the first message", lambda: bool(self._token), 10)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        stream = self._stream
        if stream is not None:
            stream.cancel()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    def wait_for(self, what: str, enough: Callable[[list[events.Event]], bool], seconds: float = 15) -> None:
        """Wait until the events so far are enough."""
        self._wait(what, lambda: enough(self.events), seconds)

    def wait_for_end(self, seconds: float = 15) -> grpc.StatusCode:
        """Wait until a stream has ended; its status."""
        self._wait("the end of the stream", lambda: bool(self.ends), seconds)
        return self.ends[-1]

    def _wait(self, what: str, condition: Callable[[], bool], seconds: float) -> None:
        with self._news:
            done = self._news.wait_for(lambda: condition() or self._failure is not None, seconds)
        if self._failure is not None:
            raise self._failure
        assert done, f"the watcher waited {seconds} s for {what}; it has {len(self.events)} events, ends {self.ends}"

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._watch()
                if not self._resumes:
                    return
                time.sleep(0.05)  # the gateway is restarting
        except BaseException as error:
            self._failure = error
            with self._news:
                self._news.notify_all()

    def _watch(self) -> None:
        request = events.WatchEventsRequest(charge_points=self._charge_points, types=self._types)
        if self._token:
            request.resume_token = self._token
        else:
            request.start_at = self._start
        try:
            self._stream = self._gateway.events.WatchEvents(request)
            for batch in self._stream:
                with self._news:
                    self.events.extend(batch.events)
                    self._token = batch.resume_token
                    self._news.notify_all()
            status = grpc.StatusCode.OK
        except grpc.RpcError as error:
            status = error.code()
        except (AssertionError, ValueError):
            status = grpc.StatusCode.UNAVAILABLE  # the channel is closed: the gateway is down
        with self._news:
            self.ends.append(status)
            self._news.notify_all()

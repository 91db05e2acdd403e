"""``Gateway``: the services of one gateway over one connection, for programs without an event loop."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

import grpc

from gateway.api.methods import Method, ResponseStream
from gateway.api.v1.services import Services
from gateway.client import v1
from gateway.client.connection import OPTIONS, Tls, Token, deadline_of, identify, metadata_of
from gateway.client.errors import GatewayError, problem_of
from gateway.client.repeats import Attempts
from gateway.client.tokens import TokenStore
from gateway.client.watches import Break, Resumption, resumption

Q = TypeVar("Q")
R = TypeVar("R")


class Stream(Generic[R]):
    """The responses of a streaming RPC: an iterator, and a context manager that ends it. Raises GatewayError."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __iter__(self) -> "Stream[R]":
        return self

    def __next__(self) -> R:
        try:
            response: R = next(self._call)
        except grpc.RpcError as error:
            raise GatewayError(problem_of(error)) from None
        return response

    def __enter__(self) -> "Stream[R]":
        return self

    def __exit__(self, *error: object) -> None:
        self.cancel()

    def cancel(self) -> None:
        """End it, from any thread."""
        self._call.cancel()


class _Transport:
    """Carries methods out over a channel."""

    def __init__(self, channel: Any, timeout: float | None, token: Token | None, compressed: bool) -> None:
        self.channel = channel
        self._timeout, self._token, self._compressed = timeout, token, compressed
        self._callables: dict[str, Any] = {}

    def unary(self, method: Method[Q, R], request: Q, timeout: float | None) -> R:
        identify(method, request)
        call = self._callable(self.channel.unary_unary, method)
        seconds = deadline_of(method, timeout, self._timeout)
        attempts = Attempts(method.repeatable, time.monotonic() + seconds)
        while True:
            left = max(attempts.end - time.monotonic(), 0.0)
            try:
                response: R = call(request, timeout=left, metadata=self._metadata())
            except grpc.RpcError as error:
                problem = problem_of(error)
                pause = attempts.pause(problem, time.monotonic())
                if pause is None:
                    raise GatewayError(problem) from None
            else:
                return response
            time.sleep(pause)

    def stream(self, method: Method[Q, R], request: Q, timeout: float | None) -> Stream[R]:
        call = self._callable(self.channel.unary_stream, method)
        return Stream(call(request, timeout=timeout, metadata=self._metadata()))

    def both(self, method: Method[Q, R], requests: Iterable[Q], timeout: float | None) -> Stream[R]:
        call = self._callable(self.channel.stream_stream, method)
        return Stream(call(iter(requests), timeout=timeout, metadata=self._metadata()))

    def _metadata(self) -> Any:
        return metadata_of(self._token, self._compressed)

    def _callable(self, kind: Callable[..., Any], method: Method[Any, Any]) -> Any:
        if method.path not in self._callables:
            serializer, deserializer = method.request.SerializeToString, method.response.FromString
            self._callables[method.path] = kind(
                method.path, request_serializer=serializer, response_deserializer=deserializer
            )
        return self._callables[method.path]


class Watch(Generic[R]):
    """A watch that resumes after breaks: an iterator of batches, from the last token saved.

    Asking for the next batch says that the one before is dealt with: its token is saved first. So each batch is
    delivered at least once, and the one that was being dealt with at a kill comes again, its events under the same ids.
    Raises GatewayError where it can't go on: see ``GatewayError.reason``. ``close`` ends it, from any thread.
    """

    def __init__(self, begin: Callable[[Any], ResponseStream[R]], state: Resumption[R]) -> None:
        self._begin, self._state = begin, state
        self._stream: ResponseStream[R] | None = None
        self._closed = threading.Event()
        self._loaded = False

    def __iter__(self) -> "Watch[R]":
        return self

    def __next__(self) -> R:
        self.acknowledge()
        if not self._loaded:
            self._state.begin(self._state.tokens.load())
            self._loaded = True
        while not self._closed.is_set():
            try:
                if self._stream is None:
                    self._stream = self._begin(self._state.request)
                    if self._closed.is_set():
                        self._stream.cancel()
                batch = next(self._stream)
            except StopIteration:
                self._stream = None
                self._closed.wait(self._state.pause_after_end())
            except GatewayError as error:
                self._stream = None
                if self._closed.is_set():
                    break
                self._closed.wait(self._state.pause(error.problem))
            else:
                self._state.arrived(batch)
                return batch
        raise StopIteration

    def acknowledge(self) -> None:
        """Save the token of the batch that was given last, without asking for another."""
        token = self._state.dealt_with()
        if token is not None:
            self._state.tokens.save(token)

    def __enter__(self) -> "Watch[R]":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End it: the iteration stops."""
        self._closed.set()
        stream = self._stream
        if stream is not None:
            stream.cancel()


class Gateway(Services):
    """The services of one gateway; a context manager. Safe for several threads.

        with Gateway("127.0.0.1:50051") as gateway:
            gateway.operations.start_charging(v1.StartChargingRequest(charge_point="CP1", id_tag="FAMILY"))

    Everything raises GatewayError. A call is made again where nothing can be done twice by it: where the gateway says
    that it did nothing, and, after the connection broke, where it is a read or has a request id, which is given to a
    request without one, in place.
    """

    def __init__(
        self,
        target: str,
        tls: Tls | None = None,
        token: Token | None = None,
        timeout: float | None = None,
        compressed: bool = False,
    ) -> None:
        """``tls`` None: without, which the gateway takes on loopback. ``token``: a caller's, or what gives one for each
        call. ``timeout`` in seconds, for calls that say none; None: 10 for reads, 60 for the others; streams have
        none. ``compressed``: responses are, which takes time on both sides and spares a slow network."""
        if tls is None:
            self.channel: Any = grpc.insecure_channel(target, OPTIONS)
        else:
            self.channel = grpc.secure_channel(target, tls.credentials(), OPTIONS)
        super().__init__(_Transport(self.channel, timeout, token, compressed))

    def __enter__(self) -> "Gateway":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all calls and watches, and the connection."""
        self.channel.close()

    def watch_events(
        self, request: v1.WatchEventsRequest, tokens: TokenStore | None = None, on_break: Break | None = None
    ) -> Watch[v1.WatchEventsResponse]:
        """Watch events, from the token in ``tokens`` or, where there is none, from where ``request`` says. ``on_break``
        is called with what broke the watch, and the seconds until it is begun anew."""
        return Watch(self.events.watch_events, resumption(request, tokens, on_break))

    def watch_meter_values(
        self, request: v1.WatchMeterValuesRequest, tokens: TokenStore | None = None, on_break: Break | None = None
    ) -> Watch[v1.WatchMeterValuesResponse]:
        """Watch meter values, as ``watch_events``."""
        return Watch(self.events.watch_meter_values, resumption(request, tokens, on_break))

    def pages(self, rpc: Callable[[Q], R], request: Q) -> Iterator[R]:
        """All pages of a list, from ``request``'s on; it is moved along."""
        asked: Any = request
        while True:
            page: Any = rpc(request)
            yield page
            if not page.next_page_token:
                return
            asked.page_token = page.next_page_token

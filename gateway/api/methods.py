"""The methods of the interface as values, and what carries them out: what the generated services are made of.

Part of the server's distribution and of ``gateway-client``: it imports neither gRPC nor a loop.
"""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

Q = TypeVar("Q")
R = TypeVar("R")
Q_contra = TypeVar("Q_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class Repeatable(Enum):
    """Whether a call may be repeated where nothing is known of it: the connection broke before an answer."""

    READ = "it changes nothing"
    BY_REQUEST_ID = "the gateway does a request_id once, and answers a repeat with the first outcome"
    NEVER = "a repeat might do it twice, or fail because it was done"


@dataclass(frozen=True, slots=True)
class Method(Generic[Q, R]):
    """A method: its path (``/service/name``), the types of its messages, and whether it may be repeated."""

    path: str
    request: type[Q]
    response: type[R]
    repeatable: Repeatable


class ResponseStream(Protocol[R_co]):
    """The responses of a stream: an iterator and a context manager. ``cancel`` ends it, from any thread."""

    def __iter__(self) -> Iterator[R_co]: ...
    def __next__(self) -> R_co: ...
    def __enter__(self) -> "ResponseStream[R_co]": ...
    def __exit__(self, *error: object) -> None: ...
    def cancel(self) -> Any: ...


class AsyncResponseStream(Protocol[R_co]):
    """The responses of a stream: an asynchronous iterator and context manager. ``cancel`` ends it."""

    def __aiter__(self) -> AsyncIterator[R_co]: ...
    async def __anext__(self) -> R_co: ...
    async def __aenter__(self) -> "AsyncResponseStream[R_co]": ...
    async def __aexit__(self, *error: object) -> None: ...
    def cancel(self) -> Any: ...


class Transport(Protocol):
    """Carries methods out, and blocks meanwhile."""

    def unary(self, method: Method[Q, R], request: Q, timeout: float | None) -> R: ...
    def stream(self, method: Method[Q, R], request: Q, timeout: float | None) -> ResponseStream[R]: ...
    def both(self, method: Method[Q, R], requests: Iterable[Q], timeout: float | None) -> ResponseStream[R]: ...


class AsyncTransport(Protocol):
    """Carries methods out in an event loop."""

    async def unary(self, method: Method[Q, R], request: Q, timeout: float | None) -> R: ...
    def stream(self, method: Method[Q, R], request: Q, timeout: float | None) -> AsyncResponseStream[R]: ...
    def both(
        self, method: Method[Q, R], requests: AsyncIterable[Q], timeout: float | None
    ) -> AsyncResponseStream[R]: ...

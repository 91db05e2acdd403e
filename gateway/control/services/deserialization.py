"""Requests that can't be read, and those that are too large: refused with a reason, as all else is.

gRPC itself would end the call without one, and with UNKNOWN, which says that it may have been done. So it is handed an
object that stands for such a request, and the method that is given it refuses the call.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import grpc
from attrs import frozen
from google.protobuf.message import DecodeError

from gateway.control.errors import Failure, Status

MAX_REQUEST_BYTES: Final = 4 * 1024 * 1024
"""The largest request is a full local list: a thousand tags make a hundred kilobytes."""

MAX_RECEIVED_BYTES: Final = 16 * 1024 * 1024
"""Larger ones gRPC cuts off as they arrive, and answers itself."""


@frozen
class Unreadable:
    """In the place of a request."""

    failure: Failure


def _reader(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        if len(data) > MAX_REQUEST_BYTES:
            text = f"the request has {len(data):,} bytes; at most {MAX_REQUEST_BYTES:,} are read"
            metadata = {"bytes": str(len(data)), "limit": str(MAX_REQUEST_BYTES)}
            return Unreadable(Failure(Status.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE", text, metadata))
        try:
            return deserialize(data)
        except DecodeError:
            text = "the request's bytes are no such message"
            return Unreadable(Failure(Status.INVALID_ARGUMENT, "MALFORMED_REQUEST", text))

    return read


class MethodTaker(Protocol):
    """A server, as far as services are added to it."""

    def add_generic_rpc_handlers(self, handlers: Any, /) -> None: ...


class GenericServer:
    """A gRPC server to which generated code adds methods by generic handlers alone.

    For each method that is registered by name grpc.aio holds a task that waits for its next call, and with every call
    of any method it asks all of them anew: with a hundred methods that is a fifth of what a command costs here. By
    a generic handler the name is looked up once the call is there.
    """

    def __init__(self, server: MethodTaker) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Any, /) -> None:
        """As the server's own."""
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Does nothing: the same methods are there by their generic handler."""


class ReadingServer:
    """A server as generated code sees it when it adds a service: its requests come read, or as ``Unreadable``."""

    def __init__(self, server: MethodTaker) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Does nothing: generated code adds the same methods by name after this."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """As the server's own, and as its ``add_generic_rpc_handlers``: interceptors ask for a method by that way."""
        reading = {
            name: each._replace(request_deserializer=_reader(each.request_deserializer))
            for name, each in handlers.items()
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, reading),))
        self._server.add_registered_method_handlers(service, reading)  # type: ignore[attr-defined]

"""Requests that can't be read, and those that are too large or have too many elements: refused with a reason.

gRPC itself would end the call without one, and with UNKNOWN, which says that it may have been done. So it is handed an
object that stands for such a request, and the method that is given it refuses the call.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import grpc
from attrs import frozen
from google.protobuf.message import DecodeError, Message

from gateway.control.errors import Failure, Status, invalid
from gateway.domain.commands import FieldViolation
from gateway.domain.fleet import MAX_ITEMS

MAX_REQUEST_BYTES: Final = 4 * 1024 * 1024
"""The largest request is a full local list: a thousand tags make a hundred kilobytes."""

MAX_RECEIVED_BYTES: Final = 16 * 1024 * 1024
"""Larger ones gRPC cuts off as they arrive, and answers itself."""


MAX_ELEMENTS: Final = 32_768
"""Elements of all lists and maps of a request. Whatever checks them takes microseconds for each, in the one loop that
serves all callers: two million empty entries of a local list, in 4 MiB, took it twelve seconds. A charger's local list
has a few thousand at most."""

OWN_BOUNDS: Final[Mapping[str, int]] = {"gateway.api.v1.ChargePointSelection.charge_points": MAX_ITEMS}
"""Lists of which more may be there, as each of their elements is a name that is only looked up: by their fields."""

SMALL_BYTES: Final = 16 * 1024
"""Requests up to here can't have that many: each element has two bytes at least."""


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
            request = deserialize(data)
        except DecodeError:
            text = "the request's bytes are no such message"
            return Unreadable(Failure(Status.INVALID_ARGUMENT, "MALFORMED_REQUEST", text))
        failure = too_many_elements(request) if len(data) > SMALL_BYTES else None
        return request if failure is None else Unreadable(failure)

    return read


def too_many_elements(request: Message) -> Failure | None:
    """The refusal of a request whose lists and maps have too many elements, by the field where they go beyond the
    bound; None: they have not. No more of them are looked at than may be there."""
    left = MAX_ELEMENTS
    inside: list[tuple[str, Message]] = [("", request)]
    while inside:
        path, message = inside.pop()
        for field, value in message.ListFields():
            name = f"{path}{field.name}"
            kind = field.message_type
            if field.is_repeated:
                bound = OWN_BOUNDS.get(field.full_name)
                if bound is None:
                    left -= len(value)
                    bound = MAX_ELEMENTS
                if left < 0 or len(value) > bound:
                    return invalid(FieldViolation(name, f"the request has more than {bound:,} elements"))
                if kind is not None and not kind.GetOptions().map_entry:
                    inside += [(f"{name}[{index}].", each) for index, each in enumerate(value)]
            elif kind is not None:
                inside.append((f"{name}.", value))
    return None


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

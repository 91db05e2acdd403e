"""Methods of a gRPC server, added by generic handlers alone: a call costs the same however many there are."""

from collections.abc import Mapping

import grpc

from gateway.api.v1 import command_pb2, command_pb2_grpc
from gateway.control.services.deserialization import GenericServer, ReadingServer, Unreadable


class Taken:
    """A server that notes what is added to it."""

    def __init__(self) -> None:
        self.generic: list[grpc.GenericRpcHandler] = []
        self.registered: dict[str, Mapping[str, object]] = {}

    def add_generic_rpc_handlers(self, handlers: tuple[grpc.GenericRpcHandler, ...]) -> None:
        self.generic += handlers

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, object]) -> None:
        self.registered[service] = handlers


class Details(grpc.HandlerCallDetails):  # type: ignore[misc]
    """A call of a method."""

    def __init__(self, method: str) -> None:
        self.method = method


def test_methods_are_found_once_their_call_is_there() -> None:
    """None is registered by name: grpc.aio would wait for the next call of each by tasks of its own."""
    taken = Taken()
    command_pb2_grpc.add_CommandServiceServicer_to_server(
        command_pb2_grpc.CommandServiceServicer(), ReadingServer(GenericServer(taken))
    )
    assert taken.registered == {}
    [handler] = taken.generic
    found = handler.service(Details("/gateway.api.v1.CommandService/TriggerMessage"))
    request = command_pb2.TriggerMessageRequest(charge_point="CP1")
    assert found.request_deserializer(request.SerializeToString()) == request
    assert isinstance(found.request_deserializer(b"\xff"), Unreadable)
    assert handler.service(Details("/gateway.api.v1.CommandService/Nothing")) is None


def test_what_reads_its_requests_itself_is_handed_on_as_it_is() -> None:
    """The health service's."""
    taken = Taken()
    server = GenericServer(taken)
    handlers = {"Check": grpc.unary_unary_rpc_method_handler(lambda request, context: request)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.Service", handlers),))
    server.add_registered_method_handlers("a.Service", handlers)
    [handler] = taken.generic
    assert handler.service(Details("/a.Service/Check")) is handlers["Check"]
    assert taken.registered == {}

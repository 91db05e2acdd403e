"""A gateway that only speaks gRPC: it keeps the requests and gives prepared answers."""

from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
from attrs import define, field
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from gateway.api.v1 import (
    audit_pb2,
    caller_pb2,
    charge_point_pb2,
    command_pb2,
    diagnostics_pb2,
    energy_pb2,
    event_pb2,
    fleet_pb2,
    id_tag_pb2,
    operation_pb2,
    retention_pb2,
    server_pb2,
    steering_pb2,
    transaction_pb2,
)

SERVICES = {
    "AuditService": audit_pb2,
    "CallerService": caller_pb2,
    "FleetService": fleet_pb2,
    "ChargePointService": charge_point_pb2,
    "CommandService": command_pb2,
    "DiagnosticsService": diagnostics_pb2,
    "EnergyService": energy_pb2,
    "EventService": event_pb2,
    "IdTagService": id_tag_pb2,
    "OperationService": operation_pb2,
    "RetentionService": retention_pb2,
    "ServerService": server_pb2,
    "SteeringService": steering_pb2,
    "TransactionService": transaction_pb2,
}


KINDS = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
"""By whether the client streams, and whether the server does."""


@define
class Failure:
    """An error to answer with, in the API's shape."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: dict[str, str] = field(factory=dict)
    violations: dict[str, str] = field(factory=dict)

    def abort(self, context: Any) -> None:
        """End the call with it."""
        details = []
        if self.reason:
            details.append(error_details_pb2.ErrorInfo(reason=self.reason, domain="gateway", metadata=self.metadata))
        if self.violations:
            violation = error_details_pb2.BadRequest.FieldViolation
            details.append(
                error_details_pb2.BadRequest(
                    field_violations=[violation(field=name, description=text) for name, text in self.violations.items()]
                )
            )
        packed = []
        for detail in details:
            packed.append(AnyMessage())
            packed[-1].Pack(detail)
        status = status_pb2.Status(code=self.code.value[0], message=self.message, details=packed)
        context.abort_with_status(rpc_status.to_status(status))


@define
class FakeGateway:
    """Method name to what it answers: a message, a list of them for one call after the other, a Failure, or a function
    of the request and its context. Streams
    answer a list of messages and Failures, and then end; where the client streams too its requests are read first, and
    kept as a list. Unset methods answer an empty message."""

    answers: dict[str, Any] = field(factory=dict)
    requests: list[tuple[str, Any]] = field(factory=list)
    target: str = ""

    def asked(self, method: str) -> list[Any]:
        """The requests of a method, in order."""
        return [request for name, request in self.requests if name == method]

    def unary(self, method: str, response: type) -> Any:
        """A method with one answer."""

        def answer(request: Any, context: Any) -> Any:
            self.requests.append((method, request))
            found = self.answers.get(method, response())
            if isinstance(found, list):
                found = found.pop(0)
            if callable(found):
                found = found(request, context)
            if isinstance(found, Failure):
                found.abort(context)
            return found

        return answer

    def stream(self, method: str) -> Any:
        """A method with a stream of answers. A list of lists: one for each time that it is called."""

        def answer(request: Any, context: Any) -> Iterator[Any]:
            self.requests.append((method, list(request) if isinstance(request, Iterator) else request))
            found = self.answers.get(method, [])
            if callable(found):
                found = found(request, context)
            elif found and isinstance(found[0], list):
                found = found.pop(0)
            for each in found:
                if isinstance(each, Failure):
                    each.abort(context)
                yield each

        return answer


@contextmanager
def serving(fake: FakeGateway) -> Iterator[FakeGateway]:
    """Serve it on a port of its own."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    for service, messages in SERVICES.items():
        descriptor = messages.DESCRIPTOR.services_by_name[service]
        handlers = {}
        for method in descriptor.methods:
            request, response = (getattr(messages, each.name) for each in (method.input_type, method.output_type))
            make = KINDS[method.client_streaming, method.server_streaming]
            behaviour = fake.stream(method.name) if method.server_streaming else fake.unary(method.name, response)
            handlers[method.name] = make(
                behaviour, request_deserializer=request.FromString, response_serializer=response.SerializeToString
            )
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(descriptor.full_name, handlers)])
    fake.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield fake
    finally:
        server.stop(None).wait(5)


def at(text: str) -> Timestamp:
    """A moment as the API writes it."""
    made = Timestamp()
    made.FromDatetime(datetime.fromisoformat(text).astimezone(UTC))
    return made

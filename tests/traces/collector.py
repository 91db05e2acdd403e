"""A collector of traces that takes OTLP over gRPC, and keeps what it is sent."""

import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from attrs import define, field
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@define(eq=False)
class Collector(TraceServiceServicer):
    """Spans in the order of their arrival; ``requests`` as they came."""

    endpoint: str = ""
    requests: list[Any] = field(factory=list)
    came: threading.Event = field(factory=threading.Event)

    def Export(self, request: Any, context: Any) -> ExportTraceServiceResponse:
        """Take a batch."""
        self.requests.append(request)
        self.came.set()
        return ExportTraceServiceResponse()

    @property
    def spans(self) -> list[Span]:
        """All there are."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def trace(self, trace_id: str) -> dict[str, Span]:
        """The spans of one trace by name."""
        return {span.name: span for span in self.spans if span.trace_id.hex() == trace_id}


@contextmanager
def collecting(certificates: Path | None = None) -> Iterator[Collector]:
    """Serve one on loopback; with TLS where there are certificates."""
    made = Collector()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    add_TraceServiceServicer_to_server(made, server)  # type: ignore[no-untyped-call]
    if certificates is None:
        made.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    else:
        key, chain = ((certificates / f"server-ecdsa.{each}").read_bytes() for each in ("key", "pem"))
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)]))
        made.endpoint = f"https://127.0.0.1:{port}"
    server.start()
    try:
        yield made
    finally:
        server.stop(None).wait(5)


def attributes(span: Span) -> dict[str, str | int]:
    """A span's attributes."""
    return {
        each.key: each.value.int_value if each.value.HasField("int_value") else each.value.string_value
        for each in span.attributes
    }

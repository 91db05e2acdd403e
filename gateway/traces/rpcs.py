"""Spans of RPCs, below the caller's own where its metadata name one (W3C traceparent)."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.traces.commands import CommandTraces

if TYPE_CHECKING:
    Interceptor = grpc.aio.ServerInterceptor[Any, Any]
else:  # generic for the type checker only
    Interceptor = grpc.aio.ServerInterceptor

OURS = "/gateway.api."
"""What the methods of this gateway begin with; health checks and reflection have no spans."""

CARRIED = ("traceparent", "tracestate")
"""Metadata that name the caller's span."""


class RpcTraces(Interceptor):
    """Gives each RPC with one request and one response a span. Streams have none: a watch lasts for weeks."""

    def __init__(self, tracer: Tracer, commands: CommandTraces) -> None:
        self._tracer = tracer
        self._commands = commands
        self._propagator = TraceContextTextMapPropagator()

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """The method, in a span."""
        handler = await continuation(handler_call_details)
        method: str = handler_call_details.method
        if handler is None or not method.startswith(OURS) or handler.unary_unary is None:
            return handler
        return grpc.unary_unary_rpc_method_handler(
            self._traced(method.removeprefix("/"), handler.unary_unary),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _traced(self, method: str, answer: Callable[[Any, Any], Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        service, _, name = method.rpartition("/")

        async def traced(request: Any, context: Any) -> Any:
            metadata = context.invocation_metadata() or ()
            carried = {key: value for key, value in metadata if key in CARRIED}
            charge_point, request_id = _named(request)
            attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
            if charge_point:
                attributes["gateway.charge_point"] = charge_point
            parent = self._propagator.extract(carried)
            span = self._tracer.start_span(method, context=parent, kind=SpanKind.SERVER, attributes=attributes)
            if request_id:
                self._commands.asked(charge_point, request_id, span)
            try:
                return await answer(request, context)
            finally:
                if request_id:
                    self._commands.told(charge_point, request_id, span)
                _end(span, context.code())

        return traced


def _named(request: Any) -> tuple[str, str]:
    """The charge point and the request id that a request names; empty where it names none, or could not be read."""
    charge_point, request_id = getattr(request, "charge_point", ""), getattr(request, "request_id", "")
    if not isinstance(charge_point, str):  # a whole charge point, in requests that change one
        charge_point = getattr(charge_point, "identity", "")
    return charge_point, request_id if charge_point else ""


def _end(span: Span, code: Any) -> None:
    """End a span with the RPC's status, by gRPC's number."""
    number = code.value[0] if isinstance(code, grpc.StatusCode) else int(code or 0)
    span.set_attribute("rpc.grpc.status_code", number)
    if number:
        names = {each.value[0]: each.name for each in grpc.StatusCode}
        span.set_status(Status(StatusCode.ERROR, names.get(number, "UNKNOWN")))
    span.end()

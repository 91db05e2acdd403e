"""Spans of commands, below the span of the RPC that asked for them.

Attributes say which charge point, which command and what came of it. Nothing that a command brings is among them: no
arguments, no idTags, no keys.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from gateway.domain.commands import CommandRecord

ANSWERED = "ANSWERED"
"""The outcome of a command that the charge point has answered."""


class CommandTrace:
    """The span of one command. For one task at a time; after ``over`` it takes no more steps."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span
        self._over = False

    def step(self, name: str, *, outgoing: bool = False) -> AbstractContextManager[None]:
        """A span below the command's for as long as the block takes; what the block raises is its status.
        ``outgoing``: it crosses to the charge point."""
        return nullcontext() if self._over else self._stepped(name, SpanKind.CLIENT if outgoing else SpanKind.INTERNAL)

    def over(self, outcome: str) -> None:
        """End it with its outcome. Repeating it changes nothing."""
        if not self._over:
            self._over = True
            self._span.set_attribute("gateway.command.outcome", outcome)
            if outcome != ANSWERED:
                self._span.set_status(Status(StatusCode.ERROR, outcome))
            self._span.end()

    @contextmanager
    def _stepped(self, name: str, kind: SpanKind) -> Iterator[None]:
        span = self._tracer.start_span(name, context=set_span_in_context(self._span), kind=kind)
        try:
            yield
        except BaseException as error:  # a cancellation, too, is why it ended
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            span.end()


class CommandTraces:
    """Makes the spans of commands, and knows the RPCs under way by what they name. For both loops: each step is one
    operation on a dictionary.

    As many RPCs as the server takes at once are known; an RPC that joins a command under way has a span and no more.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._rpcs: dict[tuple[str, str], Span] = {}

    def asked(self, charge_point: str, request_id: str, span: Span) -> None:
        """An RPC asks for something of a charge point."""
        self._rpcs[charge_point, request_id] = span

    def told(self, charge_point: str, request_id: str, span: Span) -> None:
        """The RPC is over."""
        if self._rpcs.get((charge_point, request_id)) is span:
            del self._rpcs[charge_point, request_id]

    def begin(self, record: CommandRecord, operation_id: str = "") -> CommandTrace:
        """The span of a new command: below its RPC's, or a trace of its own where no RPC asked for it as it is."""
        asking = self._rpcs.get((record.charge_point, record.request_id))
        attributes = {
            "gateway.charge_point": record.charge_point,
            "gateway.command.id": record.command_id,
            "gateway.command.operation": record.operation,
        }
        if operation_id:
            attributes["gateway.operation.id"] = operation_id
        context = None if asking is None else set_span_in_context(asking)
        span = self._tracer.start_span(f"command {record.operation}", context=context, attributes=attributes)
        return CommandTrace(self._tracer, span)

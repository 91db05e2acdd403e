"""Spans of commands, as they end."""

from datetime import UTC, datetime

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from gateway.domain.commands import CommandRecord, CommandState
from gateway.traces.commands import CommandTraces


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traces(exported: InMemorySpanExporter) -> CommandTraces:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    return CommandTraces(provider.get_tracer("tests"))


RECORD = CommandRecord(
    command_id="cmd_1",
    charge_point="CP1",
    request_id="r",
    operation="Reset",
    arguments='{"key": "secret"}',
    state=CommandState.QUEUED,
    created_at=datetime(2026, 11, 27, tzinfo=UTC),
    fingerprint="f",
    caller="ops",
)


def test_a_command_of_an_operation_is_a_trace_by_itself(traces: CommandTraces, exported: InMemorySpanExporter) -> None:
    """It names the operation, and holds nothing of its arguments; its first outcome counts, and no step follows it."""
    trace = traces.begin(RECORD, "op_1")
    trace.over("ANSWERED")
    trace.over("NOT_SENT")
    with trace.step("journal commit"):
        pass
    [span] = exported.get_finished_spans()
    assert span.parent is None
    assert dict(span.attributes or {}) == {
        "gateway.charge_point": "CP1",
        "gateway.command.id": "cmd_1",
        "gateway.command.operation": "Reset",
        "gateway.command.outcome": "ANSWERED",
        "gateway.operation.id": "op_1",
    }


def test_a_step_that_fails_says_by_what(traces: CommandTraces, exported: InMemorySpanExporter) -> None:
    """The name of the exception and no text of it, which may hold anything."""
    trace = traces.begin(RECORD)
    with pytest.raises(RuntimeError), trace.step("send", outgoing=True):
        raise RuntimeError("secret")
    [span] = exported.get_finished_spans()
    assert (span.status.status_code, span.status.description, span.events) == (StatusCode.ERROR, "RuntimeError", ())


def test_an_rpc_that_is_over_asks_for_nothing_more(traces: CommandTraces, exported: InMemorySpanExporter) -> None:
    """Another one with the same ids that came meanwhile is still known."""
    first, second = (traces._tracer.start_span(name) for name in ("first", "second"))
    traces.asked("CP1", "r", first)
    traces.asked("CP1", "r", second)
    traces.told("CP1", "r", first)
    traces.begin(RECORD).over("ANSWERED")
    traces.told("CP1", "r", second)
    traces.begin(RECORD).over("ANSWERED")
    below, alone = exported.get_finished_spans()
    assert below.parent is not None
    assert below.parent.span_id == second.get_span_context().span_id
    assert alone.parent is None

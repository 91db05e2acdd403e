"""One trace from an RPC to the charge point and back, received by OTLP; and nothing of it where traces are off."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trio
from attrs import evolve
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway.api.v1 import charge_point_pb2, charge_point_pb2_grpc, command_pb2, command_pb2_grpc
from gateway.app.from_settings import tracing
from gateway.app.settings import ControlSettings, TracingSettings
from gateway.errors import SettingsError
from tests.app.running import Running, running, settings
from tests.endtoend.gateway_process import development_certificates, free_port
from tests.traces.collector import attributes, collecting

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
"""Ids of the caller's trace and span."""

TAG = "04A3B2C1SECRET"
"""An idTag, which no span may hold."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return development_certificates(tmp_path_factory.mktemp("traces") / "certs")


class Traced:
    """A gateway that is traced, and a caller of it."""

    def __init__(self, running: Running, channel: grpc.Channel) -> None:
        self.running, self.channel = running, channel

    async def start(self, request_id: str, traceparent: str | None = None, timeout: float = 20) -> Any:
        """Ask for a remote start; the response, or the error."""
        request = command_pb2.RemoteStartTransactionRequest(charge_point="CP1", request_id=request_id, id_tag=TAG)
        metadata = () if traceparent is None else (("traceparent", traceparent),)
        stub = command_pb2_grpc.CommandServiceStub(self.channel)

        def ask() -> Any:
            try:
                return stub.RemoteStartTransaction(request, metadata=metadata, timeout=timeout)
            except grpc.RpcError as error:
                return error

        return await trio.to_thread.run_sync(ask)


@asynccontextmanager
async def traced(folder: Path, certificates: Path, endpoint: str, **more: Any) -> AsyncIterator[Traced]:
    """Serve while the block runs; at its end everything has been sent."""
    port = free_port()
    made = evolve(
        settings(folder, certificates),
        control=ControlSettings(address=f"127.0.0.1:{port}"),
        tracing=TracingSettings(endpoint=endpoint, **more),
    )
    gateways = []
    try:
        async with running(made) as here:
            gateways.append(here.gateway)
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield Traced(here, channel)
    finally:
        for each in gateways:
            each.close()


async def test_one_trace_goes_from_the_caller_to_the_charge_point_and_back(tmp_path: Path, certificates: Path) -> None:
    """The caller's span, the RPC, the command, its commits, the CALL and the answer, each below the one before."""
    with collecting() as collector:
        async with traced(tmp_path, certificates, collector.endpoint) as here:
            charger = await here.running.booted()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(here.start, "start-1", f"00-{TRACE}-{CALLER}-01")
                message_id, _, _ = await charger.next_call("RemoteStartTransaction")
                await charger.answer(message_id, {"status": "Accepted"})
        spans = collector.trace(TRACE)
    rpc = spans["gateway.api.v1.CommandService/RemoteStartTransaction"]
    command = spans["command RemoteStartTransaction"]
    assert rpc.parent_span_id.hex() == CALLER
    assert rpc.kind == Span.SPAN_KIND_SERVER
    assert attributes(rpc) == {
        "rpc.system": "grpc",
        "rpc.service": "gateway.api.v1.CommandService",
        "rpc.method": "RemoteStartTransaction",
        "rpc.grpc.status_code": 0,
        "gateway.charge_point": "CP1",
    }
    assert command.parent_span_id == rpc.span_id
    about = attributes(command)
    assert about.pop("gateway.command.id").startswith("cmd_")  # type: ignore[union-attr]
    assert about == {
        "gateway.charge_point": "CP1",
        "gateway.command.operation": "RemoteStartTransaction",
        "gateway.command.outcome": "ANSWERED",
    }
    for name in ("journal commit", "send", "charge point's answer"):
        assert spans[name].parent_span_id == command.span_id
    assert spans["send"].end_time_unix_nano <= spans["charge point's answer"].end_time_unix_nano
    assert [each.name for each in collector.spans].count("journal commit") == 2
    assert {each.status.code for each in spans.values()} == {Status.STATUS_CODE_UNSET}
    [resource] = {request.resource_spans[0].resource.SerializeToString() for request in collector.requests}
    assert b"ocpp-gateway" in resource
    assert TAG.encode() not in b"".join(request.SerializeToString() for request in collector.requests)


async def test_a_command_that_is_not_answered_says_why(tmp_path: Path, certificates: Path) -> None:
    """The trace of a caller without one is begun here; the same request id again has a span of its RPC alone."""
    with collecting() as collector:
        async with traced(tmp_path, certificates, collector.endpoint) as here:
            charger = await here.running.booted()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(here.start, "start-2", None, 1.0)
                await charger.next_call("RemoteStartTransaction")
            error = await here.start("start-2")
            assert isinstance(error, grpc.RpcError)
        [command] = [span for span in collector.spans if span.name.startswith("command ")]
        rpcs = [span for span in collector.spans if span.name.endswith("/RemoteStartTransaction")]
    assert attributes(command)["gateway.command.outcome"] == "OUTCOME_UNKNOWN"
    assert command.status.code == Status.STATUS_CODE_ERROR
    assert len(rpcs) == 2
    assert {span.parent_span_id for span in rpcs} == {b""}
    assert command.trace_id in {span.trace_id for span in rpcs}
    assert all(attributes(span)["rpc.grpc.status_code"] != 0 for span in rpcs)
    assert all(span.status.code == Status.STATUS_CODE_ERROR for span in rpcs)


async def test_the_callers_decision_not_to_sample_counts(tmp_path: Path, certificates: Path) -> None:
    """And a ratio of 0 keeps none that no caller has begun; other RPCs are spans as well, streams and health none."""
    with collecting(certificates) as collector:
        authority = certificates / "ca.pem"
        there = {"authority": authority, "sample_ratio": 0.0}
        async with traced(tmp_path, certificates, collector.endpoint, **there) as here:
            charger = await here.running.booted()
            for number, sampled in enumerate((None, f"00-{TRACE}-{CALLER}-00")):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(here.start, f"start-{number}", sampled)
                    message_id, _, _ = await charger.next_call("RemoteStartTransaction")
                    await charger.answer(message_id, {"status": "Accepted"})
            update = charge_point_pb2.UpdateChargePointRequest(
                charge_point=charge_point_pb2.ChargePoint(identity="CP1", description="d")
            )
            update.update_mask.paths.append("description")
            metadata = (("traceparent", f"00-{TRACE}-{CALLER}-01"),)
            stub = charge_point_pb2_grpc.ChargePointServiceStub(here.channel)
            await trio.to_thread.run_sync(lambda: stub.UpdateChargePoint(update, metadata=metadata, timeout=60))
            await trio.to_thread.run_sync(
                lambda: list(stub.StreamLatestReadings(charge_point_pb2.StreamLatestReadingsRequest(), timeout=60))
            )
        names = [span.name for span in collector.spans]
    assert names == ["gateway.api.v1.ChargePointService/UpdateChargePoint"]
    assert attributes(collector.spans[0])["gateway.charge_point"] == "CP1"


async def test_a_collector_that_is_away_holds_nothing_up(tmp_path: Path, certificates: Path) -> None:
    """Commands are carried, and the end takes no longer than one attempt."""
    with collecting() as gone:
        endpoint = gone.endpoint
    with trio.fail_after(60):
        async with traced(tmp_path, certificates, endpoint) as here:
            charger = await here.running.booted()
            answers: list[Any] = []

            async def ask() -> None:
                answers.append(await here.start("start-3"))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                message_id, _, _ = await charger.next_call("RemoteStartTransaction")
                await charger.answer(message_id, {"status": "Accepted"})
    [answer] = answers
    assert answer.status == command_pb2.REMOTE_START_TRANSACTION_STATUS_ACCEPTED


def test_nothing_is_imported_where_traces_are_off() -> None:
    """Neither OpenTelemetry nor what uses it."""
    script = (
        "import sys, gateway.app.serve, gateway.cli.root\n"
        "print([name for name in sys.modules if 'opentelemetry' in name or name.startswith('gateway.traces')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_off_is_the_default() -> None:
    """No endpoint, no traces."""
    assert tracing(TracingSettings(), "1") is None


def test_an_authority_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    """At the start."""
    given = TracingSettings(endpoint="https://127.0.0.1:4317", authority=tmp_path / "none.pem")
    with pytest.raises(SettingsError, match=r"tracing\.authority: .*none\.pem: No such file"):
        tracing(given, "1")


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the way to have them: by the settings' check, and at the start."""
    given = TracingSettings(endpoint="http://127.0.0.1:4317")
    assert list(given.problems()) == []
    monkeypatch.setattr("gateway.app.settings.sections.find_spec", lambda name: None)
    [(key, problem)] = given.problems()
    assert (key, "gateway[traces]" in problem) == ("endpoint", True)
    for name in [name for name in sys.modules if name.startswith("gateway.traces")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    with pytest.raises(SettingsError, match=r"pip install 'gateway\[traces\]'"):
        tracing(given, "1")


def test_an_authority_without_tls_is_a_fault() -> None:
    """It would not be looked at."""
    given = TracingSettings(endpoint="http://127.0.0.1:4317", authority=Path("ca.pem"))
    assert [key for key, _ in given.problems()] == ["authority"]

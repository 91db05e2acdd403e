"""Traces on their way to a collector, by OTLP over gRPC."""

import logging
from pathlib import Path
from typing import Final

from grpc import ssl_channel_credentials
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from gateway.traces.commands import CommandTraces
from gateway.traces.rpcs import RpcTraces

SERVICE: Final = "ocpp-gateway"

MAX_WAITING: Final = 8192
"""Spans that wait for the collector, some 8 MB: a second of 1,000 commands has 6,000. Beyond it they are dropped."""

BATCH: Final = 512
"""Spans in one request."""

DELAY_MILLISECONDS: Final = 1000
"""From a span's end to its request, where none is full before."""

TIMEOUT_SECONDS: Final = 3.0
"""For one request, its repetitions included; also what the gateway's end may wait for it."""


class Tracing:
    """The traces of one run: spans of RPCs and commands, sent by a thread of the SDK's. ``close`` sends the rest."""

    def __init__(self, endpoint: str, authority: Path | None, ratio: float, version: str) -> None:
        """``endpoint``: http://host:port, or https:// with TLS; ``authority``: its CA in PEM, None: the system's.
        ``ratio``: of the traces that no caller has begun. Raises OSError for an authority that can't be read."""
        secure = endpoint.startswith("https://")
        exporter = OTLPSpanExporter(
            endpoint=endpoint,
            insecure=not secure,
            credentials=ssl_channel_credentials(authority.read_bytes() if authority else None) if secure else None,
            timeout=TIMEOUT_SECONDS,
        )
        # A collector that is away is reported by each attempt; the gateway's log is for the gateway.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)),
            resource=Resource.create({SERVICE_NAME: SERVICE, SERVICE_VERSION: version}),
            span_limits=SpanLimits(max_attributes=32, max_events=8, max_links=8, max_attribute_length=200),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=MAX_WAITING,
                max_export_batch_size=BATCH,
                schedule_delay_millis=DELAY_MILLISECONDS,
                export_timeout_millis=TIMEOUT_SECONDS * 1000,
            )
        )
        tracer = self._provider.get_tracer("gateway", version)
        self.commands = CommandTraces(tracer)
        self.rpcs = RpcTraces(tracer, self.commands)

    def close(self) -> None:
        """Send what there is, within TIMEOUT_SECONDS, and end the thread. Spans that end later are dropped."""
        self._provider.shutdown()

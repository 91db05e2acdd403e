"""EventService: streams of batches, each with the token to resume after it.

Responses are bytes here: they are serialised once for all who watch the same, which gRPC would do for each of them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from functools import cached_property

import grpc
from google.protobuf.message_factory import GetMessageClass

from gateway.api.v1 import event_pb2 as pb
from gateway.bridge import Bridge
from gateway.control.convert.batches import BatchMessages
from gateway.control.convert.requests import Fields
from gateway.control.convert.samples import METERED
from gateway.control.event_streams import IDLE_SECONDS, EventStreams, Start
from gateway.control.services.rpc import Context, Service, streaming
from gateway.domain.events import BODIES
from gateway.store.api import EventFilter

MAX_CHARGE_POINTS = 1000
"""Of one watch's filter; who watches more watches all."""

MAX_MEASURANDS = 100
"""OCPP 1.6 has 22."""

MAX_NAME = 500
"""Characters of a name in a filter; no charge point or measurand has a longer one."""

SERVICE = pb.DESCRIPTOR.services_by_name["EventService"]

STARTS: dict[int, Start] = {pb.WATCH_START_BEGINNING: "beginning", pb.WATCH_START_NOW: "now"}


class EventRpcs(Service):
    """All that happens, as it is recorded."""

    def __init__(
        self,
        bridge: Bridge,
        default_timeout: float,
        watching: Callable[[], EventStreams],
        messages: Callable[[], BatchMessages],
    ) -> None:
        super().__init__(bridge, default_timeout)
        self._make_watching = watching
        self._make_messages = messages

    @cached_property
    def _watching(self) -> EventStreams:
        """Raises ``StoreUnavailable`` while the store has not been opened: it has no id then."""
        return self._make_watching()

    @cached_property
    def _messages(self) -> BatchMessages:
        """The same."""
        return self._make_messages()

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register every method of the service, as generated code does, but with responses that are bytes already."""
        handlers = {
            method.name: grpc.unary_stream_rpc_method_handler(
                getattr(self, method.name),
                request_deserializer=GetMessageClass(method.input_type).FromString,
                response_serializer=None,
            )
            for method in SERVICE.methods
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.full_name, handlers),))
        server.add_registered_method_handlers(SERVICE.full_name, handlers)  # type: ignore[attr-defined]

    @streaming
    async def WatchEvents(self, request: pb.WatchEventsRequest, context: Context) -> AsyncIterator[bytes]:
        fields = Fields()
        for index, name in enumerate(request.types):
            if name not in BODIES:
                fields.wrong(f"types[{index}]", f"there is no event type {name[:100]}")
        where = EventFilter(_names(request.charge_points, "charge_points", fields), frozenset(request.types))
        start = _start(request, fields)
        fields.check()
        messages = self._messages
        as_message = messages.normalised_events if request.normalised_readings else messages.events
        async with self.stream(self._watching.watch, where, start) as batches:
            async for batch in batches:
                yield as_message(batch)

    @streaming
    async def WatchMeterValues(self, request: pb.WatchMeterValuesRequest, context: Context) -> AsyncIterator[bytes]:
        fields = Fields()
        where = EventFilter(_names(request.charge_points, "charge_points", fields), METERED)
        measurands = _names(request.measurands, "measurands", fields, MAX_MEASURANDS)
        start = _start(request, fields)
        fields.check()
        now = asyncio.get_running_loop().time
        sent_at = 0.0
        async with self.stream(self._watching.watch, where, start) as batches:
            async for batch in batches:
                samples = self._messages.samples(batch, measurands)
                # A batch of which nothing is left is worth a message only as a sign of life.
                if samples or not batch.events or now() - sent_at >= IDLE_SECONDS:
                    sent_at = now()
                    yield samples + self._messages.samples_token(batch)


def _names(given: Iterable[str], field: str, fields: Fields, limit: int = MAX_CHARGE_POINTS) -> frozenset[str]:
    names = list(given)
    if len(names) > limit:
        fields.wrong(field, f"must have at most {limit}")
    for index, name in enumerate(names):
        if not 0 < len(name) <= MAX_NAME:
            fields.wrong(f"{field}[{index}]", f"must have 1 to {MAX_NAME} characters")
    return frozenset(names)


def _start(request: pb.WatchEventsRequest | pb.WatchMeterValuesRequest, fields: Fields) -> Start:
    if request.WhichOneof("start") == "resume_token":
        return request.resume_token
    start = STARTS.get(request.start_at)
    if start is None:
        fields.wrong("start", "must say where to begin: start_at or resume_token")
        return "now"
    return start

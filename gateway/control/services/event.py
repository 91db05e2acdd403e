"""EventService: streams of batches, each with the token to resume after it."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from gateway.api.v1 import event_pb2 as pb
from gateway.api.v1.event_pb2_grpc import EventServiceServicer
from gateway.bridge import Bridge
from gateway.control.messages.events import event
from gateway.control.messages.reading import Fields
from gateway.control.messages.samples import METERED, meter_samples
from gateway.control.services.rpc import Context, Service, streaming
from gateway.control.watching import IDLE_SECONDS, Start, Watching
from gateway.domain.events import BODIES
from gateway.store.api import EventFilter

MAX_CHARGE_POINTS = 1000
"""Of one watch's filter; who watches more watches all."""

MAX_MEASURANDS = 100
"""OCPP 1.6 has 22."""

MAX_NAME = 500
"""Characters of a name in a filter; no charge point or measurand has a longer one."""

STARTS: dict[int, Start] = {pb.WATCH_START_BEGINNING: "beginning", pb.WATCH_START_NOW: "now"}


class EventRpcs(Service, EventServiceServicer):
    """All that happens, as it is recorded."""

    def __init__(self, bridge: Bridge, default_timeout: float, watching: Watching) -> None:
        super().__init__(bridge, default_timeout)
        self._watching = watching

    @streaming
    async def WatchEvents(
        self, request: pb.WatchEventsRequest, context: Context
    ) -> AsyncIterator[pb.WatchEventsResponse]:
        fields = Fields()
        for index, name in enumerate(request.types):
            if name not in BODIES:
                fields.wrong(f"types[{index}]", f"there is no event type {name[:100]}")
        where = EventFilter(_names(request.charge_points, "charge_points", fields), frozenset(request.types))
        start = _start(request, fields)
        fields.check()
        async for batch in self.stream(self._watching.watch, where, start):
            yield pb.WatchEventsResponse(events=[event(each) for each in batch.events], resume_token=batch.token)

    @streaming
    async def WatchMeterValues(
        self, request: pb.WatchMeterValuesRequest, context: Context
    ) -> AsyncIterator[pb.WatchMeterValuesResponse]:
        fields = Fields()
        where = EventFilter(_names(request.charge_points, "charge_points", fields), METERED)
        measurands = _names(request.measurands, "measurands", fields, MAX_MEASURANDS)
        start = _start(request, fields)
        fields.check()
        now = asyncio.get_running_loop().time
        told = 0.0
        async for batch in self.stream(self._watching.watch, where, start):
            samples = [sample for each in batch.events for sample in meter_samples(each, measurands)]
            # A batch of which nothing is left is worth a message only as a sign of life.
            if samples or not batch.events or now() - told >= IDLE_SECONDS:
                told = now()
                yield pb.WatchMeterValuesResponse(samples=samples, resume_token=batch.token)


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

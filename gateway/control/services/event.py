"""EventService: streams of batches, each with the token to resume after it.

Responses are bytes here: they are serialised once for all who watch the same, which gRPC would do for each of them.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from functools import cached_property

import grpc
from google.protobuf.message_factory import GetMessageClass

from gateway.api.v1 import event_pb2 as pb
from gateway.bridge import Bridge
from gateway.control.charge_points import label_violations
from gateway.control.convert.batches import CAUGHT_UP, BatchMessages
from gateway.control.convert.requests import Fields
from gateway.control.convert.samples import METERED
from gateway.control.event_streams import IDLE_SECONDS, Start
from gateway.control.label_watches import LabelWatches
from gateway.control.services.deserialization import ReadingServer
from gateway.control.services.filters import MAX_NAMES
from gateway.control.services.latest_samples import LEAST_SECONDS, MOST_SECONDS, conflated
from gateway.control.services.paging import in_parts
from gateway.control.services.rpc import CALLER, Context, Service, streaming
from gateway.control.watchers import Watcher
from gateway.domain.events import BODIES
from gateway.domain.labels import Labels
from gateway.domain.measurements import MEASURANDS
from gateway.feed import Batch
from gateway.store.api import EventFilter

MAX_CHARGE_POINTS = 1000
"""Of one watch's filter; who watches more watches all."""

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
        watching: Callable[[], LabelWatches],
        messages: Callable[[], BatchMessages],
        known: Callable[[Sequence[str]], Awaitable[frozenset[str]]],
    ) -> None:
        """``known``: those of some identities that there are, or were; in Trio."""
        super().__init__(bridge, default_timeout)
        self._known = known
        self._make_watching = watching
        self._make_messages = messages

    @cached_property
    def _watching(self) -> LabelWatches:
        """Raises ``StoreUnavailable`` while the store has not been opened: it has no id then."""
        return self._make_watching()

    @cached_property
    def _messages(self) -> BatchMessages:
        """The same."""
        return self._make_messages()

    def add_to(self, server: ReadingServer) -> None:
        """Register every method of the service, as generated code does, but with responses that are bytes already."""
        handlers = {
            method.name: grpc.unary_stream_rpc_method_handler(
                getattr(self, method.name),
                request_deserializer=GetMessageClass(method.input_type).FromString,
                response_serializer=None,
            )
            for method in SERVICE.methods
        }
        server.add_registered_method_handlers(SERVICE.full_name, handlers)

    @streaming
    async def WatchEvents(self, request: pb.WatchEventsRequest, context: Context) -> AsyncIterator[bytes]:
        fields = Fields()
        for index, name in enumerate(request.types):
            if name not in BODIES:
                fields.wrong(f"types[{index}]", f"there is no event type {name[:100]}")
        where = EventFilter(
            _names(request.charge_points, "charge_points", fields),
            frozenset(request.types),
            _names(request.callers, "callers", fields, MAX_NAMES),
        )
        start = _start(request, fields)
        labels = _labels(request, fields)
        fields.check()
        await self._check_charge_points(request.charge_points)
        watcher = Watcher(CALLER.get(), "WatchEvents")
        messages = self._messages
        as_message = messages.normalised_events if request.normalised_readings else messages.events
        goal: int | None = None
        end = b""
        async with self.stream(self._watching.watch, where, labels, start, watcher) as batches:
            async for batch in batches:
                if goal is None:
                    goal = batch.head
                if not end and batch.position >= goal:
                    end = CAUGHT_UP
                yield as_message(batch) + end

    @streaming
    async def WatchMeterValues(self, request: pb.WatchMeterValuesRequest, context: Context) -> AsyncIterator[bytes]:
        fields = Fields()
        where = EventFilter(_names(request.charge_points, "charge_points", fields), METERED)
        measurands = _measurands(request.measurands, fields)
        start = _start(request, fields)
        labels = _labels(request, fields)
        interval = _interval(request, fields)
        fields.check()
        await self._check_charge_points(request.charge_points)
        watcher = Watcher(CALLER.get(), "WatchMeterValues")
        if interval is not None:
            async with (
                self.stream(self._watching.watch, where, labels, start, watcher) as batches,
                aclosing(self._latest(batches, measurands, interval)) as messages,
            ):
                async for message in messages:
                    yield message
            return
        now = asyncio.get_running_loop().time
        sent_at = 0.0
        goal: int | None = None
        end = b""
        async with self.stream(self._watching.watch, where, labels, start, watcher) as batches:
            async for batch in batches:
                if goal is None:
                    goal = batch.head
                reached = not end and batch.position >= goal
                if reached:
                    end = CAUGHT_UP
                samples = self._messages.samples(batch, measurands)
                # A batch of which nothing is left is worth a message only as a sign of life, or of having caught up.
                if samples or not batch.events or reached or now() - sent_at >= IDLE_SECONDS:
                    sent_at = now()
                    yield samples + self._messages.samples_token(batch) + end

    async def _latest(
        self, batches: AsyncIterator[Batch], measurands: frozenset[str], seconds: float
    ) -> AsyncGenerator[bytes, None]:
        """The messages of a watch that only wants the present."""
        goal: int | None = None
        place = b""  # that of the message before: of several parts the last one alone has got as far as all of them
        async with aclosing(conflated(batches, measurands, seconds)) as found:
            async for samples, last in found:
                goal = last.head if goal is None else goal
                *parts, end = in_parts(samples)
                for part in parts:
                    yield pb.WatchMeterValuesResponse(samples=part).SerializeToString() + place
                place = self._messages.samples_token(last) + (CAUGHT_UP if last.position >= goal else b"")
                yield pb.WatchMeterValuesResponse(samples=end).SerializeToString() + place

    async def _check_charge_points(self, given: Sequence[str]) -> None:
        """Raises ``Failure`` for those that there never were: they are misspelt."""
        if not given:
            return
        known = await self._bridge.call(self._known, tuple(given))
        fields = Fields()
        for index, name in enumerate(given):
            if name not in known:
                fields.wrong(f"charge_points[{index}]", f"there is no charge point {name[:100]}")
        fields.check()


def _names(given: Iterable[str], field: str, fields: Fields, limit: int = MAX_CHARGE_POINTS) -> frozenset[str]:
    names = list(given)
    if len(names) > limit:
        fields.wrong(field, f"must have at most {limit}")
    for index, name in enumerate(names):
        if not 0 < len(name) <= MAX_NAME:
            fields.wrong(f"{field}[{index}]", f"must have 1 to {MAX_NAME} characters")
    return frozenset(names)


def _interval(request: pb.WatchMeterValuesRequest, fields: Fields) -> float | None:
    if not request.HasField("latest_interval"):
        return None
    seconds = request.latest_interval.seconds + request.latest_interval.nanos / 1e9
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        fields.wrong("latest_interval", f"must be {LEAST_SECONDS:g} to {MOST_SECONDS:g} seconds")
    return seconds


def _measurands(given: Iterable[str], fields: Fields) -> frozenset[str]:
    found = list(given)
    for index, name in enumerate(found):
        if name not in MEASURANDS:
            fields.wrong(f"measurands[{index}]", f"there is no measurand {name[:100]}")
    return frozenset(found)


def _labels(request: pb.WatchEventsRequest | pb.WatchMeterValuesRequest, fields: Fields) -> Labels:
    labels = dict(request.labels)
    for each in label_violations(labels, "labels"):
        fields.wrong(each.field, each.description)
    return labels


def _start(request: pb.WatchEventsRequest | pb.WatchMeterValuesRequest, fields: Fields) -> Start:
    if request.WhichOneof("start") == "resume_token":
        return request.resume_token
    start = STARTS.get(request.start_at)
    if start is None:
        fields.wrong("start", "must say where to begin: start_at or resume_token")
        return "now"
    return start

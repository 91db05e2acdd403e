"""Batches of events as the bytes of stream messages: each event serialised once for all watchers, and for watchers
that are given the same batch the whole message once.

A message of protobuf's is the concatenation of its parts: those of a repeated field are appended, wherever they were
serialised. So an event is kept as a response that holds nothing else, and a batch is those, joined.
"""

from collections.abc import Callable, Hashable, Sequence

from google.protobuf.message import Message

from gateway.api.v1 import event_pb2 as pb
from gateway.control.convert.events import event, normalised_event
from gateway.control.convert.samples import meter_samples
from gateway.domain.events import StoredEvent
from gateway.feed import Batch, encode
from gateway.store.api import Generation, generation_at

KEPT_EVENTS, KEPT_BYTES = 2_000, 4 * 1024 * 1024
"""Serialised events that are kept for other watchers: a second's worth at the head. Watchers with different filters are
at most a few batches apart there; who lags further behind has its events serialised anew."""

CAUGHT_UP = pb.WatchEventsResponse(caught_up=True).SerializeToString()
"""Bytes that follow a message of a watch, of either kind, which has given all that there was when it began."""

_WHOLE: Hashable = "events"
_NORMALISED: Hashable = "events, normalised"
"""Among a batch's ``forms`` the messages of WatchEvents, without and with normalised readings. Those of
WatchMeterValues go by their measurands."""


class SerialisedEvents:
    """The last events that were asked for, as responses of one event each. Belongs to one thread."""

    def __init__(
        self,
        max_events: int = KEPT_EVENTS,
        max_bytes: int = KEPT_BYTES,
        convert: Callable[[StoredEvent], pb.Event] = event,
    ) -> None:
        self._convert = convert
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._kept: dict[int, bytes] = {}
        """By sequence, the oldest entry first."""
        self._bytes = 0

    def of(self, stored: StoredEvent) -> bytes:
        """One event."""
        kept = self._kept.get(stored.sequence)
        if kept is None:
            kept = self._kept[stored.sequence] = pb.WatchEventsResponse(
                events=[self._convert(stored)]
            ).SerializeToString()
            self._bytes += len(kept)
            while len(self._kept) > self._max_events or self._bytes > self._max_bytes:
                self._bytes -= len(self._kept.pop(next(iter(self._kept))))
        return kept


class BatchMessages:
    """Batches of one store's events as messages. Belongs to the loop that writes them."""

    def __init__(self, store_id: str, generations: Callable[[], Sequence[Generation]] = tuple) -> None:
        self._store_id = store_id
        self._generations = generations
        self._events = SerialisedEvents()
        self._normalised = SerialisedEvents(convert=normalised_event)

    def normalised_events(self, batch: Batch) -> bytes:
        """A ``WatchEventsResponse`` whose meter values have their normalised readings."""
        made = batch.forms.get(_NORMALISED)
        if made is None:
            token = self._end(pb.WatchEventsResponse, batch)
            made = batch.forms[_NORMALISED] = b"".join([*map(self._normalised.of, batch.events), token])
        return made

    def events(self, batch: Batch) -> bytes:
        """A ``WatchEventsResponse``."""
        made = batch.forms.get(_WHOLE)
        if made is None:
            behind = max(batch.head - batch.position, 0)
            token = pb.WatchEventsResponse(resume_token=self._token(batch), events_behind=behind).SerializeToString()
            made = batch.forms[_WHOLE] = b"".join([*map(self._events.of, batch.events), token])
        return made

    def samples(self, batch: Batch, measurands: frozenset[str]) -> bytes:
        """The samples of a ``WatchMeterValuesResponse``; empty if there are none."""
        made = batch.forms.get(measurands)
        if made is None:
            found = [sample for each in batch.events for sample in meter_samples(each, measurands)]
            made = batch.forms[measurands] = pb.WatchMeterValuesResponse(samples=found).SerializeToString()
        return made

    def samples_token(self, batch: Batch) -> bytes:
        """Bytes after the samples: the place of a ``WatchMeterValuesResponse``."""
        return self._end(pb.WatchMeterValuesResponse, batch)

    def _end(self, kind: Callable[..., Message], batch: Batch) -> bytes:
        """Bytes of a message after what is in it: where it stands."""
        behind = max(batch.head - batch.position, 0)
        return kind(resume_token=self._token(batch), events_behind=behind).SerializeToString()

    def _token(self, batch: Batch) -> bytes:
        return encode(self._store_id, batch.position, generation_at(self._generations(), batch.position))

"""Batches as bytes: what gRPC would have made of the messages, made once."""

import pytest

from gateway.api.v1 import event_pb2 as pb
from gateway.control.convert.batches import BatchMessages, SerialisedEvents
from gateway.control.convert.events import event
from gateway.control.convert.samples import meter_samples
from gateway.domain import events as e
from gateway.domain.codec import encode
from gateway.feed import Batch, tokens
from tests.control.fakes import NOW
from tests.control.test_events import BODIES, METER_VALUE, ONE


def stored(sequence, body, charge_point="CP1"):
    return e.StoredEvent(
        sequence, f"ev_{sequence}", charge_point, 1, body.TYPE, body.VERSION, NOW, NOW, "raw", (), "", encode(body)
    )


EVERY_KIND = tuple(stored(n, body) for n, body in enumerate(BODIES, 1))


@pytest.mark.parametrize("events", [EVERY_KIND, EVERY_KIND[:1], ()], ids=["all kinds", "one", "none"])
def test_a_batch_reads_as_the_message_that_it_stands_for(events):
    """Every kind of event, one event, and a sign of life without any."""
    batch = Batch(events, 4711)
    read = pb.WatchEventsResponse.FromString(BatchMessages("store").events(batch))
    token = tokens.encode("store", 4711)
    assert read == pb.WatchEventsResponse(events=[event(each) for each in events], resume_token=token)


def test_readers_of_the_same_batch_get_the_same_bytes():
    """Not equal ones: they are made once."""
    messages, batch = BatchMessages("store"), Batch(EVERY_KIND, 99)
    assert messages.events(batch) is messages.events(batch)
    none = frozenset[str]()
    assert messages.samples(batch, none) is messages.samples(batch, none)


def test_an_event_in_several_batches_is_serialised_once():
    """Watchers with other filters, or a batch behind, get the same event."""
    serialised = SerialisedEvents()
    first = [serialised.of(each) for each in EVERY_KIND]
    assert all(serialised.of(each) is kept for each, kept in zip(EVERY_KIND, first, strict=True))


def test_what_is_kept_of_events_is_bounded_in_number_and_bytes():
    """The oldest go, and are serialised as before when they are asked for again."""
    large = e.SecurityEventReported("Tamper", "x" * 1000)
    events = [stored(n, large if n % 2 else e.ChargePointDeleted()) for n in range(1, 101)]
    for limits in ({"max_events": 7}, {"max_bytes": 5000}):
        serialised = SerialisedEvents(**limits)
        first = [serialised.of(each) for each in events]
        assert len(serialised._kept) <= 9
        assert sum(map(len, serialised._kept.values())) == serialised._bytes <= 5000 + 4000 * ("max_events" in limits)
        assert [serialised.of(each) for each in events] == first


def test_an_event_larger_than_all_that_is_kept_is_delivered_all_the_same():
    """And not kept."""
    serialised = SerialisedEvents(max_bytes=100)
    made = serialised.of(stored(1, e.SecurityEventReported("Tamper", "x" * 1000)))
    assert pb.WatchEventsResponse.FromString(made).events[0].security_event_reported.tech_info == "x" * 1000
    assert not serialised._kept
    assert not serialised._bytes


def test_samples_are_shown_by_their_measurands():
    """One batch, watched for different ones."""
    batch = Batch((stored(1, e.MeterValuesReported(ONE, METER_VALUE)), stored(2, e.ChargePointDeleted())), 2)
    messages = BatchMessages("store")
    for wanted in (frozenset(), frozenset({"Voltage"}), frozenset({"Frequency"})):
        read = pb.WatchMeterValuesResponse.FromString(messages.samples(batch, wanted) + messages.samples_token(batch))
        assert list(read.samples) == [sample for each in batch.events for sample in meter_samples(each, wanted)]
        assert read.resume_token == tokens.encode("store", 2)
    assert messages.samples(batch, frozenset({"Frequency"})) == b""

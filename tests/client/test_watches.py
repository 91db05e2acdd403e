"""Watches: at least once, from the token on disk, over breaks; and what ends them."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trio

from gateway.client import FileTokenStore, Gateway, GatewayError, MemoryTokenStore, v1
from gateway.client.aio import AsyncGateway
from gateway.client.trio_gateway import TrioGateway
from tests.client.fakes import Client, FakeGateway, failing, in_turn

FROM_THE_BEGINNING = v1.WatchEventsRequest(start_at=v1.WATCH_START_BEGINNING)


def batches(first: int, last: int) -> Any:
    """A behaviour that gives numbered batches, and then waits until the call ends."""

    def give(request: v1.WatchEventsRequest, context: grpc.ServicerContext) -> Iterator[v1.WatchEventsResponse]:
        over = threading.Event()
        context.add_callback(over.set)
        for number in range(first, last + 1):
            event = v1.Event(event_id=str(number))
            yield v1.WatchEventsResponse(events=[event], resume_token=f"t{number}".encode())
        over.wait(20)

    return give


def then(given: Any, failure: Any) -> Any:
    """A behaviour that ends with a failure where the other one would wait."""

    def give(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        yield from given
        failure(request, context)

    return give


def batch(number: int) -> v1.WatchEventsResponse:
    """One numbered batch."""
    return v1.WatchEventsResponse(events=[v1.Event(event_id=str(number))], resume_token=f"t{number}".encode())


def numbers(got: list[v1.WatchEventsResponse]) -> list[int]:
    """The numbers of batches."""
    return [int(each.events[0].event_id) for each in got]


def test_a_token_is_saved_when_the_next_batch_is_asked_for(client: Client, fake: FakeGateway) -> None:
    """The last batch that was given comes again: it may not have been dealt with."""
    fake.behaviour["WatchEvents"] = batches(1, 3)
    tokens = MemoryTokenStore()
    got = client.watch(fake.target, "watch_events", FROM_THE_BEGINNING, 3, tokens)
    assert numbers(got) == [1, 2, 3]
    # The blocking client's loop asked for a fourth only if it went on; none of the three did.
    assert tokens.token == b"t2"


def test_the_next_run_begins_at_the_saved_token(client: Client, fake: FakeGateway, tmp_path: Path) -> None:
    """And the request as given is left alone."""
    fake.behaviour["WatchEvents"] = batches(1, 3)
    path = tmp_path / "events.token"
    client.watch(fake.target, "watch_events", FROM_THE_BEGINNING, 3, FileTokenStore(path))
    client.watch(fake.target, "watch_events", FROM_THE_BEGINNING, 1, FileTokenStore(path))
    first, second = fake.requests("WatchEvents")
    assert (first.WhichOneof("start"), second.resume_token) == ("start_at", b"t2")
    assert FROM_THE_BEGINNING.WhichOneof("start") == "start_at"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.UNAVAILABLE, ""),
        (grpc.StatusCode.UNAVAILABLE, "DRAINING"),
        (grpc.StatusCode.INTERNAL, "INTERNAL"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS"),
    ],
)
def test_a_watch_goes_on_after_a_break(client: Client, fake: FakeGateway, code: grpc.StatusCode, reason: str) -> None:
    """After the batch that was dealt with, and says what broke it."""
    fake.behaviour["WatchEvents"] = in_turn(then([batch(1), batch(2)], failing(code, reason)), batches(3, 4))
    broken: list[str] = []
    got = client.watch(
        fake.target, "watch_events", FROM_THE_BEGINNING, 4, None, lambda error, _: broken.append(error.status.name)
    )
    assert numbers(got) == [1, 2, 3, 4]
    assert broken == [code.name]
    assert fake.requests("WatchEvents")[1].resume_token == b"t2"


def test_a_watch_that_the_gateway_ended_goes_on(client: Client, fake: FakeGateway) -> None:
    """Without an error, too, after a pause."""
    fake.behaviour["WatchEvents"] = in_turn(lambda *_: iter([batch(1)]), batches(2, 2))
    assert numbers(client.watch(fake.target, "watch_events", FROM_THE_BEGINNING, 2)) == [1, 2]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.OUT_OF_RANGE, "BELOW_RETENTION"),
        (grpc.StatusCode.OUT_OF_RANGE, "BEYOND_HEAD"),
        (grpc.StatusCode.INVALID_ARGUMENT, "BAD_RESUME_TOKEN"),
        (grpc.StatusCode.UNAUTHENTICATED, "CALLER_REVOKED"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ""),
    ],
)
def test_a_watch_that_cannot_go_on_raises(
    client: Client, fake: FakeGateway, code: grpc.StatusCode, reason: str
) -> None:
    """Beginning it anew would end the same way; the caller reads a snapshot first."""
    fake.behaviour["WatchEvents"] = failing(code, reason)
    with pytest.raises(GatewayError) as caught:
        client.watch(fake.target, "watch_events", FROM_THE_BEGINNING, 1)
    assert caught.value.reason == reason
    assert len(fake.calls) == 1


def test_meter_values_are_watched_likewise(client: Client, fake: FakeGateway) -> None:
    """With a request of their own."""
    fake.behaviour["WatchMeterValues"] = lambda *_: iter([v1.WatchMeterValuesResponse(resume_token=b"m")])
    request = v1.WatchMeterValuesRequest(start_at=v1.WATCH_START_NOW)
    assert client.watch(fake.target, "watch_meter_values", request, 1)[0].resume_token == b"m"


def test_a_batch_can_be_acknowledged_without_asking_for_another(fake: FakeGateway) -> None:
    """The program may end after it; twice saves once."""
    fake.behaviour["WatchEvents"] = batches(1, 1)
    tokens = MemoryTokenStore()

    async def in_asyncio() -> None:
        async with AsyncGateway(fake.target) as gateway:
            watch = gateway.watch_events(FROM_THE_BEGINNING, tokens)
            await anext(watch)
            await watch.acknowledge()

    async def in_trio() -> None:
        async with TrioGateway(fake.target) as gateway:
            watch = gateway.watch_events(FROM_THE_BEGINNING, tokens)
            await anext(watch)
            await watch.acknowledge()

    with Gateway(fake.target) as gateway, gateway.watch_events(FROM_THE_BEGINNING, tokens) as watch:
        next(watch)
        assert tokens.load() is None
        watch.acknowledge()
        watch.acknowledge()
        assert tokens.load() == b"t1"
    tokens.token = None
    asyncio.run(in_asyncio())
    assert tokens.load() == b"t1"
    tokens.token = None
    trio.run(in_trio)
    assert tokens.load() == b"t1"


def test_another_thread_ends_a_watch_that_waits(fake: FakeGateway) -> None:
    """The loop over it ends, without an error; and one that is closed stays so."""
    fake.behaviour["WatchEvents"] = batches(1, 1)
    with Gateway(fake.target) as gateway:
        watch = gateway.watch_events(FROM_THE_BEGINNING)
        next(watch)
        closer = threading.Timer(0.02, watch.close)
        closer.start()
        assert list(watch) == []
        closer.join()
        assert list(watch) == []


def ended(seen: threading.Event) -> Any:
    """A behaviour that gives nothing, and notes the end of the call."""

    def give(_: Any, context: grpc.ServicerContext) -> Iterator[v1.WatchEventsResponse]:
        context.add_callback(seen.set)
        yield batch(1)
        seen.wait(20)

    return give


def test_cancelling_a_task_of_asyncio_ends_its_watch(fake: FakeGateway) -> None:
    """At the gateway, too."""
    seen = threading.Event()
    fake.behaviour["WatchEvents"] = ended(seen)

    async def run() -> None:
        async with AsyncGateway(fake.target) as gateway:
            watch = gateway.watch_events(FROM_THE_BEGINNING)
            await anext(watch)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(watch), 0.02)
            assert await asyncio.to_thread(seen.wait, 10)

    asyncio.run(run())


def test_cancelling_a_task_of_trio_ends_its_watch_and_its_call(fake: FakeGateway) -> None:
    """At the gateway, too; the worker thread of the stream is let go of."""
    seen, called = threading.Event(), threading.Event()
    fake.behaviour["WatchEvents"] = ended(seen)

    def hang(_: Any, context: grpc.ServicerContext) -> v1.ResetResponse:
        context.add_callback(called.set)
        called.wait(20)
        return v1.ResetResponse()

    fake.behaviour["Reset"] = hang

    async def run() -> None:
        async with TrioGateway(fake.target) as gateway:
            watch = gateway.watch_events(FROM_THE_BEGINNING)
            await anext(watch)
            with trio.move_on_after(0.02):
                await anext(watch)
            assert await trio.to_thread.run_sync(seen.wait, 10)
            with trio.move_on_after(0.02):
                await gateway.commands.reset(v1.ResetRequest(charge_point="CP1"))
            assert await trio.to_thread.run_sync(called.wait, 10)

    trio.run(run)

"""Many watchers at once: each sees every event, each charge point's in order, and a slow one harms no other."""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import trio

from gateway.api.v1 import event_pb2 as events
from tests.endtoend.asking import failure, in_thread
from tests.endtoend.charger import Charger, chargers
from tests.endtoend.gateway_process import RPC_SECONDS, Gateway
from tests.endtoend.watching import NOW, Watcher
from tests.endtoend.wire import PATIENCE

CHARGERS, EACH, WATCHERS = 20, 50, 10
VENDOR_DATA = "vendor_data.received"

MEGABYTE = 1_000_000


def serials(seen: list[events.Event]) -> dict[str, list[int]]:
    """By charge point, the serial numbers in the vendor data, as they came."""
    found = defaultdict(list)
    for event in seen:
        if event.type == VENDOR_DATA:
            found[event.charge_point].append(int(json.loads(event.vendor_data_received.data_json).partition(" ")[0]))
    return dict(found)


async def send_all(charger: Charger, how_many: int, padding: str = "") -> None:
    """Send so many CALLs without waiting for any confirmation, then wait for all of them (A5.4)."""
    for serial in range(how_many):
        payload = {"vendorId": "Test", "data": f"{serial} {padding}"}
        await charger.wire.send(json.dumps([2, f"d{serial}", "DataTransfer", payload]))
    confirmed = await charger.call("Heartbeat", {})
    assert "currentTime" in confirmed


async def provision(gateway: Gateway, how_many: int) -> tuple[list[str], list[bytes]]:
    identities = [f"CP{n:02}" for n in range(how_many)]
    return identities, [await in_thread(gateway.add_with_new_key, each) for each in identities]


async def test_a_thousand_events_at_once_reach_ten_watchers_in_order(gateway: Gateway) -> None:
    """From the beginning, from now, and by filter: none missing, none twice, each charge point's in its order."""
    identities, keys = await provision(gateway, CHARGERS)
    everything = {identity: list(range(EACH)) for identity in identities}
    async with chargers(gateway, *identities, keys=keys) as connected:
        with ExitStack() as stack:
            watchers = [
                stack.enter_context(
                    Watcher(gateway, start=NOW, types=[VENDOR_DATA]) if n % 2 else Watcher(gateway, charge_points=())
                )
                for n in range(WATCHERS)
            ]
            async with trio.open_nursery() as nursery:
                for charger in connected:
                    nursery.start_soon(send_all, charger, EACH)
            for watcher in watchers:
                await in_thread(watcher.wait_for, "all", lambda seen: sum(map(len, serials(seen).values())) >= 1000)
    for watcher in watchers:
        assert serials(watcher.events) == everything
        assert len({event.event_id for event in watcher.events}) == len(watcher.events)


async def test_watchers_that_stop_reading_harm_no_other_and_miss_nothing(gateway: Gateway) -> None:
    """Others have everything at once; the gateway holds no more for the lazy ones than flow control lets it; and when
    they read again, it is all there."""
    size, each, lazy_ones = 20_000, 60, 8
    identities, keys = await provision(gateway, CHARGERS)
    everything = {identity: list(range(each)) for identity in identities}
    request = events.WatchEventsRequest(start_at=events.WATCH_START_NOW, types=[VENDOR_DATA])
    async with chargers(gateway, *identities, keys=keys) as connected:
        lazy: list[Any] = [gateway.events.WatchEvents(request, timeout=60) for _ in range(lazy_ones)]
        for stream in lazy:
            await in_thread(next, stream)  # the watch has begun
        before = gateway.rss()
        with Watcher(gateway, start=NOW, types=[VENDOR_DATA]) as busy:
            async with trio.open_nursery() as nursery:
                for charger in connected:
                    nursery.start_soon(send_all, charger, each, "x" * size)
            await in_thread(busy.wait_for, "all", lambda seen: len(seen) >= CHARGERS * each)
        grown = gateway.rss() - before
        assert serials(busy.events) == everything
        # What went by is 24 MB for each watcher. Held for all lazy ones, it would be some 190 MB.
        assert grown < 100 * MEGABYTE, f"{grown / MEGABYTE:.0f} MB more"

        for stream in lazy:
            seen: list[events.Event] = []
            with trio.fail_after(PATIENCE):
                while len(seen) < CHARGERS * each:
                    seen.extend((await in_thread(next, stream)).events)
            assert serials(seen) == everything
            stream.cancel()


async def test_a_resumed_watch_goes_on_after_its_token_also_with_another_filter(gateway: Gateway) -> None:
    """Exactly what came after the batch that the token came with."""
    identities, keys = await provision(gateway, 2)
    async with chargers(gateway, *identities, keys=keys) as connected:
        for charger in connected:
            await send_all(charger, 3)
        stream: Any = gateway.events.WatchEvents(
            events.WatchEventsRequest(start_at=events.WATCH_START_BEGINNING), timeout=RPC_SECONDS
        )
        batch = await in_thread(first_with_events, stream)
        stream.cancel()
        for charger in connected:
            await send_all(charger, 2)
    history = gateway.history()
    [position] = [n for n, event in enumerate(history) if event.event_id == batch.events[-1].event_id]
    expected = [event for event in history[position + 1 :] if event.charge_point == "CP01"]
    resumed: Any = gateway.events.WatchEvents(
        events.WatchEventsRequest(resume_token=batch.resume_token, charge_points=["CP01"]), timeout=RPC_SECONDS
    )
    seen: list[events.Event] = []
    while len(seen) < len(expected):
        seen.extend(next(resumed).events)
    resumed.cancel()
    assert seen == expected


def first_with_events(stream: Iterator[events.WatchEventsResponse]) -> events.WatchEventsResponse:
    return next(batch for batch in stream if batch.events)


def test_a_watch_that_does_not_say_where_to_begin_or_says_nonsense_is_refused(gateway: Gateway) -> None:
    """With the field's name, not with a stream that never says anything."""

    def watch(**fields: Any) -> events.WatchEventsResponse:
        stream: Any = gateway.events.WatchEvents(events.WatchEventsRequest(**fields), timeout=RPC_SECONDS)
        first: events.WatchEventsResponse = next(stream)
        return first

    nonsense: list[dict[str, Any]] = [
        {},
        {"resume_token": b"nonsense"},
        {"start_at": events.WATCH_START_UNSPECIFIED},
    ]
    for fields in nonsense:
        status, _, _ = failure(lambda fields=fields: watch(**fields))
        assert status == grpc.StatusCode.INVALID_ARGUMENT

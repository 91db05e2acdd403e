"""Events of the gateway onto a bus: NATS JetStream and a webhook, each at least once, known by the event's id.

    python bus.py bus.token nats://127.0.0.1:4222 http://127.0.0.1:8080/events

The token is saved when a batch is with both. A kill sends the batch again under the same ids: JetStream drops what it
has (Nats-Msg-Id), and the webhook's receiver does the same by the Idempotency-Key.
"""

import asyncio
import json
import sys
import urllib.error
import urllib.request

import nats
from charge import address
from gateway_client import FileTokenStore, to_dict, v1
from gateway_client.aio import AsyncGateway
from nats.js import JetStreamContext

STREAM, SUBJECTS = "charging", "charging.>"

PAUSE_SECONDS = 0.5
"""Before what could not be delivered is tried again."""


# [bus]
async def publish(bus: JetStreamContext, event: v1.Event) -> None:
    """Put an event on the bus; returns when the bus has it on disk, and tries until then."""
    payload = json.dumps(to_dict(event)).encode()
    subject = f"charging.{event.type}"
    while True:
        try:
            await bus.publish(subject, payload, headers={"Nats-Msg-Id": event.event_id})
        except (nats.errors.Error, OSError) as error:
            print(f"the bus: {error}", file=sys.stderr)
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return


async def post(url: str, event: v1.Event) -> None:
    """Deliver an event to a webhook; returns when it was taken, and tries until then."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": event.event_id}
    request = urllib.request.Request(url, json.dumps(to_dict(event)).encode(), headers)
    while True:
        try:
            await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=10).close())
        except (urllib.error.URLError, OSError) as error:
            print(f"the webhook: {error}", file=sys.stderr)
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return


async def export(token: str, bus_url: str, webhook: str) -> None:
    """Follow the gateway's events for ever."""
    connection = await nats.connect(bus_url, max_reconnect_attempts=-1)
    bus = connection.jetstream()
    await bus.add_stream(name=STREAM, subjects=[SUBJECTS])
    request = v1.WatchEventsRequest(start_at=v1.WATCH_START_BEGINNING)
    async with AsyncGateway(*address()) as gateway, gateway.watch_events(request, FileTokenStore(token)) as batches:
        async for batch in batches:
            for event in batch.events:  # one after the other: order is promised for each charge point
                await publish(bus, event)
                await post(webhook, event)


# [bus]


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    asyncio.run(export(*sys.argv[1:4]))

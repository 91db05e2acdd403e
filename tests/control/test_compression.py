"""Responses are compressed for a client that asks for it, and for no other."""

from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from gateway.api.v1 import charge_point_pb2 as points
from gateway.api.v1 import event_pb2
from gateway.client import GatewayClient
from gateway.control.services.rpc import COMPRESSION_KEY
from gateway.store.commits import CreateChargePoint
from tests.control.fakes import NOW


@asynccontextmanager
async def counting(port):
    """A relay to a port; yields its own port, and a function that returns how many bytes came back."""
    received = 0

    async def forward(source, sink, counted):
        nonlocal received
        async for data in source:
            received += len(data) if counted else 0
            await sink.send_all(data)

    async def relayed(stream):
        async with await trio.open_tcp_stream("127.0.0.1", port) as behind, trio.open_nursery() as nursery:
            nursery.start_soon(forward, behind, stream, True)
            await forward(stream, behind, False)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, relayed, 0, host="127.0.0.1"))
        yield listeners[0].socket.getsockname()[1], lambda: received
        nursery.cancel_scope.cancel()


def lists(client, metadata):
    request = points.ListChargePointsRequest(page_size=1000)
    return len(client.charge_points.ListChargePoints(request, metadata=metadata, timeout=60).charge_points)


def watches(client, metadata):
    request = event_pb2.WatchEventsRequest(start_at=event_pb2.WATCH_START_BEGINNING)
    seen = 0
    for batch in client.events.WatchEvents(request, metadata=metadata, timeout=60):
        seen += len(batch.events)
        if batch.caught_up:
            return seen
    return None


@pytest.mark.parametrize("read", [lists, watches])
async def test_a_client_that_asks_for_it_gets_less_bytes(gateway, read):
    """The same answer in a third of them; without asking, or for another way, as it is."""
    for number in range(200):
        identity = f"CP{number:04}"
        new = CreateChargePoint(identity, "Accepted", (), NOW, description="a description " * 10)
        await gateway.journal.commit(new)

    async def size(*metadata):
        async with counting(gateway.port) as (port, received):

            def call():
                with GatewayClient(f"127.0.0.1:{port}") as client:
                    return read(client, metadata)

            assert await trio.to_thread.run_sync(call) == 200
            return received()

    plain = await size()
    assert await size((COMPRESSION_KEY, "gzip")) < plain / 3
    assert await size((COMPRESSION_KEY, "br")) > plain / 2

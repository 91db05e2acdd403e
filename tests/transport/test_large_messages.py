"""Large messages are taken in one at a time over all connections; who holds the others up, loses the place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.transport.api import ConnectionClosed
from gateway.transport.connection import Connection
from gateway.transport.large_messages import LARGE_BYTES, LargeMessagePlace
from gateway.transport.limits import Limits
from tests.support.frames import CONT, PING, TEXT, frame
from tests.transport.ends import RawClient, open_raw

LIMITS = Limits(message_seconds=60)
BIG = 3 * LARGE_BYTES


@asynccontextmanager
async def sharing(count: int) -> AsyncIterator[tuple[LargeMessagePlace, list[tuple[Connection, RawClient]]]]:
    """So many connections of one gateway."""
    place = LargeMessagePlace(LIMITS.message_seconds)
    async with open_raw(LIMITS, large=place) as first:
        if count == 1:
            yield place, [first]
            return
        async with open_raw(LIMITS, large=place) as second, open_raw(LIMITS, large=place) as third:
            yield place, [first, second, third]


async def receive(connection: Connection, sizes: list[int | ConnectionClosed]) -> None:
    try:
        sizes.append(len(await connection.receive()))
    except ConnectionClosed as closed:
        sizes.append(closed)


@pytest.mark.parametrize("fragmented", [False, True], ids=["one-frame", "fragments"])
async def test_a_second_large_message_is_not_read_until_the_first_is_done_with(
    autojump_clock: MockClock, fragmented: bool
) -> None:
    """Done with: its reader asks for more. The bytes that are held of the others stay below a megabyte and a read."""
    piece = LARGE_BYTES // 2
    pieces = [frame(TEXT, b"x" * piece, fin=False), *(frame(CONT, b"x" * piece, fin=False) for _ in range(4))]
    data = b"".join(pieces) + frame(CONT, b"x" * piece) if fragmented else frame(TEXT, b"x" * BIG)
    async with sharing(3) as (place, [first, second, third]), trio.open_nursery() as nursery:
        got: dict[int, list[int | ConnectionClosed]] = {1: [], 2: [], 3: []}
        for n, (connection, client) in enumerate((first, second, third), 1):
            nursery.start_soon(client.send, data)
            nursery.start_soon(receive, connection, got[n])
            await trio.testing.wait_all_tasks_blocked()
        assert got == {1: [BIG], 2: [], 3: []}
        assert place.held_by(first[0]._large)
        assert place.waiting == 2
        await trio.sleep(30)
        assert got == {1: [BIG], 2: [], 3: []}
        nursery.start_soon(receive, first[0], got[1])
        await trio.testing.wait_all_tasks_blocked()
        assert got == {1: [BIG], 2: [BIG], 3: []}
        await second[0].aclose()  # done with it, too
        await trio.testing.wait_all_tasks_blocked()
        assert got == {1: [BIG], 2: [BIG], 3: [BIG]}
        nursery.cancel_scope.cancel()


async def test_messages_up_to_a_megabyte_need_no_place(autojump_clock: MockClock) -> None:
    """They are read beside a large one that never ends."""
    async with sharing(3) as (place, [first, second, _]), trio.open_nursery() as nursery:
        nursery.start_soon(first[1].send, frame(TEXT, b"x" * BIG)[:100_000])
        nursery.start_soon(receive, first[0], [])
        await trio.testing.wait_all_tasks_blocked()
        assert place.held_by(first[0]._large)
        nursery.start_soon(second[1].send, frame(TEXT, b"x" * LARGE_BYTES))
        assert len(await second[0].receive()) == LARGE_BYTES
        nursery.cancel_scope.cancel()


async def test_a_large_message_that_stalls_while_others_wait_is_given_up(autojump_clock: MockClock) -> None:
    """With 1008, once it has had its time; the next one in line has its own. Without others it may take longer."""
    async with sharing(3) as (place, [first, second, third]), trio.open_nursery() as nursery:
        got: dict[int, list[int | ConnectionClosed]] = {1: [], 2: [], 3: []}
        nursery.start_soon(first[1].send, frame(TEXT, b"x" * BIG)[:-1])
        nursery.start_soon(receive, first[0], got[1])
        await trio.sleep(LIMITS.message_seconds * 2)
        assert got[1] == []
        nursery.start_soon(second[1].send, frame(TEXT, b"x" * BIG)[:-1])
        nursery.start_soon(receive, second[0], got[2])
        await trio.testing.wait_all_tasks_blocked()  # in line before the third
        nursery.start_soon(third[1].send, frame(TEXT, b"x" * BIG))
        nursery.start_soon(receive, third[0], got[3])
        await trio.sleep(LIMITS.message_seconds / 2)
        [closed] = got[1]
        assert isinstance(closed, ConnectionClosed)
        assert (closed.code, closed.reason, closed.initiator) == (1008, "message too slow", "local")
        assert (got[2], got[3]) == ([], [])
        await trio.sleep(LIMITS.message_seconds)
        assert isinstance(got[2][0], ConnectionClosed)
        assert got[3] == [BIG]
        assert place.waiting == 0
        nursery.cancel_scope.cancel()


async def test_a_large_message_has_the_time_of_its_size(autojump_clock: MockClock) -> None:
    """Three megabytes three times that of one, and it is no silence meanwhile; then it is too slow."""
    data = frame(TEXT, b"x" * BIG)
    async with sharing(1) as (_, [(connection, client)]), trio.open_nursery() as nursery:
        got: list[int | ConnectionClosed] = []
        nursery.start_soon(receive, connection, got)
        for at in range(0, len(data), len(data) // 8 + 1):
            nursery.start_soon(client.send, data[at : at + len(data) // 8 + 1])
            await trio.testing.wait_all_tasks_blocked()
            assert trio.current_time() - connection.last_heard < 1
            await trio.sleep(2.9 * LIMITS.message_seconds / 8)
        assert got == [BIG]
        nursery.start_soon(receive, connection, got)
        for at in range(0, 40_000, 1000):
            nursery.start_soon(client.send, data[at : at + 1000])
            await trio.sleep(2.9 * LIMITS.message_seconds / 8)
            if len(got) > 1:
                break
        closed = got[1]
        assert isinstance(closed, ConnectionClosed)
        assert (closed.code, closed.reason) == (1008, "message too slow")
        nursery.cancel_scope.cancel()


async def test_who_waits_for_the_place_is_not_silent_and_can_be_closed(autojump_clock: MockClock) -> None:
    """Its close needs no place, and its wait ends with it."""
    async with sharing(3) as (place, [first, second, third]), trio.open_nursery() as nursery:
        got: list[int | ConnectionClosed] = []
        nursery.start_soon(first[1].send, frame(TEXT, b"x" * BIG))
        await first[0].receive()
        nursery.start_soon(second[1].send, frame(TEXT, b"x" * BIG))
        nursery.start_soon(receive, second[0], got)
        await trio.sleep(500)
        assert place.waiting == 1
        assert second[0].last_heard == trio.current_time()
        await second[0].aclose(1001, "draining")
        await trio.testing.wait_all_tasks_blocked()
        assert isinstance(got[0], ConnectionClosed)
        assert got[0].code == 1001
        assert place.waiting == 0
        with trio.CancelScope() as scope:  # a session that is cancelled while it waits
            nursery.start_soon(third[1].send, frame(TEXT, b"x" * BIG))
            nursery.start_soon(cancel_soon, scope)
            await third[0].receive()
        assert scope.cancelled_caught
        assert place.waiting == 0
        assert place.held_by(first[0]._large)
        await first[0].aclose()
        assert not place.held_by(first[0]._large)
        nursery.cancel_scope.cancel()


async def cancel_soon(scope: trio.CancelScope) -> None:
    await trio.sleep(1)
    scope.cancel()


@pytest.mark.parametrize("beyond", [1000, 5], ids=["announced", "in-fragments"])
async def test_what_is_beyond_the_limit_is_reported_with_its_size(autojump_clock: MockClock, beyond: int) -> None:
    """1009, as soon as it is announced, and before it is read."""
    limit = Limits().max_message_bytes
    async with open_raw(Limits()) as (connection, client), trio.open_nursery() as nursery:
        nursery.start_soon(drain, client)
        if beyond == 1000:
            await client.send(frame(TEXT, b"x" * (limit + beyond))[:14])
        else:
            nursery.start_soon(client.send, frame(TEXT, b"x" * limit, fin=False) + frame(CONT, b"x" * beyond))
        with pytest.raises(ConnectionClosed) as caught:
            await connection.receive()
        assert (caught.value.code, caught.value.initiator) == (1009, "local")
        assert caught.value.too_large == limit + beyond
        await connection.aclose()
        nursery.cancel_scope.cancel()


async def drain(client: RawClient) -> None:
    await client.read_all()


async def test_a_ping_before_a_large_message_is_answered(autojump_clock: MockClock) -> None:
    """While the message waits for its place: what came before it is done."""
    async with sharing(3) as (_, [first, second, _third]), trio.open_nursery() as nursery:
        nursery.start_soon(first[1].send, frame(TEXT, b"x" * BIG))
        await first[0].receive()
        nursery.start_soon(second[1].send, frame(PING, b"here?") + frame(TEXT, b"x" * BIG))
        nursery.start_soon(receive, second[0], [])
        assert await second[1].read_until(b"here?") == b"\x8a\x05here?"
        nursery.cancel_scope.cancel()

"""Rate limit of a peer: it is read more slowly than it sends, if it sends too fast. Nothing is lost."""

from __future__ import annotations

import struct

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.transport.api import ConnectionClosed
from gateway.transport.limits import Limits
from tests.support.frames import CONT, PING, PONG, TEXT, frame
from tests.transport.ends import RawClient, open_raw

LIMITS = Limits(messages_per_second=10, message_burst=5, frames_per_second=20, frame_burst=40, message_seconds=60)


async def test_a_burst_is_given_out_at_once_and_the_rest_at_the_rate(autojump_clock: MockClock) -> None:
    """All of it, in order."""
    async with open_raw(LIMITS) as (connection, client):
        await client.send(b"".join(frame(TEXT, b"%d" % n) for n in range(25)))
        start = trio.current_time()
        for n in range(25):
            assert await connection.receive() == b"%d" % n
            # The sixth message has spent more than the burst: what comes after it waits.
            assert trio.current_time() - start == pytest.approx(max(0, n - 5) / 10, abs=0.01)
        await connection.aclose()


async def test_a_large_message_counts_as_many(autojump_clock: MockClock) -> None:
    """4 kB of it as one: forty kilobytes hold up the next for most of a second."""
    async with open_raw(LIMITS) as (connection, client):
        await client.send(frame(TEXT, b"x" * 40_000) + frame(TEXT, b"next"))
        start = trio.current_time()
        await connection.receive()
        assert trio.current_time() == start
        await connection.receive()
        assert trio.current_time() - start == pytest.approx((1 + 9 - 5) / 10, abs=0.01)
        await connection.aclose()


async def test_waiting_is_no_silence(autojump_clock: MockClock) -> None:
    """Messages that wait for us to listen are heard."""
    async with open_raw(LIMITS) as (connection, client):
        await client.send(frame(TEXT, b"x") * 20)
        for _ in range(15):
            await connection.receive()
        await trio.sleep(100)
        assert connection.last_heard == trio.current_time()
        for _ in range(5):
            await connection.receive()
        heard = connection.last_heard
        await trio.sleep(100)
        assert connection.last_heard == heard < trio.current_time()
        await connection.aclose()


async def test_cancelling_while_the_peer_waits_loses_nothing_and_costs_it_nothing_more(
    autojump_clock: MockClock,
) -> None:
    """As often as it happens."""
    async with open_raw(LIMITS) as (connection, client):
        await client.send(b"".join(frame(TEXT, b"%d" % n) for n in range(12)))
        start = trio.current_time()
        got: list[bytes] = []
        while len(got) < 12:
            with trio.move_on_after(0.03):
                got.append(await connection.receive())
        assert got == [b"%d" % n for n in range(12)]
        assert trio.current_time() - start == pytest.approx(0.6, abs=0.05)
        await connection.aclose()


async def test_a_close_from_another_task_ends_the_waiting(autojump_clock: MockClock) -> None:
    """At once: a peer that is being closed is not read any longer."""
    async with open_raw(Limits(messages_per_second=0.01, message_burst=1, close_seconds=0.5)) as (connection, client):
        await client.send(frame(TEXT, b"x") * 5)
        await connection.receive()
        await connection.receive()
        ended: list[float] = []

        async def receive() -> None:
            with pytest.raises(ConnectionClosed):
                await connection.receive()
            ended.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await trio.sleep(1)
            await connection.aclose(1001)
        assert ended[0] - trio.current_time() < 1


@pytest.mark.parametrize("data", [frame(PING, b"p"), frame(PONG), frame(TEXT, fin=False) + frame(CONT, b"x")])
async def test_frames_that_are_no_messages_are_read_at_their_rate(autojump_clock: MockClock, data: bytes) -> None:
    """Pings, pongs and fragments: what one read brings is taken in, and the next read waits until that is paid."""
    limits = Limits(frames_per_second=20, frame_burst=40, message_burst=100_000)
    async with open_raw(limits) as (connection, client):
        slowed: list[str] = []
        connection._rate_limit._slowed = slowed.append
        start, times = trio.current_time(), 40_000 // len(data)  # three reads
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, data * times + frame(TEXT, b"end"))
            nursery.start_soon(_drain, client)
            with trio.fail_after(3600):
                while (await connection.receive()) != b"end":
                    pass
            nursery.cancel_scope.cancel()
        assert set(slowed) == {"frames"}
        assert trio.current_time() - start >= times / 3 / 20  # what the last read brought is not waited for
        await connection.aclose()


async def _drain(client: RawClient) -> None:
    while await client.tls.receive_some():
        pass


async def test_a_message_whose_fragments_trickle_in_is_closed_with_1008(autojump_clock: MockClock) -> None:
    """Answering pings meanwhile doesn't help; a message that ends in time starts the next one's."""
    async with open_raw(LIMITS) as (connection, client):

        async def trickle() -> None:
            for size in (50, 1000):
                await client.send(frame(TEXT, b"[", fin=False))
                for _ in range(size):
                    await trio.sleep(1)
                    await client.send(frame(CONT, b" ", fin=False) + frame(PONG))
                await client.send(frame(CONT, b"]"))

        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trickle)
            assert await connection.receive() == b"[" + b" " * 50 + b"]"
            with pytest.raises(ConnectionClosed) as caught:
                await connection.receive()
            nursery.cancel_scope.cancel()
        assert (caught.value.code, caught.value.initiator) == (1008, "local")
        assert trio.current_time() - start == pytest.approx(50 + 61, abs=1.5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.aclose)
            answer = await client.read_all()
        assert struct.pack("!H", 1008) + b"message too slow" in answer

"""Looking at sockets: at once where little comes, together where much does, and never in a command's way."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.transport.epoll import (
    BUSY_PER_SECOND,
    COMPANY,
    COMPANY_PER_SECOND,
    ENDED_AT_ONCE,
    EVENTS_AT_ONCE,
    LOOK_SECONDS,
    MEASURED_SECONDS,
    Epoll,
    Looks,
)
from gateway.transport.socket_stream import SocketStream
from tests.support.frames import head
from tests.support.passes import Passes
from tests.transport.ends import RawClient, ping, serve_upgrade, server_end

EARLY = 0.01
"""Seconds before the end of a second that is measured."""


def found(*sockets: int) -> list[tuple[int, int]]:
    return [(fd, 1) for fd in sockets]


def crowded(looks: Looks, begin: float = 0.0, per_second: float = 2 * COMPANY_PER_SECOND) -> float:
    """Have messages of two chargers come at that rate until it is known; the time then."""
    step, now = 1 / per_second, begin
    for number in range(int(MEASURED_SECONDS * per_second) + 2):
        now = begin + number * step
        looks.next_look(now, found(number % 2))
    return now


def test_what_comes_seldom_waits_for_nothing() -> None:
    """Just below the rate at which any would come meanwhile."""
    looks = Looks(0.0)
    now = crowded(looks, per_second=0.95 * COMPANY_PER_SECOND)
    assert looks.next_look(now + 0.001, found(1)) == 0.0


def test_what_comes_often_is_looked_at_together() -> None:
    """So long after the look before, however many it found; a look that finds nothing waits for what comes."""
    looks = Looks(0.0)
    now = crowded(looks) + 0.001
    assert looks.next_look(now, found(1)) == now + LOOK_SECONDS
    assert looks.next_look(now, found(*range(EVENTS_AT_ONCE - 1))) == now + LOOK_SECONDS
    assert looks.next_look(now, []) == 0.0


def test_no_more_company_is_waited_for_than_pays() -> None:
    """Looks come as close together as messages do: the loop is held up for a few of them at a time."""
    looks = Looks(0.0)
    now = crowded(looks, per_second=0.9 * BUSY_PER_SECOND) + 0.0001
    due = looks.next_look(now, found(1))
    assert due == pytest.approx(now + COMPANY / (0.9 * BUSY_PER_SECOND), abs=LOOK_SECONDS / 40)
    assert due < now + LOOK_SECONDS


def test_under_full_load_nothing_waits() -> None:
    """There is company by then, and commands come between."""
    looks = Looks(0.0)
    now = crowded(looks, per_second=1.1 * BUSY_PER_SECOND) + 0.0001
    assert looks.next_look(now, found(1)) == 0.0


def test_more_than_one_look_finds_is_looked_at_at_once() -> None:
    """There is work: nothing is to be waited for."""
    looks = Looks(0.0)
    now = crowded(looks)
    assert looks.next_look(now, found(*range(EVENTS_AT_ONCE))) == 0.0


def test_a_burst_waits_for_nothing() -> None:
    """A rate is known when it has lasted."""
    looks = Looks(0.0)
    for number in range(1_000):
        assert looks.next_look(MEASURED_SECONDS - EARLY, found(number % 2)) == 0.0


def test_after_a_quiet_time_nothing_waits() -> None:
    """The first message of a morning is alone."""
    looks = Looks(0.0)
    now = crowded(looks) + 60
    assert looks.next_look(now, found(1)) == 0.0


def test_one_charger_alone_has_no_company() -> None:
    """One that sends what it has kept, each message upon the answer to the last, is not slowed."""
    looks, now = Looks(0.0), 0.0
    for _ in range(2_000):
        now += 0.001
        assert looks.next_look(now, found(7)) == 0.0


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(0, EVENTS_AT_ONCE)), max_size=200))
def test_nothing_ever_waits_longer_than_the_time_between_two_looks(steps: list[tuple[float, int]]) -> None:
    """Whatever comes, and however late the loop is."""
    looks, now = Looks(0.0), 0.0
    for step, count in steps:
        now += step
        due = looks.next_look(now, found(*range(count)))
        if due:  # 0.0: at once
            assert now < due <= now + LOOK_SECONDS


class Hurried(trio.abc.Stream):
    """A connection's stream in memory that counts how often its reader is in a hurry."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.hurries = 0

    def hurry(self) -> None:
        self.hurries += 1

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()


async def test_only_what_is_to_be_answered_is_hurried(autojump_clock: MockClock) -> None:
    """A command (``send``); no answer to a charger (``send_nowait``), and no ping, whose pong may wait."""
    near, far = trio.testing.memory_stream_pair()
    stream = Hurried(near)
    connection, client = server_end(stream), RawClient(far)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_upgrade, connection)
        await client.send(head())
        await client.read_until(b"\r\n\r\n")
    await ping(connection)
    assert not connection.send_nowait(b"an answer")  # a stream in memory takes nothing at once
    await connection.flush()
    assert stream.hurries == 0
    await connection.send(b"a command")
    assert stream.hurries == 1
    await trio.aclose_forcefully(stream)


# --- on sockets ---------------------------------------------------------------------------------------------------


@define
class Reading:
    """A charger's end of a connection, and when what it sent was there to be read."""

    stream: SocketStream
    far: socket.socket
    at: float = 0.0

    async def run(self) -> None:
        with contextlib.suppress(trio.ClosedResourceError):
            while await self.stream.receive_some(1000):
                self.at = trio.current_time()


@asynccontextmanager
async def busy() -> AsyncIterator[tuple[Reading, Reading]]:
    """Two connections that are looked at together by now: both have just been looked at."""
    poller = Epoll()
    pairs = [socket.socketpair() for _ in range(2)]
    for near, _ in pairs:
        near.setblocking(False)
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        try:
            readings = tuple(Reading(SocketStream(near, poller), far) for near, far in pairs)
            for reading in readings:
                nursery.start_soon(reading.run)
            for number in range(int(2.5 * COMPANY_PER_SECOND * MEASURED_SECONDS)):
                await trio.sleep(1 / (2 * COMPANY_PER_SECOND))
                readings[number % 2].far.send(b"x")
            await trio.sleep(2 * LOOK_SECONDS)
            readings[0].far.send(b"x")  # after a pause at once; what follows has company
            await trio.sleep(LOOK_SECONDS / 4)
            assert readings[0].at == pytest.approx(trio.current_time() - LOOK_SECONDS / 4)
            yield readings[0], readings[1]
            for reading in readings:
                await reading.stream.aclose()
                reading.far.close()
        finally:
            poller.stop()
            nursery.cancel_scope.cancel()


async def test_messages_of_a_crowd_are_read_together(autojump_clock: MockClock) -> None:
    """Both are read at the next look, one of them later than it came."""
    async with busy() as (one, other):
        sent = trio.current_time()
        one.far.send(b"x")
        await trio.sleep(LOOK_SECONDS / 4)
        other.far.send(b"x")
        await trio.sleep(LOOK_SECONDS)
        assert one.at == other.at == pytest.approx(sent + LOOK_SECONDS * 3 / 4)


async def test_an_answer_that_is_waited_for_is_read_as_soon_as_it_comes(autojump_clock: MockClock) -> None:
    """And what comes after it has company again."""
    async with busy() as (one, _):
        one.stream.hurry()
        one.stream.hurry()
        await trio.sleep(LOOK_SECONDS / 4)
        one.far.send(b"x")
        await trio.sleep(LOOK_SECONDS / 8)
        assert one.at == pytest.approx(trio.current_time() - LOOK_SECONDS / 8)
        answered = one.at
        one.far.send(b"x")
        await trio.sleep(LOOK_SECONDS / 8)
        assert one.at == answered
        await trio.sleep(LOOK_SECONDS)
        assert one.at > answered


async def test_what_has_come_before_it_is_hurried_is_read_at_once(autojump_clock: MockClock) -> None:
    """Nothing that the kernel has said is lost when a socket changes over."""
    async with busy() as (one, _):
        one.far.send(b"x")
        one.stream.hurry()
        await trio.sleep(LOOK_SECONDS / 8)
        assert one.at == pytest.approx(trio.current_time() - LOOK_SECONDS / 8)


async def test_a_hurried_socket_is_closed_like_any_other(autojump_clock: MockClock) -> None:
    """No place of it is left behind; its number may be another socket's next."""
    poller = Epoll()
    near, far = socket.socketpair()
    near.setblocking(False)
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        stream = SocketStream(near, poller)
        stream.hurry()
        await stream.aclose()
        stream.hurry()
        assert len(poller) == 0
        poller.stop()
    far.close()


async def test_a_socket_may_be_hurried_when_its_poller_has_stopped() -> None:
    """A command that goes out while the listener closes."""
    poller = Epoll()
    near, far = socket.socketpair()
    near.setblocking(False)
    async with trio.open_nursery() as nursery:
        await nursery.start(poller.run)
        stream = SocketStream(near, poller)
        poller.stop()
    stream.hurry()
    await stream.aclose()
    far.close()


@define(slots=False)
class Woken:
    """The pass of the loop in which a socket's reader was woken."""

    passes: Passes
    at: list[int] = field(factory=list)

    def readable(self, over: bool) -> None:
        self.at.append(self.passes.count)


@asynccontextmanager
async def watched(count: int) -> AsyncIterator[tuple[Epoll, list[tuple[socket.socket, socket.socket, Woken]]]]:
    """A poller of so many sockets: each one's near end, its far end and its reader."""
    passes, poller = Passes(), Epoll()
    pairs = [(*socket.socketpair(), Woken(passes)) for _ in range(count)]
    trio.lowlevel.add_instrument(passes)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(poller.run)
            try:
                for near, _, reader in pairs:
                    poller.add(near.fileno(), reader)
                await trio.testing.wait_all_tasks_blocked()
                yield poller, pairs
            finally:
                poller.stop()
    finally:
        trio.lowlevel.remove_instrument(passes)
        for near, far, _ in pairs:
            near.close()
            far.close()


async def until_all_are_woken(readers: list[Woken]) -> None:
    with trio.fail_after(60):
        while not all(reader.at for reader in readers):
            await trio.lowlevel.checkpoint()


async def test_no_pass_of_the_loop_wakes_more_than_so_many() -> None:
    """Hundreds of chargers say something at once when a stall ends: a pass of the loop takes some of them."""
    async with watched(3 * EVENTS_AT_ONCE + 1) as (_, pairs):
        for _, far, _ in pairs:
            far.send(b"x")
        await until_all_are_woken([reader for _, _, reader in pairs])
    woken = Counter(reader.at[0] for _, _, reader in pairs)
    assert woken.total() == len(pairs)
    assert max(woken.values()) <= EVENTS_AT_ONCE


async def test_what_is_said_does_not_wait_behind_what_ended() -> None:
    """Hundreds of connections end in one moment where a network goes: those that are there are served first, and a
    pass of the loop takes few of those that ended."""
    async with watched(600) as (_, pairs):
        *gone, (_, there, heard) = pairs
        for _, far, _ in gone:
            far.close()
        there.send(b"x")
        await until_all_are_woken([reader for _, _, reader in pairs])
    ends = Counter(reader.at[0] for _, _, reader in gone)
    assert heard.at[0] <= min(ends)
    assert max(ends.values()) <= ENDED_AT_ONCE
    assert all(len(reader.at) == 1 for _, _, reader in pairs)


async def test_what_is_said_while_the_ended_are_woken_is_heard_at_once() -> None:
    """It comes when their ends have begun: a pass of the loop is all that it waits for."""
    async with watched(600) as (_, pairs):
        *gone, (_, there, heard) = pairs
        for _, far, _ in gone:
            far.close()
        await until_all_are_woken([gone[0][2]])
        there.send(b"x")
        await until_all_are_woken([reader for _, _, reader in pairs])
    ends = sorted(reader.at[0] for _, _, reader in gone)
    assert heard.at[0] <= ends[0] + 2 < ends[-1]


async def test_a_socket_closed_before_its_end_is_reported_is_not_taken_for_the_next_of_its_number() -> None:
    """Its end waits behind those of others: the number is given to a new connection, which has not ended."""
    async with watched(ENDED_AT_ONCE * 3) as (poller, pairs):
        for _, far, _ in pairs:
            far.close()
        await until_all_are_woken([pairs[0][2]])
        late, _, reader = pairs[-1]
        assert not reader.at
        number = late.fileno()
        poller.remove(number)
        near, far = socket.socketpair()
        os.dup2(near.fileno(), number)
        fresh = Woken(reader.passes)
        poller.add(number, fresh)
        await until_all_are_woken([each for _, _, each in pairs[:-1]])
        await trio.testing.wait_all_tasks_blocked()
        assert not fresh.at
        assert not reader.at
        near.close()
        far.close()


class FailingPoll:
    """An epoll whose poll fails, at those times of the first socket that is watched."""

    def __init__(self, *times: int) -> None:
        self._epoll = select.epoll()
        self._times = list(times)
        self._polls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        self._polls += 1
        if self._polls in self._times:
            raise OSError("a bug of the kernel's")
        return self._epoll.poll(timeout, most)


@pytest.mark.parametrize("failing", [1, 2], ids=["at once", "behind sockets that ended"])
async def test_a_poll_that_fails_loses_nothing(monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    """Everything that has ended or was said by then is heard of all the same, and each once."""
    made = [FailingPoll(failing), select.epoll()]
    monkeypatch.setattr("gateway.transport.epoll.select.epoll", lambda: made.pop(0))
    with capture_logs() as logged:
        async with watched(2 * EVENTS_AT_ONCE) as (_, pairs):
            *gone, (_, there, _) = pairs
            for _, far, _ in gone:
                far.close()
            there.send(b"x")
            await until_all_are_woken([reader for _, _, reader in pairs])
    assert all(len(reader.at) == 1 for _, _, reader in pairs)
    assert [line["event"] for line in logged] == ["poll failed"]


async def test_an_end_that_can_not_be_told_keeps_no_other_from_being_told() -> None:
    """A bug of one socket's reader."""
    async with watched(3 * ENDED_AT_ONCE) as (_, pairs):
        first = pairs[0][2]

        def fails(over: bool) -> None:
            first.at.append(0)
            raise KeyError("a bug")

        first.readable = fails  # type: ignore[method-assign]
        with capture_logs() as logged:
            for _, far, _ in pairs:
                far.close()
            await until_all_are_woken([reader for _, _, reader in pairs])
    assert [line["event"] for line in logged] == ["reader failed"]

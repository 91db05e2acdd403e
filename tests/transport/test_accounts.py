"""The allowance of messages belongs to a charger's identity, however often it connects."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock
from trio_websocket import WebSocketConnection

from gateway.transport import accounts
from gateway.transport.accounts import Accounts
from gateway.transport.api import ConnectionClosed, Transport
from gateway.transport.limits import Limits
from gateway.transport.rate_limit import PAID_BYTES, RateLimit, ignored
from tests.support.frames import TEXT, close, frame
from tests.transport.ends import open_raw
from tests.transport.test_listener import open_port

LIMITS = Limits(messages_per_second=10, message_burst=300, frames_per_second=1000, frame_burst=10_000)
MEGABYTE = 2**20


async def test_an_account_outlives_its_connections_until_it_is_full_again(autojump_clock: MockClock) -> None:
    """Tokens spent by one connection are missing for the next; a full account is forgotten."""
    table = Accounts(LIMITS)
    account = table.open("CP1")
    assert account.messages.take(trio.current_time(), 300) == 0
    table.leave("CP1")
    assert len(table) == 1
    again = table.open("CP1")
    assert again is account
    assert again.messages.take(trio.current_time(), 100) == pytest.approx(10)
    table.leave("CP1")
    await trio.sleep(41)
    other = table.open("CP2")
    table.leave("CP2")
    assert other.full(trio.current_time())
    assert len(table) == 0
    assert table.open("CP1") is not account


async def test_connections_that_overlap_share_one_account(autojump_clock: MockClock) -> None:
    """A takeover brings no second burst, and the old connection's end takes nothing away."""
    table = Accounts(LIMITS)
    first, second = table.open("CP1"), table.open("CP1")
    assert first is second
    table.leave("CP1")
    second.messages.take(trio.current_time(), 400)
    table.leave("CP1")
    assert table.open("CP1") is second
    assert table.open("CP2") is not second


async def test_what_one_connection_uses_up_the_others_of_the_charger_wait_for(autojump_clock: MockClock) -> None:
    """Those open before, those that wait already, and the messages that they give out then; no other charger's."""
    table = Accounts(LIMITS)
    intakes = [RateLimit(LIMITS, ignored) for _ in range(3)]
    other = RateLimit(LIMITS, ignored)
    other.account(table.open("CP2"))
    for intake in intakes:
        intake.account(table.open("CP1"))
    start = trio.current_time()
    given: list[float] = []

    async def give_out(intake: RateLimit) -> None:
        await intake.until_next_message()
        given.append(trio.current_time() - start)
        intake.charge(100)

    intakes[0].charge(400)
    async with trio.open_nursery() as nursery:
        for intake in intakes:
            nursery.start_soon(give_out, intake)
        await trio.sleep(5)
        intakes[0].charge(50)
        await other.until_next_message()
        assert trio.current_time() - start == pytest.approx(5)
    assert given == pytest.approx([15, 25, 35])


async def test_accounts_that_are_left_are_bounded(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where all of them owe."""
    monkeypatch.setattr(accounts, "MAX_OWING", 100)
    table = Accounts(LIMITS)
    for n in range(1_000):
        table.open(f"CP{n}").messages.take(trio.current_time(), 1000)
        table.leave(f"CP{n}")
    assert len(table) <= 101
    await trio.sleep(200)
    for n in range(100):
        table.open(f"new-{n}")
        table.leave(f"new-{n}")
    assert len(table) == 0


async def test_reconnects_with_a_megabyte_each_are_given_no_new_burst() -> None:
    """45 connections of one charger: what is read of them together is one burst and the rate, and its neighbour is read
    at once."""
    received: dict[str, int] = {"CP1": 0, "CP2": 0}

    async def count(transport: Transport, principal: object) -> None:
        while True:
            data = await transport.receive()
            received[str(principal)] += 1 + len(data) // PAID_BYTES
            await transport.send(b"[]")

    async def send_one(client: WebSocketConnection, data: str) -> None:
        with trio.move_on_after(0.1):
            await client.send_message(data)
            await client.get_message()

    limits = Limits(messages_per_second=1, message_burst=300, close_seconds=0.1)
    async with open_port(handle=count, limits=limits, identity_of=str) as port:
        begin = trio.current_time()
        for _ in range(45):
            client = await port.client("CP1")
            await send_one(client, "x" * MEGABYTE)
            with trio.move_on_after(0.05):
                await client.aclose()
        took = trio.current_time() - begin
        neighbour = await port.client("CP2")
        for _ in range(50):
            await neighbour.send_message("x")
            await neighbour.get_message()
    # A message is given out as long as anything is left, so that one may overdraw it.
    assert received["CP1"] <= 300 + took * limits.messages_per_second + 1 + MEGABYTE // PAID_BYTES
    assert received["CP2"] == 50


async def test_a_burst_with_a_close_behind_it_is_not_given_out_unpaid(autojump_clock: MockClock) -> None:
    """A flood in one write with its Close, again and again, would else never wait: what is owed for stays unread, and
    unconfirmed, so the charger keeps it."""
    async with open_raw(LIMITS) as (connection, client):
        await client.send(frame(TEXT, b"paid") * 299 + frame(TEXT, b"last" * 1024) + frame(TEXT, b"owed") + close(1000))
        for _ in range(299):
            assert await connection.receive() == b"paid"
        assert await connection.receive() == b"last" * 1024
        with pytest.raises(ConnectionClosed):
            await connection.receive()
        with pytest.raises(ConnectionClosed):
            await connection.receive()


async def test_what_came_before_an_end_and_is_paid_is_given_out(autojump_clock: MockClock) -> None:
    """A charger that closes behind its last message has sent it."""
    async with open_raw(LIMITS) as (connection, client):
        await client.send(frame(TEXT, b"last") + close(1000))
        assert await connection.receive() == b"last"
        with pytest.raises(ConnectionClosed):
            await connection.receive()


async def test_a_wait_that_the_end_cuts_short_gives_out_nothing(autojump_clock: MockClock) -> None:
    """As above, when the end comes while the message waits."""
    async with open_raw(LIMITS) as (connection, client):
        await client.send(frame(TEXT, b"dear") + frame(TEXT, b"owed"))
        assert await connection.receive() == b"dear"
        connection.charge(399)
        async with trio.open_nursery() as nursery:

            async def receive() -> None:
                with pytest.raises(ConnectionClosed):
                    await connection.receive()

            nursery.start_soon(receive)
            await trio.sleep(1)
            await connection.aclose()


async def test_what_the_reader_charges_holds_up_the_next_message(autojump_clock: MockClock) -> None:
    """As bytes do."""
    async with open_raw(LIMITS) as (connection, client):
        await client.send(frame(TEXT, b"dear") + frame(TEXT, b"next"))
        await connection.receive()
        connection.charge(399)
        start = trio.current_time()
        assert await connection.receive() == b"next"
        assert trio.current_time() - start == pytest.approx(10)
        await connection.aclose()


async def test_the_largest_message_costs_no_more_than_a_burst(autojump_clock: MockClock) -> None:
    """A charger that has been quiet is listened to at once after it."""
    async with open_raw(Limits()) as (connection, client), trio.open_nursery() as nursery:
        nursery.start_soon(client.send, frame(TEXT, b"x" * (4 * MEGABYTE)) + frame(TEXT, b"next"))
        assert len(await connection.receive()) == 4 * MEGABYTE
        start = trio.current_time()
        assert await connection.receive() == b"next"
        assert trio.current_time() == start
        await connection.aclose()

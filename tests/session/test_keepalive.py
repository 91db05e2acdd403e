"""Keepalive of an idle charger: a ping, often enough for those that give up a quiet connection."""

import pytest
import trio
from trio.testing import MockClock

from gateway.app.settings import SessionSettings
from gateway.session.limits import SessionLimits
from tests.support.harness import Harness, boot
from tests.support.wire import FakeTransport


async def test_an_idle_charger_hears_something_within_a_minute(harness: Harness, autojump_clock: MockClock) -> None:
    """By default, for as long as it is idle."""
    harness.add_charge_point()
    transport = FakeTransport()
    async with harness.connected(transport=transport) as charger:
        await boot(charger)
        await trio.sleep(20)  # the gateway's own questions after the boot
        for _ in range(20):
            said = transport.last_said
            await trio.sleep(60)
            assert transport.last_said > said
            assert trio.current_time() - transport.last_said < 60
        assert not charger.gone
    assert SessionSettings().ping_seconds == SessionLimits().ping_interval < 60


async def test_a_charger_that_is_answered_needs_no_ping(harness: Harness, autojump_clock: MockClock) -> None:
    """Answers keep its connection alive; one that only ever sends pongs gets pings."""
    harness.limits = SessionLimits(ping_interval=50)
    harness.add_charge_point()
    transport = FakeTransport()
    async with harness.connected(transport=transport) as charger:
        await boot(charger)
        for _ in range(20):
            await trio.sleep(40)
            await charger.call("Heartbeat", {})
        assert transport.pings == 0
        for _ in range(20):
            await trio.sleep(40)
            transport.last_heard = trio.current_time()  # an unsolicited pong
        assert 14 <= transport.pings <= 17


@pytest.mark.parametrize(("interval", "pings"), [(0.0, 0), (20.0, 14)])
async def test_the_setting_decides(harness: Harness, autojump_clock: MockClock, interval: float, pings: int) -> None:
    """0 sends none before silence does."""
    harness.limits = SessionLimits(ping_interval=interval)
    harness.add_charge_point()
    transport = FakeTransport()
    async with harness.connected(transport=transport):
        await trio.sleep(290)
        # Of its own requests, each of which is said instead of a ping, there are one or two in that time.
        assert max(pings - 2, 0) <= transport.pings <= pings


async def test_pings_without_an_answer_do_not_put_off_the_end(harness: Harness, autojump_clock: MockClock) -> None:
    """Silence is what is heard, whatever was said: the link is given up as soon as without them."""
    harness.add_charge_point()
    transport = FakeTransport(answers_pings=False)
    async with harness.connected(transport=transport) as charger:
        begin = trio.current_time()
        assert await charger.sees_the_end() == (1001, "silent")
        limits = harness.limits
        assert trio.current_time() - begin == pytest.approx(limits.silence + limits.ping_grace, abs=1)


async def test_a_ping_that_does_not_go_out_at_once_is_sent_when_there_is_room(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """By a task of its own, which the session does not wait for longer than for an answer."""
    harness.limits = SessionLimits(ping_interval=50, ping_grace=10)
    harness.add_charge_point()
    harness.asks_nothing()
    begun: list[float] = []
    given_up: list[float] = []

    class Full(FakeTransport):
        def ping_nowait(self) -> bool:
            super().ping_nowait()
            return False

        async def flush(self) -> None:
            begun.append(trio.current_time())
            try:
                await trio.sleep_forever()
            finally:
                given_up.append(trio.current_time())

    transport = Full()
    async with harness.connected(transport=transport):
        await trio.sleep(52)
        assert len(begun) == transport.pings == 1
        await trio.sleep(20)
        assert given_up[0] - begun[0] == 10

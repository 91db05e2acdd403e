"""What is written now and then, and what could not be written when it happened."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gateway.app.housekeeping import GRACE_SECONDS, INTERVAL_SECONDS, LostEnds, record_last_heard
from gateway.domain.events import ChargePointConnected
from gateway.store.api import OpenSession
from tests.support.harness import Harness, virtual_clock


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    harness = Harness(tmp_path)
    yield harness
    harness.store.close()


def lost_ends(harness: Harness) -> LostEnds:
    return LostEnds(harness.journal, harness.store, harness.router, virtual_clock)


async def lose_an_end(harness: Harness, identity: str) -> None:
    """A connection whose end the store could not keep."""
    harness.add_charge_point(identity)
    async with harness.connected(identity):
        harness.journal.failing = True
    harness.journal.failing = False
    assert connected(harness, identity)


def connected(harness: Harness, identity: str) -> bool:
    record = harness.store.charge_point(identity)
    assert record is not None
    return record.connection.connected


async def test_last_heard_of_live_chargers_is_written_now_and_then(harness: Harness, autojump_clock: MockClock) -> None:
    """A store that fails has to do without until the next round."""
    harness.add_charge_point()
    async with harness.connected() as charger, trio.open_nursery() as nursery:
        nursery.start_soon(record_last_heard, harness.journal, harness.router)
        harness.journal.failing = True
        await trio.sleep(INTERVAL_SECONDS + 1)
        harness.journal.failing = False
        await charger.call_frame("Heartbeat", {})
        at = virtual_clock()
        await trio.sleep(INTERVAL_SECONDS)
        record = harness.store.charge_point("CP1")
        assert record is not None
        assert record.connection.last_heard == at
        nursery.cancel_scope.cancel()


async def test_lost_ends_are_recorded_a_while_after_the_stores_return(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Those who came back meanwhile are left alone: the store settled theirs with their new opening."""
    await lose_an_end(harness, "GONE")
    await lose_an_end(harness, "BACK")
    ends = lost_ends(harness)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ends.run)
        await trio.sleep(1)
        ends.store_is_back()
        async with harness.connected("BACK"):
            await trio.sleep(GRACE_SECONDS - 1)
            assert connected(harness, "GONE")
            await trio.sleep(2)
            assert not connected(harness, "GONE")
            assert connected(harness, "BACK")
        nursery.cancel_scope.cancel()
    told = [(event.charge_point, event.epoch) for event in harness.events("charge_point.disconnected")]
    assert sorted(told) == [("BACK", 1), ("BACK", 2), ("GONE", 1)], "exactly one for each connection"


async def test_a_lost_end_that_nobody_reported_is_found_in_time(harness: Harness, autojump_clock: MockClock) -> None:
    """The queue for commits was full, say, and the store never failed. A relapse only delays it."""
    await lose_an_end(harness, "GONE")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lost_ends(harness).run)
        harness.journal.failing = True
        await trio.sleep(INTERVAL_SECONDS + 1)
        harness.journal.failing = False
        await trio.sleep(INTERVAL_SECONDS)
        assert not connected(harness, "GONE")
        nursery.cancel_scope.cancel()


async def test_a_charger_that_connects_during_the_look_keeps_its_connection(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Its epoch is a later one, and what is written is the earlier one's end."""
    await lose_an_end(harness, "CP1")
    read = harness.journal.read

    async def slow(fn, *args):
        result = await read(fn, *args)
        if fn == harness.store.commands:
            peer = ChargePointConnected("127.0.0.1:3", "ocpp1.6", 2, "TLSv1.3")
            harness.store.commit([OpenSession("CP1", peer, virtual_clock())])
        return result

    harness.journal.read = slow  # type: ignore[method-assign]
    await lost_ends(harness).record()
    assert connected(harness, "CP1")

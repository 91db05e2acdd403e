"""OCTT's cases of the core profile: booting, authorizing, charging."""

from datetime import timedelta

import pytest
import trio
from trio.testing import MockClock

from gateway.domain.commands import ClearCache, StatusAnswer
from gateway.domain.records import TransactionState
from gateway.domain.times import format_time
from tests.support.harness import BOOT, Harness, virtual_clock
from tests.support.station import ACCEPTED, booted, time


async def test_tc_001_cold_boot(harness: Harness, autojump_clock: MockClock) -> None:
    """A charge point boots, reports its connectors and beats: all of it is confirmed, with the gateway's time."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        answer = await charger.call("BootNotification", BOOT)
        assert answer == {"status": "Accepted", "currentTime": time(), "interval": 300}
        for connector in (0, 1, 2):
            status = {"connectorId": connector, "errorCode": "NoError", "status": "Available"}
            assert await charger.call("StatusNotification", status) == {}
        await trio.sleep(300)
        assert await charger.call("Heartbeat", {}) == {"currentTime": time()}
        await charger.hears_nothing(60)


async def test_tc_003_session_plug_in_first(harness: Harness, autojump_clock: MockClock) -> None:
    """The cable first, then the tag: Authorize and StartTransaction are accepted."""
    async with booted(harness) as station:
        await station.status(1, "Preparing")
        assert await station.authorize() == ACCEPTED
        started = await station.starts()
        assert started["idTagInfo"] == ACCEPTED
        await station.status(1, "Charging")
        assert station.transaction(started["transactionId"]).state is TransactionState.OPEN


async def test_tc_004_1_session_identification_first(harness: Harness, autojump_clock: MockClock) -> None:
    """The tag first, then the cable: the same."""
    async with booted(harness) as station:
        assert await station.authorize() == ACCEPTED
        await station.status(1, "Preparing")
        started = await station.starts()
        assert started["idTagInfo"] == ACCEPTED
        await station.status(1, "Charging")


async def test_tc_004_2_connection_timeout(harness: Harness, autojump_clock: MockClock) -> None:
    """A tag, and no cable before the time-out: confirmed, and no session is left behind."""
    async with booted(harness) as station:
        assert await station.authorize() == ACCEPTED
        await station.status(1, "Preparing")
        await trio.sleep(60)
        await station.status(1, "Available")
        assert not station.recorded("transaction.started")


async def test_tc_005_1_ev_side_disconnected(harness: Harness, autojump_clock: MockClock) -> None:
    """The cable is pulled at the vehicle: the stop is confirmed and ends the transaction with its energy."""
    async with booted(harness) as station:
        number = await station.charges()
        await station.status(1, "SuspendedEV")
        assert await station.stops(number, reason="EVDisconnected") == {}
        await station.status(1, "Finishing")
        await station.status(1, "Available")
        ended = station.transaction(number)
        assert (ended.state, ended.stop_reason, ended.energy) == (TransactionState.STOPPED, "EVDisconnected", 500)


async def test_tc_007_start_with_a_cached_id(harness: Harness, autojump_clock: MockClock) -> None:
    """A start without an Authorize before it is judged by itself, and accepted."""
    async with booted(harness) as station:
        await station.status(1, "Preparing")
        assert (await station.starts())["idTagInfo"] == ACCEPTED
        await station.status(1, "Charging")


async def test_tc_061_clear_authorization_cache(harness: Harness, autojump_clock: MockClock) -> None:
    """The operator has the cache cleared: an empty ClearCache, whose answer is returned."""
    async with booted(harness) as station:
        assert await station.obeys(ClearCache(), {}, ACCEPTED) == StatusAnswer("Accepted")


@pytest.mark.parametrize(
    ("case", "status", "expires"),
    [("023_1", "Invalid", None), ("023_2", "Expired", None), ("023_2", "Accepted", -60), ("023_3", "Blocked", None)],
)
async def test_tc_023_authorize_refused(
    harness: Harness, autojump_clock: MockClock, case: str, status: str, expires: int | None
) -> None:
    """023_1, 023_2, 023_3: a tag is answered with exactly what is wrong with it; one past its date is Expired."""
    expiry = None if expires is None else virtual_clock() + timedelta(seconds=expires)
    harness.add_tag("OTHER", status, expiry_date=expiry)
    expected = {"status": "Expired" if expires is not None else status}
    if expiry is not None:
        expected["expiryDate"] = format_time(expiry)
    async with booted(harness) as station:
        assert await station.authorize("OTHER") == expected
        assert not station.recorded("transaction.started"), case


async def test_tc_023_1_authorize_unknown(harness: Harness, autojump_clock: MockClock) -> None:
    """A tag that is not in the table is Invalid."""
    async with booted(harness) as station:
        assert await station.authorize("NOBODY") == {"status": "Invalid"}


async def test_tc_024_lock_failure(harness: Harness, autojump_clock: MockClock) -> None:
    """A connector that can't be locked: Faulted is confirmed, and nothing starts."""
    async with booted(harness) as station:
        assert await station.authorize() == ACCEPTED
        await station.status(1, "Preparing")
        await station.status(1, "Faulted", "ConnectorLockFailure")
        assert not station.recorded("transaction.started")


async def test_tc_032_1_power_failure(harness: Harness, autojump_clock: MockClock) -> None:
    """Power fails in the middle of a session: Boot is accepted and the stop that follows ends the transaction."""
    async with booted(harness) as station:
        number = await station.charges()
        await station.disconnects()
        await trio.sleep(120)
        await station.connects()
        answer = await station.says("BootNotification", **BOOT)
        assert answer == {"status": "Accepted", "currentTime": time(), "interval": 300}
        assert station.transaction(number).state is TransactionState.OPEN
        await station.status(1, "Finishing")
        assert await station.stops(number, timestamp=time(-121), reason="PowerLoss") == {}
        ended = station.transaction(number)
        assert (ended.state, ended.stop_reason) == (TransactionState.STOPPED, "PowerLoss")


async def test_tc_037_1_offline_start_with_a_valid_tag(harness: Harness, autojump_clock: MockClock) -> None:
    """A start from while the link was down is accepted, in its own time, and the session goes on."""
    async with booted(harness) as station:
        await station.disconnects()
        started_at = time(60)
        await trio.sleep(600)
        await station.connects()
        started = await station.starts(timestamp=started_at)
        assert started["idTagInfo"] == ACCEPTED
        await station.is_asked_for_its_status()
        await station.status(1, "Charging")
        assert format_time(station.transaction(started["transactionId"]).started_at) == started_at


async def test_tc_037_3_offline_start_with_an_invalid_tag(harness: Harness, autojump_clock: MockClock) -> None:
    """Its start is answered Invalid under a number of its own, by which the charge point can stop it."""
    async with booted(harness) as station:
        await station.disconnects()
        await trio.sleep(600)
        await station.connects()
        started = await station.starts(id_tag="NOBODY", timestamp=time(-300))
        assert started["idTagInfo"] == {"status": "Invalid"}
        assert started["transactionId"] > 0
        await station.is_asked_for_its_status()
        stopped = await station.stops(started["transactionId"], idTag="NOBODY", reason="DeAuthorized")
        assert stopped == {"idTagInfo": {"status": "Invalid"}}
        assert station.transaction(started["transactionId"]).state is TransactionState.STOPPED


async def test_tc_039_whole_transaction_offline(harness: Harness, autojump_clock: MockClock) -> None:
    """Start and stop come together, long after both: one finished transaction with its energy and its times."""
    async with booted(harness) as station:
        await station.disconnects()
        begin, end = time(60), time(3660)
        await trio.sleep(7200)
        await station.connects()
        started = await station.starts(timestamp=begin)
        assert started["idTagInfo"] == ACCEPTED
        await station.is_asked_for_its_status()
        stopped = await station.stops(started["transactionId"], 8000, timestamp=end, idTag="TAG", reason="Local")
        assert stopped == {"idTagInfo": ACCEPTED}
        ended = station.transaction(started["transactionId"])
        assert ended.stopped_at is not None
        assert (format_time(ended.started_at), format_time(ended.stopped_at), ended.energy) == (begin, end, 7000)

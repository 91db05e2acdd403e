"""Single orders of a transaction's messages that go wrong in the field, over the wire: always confirmed, never doubled,
never closing the wrong one; what matches nothing is kept where it can be listed. ``test_any_order`` mixes them all."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.domain import events as e
from gateway.domain.records import TransactionState
from gateway.domain.values import Flag
from tests.store.builders import of
from tests.support.harness import Harness
from tests.support.station import Station, booted, time
from tests.support.wire import FakeTransport

OPEN, STOPPED, LOST = TransactionState.OPEN, TransactionState.STOPPED, TransactionState.LOST


async def reconnects(station: Station) -> None:
    """The link is lost; the charger comes back, and its next messages have the first ones' ids again."""
    await station.disconnects()
    await station.connects()


def orphans(harness: Harness) -> list[tuple[str, str]]:
    """(charge point, why)."""
    found = harness.store.find_orphans(of(), "", 100).records
    bodies = harness.bodies(e.TransactionOrphaned.TYPE)
    assert len(found) == len(bodies)
    return [(event.charge_point, getattr(body, "why", "")) for event, body in zip(found, bodies, strict=True)]


# --- starts ---------------------------------------------------------------------------------------------------


async def test_a_start_and_its_retry_at_once_over_two_connections_are_one_transaction(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """B4.6: the old connection's is committed when the new one's is decided; the first wins, whichever is answered."""
    harness.asks_nothing()
    async with booted(harness) as station:
        start = {"connectorId": 1, "idTag": "TAG", "meterStart": 5, "timestamp": time()}
        harness.journal.stall_seconds = 1.0
        await station.charger.send(2, "old", "StartTransaction", start)
        await wait_all_tasks_blocked()
        async with harness.connected("CP1", FakeTransport()) as successor:
            harness.journal.stall_seconds = 0.0
            answer = await successor.call("StartTransaction", start)
            assert answer["idTagInfo"] == {"status": "Accepted"}
            assert await successor.call("StartTransaction", start) == answer
            assert [t.number for t in (station.transaction(answer["transactionId"]),)] == [answer["transactionId"]]
        assert station.recorded(e.TransactionStarted.TYPE) == [e.TransactionStarted.TYPE]
        await station.connects()


async def test_a_start_is_itself_for_days(harness: Harness, autojump_clock: MockClock) -> None:
    """B4.6: repeated after its stop, on a new link, days later, under another message's id."""
    async with booted(harness) as station:
        start: dict[str, Any] = {"timestamp": time(), "meter": 10}
        first = await station.starts(**start)
        await trio.sleep(3600)
        assert await station.stops(first["transactionId"], 900) == {}
        await trio.sleep(5 * 86_400)
        await reconnects(station)
        assert await station.starts(**start) == first
        assert station.transaction(first["transactionId"]).state is STOPPED
        assert len(station.recorded(e.TransactionStarted.TYPE)) == 1
        await station.is_asked_for_its_status()


async def test_a_newer_start_on_a_busy_connector_takes_over_and_the_late_stop_finds_its_own(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """B4.9: nothing is refused; the one before is lost until its stop turns up, and then has its energy."""
    async with booted(harness) as station:
        first = (await station.starts(meter=100))["transactionId"]
        ended = time(600)
        await trio.sleep(1200)
        second = (await station.starts(meter=700))["transactionId"]
        assert (station.transaction(first).state, station.transaction(second).state) == (LOST, OPEN)
        assert await station.stops(first, 650, timestamp=ended) == {}
        assert (station.transaction(first).state, station.transaction(first).energy) == (STOPPED, 550)
        assert station.transaction(second).state is OPEN
        assert await station.stops(second, 800) == {}
        assert station.transaction(second).energy == 100
        assert orphans(harness) == []


async def test_a_queued_start_that_is_older_ends_nothing(harness: Harness, autojump_clock: MockClock) -> None:
    """B4.8: by the charger's own times it came first, whenever it arrives; both are open until their stops come."""
    async with booted(harness) as station:
        now = (await station.starts(meter=700))["transactionId"]
        days_ago = (await station.starts(meter=100, timestamp=time(-3 * 86_400)))["transactionId"]
        assert (station.transaction(now).state, station.transaction(days_ago).state) == (OPEN, OPEN)
        assert await station.stops(days_ago, 690, timestamp=time(-3 * 86_400 + 7200)) == {}
        await trio.sleep(600)
        assert await station.stops(now, 710) == {}
        assert [station.transaction(number).energy for number in (days_ago, now)] == [590, 10]


async def test_a_closing_sample_stays_with_the_one_it_names_while_an_older_one_seems_to_run(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """B6.4, E24: the older one's stop is still in the queue; it has not taken the connector over."""
    async with booted(harness) as station:
        newer = (await station.starts(meter=700, timestamp=time(-3600)))["transactionId"]
        older = (await station.starts(meter=100, timestamp=time(-7200)))["transactionId"]
        assert await station.stops(newer, 710, timestamp=time(-1800)) == {}
        values = [{"timestamp": time(-1790), "sampledValue": [{"value": "710", "context": "Transaction.End"}]}]
        assert await station.says("MeterValues", connectorId=1, transactionId=newer, meterValue=values) == {}
        (body,) = harness.bodies(e.MeterValuesReported.TYPE)
        assert isinstance(body, e.MeterValuesReported)
        assert body.transaction_id == station.transaction(newer).transaction_id
        assert await station.stops(older, 690, timestamp=time(-3700)) == {}


# --- stops ----------------------------------------------------------------------------------------------------


async def test_a_stop_is_recorded_once_however_often_it_comes(harness: Harness, autojump_clock: MockClock) -> None:
    """B5.6: twice at once, with the same id and with others, on another link, a day later: one and the same answer."""
    async with booted(harness) as station:
        number = await station.charges()
        await trio.sleep(3600)
        stop: dict[str, Any] = {"transactionId": number, "meterStop": 1600, "timestamp": time(), "idTag": "TAG"}
        for message_id in ("same", "same", "other"):
            await station.charger.send(2, message_id, "StopTransaction", stop)
        answers = [await station.charger._next() for _ in range(3)]
        assert [answer[2] for answer in answers] == [{"idTagInfo": {"status": "Accepted"}}] * 3
        await trio.sleep(86_400)
        await reconnects(station)
        assert await station.says("StopTransaction", **stop) == {"idTagInfo": {"status": "Accepted"}}
        assert station.recorded(e.TransactionStopped.TYPE) == [e.TransactionStopped.TYPE]
        assert station.transaction(number).energy == 600
        assert orphans(harness) == []
        await station.is_asked_for_its_status()


async def test_another_stop_for_a_number_that_is_used_up_changes_nothing(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Quirk 47: another system's number, most likely. Confirmed, kept, and the first stop's energy stands."""
    async with booted(harness) as station:
        number = await station.charges()
        await trio.sleep(3600)
        assert await station.stops(number, 1600) == {}
        await trio.sleep(3600)
        assert await station.stops(number, 9000) == {}
        assert station.transaction(number).energy == 600
        assert orphans(harness) == [("CP1", "already-stopped")]


async def test_a_stop_before_its_start_is_kept_and_its_start_is_no_less_a_start(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """B5.10, SE 3.18: under -1 it names no number, and nothing runs that it could mean."""
    async with booted(harness) as station:
        assert await station.stops(-1, 1600, timestamp=time(-60)) == {}
        assert orphans(harness) == [("CP1", "no-number")]
        number = (await station.starts(meter=1000, timestamp=time(-3600)))["transactionId"]
        assert station.transaction(number).state is OPEN
        assert await station.stops(number, 1600, timestamp=time(-60)) == {}
        assert (station.transaction(number).state, station.transaction(number).energy) == (STOPPED, 600)


async def test_a_stop_under_minus_one_ends_no_others(harness: Harness, autojump_clock: MockClock) -> None:
    """B5.4: two of this charger's run, and one of another charger's: it may mean any of them, and ends none."""
    async with booted(harness) as station, booted(harness, "CP2") as other:
        numbers = [
            (await station.starts(1, "A"))["transactionId"],
            (await station.starts(2, "A"))["transactionId"],
            (await other.starts(1, "A"))["transactionId"],
        ]
        await trio.sleep(600)
        assert "idTagInfo" in await station.stops(-1, 1600, idTag="A")
        assert [station.transaction(number).state for number in numbers] == [OPEN] * 3
        assert orphans(harness) == [("CP1", "no-number")]


async def test_a_stop_of_another_chargers_number_ends_nothing(harness: Harness, autojump_clock: MockClock) -> None:
    """B5.7: nor on another link, nor after its own charger has stopped it."""
    harness.asks_nothing()
    async with booted(harness) as station, booted(harness, "CP2") as other:
        number = await station.charges()
        assert await other.stops(number, 1600) == {}
        await reconnects(other)
        assert await other.stops(number, 1601) == {}
        assert station.transaction(number).state is OPEN
        await trio.sleep(3600)
        assert await station.stops(number, 1700) == {}
        assert await other.stops(number, 1602) == {}
        assert station.transaction(number).energy == 700
        assert orphans(harness) == [("CP2", "other-charge-point")] * 3


@pytest.mark.parametrize("number", [0, -1, -(2**31), 4711, 2**31, 2**63 - 1])
async def test_any_number_is_confirmed_kept_and_ends_nothing(
    harness: Harness, autojump_clock: MockClock, number: int
) -> None:
    """B5.5: stops and values of numbers of no transaction, again and again, beside a transaction that runs."""
    async with booted(harness) as station:
        mine = (await station.starts(meter=5000))["transactionId"]
        for register in ("10", "11"):
            value = [{"timestamp": time(), "sampledValue": [{"value": register}]}]
            assert await station.says("MeterValues", connectorId=2, transactionId=number, meterValue=value) == {}
            assert await station.stops(number, 10) == {}
        await reconnects(station)
        assert await station.stops(number, 10) == {}
        assert station.transaction(mine).state is OPEN
        why = "unknown-number" if number > 0 else "no-number"
        assert orphans(harness) == [("CP1", why)]  # one stop, three times
        assert await station.stops(number, 11) == {}
        assert orphans(harness) == [("CP1", why)] * 2
        kept = harness.bodies(e.MeterValuesReported.TYPE)
        assert [(getattr(body, "number", None), getattr(body, "transaction_id", "")) for body in kept] == [
            (number, None)
        ] * 2
        await station.is_asked_for_its_status()


@pytest.mark.parametrize("number", [2**63, 10**30])
async def test_a_number_that_no_integer_holds_is_confirmed_and_kept(
    harness: Harness, autojump_clock: MockClock, number: int
) -> None:
    """B5.5, A4.2: it can't be a number of the gateway; the stop ends nothing."""
    async with booted(harness) as station:
        mine = (await station.starts(meter=5000))["transactionId"]
        assert await station.stops(number, 10) == {}
        assert station.transaction(mine).state is OPEN
        assert orphans(harness) == [("CP1", "no-number")]


HUGE = (2**63, 2**64 - 1, -(2**63) - 1, 10**30, 1e30, "999999999999999999999999")


@pytest.mark.parametrize("start", [0, -(2**63), *HUGE])
async def test_a_register_of_any_size_is_confirmed_and_makes_no_bill(
    harness: Harness, autojump_clock: MockClock, start: Any
) -> None:
    """E28, A4.2: differences of two of them exceed 64 bits; the charger must not be made to send them for ever."""
    async with booted(harness) as station:
        for number, stop in enumerate(HUGE):
            moment = time(number * 600)
            sent = {"connectorId": 1, "idTag": "TAG", "meterStart": start, "timestamp": moment}
            mine = (await station.charger.call("StartTransaction", sent))["transactionId"]
            readings = [{"value": str(start)}, {"value": str(stop), "measurand": "Energy.Active.Import.Interval"}]
            stopped = {
                "transactionId": mine,
                "meterStop": stop,
                "timestamp": time(number * 600 + 300),
                "transactionData": [{"timestamp": moment, "sampledValue": readings}],
            }
            assert await station.charger.call("StopTransaction", stopped) == {}
            assert station.transaction(mine).state is STOPPED


# --- clocks that were never set -------------------------------------------------------------------------------

POWERED_UP = "1970-01-01T00:00:09Z"


async def test_with_a_clock_of_1970_each_power_up_has_its_own_transaction(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The same start to the letter after each power-up: a retry while it is open, another one once it was stopped."""
    harness.asks_nothing()
    async with booted(harness) as station:
        numbers = []
        for _ in range(3):
            start: dict[str, Any] = {"meter": 0, "timestamp": POWERED_UP}
            number = (await station.starts(**start))["transactionId"]
            await reconnects(station)
            assert (await station.starts(**start))["transactionId"] == number
            await trio.sleep(3600)
            stop: dict[str, Any] = {"meter": 600, "timestamp": "1970-01-01T01:00:00Z"}
            assert await station.stops(number, **stop) == {}
            assert await station.stops(number, **stop) == {}
            numbers.append(number)
            await reconnects(station)
        assert len(set(numbers)) == 3
        assert [station.transaction(number).energy for number in numbers] == [600] * 3
        assert orphans(harness) == []


async def test_a_clock_that_is_set_between_start_and_stop_spoils_neither(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Time and register are what was sent; the start's time is when it was received, and says so."""
    async with booted(harness) as station:
        number = (await station.starts(meter=100, timestamp=POWERED_UP))["transactionId"]
        received = time()
        await trio.sleep(3600)
        assert await station.stops(number, 700) == {}
        record = station.transaction(number)
        assert (record.start_raw, record.energy) == (POWERED_UP, 600)
        assert f"{record.started_at:%Y-%m-%dT%H:%M:%SZ}" == received
        assert Flag.CLOCK_SUSPECT in record.flags
        assert Flag.STOP_BEFORE_START not in record.flags

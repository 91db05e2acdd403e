"""docs/rules.md, D: transactions out of order, under wrong numbers, of no charge."""

from typing import Any

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from gateway.domain import events as e
from gateway.domain.commands import RemoteStartTransaction
from gateway.domain.records import TransactionState
from gateway.domain.values import ConnectorAddress, Flag
from gateway.session.lookups import Lookups, TableAuthorizer
from tests.support.harness import BOOT, Harness, virtual_clock
from tests.support.station import ACCEPTED, booted, time

ONE = ConnectorAddress(1, 1)


def orphans(harness: Harness) -> list[tuple[int, str, Any]]:
    return [
        (body.number, body.why, body.payload)
        for body in harness.bodies(e.TransactionOrphaned.TYPE)
        if isinstance(body, e.TransactionOrphaned)
    ]


@pytest.mark.parametrize("number", [4711, 0, -2, 2**31, 2**63 - 1])
async def test_quirks_9_45_47_a_stop_for_an_unknown_transaction_is_confirmed_and_kept(
    harness: Harness, autojump_clock: MockClock, number: int
) -> None:
    """Wallbox free charging, moved chargers, id 2^63-1: confirmed with {}, kept as sent; no transaction ends."""
    async with booted(harness) as station:
        mine = await station.charges()
        stop: dict[str, Any] = {"transactionId": number, "meterStop": 5, "timestamp": time(), "reason": "Local"}
        assert await station.says("StopTransaction", **stop) == {}
        why = "unknown-number" if number > 0 else "no-number"
        assert orphans(harness) == [(number, why, stop)]
        assert station.transaction(mine).state is TransactionState.OPEN


async def test_quirk_47_meter_values_of_a_foreign_number_are_confirmed_for_ever(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A charger that was moved here: its values are confirmed and kept with the number it gives, in no transaction."""
    async with booted(harness) as station:
        for _ in range(5):
            values = [{"timestamp": time(), "sampledValue": [{"value": "1"}]}]
            assert await station.says("MeterValues", connectorId=1, transactionId=99_999, meterValue=values) == {}
            await trio.sleep(60)
        kept = harness.bodies(e.MeterValuesReported.TYPE)
        assert [(getattr(b, "number", None), getattr(b, "transaction_id", "")) for b in kept] == [(99_999, None)] * 5


async def test_quirk_25_a_start_by_another_tag_than_the_remote_starts_is_judged_by_itself(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Alfen: PlugAndChargeIdentifier takes the place of the tag that was asked for."""
    harness.add_tag("PLUGGED")
    async with booted(harness) as station:
        await station.obeys(RemoteStartTransaction("TAG", ONE), {"connectorId": 1, "idTag": "TAG"}, ACCEPTED)
        started = await station.starts(id_tag="PLUGGED")
        assert started["idTagInfo"] == ACCEPTED
        assert station.transaction(started["transactionId"]).id_tag == "PLUGGED"


async def test_quirk_35_an_old_number_after_the_stop_opens_nothing_again(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """EN+: values go on under the ended transaction's number, until the next one takes its own."""
    async with booted(harness) as station:
        number = await station.charges()
        await station.stops(number)
        ended = station.transaction(number)
        await trio.sleep(60)
        values = [{"timestamp": time(), "sampledValue": [{"value": "1500"}]}]
        assert await station.says("MeterValues", connectorId=1, transactionId=number, meterValue=values) == {}
        # Nothing but that something has come since, which changes no energy here.
        assert evolve(station.transaction(number), settlement=ended.settlement) == ended
        second = (await station.starts(meter=1500))["transactionId"]
        await trio.sleep(60)
        values = [{"timestamp": time(), "sampledValue": [{"value": "1600"}]}]
        assert await station.says("MeterValues", connectorId=1, transactionId=number, meterValue=values) == {}
        newest = harness.bodies(e.MeterValuesReported.TYPE)[-1]
        assert isinstance(newest, e.MeterValuesReported)
        assert newest.transaction_id == station.transaction(second).transaction_id


async def test_quirk_37_a_refused_start_has_a_number_of_its_own_and_minus_one_finds_it(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Hager: ConcurrentTx under id 0 ended in StopTransaction -1. Ours has a number, and -1 is attached to it."""
    async with booted(harness) as station:
        first = await station.charges()
        late = await station.starts(connector=2, meter=70)
        assert late["idTagInfo"] == {"status": "ConcurrentTx"}
        assert late["transactionId"] not in (0, first)
        stopped = await station.stops(-1, 75, idTag="TAG", reason="DeAuthorized")
        assert stopped == {"idTagInfo": ACCEPTED}
        assert station.transaction(first).state is TransactionState.OPEN  # its register was at 1000: it can't be meant
        ended = station.transaction(late["transactionId"])
        assert (ended.state, ended.energy) == (TransactionState.STOPPED, 5)
        assert Flag.TRANSACTION_INFERRED in harness.events(e.TransactionStopped.TYPE)[-1].flags


async def test_quirk_39_a_start_is_the_same_however_often_and_under_whichever_id_it_comes(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """MicroOcpp: resent before its time-out with the same id, then with new ones. Never ConcurrentTx with itself."""
    async with booted(harness) as station:
        start = {"connectorId": 1, "idTag": "TAG", "meterStart": 5, "timestamp": time()}
        for message_id in ("same", "same", "other"):
            await station.charger.send(2, message_id, "StartTransaction", start)
        answers = [await station.charger._next() for _ in range(3)]
        assert {answer[1] for answer in answers} == {"same", "other"}
        assert all(answer[2] == answers[0][2] for answer in answers)
        assert answers[0][2]["idTagInfo"] == ACCEPTED
        assert station.recorded(e.TransactionStarted.TYPE) == [e.TransactionStarted.TYPE]


async def test_quirk_69_a_start_that_comes_with_its_stop_is_flagged(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Schneider EVlink: the start comes at the end, from a register of 0. Recorded, with doubt about its energy."""
    async with booted(harness) as station:
        started = await station.starts(meter=0)
        assert await station.stops(started["transactionId"], 7400) == {}
        ended = station.transaction(started["transactionId"])
        assert (ended.state, ended.energy) == (TransactionState.STOPPED, 7400)
        assert Flag.METER_IMPLAUSIBLE in harness.events(e.TransactionStopped.TYPE)[-1].flags


async def test_quirk_71_numbers_never_collide_over_connectors_and_chargers(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Phoenix CHARX: a number is unique over all; each stop ends its own transaction."""
    harness.add_tag("OPEN", allow_concurrent=True)
    async with booted(harness) as one, booted(harness, "CP2") as two:
        numbers = [
            (await station.starts(connector, "OPEN"))["transactionId"] for station in (one, two) for connector in (1, 2)
        ]
        assert len(set(numbers)) == 4
        await one.stops(numbers[1])
        states = [one.transaction(number).state for number in numbers]
        assert states == [TransactionState.OPEN, TransactionState.STOPPED, TransactionState.OPEN, TransactionState.OPEN]


@pytest.mark.parametrize("tag", [{}, {"idTag": ""}, {"idTag": None}])
async def test_quirk_73_a_start_without_a_tag_is_confirmed(
    harness: Harness, autojump_clock: MockClock, tag: dict[str, Any]
) -> None:
    """Free vend: an empty or missing tag gets its standing, under a number of its own."""
    async with booted(harness) as station:
        started = await station.says("StartTransaction", connectorId=1, meterStart=0, timestamp=time(), **tag)
        assert started["transactionId"] > 0
        assert started["idTagInfo"] == {"status": "Invalid"}


async def test_quirk_73_free_vend_is_accepted_where_the_operator_accepts_the_empty_tag(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """By the policy for tags that are not in the table."""
    authorizer = TableAuthorizer(harness.reads, virtual_clock, "Accepted")
    harness.lookups = Lookups(harness.reads, authorizer, harness._number)
    async with booted(harness) as station:
        started = await station.says("StartTransaction", connectorId=1, meterStart=0, timestamp=time())
        assert started["idTagInfo"] == ACCEPTED


async def test_quirk_79_available_beside_an_open_transaction_is_flagged_and_ends_nothing(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Some: the stop was lost. Bills don't depend on statuses; the next start ends what was lost."""
    async with booted(harness) as station:
        number = await station.charges()
        await station.status(1, "Available")
        assert harness.events(e.ConnectorStatusChanged.TYPE)[-1].flags == (Flag.TRANSACTION_OPEN,)
        assert station.transaction(number).state is TransactionState.OPEN
        await trio.sleep(60)
        await station.starts(meter=1600)
        assert station.transaction(number).state is TransactionState.LOST


async def test_quirk_81_a_transaction_that_the_charger_ends_by_itself_can_begin_anew(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """EVBox: it ends while the car stays plugged; a start on the same connector follows."""
    async with booted(harness) as station:
        number = await station.charges()
        await station.status(1, "SuspendedEV")
        await station.stops(number, reason="Other")
        await station.status(1, "Preparing")
        again = await station.starts(meter=1500)
        assert again["idTagInfo"] == ACCEPTED
        await station.status(1, "Charging")


async def test_quirk_83_values_after_the_stop_without_a_number_are_no_sessions(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Wallbox Copper: kept, and in no transaction."""
    async with booted(harness) as station:
        number = await station.charges()
        await station.stops(number)
        await trio.sleep(30)
        values = [{"timestamp": time(), "sampledValue": [{"value": "1500"}]}]
        assert await station.says("MeterValues", connectorId=1, meterValue=values) == {}
        (body,) = harness.bodies(e.MeterValuesReported.TYPE)
        assert isinstance(body, e.MeterValuesReported)
        assert body.transaction_id is None


@pytest.mark.parametrize("clock", ["1970-01-01T00:00:12Z", "0001-01-01T00:00:00Z"])
async def test_quirks_19_21_a_clock_that_was_never_set_is_not_believed(
    harness: Harness, autojump_clock: MockClock, clock: str
) -> None:
    """MicroOcpp before its clock is set, ocpp-go's zero time: kept as sent, flagged; the time of receipt counts."""
    async with booted(harness) as station:
        await station.status(1, "Preparing", timestamp=clock)
        started = await station.starts(timestamp=clock)
        number = started["transactionId"]
        await trio.sleep(3600)
        assert await station.stops(number, timestamp=clock) == {}
        record = station.transaction(number)
        assert record.stopped_at is not None
        assert (record.stopped_at - record.started_at).total_seconds() == 3600
        assert (record.start_raw, record.stop_raw, record.energy) == (clock, clock, 500)
        for event in harness.events(e.TransactionStarted.TYPE, e.TransactionStopped.TYPE):
            assert Flag.CLOCK_SUSPECT in event.flags


async def test_a_boot_in_between_ends_no_transaction(harness: Harness, autojump_clock: MockClock) -> None:
    """Its stop may still be in the queue (B1.8)."""
    async with booted(harness) as station:
        number = await station.charges()
        assert (await station.says("BootNotification", **BOOT))["status"] == "Accepted"
        assert station.transaction(number).state is TransactionState.OPEN
        await station.stops(number)
        assert station.transaction(number).energy == 500

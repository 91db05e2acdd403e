"""A tag that may run one transaction at a time: where it runs says whether a start is one too many (S §7.2).

On the same connector a start shows that the stop before it was lost: that is no second transaction. On a real store,
so that the decision and the guard of its commit are held against each other.
"""

from contextlib import AsyncExitStack

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from gateway.control.energy import TransactionEnergies
from gateway.control.errors import Failure
from gateway.control.transactions import Transactions
from gateway.domain import events as e
from gateway.domain.decision import IdTagFree
from gateway.domain.records import TransactionState
from gateway.domain.values import ConnectorAddress
from gateway.store.api import EventFilter
from gateway.store.commits import Append, Appended, GuardFailed, PutIdTag
from tests.store.builders import of
from tests.support.harness import BOOT, Harness, boot, virtual_clock

START = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-03-01T12:00:00Z"}
LATER = START | {"meterStart": 300, "timestamp": "2026-03-01T12:30:00Z"}


@pytest.mark.parametrize(
    ("second", "status"),
    [
        ({"connectorId": 1, "idTag": "TAG"}, "Accepted"),
        ({"connectorId": 1, "idTag": "tag"}, "Accepted"),
        ({"connectorId": 2, "idTag": "TAG"}, "ConcurrentTx"),
        ({"connectorId": 2, "idTag": "tAg"}, "ConcurrentTx"),
        ({"connectorId": 2, "idTag": "OTHER"}, "Accepted"),
    ],
)
async def test_a_second_start_of_a_charge_point_is_judged_by_its_connector(
    harness: Harness, autojump_clock: MockClock, second: dict[str, object], status: str
) -> None:
    """The one on the same connector ends the first, without a stop of it."""
    harness.add_charge_point()
    harness.add_tag("TAG", allow_concurrent=False)
    harness.add_tag("OTHER", allow_concurrent=False)
    async with harness.connected() as charger:
        await boot(charger)
        first = await charger.call("StartTransaction", START)
        answer = await charger.call("StartTransaction", LATER | second)
    assert first["idTagInfo"]["status"] == "Accepted"
    assert answer["idTagInfo"]["status"] == status
    assert answer["transactionId"] != first["transactionId"]
    [*_, started] = harness.bodies(e.TransactionStarted.TYPE)
    assert isinstance(started, e.TransactionStarted)
    assert started.status == status
    lost = harness.bodies(e.TransactionLost.TYPE)
    assert len(lost) == (second["connectorId"] == 1)


@pytest.mark.parametrize("status", ["Blocked", "Expired", "Invalid"])
async def test_a_tag_that_is_refused_is_reported_with_the_reason_though_in_use(
    harness: Harness, autojump_clock: MockClock, status: str
) -> None:
    """That it is in use elsewhere is not what is wrong with it."""
    harness.add_charge_point()
    harness.add_tag("TAG", allow_concurrent=False)
    async with harness.connected() as charger:
        await boot(charger)
        await charger.call("StartTransaction", START)
        record = harness.store.id_tag("TAG")
        assert record is not None
        harness.store.commit([PutIdTag(evolve(record, status=status), create=False)])
        answer = await charger.call("StartTransaction", LATER | {"connectorId": 2})
    assert answer["idTagInfo"]["status"] == status


@pytest.mark.parametrize(("connector", "status"), [(1, "ConcurrentTx"), (2, "ConcurrentTx")])
async def test_the_same_connector_of_another_charge_point_is_another(
    harness: Harness, autojump_clock: MockClock, connector: int, status: str
) -> None:
    """Its number says nothing."""
    for identity in ("CP1", "CP2"):
        harness.add_charge_point(identity)
    harness.add_tag("TAG", allow_concurrent=False)
    async with harness.connected("CP1") as one, harness.connected("CP2") as two:
        await boot(one)
        await boot(two)
        await one.call("StartTransaction", START)
        answer = await two.call("StartTransaction", LATER | {"connectorId": connector})
    assert answer["idTagInfo"]["status"] == status


async def test_a_tag_that_may_run_several_runs_several(harness: Harness, autojump_clock: MockClock) -> None:
    """On either connector."""
    harness.add_charge_point()
    harness.add_tag("TAG", allow_concurrent=True)
    async with harness.connected() as charger:
        await boot(charger)
        for connector in (1, 2):
            answer = await charger.call("StartTransaction", LATER | {"connectorId": connector})
            assert answer["idTagInfo"]["status"] == "Accepted"


async def test_after_its_stop_a_tag_is_free_everywhere(harness: Harness, autojump_clock: MockClock) -> None:
    """Nothing is remembered of a transaction that is over."""
    harness.add_charge_point()
    harness.add_tag("TAG", allow_concurrent=False)
    async with harness.connected() as charger:
        await boot(charger)
        number = (await charger.call("StartTransaction", START))["transactionId"]
        await charger.call(
            "StopTransaction", {"transactionId": number, "meterStop": 200, "timestamp": LATER["timestamp"]}
        )
        answer = await charger.call("StartTransaction", LATER | {"connectorId": 2})
    assert answer["idTagInfo"]["status"] == "Accepted"


@pytest.mark.parametrize(
    ("identity", "place", "free"),
    [
        ("CP1", ConnectorAddress(1, 1), True),
        ("CP1", ConnectorAddress(2, 1), False),
        ("CP1", ConnectorAddress(1, 2), False),
        ("CP2", ConnectorAddress(1, 1), False),
    ],
)
async def test_the_guard_of_a_start_says_the_same(
    harness: Harness, autojump_clock: MockClock, identity: str, place: ConnectorAddress, free: bool
) -> None:
    """It is what decides where two start at the same moment."""
    for each in ("CP1", "CP2"):
        harness.add_charge_point(each)
    body = e.TransactionStarted("tx_1", 1, ConnectorAddress(1, 1), "TAG", "Accepted", 100, "key")
    [begun] = harness.store.commit([Append("CP1", None, (e.NewEvent(body, virtual_clock()),))])
    assert isinstance(begun, Appended)
    [result] = harness.store.commit([Append(identity, None, (), (IdTagFree("tag", place),))])
    assert isinstance(result, Appended if free else GuardFailed)


async def test_a_charger_that_lost_its_transaction_does_not_lock_its_customer_out(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """It comes back as another unit, Available on 0 and 1: the record is open and stale, and its tag is free."""
    for identity in ("CP1", "CP2"):
        harness.add_charge_point(identity)
    harness.add_tag("TAG", allow_concurrent=False)
    async with harness.connected("CP1") as one:
        await one.call("BootNotification", BOOT | {"chargePointSerialNumber": "A"})
        number = (await one.call("StartTransaction", START))["transactionId"]
    async with harness.connected("CP1") as one, harness.connected("CP2") as two:
        await one.call("BootNotification", BOOT | {"chargePointSerialNumber": "B"})
        for connector in (0, 1):
            said = {"connectorId": connector, "status": "Available", "errorCode": "NoError"}
            await one.call("StatusNotification", said)
        record = harness.store.transaction_by_number(number)
        assert record is not None
        assert (record.state, record.stale_why) == (TransactionState.OPEN, "another-unit")
        await boot(two)
        answer = await two.call("StartTransaction", LATER)
        assert answer["idTagInfo"]["status"] == "Accepted"


async def test_of_three_starts_only_the_accepted_one_keeps_the_tag(harness: Harness, autojump_clock: MockClock) -> None:
    """At A (Accepted), at B (ConcurrentTx, never stopped); A stops; at C it is Accepted."""
    for identity in ("A", "B", "C"):
        harness.add_charge_point(identity)
    harness.add_tag("TAG", allow_concurrent=False)
    statuses = []
    for identity in ("A", "B", "C"):
        async with harness.connected(identity) as charger:
            await boot(charger)
            started = await charger.call("StartTransaction", START)
            statuses.append(started["idTagInfo"]["status"])
        if identity == "B":
            async with harness.connected("A") as charger:
                stop = {"transactionId": 1, "meterStop": 200, "timestamp": LATER["timestamp"]}
                await charger.call("StopTransaction", stop)
    assert statuses == ["Accepted", "ConcurrentTx", "Accepted"]


@pytest.mark.parametrize("live", [True, False])
async def test_a_transaction_that_an_orphan_is_tied_to_is_over_for_the_session_too(
    harness: Harness, autojump_clock: MockClock, live: bool
) -> None:
    """A connected one follows, the next one begins without it: its tag is free."""
    harness.add_charge_point()
    harness.add_tag("TAG", allow_concurrent=False)
    energies = TransactionEnergies(harness.reads, virtual_clock)
    transactions = Transactions(harness.journal, harness.reads, harness.router, energies, virtual_clock)
    async with AsyncExitStack() as stack:
        charger = await stack.enter_async_context(harness.connected())
        await boot(charger)
        number = (await charger.call("StartTransaction", START))["transactionId"]
        stop = {"transactionId": number + 10_000, "meterStop": 9_000_000, "timestamp": START["timestamp"]}
        await charger.call("StopTransaction", stop)
        (orphan,) = harness.store.find_orphans(of(charge_point="CP1"), "", 10).records
        record = harness.store.transaction_by_number(number)
        assert record is not None
        if not live:
            await charger.lose_link()
            await trio.sleep(1)
        ended = await transactions.attribute(orphan.event_id, record.transaction_id, "found", "r-1", False)
        assert ended.record.state is TransactionState.STOPPED
        if not live:
            charger = await stack.enter_async_context(harness.connected())
        started = await charger.call("StartTransaction", LATER)
        assert started["idTagInfo"]["status"] == "Accepted"
        lost = EventFilter(types=frozenset({"transaction.lost"}))
        assert harness.store.events(0, 100, lost).events == ()


@pytest.mark.parametrize("live", [True, False])
async def test_a_transaction_that_an_operator_closed_is_over_for_the_session_too(
    harness: Harness, autojump_clock: MockClock, live: bool
) -> None:
    """A connected one follows, the next one begins without it; a start loses nothing, and a late stop counts."""
    harness.add_charge_point()
    harness.add_tag("TAG", allow_concurrent=False)
    energies = TransactionEnergies(harness.reads, virtual_clock)
    transactions = Transactions(harness.journal, harness.reads, harness.router, energies, virtual_clock)
    async with AsyncExitStack() as stack:
        charger = await stack.enter_async_context(harness.connected())
        await boot(charger)
        number = (await charger.call("StartTransaction", START))["transactionId"]
        record = harness.store.transaction_by_number(number)
        assert record is not None
        if not live:
            await charger.lose_link()
            await trio.sleep(1)
        closed = await transactions.close(record.transaction_id, "does not answer", None, None, False)
        assert closed.record.state is TransactionState.CLOSED
        if not live:
            charger = await stack.enter_async_context(harness.connected())
        await charger.call("StartTransaction", LATER)
        assert harness.bodies(e.TransactionLost.TYPE) == []
        stop = {"transactionId": number, "meterStop": 250, "timestamp": "2026-03-01T12:20:00Z"}
        assert await charger.call("StopTransaction", stop) == {}
        stopped = harness.store.transaction(record.transaction_id)
        assert stopped is not None
        assert (stopped.state, stopped.energy) == (TransactionState.STOPPED, 150)
    with pytest.raises(Failure) as refused:
        await transactions.close(record.transaction_id, "again", None, None, False)
    assert refused.value.reason == "TRANSACTION_NOT_OPEN"

"""Reading the history: pages, filters, orphans, and what retention leaves of it."""

import random
from datetime import timedelta

import pytest

from gateway.domain.events import TransactionOrphaned
from gateway.domain.records import TransactionState
from gateway.store.api import Bounds, EventFilter
from gateway.store.commits import Append, Forget, Trim, Trimmed
from gateway.store.postgres import history
from gateway.store.sqlite import event_queries
from tests.store.builders import (
    ALL,
    above,
    answered,
    append,
    at,
    connect,
    event,
    meter,
    nth,
    of,
    one,
    queued,
    sent,
    started,
    status,
    stopped,
)


def everything(store, where, limit, after=0):
    """All that a filter lets through, page by page up to the head."""
    found = []
    while after < store.bounds().head:
        page = store.events(after, limit, where)
        assert page.position > after
        assert all(after < e.sequence <= page.position for e in page.events)
        found += page.events
        after = page.position
    return found


def _three_chargers(store):
    for identity in ("A", "B", "C"):
        connect(store, identity)
    for n in range(40):
        append(store, status(str(n)) if n % 4 else meter(None), identity="ABC"[n % 3])


@pytest.mark.parametrize("limit", [1, 3, 1000])
@pytest.mark.parametrize("charge_points", [(), ("A",), ("A", "C"), ("A", "unknown"), ("unknown",), ("a",)])
@pytest.mark.parametrize("wanted", [(), ("meter_values.reported",), ("connector.status_changed", "x"), ("x",)])
def test_a_filter_lets_through_exactly_what_it_names(store, limit, charge_points, wanted):
    """Whatever the page length: the same events as sieving all of them, in order."""
    _three_chargers(store)
    where = EventFilter(frozenset(charge_points), frozenset(wanted))
    expected = [
        e
        for e in everything(store, ALL, 1000)
        if (not charge_points or e.charge_point in charge_points) and (not wanted or e.type in wanted)
    ]
    assert everything(store, where, limit) == expected


@pytest.mark.parametrize("names", [frozenset({"A"}), frozenset({"A", *map(str, range(30))}), frozenset()])
def test_one_call_looks_at_a_bounded_stretch(store, monkeypatch, names):
    """A filter that lets nothing through still answers soon, with how far it looked."""
    for module in (event_queries, history):
        monkeypatch.setattr(module, "STRETCH", 10)
    _three_chargers(store)
    head = store.bounds().head
    page = store.events(0, 1000, EventFilter(names, frozenset({"firmware.status_reported"})))
    assert page.events == ()
    assert 0 < page.position < head
    where = EventFilter(names, frozenset({"meter_values.reported"}))
    assert len(everything(store, where, 2)) == (4 if names else 10)


def test_the_head_is_where_a_page_ends(store):
    """Nothing above it; a position beyond it stays where it is."""
    assert store.events(0, 10, ALL) == store.events(0, 10, EventFilter(frozenset({"x"})))
    connect(store)
    (head,) = nth(store, 2)
    assert store.events(0, 10, ALL).position == store.bounds().head == head
    assert store.events(head, 10, ALL).position == head
    assert store.events(2**70, 10, ALL).events == ()


def test_orphans_are_found_among_everything(store):
    """Of one charge point or of all, in pages."""
    connect(store)
    connect(store, "CP2")
    for n in range(4):
        append(store, TransactionOrphaned(n, "unknown-number", {"transactionId": n}), identity=f"CP{1 + n % 2}")
        append(store, status(str(n)))
    every = store.find_orphans(of(), "", 10).records
    assert [e.type for e in every] == ["transaction.orphaned"] * 4
    assert [e.charge_point for e in store.find_orphans(of(charge_point="CP2"), "", 10).records] == ["CP2", "CP2"]
    first = store.find_orphans(of(), "", 2)
    assert store.find_orphans(of(), first.after, 1).records == [every[2]]
    assert store.find_orphans(of(charge_point="nobody"), "", 10).records == []


# --- retention ------------------------------------------------------------------------------------------------


def trim_all(store, before=None, limit=3):
    """Steps until nothing is left to do; answers how many events went."""
    deleted = 0
    while True:
        floor = store.bounds().floor
        step = one(store, Trim(before, limit))
        assert step.deleted <= limit
        assert step.floor == store.bounds().floor >= floor
        deleted += step.deleted
        if not step.deleted and step.floor == floor:
            return deleted


def test_trimming_by_age_takes_the_older_events_only(store):
    """The floor is the newest event that was old enough; the head and later sequences don't change."""
    connect(store)
    for n in range(10):
        append(store, status(str(n)), seconds=n)
    before = above(store, 0)
    assert trim_all(store, at(5)) == 7
    assert store.bounds() == Bounds(before[6], before[11])
    assert above(store, 0) == before[7:]
    assert append(store, status()).sequences == above(store, before[11])


def test_trimming_regardless_of_age_can_take_everything(place):
    """Sequences go on from where they were, also after a restart."""
    store = place.open()
    connect(store)
    append(store, status(), status())
    (head,) = nth(store, 4)
    assert trim_all(store) == 4
    store = place.open()
    assert store.bounds() == Bounds(head, head)
    assert append(store, status()).sequences == above(store, head)


def test_events_of_open_transactions_stay_below_the_floor(store):
    """Their readings are whole; the feed of events begins above the floor all the same."""
    connect(store)
    append(store, started(1), meter(1), status(), meter(1))
    append(store, queued(1), sent(1), answered(1))
    before = nth(store, 3, 4, 6)
    (head,) = nth(store, 9)
    assert trim_all(store) == 6
    assert store.bounds() == Bounds(head, head)
    assert tuple(e.sequence for e in store.readings("tx_1", 0, 10)) == before
    assert store.events(0, 10, ALL).events == ()
    assert store.transaction("tx_1").state is TransactionState.OPEN
    assert store.command("cmd_1") is not None
    forget(store)
    assert store.command("cmd_1") is None


def forget(store):
    """All that has outlived its events, at once."""
    floor = store.bounds().floor
    while one(store, Forget(None, timedelta(7), timedelta(30), 3, floor, floor)).deleted:
        pass


def test_a_transaction_goes_some_time_after_its_events(store):
    """Its events of the time when it was open go in steps; the transaction goes when its own age is up."""
    connect(store)
    append(store, started(1), *[meter(1) for _ in range(10)])
    trim_all(store)
    append(store, stopped(1), meter(1), status())
    assert trim_all(store, limit=4) == 11 + 3
    assert store.transaction_by_start_key("CP1", "key1").transaction_id == "tx_1"
    assert store.readings("tx_1", 0, 10) == []
    forget(store)
    assert store.transaction("tx_1") is None
    assert store.readings("tx_1", 0, 10) == []
    assert store.transaction_by_start_key("CP1", "key1") is None
    append(store, meter(1))
    assert store.events(store.bounds().floor, 10, ALL).events[0].transaction_id == "tx_1"


def test_what_has_outlived_its_events_goes_by_the_age_of_that(store):
    """Commands for one time, transactions for another, both from when it was first seen that the events are gone; what
    went later stays for as much longer."""
    connect(store)
    append(store, queued(1), sent(1), answered(1), started(1), stopped(1))
    trim_all(store)
    week, month = timedelta(7), timedelta(30)

    def left(after: timedelta) -> list[bool]:
        one(store, Forget(at() + after, week, month, 100, 0, 0))
        found = (store.command("cmd_1"), store.command("cmd_2"), store.transaction("tx_1"), store.transaction("tx_2"))
        return [each is not None for each in found]

    assert left(timedelta()) == [True, False, True, False]
    append(store, queued(2), sent(2), answered(2), started(2), stopped(2))
    trim_all(store)
    assert left(timedelta(1)) == [True, True, True, True]
    assert left(week - timedelta(seconds=1)) == [True, True, True, True]
    assert left(week) == [False, True, True, True]
    assert left(week + timedelta(1) - timedelta(seconds=1)) == [False, True, True, True]
    assert left(week + timedelta(1)) == [False, False, True, True]
    assert left(month - timedelta(seconds=1)) == [False, False, True, True]
    assert left(month) == [False, False, False, True]
    assert left(month + timedelta(1)) == [False, False, False, False]


def test_a_transaction_with_an_event_above_the_floor_stays(store):
    """A late reading holds the record."""
    connect(store)
    append(store, started(1), stopped(1))
    append(store, meter(1), seconds=10)
    late = nth(store, 5)
    trim_all(store, at(5))
    assert store.transaction("tx_1") is not None
    assert tuple(e.sequence for e in store.readings("tx_1", 0, 10)) == late


def test_unfinished_commands_outlive_retention(store):
    """Whatever is still to be answered is kept."""
    connect(store)
    append(store, queued(1), queued(2), sent(2))
    trim_all(store)
    assert store.command("cmd_1")
    assert store.command("cmd_2")


def test_a_step_in_a_batch_sees_the_events_before_it(store):
    """Order within a batch is the order of its writes."""
    connect(store)
    results = store.commit([Append("CP1", 1, (event(status()),)), Trim(None, 10)])
    assert results[1] == Trimmed(3, *results[0].sequences)
    assert store.bounds().head == store.bounds().floor


def digits():
    """A long value that nothing makes shorter."""
    return "".join(random.choices("0123456789abcdef", k=4_000))


def test_deleting_makes_room(store):
    """The size that retention is held against falls as events go."""
    connect(store)
    for _ in range(20):
        store.commit([Append("CP1", 1, tuple(event(meter(None, digits())) for _ in range(50)))])
    before = store.size_bytes()
    trim_all(store, limit=500)
    assert store.size_bytes() < before - 1_500_000

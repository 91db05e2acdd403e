"""Retention in small steps, in virtual time, and what a wrong clock makes of it."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import trio
from structlog.testing import capture_logs

from gateway.domain.events import NewEvent
from gateway.journal import Journal, Retention
from gateway.journal import retention as constants
from gateway.journal.clock_watch import AWAY, STEADY, TOLERANCE, ClockWatch
from gateway.journal.retention import INTERVAL, MAX_OUTLIVED, REQUEST_IDS, START_KEYS, SWEEP_SPAN, SWEEP_STEPS
from gateway.store.commits import Append, ClockRecord, RecordClock, Trim
from gateway.store.reads import Reads
from gateway.store.sqlite import SqliteStore
from tests.journal.conftest import running
from tests.journal.fakes import Inline
from tests.journal.test_journal import write
from tests.store.builders import T0, answered, connect, queued, sent, started, status, stopped

DAYS = 90
"""The default of ``store.retention.max_age_days``."""

YEARS = timedelta(days=12 * 365)


def clock():
    return T0


async def fill(journal, count):
    await journal.commit(write(count=count))


def trusted(store, at=T0):
    """The clock was seen a moment ago."""
    store.clock = ClockRecord(at, False, "", 0.0, 0)


# --- steps ----------------------------------------------------------------------------------------------------


async def test_everything_is_kept_for_ever_by_default(journal, store, autojump_clock):
    """The task ends at once."""
    await fill(journal, 10)
    with trio.fail_after(1):
        await Retention(journal, Reads(store, journal), clock).run()
    assert store.floor == 0


async def test_age_is_counted_from_now(journal, store, autojump_clock):
    """Steps of STEP events until there is nothing older left."""
    await fill(journal, 1_200)
    trusted(store)
    assert await Retention(journal, Reads(store, journal), clock, max_age_days=30).sweep() == 1_200
    trims = [w for w in store.writes if isinstance(w, Trim)]
    assert trims == [Trim(store.received + SWEEP_SPAN, constants.STEP, T0)] * 4


async def test_a_young_history_costs_no_commit(journal, store, autojump_clock):
    """Nor does one whose oldest event is of exactly the age that is kept."""
    await fill(journal, 10)
    trusted(store)
    for age in (timedelta(), timedelta(days=29), timedelta(days=30)):
        store.received = T0 - age
        assert await Retention(journal, Reads(store, journal), clock, max_age_days=30).sweep() == 0
    assert not any(isinstance(each, Trim) for each in store.writes)
    store.received = T0 - timedelta(days=30, microseconds=1)
    assert await Retention(journal, Reads(store, journal), clock, max_age_days=30).sweep() == 10


async def test_bytes_are_freed_until_they_fit(journal, store, autojump_clock):
    """The oldest go, no more than needed; where nothing can go the sweep ends."""
    await fill(journal, 2_000)
    store.size = 2_000_000
    retention = Retention(journal, Reads(store, journal), clock, max_bytes=1_200_000)
    assert await retention.sweep() == 1_000
    assert store.size == 1_000_000
    assert await retention.sweep() == 0
    store.size = 9_000_000
    assert await retention.sweep() == 1_000
    assert await retention.sweep() == 0


async def test_sessions_commit_between_the_steps(journal, store, autojump_clock):
    """A sweep of many steps holds up no session."""
    await fill(journal, 50_000)
    trusted(store)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Retention(journal, Reads(store, journal), clock, max_age_days=1).sweep)
        await trio.sleep(1)
        with trio.fail_after(constants.PAUSE):
            await journal.commit(write())
        assert store.floor < store.head
        nursery.cancel_scope.cancel()


async def test_a_store_that_is_unavailable_is_swept_later(journal, store, autojump_clock):
    """The task survives it."""
    await fill(journal, 10)
    trusted(store)
    store.broken = True
    async with trio.open_nursery() as nursery:
        await nursery.start(Retention(journal, Reads(store, journal), clock, max_age_days=1).run)
        await trio.sleep(10)
        store.broken = False
        assert store.floor == 0
        await trio.sleep(2 * constants.INTERVAL)
        assert store.floor == 10
        nursery.cancel_scope.cancel()


async def test_one_sweep_by_age_takes_so_many_events_at_most(journal, store, autojump_clock):
    """However much is old, and however short the time in which it came."""
    most = SWEEP_STEPS * constants.STEP
    store.head = most + 1_000
    trusted(store)
    retention = Retention(journal, Reads(store, journal), clock, max_age_days=1)
    assert await retention.sweep() == most
    assert await retention.sweep() == 1_000


# --- a wrong clock --------------------------------------------------------------------------------------------


class Place:
    """A store with a history, in virtual time, and a wall clock that can be set."""

    def __init__(self, path):
        self.path = path
        self.offset = T0 - datetime.fromtimestamp(0, UTC)
        self.jumps = 0
        self.store = SqliteStore(path, clock=self.now)
        connect(self.store)

    def now(self):
        return datetime.fromtimestamp(trio.current_time(), UTC) + self.offset

    def set(self, by):
        self.offset += by

    def record(self, *times):
        """Events of these times, in this order."""
        for at in times:
            self.store.commit([Append("CP1", None, (NewEvent(status(), at),))])

    async def commit_now(self, *bodies):
        await self.journal.commit(
            Append("CP1", None, tuple(NewEvent(body, self.now()) for body in bodies or (status(),)))
        )

    def restart(self):
        self.store.close()
        self.store = SqliteStore(self.path, clock=self.now)

    async def begin(self, journal, **limits):
        self.journal = journal
        self.watch = ClockWatch(journal, Reads(self.store, journal), self.now, self._jumped)
        limits = limits or {"max_age_days": DAYS}
        self.retention = Retention(journal, Reads(self.store, journal), self.now, watch=self.watch, **limits)
        await self.watch.trusted()

    def _jumped(self):
        self.jumps += 1

    @property
    def left(self):
        bounds = self.store.bounds()
        return bounds.head - bounds.floor

    async def sweeps(self, span, *, events=True, every=5 * INTERVAL):
        """Sweep every few minutes for so long; with an event every hour."""
        deleted, until, hour = 0, trio.current_time() + span.total_seconds(), trio.current_time()
        while trio.current_time() < until:
            if events and trio.current_time() >= hour:
                await self.commit_now()
                hour += 3_600
            deleted += await self.retention.sweep()
            await trio.sleep(every)
        return deleted


@pytest.fixture
async def place(tmp_path):
    """Two events a day for a hundred days, the newest an hour old."""
    place = Place(tmp_path / "gateway.db")
    now = place.now()
    place.store.commit([Trim(None, 500)])
    place.record(*(now - timedelta(hours=12 * n + 1) for n in reversed(range(200))))
    yield place
    place.store.close()


def journal_of(place):
    return running(Journal(place.store, run_sync=Inline()))


async def test_a_clock_that_jumps_ahead_while_the_gateway_runs_deletes_nothing(place, autojump_clock):
    """By age; by bytes what has to go goes."""
    async with journal_of(place) as journal:
        await place.begin(journal, max_age_days=DAYS)
        await place.sweeps(timedelta(days=1))
        before = place.left
        place.set(YEARS)
        with capture_logs() as logs:
            assert await place.sweeps(timedelta(hours=23)) == 0
        assert place.left == before + 23
        assert place.retention.waits
        assert place.jumps == 1
        assert [line["event"] for line in logs if line["log_level"] == "error"] == [
            "the clock is doubted: retention by age waits"
        ]
        place.retention = Retention(
            journal, Reads(place.store, journal), place.now, max_age_days=DAYS, max_bytes=1, watch=place.watch
        )
        assert await place.retention.sweep() == before + 23


async def test_a_jump_shows_at_once_to_those_who_can_not_wait(place, autojump_clock):
    """Before the watch has looked, after it has, and until the clock is trusted again; a clock that is set by seconds
    has not jumped."""
    async with journal_of(place) as journal:
        await place.begin(journal, max_age_days=DAYS)
        await place.sweeps(timedelta(hours=1))
        assert place.watch.is_even()
        place.set(timedelta(seconds=30))
        assert place.watch.is_even()
        place.set(YEARS)
        assert not place.watch.is_even()
        await place.watch.trusted()
        assert not place.watch.is_even()
        assert await place.watch.confirm(place.now())
        assert place.watch.is_even()


@pytest.mark.parametrize("by", [YEARS, -YEARS, timedelta(days=60), AWAY + timedelta(hours=2)])
async def test_a_clock_that_is_wrong_at_the_start_deletes_nothing(place, autojump_clock, by):
    """The first start on an existing history, held against the newest event, and a later one."""
    place.set(by)
    for _ in range(2):
        async with journal_of(place) as journal:
            await place.begin(journal)
            assert await place.sweeps(timedelta(hours=1)) == 0
            assert place.retention.waits
        place.restart()


async def test_a_clock_that_runs_as_it_should_is_not_complained_of(place, autojump_clock):
    """Neither at the first start nor at a later one."""
    with capture_logs() as logs:
        for _ in range(2):
            async with journal_of(place) as journal:
                await place.begin(journal)
                assert place.store.clock_record().seen_at == place.now()
                await place.sweeps(timedelta(hours=1))
                assert not place.retention.waits
                assert (await place.watch.status()).steady == timedelta()
            place.restart()
    assert [line["event"] for line in logs if line["log_level"] != "info"] == []
    assert place.jumps == 0


@pytest.mark.parametrize("by", [AWAY + timedelta(hours=2), -6 * TOLERANCE])
async def test_a_clock_that_changes_between_two_runs_is_doubted(place, autojump_clock, by):
    """By what was written down of it."""
    async with journal_of(place) as journal:
        await place.begin(journal)
        await place.sweeps(timedelta(hours=1))
        assert not place.retention.waits
    place.restart()
    place.set(by)
    async with journal_of(place) as journal:
        await place.begin(journal)
        assert await place.sweeps(timedelta(hours=1)) == 0
        assert place.retention.waits


async def test_a_doubted_clock_is_trusted_after_a_day_beside_new_events(place, autojump_clock):
    """And what a sweep takes is bounded then, too."""
    async with journal_of(place) as journal:
        await place.begin(journal)
        place.set(YEARS)
        before = place.left
        assert await place.sweeps(STEADY - timedelta(hours=1)) == 0
        assert await place.sweeps(timedelta(hours=2)) > 0
        assert not place.retention.waits
        assert place.left > before - 60


async def test_without_new_events_it_is_not(place, autojump_clock):
    """An idle copy of a store on a bench proves nothing about its clock."""
    async with journal_of(place) as journal:
        await place.begin(journal)
        place.set(YEARS)
        assert await place.sweeps(3 * STEADY, events=False) == 0
        await place.commit_now()
        assert await place.sweeps(timedelta(minutes=5), events=False) > 0


async def test_every_jump_begins_the_day_anew(place, autojump_clock):
    """Back and forth."""
    async with journal_of(place) as journal:
        await place.begin(journal)
        for by in (YEARS, -YEARS, YEARS, -YEARS):
            place.set(by)
            assert await place.sweeps(STEADY - timedelta(hours=1)) == 0
        assert place.jumps == 4
        assert await place.sweeps(timedelta(hours=2)) > 0


async def test_a_restart_right_after_a_jump_trusts_nothing(place, autojump_clock):
    """Events of the wrong time are the newest then. The day counts on, across the restart."""
    async with journal_of(place) as journal:
        await place.begin(journal)
        await place.sweeps(timedelta(hours=1))
        place.set(YEARS)
        assert await place.sweeps(timedelta(hours=12)) == 0
    place.restart()
    async with journal_of(place) as journal:
        await place.begin(journal)
        assert await place.sweeps(timedelta(hours=11)) == 0
        assert place.retention.waits
        assert await place.sweeps(timedelta(hours=2)) > 0


async def test_a_jump_while_the_gateway_is_stopped_is_seen_by_what_was_written_down(place, autojump_clock):
    """Though the newest event is of the wrong time already."""
    async with journal_of(place) as journal:
        await place.begin(journal)
        await place.sweeps(timedelta(hours=1))
        place.set(YEARS)
        await place.commit_now()
    place.restart()
    async with journal_of(place) as journal:
        await place.begin(journal)
        assert await place.retention.sweep() == 0
        assert place.retention.waits


async def test_an_operators_word_ends_the_waiting(place, autojump_clock):
    """At the time that they were shown, and no other."""
    async with journal_of(place) as journal:
        await place.begin(journal)
        place.set(timedelta(days=60))
        assert await place.retention.sweep() == 0
        status = await place.watch.status()
        assert (status.doubted, status.now) == (True, place.now())
        assert not await place.watch.confirm(place.now() - 2 * TOLERANCE)
        assert await place.watch.confirm(status.now)
        assert 0 < await place.retention.sweep() < 10
        assert not (await place.watch.status()).doubted
        assert await place.watch.confirm(place.now())


async def test_after_weeks_of_standstill_ageing_goes_on_slowly(place, autojump_clock):
    """A day of waiting, and then ten times as fast as time."""
    place.set(timedelta(days=21))
    async with journal_of(place) as journal:
        await place.begin(journal)
        assert await place.sweeps(STEADY - timedelta(minutes=30)) == 0
        deleted = [await place.sweeps(timedelta(minutes=10), every=INTERVAL) for _ in range(12)]
        assert max(deleted) <= 10
        assert sum(deleted) == 64
        assert place.store.oldest_time(place.now()) >= place.now() - timedelta(days=DAYS)


async def test_a_sweep_takes_so_much_of_history_at_most(tmp_path, autojump_clock):
    """A dense history of five hours that became old at once goes by ten minutes a sweep."""
    place = Place(tmp_path / "gateway.db")
    now = place.now()
    place.store.commit([Trim(None, 500)])
    place.record(*(now - timedelta(days=DAYS + 1) + timedelta(minutes=n) for n in range(300)), now)
    with closing(place.store):
        async with journal_of(place) as journal:
            await place.begin(journal)
            first = [await place.retention.sweep() for _ in range(40)]
    assert max(first) <= SWEEP_SPAN / timedelta(minutes=1) + 3
    assert sum(first) == 300


async def test_small_steps_of_a_clock_are_no_jumps(place, autojump_clock):
    """It is set by seconds, every hour for a month."""
    async with journal_of(place) as journal:
        await place.begin(journal)
        for _ in range(40):
            place.set(timedelta(seconds=10))
            await place.sweeps(timedelta(hours=1))
        assert place.jumps == 0


async def test_what_is_known_of_the_clock_is_written_now_and_then(place, autojump_clock):
    """Not with every look: an idle gateway's disk stays idle."""
    writes = []
    commit = place.store.commit
    place.store.commit = lambda batch: writes.extend(batch) or commit(batch)
    async with journal_of(place) as journal:
        watch = ClockWatch(journal, Reads(place.store, journal), place.now)
        async with trio.open_nursery() as nursery:
            await nursery.start(watch.run)
            await trio.sleep(3_600)
            nursery.cancel_scope.cancel()
    assert 6 <= len([each for each in writes if isinstance(each, RecordClock)]) <= 8


async def test_events_of_a_future_clock_stop_nothing(place, autojump_clock):
    """A clock was twelve years ahead for a while: what it dated goes with what follows."""
    now = place.now()
    place.store.commit([Trim(None, 500)])
    old = now - timedelta(days=DAYS + 5)
    place.record(old, now + YEARS, old + timedelta(hours=1), *[now + YEARS] * 1_200, old + timedelta(hours=2), now)
    async with journal_of(place) as journal:
        await place.begin(journal)
        await place.sweeps(timedelta(minutes=10), events=False, every=INTERVAL)
    assert place.left == 1


async def test_events_of_a_future_clock_go_no_earlier_than_what_follows(place, autojump_clock):
    """Their age is not known before that."""
    now = place.now()
    place.store.commit([Trim(None, 500)])
    old = now - timedelta(days=DAYS + 5)
    place.record(old, *[now + YEARS] * 600, now - timedelta(days=1), now)
    async with journal_of(place) as journal:
        await place.begin(journal)
        await place.sweeps(timedelta(minutes=10), events=False, every=INTERVAL)
    assert place.left == 602


async def test_events_of_a_clock_that_was_behind_go_no_earlier_than_what_follows(place, autojump_clock):
    """A clock that was never set, at the beginning, and one that went back in the middle."""
    now = place.now()
    place.store.commit([Trim(None, 500)])
    place.record(*[datetime.fromtimestamp(5, UTC)] * 600, now - timedelta(days=DAYS + 5))
    place.record(*[now - timedelta(days=300)] * 600, now - timedelta(days=1), now)
    async with journal_of(place) as journal:
        await place.begin(journal)
        await place.sweeps(timedelta(minutes=10), events=False, every=INTERVAL)
    assert place.left == 602


# --- what outlives its events ---------------------------------------------------------------------------------


@pytest.fixture
async def finished(place, autojump_clock):
    """A command and a transaction that are over, and whose events are gone by bytes."""
    place.set(timedelta(0))
    async with journal_of(place) as journal:
        await place.begin(journal, max_bytes=1)
        await place.commit_now(queued(1), sent(1), answered(1), started(1), stopped(1))
        await place.retention.sweep()
        assert place.left == 0
        yield place


def known(place):
    return (
        place.store.command_by_request("CP1", "req1") is not None,
        place.store.transaction_by_start_key("CP1", "key1") is not None,
    )


async def test_request_ids_and_start_keys_outlive_their_events(finished, autojump_clock):
    """For as long as docs/events.md promises, however little the store may hold."""
    hour = timedelta(hours=1)
    await finished.sweeps(REQUEST_IDS - hour, events=False, every=3_600)
    assert known(finished) == (True, True)
    await finished.sweeps(3 * hour, events=False)
    assert known(finished) == (False, True)
    assert finished.store.transaction_by_number(1) is not None
    await trio.sleep((START_KEYS - REQUEST_IDS - 4 * hour).total_seconds())
    await finished.retention.sweep()
    assert known(finished) == (False, True)
    await finished.sweeps(6 * hour, events=False)
    assert known(finished) == (False, False)


async def test_a_clock_that_jumps_forgets_neither(finished, autojump_clock):
    """While it is doubted no time counts, and afterwards the time begins anew."""
    finished.set(YEARS)
    await finished.sweeps(STEADY + timedelta(days=5), every=3_600)
    assert not finished.watch.doubted
    assert known(finished) == (True, True)


async def test_what_outlives_its_events_is_bounded(finished, autojump_clock, monkeypatch):
    """The oldest go first, also while the clock is doubted."""
    assert MAX_OUTLIVED == 2_000_000
    monkeypatch.setattr(constants, "MAX_OUTLIVED", 3)
    finished.set(YEARS)
    for number in range(2, 6):
        await finished.commit_now(queued(number), sent(number), answered(number), started(number), stopped(number))
    await finished.retention.sweep()
    await finished.retention.sweep()
    assert [finished.store.command(f"cmd_{n}") is not None for n in range(1, 6)] == [False, False, True, True, True]
    assert [finished.store.transaction(f"tx_{n}") is not None for n in range(1, 6)] == [False, False, True, True, True]

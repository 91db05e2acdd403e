"""The Trio side of control, in virtual time, with fakes at its ports: no thread, no gRPC."""

from contextlib import aclosing, asynccontextmanager

import pytest
import trio
from attrs import define, field

from gateway.control.charge_points import Change, ChargePoints, NewChargePoint
from gateway.control.commands import CommandCalls
from gateway.control.errors import Failure, Status
from gateway.control.event_streams import EventStreams
from gateway.control.id_tags import ATTEMPTS, IdTags, TagFields
from gateway.domain.commands import CommandState, RefusalReason, Refused, Reset, ResetType
from gateway.domain.records import ChargePointRecord, IdTagRecord
from gateway.domain.values import Registration
from gateway.errors import StoreUnavailable
from gateway.feed import Batch, BelowFloor, tokens
from gateway.store.api import EventFilter, Generation
from gateway.store.commits import Appended, GuardFailed
from gateway.store.reads import Reads
from tests.control.fakes import NOW, FakeCommands, answered

RESET = Reset(ResetType.SOFT)


@define
class FakeJournal:
    """Answers writes with ``result`` after ``seconds``, and reads with ``record``; StoreUnavailable if broken."""

    result: object = Appended(())
    record: object = None
    seconds: float = 0.0
    broken: bool = False
    committed: list = field(factory=list)

    async def commit(self, write):
        await trio.sleep(self.seconds)
        if self.broken:
            raise StoreUnavailable("the disk is full")
        self.committed.append(write)
        return self.result

    async def read(self, fn, *args):
        await trio.lowlevel.checkpoint()
        return {"CP1": {}} if callable(fn) else self.record  # the newest readings are worked out by a function


class NoStore:
    """Only the names of its reads are used."""

    def __getattr__(self, name):
        return name


def charge_points(journal, commands=None):
    return ChargePoints(journal, Reads(NoStore(), journal), commands or FakeCommands(), lambda: NOW)


def calls(commands):
    return CommandCalls(Reads(NoStore(), FakeJournal()), commands, lambda: NOW)


async def test_the_router_is_given_the_deadline_in_trio_s_time(autojump_clock):
    """And is waited for as long as it takes: only it knows whether anything was sent."""
    commands = FakeCommands(wait=7.0)
    await calls(commands).carry("CP1", RESET, "r1", 5.0)
    ((identity, command, request_id, left),) = commands.calls
    assert (identity, command, request_id, left) == ("CP1", RESET, "r1", 5.0)


async def test_the_router_is_asked_also_where_no_time_is_left_to_send(autojump_clock):
    """Only it knows whether the request is a repeated one, whose command was sent."""
    commands = FakeCommands(outcome=Refused(RefusalReason.NOT_SENT, "nothing was sent"))
    for timeout in (0.0, -3.0):
        with pytest.raises(Failure) as caught:
            await calls(commands).carry("CP1", RESET, "r1", timeout, 0.1)
        assert (caught.value.status, caught.value.reason) == (Status.DEADLINE_EXCEEDED, "NOT_SENT")
    assert [left for *_, left in commands.calls] == [0.0, -3.0]


async def test_unavailable_is_answered_for_a_new_command_only(autojump_clock):
    """Repeating blindly with the same id would give the first outcome for ever."""
    fresh = answered(state=CommandState.NOT_SENT, answer=None, reason="draining", created_at=NOW)
    old = answered(state=CommandState.NOT_SENT, answer=None, reason="draining", created_at=NOW.replace(year=2025))
    for record, status in [(fresh, Status.UNAVAILABLE), (old, Status.FAILED_PRECONDITION)]:
        with pytest.raises(Failure) as caught:
            await calls(FakeCommands(outcome=record)).carry("CP1", RESET, "r1", 5.0)
        assert (caught.value.status, caught.value.reason) == (status, "NOT_SENT")


async def test_a_committed_change_of_registration_reaches_the_session_though_its_caller_is_gone(autojump_clock):
    """A commit can't be withdrawn, so neither may what follows from it."""
    journal, commands = FakeJournal(seconds=2.0), FakeCommands()
    with trio.move_on_after(1.0):
        await charge_points(journal, commands).update(Change("CP1", registration=Registration.REJECTED))
    assert len(journal.committed) == 1
    assert commands.notified == [("registration", "CP1", Registration.REJECTED)]


async def test_sessions_hear_of_changes_in_the_order_of_their_commits(autojump_clock):
    """However long each takes."""
    journal, commands = (
        FakeJournal(seconds=1.0, record=ChargePointRecord("CP1", Registration.ACCEPTED, NOW, NOW)),
        FakeCommands(),
    )
    points = charge_points(journal, commands)
    async with trio.open_nursery() as nursery:
        for registration in Registration:
            nursery.start_soon(points.update, Change("CP1", registration=registration))
    assert [write.registration for write in journal.committed] == [reported for _, _, reported in commands.notified]
    assert len(commands.notified) == 3


async def test_a_deleted_charge_point_s_session_ends_though_the_caller_is_gone(autojump_clock):
    """As with any other commit."""
    journal, commands = FakeJournal(seconds=2.0), FakeCommands()
    with trio.move_on_after(1.0):
        await charge_points(journal, commands).delete("CP1")
    assert commands.notified == [("expel", "CP1")]


async def test_a_change_that_was_not_committed_reaches_no_reader(autojump_clock):
    """The store is down, or the etag stale."""
    commands = FakeCommands()
    change = Change("CP1", registration=Registration.PENDING, revision=3)
    with pytest.raises(StoreUnavailable):
        await charge_points(FakeJournal(broken=True), commands).update(change)
    with pytest.raises(Failure) as caught:
        await charge_points(FakeJournal(result=GuardFailed()), commands).update(change)
    assert caught.value.reason == "ETAG_MISMATCH"
    assert commands.notified == []


async def test_keys_are_in_no_representation(autojump_clock):
    """Of what is carried around, and of what is raised."""
    key = b"very secret indeed"
    for value in (NewChargePoint("CP1", key=key), Change("CP1", key=key)):
        assert "secret" not in repr(value)
    with pytest.raises(Failure) as caught:
        await charge_points(FakeJournal()).create(NewChargePoint("CP1", key=b"secret" * 20))
    assert "secret" not in str(caught.value)


async def test_an_update_of_a_tag_gives_up_when_others_always_come_first(autojump_clock):
    """ABORTED, after a few attempts."""
    journal = FakeJournal(result=GuardFailed(), record=IdTagRecord("T", "Accepted", NOW, NOW))
    with pytest.raises(Failure) as caught:
        await IdTags(journal, Reads(NoStore(), journal), None, lambda: NOW).update(
            "T", TagFields("Blocked"), frozenset({"status"}), None
        )
    assert caught.value.status is Status.ABORTED
    assert len(journal.committed) == ATTEMPTS


@define
class FakeFeed:
    """Gives the batches, then raises ``end``."""

    batches: list
    end: Exception
    position: int = 10
    head: int = 12
    subscribers: int = 0
    asked: list = field(factory=list)

    @asynccontextmanager
    async def subscribe(self, where, after, **limits):
        self.asked.append(after)
        self.subscribers += 1
        try:
            yield self
        finally:
            self.subscribers -= 1

    async def next(self):
        await trio.lowlevel.checkpoint()
        if not self.batches:
            raise self.end
        return self.batches.pop(0)


async def test_a_watch_reports_its_place_at_once_and_with_each_batch():
    """Tokens of this store, for the position after the batch."""
    feed = FakeFeed([Batch((), 12)], BelowFloor(40))
    async with aclosing(EventStreams(feed, "store").watch(EventFilter(), tokens.encode("store", 9))) as watch:
        seen = [(await anext(watch)).position for _ in range(2)]
        with pytest.raises(Failure) as caught:
            await anext(watch)
    assert feed.asked == [9]
    assert seen == [10, 12]
    assert (caught.value.status, caught.value.metadata) == (Status.OUT_OF_RANGE, {"floor": "40"})
    assert feed.subscribers == 0


async def test_a_watch_that_is_closed_gives_its_place_back():
    """Wherever it stands."""
    feed = FakeFeed([Batch((), 12)], BelowFloor(40))
    watch = EventStreams(feed, "store").watch(EventFilter(), "now")
    await anext(watch)
    assert feed.subscribers == 1
    await watch.aclose()
    assert feed.subscribers == 0


@pytest.mark.parametrize("generation", [0, 7, 8])
async def test_a_token_of_another_life_is_refused_though_this_one_has_come_as_far(generation):
    """A snapshot was restored, or there are two copies: the same sequences are other events. It is counted."""
    feed, seen = FakeFeed([Batch((), 12)], BelowFloor(40)), []
    generations = (Generation(7, 1), Generation(8, 5), Generation(9, 8))
    watching = EventStreams(feed, "store", 10, lambda: generations, lambda *what: seen.append(what))
    async with aclosing(watching.watch(EventFilter(), tokens.encode("store", 9, generation))) as watch:
        with pytest.raises(Failure) as caught:
            await anext(watch)
    assert (caught.value.status, caught.value.reason) == (Status.OUT_OF_RANGE, "BEYOND_HEAD")
    assert seen == [("resume_token", "position 9")]
    assert feed.subscribers == 0


@pytest.mark.parametrize(("sequence", "generation"), [(4, 7), (7, 8), (8, 9), (0, 0)])
async def test_a_token_of_this_life_is_good_in_its_own_generation(sequence, generation):
    """At either end of it."""
    feed, seen = FakeFeed([Batch((), 12)], BelowFloor(40)), []
    generations = (Generation(7, 1), Generation(8, 5), Generation(9, 8))
    watching = EventStreams(feed, "store", 10, lambda: generations, lambda *what: seen.append(what))
    async with aclosing(watching.watch(EventFilter(), tokens.encode("store", sequence, generation))) as watch:
        assert (await anext(watch)).position == 10
    assert seen == []

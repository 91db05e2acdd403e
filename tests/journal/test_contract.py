"""The contract between sessions and a journal, kept by the journal and by the one that stands in for it in tests.

The journal's own tests say the rest: its batches, its deadlines, how it gets over a failing disk.
"""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import trio
from attrs import define
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.domain.events import ChargePointConnected, NewEvent
from gateway.domain.values import Registration
from gateway.errors import StoreUnavailable
from gateway.journal import Journal
from gateway.session import ports
from gateway.store.api import EventFilter, Store
from gateway.store.commits import Append, Appended, CreateChargePoint, Fenced, Opened, OpenSession, Write, WriteResult
from gateway.store.sqlite import SqliteStore
from tests.journal.conftest import running
from tests.journal.fakes import Inline
from tests.store.builders import T0, event, status
from tests.support.harness import DirectJournal

Answers = list[tuple[str, WriteResult | Exception]]

CONNECTED = ChargePointConnected("127.0.0.1:50000", "ocpp1.6", 2, "TLSv1.3")


class Disk:
    """A real store. ``broken``: it takes no writes. A write for ``poison`` is a bug."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.broken = False
        self.poison = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, batch: Sequence[Write]) -> Sequence[WriteResult]:
        if self.broken:
            raise StoreUnavailable("the disk is full")
        if any(isinstance(write, Append) and write.charge_point == self.poison for write in batch):
            raise ValueError("a bug")
        return self._store.commit(batch)

    def probe(self) -> None:
        if self.broken:
            raise StoreUnavailable("the disk is still full")
        self._store.probe()


@define
class Subject:
    """A journal over a store that has sessions of A, B and C open, and how long its commits are to take."""

    journal: ports.Journal
    disk: Disk
    inline: Inline | None = None
    first: int = 0

    def commits_take(self, seconds: float) -> None:
        if isinstance(self.journal, DirectJournal):
            self.journal.stall_seconds = seconds
        else:
            assert self.inline is not None
            self.inline.seconds = seconds

    def appended(self) -> list[str]:
        """The charge points whose writes are in the store, in the order of their events."""
        page = self.disk.events(self.first, 1_000, EventFilter())
        return [each.charge_point for each in page.events]

    def kept(self, *numbers: int) -> Appended:
        """The answer to a write whose events are these, counted from 1."""
        return Appended(tuple(self.first + number for number in numbers))


@pytest.fixture(params=["the journal", "its stand-in"])
async def subject(request: pytest.FixtureRequest, tmp_path: Path, autojump_clock: MockClock) -> AsyncIterator[Subject]:
    store = SqliteStore(tmp_path / "gateway.db")
    for identity in "ABC":
        store.commit([CreateChargePoint(identity, Registration.ACCEPTED, (), T0)])
        [opened] = store.commit([OpenSession(identity, CONNECTED, T0)])
        assert isinstance(opened, Opened)
    disk: Any = Disk(store)
    try:
        if request.param == "its stand-in":
            yield Subject(DirectJournal(disk), disk, None, store.bounds().head)
        else:
            inline = Inline()
            fronted: Store = disk
            async with running(Journal(fronted, run_sync=inline)) as journal:
                yield Subject(journal, disk, inline, store.bounds().head)
    finally:
        store.close()


def write(name: Literal["A", "B", "C"] = "A", count: int = 1, epoch: int = 1) -> Append:
    events: tuple[NewEvent, ...] = tuple(event(status()) for _ in range(count))
    return Append(name, epoch, events)


async def test_a_commit_returns_its_own_answer_once_it_is_in_the_store(
    subject: Subject, autojump_clock: MockClock
) -> None:
    """Acknowledged is on disk."""
    assert await subject.journal.commit(write("A", count=2)) == subject.kept(1, 2)
    assert subject.appended() == ["A", "A"]
    assert await subject.journal.commit(write("B")) == subject.kept(3)
    assert subject.appended() == ["A", "A", "B"]


async def test_a_refused_write_is_an_answer(subject: Subject, autojump_clock: MockClock) -> None:
    """Of an epoch that is not the charge point's any more: a value, not an exception."""
    assert isinstance(await subject.journal.commit(write("A", epoch=2)), Fenced)
    assert subject.appended() == []


async def test_a_commit_whose_waiter_is_cancelled_is_kept_and_applied(
    subject: Subject, autojump_clock: MockClock
) -> None:
    """Cancelling withdraws nothing."""
    subject.commits_take(1)
    seen: list[WriteResult] = []
    with trio.move_on_after(0.1) as scope:
        await subject.journal.commit(write(), lambda _, result: seen.append(result))
    assert scope.cancelled_caught
    await trio.sleep(2)
    assert seen == [subject.kept(1)]
    assert subject.appended() == ["A"]


async def test_a_caller_that_is_cancelled_already_hands_nothing_over(
    subject: Subject, autojump_clock: MockClock
) -> None:
    """Not even to the next batch."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await subject.journal.commit(write("A"))
    assert scope.cancelled_caught
    await subject.journal.commit(write("B"))
    assert subject.appended() == ["B"]


async def test_a_shielded_commit_waits_for_its_answer_whatever_is_cancelled(
    subject: Subject, autojump_clock: MockClock
) -> None:
    """Before it, and while it waits; the cancellation comes after the answer."""
    subject.commits_take(0.01)
    kept: list[object] = []
    with trio.move_on_after(0.005) as during:
        kept.append(await subject.journal.commit(write("A"), shielded=True))
        await trio.lowlevel.checkpoint()
    with trio.CancelScope() as before:
        before.cancel()
        kept.append(await subject.journal.commit(write("B"), shielded=True))
        await trio.lowlevel.checkpoint()
    assert during.cancelled_caught
    assert before.cancelled_caught
    assert kept == [subject.kept(1), subject.kept(2)]
    assert subject.appended() == ["A", "B"]


async def test_answers_are_applied_in_the_order_of_the_commits_and_before_their_waiters_run(
    subject: Subject, autojump_clock: MockClock
) -> None:
    """A session's state follows the disk, whichever of its tasks commits."""
    subject.commits_take(0.01)
    seen: list[str] = []

    async def commit(name: Literal["A", "B", "C"]) -> None:
        await subject.journal.commit(write(name), lambda write, _: seen.append(name))
        seen.append(f"{name} runs")

    async with trio.open_nursery() as nursery:
        for name in ("A", "B", "C"):
            nursery.start_soon(commit, name)  # type: ignore[arg-type]
            await wait_all_tasks_blocked()
    assert [each for each in seen if len(each) == 1] == ["A", "B", "C"] == subject.appended()
    assert [seen.index(name) < seen.index(f"{name} runs") for name in "ABC"] == [True, True, True]


async def test_a_failure_to_apply_reaches_its_own_committer_alone(subject: Subject, autojump_clock: MockClock) -> None:
    """The write is kept, and the next one is answered."""

    def fail(*_: object) -> None:
        raise LookupError("a bug")

    with pytest.raises(LookupError, match="a bug"):
        await subject.journal.commit(write("A"), fail)
    assert await subject.journal.commit(write("B")) == subject.kept(2)


async def test_a_store_that_fails_keeps_nothing_and_applies_nothing(
    subject: Subject, autojump_clock: MockClock
) -> None:
    """The caller gets the error, by whichever way it commits."""
    subject.disk.broken = True
    seen: list[object] = []
    with pytest.raises(StoreUnavailable):
        await subject.journal.commit(write(), lambda *_: seen.append("applied"))
    outcomes: list[type[object]] = []
    try:
        subject.journal.submit(write(), lambda _, result: outcomes.append(type(result)))
    except StoreUnavailable as error:
        outcomes.append(type(error))
    await trio.sleep(1)
    assert outcomes == [StoreUnavailable]
    assert seen == []
    assert subject.appended() == []


async def test_a_write_that_is_a_bug_fails_alone(subject: Subject, autojump_clock: MockClock) -> None:
    """Its exception is its caller's, waiting or not; no other caller notices."""
    subject.disk.poison = "B"
    answers: Answers = []
    subject.journal.submit(write("A"), lambda write, result: answers.append(("A", result)))
    subject.journal.submit(write("B"), lambda write, result: answers.append(("B", result)))
    with pytest.raises(ValueError, match="a bug"):
        await subject.journal.commit(write("B"))
    assert await subject.journal.commit(write("C")) == subject.kept(2)
    assert [(name, type(result)) for name, result in sorted(answers, key=lambda each: each[0])] == [
        ("A", Appended),
        ("B", ValueError),
    ]


async def test_a_submitted_write_is_answered_once_in_order_and_not_before_submit_returns(
    subject: Subject, autojump_clock: MockClock
) -> None:
    """Beside those that wait; the caller has gone on by then."""
    subject.commits_take(0.01)
    answers: Answers = []
    for name in ("A", "B", "C"):
        subject.journal.submit(write(name), lambda write, result, name=name: answers.append((name, result)))  # type: ignore[misc, arg-type]
        assert answers == []
    await subject.journal.commit(write("A"))
    await trio.sleep(1)
    assert answers == [("A", subject.kept(1)), ("B", subject.kept(2)), ("C", subject.kept(3))]


async def test_a_bug_in_a_submitters_callback_costs_no_other_write(subject: Subject, autojump_clock: MockClock) -> None:
    """The journal goes on."""

    def fail(*_: object) -> None:
        raise LookupError("a bug")

    subject.journal.submit(write("A"), fail)
    assert await subject.journal.commit(write("B")) == subject.kept(2)
    await trio.sleep(1)
    assert await subject.journal.commit(write("C")) == subject.kept(3)


async def test_a_read_returns_or_raises_what_the_function_does(subject: Subject, autojump_clock: MockClock) -> None:
    """With its arguments."""
    assert await subject.journal.read(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await subject.journal.read(divmod, 7, 0)

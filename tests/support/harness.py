"""A real session on a real store and real handlers; only the wire, the clock and the writer's thread are faked."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import attrs
import trio

from gateway.chargers.signing_checks import SigningChecks
from gateway.domain import codec
from gateway.domain.commands import CommandRecord
from gateway.domain.events import Body, ChargePointConnected, StoredEvent
from gateway.domain.quirks import QuirkBook
from gateway.domain.records import ChargePointRecord, IdTagRecord
from gateway.domain.values import Registration
from gateway.errors import CommitUnknown, StoreUnavailable
from gateway.ocpp.v16.profiles.routing import protocol
from gateway.session.commands.provisioning import DesiredKey, Triggers
from gateway.session.fault_log import FaultLog
from gateway.session.keepalive import Look, Timer, TimerQueue
from gateway.session.limits import SessionLimits
from gateway.session.lookups import Lookups, TableAuthorizer
from gateway.session.ports import NO_FRAMES, Frames, NoObserver, Observer
from gateway.session.router import Router
from gateway.session.session import Session
from gateway.session.steering_pace import SteeringPace
from gateway.session.turns import ReadTurns, TeardownTurns
from gateway.store.api import EventFilter
from gateway.store.commits import (
    AllocatedNumbers,
    AllocateNumbers,
    Append,
    CreateChargePoint,
    Opened,
    PutIdTag,
    Write,
    WriteResult,
)
from gateway.store.reads import Reads
from gateway.store.sqlite.store import SqliteStore
from tests.support.new_store import new_store
from tests.support.wire import FakeTransport, ScriptedCharger

B = TypeVar("B", bound=Body)

EPOCH = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def virtual_clock() -> datetime:
    """The wall clock moves with Trio's virtual time, which begins at 0 in every test."""
    return EPOCH + timedelta(seconds=trio.current_time())


COUNTS = {
    "call_timeouts": False,
    "calls_before_acceptance": False,
    "calls_refused": True,
    "handler_failures": True,
    "ignored_messages": False,
    "late_answers": False,
    "malformed_messages": False,
    "session_failures": False,
    "sessions_ended": True,
    "silent_sessions": False,
    "unmatched_answers": False,
    "unread_messages": True,
}
"""All that sessions count, for dashboards that know it by these names, and whether each has a label."""


class CheckedObserver(NoObserver):
    """Notes what is counted by another name, or without its label; the harness looks for it at the end."""

    def __init__(self) -> None:
        self.unknown: list[tuple[str, object]] = []

    def count(self, what: str, label: str = "") -> None:
        """Note it unless it is known."""
        labelled = isinstance(label, str) and label != ""
        if COUNTS.get(what) is not labelled:
            self.unknown.append((what, label))


class CheckedTimers(TimerQueue):
    """Notes a look that is due again at once, with which the loop would go round and do nothing else; the harness looks
    for it at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.restless: list[float] = []

    def add(self, look: Look, at: float) -> Timer:
        def checked() -> float:
            again = look()
            if not again > trio.current_time():
                self.restless.append(again)
                raise AssertionError("a look that is due again at once")
            return again

        return super().add(checked, at)


class DirectJournal:
    """A journal without a thread, so that virtual time works; `tests/journal/test_contract.py` holds it to what the
    journal promises its callers. Writes at once and answers in order, after a stall if there is one.

    ``failing``: writes are refused, and reads too unless ``readable``. ``doubt``: a write ends in ``CommitUnknown``
    after the stall, and is "kept" or "lost"; ``doubt_of`` an event's type: only one with such an event."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.failing = False
        self.readable = False
        self.read_seconds = 0.0
        self.doubt = ""
        self.doubt_of = ""
        self.stall_seconds = 0.0
        self.commits: list[Write] = []
        self.bugs: list[Exception] = []
        """What callbacks of ``submit`` raised."""
        self._last = trio.Event()
        self._last.set()

    async def commit(
        self, write: Write, applied: Callable[[Write, WriteResult], None] | None = None, *, shielded: bool = False
    ) -> WriteResult:
        with trio.CancelScope(shield=shielded):
            return await self._commit(write, applied)
        raise AssertionError("nothing cancels this scope")

    async def _commit(self, write: Write, applied: Callable[[Write, WriteResult], None] | None) -> WriteResult:
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.failing:
            await trio.lowlevel.checkpoint()
            raise StoreUnavailable("the disk is full")
        self.commits.append(write)
        if self.doubt and self._is_doubted(write):
            if self.doubt == "kept":
                self.store.commit([write])
            self.failing = True
            await trio.sleep(self.stall_seconds)
            raise CommitUnknown("a commit took too long")
        answer: list[WriteResult | Exception] = []

        def heard(write: Write, result: WriteResult | Exception) -> None:
            answer.append(result)
            if applied is not None and not isinstance(result, Exception):
                try:
                    applied(write, result)
                except Exception as error:
                    answer[0] = error

        # Handing over is the point of no return: a waiter that is cancelled from here on withdraws nothing.
        await self._hand_over(write, heard).wait()
        [result] = answer
        if isinstance(result, Exception):
            raise result
        return result

    def _is_doubted(self, write: Write) -> bool:
        events = write.events if isinstance(write, Append) else ()
        return not self.doubt_of or any(self.doubt_of == event.body.TYPE for event in events)

    def submit(self, write: Write, on_answer: Callable[[Write, WriteResult | Exception], None]) -> None:
        if self.failing:
            raise StoreUnavailable("the disk is full")
        self.commits.append(write)
        self._hand_over(write, on_answer)

    def _hand_over(self, write: Write, heard: Callable[[Write, WriteResult | Exception], None]) -> trio.Event:
        """Write at once, answer after the stall and after every write before it. The event is set when it has."""
        result: WriteResult | Exception
        try:
            result = self.store.commit([write])[0]
        except Exception as error:
            result = error
        before, done = self._last, trio.Event()
        self._last = done

        async def answer() -> None:
            try:
                await trio.sleep(self.stall_seconds)
                await before.wait()
                try:
                    heard(write, result)
                except Exception as error:  # costs no other write; the harness looks for it at the end
                    self.bugs.append(error)
            finally:
                done.set()

        trio.lowlevel.spawn_system_task(answer)
        return done

    async def read(self, fn: Callable[..., Any], *args: Any) -> Any:
        await trio.sleep(self.read_seconds)
        if self.failing and not self.readable:
            raise StoreUnavailable("the disk can't be read")
        return fn(*args)


class Harness:
    """A store with charge point CP1 (accepted by default) and a router for its sessions."""

    def __init__(
        self, path: Path, *, limits: SessionLimits | None = None, unknown_tags: str = "Invalid", store: Any = None
    ) -> None:
        """``store``: in the place of one in ``path``."""
        self.path = path
        self.store: SqliteStore = new_store(path) if store is None else store
        self.journal = DirectJournal(self.store)
        self.reads = Reads(self.store, self.journal)
        self.limits = limits or SessionLimits()
        self.protocol = protocol()
        self.router = Router(self.reads, virtual_clock, (self.protocol,))
        self.observer: Observer = CheckedObserver()
        self.teardown_turns = TeardownTurns()
        self.frames: Frames = NO_FRAMES
        self.read_turns = ReadTurns()
        self.fault_log = FaultLog()
        self.boot_configuration: tuple[DesiredKey, ...] = ()
        self.triggers = Triggers()
        self.steering_pace = SteeringPace()
        self.quirks: QuirkBook | None = None
        self.clock_is_even = True
        authorizer = TableAuthorizer(self.reads, virtual_clock, unknown_tags)
        judge = SigningChecks(self.reads, (), timedelta(hours=1), virtual_clock)
        self.lookups = Lookups(self.reads, authorizer, self._number, signing=judge)

    async def _number(self) -> int:
        allocated = await self.journal.commit(AllocateNumbers(1))
        assert isinstance(allocated, AllocatedNumbers)
        return allocated.first

    def add_charge_point(self, identity: str = "CP1", registration: Registration = Registration.ACCEPTED) -> None:
        self.store.commit([CreateChargePoint(identity, registration, (), virtual_clock())])

    def asks_nothing(self) -> None:
        """Sessions send no requests of the gateway's own."""
        self.limits = attrs.evolve(self.limits, own_requests=False)

    def add_tag(self, id_tag: str, status: str = "Accepted", **more: Any) -> None:
        now = virtual_clock()
        self.store.commit([PutIdTag(IdTagRecord(id_tag, status, now, now, **more), create=True)])

    @asynccontextmanager
    async def connected(
        self, identity: str = "CP1", transport: FakeTransport | None = None
    ) -> AsyncIterator[ScriptedCharger]:
        """A charger whose session runs until the block is left (then its link is cut) or it ends by itself."""
        transport = transport or FakeTransport()
        async with trio.open_nursery() as nursery:
            await nursery.start(self._serve, identity, transport)
            charger = ScriptedCharger(transport)
            yield charger
            if not charger.gone:
                await charger.lose_link()
        assert self.journal.bugs == []
        if isinstance(self.observer, CheckedObserver):
            assert self.observer.unknown == []

    async def _serve(self, identity: str, transport: FakeTransport, task_status: Any) -> None:
        connected = ChargePointConnected("127.0.0.1:50000", "ocpp1.6", 2, "TLSv1.3")
        with self.router.arriving(identity) as arrival:
            await self.router.hand_over(identity, arrival)
            opened = await self.journal.commit(self.router.opening(identity, connected, virtual_clock()))
            assert isinstance(opened, Opened)
            session, timers = self._installed(identity, opened, transport)
        task_status.started()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(timers.run)
                await session.run()
                nursery.cancel_scope.cancel()
            assert timers.restless == []
        finally:
            self.router.remove(identity, session)

    def _installed(self, identity: str, opened: Opened, transport: FakeTransport) -> tuple[Session, CheckedTimers]:
        timers = CheckedTimers()
        session = Session(
            state=opened.state,
            transport=transport,
            protocol=self.protocol,
            journal=self.journal,
            reads=self.reads,
            lookups=self.lookups,
            clock=virtual_clock,
            limits=self.limits,
            observer=self.observer,
            timers=timers,
            teardown_turns=self.teardown_turns,
            frames=self.frames,
            read_turns=self.read_turns,
            fault_log=self.fault_log,
            boot_configuration=self.boot_configuration,
            triggers=self.triggers,
            steering_pace=self.steering_pace,
            quirks=self.quirks,
            clock_is_even=lambda: self.clock_is_even,
        )
        assert self.router.install(identity, session)
        return session, timers

    def events(self, *types: str) -> list[StoredEvent]:
        """Everything committed so far, of the given types or of all."""
        page = self.store.events(0, 1000, EventFilter(types=frozenset(types)))
        return list(page.events)

    def command(self, command_id: str) -> CommandRecord:
        """The record of a command that there is."""
        record = self.store.command(command_id)
        assert record is not None
        return record

    def charge_point(self, identity: str = "CP1") -> ChargePointRecord:
        """The record of a charge point that there is."""
        record = self.store.charge_point(identity)
        assert record is not None
        return record

    def bodies_of(self, kind: type[B]) -> list[B]:
        """The bodies of one type of event, committed so far."""
        bodies = self.bodies(kind.TYPE)
        return [body for body in bodies if isinstance(body, kind)]

    def bodies(self, *types: str) -> list[Body]:
        return [codec.decode(each.type, each.version, each.body_json) for each in self.events(*types)]


BOOT = {"chargePointVendor": "Acme", "chargePointModel": "One", "firmwareVersion": "1.0"}


async def boot(charger: ScriptedCharger) -> None:
    """Boot and be accepted."""
    answer = await charger.call("BootNotification", BOOT)
    assert answer["status"] == "Accepted"

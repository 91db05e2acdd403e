"""From a charge point's identity to the session that owns it."""

from collections.abc import Callable
from typing import Any, cast

import attrs
import pytest
import trio
from trio.testing import MockClock

from gateway.domain.commands import (
    ClearCache,
    CommandState,
    GetConfiguration,
    RefusalReason,
    Refused,
    RemoteStopTransaction,
    Unknown,
)
from gateway.domain.events import ChargePointConnected, NewEvent, TransactionClosed
from gateway.domain.values import ConnectorAddress, Registration
from gateway.session.closing_pace import AT_ONCE
from gateway.session.keepalive import TimerQueue
from gateway.session.limits import SessionLimits
from gateway.session.ports import NO_FRAMES, NoObserver
from gateway.session.session import Session
from gateway.session.turns import TeardownTurns
from gateway.store.commits import Opened, OpenSession
from tests.support.harness import Harness, boot, virtual_clock
from tests.support.wire import FakeTransport


def open_session(harness: Harness, identity: str = "CP1") -> Session:
    """Opened in the store, not yet installed."""
    connected = ChargePointConnected("127.0.0.1:1", "ocpp1.6", 2, "TLSv1.3")
    opened = harness.store.commit([OpenSession(identity, connected, virtual_clock())])[0]
    assert isinstance(opened, Opened)
    return Session(
        state=opened.state,
        transport=FakeTransport(),
        protocol=harness.protocol,
        journal=harness.journal,
        reads=harness.reads,
        lookups=harness.lookups,
        clock=virtual_clock,
        limits=harness.limits,
        observer=NoObserver(),
        timers=TimerQueue(),
        teardown_turns=TeardownTurns(),
        frames=NO_FRAMES,
    )


async def call(harness: Harness, command: Any = None, *, request_id: str = "r", seconds: float = 60) -> Any:
    deadline = trio.current_time() + seconds
    return await harness.router.call("CP1", command or ClearCache(), request_id=request_id, deadline=deadline)


async def refusal(harness: Harness, command: Any = None, *, request_id: str = "r") -> Refused:
    outcome = await call(harness, command, request_id=request_id)
    assert isinstance(outcome, Refused)
    return outcome


# --- who owns a charge point ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_the_highest_epoch_owns_whatever_the_order_of_installing(
    harness: Harness, autojump_clock: MockClock, order: tuple[int, int]
) -> None:
    """Two newcomers, served in either order, end the same."""
    harness.add_charge_point()
    sessions = [open_session(harness), open_session(harness)]
    installed = {number: harness.router.install("CP1", sessions[number]) for number in order}
    assert installed == ({0: True, 1: True} if order == (0, 1) else {1: True, 0: False})
    live = harness.router.live("CP1")
    assert live is not None
    assert live.epoch == 2
    if order == (0, 1):
        ending = sessions[0]._context.ending
        assert ending is not None
        assert (ending.reason, ending.code) == ("replaced", 1008)
    assert sessions[1]._context.ending is None


async def test_a_displaced_sessions_end_does_not_remove_its_successor(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A6.8."""
    harness.add_charge_point()
    old, new = open_session(harness), open_session(harness)
    harness.router.install("CP1", old)
    harness.router.install("CP1", new)
    harness.router.remove("CP1", old)
    assert len(harness.router) == 1
    harness.router.remove("CP1", new)
    assert harness.router.live("CP1") is None


async def test_the_time_a_charger_was_heard_is_in_wall_time(harness: Harness, autojump_clock: MockClock) -> None:
    """Sessions keep Trio's time."""
    harness.limits = attrs.evolve(harness.limits, own_requests=False, ping_interval=0)
    harness.add_charge_point()
    async with harness.connected(transport=FakeTransport(answers_pings=False)) as charger:
        await charger.call("BootNotification", {"chargePointVendor": "A", "chargePointModel": "B"})
        at = virtual_clock()
        await trio.sleep(100)
        live = harness.router.live("CP1")
        assert live is not None
        assert live.last_heard == at
        assert list(harness.router.heard()) == [("CP1", at)]


# --- commands -------------------------------------------------------------------------------------------------


async def test_an_unknown_charge_point_is_reported(harness: Harness, autojump_clock: MockClock) -> None:
    """And one that never connected has never been seen."""
    assert (await refusal(harness)).reason is RefusalReason.UNKNOWN_CHARGE_POINT
    harness.add_charge_point()
    offline = await refusal(harness)
    assert (offline.reason, offline.metadata) == (RefusalReason.CHARGE_POINT_OFFLINE, {"last_seen": "never"})


async def test_what_others_ask_of_sessions_is_what_holds_now(harness: Harness, autojump_clock: MockClock) -> None:
    """The registration by which sessions are counted, and the errors by which a charger says that it knows a command
    not at all."""
    harness.add_charge_point(registration=Registration.PENDING)
    assert harness.router.unsupported_codes == {"NotImplemented", "NotSupported"}
    async with harness.connected():
        session = harness.router.session("CP1")
        assert session is not None
        before = session.registration
        harness.router.registration_changed("CP1", Registration.ACCEPTED)
        assert (before, session.registration) == (Registration.PENDING, Registration.ACCEPTED)


async def test_an_offline_charge_point_was_last_seen_when_it_left(harness: Harness, autojump_clock: MockClock) -> None:
    """With the time last seen in the metadata (docs/outcomes.md)."""
    harness.add_charge_point()
    async with harness.connected():
        await trio.sleep(10)
    refused = await refusal(harness)
    assert refused.reason is RefusalReason.CHARGE_POINT_OFFLINE
    assert refused.metadata["last_seen"].startswith("2026-03-01T12:00:")


async def test_a_session_that_is_not_running_yet_is_offline(harness: Harness, autojump_clock: MockClock) -> None:
    """Installed, and not begun."""
    harness.add_charge_point()
    harness.router.install("CP1", open_session(harness))
    refused = await refusal(harness)
    assert refused.reason is RefusalReason.CHARGE_POINT_OFFLINE
    assert "last_seen" in refused.metadata


async def test_a_store_that_cannot_be_read_leaves_open_whether_the_request_is_a_repeated_one(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Unknown: a command with its id may have been sent long ago."""
    harness.journal.failing = True
    outcome = await call(harness)
    assert isinstance(outcome, Unknown)
    assert (outcome.request_id, outcome.reason) == ("r", "store-unavailable")


async def test_a_repeated_request_is_answered_from_the_books_also_when_it_would_be_refused_now(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Offline, and with arguments that could not be sent any more."""
    harness.limits = SessionLimits(settle_delay=0)
    harness.add_charge_point()
    async with harness.connected() as charger, trio.open_nursery() as nursery:
        await boot(charger)
        outcomes: list[Any] = []

        async def ask() -> None:
            outcomes.append(await call(harness))

        nursery.start_soon(ask)
        message_id, _, _ = await charger.next_call("ClearCache")
        await charger.answer(message_id, {"status": "Rejected"})
        await trio.sleep(1)
        assert await call(harness) == outcomes[0]
        await charger.hears_nothing(10)
    assert await call(harness) == outcomes[0]
    assert outcomes[0].state is CommandState.ANSWERED
    other = await refusal(harness, GetConfiguration())
    assert other.reason is RefusalReason.REQUEST_ID_REUSED
    assert other.metadata["command_id"] == outcomes[0].command_id
    assert (await refusal(harness, request_id="another")).reason is RefusalReason.CHARGE_POINT_OFFLINE


async def test_what_cannot_be_sent_to_any_charger_is_refused_before_anything_else(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A bad request is bad for a charge point that is offline, too."""
    harness.add_charge_point()
    refused = await refusal(harness, GetConfiguration(keys=("k" * 1000,)))
    assert refused.reason is RefusalReason.INVALID_COMMAND
    assert refused.violations


async def test_a_stop_of_a_transaction_that_is_not_open_is_refused(harness: Harness, autojump_clock: MockClock) -> None:
    """NOT_FOUND (docs/outcomes.md); nothing is recorded."""
    harness.limits = SessionLimits(settle_delay=0)
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        refused = await refusal(harness, RemoteStopTransaction("tx_none"))
        assert refused.reason is RefusalReason.UNKNOWN_TRANSACTION
    assert harness.store.commands("CP1", None, 10) == []


# --- what happens while a connection is being opened ----------------------------------------------------------


async def test_an_arrival_hears_of_what_the_operator_does(harness: Harness, autojump_clock: MockClock) -> None:
    """The state it was opened with may be older."""
    with harness.router.arriving("CP1") as first, harness.router.arriving("CP1") as second:
        harness.router.registration_changed("CP1", Registration.PENDING)
        harness.router.registration_changed("CP2", Registration.REJECTED)
        harness.router.expel("CP1")
        closed = NewEvent(TransactionClosed("tx_1", ConnectorAddress(1, 1), "gone"), virtual_clock())
        harness.router.transaction_closed("CP1", closed)
        harness.router.transaction_closed("CP2", closed)
        for each in (first, second):
            assert each.closed == [closed]
            assert each.registration is Registration.PENDING
            assert each.expelled
        assert harness.router.holds("CP1")
        assert not harness.router.holds("CP2")
    assert not harness.router.holds("CP1")


# --- all of them ----------------------------------------------------------------------------------------------


async def test_draining_closes_sessions_paced(harness: Harness, autojump_clock: MockClock) -> None:
    """They would all come back at once."""
    ends: list[float] = []

    async def session(identity: str, nursery: trio.Nursery) -> None:
        async with harness.connected(identity) as charger:
            assert await charger.sees_the_end() == (1001, "draining")
            charger.gone = True
            ends.append(trio.current_time())

    for number in range(10):
        harness.add_charge_point(f"C{number}")
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(session, f"C{number}", nursery)
        await trio.sleep(5)
        await harness.router.drain(2, trio.current_time() + 60)
    assert ends == pytest.approx([5 + number / 2 for number in range(10)])
    assert len(harness.router) == 0


async def test_a_session_that_is_opened_while_all_are_ended_ends_too(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """It passed the door before it was closed; the end does not wait for it until the deadline."""
    harness.add_charge_point("C1")
    harness.add_charge_point("C2")
    async with trio.open_nursery() as nursery:

        async def late() -> None:
            await trio.sleep(0.5)
            async with harness.connected("C2") as charger:
                assert await charger.sees_the_end() == (1001, "draining")
                charger.gone = True

        async def early() -> None:
            async with harness.connected("C1") as charger:
                assert await charger.sees_the_end() == (1001, "draining")
                charger.gone = True

        nursery.start_soon(early)
        nursery.start_soon(late)
        await trio.sleep(0.1)
        harness.router.stop_commands()
        await harness.router.drain(1, trio.current_time() + 60)
        assert trio.current_time() < 5
    assert len(harness.bodies("charge_point.disconnected")) == 2


async def test_draining_waits_for_a_connection_that_is_being_opened(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Its opening is on its way to the disk, and its end must be recorded."""
    arrived = trio.Event()

    async def arrive() -> None:
        with harness.router.arriving("CP1"):
            arrived.set()
            await trio.sleep(3)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(arrive)
        await arrived.wait()
        await harness.router.drain(100, trio.current_time() + 60)
        assert trio.current_time() == 3


async def test_draining_is_over_at_its_deadline_whatever_is_left(harness: Harness, autojump_clock: MockClock) -> None:
    """The rest is the caller's to cancel."""
    harness.router.install("CP1", _stuck(harness))
    await harness.router.drain(100, trio.current_time() + 7)
    assert trio.current_time() == 7
    assert len(harness.router) == 1


def _stuck(harness: Harness) -> Session:
    harness.add_charge_point()
    return open_session(harness)


class Crowd:
    """Thousands of sessions without a charger, and the number that was ended between two turns of another task."""

    def __init__(self, harness: Harness, count: int = 5 * AT_ONCE) -> None:
        self.at: list[float] = []
        self.most_at_once = 0
        self._at_once = 0
        self._router = harness.router
        for number in range(count):
            harness.router.install(f"C{number}", cast("Session", self.Idle(self, f"C{number}")))

    class Idle:
        epoch = 1
        last_heard = 0.0
        unrecorded = None
        in_transaction = False

        def __init__(self, crowd: "Crowd", identity: str) -> None:
            self._crowd = crowd
            self._identity = identity

        def end(self, reason: str, code: int, caller: str = "") -> None:
            crowd = self._crowd
            crowd.at.append(trio.current_time())
            self._count()
            crowd._router.remove(self._identity, cast("Session", self))

        @property
        def commands(self) -> "Crowd.Idle":
            return self

        async def all_done(self) -> None:
            self._count()

        def _count(self) -> None:
            self._crowd._at_once += 1
            self._crowd.most_at_once = max(self._crowd.most_at_once, self._crowd._at_once)

    async def others(self) -> None:
        while True:
            self._at_once = 0
            await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    "walk",
    [
        lambda router: router.end_all("store-unavailable", 1011),
        lambda router: router.commands_done(),
        lambda router: router.drain(1e9, trio.current_time() + 60),
    ],
)
async def test_a_walk_over_all_sessions_lets_others_run_in_between(
    harness: Harness, walk: Callable[[Any], Any]
) -> None:
    """Tens of thousands at one go would keep everybody else waiting."""
    crowd = Crowd(harness)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crowd.others)
        await walk(harness.router)
        nursery.cancel_scope.cancel()
    assert 0 < crowd.most_at_once <= 2 * AT_ONCE  # the other's turn may come before or after


async def test_last_heard_times_are_reported_one_by_one_while_sessions_come_and_go(harness: Harness) -> None:
    """The caller may wait in between; a session that is gone by then is left out."""
    Crowd(harness, 3)
    heard = harness.router.heard()
    assert next(heard)[0] == "C0"
    harness.router.disconnect("C1")
    Crowd(harness, 1)
    assert [identity for identity, _ in heard] == ["C2"]


async def test_a_drain_is_faster_than_set_where_it_would_not_be_through_in_time(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Half the time is left for those that don't answer a Close."""
    crowd = Crowd(harness, 1000)
    await harness.router.drain(10, trio.current_time() + 20)
    assert trio.current_time() == pytest.approx(10, abs=0.1)
    assert crowd.at[500] == pytest.approx(5, abs=0.1)


async def test_a_drain_that_was_held_up_catches_up(harness: Harness, autojump_clock: MockClock) -> None:
    """It goes by the clock: a loop that is late once, or always, ends as many as are due."""
    crowd = Crowd(harness, 100)
    async with trio.open_nursery() as nursery:

        async def hold_up() -> None:
            await trio.sleep(2.001)
            autojump_clock.jump(3)

        nursery.start_soon(hold_up)
        await harness.router.drain(10, trio.current_time() + 60)
    assert sum(1 for at in crowd.at if at < 5.2) == pytest.approx(52, abs=2)
    assert trio.current_time() == pytest.approx(10, abs=0.2)


async def test_a_gateway_that_stops_takes_no_command(harness: Harness, autojump_clock: MockClock) -> None:
    """The one refusal that a client may repeat blindly."""
    harness.add_charge_point()
    harness.router.stop_commands()
    assert (await refusal(harness)).reason is RefusalReason.DRAINING
    await harness.router.commands_done()


async def test_sessions_are_counted_while_others_end(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape counts them in its own thread, and fails over nothing that happens meanwhile."""
    router = harness.router
    for identity in ("CP1", "CP2", "CP3"):
        harness.add_charge_point(identity)
        assert router.install(identity, open_session(harness, identity))

    def ended_meanwhile(session: Session) -> bool:
        for identity, each in router.owned():
            router.remove(identity, each)
        return False

    monkeypatch.setattr(Session, "in_transaction", property(ended_meanwhile))
    assert router.idle_and_charging() == (3, 0)
    assert router.idle_and_charging() == (0, 0)

"""Periodic writes, and the later writing of what could not be written when it happened."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.app.housekeeping import (
    AT_ONCE,
    AWAY,
    EXPIRY_SECONDS,
    GRACE_SECONDS,
    INTERVAL_SECONDS,
    MARK_SECONDS,
    PAUSE,
    LostEnds,
    end_abandoned_operations,
    end_overdue_reservations,
    mark_store,
    record_last_heard,
)
from gateway.domain import codec
from gateway.domain.commands import CommandState, Reset, ResetType
from gateway.domain.events import (
    ChargePointConnected,
    NewEvent,
    OperationAccepted,
    OperationEnded,
    ReservationEnded,
    ReservationMade,
)
from gateway.domain.operations import End, OperationKind, OperationRecord, OperationRequest
from gateway.domain.values import ConnectorAddress
from gateway.session.limits import SessionLimits
from gateway.store.commits import Append, OpenSession, RecordLastHeard
from tests.support.harness import Harness, boot, virtual_clock


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    harness = Harness(tmp_path)
    yield harness
    harness.store.close()


def lost_ends(harness: Harness) -> LostEnds:
    return LostEnds(harness.journal, harness.reads, harness.router, virtual_clock)


async def lose_an_end(harness: Harness, identity: str) -> None:
    """A connection whose end the store could not keep."""
    harness.add_charge_point(identity)
    async with harness.connected(identity):
        harness.journal.failing = True
    harness.journal.failing = False
    assert connected(harness, identity)


def connected(harness: Harness, identity: str) -> bool:
    record = harness.store.charge_point(identity)
    assert record is not None
    return record.connection.connected


async def test_last_heard_of_live_chargers_is_written_now_and_then(harness: Harness, autojump_clock: MockClock) -> None:
    """A store that fails has to do without until the next round."""
    harness.limits = SessionLimits(ping_interval=0)  # a pong is heard, too
    harness.add_charge_point()
    async with harness.connected() as charger, trio.open_nursery() as nursery:
        nursery.start_soon(record_last_heard, harness.journal, harness.router)
        harness.journal.failing = True
        await trio.sleep(INTERVAL_SECONDS + 1)
        harness.journal.failing = False
        await charger.call_frame("Heartbeat", {})
        at = virtual_clock()
        await trio.sleep(INTERVAL_SECONDS)
        record = harness.store.charge_point("CP1")
        assert record is not None
        assert record.connection.last_heard == at
        nursery.cancel_scope.cancel()


async def test_lost_ends_are_recorded_a_while_after_the_stores_return(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Those who came back meanwhile are left alone: the store settled theirs with their new opening."""
    await lose_an_end(harness, "GONE")
    await lose_an_end(harness, "BACK")
    ends = lost_ends(harness)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ends.run)
        await trio.sleep(1)
        ends.store_is_back()
        async with harness.connected("BACK"):
            await trio.sleep(GRACE_SECONDS - 1)
            assert connected(harness, "GONE")
            await trio.sleep(2)
            assert not connected(harness, "GONE")
            assert connected(harness, "BACK")
        nursery.cancel_scope.cancel()
    reported = [(event.charge_point, event.epoch) for event in harness.events("charge_point.disconnected")]
    assert sorted(reported) == [("BACK", 1), ("BACK", 2), ("GONE", 1)], "exactly one for each connection"


async def test_a_lost_end_is_recorded_with_the_reasons_that_callers_were_answered(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Connected again or not: the recorded reason is the lost link, not the failing store."""
    outcomes: dict[str, Any] = {}

    async def reset(identity: str) -> None:
        deadline = trio.current_time() + 60
        command = Reset(ResetType.HARD)
        outcomes[identity] = await harness.router.call(identity, command, request_id="r", deadline=deadline)

    async with trio.open_nursery() as nursery:
        for identity in ("GONE", "BACK"):
            harness.add_charge_point(identity)
            async with harness.connected(identity) as charger:
                await boot(charger)
                nursery.start_soon(reset, identity)
                await charger.next_call("Reset")
                harness.journal.failing = True
            harness.journal.failing = False
    async with harness.connected("BACK"):
        await lost_ends(harness).record()
    for identity, reported in outcomes.items():
        assert (reported.state, reported.reason) == (CommandState.OUTCOME_UNKNOWN, "disconnected")
        record = harness.store.command(reported.command_id)
        assert record is not None
        assert (record.state, record.reason) == (reported.state, reported.reason)
        ends = [event for event in harness.events("charge_point.disconnected") if event.charge_point == identity]
        bodies = [codec.decode(each.type, each.version, each.body_json) for each in ends]
        assert getattr(bodies[0], "reason", None) == "closed"
        assert harness.router.unrecorded(identity) is None


async def test_a_lost_end_that_was_not_reported_is_found_in_time(harness: Harness, autojump_clock: MockClock) -> None:
    """The queue for commits was full, say, and the store never failed. A relapse only delays it."""
    await lose_an_end(harness, "GONE")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lost_ends(harness).run)
        harness.journal.failing = True
        await trio.sleep(INTERVAL_SECONDS + 1)
        harness.journal.failing = False
        await trio.sleep(INTERVAL_SECONDS)
        assert not connected(harness, "GONE")
        nursery.cancel_scope.cancel()


async def test_a_charger_that_connects_during_the_look_keeps_its_connection(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Its epoch is a later one, and what is written is the earlier one's end."""
    await lose_an_end(harness, "CP1")
    read = harness.journal.read

    async def slow(fn: Any, *args: Any) -> Any:
        result = await read(fn, *args)
        if fn == harness.store.commands:
            peer = ChargePointConnected("127.0.0.1:3", "ocpp1.6", 2, "TLSv1.3")
            harness.store.commit([OpenSession("CP1", peer, virtual_clock())])
        return result

    harness.journal.read = slow  # type: ignore[method-assign]
    await lost_ends(harness).record()
    assert connected(harness, "CP1")


@pytest.fixture
def poisoned(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> str:
    """A charge point whose writes end in a bug."""
    commit = harness.journal.commit

    async def failing(write: Any, *given: Any) -> Any:
        if getattr(write, "charge_point", "") == "BAD":
            raise RuntimeError("a bug")
        return await commit(write, *given)

    monkeypatch.setattr(harness.journal, "commit", failing)
    return "BAD"


async def test_a_lost_end_that_can_not_be_recorded_keeps_no_other_from_it(
    harness: Harness, autojump_clock: MockClock, request: pytest.FixtureRequest
) -> None:
    """And is not counted."""
    await lose_an_end(harness, "BAD")
    await lose_an_end(harness, "GOOD")
    request.getfixturevalue("poisoned")
    assert await lost_ends(harness).record() == 1
    assert connected(harness, "BAD")
    assert not connected(harness, "GOOD")


async def test_what_goes_through_the_fleet_leaves_room_for_others(
    harness: Harness, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many chargers are read, or written, at once at most, and others have their turn in between."""
    fleet = [f"CP{number:03}" for number in range(2 * AT_ONCE + 1)]
    written: list[tuple[float, int]] = []
    read: list[tuple[float, int]] = []
    commit, charge_points = harness.journal.commit, harness.reads.charge_points

    async def committed(write: Any, *given: Any) -> Any:
        if isinstance(write, RecordLastHeard):
            written.append((trio.current_time(), len(write.heard)))
        return await commit(write, *given)

    async def listed(*given: Any) -> Any:
        page = await charge_points(*given)
        read.append((trio.current_time(), len(page)))
        return page

    monkeypatch.setattr(harness.journal, "commit", committed)
    monkeypatch.setattr(harness.reads, "charge_points", listed)
    async with AsyncExitStack() as stack:
        for identity in fleet:
            harness.add_charge_point(identity)
            await stack.enter_async_context(harness.connected(identity))
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(record_last_heard, harness.journal, harness.router)
        nursery.start_soon(lost_ends(harness).run)
        await trio.sleep(INTERVAL_SECONDS + 2)
        rounds = list(written), [each for each in read if each[1]]
        await trio.sleep(INTERVAL_SECONDS)
        assert written[3][0] == pytest.approx(written[0][0] + INTERVAL_SECONDS), "a round that takes long delays none"
        nursery.cancel_scope.cancel()
    for looks in rounds:
        assert [count for _, count in looks] == [AT_ONCE, AT_ONCE, 1]
        assert all(later - sooner >= PAUSE for (sooner, _), (later, _) in pairwise(looks))


async def test_the_store_is_marked_now_and_then(
    harness: Harness, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round that fails is left out; the next one marks what both have missed."""
    harness.add_charge_point()
    marked: list[bool] = []
    mark = harness.store.mark

    def noted() -> None:
        marked.append(True)
        mark()

    monkeypatch.setattr(harness.store, "mark", noted)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mark_store, harness.reads)
        harness.journal.failing = True
        await trio.sleep(MARK_SECONDS + 1)
        assert marked == []
        harness.journal.failing = False
        await trio.sleep(MARK_SECONDS)
        assert marked == [True]
        nursery.cancel_scope.cancel()


# --- reservations ---------------------------------------------------------------------------------------------

ONE = ConnectorAddress(1, 1)


def reserve(harness: Harness, identity: str, seconds: float) -> None:
    """A reservation that the charger has accepted, as its session would have recorded it."""
    expiry = virtual_clock() + timedelta(seconds=seconds)
    made = NewEvent(ReservationMade(7, ONE, "TAG", expiry), virtual_clock())
    harness.store.commit([Append(identity, None, (made,))])


async def trusted() -> datetime:
    """A clock that is trusted."""
    await trio.lowlevel.checkpoint()
    return virtual_clock()


async def test_no_reservation_ends_by_a_clock_that_is_doubted(harness: Harness, autojump_clock: MockClock) -> None:
    """A jump would end all of them; they end once the clock is trusted."""
    harness.add_charge_point()
    reserve(harness, "CP1", 1)
    now: list[datetime | None] = [None]

    async def doubted() -> datetime | None:
        await trio.lowlevel.checkpoint()
        return now[0]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_overdue_reservations, harness.journal, harness.reads, doubted)
        await trio.sleep(3 * EXPIRY_SECONDS)
        assert harness.bodies("reservation.ended") == []
        now[0] = virtual_clock()
        await trio.sleep(EXPIRY_SECONDS)
        assert len(harness.bodies("reservation.ended")) == 1
        nursery.cancel_scope.cancel()


async def test_no_reservation_of_a_connected_charger_ends_by_a_clock_that_jumped(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Nor by what the charger says meanwhile; it ends with what is said once the clock is trusted."""
    harness.add_charge_point()
    reserve(harness, "CP1", 60)
    async with harness.connected() as charger:
        await boot(charger)
        await trio.sleep(61)
        harness.clock_is_even = False
        await charger.call("Heartbeat", {})
        assert harness.bodies("reservation.ended") == []
        harness.clock_is_even = True
        await charger.call("Heartbeat", {})
        assert len(harness.bodies("reservation.ended")) == 1


async def test_a_reservation_that_expires_while_its_charger_is_away_ends_within_a_minute(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Under the epoch of its last connection, once, and also after the store has failed."""
    harness.add_charge_point()
    async with harness.connected():
        reserve(harness, "CP1", 100)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_overdue_reservations, harness.journal, harness.reads, trusted)
        await trio.sleep(99)
        assert harness.bodies("reservation.ended") == []
        harness.journal.failing = True
        await trio.sleep(2 * EXPIRY_SECONDS)
        harness.journal.failing = False
        await trio.sleep(3 * EXPIRY_SECONDS)
        assert harness.bodies("reservation.ended") == [ReservationEnded(7, ONE, "expired")]
        assert harness.events("reservation.ended")[0].epoch == 1
        nursery.cancel_scope.cancel()


async def test_a_reservation_of_a_connected_charger_is_left_to_its_session(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Which ends it with what the charger says next."""
    harness.add_charge_point()
    reserve(harness, "CP1", 100)
    async with harness.connected() as charger, trio.open_nursery() as nursery:
        nursery.start_soon(end_overdue_reservations, harness.journal, harness.reads, trusted)
        await trio.sleep(100 + 2 * EXPIRY_SECONDS)
        assert harness.bodies("reservation.ended") == []
        await boot(charger)
        assert harness.bodies("reservation.ended") == [ReservationEnded(7, ONE, "expired")]
        nursery.cancel_scope.cancel()


async def test_a_reservation_that_a_new_session_has_taken_over_is_left_to_it(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Between the look and the write: the write is refused by its epoch."""
    harness.add_charge_point()
    reserve(harness, "CP1", 1)
    read = harness.journal.read

    async def read_and_connect(fn: Any, *args: Any) -> Any:
        found = await read(fn, *args)
        harness.store.commit([OpenSession("CP1", ChargePointConnected("a", "ocpp1.6", 2), virtual_clock())])
        return found

    harness.journal.read = read_and_connect  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_overdue_reservations, harness.journal, harness.reads, trusted)
        await trio.sleep(EXPIRY_SECONDS + 1)
        nursery.cancel_scope.cancel()
    assert harness.bodies("reservation.ended") == []


async def test_a_reservation_that_can_not_be_ended_keeps_no_other_from_it(
    harness: Harness, autojump_clock: MockClock, poisoned: str
) -> None:
    """It is tried again in each round, and so is what a failing store has not taken."""
    for identity in (poisoned, "GOOD"):
        harness.add_charge_point(identity)
        reserve(harness, identity, 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_overdue_reservations, harness.journal, harness.reads, trusted)
        harness.journal.failing = harness.journal.readable = True
        await trio.sleep(EXPIRY_SECONDS + 1)
        assert harness.bodies("reservation.ended") == []
        harness.journal.failing = False
        await trio.sleep(EXPIRY_SECONDS)
        assert [event.charge_point for event in harness.events("reservation.ended")] == ["GOOD"]
        nursery.cancel_scope.cancel()


async def test_an_operation_that_can_not_be_ended_keeps_no_other_from_it(
    harness: Harness, autojump_clock: MockClock, poisoned: str
) -> None:
    """Nor does a clock that is doubted for a while, or a store that is away, keep any of them from its end."""
    body = OperationRequest(OperationKind.START_CHARGING, ONE, "TAG")
    for identity in (poisoned, "GOOD"):
        harness.add_charge_point(identity)
        accepted = OperationAccepted(f"op_{identity}", "r", body, virtual_clock() + timedelta(seconds=1))
        harness.store.commit([Append(identity, None, (NewEvent(accepted, virtual_clock()),))])
    doubted = True

    async def now() -> datetime | None:
        await trio.lowlevel.checkpoint()
        return None if doubted else virtual_clock()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_abandoned_operations, harness.journal, harness.reads, now)
        await trio.sleep(AWAY.total_seconds() + EXPIRY_SECONDS + 1)
        assert harness.bodies("operation.ended") == []
        doubted = False
        harness.journal.failing = harness.journal.readable = True
        await trio.sleep(EXPIRY_SECONDS)
        assert harness.bodies("operation.ended") == []
        harness.journal.failing = False
        await trio.sleep(EXPIRY_SECONDS)
        assert harness.bodies("operation.ended") == [OperationEnded("op_GOOD", End.OFFLINE, "away")]
        nursery.cancel_scope.cancel()


async def test_an_operation_whose_charger_stays_away_ends(harness: Harness, autojump_clock: MockClock) -> None:
    """Some minutes after its expiry, once; what was sent may have been carried out."""
    harness.add_charge_point()
    request = OperationRequest(OperationKind.START_CHARGING, ONE, "TAG")
    async with harness.connected() as charger:
        await boot(charger)
        await trio.sleep(harness.limits.settle_delay)
        operation = await harness.router.operate("CP1", request, "r", 60.0)
        assert isinstance(operation, OperationRecord)
        await charger.next_call("RemoteStartTransaction")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_abandoned_operations, harness.journal, harness.reads, trusted)
        await trio.sleep(60 + AWAY.total_seconds() - 5)
        assert harness.bodies("operation.ended") == []
        await trio.sleep(3 * EXPIRY_SECONDS)
        assert harness.bodies("operation.ended") == [OperationEnded(operation.operation_id, End.UNKNOWN, "away")]
        assert harness.events("operation.ended")[0].epoch == 1
        nursery.cancel_scope.cancel()


async def test_an_operation_of_a_connected_charger_is_left_to_its_session(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Which ends it when its time is over."""
    harness.add_charge_point()
    request = OperationRequest(OperationKind.START_CHARGING, ONE, "TAG")
    async with harness.connected() as charger, trio.open_nursery() as nursery:
        nursery.start_soon(end_abandoned_operations, harness.journal, harness.reads, trusted)
        await boot(charger)
        await trio.sleep(harness.limits.settle_delay)
        await harness.router.operate("CP1", request, "r", 60.0)
        await charger.next_call("RemoteStartTransaction")
        await trio.sleep(2 * AWAY.total_seconds())
        (ended,) = harness.bodies_of(OperationEnded)
        assert (ended.end, ended.reason) == (End.TIMED_OUT, "never-started")
        nursery.cancel_scope.cancel()

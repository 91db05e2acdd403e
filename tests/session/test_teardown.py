"""Teardown of a session: nothing escapes it, nothing stays of it."""

import gc
import uuid
from collections import Counter
from types import TracebackType
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.domain.commands import ClearCache
from gateway.domain.values import Registration
from gateway.session.fault_log import LINES_AT_ONCE
from gateway.session.limits import SessionLimits
from gateway.session.turns import TeardownTurns
from tests.session.commands.test_commands import ready
from tests.support.harness import BOOT, Harness, boot
from tests.support.wire import FakeTransport

ROUNDS = 1000


async def test_a_bug_that_shows_while_the_gateway_stops_escapes_no_session(
    harness: Harness, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled and failed at once is a group of both: only the cancellation may pass."""
    harness.add_charge_point()

    async def fails_on_leaving(_: object) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("a bug")

    stopped = []

    async def serve() -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(harness._serve, "CP1", FakeTransport())
                harness.router._sessions["CP1"]._tasks.start(fails_on_leaving, None)
                await trio.sleep(1)
                scope.cancel()
        stopped.append(scope.cancelled_caught)

    with capture_logs() as logs:
        await serve()
    assert stopped == [True]
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["session failed"]
    assert [type(each).__name__ for each in harness.bodies("charge_point.disconnected")] == ["ChargePointDisconnected"]


@pytest.mark.parametrize("where", ["close_nowait", "aclose"])
async def test_a_bug_in_closing_keeps_neither_the_end_nor_the_callers_waiting(
    harness: Harness, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The end is recorded, and who waits for a command hears of it at once, as if the connection had been closed."""
    outcomes: list[tuple[Any, float]] = []

    def fails(*_: object) -> None:
        raise RuntimeError("a bug")

    async def ask() -> None:
        outcome = await harness.router.call("CP1", ClearCache(), request_id="r1", deadline=trio.current_time() + 100)
        outcomes.append((outcome, trio.current_time()))

    with capture_logs() as logs:
        async with ready(harness) as (charger, _asked), trio.open_nursery() as callers:
            callers.start_soon(ask)
            await charger.next_call("ClearCache")
            monkeypatch.setattr(FakeTransport, where, fails)
            began = trio.current_time()
            await charger.hang_up()
    [(outcome, at)] = outcomes
    assert (outcome.state, outcome.reason) == ("OUTCOME_UNKNOWN", "disconnected")
    assert at < began + 10
    assert [type(each).__name__ for each in harness.bodies("charge_point.disconnected")] == ["ChargePointDisconnected"]
    assert harness.router.unrecorded("CP1") is None
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["session ended badly"]


async def test_a_charger_that_only_sends_rubbish_does_not_fill_the_log(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """One good message resets the budget of bad ones, but not that of lines."""
    async with ready(harness) as (charger, _asked):
        with capture_logs() as logs:
            for _ in range(LINES_AT_ONCE + 30):
                await charger.send_raw("rubbish")
                await charger.call("Heartbeat", {})
        assert len([line for line in logs if line["event"] == "malformed message"]) == LINES_AT_ONCE


async def test_a_boot_that_cannot_be_read_opens_nothing_to_a_charger_never_accepted(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A CALLERROR is no Boot.conf: no command before that (quirk 7)."""
    harness.add_charge_point(registration=Registration.PENDING)
    async with harness.connected() as charger:
        kind, *_ = await charger.call_frame("BootNotification", [1])
        assert kind == 4
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_ask, harness)
            await charger.hears_nothing(1000)
            assert (await charger.call("BootNotification", BOOT))["status"] == "Pending"
            message_id, _, _ = await charger.next_call("ClearCache")
            await charger.answer(message_id, {"status": "Accepted"})


async def test_a_boot_that_cannot_be_read_does_not_silence_the_gateway_for_good(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Towards a charger that was accepted earlier, and goes on as such."""
    harness.asks_nothing()
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
    async with harness.connected() as charger, trio.open_nursery() as nursery:
        kind, *_ = await charger.call_frame("BootNotification", [1])
        assert kind == 4
        nursery.start_soon(_ask, harness)
        await charger.hears_nothing(harness.limits.ready_after_silence - 0.5)
        with trio.fail_after(1):
            message_id, _, _ = await charger.next_call("ClearCache")
        await charger.answer(message_id, {"status": "Accepted"})


@pytest.mark.parametrize("boots", [False, True])
@pytest.mark.parametrize("action", ["Heartbeat", "StatusNotification"])
async def test_a_charger_that_was_accepted_earlier_may_be_spoken_to_once_it_has_spoken(
    harness: Harness, autojump_clock: MockClock, boots: bool, action: str
) -> None:
    """Any message that is answered is a sign, whether or not it is recorded (J §5.4); also behind a Boot that could not
    be read. It need not be silent first."""
    harness.limits = SessionLimits(ready_after_silence=100, own_requests=False)
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
    async with harness.connected() as charger, trio.open_nursery() as nursery:
        if boots:
            assert (await charger.call_frame("BootNotification", [1]))[0] == 4
        nursery.start_soon(_ask, harness)
        await charger.hears_nothing(50)
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        await charger.call(action, {} if action == "Heartbeat" else status)
        with trio.fail_after(0.1):
            message_id, _, _ = await charger.next_call("ClearCache")
        await charger.answer(message_id, {"status": "Accepted"})


async def _ask(harness: Harness) -> None:
    deadline = trio.current_time() + 2000
    await harness.router.call("CP1", ClearCache(), request_id=str(uuid.uuid4()), deadline=deadline)


async def test_a_failing_store_costs_its_sessions_and_each_caller_gets_an_answer(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A hundred sessions, each with a command on the wire and one behind it; then all is as before."""
    harness.limits = SessionLimits(settle_delay=0)
    for number in range(100):
        harness.add_charge_point(f"C{number}")
    outcomes: list[Any] = []

    async def ask(identity: str, request_id: str) -> None:
        deadline = trio.current_time() + 60
        outcomes.append(await harness.router.call(identity, ClearCache(), request_id=request_id, deadline=deadline))

    async def session(number: int, nursery: trio.Nursery) -> None:
        async with harness.connected(f"C{number}") as charger:
            await boot(charger)
            nursery.start_soon(ask, f"C{number}", "a")
            nursery.start_soon(ask, f"C{number}", "b")
            await charger.sees_the_end()
            charger.gone = True

    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(session, number, nursery)
        await trio.sleep(5)
        harness.journal.failing = True
        await harness.router.end_all("store-unavailable", 1011)
    assert len(outcomes) == 200
    assert sorted({outcome.state for outcome in outcomes}) == ["NOT_SENT", "OUTCOME_UNKNOWN"]
    assert len(harness.router) == 0

    harness.journal.failing = False
    async with harness.connected("C0") as charger:
        await boot(charger)
    settled = [each.state for each in harness.store.commands("C0", None, 10)]
    assert sorted(settled) == ["NOT_SENT", "OUTCOME_UNKNOWN"]


# --- what stays -----------------------------------------------------------------------------------------------


async def _visit(harness: Harness, ways_out: int) -> None:
    """One connection with a command, a time-out, a late answer awaited, provisioning under way."""
    async with harness.connected() as charger, trio.open_nursery() as nursery:
        await boot(charger)
        await trio.sleep(harness.limits.settle_delay)
        nursery.start_soon(_ask, harness)
        message_id, _, _ = await charger.next_call()
        if ways_out % 5 == 1:
            await charger.answer(message_id, {"status": "Accepted"})
        elif ways_out % 5 == 2:
            await trio.sleep(harness.limits.call_timeout + 1)
        elif ways_out % 5 == 3:
            await charger.send_raw("rubbish")
            harness.router.disconnect("CP1")
            await charger.sees_the_end()
        elif ways_out % 5 == 4:
            harness.journal.failing = True
            await charger.send(
                2, "s", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Faulted"}
            )
            await charger.sees_the_end()
            harness.journal.failing = False
        await charger.lose_link()


async def test_a_thousand_sessions_leave_nothing_behind_without_a_collector(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """They end by the link, after an answer or a time-out, by the operator, for want of a store."""
    harness.add_charge_point()
    for ways_out in range(8):
        await _visit(harness, ways_out)
    gc.collect()
    gc.disable()
    try:
        _objects(harness)  # the first count makes some itself: what abstract classes remember of the types asked about
        before = _objects(harness)
        for ways_out in range(ROUNDS):
            await _visit(harness, ways_out)
        grown = _objects(harness) - before
    finally:
        gc.enable()
    # A handful may be some library's cache; each way out was taken two hundred times.
    assert {name: count for name, count in grown.items() if count > ROUNDS // 20} == {}


def _objects(harness: Harness) -> Counter[str]:
    """All that the collector knows of, by type, but for what the test and Trio's heap of past deadlines keep."""
    harness.journal.commits.clear()
    kept = {"CancelScope", "CancelReason", "tuple"}
    return Counter(name for each in gc.get_objects() if (name := type(each).__name__) not in kept)


async def test_sessions_of_chargers_that_are_gone_end_by_turns(harness: Harness, autojump_clock: MockClock) -> None:
    """So many at once at most; one that is ended for another reason doesn't wait for its turn."""
    await with_its_only_turn_taken(harness, 4)
    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(_come_and_go, harness, f"C{number}")
        await trio.sleep(5)
        assert len(harness.router) == 4
        harness.router.disconnect("C2")
        await trio.sleep(1)
        assert len(harness.router) == 3
        harness.teardown_turns.over()
    assert len(harness.router) == 0
    assert len(harness.bodies("charge_point.disconnected")) == 4
    with trio.fail_after(1):
        await harness.teardown_turns.turn()


async def with_its_only_turn_taken(harness: Harness, charge_points: int) -> None:
    """So many charge points, whose sessions wait for a turn to end until the test gives back its own."""
    harness.asks_nothing()
    harness.teardown_turns = TeardownTurns(at_once=1)
    for number in range(charge_points):
        harness.add_charge_point(f"C{number}")
    await harness.teardown_turns.turn()


async def _come_and_go(harness: Harness, identity: str) -> None:
    async with harness.connected(identity):
        await trio.sleep(1)


async def test_what_waits_for_its_turn_to_end_keeps_no_exception(harness: Harness, autojump_clock: MockClock) -> None:
    """Hundreds wait where a network went: a traceback and its frames for each would be the collector's to look at."""
    await with_its_only_turn_taken(harness, 20)
    gc.collect()
    before = _tracebacks()
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(_come_and_go, harness, f"C{number}")
        await trio.sleep(5)
        assert len(harness.router) == 20
        assert _tracebacks() <= before + 5
        harness.teardown_turns.over()


def _tracebacks() -> int:
    return sum(type(each) is TracebackType for each in gc.get_objects())


async def test_what_comes_to_a_session_that_is_over_changes_nothing(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The operator's word may have been under way."""
    harness.add_charge_point(registration=Registration.PENDING)
    async with harness.connected() as charger:
        await charger.call("BootNotification", BOOT)
        session = harness.router._sessions["CP1"]
        await charger.hang_up()
    await trio.sleep(1)
    before = harness.events()
    session.registration_changed(Registration.ACCEPTED)
    session.end("deleted", code=1008)
    await trio.sleep(1)
    assert harness.events() == before

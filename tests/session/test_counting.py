"""Counts of sessions, for metrics and for operators who look for a charger's trouble: by scenario, and nothing else."""

from collections import Counter
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.domain.commands import ClearCache, Refused
from gateway.domain.values import Registration
from gateway.histogram import Latencies
from gateway.session.commands.provisioning import DesiredKey
from gateway.session.limits import SessionLimits
from gateway.session.ports import NoObserver
from tests.session.commands.test_commands import ready
from tests.session.test_fencing import new_owner
from tests.session.test_handler_bugs import Broken
from tests.support.harness import BOOT, Harness, boot
from tests.support.wire import FakeTransport

STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


class Counting(NoObserver):
    """Remembers what was counted."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.seconds: list[tuple[str, float]] = []
        """Actions that were answered, and how long that took."""
        self.commands: list[tuple[str, str, float | None]] = []

    def now(self) -> float:
        return trio.current_time()

    def answered(self, action: str, began: float, latencies: Latencies) -> None:
        self.counts["answered", action] += 1
        self.seconds.append((action, trio.current_time() - began))

    def command_over(self, operation: str, outcome: str, took: float | None, latencies: Latencies) -> None:
        self.commands.append((operation, outcome, took))

    def count(self, what: str, label: str = "") -> None:
        self.counts[what, label] += 1

    def deviated(self, charge_point: str, boot: object, deviations: tuple[str, ...]) -> None:
        self.counts["deviated", ",".join(deviations)] += 1

    def too_large(self, charge_point: str, size: int) -> None:
        self.counts["too large", charge_point] += 1

    def taken(self) -> dict[tuple[str, str], int]:
        """Return the counts since the last call."""
        taken, self.counts = dict(self.counts), Counter()
        return taken


@pytest.fixture
def counting(harness: Harness) -> Counting:
    counting = Counting()
    harness.observer = counting
    harness.limits = SessionLimits(settle_delay=0, call_timeout=5)
    return counting


async def test_what_a_charger_says_is_counted_by_its_kind(
    harness: Harness, autojump_clock: MockClock, counting: Counting
) -> None:
    """Handled by action, refused by code and action, not read, of no kind that there is, and answers to nothing."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        assert counting.taken() == {("answered", "BootNotification"): 1}
        await charger.call("StatusNotification", STATUS)
        await charger.call("Heartbeat", {})
        assert counting.taken() == {("answered", "StatusNotification"): 1, ("answered", "Heartbeat"): 1}
        await charger.call_frame("NoSuch", {})
        await charger.call_frame("DataTransfer", {})
        await charger.call_frame("Reset", {})
        assert counting.taken() == {
            ("calls_refused", "NotImplemented unknown"): 1,
            ("calls_refused", "ProtocolError DataTransfer"): 1,
            ("calls_refused", "NotSupported Reset"): 1,
        }
        await charger.send_raw("no json")
        await charger.send(1, "x")
        await charger.send(3, "nobody asked", {})
        await charger.send(4, "nobody asked", "GenericError", "", {})
        await charger.call("Heartbeat", {})
        assert counting.taken() == {
            ("malformed_messages", ""): 1,
            ("ignored_messages", ""): 1,
            ("unmatched_answers", ""): 2,
            ("answered", "Heartbeat"): 1,
        }


async def test_what_comes_before_acceptance_is_counted(
    harness: Harness, autojump_clock: MockClock, counting: Counting
) -> None:
    """And is no message that was handled."""
    harness.add_charge_point(registration=Registration.PENDING)
    async with harness.connected() as charger:
        await charger.call("BootNotification", BOOT)
        await charger.call_frame("Heartbeat", {})
        assert counting.taken() == {("answered", "BootNotification"): 1, ("calls_before_acceptance", ""): 1}


async def test_a_bug_in_a_handler_is_counted_by_action(
    harness: Harness, autojump_clock: MockClock, counting: Counting
) -> None:
    """And where it ends the session, as that."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
    for action, payload, counted in (
        ("Heartbeat", {}, {("answered", "Heartbeat"): 1, ("handler_failures", "Heartbeat"): 1}),
        ("MeterValues", {"connectorId": 1, "meterValue": []}, None),
    ):
        broken = Broken(harness, action, "decide")
        counting.taken()
        async with harness.connected() as charger:
            with capture_logs() as logs:
                await charger.send(2, "m", action, payload)
                await trio.sleep(1)
            word = "handler failed" if counted else "session failed"
            assert [line["event"] for line in logs if line["log_level"] == "error"] == [word]
            found = counting.taken()
            if counted is None:
                await charger.sees_the_end()
                charger.gone = True
                assert found["session_failures", ""] == 1
                assert ("handler_failures", action) not in found
            else:
                assert found == counted
        broken.mended = True


async def test_a_lost_charge_point_is_no_failure_of_its_session(
    harness: Harness, autojump_clock: MockClock, counting: Counting
) -> None:
    """Whichever part of it finds out: here, the task of a command."""
    async with ready(harness) as (charger, asked):
        counting.taken()
        new_owner(harness)
        await asked.ask(ClearCache())()
        assert await charger.sees_the_end() == (1008, "replaced")
        charger.gone = True
        await trio.testing.wait_all_tasks_blocked()
        assert counting.taken() == {("sessions_ended", "replaced"): 1}


async def test_answers_are_counted_by_when_they_come(
    harness: Harness, autojump_clock: MockClock, counting: Counting
) -> None:
    """In time: not at all. After the time-out: both."""
    async with ready(harness) as (charger, asked):
        counting.taken()
        outcome = asked.ask(ClearCache())
        message_id, *_ = await charger.next_call("ClearCache")
        await charger.answer(message_id, {"status": "Accepted"})
        await outcome()
        assert counting.taken() == {}
        outcome = asked.ask(ClearCache())
        message_id, *_ = await charger.next_call("ClearCache")
        await outcome()
        await trio.sleep(1)
        assert counting.taken() == {("call_timeouts", ""): 1}
        await charger.answer(message_id, {"status": "Accepted"})
        await trio.sleep(1)
        assert counting.taken() == {("late_answers", ""): 1}
        await charger.answer(message_id, {"status": "Accepted"})
        await trio.sleep(1)
        assert counting.taken() == {("unmatched_answers", ""): 1}


async def test_an_answer_after_its_callers_deadline_is_no_time_out(
    harness: Harness, autojump_clock: MockClock, counting: Counting
) -> None:
    """The charger kept to its time; its caller had less."""
    async with ready(harness) as (charger, asked):
        counting.taken()
        outcome = asked.ask(ClearCache(), seconds=2)
        message_id, *_ = await charger.next_call("ClearCache")
        await outcome()
        await trio.sleep(1)
        await charger.answer(message_id, {"status": "Accepted"})
        await trio.sleep(20)
        assert counting.taken() == {}


async def test_a_question_of_the_gateways_own_that_is_not_answered_is_counted(
    harness: Harness, autojump_clock: MockClock, counting: Counting
) -> None:
    """Its late answer answers nothing any more."""
    harness.boot_configuration = (DesiredKey("A", ("1",)),)
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        message_id, *_ = await charger.next_call("ChangeConfiguration")
        counting.taken()
        await trio.sleep(6)
        assert counting.taken() == {("call_timeouts", ""): 1}
        await charger.answer(message_id, {"status": "Accepted"})
        await trio.sleep(1)
        assert counting.taken() == {("unmatched_answers", ""): 1}


async def test_a_silent_end_is_counted(harness: Harness, autojump_clock: MockClock, counting: Counting) -> None:
    """The charger answers neither a ping nor anything else."""
    harness.add_charge_point()
    async with harness.connected(transport=FakeTransport(answers_pings=False)) as charger:
        await boot(charger)
        counting.taken()
        await charger.sees_the_end()
        charger.gone = True
    assert counting.taken() == {("silent_sessions", ""): 1, ("sessions_ended", "silent"): 1}


async def test_what_deviates_is_counted_by_its_repairs(
    harness: Harness, autojump_clock: MockClock, counting: Counting
) -> None:
    """Once a message."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        counting.taken()
        odd: dict[str, Any] = {**STATUS, "invented": 1}
        await charger.call("StatusNotification", odd)
        await trio.testing.wait_all_tasks_blocked()
        assert counting.taken() == {("answered", "StatusNotification"): 1, ("deviated", "extra-property"): 1}


async def test_what_is_beyond_reading_is_counted_by_its_action(
    harness: Harness, autojump_clock: MockClock, counting: Counting
) -> None:
    """It is recorded and confirmed all the same."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        counting.taken()
        deep = "[" * 100 + "]" * 100
        await charger.send_raw(f'[2,"m","MeterValues",{{"connectorId":1,"meterValue":{deep}}}]')
        assert await charger.next_answer() == [3, "m", {}]
    counts = counting.taken()
    assert counts["unread_messages", "MeterValues"] == 1


async def test_a_bug_in_a_commit_is_counted_as_a_failure_of_its_session(
    harness: Harness, autojump_clock: MockClock, counting: Counting
) -> None:
    """The store can't take what the session wrote: it ends, and the charger says it again."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        counting.taken()
        journal: Any = harness.journal
        submit = journal.submit

        def fails(write: Any, heard: Any) -> None:
            trio.lowlevel.current_trio_token().run_sync_soon(heard, write, LookupError("a bug"))

        journal.submit = fails
        await charger.send(2, "m", "StatusNotification", STATUS)
        assert (await charger.sees_the_end())[0] == 1011
        journal.submit = submit
    assert counting.taken()["session_failures", ""] == 1


async def test_how_long_an_answer_takes_is_measured_up_to_the_disk(
    harness: Harness, autojump_clock: MockClock, counting: Counting
) -> None:
    """A message with events is answered when they are committed, one without at once."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        counting.seconds.clear()
        harness.journal.stall_seconds = 2
        await charger.call("StatusNotification", STATUS)
        await charger.call("Heartbeat", {})
        harness.journal.stall_seconds = 0
    assert counting.seconds == [("StatusNotification", 2), ("Heartbeat", 0)]


async def test_a_command_is_counted_once_by_its_outcome_with_its_round_trip(
    harness: Harness, autojump_clock: MockClock, counting: Counting
) -> None:
    """From the wire and back; one that times out has none, and its late answer counts no second time."""
    async with ready(harness) as (charger, asked):
        await trio.sleep(7)
        outcome = asked.ask(ClearCache())
        message_id, *_ = await charger.next_call("ClearCache")
        await trio.sleep(3)
        await charger.answer(message_id, {"status": "Accepted"})
        await outcome()
        assert counting.commands == [("ClearCache", "ANSWERED", 3)]
        outcome = asked.ask(ClearCache())
        message_id, *_ = await charger.next_call("ClearCache")
        await outcome()
        await charger.answer(message_id, {"status": "Accepted"})
        await trio.sleep(1)
        assert counting.commands[1:] == [("ClearCache", "OUTCOME_UNKNOWN", None)]


async def test_a_command_of_which_nothing_was_recorded_is_counted_by_its_reason(
    harness: Harness, autojump_clock: MockClock, counting: Counting
) -> None:
    """The store keeps none, and the session ends with it."""
    async with ready(harness) as (charger, asked):
        harness.journal.failing = harness.journal.readable = True
        outcome = await asked.ask(ClearCache())()
        charger.gone = True
    assert isinstance(outcome, Refused)
    assert counting.commands == [("ClearCache", outcome.reason, None)]

"""The answer to a command's caller is what is stored of it, to the last field and whatever the clock does between."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.domain import events as e
from gateway.domain.commands import ChangeConfiguration, ClearCache, CommandRecord, CommandState, RefusalReason, Refused
from gateway.session.commands.provisioning import DesiredKey
from gateway.session.limits import SessionLimits
from tests.session.commands.test_command_hazards import NEW_KEY as NEW_KEY_HEX
from tests.session.commands.test_commands import ready
from tests.support import harness as harness_module
from tests.support.harness import Harness, boot, virtual_clock
from tests.support.wire import FakeTransport


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock that never says the same time twice."""
    ticks = 0

    def clock() -> datetime:
        nonlocal ticks
        ticks += 1
        return virtual_clock() + timedelta(microseconds=ticks)

    monkeypatch.setattr(harness_module, "virtual_clock", clock)


def stored(harness: Harness, record: Any) -> CommandRecord:
    assert isinstance(record, CommandRecord)
    found = harness.store.command(record.command_id)
    assert found is not None
    return found


async def test_the_record_that_is_answered_is_the_stored_one(
    harness: Harness, autojump_clock: MockClock, ticking: None
) -> None:
    """Answered at once, answered after waiting for the wire, refused by the charger, and not answered."""
    harness.limits = SessionLimits(settle_delay=0, call_timeout=5)
    async with ready(harness) as (charger, asked):
        first, second, third = (asked.ask(ClearCache(), request_id=name) for name in "abc")
        for _ in range(2):
            message_id, *_ = await charger.next_call("ClearCache")
            await charger.answer(message_id, {"status": "Accepted"})
        message_id, *_ = await charger.next_call("ClearCache")
        await charger.answer_error(message_id, "InternalError", "no")
        for outcome in (first, second, third):
            record = await outcome()
            assert record == stored(harness, record)
            assert record.state is CommandState.ANSWERED
            assert record.created_at < record.sent_at < record.finished_at
        unanswered = asked.ask(ClearCache())
        await charger.next_call("ClearCache")
        record = await unanswered()
        assert record == stored(harness, record)
        assert (record.state, record.reason) == (CommandState.OUTCOME_UNKNOWN, "timeout")


async def test_each_event_of_a_command_names_it_and_its_operation(harness: Harness, autojump_clock: MockClock) -> None:
    """Queued, sent, answered; not sent; unknown. Watchers need no look-up."""
    harness.limits = SessionLimits(settle_delay=0, call_timeout=5)
    async with ready(harness) as (charger, asked):
        answered = asked.ask(ClearCache())
        message_id, *_ = await charger.next_call("ClearCache")
        await charger.answer(message_id, {"status": "Accepted"})
        await answered()
        unknown = asked.ask(ClearCache())
        await charger.next_call("ClearCache")
        not_sent = asked.ask(ClearCache(), seconds=1)
        records = [await outcome() for outcome in (answered, unknown, not_sent)]
    assert [record.state for record in records] == ["ANSWERED", "OUTCOME_UNKNOWN", "NOT_SENT"]
    for record, last in zip(records, (e.CommandAnswered, e.CommandOutcomeUnknown, e.CommandNotSent), strict=True):
        bodies = [
            body
            for body in harness.bodies()
            if isinstance(
                body,
                e.CommandQueued | e.CommandSent | e.CommandAnswered | e.CommandOutcomeUnknown | e.CommandNotSent,
            )
            and body.command_id == record.command_id
        ]
        assert {body.operation for body in bodies} == {"ClearCache"}
        assert type(bodies[-1]) is last
        causes = {event.cause for event in harness.events() if record.command_id.encode() in event.body_json}
        assert causes == {f"command:{record.command_id}"}
    [gave_up] = [body for body in harness.bodies() if isinstance(body, e.CommandNotSent)]
    assert gave_up.reason == "deadline"
    [timed_out] = [body for body in harness.bodies() if isinstance(body, e.CommandOutcomeUnknown)]
    assert timed_out.reason == "timeout"


async def test_commands_that_are_over_leave_room_for_others(harness: Harness, autojump_clock: MockClock) -> None:
    """The limit is of those that wait; and a request id of one that is over is looked up in the store."""
    harness.limits = SessionLimits(settle_delay=0, call_queue=3)
    async with ready(harness) as (charger, asked):
        for number in range(10):
            outcome = asked.ask(ClearCache(), request_id=f"r{number}")
            message_id, *_ = await charger.next_call("ClearCache")
            await charger.answer(message_id, {"status": "Accepted"})
            assert (await outcome()).state is CommandState.ANSWERED
        first = await asked.ask(ClearCache(), request_id="r0")()
        assert first.state is CommandState.ANSWERED
        await charger.hears_nothing(5)
        for _ in range(3):
            asked.ask(ClearCache())
            await wait_all_tasks_blocked()
        refused = await asked.ask(ClearCache())()
        assert isinstance(refused, Refused)
        assert refused.reason is RefusalReason.QUEUE_FULL
        await charger.hang_up()


async def test_a_late_answer_is_awaited_however_many_questions_of_its_own_the_gateway_has(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Those have no caller that waits, and take no place of one that has."""
    harness.limits = SessionLimits(settle_delay=0, call_timeout=5)
    harness.boot_configuration = tuple(DesiredKey(f"K{number}", ("1",)) for number in range(20))
    harness.add_charge_point()
    async with harness.connected() as charger, trio.open_nursery() as nursery:
        from tests.session.commands.test_commands import Asked

        await boot(charger)
        await charger.next_call("ChangeConfiguration")
        outcome = Asked(harness, nursery).ask(ClearCache(), seconds=30)
        while (call := await charger.next_call())[1] != "ClearCache":
            pass
        record = await outcome()
        assert record.state is CommandState.OUTCOME_UNKNOWN
        await trio.sleep(5 * 25)
        await charger.answer(call[0], {"status": "Accepted"})
        await trio.sleep(1)
        assert stored(harness, record).state is CommandState.ANSWERED


async def test_a_session_that_ends_while_a_command_is_being_recorded_waits_for_that(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """So its caller's answer is what is recorded."""
    harness.limits = SessionLimits(settle_delay=0)
    async with ready(harness) as (charger, asked):
        harness.journal.stall_seconds = 3.0
        outcome = asked.ask(ClearCache())
        await trio.sleep(1)
        await charger.lose_link()
        record = await outcome()
        harness.journal.stall_seconds = 0.0
    assert record.state is stored(harness, record).state
    assert record.state.final


async def test_a_new_key_whose_turn_came_too_late_opens_nothing(harness: Harness) -> None:
    """In real time: hashing takes a thread. It was never sent, so it is withdrawn, also while the session ends."""
    harness.limits = SessionLimits(settle_delay=0)
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(ChangeConfiguration("AuthorizationKey", NEW_KEY_HEX), seconds=60)
        await trio.sleep(0.001)
        await charger.lose_link()
        record = await outcome()
    if isinstance(record, CommandRecord):
        assert record.state is not CommandState.ANSWERED
    assert len(harness.store.credentials("CP1")) == (isinstance(record, CommandRecord) and record.sent_at is not None)


async def test_a_disconnection_by_the_operator_is_a_normal_closure(harness: Harness, autojump_clock: MockClock) -> None:
    """1000, and the reason names the operator."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        harness.router.disconnect("CP1")
        assert await charger.sees_the_end() == (1000, "disconnected-by-operator")
        charger.gone = True
    [gone] = harness.bodies(e.ChargePointDisconnected.TYPE)
    assert isinstance(gone, e.ChargePointDisconnected)
    assert (gone.reason, gone.initiator, gone.code) == ("disconnected-by-operator", "local", 1000)


async def test_a_session_that_is_cancelled_ends_as_draining(harness: Harness, autojump_clock: MockClock) -> None:
    """The gateway stops: there is no other reason."""
    harness.add_charge_point()
    transport = FakeTransport()
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            await nursery.start(harness._serve, "CP1", transport)
            harness.journal.stall_seconds = 2.0
            nursery.cancel_scope.cancel()
    assert [(line["reason"], line["recorded"]) for line in logs if line["event"] == "session ended"] == [
        ("draining", True)
    ], "it waits for its end to be recorded"
    assert transport.closed_with == (1001, "draining")
    [gone] = harness.bodies(e.ChargePointDisconnected.TYPE)
    assert isinstance(gone, e.ChargePointDisconnected)
    assert (gone.reason, gone.initiator, gone.code) == ("draining", "local", 1001)


async def test_a_new_key_whose_hash_took_too_long_was_not_sent_and_opens_nothing(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """While a thread hashes, this clock runs ahead: the deadline has passed when it is done."""
    harness.limits = SessionLimits(settle_delay=0)
    async with ready(harness) as (charger, asked):
        record = await asked.ask(ChangeConfiguration("AuthorizationKey", NEW_KEY_HEX), seconds=60)()
        assert (record.state, record.reason) == (CommandState.NOT_SENT, "deadline")
        while not stored(harness, record).state.final:
            await charger.hears_nothing(0.1)
        assert (stored(harness, record).state, stored(harness, record).reason) == (record.state, record.reason)
        assert harness.store.credentials("CP1") == ()
        await charger.hears_nothing(5)

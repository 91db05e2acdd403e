"""Bounds of a session, each at the limit and one beyond it, and orders and reports that no other test looks at."""

import random
from datetime import timedelta
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.domain import events as e
from gateway.domain.codec import fingerprint
from gateway.domain.commands import (
    ChangeConfiguration,
    ClearCache,
    CommandRecord,
    CommandState,
    RefusalReason,
    Refused,
    Unknown,
)
from gateway.domain.decision import AuthorizeQuery, StartQuery, TransactionQuery
from gateway.domain.diagnostics import FrameKind
from gateway.domain.events import NewEvent
from gateway.domain.values import ConnectorAddress, Registration
from gateway.observability.frame_log import FrameLog
from gateway.session.commands.calls import MAX_LATE
from gateway.session.fault_log import LINES_AT_ONCE, MAX_KEPT, SECONDS_A_LINE, FaultLog
from gateway.session.keepalive import MAX_LEFT
from gateway.session.limits import SessionLimits
from gateway.session.lookups import Lookups, TableAuthorizer
from gateway.store.commits import Append, GuardFailed
from gateway.transport.api import Peer
from tests.session.commands.test_commands import ready
from tests.session.test_router import call
from tests.session.test_timer_queue import Seen, watching
from tests.support.harness import BOOT, Harness, boot, virtual_clock
from tests.support.wire import FakeTransport

SECRET = "correct horse battery"


# --- at the limit and one beyond ------------------------------------------------------------------------------


async def test_so_many_bad_messages_in_a_row_end_a_session(harness: Harness, autojump_clock: MockClock) -> None:
    """One less does not, and a good one between them, of either kind, begins the count anew."""
    harness.limits = SessionLimits(settle_delay=0, bad_messages=3, own_requests=False)
    async with ready(harness) as (charger, asked):
        for _ in range(2):
            for _ in range(2):
                await charger.send_raw("no json")
            await charger.call("Heartbeat", {})
        outcome = asked.ask(ClearCache())
        message_id, *_ = await charger.next_call("ClearCache")
        for _ in range(2):
            await charger.send_raw("no json")
        await charger.answer(message_id, {"status": "Accepted"})
        assert isinstance(await outcome(), CommandRecord)
        for _ in range(2):
            await charger.send_raw("no json")
        await charger.call("Heartbeat", {})
        for _ in range(3):
            await charger.send_raw("no json")
        assert (await charger.sees_the_end())[0] == 1008


async def test_so_many_commands_wait_and_no_more(harness: Harness, autojump_clock: MockClock) -> None:
    """The one that is one too many is refused with the number; when one has its outcome the next is taken."""
    harness.limits = SessionLimits(settle_delay=0, call_queue=2, own_requests=False)
    async with ready(harness) as (charger, asked):
        outcomes = [asked.ask(ClearCache()) for _ in range(2)]
        message_id, *_ = await charger.next_call("ClearCache")
        refused = await asked.ask(ClearCache())()
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.metadata) == (RefusalReason.QUEUE_FULL, {"limit": "2"})
        await charger.answer(message_id, {"status": "Accepted"})
        assert isinstance(await outcomes[0](), CommandRecord)
        outcomes.append(asked.ask(ClearCache()))
        for outcome in outcomes[1:]:
            message_id, *_ = await charger.next_call("ClearCache")
            await charger.answer(message_id, {"status": "Accepted"})
            assert isinstance(await outcome(), CommandRecord)


async def test_so_many_late_answers_are_waited_for(harness: Harness, autojump_clock: MockClock) -> None:
    """Of the calls that timed out, the oldest beyond the limit is answered in vain."""
    harness.limits = SessionLimits(settle_delay=0, call_timeout=1, own_requests=False)
    async with ready(harness) as (charger, asked):
        ids = []
        for _ in range(MAX_LATE + 1):
            outcome = asked.ask(ClearCache())
            ids.append((await charger.next_call("ClearCache"))[0])
            await outcome()
        for message_id in ids:
            await charger.answer(message_id, {"status": "Accepted"})
        await charger.call("Heartbeat", {})
    late = [each.late for each in harness.bodies_of(e.CommandAnswered)]
    assert late == [True] * MAX_LATE


async def test_an_account_is_forgotten_when_it_is_clear_and_not_before(autojump_clock: MockClock) -> None:
    """To the second: a line is a minute."""
    lines = FaultLog()
    lines.take("CP1")
    await trio.sleep(SECONDS_A_LINE - 0.5)
    lines.take("CP2")
    assert len(lines) == 2
    await trio.sleep(0.5)
    lines.take("CP2")
    assert len(lines) == 1


async def test_the_charger_that_wrote_least_recently_is_forgotten_first(autojump_clock: MockClock) -> None:
    """Not the one that came first and still writes."""
    lines = FaultLog()
    for n in range(MAX_KEPT):
        lines.take(f"CP{n}")
    assert len(lines) == MAX_KEPT
    for _ in range(LINES_AT_ONCE):
        lines.take("CP0")
    lines.take("one more")
    assert len(lines) == MAX_KEPT
    await trio.sleep(LINES_AT_ONCE * SECONDS_A_LINE)
    assert (lines.take("CP0") or 0) > 0


async def test_what_stays_is_looked_at_in_time_when_many_go(autojump_clock: MockClock) -> None:
    """Whichever they are: the queue is tidied up, and the first that is due stays the first."""
    seeded = random.Random(1)
    async with watching() as watch:
        looks = {at: Seen() for at in range(1, 4 * MAX_LEFT)}
        order = seeded.sample(sorted(looks), len(looks))
        places = {at: watch.add(looks[at], float(at)) for at in order}
        gone = set(seeded.sample(sorted(looks), 3 * MAX_LEFT))
        for at in gone:
            watch.remove(places[at])
        await trio.sleep(4 * MAX_LEFT)
        assert {at: look.at for at, look in looks.items()} == {at: [] if at in gone else [at] for at in looks}
        assert len(watch) == len(looks) - len(gone)


# --- reports, and their order ---------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True], ids=["in time", "late"])
async def test_the_next_message_waits_until_a_charger_s_answer_is_recorded(
    harness: Harness, autojump_clock: MockClock, late: bool
) -> None:
    """A message is decided with what the charger has said before it, whether its answer came in time or not."""
    harness.limits = SessionLimits(settle_delay=0, call_timeout=5, own_requests=False)
    async with ready(harness) as (charger, asked):
        asked.ask(ClearCache())
        message_id, *_ = await charger.next_call("ClearCache")
        await trio.sleep(6 if late else 1)
        harness.journal.stall_seconds = 2.0
        began = trio.current_time()
        await charger.answer(message_id, {"status": "Accepted"})
        await charger.call("Heartbeat", {})
        assert trio.current_time() == began + 2.0
        assert [each.late for each in harness.bodies_of(e.CommandAnswered)] == [late]
        harness.journal.stall_seconds = 0.0


@pytest.mark.parametrize("ending", ["disconnect", "drain"])
async def test_an_answer_that_is_being_recorded_when_the_session_is_ended_is_the_outcome(
    harness: Harness, autojump_clock: MockClock, ending: str
) -> None:
    """For its caller and on disk, by whichever way the session is ended."""
    harness.limits = SessionLimits(settle_delay=0, own_requests=False)
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(ClearCache())
        message_id, *_ = await charger.next_call("ClearCache")
        harness.journal.stall_seconds = 2.0
        await charger.answer(message_id, {"status": "Accepted"})
        await trio.sleep(1)
        harness.router._sessions["CP1"].end(ending, code=1001)
        record = await outcome()
        harness.journal.stall_seconds = 0.0
    assert isinstance(record, CommandRecord)
    assert (record.state, record.finished_at is not None) == (CommandState.ANSWERED, True)
    assert harness.command(record.command_id) == record


async def test_a_charger_that_answers_with_rubbish_until_it_is_let_go_has_answered(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The answer that can't be read is recorded before the session ends for one bad message too many."""
    harness.limits = SessionLimits(settle_delay=0, bad_messages=1, own_requests=False)
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(ClearCache())
        message_id, *_ = await charger.next_call("ClearCache")
        harness.journal.stall_seconds = 2.0
        await charger.send(3, message_id)
        assert (await charger.sees_the_end())[0] == 1008
        record = await outcome()
        harness.journal.stall_seconds = 0.0
    assert isinstance(record, CommandRecord)
    assert record.error is not None
    assert [each.error == record.error for each in harness.bodies_of(e.CommandAnswered)] == [True]


async def test_the_gateways_calls_are_shown_once_and_without_secrets(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """To operators who look for what a charger was sent."""
    log = FrameLog(virtual_clock, 20)
    ring = log.opened("CP1", Peer("127.0.0.1", 50000, "TLSv1.3", "TLS_AES_128_GCM_SHA256", None))
    assert ring is not None
    harness.frames = ring
    harness.limits = SessionLimits(settle_delay=0, own_requests=False)
    async with ready(harness) as (charger, asked):
        for command in (ClearCache(), ChangeConfiguration("WifiPassword", SECRET)):
            outcome = asked.ask(command)
            message_id, *_ = await charger.next_call()
            await charger.answer(message_id, {"status": "Rejected"})
            await outcome()
    calls = [each.text for each in log.of("CP1") or () if each.kind is FrameKind.SENT and each.text.startswith("[2,")]
    assert [text.split('"')[3] for text in calls] == ["ClearCache", "ChangeConfiguration"]
    assert not any(SECRET in text for text in calls)


@pytest.mark.parametrize(
    ("before", "after", "asked", "over"),
    [
        (Registration.PENDING, Registration.PENDING, False, False),
        (Registration.PENDING, Registration.ACCEPTED, True, False),
        (Registration.PENDING, Registration.REJECTED, False, True),
        (Registration.REJECTED, Registration.ACCEPTED, False, False),
        (Registration.REJECTED, Registration.PENDING, False, True),
        (Registration.REJECTED, Registration.REJECTED, False, False),
        (Registration.ACCEPTED, Registration.ACCEPTED, False, False),
        (Registration.ACCEPTED, Registration.PENDING, False, True),
        (Registration.ACCEPTED, Registration.REJECTED, False, True),
    ],
)
async def test_what_an_operator_decides_anew_changes_a_session_so(
    harness: Harness, autojump_clock: MockClock, before: Registration, after: Registration, asked: bool, over: bool
) -> None:
    """A Pending charger that is accepted is asked to boot; one that is not accepted any more is let go."""
    harness.limits = SessionLimits(own_requests=True, ready_after_silence=1e6)
    harness.add_charge_point(registration=before)
    async with harness.connected() as charger:
        await charger.call("BootNotification", BOOT)
        await trio.sleep(harness.limits.settle_delay)
        harness.router.registration_changed("CP1", after)
        if over:
            assert await charger.sees_the_end() == (1001, "registration-changed")
        elif asked:
            assert (await charger.next_call("TriggerMessage"))[2] == {"requestedMessage": "BootNotification"}
        else:
            await charger.hears_nothing(50)


async def test_messages_that_come_together_are_answered_one_after_the_other(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Each when it is on disk, and the next one is decided only then."""
    harness.asks_nothing()
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        harness.journal.stall_seconds = 1.0
        for number, status in enumerate(("Preparing", "Charging", "Finishing")):
            said = {"connectorId": 1, "errorCode": "NoError", "status": status}
            await charger.send(2, str(number), "StatusNotification", said)
        answers = [(await charger.next_answer(), trio.current_time()) for _ in range(3)]
        harness.journal.stall_seconds = 0.0
    assert answers == [([3, str(number), {}], number + 1.0) for number in range(3)]


async def test_the_first_reason_for_an_end_is_the_one_that_is_kept(harness: Harness, autojump_clock: MockClock) -> None:
    """Whatever else goes wrong while a session ends."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        session = harness.router._sessions["CP1"]
        session.end("disconnected-by-operator", code=1000)
        session.end("draining", code=1001)
        assert await charger.sees_the_end() == (1000, "disconnected-by-operator")
    assert [(each.reason, each.code) for each in harness.bodies_of(e.ChargePointDisconnected)] == [
        ("disconnected-by-operator", 1000)
    ]


async def test_an_end_that_a_bug_keeps_from_being_recorded_is_recorded_later(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The router remembers it as not recorded."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)

        async def fails(*_: Any) -> Any:
            await trio.lowlevel.checkpoint()
            raise RuntimeError("a bug")

        journal: Any = harness.journal
        works, journal.commit = journal.commit, fails
        harness.router.disconnect("CP1")
        await charger.sees_the_end()
        await trio.sleep(1)
        journal.commit = works
    unrecorded = harness.router.unrecorded("CP1")
    assert unrecorded is not None
    assert unrecorded.reason == "disconnected-by-operator"


async def test_a_charger_that_is_away_was_last_seen_when_it_was_heard(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Not when its link was found to be broken."""
    harness.limits = SessionLimits(own_requests=False)
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        await trio.sleep(40)
        await charger.lose_link()
    connection = harness.charge_point().connection
    assert connection.last_heard is not None
    assert connection.since is not None
    assert connection.last_heard < connection.since
    refused = await call(harness)
    assert isinstance(refused, Refused)
    assert refused.metadata == {"last_seen": connection.last_heard.isoformat()}


async def test_a_drain_without_any_time_ends_what_there_is(harness: Harness, autojump_clock: MockClock) -> None:
    """Its deadline is now: every session is asked to end, and none is waited for."""
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
        with trio.CancelScope(deadline=trio.current_time() + 60) as scope:
            await harness.router.drain(1000.0, trio.current_time())
        assert not scope.cancelled_caught
        assert trio.current_time() < 1


async def test_a_command_of_a_session_that_is_gone_and_not_settled_has_an_unknown_outcome(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The store has it as sent, no session carries it, and no end of one is to be recorded: it may have arrived."""
    harness.add_charge_point()
    mark = fingerprint(harness.store.store_id, ClearCache())
    bodies = (e.CommandQueued("cmd_1", "ClearCache", "r", {}, mark), e.CommandSent("cmd_1", "ClearCache"))
    harness.store.commit([Append("CP1", None, tuple(NewEvent(body, virtual_clock()) for body in bodies))])
    outcome = await call(harness, ClearCache(), request_id="r")
    assert isinstance(outcome, Unknown)
    assert (outcome.request_id, outcome.reason) == ("r", "disconnected")


# --- facts that decisions rest on ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "begun", "reported"),
    [(-1, True, False), (0, True, False), (1, True, False), (1, False, True), (99, True, True)],
)
async def test_a_number_that_was_never_given_out_is_reported(
    harness: Harness, autojump_clock: MockClock, number: int, begun: bool, reported: bool
) -> None:
    """A known one is not, nor what no transaction can have."""
    unknown = []

    async def note(charge_point: str, number: int) -> None:
        await trio.lowlevel.checkpoint()
        unknown.append((charge_point, number))

    harness.add_charge_point()
    harness.add_tag("TAG")
    lookups = Lookups(
        harness.reads, TableAuthorizer(harness.reads, virtual_clock, "Invalid"), harness._number, unknown_number=note
    )
    async with harness.connected() as charger:
        await boot(charger)
        start = {"connectorId": 1, "idTag": "TAG", "meterStart": 1, "timestamp": "2026-03-01T12:00:00Z"}
        if begun:
            assert (await charger.call("StartTransaction", start))["transactionId"] == 1
    facts = await lookups.fetch("CP1", TransactionQuery(number))
    assert (facts.transaction is not None) is (begun and number == 1)
    assert unknown == ([("CP1", number)] if reported else [])


@pytest.mark.parametrize("several", [False, True])
async def test_a_tag_is_in_use_elsewhere_unless_it_may_be(
    harness: Harness, autojump_clock: MockClock, several: bool
) -> None:
    """A tag that may run several transactions never counts as in use."""
    harness.add_charge_point()
    harness.add_tag("TAG", allow_concurrent=several)
    async with harness.connected() as charger:
        await boot(charger)
        start = {"connectorId": 1, "idTag": "TAG", "meterStart": 1, "timestamp": "2026-03-01T12:00:00Z"}
        await charger.call("StartTransaction", start)
        facts = await harness.lookups.fetch("CP2", StartQuery("TAG", "another key", ConnectorAddress(1, 1)))
        beside = await harness.lookups.fetch("CP1", StartQuery("TAG", "another key", ConnectorAddress(2, 1)))
        there = await harness.lookups.fetch("CP1", StartQuery("TAG", "another key", ConnectorAddress(1, 1)))
    assert facts.tag_in_use is beside.tag_in_use is not several
    assert not there.tag_in_use


@pytest.mark.parametrize(("left", "status"), [(1.0, "Accepted"), (0.0, "Expired"), (-1.0, "Expired")])
async def test_a_tag_expires_at_its_time(harness: Harness, autojump_clock: MockClock, left: float, status: str) -> None:
    """Not a moment later."""
    harness.add_tag("TAG", expiry_date=virtual_clock() + timedelta(seconds=10 + left))
    await trio.sleep(10)
    facts = await harness.lookups.fetch("CP1", AuthorizeQuery("TAG"))
    assert facts.authorization is not None
    assert facts.authorization.status == status


async def test_a_message_is_decided_four_times_and_then_without_what_others_change(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A charger always gets its answer, however busy its tag is elsewhere."""
    harness.add_charge_point()
    harness.add_tag("TAG")
    guarded: list[bool] = []
    journal: Any = harness.journal
    submit = journal.submit

    def contested(write: Append, heard: Any) -> None:
        starts = any(isinstance(each.body, e.TransactionStarted) for each in write.events)
        if starts:
            guarded.append(bool(write.guards))
        if starts and write.guards:
            trio.lowlevel.current_trio_token().run_sync_soon(heard, write, GuardFailed(write.guards[0]))
        else:
            submit(write, heard)

    async with harness.connected() as charger:
        await boot(charger)
        journal.submit = contested
        start = {"connectorId": 1, "idTag": "TAG", "meterStart": 1, "timestamp": "2026-03-01T12:00:00Z"}
        answer = await charger.call("StartTransaction", start)
        journal.submit = submit
    assert guarded == [True, True, True, False]
    assert answer["transactionId"] > 0


async def test_a_charger_that_answers_its_pings_is_asked_once_in_each_silence(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """An answer at the very moment of the ping counts; without one the session ends after the grace."""
    harness.limits = SessionLimits(own_requests=False, silence=100, ping_grace=10, ping_interval=0)
    harness.add_charge_point()
    transport = FakeTransport()
    async with harness.connected(transport=transport) as charger:
        await boot(charger)
        began = trio.current_time()
        await trio.sleep(1001)
        assert transport.pings == 10
        transport.answers_pings = False
        assert await charger.sees_the_end() == (1001, "silent")
        assert trio.current_time() == began + 1110

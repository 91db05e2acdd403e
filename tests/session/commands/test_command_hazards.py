"""Commands between two lines that are not one step: what the charger, the store and other callers do meanwhile."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.domain.commands import (
    ChangeConfiguration,
    ClearCache,
    CommandRecord,
    CommandState,
    GetConfiguration,
    RefusalReason,
    Refused,
    Reset,
    ResetType,
    StatusAnswer,
)
from gateway.domain.credentials import make_credential
from gateway.domain.events import (
    ChargePointConnected,
    CommandNotSent,
    CommandOutcomeUnknown,
    CommandQueued,
    CommandSent,
)
from gateway.domain.records import CredentialKind
from gateway.errors import CommitUnknown
from gateway.session.limits import SessionLimits
from gateway.session.router import ANSWER_SECONDS
from gateway.store.commits import AddCredential, OpenSession
from tests.session.commands.test_commands import ready, states
from tests.support.harness import BOOT, Harness, virtual_clock
from tests.support.wire import FakeTransport

NEW_KEY = "00112233445566778899aabbccddeeff00112233"


# --- order ----------------------------------------------------------------------------------------------------


async def test_no_command_overtakes_one_that_is_being_recorded(harness: Harness, autojump_clock: MockClock) -> None:
    """A5.5: first come, first served, however long the disk takes."""
    async with ready(harness) as (charger, asked):
        asked.ask(ClearCache())
        first, _, _ = await charger.next_call("ClearCache")
        harness.journal.stall_seconds = 5
        asked.ask(GetConfiguration())
        await wait_all_tasks_blocked()
        harness.journal.stall_seconds = 0
        await charger.answer(first, {"status": "Accepted"})
        await trio.sleep(1)  # the wire is free
        asked.ask(Reset(ResetType.SOFT))
        second, _, _ = await charger.next_call("GetConfiguration")
        await charger.answer(second, {})
        await charger.next_call("Reset")


async def test_nothing_goes_out_between_a_boot_and_its_confirmation_however_far_it_was(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """quirk 7, where the Boot comes in while SENT is being committed."""
    async with ready(harness) as (charger, asked):
        harness.journal.stall_seconds = 2
        result = asked.ask(ClearCache())
        await wait_all_tasks_blocked()
        await trio.sleep(1)
        answer = await charger.call("BootNotification", {**BOOT, "firmwareVersion": "2.0"})
        assert answer["status"] == "Accepted"
        assert charger._held == []
        confirmed_at = trio.current_time()
        message_id, _, _ = await charger.next_call("ClearCache")
        assert trio.current_time() - confirmed_at >= harness.limits.settle_delay
        await charger.answer(message_id, {"status": "Accepted"})
        assert (await result()).state is CommandState.ANSWERED


async def test_what_the_disk_delays_beyond_its_deadline_is_not_sent(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """SENT is recorded, so the caller gets OUTCOME_UNKNOWN; nothing is sent to the charger."""
    async with ready(harness) as (charger, asked):
        harness.journal.stall_seconds = 5
        result = asked.ask(Reset(ResetType.HARD), seconds=2)
        await charger.hears_nothing(60)
        assert (await result()).state is CommandState.OUTCOME_UNKNOWN
        assert states(harness) == ["queued", "sent", "outcome_unknown"]


async def test_a_caller_waits_for_the_disk_no_longer_than_a_little_beyond_its_deadline(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Its answer is to arrive in time; it says what holds whatever becomes of the commits."""
    async with ready(harness) as (_, asked):
        harness.journal.stall_seconds = 50
        began = trio.current_time()
        outcome = await asked.ask(Reset(ResetType.HARD), seconds=2)()
        assert trio.current_time() - began == pytest.approx(2 + ANSWER_SECONDS)
        assert outcome.state is CommandState.OUTCOME_UNKNOWN
        harness.journal.stall_seconds = 0


async def test_a_command_whose_deadline_has_passed_is_not_sent(harness: Harness, autojump_clock: MockClock) -> None:
    """Even where the wire is free."""
    async with ready(harness) as (charger, asked):
        record = await asked.ask(Reset(ResetType.HARD), seconds=0)()
        assert (record.state, record.reason) == (CommandState.NOT_SENT, "deadline")
        await charger.hears_nothing(60)


# --- repeated requests ----------------------------------------------------------------------------------------


async def test_a_repeated_request_waits_for_its_command_though_the_queue_is_full(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A caller never gets a state that is not final."""
    harness.limits = SessionLimits(call_queue=1)
    async with ready(harness) as (charger, asked):
        first = asked.ask(ClearCache(), request_id="same")
        message_id, _, _ = await charger.next_call()
        second = asked.ask(ClearCache(), request_id="same")
        other = await asked.ask(Reset(ResetType.SOFT), request_id="same")()
        assert isinstance(other, Refused)
        assert other.reason is RefusalReason.REQUEST_ID_REUSED
        await wait_all_tasks_blocked()
        await charger.answer(message_id, {"status": "Accepted"})
        assert await first() == await second()
        assert (await second()).state is CommandState.ANSWERED


async def test_a_repeated_request_gets_the_first_outcome_while_the_session_ends(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The end is being recorded: the store still says SENT."""
    async with ready(harness) as (charger, asked):
        first = asked.ask(ClearCache(), request_id="same")
        await charger.next_call()
        harness.journal.stall_seconds = 3
        await charger.lose_link()
        await trio.sleep(1)
        second = asked.ask(ClearCache(), request_id="same")
        assert (await first()).state is CommandState.OUTCOME_UNKNOWN
        assert await second() == await first()


async def test_a_repeat_waits_no_longer_than_its_own_deadline(harness: Harness, autojump_clock: MockClock) -> None:
    """It can't say what will become of the command, and says so."""
    async with ready(harness) as (charger, asked):
        first = asked.ask(ClearCache(), request_id="same", seconds=30)
        message_id, _, _ = await charger.next_call()
        began = trio.current_time()
        second = await asked.ask(ClearCache(), request_id="same", seconds=5)()
        assert trio.current_time() - began == 5
        assert (second.state, second.reason) == (CommandState.OUTCOME_UNKNOWN, "deadline")
        await charger.answer(message_id, {"status": "Accepted"})
        assert (await first()).state is CommandState.ANSWERED
        assert states(harness) == ["queued", "sent", "answered"]


async def test_a_request_repeated_after_an_unrecorded_end_gets_the_recorded_outcome(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The store was failing when the session ended: SENT is what it has, and no caller gets SENT."""
    async with ready(harness) as (charger, asked):
        first = asked.ask(ClearCache(), request_id="same")
        await charger.next_call()
        harness.journal.failing = True
        await charger.lose_link()
        assert (await first()).state is CommandState.OUTCOME_UNKNOWN
        await trio.sleep(1)
        harness.journal.failing = False
        second = await asked.ask(ClearCache(), request_id="same")()
        assert second.state is CommandState.OUTCOME_UNKNOWN
        assert harness.command(second.command_id).state is CommandState.SENT


# --- the answer to the caller is the record ---------------------------------------------------------------------------


async def test_a_command_that_could_not_be_recorded_is_refused(harness: Harness, autojump_clock: MockClock) -> None:
    """Nothing was sent, and there is no command to ask for."""
    async with ready(harness) as (_charger, asked):
        harness.journal.failing = harness.journal.readable = True
        outcome = await asked.ask(ClearCache())()
        assert isinstance(outcome, Refused)
        assert outcome.reason is RefusalReason.STORE_UNAVAILABLE
    harness.journal.failing = False
    assert harness.store.commands("CP1", None, 10) == []


async def test_a_command_of_a_session_that_is_fenced_off_is_refused(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Its charger has another owner, which the session learns by its first write."""
    async with ready(harness) as (_charger, asked):
        harness.store.commit([_reopening()])
        outcome = await asked.ask(ClearCache())()
        assert isinstance(outcome, Refused)
        assert outcome.reason is RefusalReason.CHARGE_POINT_OFFLINE
        assert outcome.metadata["last_seen"].startswith("2026-03-01")
    assert harness.store.commands("CP1", None, 10) == []


async def test_a_waiting_command_of_a_session_that_is_fenced_off_was_not_sent(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Its caller gets what the successor's opening recorded."""
    async with ready(harness) as (charger, asked):
        asked.ask(ClearCache())
        first, _, _ = await charger.next_call()
        waiting = asked.ask(Reset(ResetType.SOFT))
        await wait_all_tasks_blocked()
        harness.store.commit([_reopening()])
        await charger.answer(first, {"status": "Accepted"})
        record = await waiting()
        assert record.state is CommandState.NOT_SENT
        assert harness.command(record.command_id).state is CommandState.NOT_SENT


def _reopening() -> OpenSession:
    return OpenSession("CP1", ChargePointConnected("127.0.0.1:2", "ocpp1.6", 2, "TLSv1.3"), virtual_clock())


async def test_a_store_that_fails_before_sent_is_recorded_sends_nothing(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The waiting command's caller gets the truth: it was not sent, for want of a store."""
    async with ready(harness) as (charger, asked):
        asked.ask(ClearCache())
        await charger.next_call()
        waiting = asked.ask(Reset(ResetType.SOFT))
        await wait_all_tasks_blocked()
        harness.journal.failing = True
        await trio.sleep(41)  # the first one's time-out can't be recorded
        record = await waiting()
        assert (record.state, record.reason) == (CommandState.NOT_SENT, "store-unavailable")


async def test_a_charger_that_takes_a_new_key_and_hangs_up_has_taken_it(harness: Harness) -> None:
    """A7.7: the old key opens nothing from now on, and the answer is recorded. In real time: hashing takes a
    thread."""
    harness.limits = SessionLimits(settle_delay=0)
    async with ready(harness) as (charger, asked):
        old = make_credential(b"0123456789abcdef", CredentialKind.IMPORTED, virtual_clock())
        harness.store.commit([AddCredential("CP1", old)])
        result = asked.ask(ChangeConfiguration("AuthorizationKey", NEW_KEY))
        message_id, _, _ = await charger.next_call("ChangeConfiguration")
        await charger.answer(message_id, {"status": "Accepted"})
        await charger.hang_up()
        record = await result()
        assert record.state is CommandState.ANSWERED
        assert record.answer == StatusAnswer("Accepted")
        assert old.credential_id not in [each.credential_id for each in harness.store.credentials("CP1")]


def slow(harness: Harness, kind: type, seconds: float) -> trio.Event:
    """Commits of that write or event are on disk at once, and known so much later. Set when one is on disk."""
    kept = trio.Event()
    commit = harness.journal.commit

    async def slowly(write: Any, *more: Any, shielded: bool = False) -> Any:
        with trio.CancelScope(shield=shielded):
            result = await commit(write, *more)
            if isinstance(write, kind) or any(isinstance(each.body, kind) for each in getattr(write, "events", ())):
                kept.set()
                await trio.sleep(seconds)
            return result

    harness.journal.commit = slowly  # type: ignore[method-assign, assignment]
    return kept


async def test_a_command_whose_turn_comes_with_the_end_of_its_session_is_not_recorded_as_sent(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """It was recorded while another was on the wire, and the session ends in the moment in which that is known."""
    harness.limits = SessionLimits(settle_delay=0, own_requests=False)
    async with ready(harness) as (charger, asked):
        first = asked.ask(ClearCache())
        message_id, *_ = await charger.next_call("ClearCache")
        commit = harness.journal.commit

        async def slowly(write: Any, *more: Any, shielded: bool = False) -> Any:
            with trio.CancelScope(shield=shielded):
                result = await commit(write, *more)
                if any(isinstance(each.body, CommandQueued) for each in getattr(write, "events", ())):
                    await trio.sleep(1)
                    harness.router._sessions["CP1"].end("drain", code=1001)
                return result

        harness.journal.commit = slowly  # type: ignore[method-assign, assignment]
        second = asked.ask(ClearCache())
        await wait_all_tasks_blocked()
        await charger.answer(message_id, {"status": "Accepted"})
        assert (await first()).state is CommandState.ANSWERED
        record = await second()
        assert record.state is CommandState.NOT_SENT
    assert states(harness) == ["queued", "sent", "queued", "answered", "not_sent"]


@pytest.mark.parametrize("kind", [AddCredential, CommandSent])
async def test_a_key_of_a_cancelled_session_that_was_never_sent_opens_nothing(harness: Harness, kind: type) -> None:
    """A7.8: while the key is being admitted, or "sent" recorded. In real time: hashing takes a thread."""
    harness.limits = SessionLimits(settle_delay=0)
    with trio.CancelScope() as scope:
        async with ready(harness) as (_charger, asked):
            kept = slow(harness, kind, 0.2)
            asked.ask(ChangeConfiguration("AuthorizationKey", NEW_KEY))
            await kept.wait()
            assert len(harness.store.credentials("CP1")) == 1
            scope.cancel()
            await trio.sleep_forever()
    assert harness.store.credentials("CP1") == ()


@pytest.mark.parametrize(
    ("kind", "state"), [(AddCredential, CommandState.NOT_SENT), (CommandSent, CommandState.OUTCOME_UNKNOWN)]
)
async def test_a_key_that_came_too_late_is_withdrawn_before_its_command_is_over(
    harness: Harness, mock_clock: MockClock, kind: type, state: CommandState
) -> None:
    """A7.8: the deadline passes while the key is being admitted, or "sent" recorded. A crash right after the outcome
    must not leave a key that opens for ever. This clock stands still while a thread hashes."""
    harness.limits = SessionLimits(settle_delay=0, own_requests=False)
    commit = harness.journal.commit
    keys_then = []

    async def late(write: Any, *more: Any, shielded: bool = False) -> Any:
        with trio.CancelScope(shield=shielded):
            bodies = tuple(type(each.body) for each in getattr(write, "events", ()))
            if CommandNotSent in bodies or CommandOutcomeUnknown in bodies:
                keys_then.append(harness.store.credentials("CP1"))
            result = await commit(write, *more)
            if isinstance(write, kind) or kind in bodies:
                assert len(harness.store.credentials("CP1")) == 1
                mock_clock.jump(60)
            return result

    async with ready(harness) as (charger, asked):
        first = asked.ask(ClearCache())
        message_id, *_ = await charger.next_call("ClearCache")
        harness.journal.commit = late  # type: ignore[method-assign, assignment]
        second = asked.ask(ChangeConfiguration("AuthorizationKey", NEW_KEY), seconds=60)
        await wait_all_tasks_blocked()
        await charger.answer(message_id, {"status": "Accepted"})
        await first()
        record = await second()
        assert (record.state, record.reason) == (state, "deadline")
    assert keys_then == [()]


@pytest.mark.parametrize("later", ["opened again", "restarted"])
async def test_a_key_of_a_commit_of_unknown_outcome_opens_nothing_afterwards(harness: Harness, later: str) -> None:
    """A7.8: it is on the disk, the session could not know it, and the store took nothing any more. In real time."""
    harness.limits = SessionLimits(settle_delay=0)
    commit = harness.journal.commit

    async def lost(write: Any, *more: Any, shielded: bool = False) -> Any:
        with trio.CancelScope(shield=shielded):
            result = await commit(write, *more)
            if isinstance(write, AddCredential):
                harness.journal.failing = True
                raise CommitUnknown("a commit took too long")
            return result

    harness.journal.commit = lost  # type: ignore[method-assign, assignment]
    async with ready(harness) as (_charger, asked):
        record = await asked.ask(ChangeConfiguration("AuthorizationKey", NEW_KEY))()
        assert record.state is CommandState.NOT_SENT
    harness.journal.failing = False
    assert len(harness.store.credentials("CP1")) == 1
    if later == "opened again":
        harness.store.commit([_reopening()])
    else:
        harness.store.settle(virtual_clock())
    assert harness.command(record.command_id).state is CommandState.NOT_SENT
    assert harness.store.credentials("CP1") == ()


async def test_a_key_that_came_too_late_to_be_sent_opens_nothing(harness: Harness) -> None:
    """ "Sent" is recorded, and the CALL never went out."""
    harness.limits = SessionLimits(settle_delay=0)
    async with ready(harness) as (_charger, asked):
        slow(harness, CommandSent, 1.5)
        result = asked.ask(ChangeConfiguration("AuthorizationKey", NEW_KEY), seconds=1)
        record = await result()
        assert (record.state, record.reason) == (CommandState.OUTCOME_UNKNOWN, "deadline")
        while "outcome_unknown" not in states(harness):  # noqa: ASYNC110 - in real time, and soon
            await trio.sleep(0.01)
        assert harness.store.credentials("CP1") == ()


class Quick(FakeTransport):
    """A charger that has answered and gone before our sending returned, as on a slow write."""

    lingers = False

    async def send(self, data: bytes) -> None:
        await super().send(data)
        if self.lingers:
            await trio.sleep(10)


async def test_an_answer_that_comes_before_sending_returns_is_an_answer(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """An answer that was read is recorded."""
    transport = Quick()
    async with ready(harness, transport) as (charger, asked):
        transport.lingers = True
        result = asked.ask(Reset(ResetType.HARD))
        message_id, _, _ = await charger.next_call()
        await charger.answer(message_id, {"status": "Accepted"})
        await charger.hang_up()
        assert (await result()).state is CommandState.ANSWERED
    assert states(harness) == ["queued", "sent", "answered"]


async def test_an_answer_that_is_being_recorded_when_the_link_goes_is_an_answer(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A charger that resets hangs up at once; its caller gets what is recorded."""
    async with ready(harness) as (charger, asked):
        result = asked.ask(Reset(ResetType.SOFT))
        message_id, _, _ = await charger.next_call()
        harness.journal.stall_seconds = 2
        await charger.answer(message_id, {"status": "Accepted"})
        await trio.sleep(1)
        await charger.lose_link()
        outcome = await result()
        assert isinstance(outcome, CommandRecord)
        assert outcome.state is CommandState.ANSWERED
    assert states(harness) == ["queued", "sent", "answered"]


# --- callers always return ------------------------------------------------------------------------------------


async def test_callers_are_answered_though_the_end_cannot_be_written(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Not for want of a disk, but by a bug: the session ends, its callers return, nothing escapes."""
    async with ready(harness) as (charger, asked):
        result = asked.ask(ClearCache())
        await charger.next_call()

        async def broken(write: object) -> None:
            await trio.lowlevel.checkpoint()
            raise ValueError("a bug")

        harness.journal.commit = broken  # type: ignore[method-assign,assignment]
        await charger.lose_link()
        with trio.fail_after(60):
            record = await result()
        assert isinstance(record, CommandRecord)
        assert record.state is CommandState.OUTCOME_UNKNOWN


async def test_a_request_repeated_after_a_late_answer_returns_that_answer(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The first outcome was unknown; what is known by now is the better answer, and nothing is sent again."""
    async with ready(harness) as (charger, asked):
        first = asked.ask(Reset(ResetType.SOFT), request_id="same", seconds=5)
        message_id, _, _ = await charger.next_call("Reset")
        assert (await first()).state is CommandState.OUTCOME_UNKNOWN
        unknown = await asked.ask(Reset(ResetType.SOFT), request_id="same", seconds=5)()
        assert unknown.state is CommandState.OUTCOME_UNKNOWN
        await charger.answer(message_id, {"status": "Accepted"})
        await trio.sleep(1)
        second = await asked.ask(Reset(ResetType.SOFT), request_id="same")()
        assert (second.state, second.late, second.answer) == (
            CommandState.ANSWERED,
            True,
            StatusAnswer("Accepted"),
        )
        await charger.hears_nothing(60)


async def test_an_answer_that_came_before_a_newer_connection_is_recorded_before_it_takes_over(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """However long the disk takes: the command has its answer, and no unknown outcome."""
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(ClearCache())
        message_id, _, _ = await charger.next_call("ClearCache")
        harness.journal.stall_seconds = 0.5
        await charger.answer(message_id, {"status": "Accepted"})
        async with harness.connected():
            assert (await outcome()).state is CommandState.ANSWERED
            harness.journal.stall_seconds = 0
        charger.gone = True
    assert states(harness) == ["queued", "sent", "answered"]

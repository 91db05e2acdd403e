"""Commands of a session: one on the wire, recorded before sent, their outcome recorded before it is reported."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.domain import events as e
from gateway.domain.commands import (
    CallOutcome,
    ChangeConfiguration,
    ClearCache,
    Command,
    CommandRecord,
    CommandState,
    ConfigurationAnswer,
    ConfigurationKey,
    DataTransfer,
    GetConfiguration,
    GetDiagnostics,
    RefusalReason,
    Refused,
    RemoteStartTransaction,
    RemoteStopTransaction,
    Reset,
    ResetType,
    StatusAnswer,
    TriggeredMessage,
    TriggerMessage,
)
from gateway.domain.values import Flag, Registration
from gateway.session.limits import SessionLimits
from tests.support.harness import BOOT, Harness, boot
from tests.support.wire import FakeTransport, ScriptedCharger

START = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-03-01T12:00:00Z"}


class Asked:
    """Commands asked for by a test; their outcomes as they come."""

    def __init__(self, harness: Harness, nursery: trio.Nursery) -> None:
        self._harness = harness
        self._nursery = nursery
        self._number = 0

    def ask(self, command: Command, *, request_id: str = "", seconds: float = 60.0) -> Callable[[], Awaitable[Any]]:
        """Ask in a task of its own; the result waits for the outcome."""
        self._number += 1
        request_id = request_id or f"request-{self._number}"
        done = trio.Event()
        outcome: list[CallOutcome] = []

        async def carry() -> None:
            deadline = trio.current_time() + seconds
            outcome.append(await self._harness.router.call("CP1", command, request_id=request_id, deadline=deadline))
            done.set()

        async def result() -> CallOutcome:
            await done.wait()
            return outcome[0]

        self._nursery.start_soon(carry)
        return result


@asynccontextmanager
async def ready(
    harness: Harness, transport: FakeTransport | None = None
) -> AsyncIterator[tuple[ScriptedCharger, Asked]]:
    """A booted charger that may be spoken to."""
    harness.add_charge_point()
    async with trio.open_nursery() as nursery, harness.connected(transport=transport) as charger:
        await boot(charger)
        await trio.sleep(harness.limits.settle_delay)
        yield charger, Asked(harness, nursery)


def states(harness: Harness) -> list[str]:
    """The commands' events so far, in order."""
    return [each.type.removeprefix("command.") for each in harness.events() if each.type.startswith("command.")]


async def test_a_command_is_recorded_as_sent_before_it_is_on_the_wire(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """SENT is on disk when the charger sees the CALL, and ANSWERED when the caller gets the answer."""
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(ClearCache())
        message_id, _, payload = await charger.next_call("ClearCache")
        assert payload == {}
        assert states(harness) == ["queued", "sent"]
        await charger.answer(message_id, {"status": "Accepted"})
        record = await outcome()
    assert isinstance(record, CommandRecord)
    assert record.state is CommandState.ANSWERED
    assert record.answer == StatusAnswer("Accepted")
    assert harness.store.command(record.command_id) == record
    assert states(harness) == ["queued", "sent", "answered"]


async def test_a_charger_that_answers_and_hangs_up_has_answered(harness: Harness, autojump_clock: MockClock) -> None:
    """B9.9: Reset's answer is followed by a closed socket, while its commit is under way."""
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(Reset(ResetType.HARD))
        message_id, *_ = await charger.next_call("Reset")
        harness.journal.stall_seconds = 1.0
        await charger.answer(message_id, {"status": "Accepted"})
        await charger.hang_up(1001)
        record = await outcome()
        harness.journal.stall_seconds = 0.0
    assert isinstance(record, CommandRecord)
    assert record.state is CommandState.ANSWERED
    assert states(harness) == ["queued", "sent", "answered"]


async def test_a_confirmation_that_deviates_is_kept_whole_and_flagged(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A value of 1,349 characters where the schema allows 500: whole in the answer and its events, which say so."""
    value = "Energy.Active.Import.Register," * 45
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(GetConfiguration())
        message_id, *_ = await charger.next_call("GetConfiguration")
        keys = [{"key": "K" * 61, "readonly": False, "value": value}]
        await charger.answer(message_id, {"configurationKey": keys})
        record = await outcome()
    assert isinstance(record, CommandRecord)
    assert isinstance(record.answer, ConfigurationAnswer)
    assert record.answer.keys[0] == ConfigurationKey("K" * 61, False, value)
    found = harness.events("command.answered", "configuration.reported")
    assert [each.flags for each in found] == [(Flag.DEVIATES,)] * 2


async def test_one_call_at_a_time_first_come_first_served(harness: Harness, autojump_clock: MockClock) -> None:
    """A5.1, A5.5: the next CALL goes out when the last is answered, in the order of asking."""
    async with ready(harness) as (charger, asked):
        keys = [f"Key{number}" for number in range(10)]
        outcomes = []
        for key in keys:
            outcomes.append(asked.ask(GetConfiguration((key,))))
            await trio.sleep(0.01)
        for key in keys:
            message_id, _, payload = await charger.next_call("GetConfiguration")
            assert payload == {"key": [key]}
            await charger.hears_nothing(1)
            await charger.answer(message_id, {"unknownKey": [key]})
        for outcome in outcomes:
            record = await outcome()
            assert record.state is CommandState.ANSWERED


async def test_a_full_queue_is_refused_and_leaves_no_trace(harness: Harness, autojump_clock: MockClock) -> None:
    """Every buffer has a bound, and says so."""
    async with ready(harness) as (charger, asked):
        for _ in range(harness.limits.call_queue):
            asked.ask(ClearCache())
        await trio.testing.wait_all_tasks_blocked()
        refused = await asked.ask(ClearCache())()
        assert isinstance(refused, Refused)
        assert refused.reason is RefusalReason.QUEUE_FULL
        assert states(harness).count("queued") == harness.limits.call_queue
        assert (await charger.next_call())[1] == "ClearCache"


async def test_calls_cross(harness: Harness, autojump_clock: MockClock) -> None:
    """A5.2: while our CALL waits for its answer, the charger's are answered."""
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(ClearCache())
        message_id, *_ = await charger.next_call("ClearCache")
        assert "currentTime" in await charger.call("Heartbeat", {})
        await charger.answer(message_id, {"status": "Rejected"})
        record = await outcome()
        assert record.answer == StatusAnswer("Rejected")


async def test_no_answer_in_time_is_unknown_and_a_late_one_mends_the_record(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A5.3: the slot is released, the late answer is an event and the outcome."""
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(ClearCache(), seconds=1000)
        message_id, *_ = await charger.next_call("ClearCache")
        start = trio.current_time()
        record = await outcome()
        assert trio.current_time() - start == pytest.approx(harness.limits.call_timeout)
        assert (record.state, record.reason) == (CommandState.OUTCOME_UNKNOWN, "timeout")
        following = asked.ask(GetConfiguration())
        next_id, *_ = await charger.next_call("GetConfiguration")
        await charger.answer(message_id, {"status": "Accepted"})
        await charger.answer(next_id, {})
        assert (await following()).state is CommandState.ANSWERED
        await trio.sleep(1)
        mended = harness.store.command(record.command_id)
    assert mended is not None
    assert (mended.state, mended.late, mended.answer) == (CommandState.ANSWERED, True, StatusAnswer("Accepted"))
    late = [body for body in harness.bodies(e.CommandAnswered.TYPE) if getattr(body, "late", False)]
    assert len(late) == 1


async def test_a_caller_in_a_hurry_is_answered_in_time_and_does_not_take_the_wire(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The caller's deadline ends its waiting; the charger still has its call time-out, alone on the wire."""
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(ClearCache(), seconds=5)
        await charger.next_call("ClearCache")
        record = await outcome()
        assert (record.state, record.reason) == (CommandState.OUTCOME_UNKNOWN, "deadline")
        asked.ask(GetConfiguration(), seconds=1000)
        await charger.hears_nothing(harness.limits.call_timeout - 5.1)
        assert (await charger.next_call())[1] == "GetConfiguration"


async def test_what_could_not_be_sent_before_its_deadline_never_is(harness: Harness, autojump_clock: MockClock) -> None:
    """NOT_SENT: the charger never hears of it."""
    async with ready(harness) as (charger, asked):
        first = asked.ask(ClearCache(), seconds=1000)
        message_id, *_ = await charger.next_call("ClearCache")
        record = await asked.ask(GetConfiguration(), seconds=3)()
        assert (record.state, record.reason) == (CommandState.NOT_SENT, "deadline")
        await charger.answer(message_id, {"status": "Accepted"})
        assert (await first()).state is CommandState.ANSWERED
        await charger.hears_nothing(30)


async def test_a_deadline_that_passed_while_the_process_stood_still_has_passed(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The gateway's clock leaves a stall out; the caller's did not, and who gave up must not start a charger."""
    async with ready(harness) as (charger, asked):
        first = asked.ask(ClearCache(), seconds=1000)
        message_id, *_ = await charger.next_call("ClearCache")
        second = asked.ask(GetConfiguration(), seconds=30)
        await trio.testing.wait_all_tasks_blocked()
        autojump_clock.stalled = 60.0  # type: ignore[attr-defined]
        await charger.answer(message_id, {"status": "Accepted"})
        record = await second()
        assert (record.state, record.reason) == (CommandState.NOT_SENT, "deadline")
        assert (await first()).state is CommandState.ANSWERED
        await charger.hears_nothing(30)


async def test_a_lost_link_settles_every_command_at_once(harness: Harness, autojump_clock: MockClock) -> None:
    """A5.6: unknown for the one on the wire, not sent for the others."""
    async with ready(harness) as (charger, asked):
        outcomes = [asked.ask(ClearCache()) for _ in range(3)]
        await charger.next_call("ClearCache")
        await trio.testing.wait_all_tasks_blocked()
        start = trio.current_time()
        await charger.lose_link()
        settled = [await outcome() for outcome in outcomes]
        assert trio.current_time() - start < 1
    assert sorted(record.state.value for record in settled) == ["NOT_SENT", "NOT_SENT", "OUTCOME_UNKNOWN"]
    for record in settled:
        stored = harness.store.command(record.command_id)
        assert stored is not None
        assert stored.state is record.state


async def test_a_displaced_session_settles_its_commands_as_the_store_did(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The successor's opening has settled them; the caller gets the same."""
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(ClearCache())
        await charger.next_call("ClearCache")
        async with harness.connected() as new:
            record = await outcome()
            assert record.state is CommandState.OUTCOME_UNKNOWN
            stored = harness.store.command(record.command_id)
            assert stored is not None
            assert stored.state is CommandState.OUTCOME_UNKNOWN
            assert "currentTime" in await new.call("Heartbeat", {})
            trigger_id, *_ = await new.next_call("TriggerMessage")
            await new.answer(trigger_id, {"status": "Accepted"})
            following = asked.ask(GetConfiguration())
            message_id, *_ = await new.next_call("GetConfiguration")
            await new.answer(message_id, {})
            assert (await following()).state is CommandState.ANSWERED


async def test_a_repeated_request_gets_the_first_outcome_and_sends_nothing(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """While under way, afterwards, and while the charger is offline."""
    async with ready(harness) as (charger, asked):
        first = asked.ask(ClearCache(), request_id="once")
        message_id, *_ = await charger.next_call("ClearCache")
        joined = asked.ask(ClearCache(), request_id="once")
        await trio.testing.wait_all_tasks_blocked()
        await charger.answer(message_id, {"status": "Accepted"})
        record = await first()
        assert await joined() == record
        assert await asked.ask(ClearCache(), request_id="once")() == record
        await charger.hears_nothing(10)
        await charger.hang_up()
        await trio.sleep(1)
        assert await asked.ask(ClearCache(), request_id="once")() == record


async def test_a_request_id_is_good_for_one_command(harness: Harness, autojump_clock: MockClock) -> None:
    """Another command under a used id is refused, also if it differs in a secret only."""
    async with ready(harness) as (charger, asked):
        first = asked.ask(ChangeConfiguration("Key", "a"), request_id="once")
        message_id, *_ = await charger.next_call("ChangeConfiguration")
        await charger.answer(message_id, {"status": "Accepted"})
        await first()
        refused = await asked.ask(ChangeConfiguration("Key", "b"), request_id="once")()
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.REQUEST_ID_REUSED


async def test_a_call_error_is_an_answer(harness: Harness, autojump_clock: MockClock) -> None:
    """B9.18: shown as such, not as a time-out."""
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(ClearCache())
        message_id, *_ = await charger.next_call("ClearCache")
        await charger.answer_error(message_id, "NotSupported", "no cache", {"x": 1})
        record = await outcome()
    assert record.error is not None
    assert (record.error.code, record.error.description, record.error.details) == (
        "NotSupported",
        "no cache",
        '{"x":1}',
    )


@pytest.mark.parametrize(
    "command",
    [
        ChangeConfiguration("WebPassword", "sesame-1234"),
        DataTransfer("Acme", "Password", "sesame-1234"),
        GetDiagnostics("ftp://user:sesame-1234@host/dir"),
    ],
    ids=lambda command: type(command).__name__,
)
async def test_a_charger_that_repeats_a_secret_in_its_error_puts_it_into_no_record(
    harness: Harness, autojump_clock: MockClock, command: Command
) -> None:
    """As its code, in its description, in its details: shown without it, to the caller and in every event."""
    async with ready(harness) as (charger, asked):
        for code, description, details in (
            ("sesame-1234", "", {}),
            ("InternalError", "can't take sesame-1234", {}),
            ("InternalError", "", {"value": ["sesame-1234"]}),
        ):
            outcome = asked.ask(command)
            message_id, *_ = await charger.next_call(type(command).__name__)
            await charger.answer_error(message_id, code, description, details)
            record = await outcome()
            assert record.error is not None
            assert "sesame-1234" not in repr(record.error)
    assert not [each for each in harness.events("command.answered") if b"sesame-1234" in each.body_json]


@pytest.mark.parametrize("payload", [{"status": "Maybe"}, {}, [], "Accepted"])
async def test_a_confirmation_that_cannot_be_read_fails_its_command_only(
    harness: Harness, autojump_clock: MockClock, payload: Any
) -> None:
    """B9.19: the session goes on."""
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(ClearCache())
        message_id, *_ = await charger.next_call("ClearCache")
        await charger.send(3, message_id, payload)
        record = await outcome()
        assert record.error is not None
        assert record.error.code == "InvalidConfirmation"
        assert "currentTime" in await charger.call("Heartbeat", {})


async def test_an_answer_to_another_id_resolves_nothing(harness: Harness, autojump_clock: MockClock) -> None:
    """A3.11."""
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(ClearCache())
        message_id, *_ = await charger.next_call("ClearCache")
        await charger.answer("somebody else's", {"status": "Rejected"})
        await charger.hears_nothing(5)
        await charger.answer(message_id, {"status": "Accepted"})
        assert (await outcome()).answer == StatusAnswer("Accepted")


async def test_a_remote_stop_names_the_chargers_number(harness: Harness, autojump_clock: MockClock) -> None:
    """B9.4: our id outside, OCPP's integer on the wire; an unknown one is refused before anything is sent."""
    harness.add_tag("TAG")
    async with ready(harness) as (charger, asked):
        started = await charger.call("StartTransaction", START)
        (body,) = harness.bodies(e.TransactionStarted.TYPE)
        assert isinstance(body, e.TransactionStarted)
        refused = await asked.ask(RemoteStopTransaction("tx_unknown"))()
        assert isinstance(refused, Refused)
        assert refused.reason is RefusalReason.UNKNOWN_TRANSACTION
        outcome = asked.ask(RemoteStopTransaction(body.transaction_id))
        message_id, _, payload = await charger.next_call("RemoteStopTransaction")
        assert payload == {"transactionId": started["transactionId"]}
        await charger.answer(message_id, {"status": "Accepted"})
        assert (await outcome()).state is CommandState.ANSWERED


async def test_a_transaction_that_ends_while_its_stop_waits_is_not_stopped_again(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A command is checked once more when its turn comes."""
    harness.add_tag("TAG")
    async with ready(harness) as (charger, asked):
        number = (await charger.call("StartTransaction", START))["transactionId"]
        (body,) = harness.bodies(e.TransactionStarted.TYPE)
        assert isinstance(body, e.TransactionStarted)
        asked.ask(ClearCache())
        message_id, *_ = await charger.next_call("ClearCache")
        outcome = asked.ask(RemoteStopTransaction(body.transaction_id))
        await trio.testing.wait_all_tasks_blocked()
        stop = {"transactionId": number, "meterStop": 200, "timestamp": "2026-03-01T12:10:00Z"}
        await charger.call("StopTransaction", stop)
        await charger.answer(message_id, {"status": "Accepted"})
        record = await outcome()
    assert (record.state, record.reason) == (CommandState.NOT_SENT, "transaction-ended")


async def test_a_pending_charger_is_never_started_remotely(harness: Harness, autojump_clock: MockClock) -> None:
    """B1.3: refused by the gateway itself; other commands go through."""
    harness.add_charge_point(registration=Registration.PENDING)
    async with trio.open_nursery() as nursery, harness.connected() as charger:
        await charger.call("BootNotification", BOOT)
        asked = Asked(harness, nursery)
        refused = await asked.ask(RemoteStartTransaction("TAG"))()
        assert isinstance(refused, Refused)
        assert refused.reason is RefusalReason.CHARGE_POINT_PENDING
        outcome = asked.ask(GetConfiguration())
        await charger.hears_nothing(harness.limits.settle_delay - 0.1)
        message_id, *_ = await charger.next_call("GetConfiguration")
        await charger.answer(message_id, {})
        assert (await outcome()).state is CommandState.ANSWERED


@pytest.mark.parametrize("answer", ["Accepted", "Rejected"])
async def test_a_new_key_is_admitted_before_it_is_sent_and_the_answer_decides(harness: Harness, answer: str) -> None:
    """A7.7, A7.9: Accepted leaves the new key alone, Rejected the old one; the key itself is nowhere in the books.

    In real time: the slow hash runs in a thread, which virtual time can't see.
    """
    harness.limits = SessionLimits(settle_delay=0.0)
    from gateway.domain.credentials import find, generate_key, make_credential
    from gateway.domain.records import CredentialKind
    from gateway.store.commits import AddCredential
    from tests.support.harness import virtual_clock

    old, new = generate_key(), generate_key()
    async with ready(harness) as (charger, asked):
        await harness.journal.commit(
            AddCredential("CP1", make_credential(old, CredentialKind.GENERATED, virtual_clock()))
        )
        outcome = asked.ask(ChangeConfiguration("AuthorizationKey", new.hex()))
        message_id, _, payload = await charger.next_call("ChangeConfiguration")
        assert payload == {"key": "AuthorizationKey", "value": new.hex()}
        assert len(harness.store.credentials("CP1")) == 2
        await charger.answer(message_id, {"status": answer})
        await outcome()
        credentials = harness.store.credentials("CP1")
        valid = new if answer == "Accepted" else old
        assert [find(credentials, key, virtual_clock()) is not None for key in (old, new)] == [
            valid == old,
            valid == new,
        ]
    for event in harness.events():
        assert new.hex().encode() not in event.body_json


async def test_commands_wait_for_a_charger_that_comes_back_without_a_boot(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Ready after another message, or after a minute of silence."""
    async with ready(harness):
        pass
    async with trio.open_nursery() as nursery, harness.connected() as charger:
        asked = Asked(harness, nursery)
        asked.ask(ClearCache())
        await trio.testing.wait_all_tasks_blocked()
        await charger.call("Heartbeat", {})
        assert (await charger.next_call())[1] == "ClearCache"
    async with trio.open_nursery() as nursery, harness.connected() as charger:
        await charger.hears_nothing(harness.limits.ready_after_silence - 0.1)
        assert (await charger.next_call())[1] == "TriggerMessage"


async def test_nothing_is_sent_between_a_boot_and_its_confirmation(harness: Harness, autojump_clock: MockClock) -> None:
    """Quirk 7: a command that is waiting for the wire waits for Boot.conf and the settle delay too."""
    harness.limits = SessionLimits(settle_delay=5.0)
    async with ready(harness) as (charger, asked):
        harness.journal.stall_seconds = 2.0
        await charger.send(2, "b", "BootNotification", {**BOOT, "firmwareVersion": "2.0"})
        await trio.testing.wait_all_tasks_blocked()
        outcome = asked.ask(ClearCache(), seconds=100)
        frame = await charger._next()
        assert frame[:2] == [3, "b"]
        harness.journal.stall_seconds = 0.0
        await charger.hears_nothing(4.9)
        message_id, *_ = await charger.next_call("ClearCache")
        await charger.answer(message_id, {"status": "Accepted"})
        assert (await outcome()).state is CommandState.ANSWERED


async def test_what_is_said_while_a_charger_settles_does_not_make_it_ready(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Quirk 7: its statuses follow its boot at once, also on a connection of one that was accepted before."""
    harness.limits = SessionLimits(settle_delay=5.0)
    harness.add_charge_point()
    async with harness.connected() as charger:
        await boot(charger)
    async with trio.open_nursery() as nursery, harness.connected() as charger:
        asked = Asked(harness, nursery)
        outcome = asked.ask(ClearCache())
        await boot(charger)
        booted_at = trio.current_time()
        for word in ("Available", "Preparing"):
            await charger.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": word})
        await charger.hears_nothing(4.9)
        message_id, *_ = await charger.next_call("ClearCache")
        assert trio.current_time() - booted_at == pytest.approx(5.0)
        await charger.answer(message_id, {"status": "Accepted"})
        await outcome()


async def test_a_trigger_of_a_boot_after_a_boot_is_refused_unless_the_caller_insists(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """SE 3.40, with its reason; the platform may want it all the same."""
    async with ready(harness) as (charger, asked):
        refused = await asked.ask(TriggerMessage(TriggeredMessage.BOOT_NOTIFICATION))()
        assert isinstance(refused, Refused)
        assert refused.reason is RefusalReason.INVALID_COMMAND
        assert "errata 3.40" in refused.violations[0].description
        outcome = asked.ask(TriggerMessage(TriggeredMessage.BOOT_NOTIFICATION, insist=True))
        message_id, _, payload = await charger.next_call("TriggerMessage")
        assert payload == {"requestedMessage": "BootNotification"}
        await charger.answer(message_id, {"status": "Accepted"})
        record = await outcome()
        assert isinstance(record, CommandRecord)
        assert record.state is CommandState.ANSWERED


async def test_a_transaction_of_another_system_is_stopped_by_its_number(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """And the record says that it was not the gateway's; a number of the gateway's own is refused."""
    harness.add_tag("TAG")
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(RemoteStopTransaction("", foreign_number=40815))
        message_id, _, payload = await charger.next_call("RemoteStopTransaction")
        assert payload == {"transactionId": 40815}
        await charger.answer(message_id, {"status": "Accepted"})
        record = await outcome()
        assert isinstance(record, CommandRecord)
        assert record.arguments == {"transaction_id": "", "foreign_number": 40815}
        start = {"connectorId": 1, "idTag": "TAG", "meterStart": 0, "timestamp": "2026-03-01T12:00:00Z"}
        number = (await charger.call("StartTransaction", start))["transactionId"]
        for command in (RemoteStopTransaction("", number), RemoteStopTransaction("tx", 1), RemoteStopTransaction("")):
            refused = await asked.ask(command)()
            assert isinstance(refused, Refused), command

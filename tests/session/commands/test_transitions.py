"""The table of a command's states, walked: a session, the store, housekeeping and the router give what it says.

Sessions, router and store are real. Pairs of state and event without an arrow are walked where the event can come
about in that state: it changes nothing.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import product
from typing import Any

import pytest
import trio
from attrs import define
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.app.housekeeping import LostEnds
from gateway.domain.command_states import ENDINGS, TRANSITIONS, CommandEvent, ending_of, settled
from gateway.domain.commands import ClearCache, Command, CommandRecord, CommandState, RemoteStopTransaction
from gateway.domain.events import ChargePointConnected
from gateway.session.limits import SessionLimits
from gateway.store.commits import DeleteChargePoint, OpenSession
from tests.session.commands.test_commands import START, Asked, ready
from tests.support.harness import Harness, virtual_clock
from tests.support.wire import ScriptedCharger

ACCEPTED = {"status": "Accepted"}
UNFINISHED = (CommandState.QUEUED, CommandState.SENT)
WAITS = (CommandState.QUEUED, CommandState.NOT_SENT)
"""States of a command that was never on the wire."""

ENDS = (CommandEvent.DISCONNECTED, *ENDINGS.values())
"""The events that a session's end is for its commands."""


def becomes(state: CommandState, event: CommandEvent) -> CommandState:
    return TRANSITIONS[state].get(event, state)


@define
class Scene:
    """A command that was brought into a state, and those at both ends of it."""

    harness: Harness
    charger: ScriptedCharger
    asked: Asked
    command: Command
    busy: str | None
    """The message id of the CALL that keeps the wire from it."""
    message_id: str | None
    outcome: Callable[[], Awaitable[Any]]

    def record(self) -> CommandRecord:
        record = self.harness.store.command_by_request("CP1", "r1")
        assert record is not None
        return record

    async def reported(self) -> tuple[CommandState, str]:
        with trio.fail_after(300):
            record = await self.outcome()
        assert isinstance(record, CommandRecord)
        return record.state, record.reason

    # --- the events -------------------------------------------------------------------------------------------

    async def sending(self) -> None:
        assert self.busy is not None
        await self.charger.answer(self.busy, ACCEPTED)
        await self.charger.next_call("RemoteStopTransaction")

    async def answer(self) -> None:
        assert self.message_id is not None
        await self.charger.answer(self.message_id, ACCEPTED)
        await wait_all_tasks_blocked()

    async def waits(self) -> None:
        """Until the deadline or the call time-out, whichever of them comes first."""
        await trio.sleep(25)

    async def transaction_ended(self) -> None:
        stop = {"transactionId": 1, "meterStop": 200, "timestamp": "2026-03-01T12:00:00Z"}
        await self.charger.call("StopTransaction", stop)
        if self.busy is not None:
            await self.charger.answer(self.busy, ACCEPTED)
        await wait_all_tasks_blocked()

    async def disconnected(self) -> None:
        await self.charger.lose_link()
        await trio.sleep(1)

    async def draining(self) -> None:
        await self.harness.router.end_all("draining", 1001)
        await trio.sleep(1)

    async def deleted(self) -> None:
        self.harness.store.commit([DeleteChargePoint("CP1", virtual_clock())])
        self.harness.router.expel("CP1")
        await trio.sleep(1)

    async def store_unavailable(self) -> None:
        """Something else that the charger says can't be kept."""
        self.harness.journal.failing = True
        status = {"connectorId": 1, "status": "Charging", "errorCode": "NoError"}
        await self.charger.send(2, "last", "StatusNotification", status)
        await trio.sleep(1)

    HAPPENINGS = {
        CommandEvent.SENDING: sending,
        CommandEvent.ANSWER: answer,
        CommandEvent.DEADLINE: waits,
        CommandEvent.TIMEOUT: waits,
        CommandEvent.TRANSACTION_ENDED: transaction_ended,
        CommandEvent.DISCONNECTED: disconnected,
        CommandEvent.DRAINING: draining,
        CommandEvent.DELETED: deleted,
        CommandEvent.STORE_UNAVAILABLE: store_unavailable,
    }

    async def happens(self, event: CommandEvent) -> None:
        await self.HAPPENINGS[event](self)


@asynccontextmanager
async def command_in(harness: Harness, state: CommandState, seconds: float = 60) -> AsyncIterator[Scene]:
    """The stop of a running transaction, in ``state``; ``seconds`` until its deadline where that is still to come."""
    harness.limits = SessionLimits(settle_delay=0, call_timeout=20)
    harness.add_tag("TAG")
    async with ready(harness) as (charger, asked):
        await charger.call("StartTransaction", START)
        transaction = harness.store.transaction_by_number(1)
        assert transaction is not None
        busy = message_id = None
        if state in WAITS:
            asked.ask(ClearCache())
            busy, *_ = await charger.next_call("ClearCache")
        passes = state in (CommandState.NOT_SENT, CommandState.OUTCOME_UNKNOWN)
        command = RemoteStopTransaction(transaction.transaction_id)
        outcome = asked.ask(command, request_id="r1", seconds=3 if passes else seconds)
        if state not in WAITS:
            message_id, *_ = await charger.next_call("RemoteStopTransaction")
        scene = Scene(harness, charger, asked, command, busy, message_id, outcome)
        if state is CommandState.ANSWERED:
            await scene.answer()
        if passes:
            await trio.sleep(4)
        await wait_all_tasks_blocked()
        assert scene.record().state is state
        yield scene


def test_the_table_has_a_row_for_every_state_and_no_way_out_of_the_last_ones() -> None:
    """And what is final for a caller is left by a late answer only."""
    assert set(TRANSITIONS) == set(CommandState)
    for state, row in TRANSITIONS.items():
        assert state.final <= (set(row) <= {CommandEvent.ANSWER})
        assert state not in row.values()


@pytest.mark.parametrize("event", [*ENDS, CommandEvent.RESTARTED, CommandEvent.DEADLINE])
def test_what_is_in_doubt_is_unknown(event: CommandEvent) -> None:
    """NOT_SENT is only for commands that are known never to have been sent."""
    queued, sent = UNFINISHED
    assert settled(None, None, event) is None
    assert settled(None, queued, event) is settled(None, sent, event) is CommandState.OUTCOME_UNKNOWN
    assert settled(queued, sent, event) is settled(sent, sent, event) is CommandState.OUTCOME_UNKNOWN
    assert settled(queued, queued, event) is CommandState.NOT_SENT


def test_the_end_of_a_session_is_one_of_four_events_for_its_commands() -> None:
    """A reason that no caller is to learn is a disconnection."""
    assert [ending_of(each) for each in ("draining", "deleted", "store-unavailable")] == [
        CommandEvent.DRAINING,
        CommandEvent.DELETED,
        CommandEvent.STORE_UNAVAILABLE,
    ]
    assert {ending_of(each) for each in ("replaced", "closed", "internal-error", "")} == {CommandEvent.DISCONNECTED}


ELSEWHERE = {CommandEvent.RESTARTED, CommandEvent.TOO_MANY_KEYS, CommandEvent.TRANSACTION_OPEN}
"""Of no session; of a command that brings a key (tests/session/test_key_rotation.py); and of a reset that spares
transactions (tests/session/test_rotation_reset.py)."""

SESSION = [
    (state, event)
    for state, event in product(CommandState, CommandEvent)
    if event not in ELSEWHERE and (event in TRANSITIONS[state] or event in ENDS)
]


@pytest.mark.parametrize(("state", "event"), SESSION)
async def test_a_session_moves_a_command_by_the_table(
    harness: Harness, state: CommandState, event: CommandEvent, autojump_clock: MockClock
) -> None:
    """Its caller is answered by the state that is recorded."""
    expected = becomes(state, event)
    async with command_in(harness, state, seconds=10 if event is CommandEvent.DEADLINE else 60) as scene:
        await scene.happens(event)
        if expected.final:
            reported, reason = await scene.reported()
            assert reported is (state if state.final else expected)
            if not state.final and expected is not CommandState.ANSWERED:
                assert reason == event.value
        if event is not CommandEvent.STORE_UNAVAILABLE:
            assert scene.record().state is expected
            if expected not in (state, CommandState.SENT, CommandState.ANSWERED):
                assert scene.record().reason == event.value


async def reopened(scene: Scene, event: CommandEvent) -> None:
    peer = ChargePointConnected("192.0.2.1", "ocpp1.6", 2)
    scene.harness.store.commit([OpenSession("CP1", peer, virtual_clock(), "for a test", event)])


async def deleted(scene: Scene, _: CommandEvent) -> None:
    scene.harness.store.commit([DeleteChargePoint("CP1", virtual_clock())])


async def restarted(scene: Scene, _: CommandEvent) -> None:
    scene.harness.store.settle(virtual_clock())


STORE = [
    *product(CommandState, ENDS, [reopened]),
    *product(CommandState, [CommandEvent.DELETED], [deleted]),
    *product(CommandState, [CommandEvent.RESTARTED], [restarted]),
]


@pytest.mark.parametrize(("state", "event", "way"), STORE)
async def test_the_store_settles_a_command_by_the_table(
    harness: Harness,
    state: CommandState,
    event: CommandEvent,
    way: Callable[[Scene, CommandEvent], Awaitable[None]],
    autojump_clock: MockClock,
) -> None:
    """A command that its session left open: at the next opening, at a deletion, at start."""
    async with command_in(harness, state) as scene:
        harness.journal.failing = True
        await scene.disconnected()
        before = scene.record()
        await way(scene, event)
        assert scene.record().state is becomes(state, event)
        if state.final:
            assert scene.record() == before
        else:
            assert scene.record().reason == event.value


UNRECORDED = [CommandEvent.DISCONNECTED, CommandEvent.DRAINING, CommandEvent.STORE_UNAVAILABLE]
"""What a session's end may be that could not be recorded: a deletion has been, by the store."""


@pytest.mark.parametrize(("state", "event"), list(product(CommandState, UNRECORDED)))
async def test_housekeeping_records_late_what_a_caller_was_answered(
    harness: Harness, state: CommandState, event: CommandEvent, autojump_clock: MockClock
) -> None:
    """By the table, as the session did that could not record it."""
    async with command_in(harness, state) as scene:
        harness.journal.failing = True
        await scene.happens(event)
        reported = await scene.reported()
        harness.journal.failing = False
        await LostEnds(harness.journal, harness.reads, harness.router, virtual_clock).record()
        assert scene.record().state is becomes(state, event)
        assert (scene.record().state, scene.record().reason) == reported


@pytest.mark.parametrize(("state", "event"), list(product(CommandState, UNRECORDED)))
async def test_the_router_repeats_what_a_caller_was_answered(
    harness: Harness, state: CommandState, event: CommandEvent, autojump_clock: MockClock
) -> None:
    """By the table, while the store can be read and has recorded no end."""
    async with command_in(harness, state) as scene:
        harness.journal.failing = harness.journal.readable = True
        await scene.happens(event)
        reported = await scene.reported()
        assert scene.record().state is state
        again = await scene.asked.ask(scene.command, request_id="r1")()
        assert isinstance(again, CommandRecord)
        assert again.state is becomes(state, event)
        assert (again.state, again.reason) == reported

"""Commands and operations at a node, for a charge point whose session another node has."""

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.cluster import subjects
from gateway.cluster.calls import UNREACHABLE, RoutedCommands
from gateway.cluster.desk import CallDesk
from gateway.domain.commands import (
    ClearCache,
    CommandRecord,
    CommandState,
    RefusalReason,
    Refused,
    Reset,
    ResetType,
    Unknown,
)
from gateway.domain.events import CommandNotSent, CommandQueued
from gateway.domain.operations import OperationKind, OperationRecord, OperationRequest
from gateway.domain.values import ConnectorAddress
from gateway.session.limits import SessionLimits
from gateway.session.router import Router
from gateway.store.commits import Done, Missing
from gateway.store.nodes import AskToDisconnect, OwnerRecord
from tests.nodes.fakes import FakeBus, FakeNodes, nothing_seen
from tests.support.harness import Harness, boot, virtual_clock
from tests.support.wire import ScriptedCharger

RESET = Reset(ResetType.SOFT)
START = OperationRequest(OperationKind.START_CHARGING, ConnectorAddress(1, 1), "TAG")
OTHER = OperationRequest(OperationKind.START_CHARGING, ConnectorAddress(2, 1), "TAG", insist=True)


class TwoNodes:
    """Node 2 has the sessions, by a harness; ``commands`` is the way to them at node 1. They share a store."""

    def __init__(self, path: Path) -> None:
        self.there = Harness(path, limits=SessionLimits(settle_delay=0))
        self.there.add_charge_point()
        self.bus, self.nodes = FakeBus(), FakeNodes()
        self.counted: list[tuple[str, str]] = []
        self.here = Router(self.there.reads, virtual_clock, (self.there.protocol,))
        self.commands = RoutedCommands(
            self.here,
            self.nodes,
            self.there.reads,
            self.there.journal,
            self.bus,
            virtual_clock,
            lambda *said: self.counted.append(said),
        )
        self.bus.serve(self.subject, CallDesk(self.there.router, nothing_seen).answer)

    @property
    def subject(self) -> str:
        return subjects.node(self.there.store.store_id, 2, 7)

    def owned(self, epoch: int = 1) -> None:
        """Node 2 has CP1, as the store says."""
        self.nodes.owners["CP1"] = OwnerRecord(2, 7, epoch)

    async def call(self, command: Any = RESET, request_id: str = "r1", seconds: float = 30.0) -> Any:
        return await self.commands.call(
            "CP1", command, request_id=request_id, deadline=trio.current_time() + seconds, caller="app"
        )

    async def operate(self, request_id: str = "o1", seconds: float = 30.0, request: Any = START) -> Any:
        return await self.commands.operate("CP1", request, request_id, seconds, "app")


@pytest.fixture
async def two(tmp_path: Path, autojump_clock: MockClock) -> TwoNodes:
    return TwoNodes(tmp_path)


async def answers(charger: ScriptedCharger, payload: Any, action: str = "Reset") -> Any:
    message_id, _, _ = await charger.next_call(action)
    await charger.answer(message_id, payload)


async def test_a_command_is_carried_by_the_node_that_has_the_session(
    two: TwoNodes, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Its caller has the record, as if it had asked there; repeated it is the same, and is not sent again."""
    two.owned()
    async with two.there.connected() as charger:
        await boot(charger)
        nursery.start_soon(answers, charger, {"status": "Accepted"})
        first = await two.call()
        assert isinstance(first, CommandRecord)
        assert (first.state, first.caller) == (CommandState.ANSWERED, "app")
        assert await two.call() == first
        assert isinstance(await two.call(ClearCache()), Refused)
        assert two.counted[0] == ("node_calls", "answered")


async def test_a_command_for_a_charger_that_no_node_has_is_refused_here(
    two: TwoNodes, autojump_clock: MockClock
) -> None:
    """As by a gateway that is alone."""
    outcome = await two.call()
    assert isinstance(outcome, Refused)
    assert outcome.reason is RefusalReason.CHARGE_POINT_OFFLINE
    assert not await two.commands.connected("CP1")
    assert not await two.commands.elsewhere("CP1")


async def test_a_refusal_of_the_other_node_is_the_caller_s(two: TwoNodes, autojump_clock: MockClock) -> None:
    """Word for word."""
    two.owned()
    async with two.there.connected():
        two.there.router.stop_commands()
        outcome = await two.call()
        assert isinstance(outcome, Refused)
        assert outcome.reason is RefusalReason.DRAINING


async def test_a_node_that_drains_waits_for_what_another_one_carries_for_it(
    two: TwoNodes, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Its caller would not hear the outcome otherwise: the control interface ends with the drain."""
    two.owned()
    outcomes: list[Any] = []
    async with two.there.connected() as charger:
        await boot(charger)

        async def ask() -> None:
            outcomes.append(await two.call())

        nursery.start_soon(ask)
        message_id, _, _ = await charger.next_call("Reset")
        two.here.stop_commands()
        with trio.move_on_after(5) as waiting:
            async with trio.open_nursery() as waiters:
                for _ in range(2):
                    waiters.start_soon(two.commands.commands_done)
        assert waiting.cancelled_caught
        async with trio.open_nursery() as waiters:
            for _ in range(2):
                waiters.start_soon(two.commands.commands_done)
            waiters.start_soon(charger.answer, message_id, {"status": "Accepted"})
        assert [outcome.state for outcome in outcomes] == [CommandState.ANSWERED]


async def test_a_node_that_drains_takes_no_command_for_another_one_either(
    two: TwoNodes, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Nothing is sent; what was asked before keeps its outcome."""
    two.owned()
    two.there.add_tag("TAG")
    async with two.there.connected() as charger:
        await boot(charger)
        nursery.start_soon(answers, charger, {"status": "Accepted"})
        first = await two.call()
        two.here.stop_commands()
        for refused in (await two.call(request_id="r2"), await two.operate()):
            assert isinstance(refused, Refused)
            assert refused.reason is RefusalReason.DRAINING
        assert await two.call() == first
        assert len(two.bus.requests) == 1
        await two.commands.commands_done()


async def test_a_node_that_does_not_answer_is_looked_for_once_more(two: TwoNodes, autojump_clock: MockClock) -> None:
    """The charge point may be another's by then; if it is not, nothing was sent, and the caller hears it."""
    two.owned()
    two.bus.withdraw(two.subject)
    assert await two.call() is UNREACHABLE
    assert two.bus.requests == [two.subject] * 2
    two.bus.down = True
    assert await two.call() is UNREACHABLE
    assert two.there.events("command.queued") == []


async def test_a_session_that_has_gone_on_is_not_there(two: TwoNodes, autojump_clock: MockClock) -> None:
    """A later epoch is another session, whose charger may be another unit."""
    two.owned(epoch=9)
    async with two.there.connected() as charger:
        await boot(charger)
        assert await two.call() is UNREACHABLE


async def test_a_command_without_an_answer_in_time_can_not_be_sent_any_more(
    two: TwoNodes, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """It is recorded as not sent; the owner, which goes on later, finds that."""
    two.owned()
    two.bus.held = trio.Event()
    async with two.there.connected() as charger:
        await boot(charger)
        outcome = await two.call(seconds=5)
        assert isinstance(outcome, CommandRecord)
        assert (outcome.state, outcome.reason) == (CommandState.NOT_SENT, "deadline")
        assert two.there.store.command_by_request("CP1", "r1") == outcome
        late = await two.there.router.call("CP1", RESET, request_id="r1", deadline=trio.current_time() + 9)
        assert late == outcome
        assert [type(each) for each in two.there.bodies()[-2:]] == [CommandQueued, CommandNotSent]


async def test_a_command_whose_answer_was_lost_is_not_called_unsent(
    two: TwoNodes, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """The owner's record is the outcome: here that the charger has answered."""
    two.owned()
    two.bus.lost = True
    async with two.there.connected() as charger:
        await boot(charger)
        nursery.start_soon(answers, charger, {"status": "Accepted"})
        outcome = await two.call(seconds=5)
        assert isinstance(outcome, CommandRecord)
        assert outcome.state is CommandState.ANSWERED


async def test_a_command_that_is_under_way_is_of_unknown_outcome(two: TwoNodes, autojump_clock: MockClock) -> None:
    """The charger is silent, and so is the owner."""
    two.owned()
    two.bus.lost = True
    async with two.there.connected() as charger:
        await boot(charger)
        outcome = await two.call(seconds=5)
        await charger.next_call("Reset")
        assert isinstance(outcome, CommandRecord)
        assert outcome.state is CommandState.OUTCOME_UNKNOWN
        two.bus.down = True
        again = await two.call(seconds=5)
        assert isinstance(again, CommandRecord)
        assert again.state is CommandState.OUTCOME_UNKNOWN
        reused = await two.call(ClearCache())
        assert isinstance(reused, Refused)
        assert reused.reason is RefusalReason.REQUEST_ID_REUSED


async def test_a_command_that_can_not_be_recorded_as_unsent_is_of_unknown_outcome(
    two: TwoNodes, autojump_clock: MockClock
) -> None:
    """Nor can it be looked up."""
    two.owned()
    two.bus.held = trio.Event()
    async with two.there.connected() as charger:
        await boot(charger)
        two.there.journal.failing = two.there.journal.readable = True
        outcome = await two.call(seconds=5)
        assert outcome == Unknown("r1", "store-unavailable", outcome.message)
        two.there.journal.failing = False
    two.nodes.failing = True
    assert isinstance(await two.call(), Unknown)
    assert isinstance(await two.operate(), Unknown)


async def test_a_charge_point_that_is_gone_meanwhile_is_unknown(two: TwoNodes, autojump_clock: MockClock) -> None:
    two.nodes.owners["CP9"] = OwnerRecord(2, 7, 1)
    two.bus.held = trio.Event()
    outcome = await two.commands.call("CP9", RESET, request_id="r1", deadline=trio.current_time() + 2)
    assert isinstance(outcome, Refused)
    assert outcome.reason is RefusalReason.UNKNOWN_CHARGE_POINT


async def test_an_answer_of_a_later_version_counts_as_none(two: TwoNodes, autojump_clock: MockClock) -> None:
    two.owned()

    async def later(_: bytes) -> Any:
        return b'{"v": 2}'

    two.bus.serve(two.subject, later)
    outcome = await two.call()
    assert isinstance(outcome, CommandRecord)
    assert outcome.state is CommandState.NOT_SENT


async def test_a_request_that_can_not_be_read_is_answered_so(two: TwoNodes, autojump_clock: MockClock) -> None:
    """Nothing is begun."""
    reply = await CallDesk(two.there.router, nothing_seen).answer(b'{"v": 2}')
    assert b"unreadable" in reply


async def test_an_operation_is_begun_by_the_node_that_has_the_session(two: TwoNodes, autojump_clock: MockClock) -> None:
    """Its caller has the record; another one under the same request id is none."""
    two.owned()
    async with two.there.connected() as charger:
        await boot(charger)
        begun = await two.operate()
        assert isinstance(begun, OperationRecord)
        assert begun == two.there.store.operation_by_request("CP1", "o1")
        assert await two.operate(request=OTHER) is None
        two.there.router.stop_commands()
        refused = await two.operate("o2")
        assert isinstance(refused, Refused)


async def test_an_operation_without_an_answer_is_looked_up(two: TwoNodes, autojump_clock: MockClock) -> None:
    """Begun before its answer was lost it is there; else it is not known, and repeating it is safe."""
    two.owned()
    async with two.there.connected() as charger:
        await boot(charger)
        two.bus.lost = True
        begun = await two.operate(seconds=5)
        assert isinstance(begun, OperationRecord)
        two.bus.lost, two.bus.held = False, trio.Event()
        unknown = await two.operate("o2", seconds=5)
        assert isinstance(unknown, Unknown)
        two.bus.down = True
        assert await two.operate("o3") is UNREACHABLE


async def test_what_is_here_is_the_router_s(two: TwoNodes, autojump_clock: MockClock) -> None:
    """The rest of the port."""
    assert two.commands.unsupported_codes == two.there.router.unsupported_codes
    assert two.commands.security_profiles == frozenset({2, 3})
    assert two.commands.live("CP1") is None
    two.owned()
    assert await two.commands.elsewhere("CP1")
    assert await two.commands.connected("CP1")


class AskedJournal:
    """Answers a request to disconnect; notes it."""

    def __init__(self) -> None:
        self.writes: list[Any] = []
        self.answer: Any = Done()

    async def commit(self, write: Any) -> Any:
        await trio.lowlevel.checkpoint()
        self.writes.append(write)
        return self.answer


async def test_a_connection_is_closed_wherever_it_is(two: TwoNodes, autojump_clock: MockClock) -> None:
    """By a notice for its node; false where no node has one."""
    journal: Any = AskedJournal()
    two.commands._journal = journal
    assert await two.commands.let_go("CP1", "ops")
    assert journal.writes == [AskToDisconnect("CP1", "ops")]
    journal.answer = Missing()
    assert not await two.commands.let_go("CP1", "ops")


async def test_a_bug_at_the_owner_leaves_a_command_unsent(
    two: TwoNodes, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and the caller hears nothing of what it was; the next call is carried as ever."""
    two.owned()

    async def fails(*_: object, **__: object) -> None:
        raise RuntimeError("secret")

    async with two.there.connected() as charger:
        await boot(charger)
        with monkeypatch.context() as patched:
            patched.setattr(two.there.router, "call", fails)
            outcome = await two.call()
        assert isinstance(outcome, CommandRecord)
        assert (outcome.state, outcome.reason) == (CommandState.NOT_SENT, "deadline")
        assert "secret" not in repr(outcome)
        await charger.hears_nothing(1)


async def test_a_session_here_is_let_go_without_the_others(two: TwoNodes, autojump_clock: MockClock) -> None:
    """Its own commands and operations, too, go by no bus."""
    commands = RoutedCommands(two.there.router, two.nodes, two.there.reads, two.there.journal, two.bus, virtual_clock)
    async with two.there.connected() as charger:
        await boot(charger)
        two.there.add_tag("TAG")
        assert await commands.connected("CP1")
        assert not await commands.elsewhere("CP1")
        begun = await commands.operate("CP1", START, "o1", 30.0, "app")
        assert isinstance(begun, OperationRecord)
        assert await commands.let_go("CP1", "app")
    assert two.bus.requests == []


async def test_a_store_that_does_not_answer_leaves_the_outcome_unknown(
    two: TwoNodes, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is answered by the deadline all the same."""

    async def hangs(*_: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(two.there.journal, "read", hangs)
    outcome = await two.call(seconds=2)
    assert outcome == Unknown("r1", "deadline", outcome.message)


async def test_a_record_that_the_store_has_lost_is_of_unknown_outcome(
    two: TwoNodes, autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner has said that there is one."""
    two.owned()
    async with two.there.connected() as charger:
        await boot(charger)
        nursery.start_soon(answers, charger, {"status": "Accepted"})
        monkeypatch.setattr(two.there.store, "command_by_request", lambda *_: None)
        outcome = await two.call()
        assert outcome == Unknown("r1", "store-unavailable", outcome.message)

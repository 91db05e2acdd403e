"""The table of endings, walked: each is brought about, with a charger's log or the store beside it.

Commands run in virtual time, on a real router, session and store; ``test_outcomes_of_changes`` has all else, over gRPC.
"""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, evolve, field
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.cluster import subjects
from gateway.cluster.calls import RoutedCommands
from gateway.cluster.desk import CallDesk
from gateway.control.charge_points import Change, ChargePoints
from gateway.control.commands import CommandCalls
from gateway.control.errors import Failure
from gateway.control.outcomes import COMMANDS, Effect, RpcOutcome, Then
from gateway.domain.commands import (
    ChangeConfiguration,
    ClearCache,
    Command,
    CommandRecord,
    CommandState,
    GetConfiguration,
    RemoteStartTransaction,
    RemoteStopTransaction,
    Reset,
    ResetType,
)
from gateway.domain.credentials import MAX_KEYS, generate_key, make_credential
from gateway.domain.events import TransactionStarted
from gateway.domain.records import CredentialKind
from gateway.domain.values import Registration
from gateway.session.limits import SessionLimits
from gateway.session.router import Router
from gateway.store.commits import AddCredential
from gateway.store.nodes import OwnerRecord
from tests.nodes.fakes import FakeBus, FakeNodes, nothing_seen
from tests.support.harness import Harness, boot, virtual_clock
from tests.support.wire import FakeTransport, ScriptedCharger

RESET = Reset(ResetType.HARD)
START = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-03-01T12:00:00Z"}


class Logged(FakeTransport):
    """A wire that remembers the CALLs that the charger received."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    async def send(self, data: bytes) -> None:
        frame = json.loads(data)
        if frame[0] == 2:
            self.calls.append(frame[2])
        await super().send(data)


@define
class Ask:
    """One call of a command, and what its caller was answered."""

    command: Command
    request_id: str
    done: trio.Event = field(factory=trio.Event)
    answer: CommandRecord | Failure | None = None

    async def result(self) -> CommandRecord | Failure:
        with trio.fail_after(600):
            await self.done.wait()
        assert self.answer is not None
        return self.answer


class World:
    """A gateway in virtual time, one charger, and its callers."""

    def __init__(self, path: Path, nursery: trio.Nursery) -> None:
        self._path = path
        self._nursery = nursery
        self._wires: list[Logged] = []
        self.harness = Harness(path, limits=SessionLimits(settle_delay=0))
        self.harness.add_charge_point()
        self._introduce()

    def _introduce(self) -> None:
        harness = self.harness
        self.calls = CommandCalls(harness.reads, harness.router, virtual_clock)
        self.operator = ChargePoints(harness.journal, harness.reads, harness.router, virtual_clock)
        self.charger: ScriptedCharger | None = None

    @property
    def journal(self) -> Any:
        return self.harness.journal

    async def connect(self) -> ScriptedCharger:
        """The charger comes, or comes again, and boots."""
        wire = Logged()
        self._wires.append(wire)
        await self._nursery.start(self.harness._serve, "CP1", wire)
        self.charger = ScriptedCharger(wire)
        await boot(self.charger)
        await trio.sleep(0.1)
        return self.charger

    def ask(self, command: Command = RESET, request_id: str = "r1", seconds: float = 60.0) -> Ask:
        """As the service does, in a task of its own."""
        ask = Ask(command, request_id)

        async def carry() -> None:
            patience = seconds + 0.125 if seconds > 0 else 0.1
            began = trio.current_time()
            try:
                ask.answer = await self.calls.carry("CP1", command, request_id, seconds, patience)
            except Failure as failure:
                ask.answer = failure
            assert trio.current_time() - began <= patience
            ask.done.set()

        self._nursery.start_soon(carry)
        return ask

    async def busy(self) -> None:
        """Another command keeps the wire."""
        self.ask(ClearCache(), "another")
        await self.heard("ClearCache")

    async def heard(self, action: str = "Reset") -> str:
        assert self.charger is not None
        message_id, _, _ = await self.charger.next_call(action)
        await wait_all_tasks_blocked()
        return message_id

    async def asked_and_heard(self) -> tuple[Ask, str]:
        await self.connect()
        ask = self.ask()
        return ask, await self.heard()

    async def asked_and_waiting(self) -> Ask:
        await self.connect()
        await self.busy()
        ask = self.ask()
        await wait_all_tasks_blocked()
        assert self.record().state is CommandState.QUEUED
        return ask

    def record(self, request_id: str = "r1") -> CommandRecord:
        record = self.harness.store.command_by_request("CP1", request_id)
        assert record is not None
        return record

    def received(self, action: str = "Reset") -> int:
        """The number of such CALLs that the charger received, on all its connections."""
        return sum(wire.calls.count(action) for wire in self._wires)

    async def end_all(self, reason: str, code: int) -> None:
        self.harness.router.stop_commands()
        await self.harness.router.end_all(reason, code)

    async def is_killed_and_restarted(self) -> None:
        """Nothing of the end is recorded by the killed one."""
        assert self.charger is not None
        self.journal.failing = True
        await self.charger.lose_link()
        await trio.sleep(30)
        self.harness.store.close()
        self.harness = Harness(self._path, limits=SessionLimits(settle_delay=0))
        self.harness.store.settle(virtual_clock())
        self._introduce()

    async def heals(self) -> None:
        """The disk is well, the gateway is no longer stopping, and the charger is there and answers everything."""
        journal = self.journal
        journal.failing, journal.doubt, journal.stall_seconds, journal.read_seconds = False, "", 0.0, 0.0
        await trio.sleep(60)
        if self.harness.router._draining:
            self.harness.store.close()
            self.harness = Harness(self._path, limits=SessionLimits(settle_delay=0))
            self.harness.store.settle(virtual_clock())
            self._introduce()
        if self.harness.store.charge_point("CP1") is None:
            return
        await self.operator.update(Change("CP1", registration=Registration.ACCEPTED))
        charger = await self.connect()

        async def answers() -> None:
            while True:
                message_id, _, _ = await charger.next_call()
                await charger.answer(message_id, {"status": "Accepted"})

        self._nursery.start_soon(answers)


Scenario = Callable[[World], Awaitable[tuple[Ask, int]]]
"""Brings an ending about: the call, and how often the charger received its command."""

SCENARIOS: dict[str, list[Scenario]] = {}


def brings_about(*names: str) -> Callable[[Scenario], Scenario]:
    def add(scenario: Scenario) -> Scenario:
        for name in names:
            SCENARIOS.setdefault(name, []).append(scenario)
        return scenario

    return add


# --- the charger's word -----------------------------------------------------------------------------------------


@brings_about("confirmed")
async def _(world: World) -> tuple[Ask, int]:
    ask, message_id = await world.asked_and_heard()
    await world.charger.answer(message_id, {"status": "Rejected"})
    return ask, 1


@brings_about("charger-error")
async def _(world: World) -> tuple[Ask, int]:
    ask, message_id = await world.asked_and_heard()
    await world.charger.answer_error(message_id, "GenericError", "no")
    return ask, 1


@brings_about("charger-knows-no-such-operation")
async def _(world: World) -> tuple[Ask, int]:
    ask, message_id = await world.asked_and_heard()
    await world.charger.answer_error(message_id, "NotSupported", "no")
    return ask, 1


# --- refusals ---------------------------------------------------------------------------------------------------


@brings_about("bad-request")
async def _(world: World) -> tuple[Ask, int]:
    await world.connect()
    return world.ask(GetConfiguration(keys=("k" * 1000,))), 0


@brings_about("request-id-reused")
async def _(world: World) -> tuple[Ask, int]:
    await world.connect()
    world.ask(ClearCache(), "r1")
    await world.heard("ClearCache")
    return world.ask(), 0


@brings_about("unknown-charge-point")
async def _(world: World) -> tuple[Ask, int]:
    await world.operator.delete("CP1")
    return world.ask(), 0


@brings_about("unknown-transaction")
async def _(world: World) -> tuple[Ask, int]:
    await world.connect()
    return world.ask(RemoteStopTransaction("tx_none")), 0


@brings_about("offline")
async def _(world: World) -> tuple[Ask, int]:
    return world.ask(), 0


@brings_about("pending")
async def _(world: World) -> tuple[Ask, int]:
    await world.operator.update(Change("CP1", registration=Registration.PENDING))
    wire = Logged()
    world._wires.append(wire)
    await world._nursery.start(world.harness._serve, "CP1", wire)
    return world.ask(RemoteStartTransaction("TAG")), 0


@brings_about("rejected")
async def _(world: World) -> tuple[Ask, int]:
    await world.operator.update(Change("CP1", registration=Registration.REJECTED))
    wire = Logged()
    world._wires.append(wire)
    await world._nursery.start(world.harness._serve, "CP1", wire)
    return world.ask(), 0


@brings_about("queue-full")
async def _(world: World) -> tuple[Ask, int]:
    world.harness.limits = SessionLimits(settle_delay=0, call_queue=1)
    await world.connect()
    await world.busy()
    return world.ask(), 0


# --- deadlines --------------------------------------------------------------------------------------------------


@brings_about("no-time-to-send")
async def _(world: World) -> tuple[Ask, int]:
    await world.connect()
    return world.ask(seconds=-0.1), 0


@brings_about("deadline-before-sent")
async def _(world: World) -> tuple[Ask, int]:
    await world.connect()
    await world.busy()
    return world.ask(seconds=3), 0


@brings_about("deadline-after-sent")
async def _(world: World) -> tuple[Ask, int]:
    await world.connect()
    ask = world.ask(seconds=3)
    await world.heard()
    return ask, 1


@brings_about("deadline-of-a-repeat")
async def _(world: World) -> tuple[Ask, int]:
    await world.asked_and_heard()
    return world.ask(seconds=3), 1


@brings_about("deadline-of-a-repeat")
async def _(world: World) -> tuple[Ask, int]:
    """With less than the margin: it is not "not sent", for the first one was."""
    await world.asked_and_heard()
    return world.ask(seconds=-0.2), 1


@brings_about("charger-silent")
async def _(world: World) -> tuple[Ask, int]:
    ask, _ = await world.asked_and_heard()
    return ask, 1


@brings_about("transaction-ended")
async def _(world: World) -> tuple[Ask, int]:
    world.harness.add_tag("TAG")
    charger = await world.connect()
    number = (await charger.call("StartTransaction", START))["transactionId"]
    (started,) = world.harness.bodies(TransactionStarted.TYPE)
    assert isinstance(started, TransactionStarted)
    world.ask(ClearCache(), "another")
    message_id = await world.heard("ClearCache")
    ask = world.ask(RemoteStopTransaction(started.transaction_id))
    await wait_all_tasks_blocked()
    stop = {"transactionId": number, "meterStop": 200, "timestamp": "2026-03-01T12:10:00Z"}
    await charger.call("StopTransaction", stop)
    await charger.answer(message_id, {"status": "Accepted"})
    return ask, 0


@brings_about("too-many-keys")
async def _(world: World) -> tuple[Ask, int]:
    for _ in range(MAX_KEYS):
        credential = make_credential(generate_key(), CredentialKind.GENERATED, virtual_clock())
        world.harness.store.commit([AddCredential("CP1", credential)])
    await world.connect()
    return world.ask(ChangeConfiguration("AuthorizationKey", "00" * 16)), 0


# --- the connection's end ---------------------------------------------------------------------------------------


async def _link_is_lost(world: World) -> None:
    await world.charger.lose_link()


async def _is_taken_over(world: World) -> None:
    await world.connect()


async def _is_deleted(world: World) -> None:
    await world.operator.delete("CP1")


async def _is_deleted_and_created_anew_meanwhile(world: World) -> None:
    """In one batch: the session learns only that it has been replaced."""
    from gateway.store.commits import CreateChargePoint, DeleteChargePoint

    at = virtual_clock()
    world.harness.store.commit([DeleteChargePoint("CP1", at), CreateChargePoint("CP1", Registration.ACCEPTED, (), at)])
    await world.charger.send(
        2, "s", "StatusNotification", {"connectorId": 1, "status": "Faulted", "errorCode": "NoError"}
    )


async def _is_deleted_while_reads_stall(world: World) -> None:
    """Delete the charge point while the store settles the command but can't read it back."""
    world.journal.read_seconds = 30.0
    await world.operator.delete("CP1")


async def _is_no_longer_accepted(world: World) -> None:
    await world.operator.update(Change("CP1", registration=Registration.PENDING))


async def _gateway_drains(world: World) -> None:
    await world.end_all("draining", 1001)


async def _store_fails(world: World) -> None:
    world.journal.failing = world.journal.readable = True
    await world.harness.router.end_all("store-unavailable", 1011)


async def _disk_can_not_record_the_lost_link(world: World) -> None:
    world.journal.failing = world.journal.readable = True
    await world.charger.lose_link()


ENDS = {
    "link-lost": [_link_is_lost, _disk_can_not_record_the_lost_link],
    "takeover": [_is_taken_over],
    "deleted": [_is_deleted, _is_deleted_while_reads_stall, _is_deleted_and_created_anew_meanwhile],
    "registration-changed": [_is_no_longer_accepted],
    "drained": [_gateway_drains],
    "store-fails": [_store_fails],
}


def _add_ends() -> None:
    for name, ends in ENDS.items():
        for end in ends:

            async def before(world: World, end: Any = end) -> tuple[Ask, int]:
                ask = await world.asked_and_waiting()
                await end(world)
                return ask, 0

            async def after(world: World, end: Any = end) -> tuple[Ask, int]:
                ask, _ = await world.asked_and_heard()
                await end(world)
                return ask, 1

            before.__name__ = after.__name__ = end.__name__
            brings_about(f"{name}-before-sent")(before)
            brings_about(f"{name}-after-sent")(after)


_add_ends()


# --- the gateway's end ------------------------------------------------------------------------------------------


@brings_about("draining")
async def _(world: World) -> tuple[Ask, int]:
    await world.connect()
    world.harness.router.stop_commands()
    return world.ask(), 0


@brings_about("drained-before-sent-repeated")
async def _(world: World) -> tuple[Ask, int]:
    first = await world.asked_and_waiting()
    await world.end_all("draining", 1001)
    await first.result()
    await trio.sleep(1)
    return world.ask(), 0


@brings_about("drained-after-sent")
async def _(world: World) -> tuple[Ask, int]:
    """A repeat in the drain, of a command whose outcome is recorded."""
    first, _ = await world.asked_and_heard()
    await world.end_all("draining", 1001)
    await first.result()
    await trio.sleep(1)
    return world.ask(), 1


@brings_about("deadline-of-a-repeat")
async def _(world: World) -> tuple[Ask, int]:
    """While the gateway drains and the command is under way: it is not DRAINING."""
    await world.asked_and_heard()
    world.harness.router.stop_commands()
    return world.ask(seconds=3), 1


@brings_about("confirmed")
async def _(world: World) -> tuple[Ask, int]:
    """A repeat in the drain joins its command."""
    _, message_id = await world.asked_and_heard()
    world.harness.router.stop_commands()
    ask = world.ask()
    await wait_all_tasks_blocked()
    await world.charger.answer(message_id, {"status": "Accepted"})
    return ask, 1


@brings_about("restarted-before-sent")
async def _(world: World) -> tuple[Ask, int]:
    await world.asked_and_waiting()
    await world.is_killed_and_restarted()
    return world.ask(), 0


@brings_about("restarted-after-sent")
async def _(world: World) -> tuple[Ask, int]:
    await world.asked_and_heard()
    await world.is_killed_and_restarted()
    return world.ask(), 1


# --- other nodes ------------------------------------------------------------------------------------------------


async def _asked_elsewhere(world: World) -> tuple[FakeBus, str]:
    """The caller asks a node that has no session; the charger's is at another, which the bus leads to."""
    await world.connect()
    harness, bus, nodes = world.harness, FakeBus(), FakeNodes()
    nodes.owners["CP1"] = OwnerRecord(2, 1, 1)
    router = Router(harness.reads, virtual_clock, (harness.protocol,))
    routed = RoutedCommands(router, nodes, harness.reads, harness.journal, bus, virtual_clock)
    world.calls = CommandCalls(harness.reads, routed, virtual_clock)
    subject = subjects.node(harness.store.store_id, 2, 1)
    bus.serve(subject, CallDesk(harness.router, nothing_seen).answer)
    return bus, subject


@brings_about("node-unreachable")
async def _(world: World) -> tuple[Ask, int]:
    bus, _ = await _asked_elsewhere(world)
    bus.down = True
    return world.ask(), 0


@brings_about("node-unreachable")
async def _(world: World) -> tuple[Ask, int]:
    bus, subject = await _asked_elsewhere(world)
    bus.withdraw(subject)
    return world.ask(), 0


@brings_about("node-silent")
async def _(world: World) -> tuple[Ask, int]:
    bus, _ = await _asked_elsewhere(world)
    bus.held = trio.Event()
    return world.ask(), 0


@brings_about("node-silent-after-sent")
async def _(world: World) -> tuple[Ask, int]:
    bus, _ = await _asked_elsewhere(world)
    bus.lost = True
    return world.ask(seconds=5), 1


# --- the store --------------------------------------------------------------------------------------------------


@brings_about("store-refuses")
async def _(world: World) -> tuple[Ask, int]:
    await world.connect()
    world.journal.failing = world.journal.readable = True
    return world.ask(), 0


def _in_doubt(kept: str, repeated: bool) -> Scenario:
    async def scenario(world: World) -> tuple[Ask, int]:
        await world.connect()
        world.journal.doubt, world.journal.readable, world.journal.stall_seconds = kept, True, 1.0
        ask = world.ask()
        if repeated:
            await ask.result()
            await trio.sleep(30)
            ask = world.ask()
        return ask, 0

    return scenario


for _kept in ("kept", "lost"):
    for _repeated in (False, True):
        name = "store-in-doubt-repeated" if (_kept, _repeated) == ("lost", True) else "store-in-doubt"
        brings_about(name)(_in_doubt(_kept, _repeated))


def _sent_in_doubt(kept: str, repeated: bool) -> Scenario:
    async def scenario(world: World) -> tuple[Ask, int]:
        """It waited, and what fails is the record that it is sent now. It is not; what the disk keeps is open."""
        await world.connect()
        world.ask(ClearCache(), "another")
        message_id = await world.heard("ClearCache")
        ask = world.ask()
        await wait_all_tasks_blocked()
        world.journal.doubt, world.journal.doubt_of, world.journal.readable = kept, "command.sent", True
        await world.charger.answer(message_id, {"status": "Accepted"})
        if repeated:
            await ask.result()
            await trio.sleep(30)
            ask = world.ask()
        return ask, 0

    return scenario


def _answer_in_doubt(kept: str) -> Scenario:
    async def scenario(world: World) -> tuple[Ask, int]:
        ask, message_id = await world.asked_and_heard()
        world.journal.doubt, world.journal.readable = kept, True
        await world.charger.answer(message_id, {"status": "Accepted"})
        return ask, 1

    return scenario


for _kept in ("kept", "lost"):
    brings_about("store-fails-after-sent")(_sent_in_doubt(_kept, False))
    brings_about("store-fails-after-sent")(_sent_in_doubt(_kept, True))
    brings_about("store-fails-after-sent")(_answer_in_doubt(_kept))


@brings_about("store-stalls")
async def _(world: World) -> tuple[Ask, int]:
    await world.connect()
    world.journal.stall_seconds = 5.0
    return world.ask(seconds=2.75), 0


@brings_about("store-stalls")
async def _(world: World) -> tuple[Ask, int]:
    """The answer is there, and can't be recorded in time."""
    await world.connect()
    ask = world.ask(seconds=2.75)
    message_id = await world.heard()
    world.journal.stall_seconds = 9.0
    await world.charger.answer(message_id, {"status": "Accepted"})
    return ask, 1


@brings_about("store-stalls")
async def _(world: World) -> tuple[Ask, int]:
    """A repeat of an id that was sent long ago: its look-up is the stalled commit itself."""
    first, message_id = await world.asked_and_heard()
    await world.charger.answer(message_id, {"status": "Accepted"})
    await first.result()
    world.journal.stall_seconds = 5.0
    return world.ask(seconds=2.75), 1


@brings_about("store-stalls-before-sent")
async def _(world: World) -> tuple[Ask, int]:
    await world.connect()
    await world.busy()
    ask = world.ask(seconds=2.75)
    await wait_all_tasks_blocked()
    world.journal.stall_seconds = 9.0
    return ask, 0


@brings_about("store-unreadable")
async def _(world: World) -> tuple[Ask, int]:
    first, message_id = await world.asked_and_heard()
    await world.charger.answer(message_id, {"status": "Accepted"})
    await first.result()
    await world.charger.lose_link()
    await trio.sleep(10)
    world.journal.failing = True
    return world.ask(), 1


@brings_about("store-unreadable")
async def _(world: World) -> tuple[Ask, int]:
    world.journal.failing = True
    return world.ask(), 0


@brings_about("store-reads-too-slowly")
async def _(world: World) -> tuple[Ask, int]:
    world.journal.read_seconds = 9.0
    return world.ask(seconds=2.75), 0


@brings_about("store-reads-too-slowly")
async def _(world: World) -> tuple[Ask, int]:
    """In a drain, with less than the margin, of a command that was sent."""
    first, message_id = await world.asked_and_heard()
    await world.charger.answer(message_id, {"status": "Accepted"})
    await first.result()
    world.harness.router.stop_commands()
    world.journal.read_seconds = 9.0
    return world.ask(seconds=-0.1), 1


# --- walked -----------------------------------------------------------------------------------------------------

OVER_GRPC = {"too-many-calls", "ended-while-the-disk-stalls", "bug"}
"""What does not end in the router: ``test_outcomes_of_changes`` brings these about."""

WALK = [(row, scenario) for row in COMMANDS for scenario in SCENARIOS.get(row.name, ())]


def test_every_ending_of_a_command_is_brought_about() -> None:
    """A row without a scenario, or a scenario without a row, is a gap."""
    assert {row.name for row in COMMANDS} == SCENARIOS.keys() | OVER_GRPC
    assert not SCENARIOS.keys() & OVER_GRPC


@pytest.mark.parametrize(("row", "scenario"), WALK, ids=[f"{row.name}-{n}" for n, (row, _) in enumerate(WALK)])
async def test_what_a_caller_is_answered_is_what_the_charger_received(
    tmp_path: Path, autojump_clock: MockClock, row: RpcOutcome, scenario: Scenario
) -> None:
    """And what is recorded is the same, then and when all is well again; a repeat sends nothing a second time."""
    async with trio.open_nursery() as nursery:
        world = World(tmp_path, nursery)
        ask, sent = await scenario(world)
        answer = await ask.result()
        action = type(ask.command).__name__
        _check(row, answer)
        assert world.received(action) == sent
        assert sent == {Effect.NOTHING: 0, Effect.DONE: 1}.get(row.effect, sent)

        await world.heals()
        assert world.received(action) == sent, "what was answered has been overtaken"
        record = world.harness.store.command_by_request("CP1", ask.request_id)
        _check_record(row, answer, record)
        if world.charger is not None and row.then in (Then.SAME_ID, Then.NEW_ID, Then.NOTHING):
            again = await world.ask(ask.command, ask.request_id).result()
            assert world.received(action) <= 1
            if "command_id" in row.metadata and row.effect is Effect.NOTHING:
                assert world.received(action) == 0
                assert isinstance(again, Failure)
                assert again.status.value not in ("UNAVAILABLE", "ABORTED"), "it would be repeated for ever"
        nursery.cancel_scope.cancel()
    world.harness.store.close()


def _check(row: RpcOutcome, answer: CommandRecord | Failure) -> None:
    if row.status == "OK":
        assert isinstance(answer, CommandRecord)
        assert answer.state is CommandState.ANSWERED
        return
    assert isinstance(answer, Failure), answer
    assert (answer.status.value, answer.reason) == (row.status, row.reason), answer.message
    assert set(row.metadata) <= answer.metadata.keys()
    assert answer.metadata["request_id"] == "r1"
    if row.name != "request-id-reused":  # there it is the other command's
        assert ("command_id" in answer.metadata) is ("command_id" in row.metadata)
    if row.cause:
        assert answer.metadata["cause"] == row.cause
    if row.effect is Effect.MAYBE:
        assert (answer.status.value, answer.reason) == ("UNKNOWN", "OUTCOME_UNKNOWN")


def _check_record(row: RpcOutcome, answer: CommandRecord | Failure, record: CommandRecord | None) -> None:
    """An outcome that was not known may be known by now. What was known is the same, with its reason."""
    if row.name == "request-id-reused":
        return  # the record is another command's
    if isinstance(answer, CommandRecord):
        assert record == evolve(answer, arguments=record.arguments if record else None)
        return
    if "command_id" in answer.metadata and record is not None:
        assert record.state.final
        if row.effect is Effect.NOTHING:
            assert (record.state, record.reason) == (CommandState.NOT_SENT, answer.metadata["cause"])
        # A repeat whose deadline is over had joined before the end.
        joined = row.name == "deadline-of-a-repeat"
        if row.effect is Effect.MAYBE and record.state is CommandState.OUTCOME_UNKNOWN and not joined:
            assert record.reason == answer.metadata["cause"]
    if row.effect is Effect.NOTHING and "command_id" not in answer.metadata:
        assert record is None

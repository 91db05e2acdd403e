"""The way of commands and operations to a charge point that another node has.

A call is carried by the node that owns the session: it records before it sends. Where its answer does not come in time,
the node that asked records the command as not sent, guarded by its request id: if that is kept the owner can't send it
any more; and if it is not, what the owner recorded is the answer.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import structlog
import trio
from attrs import evolve

from gateway.bridge.bus import Bus, BusDown, NoResponder
from gateway.cluster import subjects, wire
from gateway.domain.codec import encode_command, fingerprint
from gateway.domain.command_states import CommandEvent, finished
from gateway.domain.commands import (
    CallOutcome,
    Command,
    CommandRecord,
    CommandState,
    FieldViolation,
    RefusalReason,
    Refused,
    Unknown,
    operation_of,
)
from gateway.domain.decision import RequestIdUnused
from gateway.domain.events import CommandNotSent, CommandQueued, NewEvent
from gateway.domain.operations import OperationRecord, OperationRefused, OperationRequest
from gateway.domain.values import Clock, new_id
from gateway.errors import StoreUnavailable
from gateway.session.commands.queue import reused
from gateway.session.ports import Journal
from gateway.session.router import ANSWER_SECONDS, Router
from gateway.store.commits import Append, Appended, Done, GuardFailed, Missing
from gateway.store.nodes import AskToDisconnect, NodeStore, OwnerRecord
from gateway.store.reads import Reads

T = TypeVar("T")

MARGIN: Final = 0.25
"""Seconds by which the owner's deadline is before the caller's, for the way back: a commit and two hops."""

ROUNDS: Final = 2
"""Looks for the owner: one that has just gone has had the charge point taken over, or ended."""

UNREACHABLE: Final = Refused(
    RefusalReason.NODE_UNREACHABLE, "the node that has the charge point can't be reached; nothing was sent"
)

log = structlog.get_logger()


class RoutedCommands:
    """The way to sessions of all nodes, as ``gateway.control.ports.Commands`` has it. Belongs to the Trio loop.

    What it says of sessions here is the router's. ``count``: counts calls by how they ended.
    """

    def __init__(
        self,
        router: Router,
        store: NodeStore,
        reads: Reads,
        journal: Journal,
        bus: Bus,
        clock: Clock,
        count: Callable[[str, str], None] = lambda what, label: None,
    ) -> None:
        self._router = router
        self._store = store
        self._reads = reads
        self._journal = journal
        self._bus = bus
        self._clock = clock
        self._count = count
        self._carrying = 0
        self._all_carried = trio.Event()
        self.live = router.live
        self.registration_changed = router.registration_changed
        self.minimum_profile_raised = router.minimum_profile_raised
        self.expel = router.expel
        self.transaction_closed = router.transaction_closed
        self.operation_begun = router.operation_begun

    @property
    def unsupported_codes(self) -> frozenset[str]:
        """As the router's."""
        return self._router.unsupported_codes

    @property
    def security_profiles(self) -> frozenset[int]:
        """As the router's."""
        return self._router.security_profiles

    def broken_by(self, command: Command) -> tuple[FieldViolation, ...]:
        """As of the router: nodes speak the same versions."""
        return self._router.broken_by(command)

    async def connected(self, identity: str) -> bool:
        """Return true if a node has a session of the charge point. Raises ``StoreUnavailable``."""
        return self._router.holds(identity) or await self._owner(identity) is not None

    async def elsewhere(self, identity: str) -> bool:
        """Return true if another node has a session of the charge point. Raises ``StoreUnavailable``."""
        return not self._router.holds(identity) and await self._owner(identity) is not None

    async def let_go(self, identity: str, caller: str) -> bool:
        """Have the session closed, wherever it is: within seconds, at another node. Raises ``StoreUnavailable``."""
        if self._router.disconnect(identity, caller=caller):
            return True
        return isinstance(await self._journal.commit(AskToDisconnect(identity, caller)), Done)

    async def _owner(self, identity: str) -> OwnerRecord | None:
        """The other node that has a session of the charge point. Raises ``StoreUnavailable``."""
        found = await self._reads.compute(self._store.owner, identity)
        return None if found is None or found.node == self._store.node else found

    # --- commands ---------------------------------------------------------------------------------------------

    async def commands_done(self) -> None:
        """Wait until every command and operation under way has its outcome, at this node or at another one; after the
        router's ``stop_commands`` that comes to an end. Cancelling is safe."""
        await self._router.commands_done()
        while self._carrying:
            await self._all_carried.wait()

    async def call(
        self,
        identity: str,
        command: Command,
        *,
        request_id: str,
        deadline: float,
        answer_by: float | None = None,
        caller: str = "",
    ) -> CallOutcome:
        """As ``Commands.call``."""
        until = deadline + ANSWER_SECONDS if answer_by is None else answer_by

        async def here() -> CallOutcome:
            return await self._router.call(
                identity, command, request_id=request_id, deadline=deadline, answer_by=answer_by, caller=caller
            )

        def message(owner: OwnerRecord, seconds: float) -> wire.Request:
            return wire.Call(identity, owner.epoch, request_id, seconds, caller, command)

        async def recorded() -> CallOutcome:
            record = await self._reads.command_by_request(identity, request_id)
            return _as_answered(record, request_id)

        async def unanswered() -> CallOutcome:
            return await self._bury(identity, command, request_id, caller)

        try:
            with trio.fail_at(until + MARGIN):
                outcome = await self._carried(identity, deadline, here, message, recorded, unanswered)
                if outcome is UNREACHABLE:
                    return await self._unreached(identity, command, request_id)
                assert isinstance(outcome, CommandRecord | Refused | Unknown), "the reply to a command"
                return outcome
        except trio.TooSlowError:
            reason, why = "deadline", "the store gave no answer before the deadline"
        except StoreUnavailable:
            reason, why = "store-unavailable", "the store can't be read or written"
        return Unknown(request_id, reason, f"{why}, so it is not known whether there is a command with this request_id")

    async def _carried(
        self,
        identity: str,
        deadline: float,
        here: Callable[[], Awaitable[T]],
        message: Callable[[OwnerRecord, float], wire.Request],
        recorded: Callable[[], Awaitable[T]],
        unanswered: Callable[[], Awaitable[T]],
    ) -> T | Refused | Unknown | OperationRefused:
        """Carry something to the node that has the session, this one or another. Raises ``StoreUnavailable``."""
        if self._router.draining:  # the node ends, wherever the session is: its callers ask at another one
            return await here()
        with self._under_way():
            for _ in range(ROUNDS):
                seconds = deadline - trio.current_time()
                owner = None if self._router.holds(identity) else await self._owner(identity)
                if owner is None or seconds <= 0:
                    return await here()
                to = subjects.node(self._reads.store_id, owner.node, owner.incarnation)
                request = message(owner, max(seconds - MARGIN, seconds / 2))
                try:
                    reply = wire.decode_reply(await self._bus.request(to, wire.encode_request(request), seconds))
                except NoResponder:
                    self._count("node_calls", "no-responder")
                    continue
                except BusDown:
                    self._count("node_calls", "bus-down")
                    return UNREACHABLE
                except (trio.TooSlowError, wire.Unreadable) as error:
                    self._count("node_calls", "unanswered")
                    log.warning("no answer of a node", node=owner.node, charge_point=identity, why=repr(error))
                    return await unanswered()
                match reply:
                    case wire.NotHere():
                        self._count("node_calls", "not-there")
                        continue
                    case wire.Recorded():
                        self._count("node_calls", "answered")
                        return await recorded()
                    case _:
                        self._count("node_calls", "answered")
                        return reply
            return UNREACHABLE

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        """Count what is carried, for ``commands_done``."""
        if not self._carrying:
            self._all_carried = trio.Event()
        self._carrying += 1
        try:
            yield
        finally:
            self._carrying -= 1
            if not self._carrying:
                self._all_carried.set()

    async def _unreached(self, identity: str, command: Command, request_id: str) -> CallOutcome:
        """Nothing was sent now; perhaps earlier, under the same request id."""
        earlier = await self._reads.command_by_request(identity, request_id)
        if earlier is None:
            return UNREACHABLE
        return self._existing(earlier, command)

    async def _bury(self, identity: str, command: Command, request_id: str, caller: str) -> CallOutcome:
        """Record the command as not sent, unless it is recorded already. Raises ``StoreUnavailable``."""
        command_id, operation, now = new_id("cmd"), operation_of(command), self._clock()
        record = CommandRecord(
            command_id=command_id,
            charge_point=identity,
            request_id=request_id,
            operation=operation,
            arguments=encode_command(command),
            state=CommandState.QUEUED,
            created_at=now,
            fingerprint=fingerprint(self._reads.store_id, command),
            caller=caller,
        )
        cause = f"command:{command_id}"
        queued = CommandQueued(command_id, operation, request_id, record.arguments, record.fingerprint, caller=caller)
        unsent = CommandNotSent(command_id, operation, CommandEvent.DEADLINE.value)
        events = (NewEvent(queued, now, cause=cause), NewEvent(unsent, now, cause=cause))
        result = await self._journal.commit(Append(identity, None, events, (RequestIdUnused(request_id),)))
        match result:
            case Appended():
                return finished(record, CommandState.NOT_SENT, CommandEvent.DEADLINE, now)
            case GuardFailed(existing=CommandRecord() as existing):
                return self._existing(existing, command)
            case Missing():
                return Refused(RefusalReason.UNKNOWN_CHARGE_POINT, f"there is no charge point {identity}")
            case _:
                raise AssertionError(f"{result} is no answer to an append without an epoch")

    def _existing(self, existing: CommandRecord, command: Command) -> CallOutcome:
        """The outcome that is recorded of a request: the owner's, which may be at it."""
        if existing.fingerprint != fingerprint(self._reads.store_id, command):
            return reused(existing)
        return _as_answered(existing, existing.request_id)

    # --- operations -------------------------------------------------------------------------------------------

    async def operate(
        self, identity: str, request: OperationRequest, request_id: str, seconds: float, caller: str = ""
    ) -> OperationRecord | OperationRefused | Refused | Unknown | None:
        """As ``Commands.operate``."""

        async def here() -> OperationRecord | OperationRefused | Refused | Unknown | None:
            return await self._router.operate(identity, request, request_id, seconds, caller)

        def message(owner: OwnerRecord, left: float) -> wire.Request:
            return wire.Operate(identity, owner.epoch, request_id, left, caller, request)

        async def recorded() -> OperationRecord | None:
            found = await self._reads.operation_by_request(identity, request_id)
            return found if found is not None and found.request == request else None

        async def unanswered() -> OperationRecord | Unknown | None:
            found = await self._reads.operation_by_request(identity, request_id)
            if found is not None:
                return found if found.request == request else None
            return Unknown(request_id, "deadline", "the node that has the charge point gave no answer in time")

        try:
            return await self._carried(identity, trio.current_time() + seconds, here, message, recorded, unanswered)
        except StoreUnavailable:
            return Unknown(request_id, "store-unavailable", "the store can't be read or written")


def _as_answered(record: CommandRecord | None, request_id: str) -> CallOutcome:
    """A recorded command as its caller is answered by now."""
    if record is None:
        return Unknown(request_id, "store-unavailable", "the store has lost it")
    return record if record.state.final else evolve(record, state=CommandState.OUTCOME_UNKNOWN, reason="deadline")

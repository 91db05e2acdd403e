"""Refusals of commands: why a request may not be begun, and what it is answered then.

No refusal comes without a look for an earlier request with the same id: where there is one, its outcome is the answer,
whatever would be refused by now.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import trio
from attrs import evolve, frozen

from gateway.domain.command_states import finished, settled
from gateway.domain.commands import (
    CallOutcome,
    Command,
    CommandRecord,
    CommandState,
    FieldViolation,
    RefusalReason,
    Refused,
    Unknown,
)
from gateway.ocpp.protocol import ProtocolVersion
from gateway.session.commands.queue import reused
from gateway.session.context import UnrecordedEnd
from gateway.session.session import Session
from gateway.store.reads import Reads

T = TypeVar("T")

NOT_CONNECTED = Refused(RefusalReason.CHARGE_POINT_OFFLINE, "the charge point is not connected; nothing was sent")


@frozen
class Wanted:
    """A call, with its command's fingerprint; times are Trio's."""

    identity: str
    command: Command
    request_id: str
    fingerprint: str
    deadline: float
    answer_by: float


class CommandRefusals:
    """The refusals of all charge points' commands. Belongs to the Trio loop.

    ``unrecorded``: the router's, of sessions that are over; ``wall``: the wall clock's time of one of Trio's.
    """

    def __init__(
        self,
        reads: Reads,
        protocols: Sequence[ProtocolVersion],
        unrecorded: Mapping[str, UnrecordedEnd],
        wall: Callable[[float], datetime],
    ) -> None:
        self._reads = reads
        self._protocols = protocols
        self._unrecorded = unrecorded
        self._wall = wall

    async def looked_up(self, wanted: Wanted, refusal: Refused, session: Session | None) -> CallOutcome | None:
        """Return the outcome of a request that may not be begun: an earlier one's, if there is one, or the refusal.
        None: an earlier one is under way. Raises ``StoreUnavailable`` and ``TooSlowError``."""
        earlier = await self._in_time(wanted, self._reads.command_by_request(wanted.identity, wanted.request_id))
        left = self._unrecorded.get(wanted.identity)
        if earlier is None:
            if left is not None and wanted.request_id in left.doubtful:
                return Unknown(wanted.request_id, left.commands.value, "the store failed while it was to be recorded")
            return await self._refused(refusal, wanted, session)
        if not hmac.compare_digest(earlier.fingerprint, wanted.fingerprint):
            return reused(earlier)
        if earlier.state.final:
            return earlier
        return None if left is None else _abandoned(earlier, left)

    def why_nothing_new(self, wanted: Wanted, session: Session | None, *, draining: bool) -> Refused | None:
        """Return why a request may not be begun now, whether or not there is an earlier one; None: it may."""
        check = self.broken_by if session is None else session.protocol.check
        violations = check(wanted.command)
        if violations:
            return Refused(RefusalReason.INVALID_COMMAND, "the command can't be sent as it is", violations)
        if draining:
            return Refused(RefusalReason.DRAINING, "the gateway is stopping; nothing was sent")
        if wanted.deadline < trio.current_time():
            return Refused(RefusalReason.NOT_SENT, "the deadline leaves no time to send anything; nothing was sent")
        return None

    def broken_by(self, command: Command) -> tuple[FieldViolation, ...]:
        """Return the violations of a command where there is no session, and so the version is not known: only what
        breaks the rules of every version is wrong, by the preferred one."""
        found = [protocol.check(command) for protocol in self._protocols]
        return found[0] if all(found) else ()

    async def _in_time(self, wanted: Wanted, reading: Awaitable[T]) -> T:
        with trio.fail_at(wanted.answer_by):
            return await reading

    async def _refused(self, refusal: Refused, wanted: Wanted, session: Session | None) -> Refused:
        """The refusal of a request that is new; of a charge point that isn't connected, with when it was last heard."""
        if refusal is not NOT_CONNECTED:
            if session is not None and refusal.reason is RefusalReason.CHARGE_POINT_OFFLINE:
                return evolve(refusal, metadata={"last_seen": self._wall(session.last_heard).isoformat()})
            return refusal
        identity = wanted.identity
        record = await self._in_time(wanted, self._reads.charge_point(identity))
        if record is None:
            return Refused(RefusalReason.UNKNOWN_CHARGE_POINT, f"there is no charge point {identity}")
        heard = record.connection.last_heard
        return Refused(
            RefusalReason.CHARGE_POINT_OFFLINE,
            f"charge point {identity} is not connected",
            metadata={"last_seen": heard.isoformat() if heard is not None else "never"},
        )


def _abandoned(record: CommandRecord, left: UnrecordedEnd) -> CommandRecord:
    """The command of a session that is over and could not record its end, as its caller was answered."""
    furthest = CommandState.SENT if record.request_id in left.doubtful else record.state
    state = settled(record.state, furthest, left.commands)
    assert state is not None, "it is recorded"
    return finished(record, state, left.commands)

"""The router: from an identity to the session that owns it in this process, and the way of commands to it.

The store decides about ownership, by epochs; the router only follows: the highest epoch is the owner, and the session
that it displaces is asked to end. It is the one implementation of ``call`` now; another will forward to other nodes.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
import trio
from attrs import define, field

from gateway.domain.codec import fingerprint
from gateway.domain.commands import (
    CallOutcome,
    Command,
    FieldViolation,
    RefusalReason,
    Refused,
    Unknown,
)
from gateway.domain.events import ChargePointConnected, NewEvent
from gateway.domain.operations import OperationRecord, OperationRefused, OperationRequest
from gateway.domain.records import LiveSession
from gateway.domain.values import Clock, Registration
from gateway.errors import StoreUnavailable
from gateway.ocpp.protocol import ProtocolVersion
from gateway.session.closing_pace import AT_ONCE, end_paced
from gateway.session.context import UnrecordedEnd
from gateway.session.refusals import NOT_CONNECTED, CommandRefusals, Wanted
from gateway.session.session import Session
from gateway.store.commits import OpenSession
from gateway.store.reads import Reads

T = TypeVar("T")

log = structlog.get_logger()

ANSWER_SECONDS = 0.125
"""After its deadline a command is settled by commits; a caller waits so much longer for them. Half of the margin that
the control interface keeps, so that its answer arrives in time."""


PROFILE_TOO_LOW = "security-profile-too-low"
"""Why a connection ends whose charge point is let in only with a higher security profile."""

HAND_OVER_SECONDS = 1.0
"""For an older connection to have what came on it decided, committed and answered, before a newer one takes its place.
That takes some milliseconds, and on a bad cloud volume some hundred. A charger that comes anew has lost its link and
waits for its Boot.conf, 30 s or so, so that a second is nothing to it; and a link that takes no answer, a flooder's
backlog or a disk that hangs must not keep it out for longer."""


@define(eq=False)
class Arrival:
    """A connection that is being opened: what the operator does meanwhile, which the opened state may not show."""

    registration: Registration | None = None
    expelled: bool = False
    minimum_profile: int = 0
    closed: list[NewEvent] = field(factory=list)
    """Ends of transactions, and the course of a signing. As many as come in the time that an opening takes."""
    takes_over: Session | None = None
    """The session that has handed over to it, and does nothing more."""
    over: trio.Event = field(factory=trio.Event)
    """Set when its session is installed, or there will be none."""


class Router:
    """The live sessions of this process. Belongs to the Trio loop."""

    def __init__(
        self,
        reads: Reads,
        clock: Clock,
        protocols: Collection[ProtocolVersion],
        security_profiles: frozenset[int] = frozenset({2, 3}),
    ) -> None:
        """``protocols``: the versions of OCPP that chargers may negotiate, the preferred one first; at least one.
        ``security_profiles``: those that listeners let in."""
        self.security_profiles = security_profiles
        self._reads = reads
        self._clock = clock
        self._protocols = tuple(protocols)
        self._sessions: dict[str, Session] = {}
        self._arrivals: dict[str, list[Arrival]] = {}
        self._unrecorded: dict[str, UnrecordedEnd] = {}
        """Of sessions that are over. At most as many as were connected when the store failed: while it fails, no
        charger is let in."""
        self._refusals = CommandRefusals(reads, self._protocols, self._unrecorded, self._wall)
        self._draining = False
        self._emptied: trio.Event | None = None

    @property
    def unsupported_codes(self) -> frozenset[str]:
        """Error codes by which a charger, of whatever version, says that it does not know an operation."""
        return frozenset[str]().union(*(protocol.errors.unsupported for protocol in self._protocols))

    def __len__(self) -> int:
        return len(self._sessions)

    @contextmanager
    def arriving(self, identity: str) -> Iterator[Arrival]:
        """While a connection is opened in the store and until its session is installed."""
        arrival = Arrival()
        self._arrivals.setdefault(identity, []).append(arrival)
        try:
            yield arrival
        finally:
            present = self._arrivals[identity]
            present.remove(arrival)
            if not present:
                del self._arrivals[identity]
            arrival.over.set()
            left = arrival.takes_over
            if left is not None and self._sessions.get(identity) is left:
                # The newer one could not be opened, for want of the store; and the older one is not read any more.
                left.end("store-unavailable", code=1011)
            self._left()

    async def hand_over(self, identity: str, arrival: Arrival) -> None:
        """Before the arriving connection is opened: wait until those that came before it are, and until the session
        that it displaces has dealt with what the charger had said to it. ``HAND_OVER_SECONDS`` at most; what is not
        dealt with by then is refused by its epoch, and the charger repeats it.

        So each of many that come at once displaces the one before it, and none waits for longer.
        """
        if self._arrivals[identity][0] is arrival and identity not in self._sessions:
            return
        with trio.move_on_after(HAND_OVER_SECONDS):
            while (first := self._arrivals[identity][0]) is not arrival:
                await first.over.wait()
            session = arrival.takes_over = self._sessions.get(identity)
            if session is not None:
                await session.hand_over()

    def holds(self, identity: str) -> bool:
        """Return true if this process will record the end of the charge point's connection: by a session, or soon."""
        return identity in self._sessions or identity in self._arrivals

    def install(self, identity: str, session: Session) -> bool:
        """Make a session the owner, if none with a higher epoch has come before it. The displaced one is ended, and
        so is one that comes when all are being ended.

        No await between the look and the change: two newcomers are served in either order and end the same.
        """
        present = self._sessions.get(identity)
        if present is not None:
            if present.epoch > session.epoch:
                return False
            present.end("replaced", code=1008)
        self._sessions[identity] = session
        self._unrecorded.pop(identity, None)  # its opening has settled that
        if self._draining:
            session.end("draining", code=1001)
        return True

    def remove(self, identity: str, session: Session) -> None:
        """A session is over. Removes it only if it still is the owner (A6.8)."""
        if session.unrecorded is not None and self._sessions.get(identity) is session:
            self._unrecorded[identity] = session.unrecorded
        if self._sessions.get(identity) is session:
            del self._sessions[identity]
            self._left()

    def _left(self) -> None:
        if self._emptied is not None and not self._sessions and not self._arrivals:
            self._emptied.set()

    def sessions(self) -> tuple[Session, ...]:
        """All of them, as they are now. Also for other threads."""
        return tuple(self._sessions.values())

    def owned(self) -> tuple[tuple[str, Session], ...]:
        """The same with the identities of their charge points."""
        return tuple(self._sessions.items())

    def session(self, identity: str) -> Session | None:
        """The session that owns the charge point in this process, or None."""
        return self._sessions.get(identity)

    def live(self, identity: str) -> LiveSession | None:
        """The live connection, or None."""
        session = self._sessions.get(identity)
        if session is None:
            return None
        return LiveSession(session.epoch, self._wall(session.last_heard), session.charging, session.latest)

    def heard(self) -> Iterator[tuple[str, datetime]]:
        """Yield when each live session was last heard, as of when it is asked for; a caller may wait in between."""
        for identity in tuple(self._sessions):
            session = self._sessions.get(identity)
            if session is not None:
                yield identity, self._wall(session.last_heard)

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
        """Carry a command to a charge point: the finished record, or why there is none.

        ``deadline`` in Trio's time; one that has passed begins no new command. Returns by ``answer_by``, by default a
        little after the deadline. The same ``request_id`` again gives the first outcome and sends nothing, whatever
        would be refused by now: no refusal comes without a look for it, and where that can't be, the outcome is
        ``Unknown``. Cancelling ends the waiting, not the command.
        """
        try:
            wanted = Wanted(
                identity,
                command,
                request_id,
                fingerprint(self._reads.store_id, command),
                deadline,
                deadline + ANSWER_SECONDS if answer_by is None else answer_by,
            )
            for _ in range(2):
                # In the second round a command that was begun since the first is joined; or its session is over by
                # then, and the store has its end.
                session = self._sessions.get(identity)
                refused = self._refusals.why_nothing_new(wanted, session, draining=self._draining)
                if session is None:
                    outcome: CallOutcome | None = refused or NOT_CONNECTED
                else:
                    outcome = await session.commands.submit(
                        command,
                        request_id=request_id,
                        fingerprint=wanted.fingerprint,
                        deadline=deadline,
                        answer_by=wanted.answer_by,
                        refused=refused,
                        caller=caller,
                    )
                if isinstance(outcome, Refused) and outcome.reason is not RefusalReason.REQUEST_ID_REUSED:
                    outcome = await self._refusals.looked_up(wanted, outcome, session)
                if outcome is not None:
                    return outcome
            return Unknown(request_id, "disconnected", "the command's session has ended")
        except trio.TooSlowError:
            reason, why = "deadline", "the store gave no answer before the deadline"
        except StoreUnavailable:
            reason, why = "store-unavailable", "the store can't be read"
        return Unknown(request_id, reason, f"{why}, so it is not known whether there is a command with this request_id")

    def opening(self, identity: str, connected: ChargePointConnected, at: datetime) -> OpenSession:
        """The write that opens a connection. It records the end of the one before, where that is not recorded, as
        callers of its commands were answered."""
        left = self._unrecorded.get(identity)
        if left is None:
            return OpenSession(identity, connected, at)
        return OpenSession(identity, connected, at, left.reason, left.commands)

    def unrecorded(self, identity: str) -> UnrecordedEnd | None:
        """Return the end of the charge point's last session here, where that is not recorded."""
        return self._unrecorded.get(identity)

    def is_recorded(self, identity: str, unrecorded: UnrecordedEnd | None) -> None:
        """Note that the end is recorded now."""
        if unrecorded is not None and self._unrecorded.get(identity) is unrecorded:
            del self._unrecorded[identity]

    async def operate(
        self, identity: str, request: OperationRequest, request_id: str, seconds: float, caller: str = ""
    ) -> OperationRecord | OperationRefused | Refused | Unknown | None:
        """Begin an operation on charging: its record, which is on disk, or why there is none; None: another one has the
        request id. It is not sent later than in ``seconds``. Cancelling only ends the waiting."""
        if self._draining:
            return Refused(RefusalReason.DRAINING, "the gateway is stopping; nothing was begun")
        session = self._sessions.get(identity)
        return (
            NOT_CONNECTED if session is None else await session.operations.begin(request, request_id, seconds, caller)
        )

    def operation_begun(self, identity: str) -> None:
        """An operation that changes what is wanted is committed; a live session follows it."""
        session = self._sessions.get(identity)
        if session is not None:
            session.operations.wake()

    # --- the operator's hand ----------------------------------------------------------------------------------

    def disconnect(self, identity: str, reason: str = "disconnected-by-operator", caller: str = "") -> bool:
        """End a charge point's session here. False: it has none."""
        session = self._sessions.get(identity)
        if session is not None:
            session.end(reason, code=1000, caller=caller)
        return session is not None

    def expel(self, identity: str) -> None:
        """The charge point was deleted."""
        for arrival in self._arrivals.get(identity, ()):
            arrival.expelled = True
        session = self._sessions.get(identity)
        if session is not None:
            session.end("deleted", code=1008)

    def minimum_profile_raised(self, identity: str, profile: int) -> None:
        """The charge point is let in only with this security profile or a higher one: a session below it ends."""
        for arrival in self._arrivals.get(identity, ()):
            arrival.minimum_profile = profile
        session = self._sessions.get(identity)
        if session is not None and session.entry.security_profile < profile:
            session.end(PROFILE_TOO_LOW, code=1008)

    def broken_by(self, command: Command) -> tuple[FieldViolation, ...]:
        """Violations of a command by the rules of every version that chargers may speak; empty: one takes it."""
        return self._refusals.broken_by(command)

    def registration_changed(self, identity: str, registration: Registration) -> None:
        """The operator decided anew, and it is committed; the session, if there is one, follows."""
        for arrival in self._arrivals.get(identity, ()):
            arrival.registration = registration
        session = self._sessions.get(identity)
        if session is not None:
            session.registration_changed(registration)

    def changed(self, identity: str, events: Sequence[tuple[NewEvent, int]]) -> None:
        """Events of a charge point are committed past its session, with these sequences (0: of no use); the session,
        if there is one, follows."""
        for arrival in self._arrivals.get(identity, ()):
            arrival.closed.extend(event for event, _ in events)
        session = self._sessions.get(identity)
        if session is not None:
            session.changed(events)

    def transaction_closed(self, identity: str, closed: NewEvent) -> None:
        """The operator closed a transaction, and it is committed."""
        self.changed(identity, ((closed, 0),))

    def signing_changed(self, identity: str, event: NewEvent) -> None:
        """The charge point's request to certify a key has got further, and it is committed."""
        self.changed(identity, ((event, 0),))

    async def connected(self, identity: str) -> bool:
        """Return true if the charge point has a session here. Never waits."""
        return identity in self._sessions

    async def let_go(self, identity: str, caller: str) -> bool:
        """As ``disconnect``, by a caller's wish. Never waits."""
        return self.disconnect(identity, caller=caller)

    # --- all of them ------------------------------------------------------------------------------------------

    def stop_commands(self) -> None:
        """From now on no new command is taken."""
        self._draining = True

    @property
    def draining(self) -> bool:
        """True from ``stop_commands`` on."""
        return self._draining

    async def commands_done(self) -> None:
        """Wait until every command under way has its outcome; after ``stop_commands`` that comes to an end."""
        for sessions in self._in_steps():
            for session in sessions:
                await session.commands.all_done()
            await trio.lowlevel.checkpoint()

    async def end_all(self, reason: str, code: int) -> None:
        """End every session as soon as can be: nothing can be promised any more."""
        for sessions in self._in_steps():
            for session in sessions:
                session.end(reason, code=code)
            await trio.lowlevel.checkpoint()

    async def drain(self, per_second: float, deadline: float, jitter: float = 0.0) -> None:
        """End every session and wait for them until ``deadline`` (Trio's time); what is left then is the caller's to
        cancel. ``per_second`` of them at most, so that they don't come back all at once, or as many more as it takes
        to be through in time, idle ones first; ``jitter``: the part of the time between two by which each is late."""
        self._draining = True
        with trio.move_on_at(deadline):
            await end_paced(self._sessions.values(), per_second, deadline, jitter)
            if self._sessions or self._arrivals:
                self._emptied = trio.Event()
                await self._emptied.wait()

    def idle_and_charging(self) -> tuple[int, int]:
        """The number of sessions without a transaction, and with one. Also for other threads."""
        sessions = self.sessions()
        charging = sum(session.in_transaction for session in sessions)
        return len(sessions) - charging, charging

    def _in_steps(self) -> Iterator[tuple[Session, ...]]:
        """All sessions there are now, so many at a time as may be looked at between two checkpoints."""
        sessions = tuple(self._sessions.values())
        for first in range(0, len(sessions), AT_ONCE):
            yield sessions[first : first + AT_ONCE]

    def _wall(self, trio_time: float) -> datetime:
        return self._clock() - timedelta(seconds=trio.current_time() - trio_time)

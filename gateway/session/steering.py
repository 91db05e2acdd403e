"""Steering of one connected charge point: changes of what is wanted of its connectors, as its session commits them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from gateway.charging.wishes import DecidedChange, WantedRequest, decided, fingerprint
from gateway.domain.commands import RefusalReason, Refused
from gateway.domain.decision import Guard, OperationUnused, SteeringRequestUnused
from gateway.domain.events import NewEvent, OperationAccepted, WantedChanged
from gateway.domain.state import ChargePointState
from gateway.domain.steering import ChangedWanted, Wanted
from gateway.domain.values import ConnectorAddress
from gateway.ocpp.protocol import ProtocolVersion
from gateway.session.commands.queue import CommandQueue
from gateway.session.context import SessionContext
from gateway.session.phase_counts import phases_for_amperes
from gateway.session.readiness import Readiness
from gateway.session.reconciler import Reconciler
from gateway.session.steering_pace import SteeringPace
from gateway.session.task_group import TaskGroup
from gateway.store.commits import Appended, GuardFailed

MAX_TRIES: Final = 4
"""How often a change is decided anew because another one has come before it."""

CONTESTED = Refused(RefusalReason.STORE_UNAVAILABLE, "others change the same at once; nothing was changed")


class SessionSteering:
    """The wanted states of one session's charge point."""

    __slots__ = ("_commands", "_context", "_pace", "_readiness", "_reconciler", "_tasks")

    def __init__(
        self,
        context: SessionContext,
        tasks: TaskGroup,
        commands: CommandQueue,
        readiness: Readiness,
        pace: SteeringPace,
    ) -> None:
        self._context = context
        self._tasks = tasks
        self._commands = commands
        self._readiness = readiness
        self._pace = pace
        self._reconciler: Reconciler | None = None

    def start(self) -> None:
        """The session begins: bring what is wanted onto the charger, in its turn, if something is wanted."""
        self._begin()
        if self._reconciler is not None:
            self._reconciler.take_turns()

    def _begin(self) -> None:
        context = self._context
        if self._reconciler is None and context.state.wanted and self._tasks.open:
            self._reconciler = Reconciler(context, self._commands, self._readiness, self._pace)
            context.on_events, context.on_boot = self._reconciler.notice, self._reconciler.booted
            self._tasks.start(self._reconciler.run)

    def changed(self, events: tuple[NewEvent, ...]) -> None:
        """Take note of what was committed, and applied to the state, past the session."""
        self._begin()
        if self._reconciler is not None:
            self._reconciler.notice(events)

    def cease(self) -> None:
        """The session is over."""
        self._context.on_events = self._context.on_boot = self._reconciler = None

    @property
    def wanted(self) -> Mapping[ConnectorAddress, Wanted]:
        """The present wanted state of each connector."""
        return self._context.state.wanted

    async def change(self, request: WantedRequest, also: tuple[NewEvent, ...] = ()) -> ChangedWanted | Refused:
        """Commit a change of what is wanted of a connector, or why there is none. ``also``: events that are recorded
        with it. Raises ``SessionOver``. Cancelling withdraws nothing."""
        context = self._context
        for _ in range(MAX_TRIES):
            change = decide(context.state, request, context.protocol, context.clock())
            if isinstance(change, Refused):
                return change
            result = await context.commit((change.event, *also), (*change.guards, *unused(also)))
            if isinstance(result, Appended):
                self._begin()
                return made(change)
            refused = answered(result, request)
            if refused is not None:
                return refused
        return CONTESTED


def decide(
    state: ChargePointState, request: WantedRequest, protocol: ProtocolVersion, now: datetime
) -> DecidedChange | Refused:
    """Return the change that a request makes of a charge point's state, or why it makes none."""
    abilities = protocol.charging_abilities(state.configuration)
    phases = phases_for_amperes(state, request.connector, abilities, now)
    change = decided(state, request, now, connectors=abilities.connectors, phases=phases)
    if isinstance(change, DecidedChange):
        return change
    return Refused(RefusalReason.INVALID_COMMAND, "the wanted state can't be as it is", change)


def unused(also: tuple[NewEvent, ...]) -> tuple[Guard, ...]:
    """Return the guards of operations that begin with a change: no other one has begun under their request ids, of
    whatever kind."""
    bodies = (each.body for each in also)
    return tuple(OperationUnused(body.request_id) for body in bodies if isinstance(body, OperationAccepted))


def made(change: DecidedChange) -> ChangedWanted:
    """Return the answer to the request whose change is on disk."""
    body = change.event.body
    assert isinstance(body, WantedChanged)
    wanted = body.wanted
    return ChangedWanted(body.request_id, body.fingerprint, wanted.connector, wanted.revision, change.event.received_at)


def answered(failed: GuardFailed, request: WantedRequest) -> ChangedWanted | Refused | None:
    """Return the answer to a request that is a repeated one, or has another one's id. None: it is to be decided anew,
    for what it rests on has changed."""
    if isinstance(failed.guard, OperationUnused):
        message = f"request_id {failed.guard.request_id} was used for another operation of this charge point"
        return Refused(RefusalReason.REQUEST_ID_REUSED, message)
    if not isinstance(failed.guard, SteeringRequestUnused):
        return None
    assert failed.changed is not None, "the guard that failed is the request id's"
    return repeated(failed.changed, request)


def repeated(earlier: ChangedWanted, request: WantedRequest) -> ChangedWanted | Refused:
    """Return the answer to a request whose id was used earlier."""
    if earlier.fingerprint == fingerprint(request):
        return earlier
    return Refused(
        RefusalReason.REQUEST_ID_REUSED,
        f"request_id {request.request_id} was used for another change of this charge point",
    )

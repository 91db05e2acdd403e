"""Operations of one session that change how its charger is let in: a step at a time, each committed before the next.

The tables (``gateway.security``) say what is next. A key is made when it is sent and is in memory until it is answered;
what is kept of it is a verifier (``gateway.session.commands.key_rotation``).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

import trio

from gateway.domain.codec import fingerprint
from gateway.domain.commands import Command, Refused
from gateway.domain.credentials import generate_key
from gateway.domain.events import NewEvent
from gateway.domain.operations import OpenOperation, OperationKind, OperationRequest, own_request_id
from gateway.domain.records import CredentialKind
from gateway.domain.transactions import in_use
from gateway.security import rotation, upgrade
from gateway.security.maintenance import SEND_WAIT
from gateway.security.rotation import RETRY, ROTATION_WAIT
from gateway.security.steps import Connection, Entry, SecurityStep, ToSend
from gateway.security.upgrade import UPGRADE_WAIT
from gateway.session.commands.queue import CommandQueue
from gateway.session.context import SessionContext
from gateway.session.task_group import TaskGroup

LONGEST: Final[Mapping[OperationKind, timedelta]] = MappingProxyType(
    {OperationKind.ROTATE_AUTHORIZATION_KEY: ROTATION_WAIT, OperationKind.UPGRADE_SECURITY_PROFILE: UPGRADE_WAIT}
)
"""For how long each kind is followed, whatever its caller's deadline."""

ANSWER_SECONDS = 1.0
"""After its deadline a command is settled by commits; its task waits so much longer for them."""


class SecurityOperations:
    """Belongs to the session's ``Operations``, which looks after it."""

    __slots__ = ("_commands", "_context", "_entry", "_held", "_sending", "_tasks")

    def __init__(self, context: SessionContext, tasks: TaskGroup, commands: CommandQueue, entry: Entry) -> None:
        self._context = context
        self._tasks = tasks
        self._commands = commands
        self._entry = entry
        self._sending: set[str] = set()
        """Operations whose command is on its way; of at most ``operations.MAX_OPEN``, as the next."""
        self._held: dict[str, datetime] = {}
        """Operations whose command could not be begun, with the time of the next try."""

    def first_command(self, request: OperationRequest) -> Command | None:
        """A command as it begins with, to be held against what the charger can be sent. None: the version has none."""
        if request.kind is OperationKind.UPGRADE_SECURITY_PROFILE:
            return self._context.protocol.own_requests.security_profile(upgrade.target_of(request))
        return self._context.protocol.own_requests.authorization_key(generate_key())

    def _step(self, operation: OpenOperation, now: datetime) -> SecurityStep:
        read, state = self._context.protocol.own_requests.answer_in, self._context.state
        connection = Connection(self._entry, state.booted_at, in_use(state))
        if operation.record.request.kind is OperationKind.ROTATE_AUTHORIZATION_KEY:
            return rotation.step(operation, connection, now, read)
        return upgrade.step(operation, connection, now, read)

    async def look(self, operation: OpenOperation, now: datetime) -> datetime | None:
        """Take it as far as it goes; the time of the next look at the latest. Raises SessionOver."""
        operation_id = operation.record.operation_id
        found = self._step(operation, now)
        if found.events:
            self._held.pop(operation_id, None)
            cause = f"command:{operation.commands[-1].command_id}" if operation.commands else ""
            await self._context.commit(tuple(NewEvent(body, now, cause=cause) for body in found.events))
            return None
        if found.send is None or operation_id in self._sending:
            return found.due
        held = self._held.get(operation_id)
        if held is not None and now < held:
            return min(held, operation.record.expires_at)
        command = self._made(found.send, operation)
        if command is not None:
            self._sending.add(operation_id)
            self._tasks.start(self._send, operation, command, found.send is ToSend.RESET)
        return found.due

    def _made(self, to_send: ToSend, operation: OpenOperation) -> Command | None:
        requests = self._context.protocol.own_requests
        match to_send:
            case ToSend.KEY:
                return requests.authorization_key(generate_key())
            case ToSend.PROFILE:
                return requests.security_profile(upgrade.target_of(operation.record.request))
            case ToSend.RESET:
                return requests.restart()

    async def _send(self, operation: OpenOperation, command: Command, is_reset: bool) -> None:
        """Send a command of the operation. Its outcome is an event; one that can't be begun is tried again later."""
        context, record = self._context, operation.record
        try:
            now = context.clock()
            send_by = min(record.expires_at, now + SEND_WAIT) if is_reset else record.expires_at
            seconds = (send_by - now).total_seconds()
            deadline = trio.current_time() + seconds
            outcome = await self._commands.submit(
                command,
                request_id=own_request_id(record.operation_id, len(operation.commands) + 1),
                fingerprint=fingerprint(context.reads.store_id, command),
                deadline=deadline,
                answer_by=deadline + ANSWER_SECONDS,
                key_kind=CredentialKind.GENERATED,
                caller=record.caller,
                operation_id=record.operation_id,
                spares_transactions=is_reset and not record.request.insist,
            )
            if isinstance(outcome, Refused):
                self._held[record.operation_id] = context.clock() + RETRY
        finally:
            self._sending.discard(record.operation_id)
            if context.progress is not None:
                context.progress.set()

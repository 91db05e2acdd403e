"""Events of a command, from its queue to its outcome; ``gateway.domain.command_states`` says which follows which."""

from typing import ClassVar, TypeAlias

from attrs import field, frozen

from gateway.domain.commands import Answer, ChargerError
from gateway.domain.values import JSON, ConnectorAddress


@frozen
class CommandQueued:
    """A command exists. ``arguments`` is the operation as JSON with secrets redacted."""

    TYPE: ClassVar[str] = "command.queued"
    VERSION: ClassVar[int] = 1
    command_id: str
    operation: str
    request_id: str
    arguments: JSON
    fingerprint: str = field(default="", repr=False)
    caller: str = ""
    """The caller of the control interface; empty: it had no name, as in older events, or the gateway itself asked."""
    operation_id: str = ""
    """The operation that it carries out; empty: it was asked for as a command."""


@frozen
class CommandSent:
    """Committed before the CALL is written."""

    TYPE: ClassVar[str] = "command.sent"
    VERSION: ClassVar[int] = 1
    command_id: str
    operation: str
    ocpp_request_id: int | None = None
    """OCPP's ``requestId``, by which the charger's statuses name the command; None: it has none."""


@frozen
class CommandAnswered:
    """The charger confirmed (``answer``) or answered CALLERROR (``error``). ``late``: after its caller was answered
    that the outcome is unknown."""

    TYPE: ClassVar[str] = "command.answered"
    VERSION: ClassVar[int] = 1
    command_id: str
    operation: str
    answer: Answer | None = None
    error: ChargerError | None = None
    late: bool = False


@frozen
class CommandNotSent:
    TYPE: ClassVar[str] = "command.not_sent"
    VERSION: ClassVar[int] = 1
    command_id: str
    operation: str
    reason: str


@frozen
class CommandOutcomeUnknown:
    TYPE: ClassVar[str] = "command.outcome_unknown"
    VERSION: ClassVar[int] = 1
    command_id: str
    operation: str
    reason: str


@frozen
class RemoteStartExpired:
    """No transaction has come of a remote start that was sent, and its time is over; once for each such start."""

    TYPE: ClassVar[str] = "remote_start.expired"
    VERSION: ClassVar[int] = 1
    command_id: str
    id_tag: str
    connector: ConnectorAddress
    """(0, 0): the charger was to choose one."""
    accepted: bool
    """Whether the charger had accepted it; else its answer never came, or could not be read."""


Body: TypeAlias = (
    CommandQueued | CommandSent | CommandAnswered | CommandNotSent | CommandOutcomeUnknown | RemoteStartExpired
)

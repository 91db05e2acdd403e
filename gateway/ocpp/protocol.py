"""Interface of a version of OCPP: one object per negotiated subprotocol, and all that a session knows of it."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, Protocol

from attrs import frozen

from gateway.domain.commands import Answer, ChargerError, Command, FieldViolation
from gateway.domain.decision import CallRefused, Context, Decision, Facts, Query, Request
from gateway.domain.key_answers import KeyAnswer
from gateway.domain.readings import Sample
from gateway.domain.state import ChargePointState
from gateway.domain.steering import ChargingAbilities
from gateway.domain.values import JSON, ConnectorAddress


class Access(IntEnum):
    """Extent to which a charge point may be sent commands, as far as its registration goes."""

    NONE = 0
    RESTRICTED = 1
    FULL = 2


@frozen
class ErrorCodes:
    """A version's CALLERROR codes by what they are sent, or received, for."""

    malformed: str
    """A CALL that is read but not formed as one."""
    unread: str
    """A CALL that can't be read, e.g. because it is cut off or beyond the bounds."""
    not_accepted: str
    """A message that a charge point may not send before it is accepted."""
    failed: str
    """A failure of the gateway."""
    unsupported: frozenset[str]
    """Those by which a charger says that it does not know the operation."""


@frozen
class ReadAnswer:
    """A charger's confirmation as read, and the names of the repairs that took, for counting by make and firmware."""

    answer: Answer | ChargerError
    deviations: tuple[str, ...] = ()


class OwnRequests(Protocol):
    """The commands by which the gateway, of its own accord, asks a charge point of this version for something. None
    where the version, or the gateway's reading of it, has no such command. Pure."""

    @property
    def taken(self) -> frozenset[str]:
        """Statuses by which a charger answers that it has taken a setting, if only from its next boot on."""
        ...

    @property
    def refused(self) -> frozenset[str]:
        """Statuses by which it answers that it does not take a setting."""
        ...

    @property
    def measurands(self) -> str:
        """The configuration key that has the measurands of meter values during a transaction; empty: there is none."""
        ...

    def boot(self) -> Command | None:
        """Ask for a BootNotification."""
        ...

    def status(self, connector: ConnectorAddress | None) -> Command | None:
        """Ask for the status of a connector; None: of the charge point."""
        ...

    def setting(self, key: str, value: str) -> Command | None:
        """Set a configuration key."""
        ...

    def look(self, key: str) -> Command | None:
        """Ask for the value of a configuration key."""
        ...

    def shows(self, answer: Answer | ChargerError, key: str, value: str) -> bool:
        """Return true if the answer to a look says that the key has this value."""
        ...

    def answer_in(self, word: str) -> KeyAnswer:
        """Return the meaning of an answer to a setting: of a status, or of an error's code."""
        ...

    def security_profile(self, profile: int) -> Command | None:
        """Raise the security profile with which the charger connects from its next boot on."""
        ...

    def restart(self) -> Command | None:
        """Have it boot anew, at once."""
        ...

    def authorization_key(self, key: bytes) -> Command | None:
        """Change the key with which the charger authenticates."""
        ...

    def charging_abilities(self, configuration: Mapping[str, str | None]) -> tuple[Command, ...]:
        """The requests whose answers show in which ways the charge point can be limited. Empty: none do."""
        ...

    def connectors(self, configuration: Mapping[str, str | None], most: int) -> frozenset[ConnectorAddress]:
        """The connectors that the charger's reported configuration says it has, the first ``most`` of them."""
        ...


class ProtocolVersion(Protocol):
    """All methods are pure and none waits; none raises for anything that a charger sent."""

    @property
    def subprotocol(self) -> str:
        """The WebSocket subprotocol that selects this version, e.g. ``ocpp1.6``; the dialect of what it records."""
        ...

    @property
    def errors(self) -> ErrorCodes:
        """Its CALLERROR codes."""
        ...

    @property
    def own_requests(self) -> OwnRequests:
        """The commands of the gateway's own requests."""
        ...

    def allowed_before_acceptance(self, action: str) -> bool:
        """Return whether a charger that was never accepted, or no longer is, may send this action (X5, B1.5)."""
        ...

    def is_transaction_message(self, action: str) -> bool:
        """Return whether a charger keeps this action's messages until they are confirmed, and all others behind them
        (S §3.7.1): such a CALL is never answered CALLERROR for a fault of the gateway's."""
        ...

    def reported_status_of(self, request: Request[Any]) -> ConnectorAddress | None:
        """The connector whose status a request reports; None: it reports none."""
        ...

    def with_clock_offset(self, seconds: float) -> "ProtocolVersion":
        """The version as a charger speaks it whose clock is ahead by so much, all the time; less than 0: behind. Its
        times are read as the right ones."""
        ...

    def decode_call(self, call_id: str, action: str, payload: JSON) -> Request[Any] | CallRefused:
        """Read a charger's CALL, leniently where its schema is broken."""
        ...

    def decode_unread(self, call_id: str, action: str, message: bytes) -> Request[Any]:
        """A CALL for which ``is_transaction_message`` holds, with more values or deeper nesting than is read: what can
        be made out of it, and its text."""
        ...

    def query(self, state: ChargePointState, request: Request[Any]) -> Query | None:
        """Return what ``decide`` needs to know beyond the state, or None."""
        ...

    def decide(self, state: ChargePointState, request: Request[Any], facts: Facts, context: Context) -> Decision:
        """Events and reply. ``facts`` answer ``query``; its defaults where that gave None."""
        ...

    def samples(self, meter_value: Iterable[JSON], received_at: datetime) -> list[Sample]:
        """The samples of meter values as its events hold them, normalised."""
        ...

    def charging_abilities(self, configuration: Mapping[str, str | None]) -> ChargingAbilities:
        """The ways in which a charge point can be limited, by the configuration that it has reported; what it has not
        is assumed to be the least."""
        ...

    def check(self, command: Command) -> tuple[FieldViolation, ...]:
        """Everything that is wrong with a command, whatever the charge point; empty: nothing is. A command that the
        version does not have breaks the field ``operation``."""
        ...

    def check_against(self, command: Command, state: ChargePointState, now: datetime) -> tuple[FieldViolation, ...]:
        """Everything that is wrong with sending a command, which has passed ``check``, to this charge point now."""
        ...

    def needed_access(self, command: Command) -> Access:
        """Return the access that a charge point must have been given to be sent the command (RESTRICTED or FULL)."""
        ...

    def needed_transaction(self, command: Command) -> str | None:
        """The gateway's id of the transaction that must be open on the charge point for the command; None: none is."""
        ...

    def is_urgent(self, command: Command) -> bool:
        """Return whether the command goes out before others that only wait for their turn: it ends charging or limits
        it, and a charger that is slow to answer something else must not hold it up."""
        ...

    def start_window(self, state: ChargePointState) -> timedelta | None:
        """The time that the charger gives a driver to plug in after a remote start; None: it has not reported it."""
        ...

    def solicits(self, command: Command) -> str | None:
        """The action of the message that the command asks the charger for, and that it may send in answer although it
        has not been accepted yet (B1.3); None: the command asks for no message."""
        ...

    def new_key(self, command: Command) -> bytes | None:
        """The key with which the charger authenticates once it has taken the command, which has passed ``check``; None:
        the command changes no key."""
        ...

    def encode_command(self, command: Command, state: ChargePointState) -> tuple[str, JSON]:
        """The action and payload of a command that has passed ``check`` and ``check_against`` this state.

        Raises ``LookupError`` if it names a transaction that isn't open any more: it must not be sent.
        """
        ...

    def decode_answer(self, command: Command, payload: JSON) -> ReadAnswer:
        """Read a confirmation, leniently where its schema is broken; a ``ChargerError`` with the code
        ``commands.INVALID_CONFIRMATION`` if it can't be read (B9.19)."""
        ...

    def decode_error(self, command: Command, code: str, description: str, details: JSON) -> ChargerError:
        """A CALLERROR in answer to ``command``: within its bounds, and free of the command's secrets."""
        ...

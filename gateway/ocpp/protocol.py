"""What a session asks of a version of OCPP. One object per negotiated subprotocol; the session knows only this."""

from typing import Protocol

from attrs import frozen

from gateway.domain.commands import Answer, ChargerError, Command
from gateway.domain.decision import CallRefused, Context, Decision, Facts, Query, Request
from gateway.domain.state import ChargePointState
from gateway.domain.values import JSON, ConnectorAddress


@frozen
class ReadAnswer:
    """A charger's confirmation as read, and the names of the repairs that took, for counting by make and firmware."""

    answer: Answer | ChargerError
    deviations: tuple[str, ...] = ()


class ProtocolVersion(Protocol):
    """All methods are pure and none waits; none raises for anything that a charger sent."""

    @property
    def subprotocol(self) -> str:
        """The WebSocket subprotocol that selects this version, e.g. ``ocpp1.6``."""
        ...

    def allowed_before_acceptance(self, action: str) -> bool:
        """Whether a charger that was never accepted, or no longer is, may send this action (X5, B1.5)."""
        ...

    def is_transaction_message(self, action: str) -> bool:
        """Whether a charger keeps this action's messages until they are confirmed, and all others behind them
        (S §3.7.1): such a CALL is never answered CALLERROR for a fault of ours."""
        ...

    def told_status_of(self, request: Request) -> ConnectorAddress | None:
        """The connector whose status a request tells; None: it tells none."""
        ...

    def decode_call(self, call_id: str, action: str, payload: JSON) -> Request | CallRefused:
        """Read a charger's CALL, leniently where its schema is broken."""
        ...

    def decode_unread(self, call_id: str, action: str, message: bytes) -> Request:
        """A CALL for which ``is_transaction_message`` holds, with more values or deeper nesting than is read: what can
        be made out of it, and its text."""
        ...

    def query(self, state: ChargePointState, request: Request) -> Query | None:
        """What ``decide`` needs to know beyond the state, or None."""
        ...

    def decide(self, state: ChargePointState, request: Request, facts: Facts, context: Context) -> Decision:
        """Events and reply. ``facts`` answer ``query``; its defaults where that gave None."""
        ...

    def encode_command(self, command: Command, state: ChargePointState) -> tuple[str, JSON]:
        """The action and payload of a command that ``gateway.ocpp.v16.checks`` let pass against this state.

        Raises ``LookupError`` if it names a transaction that isn't open any more: it must not be sent.
        """
        ...

    def decode_answer(self, command: Command, payload: JSON) -> ReadAnswer:
        """Read a confirmation, leniently where its schema is broken; ``ChargerError("InvalidConfirmation")`` if it
        can't be read (B9.19)."""
        ...

    def decode_error(self, command: Command, code: str, description: str, details: JSON) -> ChargerError:
        """A CALLERROR in answer to ``command``: within its bounds, and free of the command's secrets."""
        ...

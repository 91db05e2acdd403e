"""OCPP 1.6 as one object, chosen by the negotiated subprotocol."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar

from attrs import field, frozen
from ocpp.v16 import call

from gateway.domain import commands as c
from gateway.domain import readings
from gateway.domain.commands import Command
from gateway.domain.decision import CallRefused, Context, Decision, Facts, Query, Request
from gateway.domain.security_commands import ExtendedTriggerMessage
from gateway.domain.state import ChargePointState
from gateway.domain.values import JSON, ConnectorAddress
from gateway.ocpp.protocol import Access, ErrorCodes
from gateway.ocpp.v16 import SUBPROTOCOL, charge_point_checks, checks, decode, decode_calls, encode
from gateway.ocpp.v16.actions import EXTENDED_TRIGGERED, TRIGGERED
from gateway.ocpp.v16.addresses import to_address
from gateway.ocpp.v16.charging_abilities import charging_abilities
from gateway.ocpp.v16.configuration_keys import connection_timeout, is_authorization_key
from gateway.ocpp.v16.known_clock import corrected
from gateway.ocpp.v16.own_requests import OwnRequests16

ERRORS: Final = ErrorCodes(
    malformed="FormationViolation",
    unread="GenericError",
    not_accepted="SecurityError",
    failed="InternalError",
    unsupported=frozenset({"NotImplemented", "NotSupported"}),
)
"""J §4.2.3, spelled as JE 5.2 has it; SecurityError: JE 3.8."""

REMOTE_CONTROL: Final = (c.RemoteStartTransaction, c.RemoteStopTransaction)
"""Commands that must never go to a charger whose registration is Pending (S §4.2, B1.3)."""


URGENT: Final = (c.RemoteStopTransaction, c.SetChargingProfile, c.ClearChargingProfile)
"""Stops and limits."""

P = TypeVar("P")


def asks_nothing(_: ChargePointState, __: Request[Any]) -> None:
    """The query of a handler that needs no more than the state."""


@frozen
class Handler(Generic[P]):
    """Functions that decide one action. ``request`` is the class of its payload, which has the action's name; both
    functions are pure."""

    request: type[P]
    decide: Callable[[ChargePointState, Request[P], Facts, Context], Decision]
    query: Callable[[ChargePointState, Request[P]], Query | None] = asks_nothing


def by_action(*handlers: Handler[Any]) -> Mapping[str, Handler[Any]]:
    """A table of handlers by the actions that they decide."""
    return {each.request.__name__: each for each in handlers}


@frozen
class Protocol16:
    """``handlers``: one for every action that ``decode_call`` lets pass; the composition root brings them."""

    handlers: Mapping[str, Handler[Any]] = field(repr=False)
    subprotocol: str = SUBPROTOCOL
    errors: ErrorCodes = ERRORS
    own_requests: OwnRequests16 = field(factory=OwnRequests16, repr=False)

    def allowed_before_acceptance(self, action: str) -> bool:
        """Only a BootNotification (JE 3.8). What a Pending charger was asked for by TriggerMessage is the session's to
        let pass (B1.3)."""
        return action == "BootNotification"

    def is_transaction_message(self, action: str) -> bool:
        """S §3.7.1: what is queued while offline and retried until it is confirmed."""
        return action in ("StartTransaction", "StopTransaction", "MeterValues")

    def reported_status_of(self, request: Request[Any]) -> ConnectorAddress | None:
        payload = request.payload
        return to_address(payload.connector_id) if isinstance(payload, call.StatusNotification) else None

    def with_clock_offset(self, seconds: float) -> "Protocol16":
        return OffsetProtocol16(
            self.handlers, self.subprotocol, self.errors, self.own_requests, timedelta(seconds=seconds)
        )

    decode_call = staticmethod(decode_calls.decode_call)
    decode_unread = staticmethod(decode_calls.decode_unread)

    def query(self, state: ChargePointState, request: Request[Any]) -> Query | None:
        return self.handlers[request.action].query(state, request)

    def decide(self, state: ChargePointState, request: Request[Any], facts: Facts, context: Context) -> Decision:
        return self.handlers[request.action].decide(state, request, facts, context)

    samples = staticmethod(readings.samples)
    charging_abilities = staticmethod(charging_abilities)
    check = staticmethod(checks.check)
    check_against = staticmethod(charge_point_checks.check_against)

    def needed_access(self, command: Command) -> Access:
        """Remote starts and stops need an accepted charger; everything else may also go to one that is Pending."""
        return Access.FULL if isinstance(command, REMOTE_CONTROL) else Access.RESTRICTED

    def needed_transaction(self, command: Command) -> str | None:
        """A remote stop's, unless it names another system's transaction by its number."""
        if isinstance(command, c.RemoteStopTransaction) and command.foreign_number is None:
            return command.transaction_id
        return None

    def is_urgent(self, command: Command) -> bool:
        return isinstance(command, URGENT)

    def start_window(self, state: ChargePointState) -> timedelta | None:
        return connection_timeout(state.configuration)

    def solicits(self, command: Command) -> str | None:
        if isinstance(command, c.TriggerMessage):
            return TRIGGERED[command.requested]
        return EXTENDED_TRIGGERED[command.requested] if isinstance(command, ExtendedTriggerMessage) else None

    def new_key(self, command: Command) -> bytes | None:
        if isinstance(command, c.ChangeConfiguration) and is_authorization_key(command.key):
            return bytes.fromhex(command.value)
        return None

    encode_command = staticmethod(encode.encode_command)
    decode_answer = staticmethod(decode.decode_answer)
    decode_error = staticmethod(decode.decode_error)


@frozen
class OffsetProtocol16(Protocol16):
    """OCPP 1.6 as a charger speaks it whose clock is ahead by ``ahead``, all the time."""

    ahead: timedelta = timedelta()

    def decode_call(self, message_id: str, action: str, payload: JSON) -> Request[Any] | CallRefused:
        return decode_calls.decode_call(message_id, action, corrected(payload, self.ahead))

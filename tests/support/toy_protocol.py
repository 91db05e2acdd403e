"""A second version of OCPP, made up: three messages in shapes, words and limits of its own.

A charger says Hello (its boot), reports its Meter, and can be asked to Go (a start). It shows what a version has to
bring, and that nothing else knows which versions there are.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from attrs import frozen

from gateway.domain.commands import (
    INVALID_CONFIRMATION,
    Answer,
    ChargerError,
    Command,
    FieldViolation,
    RemoteStartTransaction,
    StatusAnswer,
)
from gateway.domain.decision import CallRefused, Context, Decision, Facts, Query, Request
from gateway.domain.events import Body, BootInformation, ChargePointBooted, MeterValuesReported, NewEvent
from gateway.domain.key_answers import KeyAnswer
from gateway.domain.readings import ENERGY_IMPORT_REGISTER, Sample
from gateway.domain.state import ChargePointState
from gateway.domain.steering import ChargingAbilities
from gateway.domain.times import read_time
from gateway.domain.values import JSON, ConnectorAddress, Flag, Registration
from gateway.ocpp.protocol import Access, ErrorCodes, OwnRequests, ReadAnswer

SUBPROTOCOL = "toy1"

LONGEST_TAG = 36
"""Characters; more than 1.6 takes."""

OUTLETS = 2


class AsksNothing:
    """A version whose chargers are asked for nothing by the gateway itself."""

    taken = refused = frozenset[str]()
    measurands = ""

    def boot(self) -> Command | None:
        return None

    def status(self, connector: ConnectorAddress | None) -> Command | None:
        return None

    def setting(self, key: str, value: str) -> Command | None:
        return None

    def look(self, key: str) -> Command | None:
        return None

    def shows(self, answer: Answer | ChargerError, key: str, value: str) -> bool:
        return False

    def answer_in(self, word: str) -> KeyAnswer:
        return KeyAnswer.UNKNOWN

    def security_profile(self, profile: int) -> Command | None:
        return None

    def restart(self) -> Command | None:
        return None

    def authorization_key(self, key: bytes) -> Command | None:
        return None

    def charging_abilities(self, configuration: Mapping[str, str | None]) -> tuple[Command, ...]:
        return ()

    def connectors(self, configuration: Mapping[str, str | None], most: int) -> frozenset[ConnectorAddress]:
        return frozenset()


@frozen
class Hello:
    make: str
    unit: str


@frozen
class Meter:
    outlet: int
    readings: tuple[JSON, ...]


class ToyProtocol:
    """All of ``gateway.ocpp.protocol.ProtocolVersion``."""

    subprotocol = SUBPROTOCOL
    errors = ErrorCodes("NoCall", "NoText", "NotYet", "OwnFault", frozenset({"NeverHeardOf"}))
    own_requests: OwnRequests = AsksNothing()

    # Messages of a charger.

    def allowed_before_acceptance(self, action: str) -> bool:
        return action == "Hello"

    def is_transaction_message(self, action: str) -> bool:
        return action == "Meter"

    def reported_status_of(self, request: Request[Any]) -> ConnectorAddress | None:
        return None

    def with_clock_offset(self, seconds: float) -> "ToyProtocol":
        return self

    def decode_call(self, call_id: str, action: str, payload: JSON) -> Request[Any] | CallRefused:
        match action, payload:
            case "Hello", {"make": str(make), "unit": str(unit)}:
                return Request(call_id, action, Hello(make, unit), payload)
            case "Meter", {"outlet": int(outlet), "readings": list(readings)}:
                return Request(call_id, action, Meter(outlet, tuple(readings)), payload)
            case (("Hello" | "Meter"), _):
                return CallRefused(call_id, "BadShape", "it has other fields")
        return CallRefused(call_id, "NeverHeardOf", "there is no such message")

    def decode_unread(self, call_id: str, action: str, message: bytes) -> Request[Any]:
        text = message.decode("utf-8", "replace")
        return Request(call_id, action, Meter(0, ()), {}, (Flag.DEVIATES, Flag.UNREAD), text=text)

    def query(self, state: ChargePointState, request: Request[Any]) -> Query | None:
        return None

    def decide(self, state: ChargePointState, request: Request[Any], facts: Facts, context: Context) -> Decision:
        match request.payload:
            case Hello(make, unit):
                accepted = state.registration is Registration.ACCEPTED
                interval = context.heartbeat_interval if accepted else context.retry_interval
                booted = ChargePointBooted(BootInformation(make, unit), state.registration, interval)
                return self._decided(request, context, booted, {"welcome": accepted, "every": interval})
            case Meter(outlet, readings):
                reported = MeterValuesReported(
                    ConnectorAddress(outlet, 1), readings, payload_text=request.text, dialect=SUBPROTOCOL
                )
                return self._decided(request, context, reported, {})
        raise AssertionError(request.action)

    def _decided(self, request: Request[Any], context: Context, body: Body, reply: JSON) -> Decision:
        event = NewEvent(body, context.now, flags=request.flags, cause=f"message:{request.message_id}")
        return Decision(reply, (event,))

    def samples(self, meter_value: Iterable[JSON], received_at: datetime) -> list[Sample]:
        """Joules and a time, for each."""
        found = []
        for each in meter_value:
            match each:
                case {"joules": int(joules), "at": str(at)}:
                    wh = Decimal(joules) / int(timedelta(hours=1).total_seconds())
                    time = read_time(at, received_at).trusted
                    found.append(Sample(at, time, received_at, ENERGY_IMPORT_REGISTER, str(joules), wh, "Wh"))
        return found

    def charging_abilities(self, configuration: Mapping[str, str | None]) -> ChargingAbilities:
        return ChargingAbilities(purposes=frozenset(), known=True)

    # Commands.

    def check(self, command: Command) -> tuple[FieldViolation, ...]:
        if not isinstance(command, RemoteStartTransaction):
            return (FieldViolation("operation", "a toy can be started, and nothing else"),)
        if not 0 < len(command.id_tag) <= LONGEST_TAG:
            return (FieldViolation("id_tag", f"1 to {LONGEST_TAG} characters are allowed"),)
        return ()

    def check_against(self, command: Command, state: ChargePointState, now: datetime) -> tuple[FieldViolation, ...]:
        assert isinstance(command, RemoteStartTransaction)
        if command.connector is not None and command.connector.evse > OUTLETS:
            return (FieldViolation("connector.evse", f"a toy has {OUTLETS} outlets"),)
        return ()

    def needed_access(self, command: Command) -> Access:
        return Access.FULL

    def needed_transaction(self, command: Command) -> str | None:
        return None

    def is_urgent(self, command: Command) -> bool:
        return False

    def start_window(self, state: ChargePointState) -> timedelta | None:
        return None

    def solicits(self, command: Command) -> str | None:
        return None

    def new_key(self, command: Command) -> bytes | None:
        return None

    def encode_command(self, command: Command, state: ChargePointState) -> tuple[str, JSON]:
        assert isinstance(command, RemoteStartTransaction)
        outlet = 1 if command.connector is None else command.connector.evse
        return "Go", {"who": command.id_tag, "outlet": outlet}

    def decode_answer(self, command: Command, payload: JSON) -> ReadAnswer:
        match payload:
            case {"going": bool(going)}:
                return ReadAnswer(StatusAnswer("Accepted" if going else "Rejected"))
        return ReadAnswer(ChargerError(INVALID_CONFIRMATION, "it does not say whether it is going"))

    def decode_error(self, command: Command, code: str, description: str, details: JSON) -> ChargerError:
        return ChargerError(code[:60], description[:255])

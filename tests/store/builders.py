"""Short ways to say what a store is given."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from attrs import evolve

from gateway.charging.wishes import DecidedChange, SetLimit, WantedRequest, decided
from gateway.domain.charging import ChargingRateUnit
from gateway.domain.commands import StatusAnswer
from gateway.domain.conditions import Comparison, Operator, Value
from gateway.domain.events import (
    Body,
    ChargePointConnected,
    ChargePointDisconnected,
    CommandAnswered,
    CommandQueued,
    CommandSent,
    ConnectorStatusChanged,
    MeterValuesReported,
    NewEvent,
    TransactionStarted,
    TransactionStopped,
    WantedChanged,
)
from gateway.domain.records import Credential, CredentialKind, IdTagRecord
from gateway.domain.steering import RateLimit, StandingLimit
from gateway.domain.values import ConnectorAddress, Registration
from gateway.store.api import EventFilter, Store
from gateway.store.commits import Append, Appended, CreateChargePoint, Opened, OpenSession, WriteResult
from gateway.store.lists import Query, both

T0 = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
CONNECTOR = ConnectorAddress(1, 1)
CONNECTED = ChargePointConnected("192.0.2.7", "ocpp1.6", 2, "TLSv1.3")
ALL = EventFilter()


def of(labels: tuple[tuple[str, str], ...] = (), **fields: Value) -> Query:
    """The query for all of these values and labels."""
    return Query(both(*(Comparison(name, Operator.EQUAL, value) for name, value in fields.items())), labels)


def at(seconds: float = 0) -> datetime:
    return T0 + timedelta(seconds=seconds)


def event(body: Body, seconds: float = 0, **fields) -> NewEvent:
    return NewEvent(body, at(seconds), **fields)


def one(store: Store, write):
    (result,) = store.commit([write])
    assert isinstance(result, WriteResult), "each write has its answer"
    return result


def create(store: Store, identity: str = "CP1", registration=Registration.ACCEPTED, **fields) -> Appended:
    return one(store, CreateChargePoint(identity, registration, fields.pop("credentials", ()), T0, **fields))


def connect(store: Store, identity: str = "CP1", seconds: float = 0) -> Opened:
    """The charge point, created if need be, with a session."""
    if store.charge_point(identity) is None:
        create(store, identity)
    return one(store, OpenSession(identity, CONNECTED, at(seconds)))


def append(store: Store, *bodies: Body, identity: str = "CP1", epoch: int | None = None, guards=(), seconds=0):
    return one(store, Append(identity, epoch, tuple(event(body, seconds) for body in bodies), tuple(guards)))


def started(number: int = 1, tag: str = "TAG", connector=CONNECTOR, start_key: str = "") -> TransactionStarted:
    key = start_key or f"key{number}"
    return TransactionStarted(f"tx_{number}", number, connector, tag, "Accepted", 100, key)


def stopped(number: int = 1, meter_stop: int = 600) -> TransactionStopped:
    return TransactionStopped(f"tx_{number}", CONNECTOR, meter_stop, "Local", meter_stop - 100, "TAG", "Accepted")


def meter(number: int | None = 1, value: str = "150") -> MeterValuesReported:
    values = ({"timestamp": "2026-03-01T12:00:00Z", "sampledValue": [{"value": value}]},)
    return MeterValuesReported(CONNECTOR, values, None if number is None else f"tx_{number}", number)


def status(word: str = "Available", connector=CONNECTOR) -> ConnectorStatusChanged:
    return ConnectorStatusChanged(connector, word, "NoError")


def queued(number: int = 1, request_id: str | None = None) -> CommandQueued:
    request = f"req{number}" if request_id is None else request_id
    return CommandQueued(f"cmd_{number}", "Reset", request, {"reset_type": "Soft"}, "print")


def sent(number: int = 1) -> CommandSent:
    return CommandSent(f"cmd_{number}", "Reset")


def answered(number: int = 1, **fields) -> CommandAnswered:
    return CommandAnswered(f"cmd_{number}", "Reset", StatusAnswer("Accepted"), **fields)


def limited(store: Store, identity: str = "CP1", caller: str = "") -> WantedChanged:
    """A standing limit of six amperes for the first connector, as the charge point's state is now."""
    found = store.state(identity, T0)
    assert found is not None
    limit = StandingLimit(RateLimit(Decimal(6), ChargingRateUnit.AMPERE))
    asked = WantedRequest(f"limit of {identity}", CONNECTOR, SetLimit(limit))
    change = decided(found.state, asked, T0)
    assert isinstance(change, DecidedChange)
    assert isinstance(change.event.body, WantedChanged)
    return evolve(change.event.body, caller=caller)


def disconnected(reason: str = "closed") -> ChargePointDisconnected:
    return ChargePointDisconnected(reason, "peer", 1000)


def credential(name: str = "cred_1") -> Credential:
    return Credential(name, CredentialKind.GENERATED, b"salt", b"\x00verifier\xff", T0)


def id_tag(tag: str = "Tag1", **fields) -> IdTagRecord:
    return IdTagRecord(tag, fields.pop("status", "Accepted"), T0, T0, **fields)


def nth(store: Store, *places: int) -> tuple[int, ...]:
    """The sequences of the events at these places of the history, the first one at 1; 0 is where it begins. A store may
    leave numbers out."""
    known = (0, *above(store, 0))
    return tuple(known[place] for place in places)


def above(store: Store, position: int) -> tuple[int, ...]:
    """The sequences of all events above a position."""
    return tuple(each.sequence for each in store.events(position, 1000, ALL).events)


def types(store: Store, after: int = 0) -> list[str]:
    return [e.type for e in store.events(after, 1000, ALL).events]

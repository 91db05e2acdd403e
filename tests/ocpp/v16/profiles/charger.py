"""A charge point as the handlers see it, over books in memory: the session's loop without its waiting.

Each request is decoded, decided and committed as a session does it, and its reply held against the outgoing schema.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import define, evolve, field

from gateway.domain import codec
from gateway.domain.decision import (
    Authorization,
    AuthorizeQuery,
    CallRefused,
    Context,
    Facts,
    Query,
    StartQuery,
    StopQuery,
    TransactionQuery,
    VendorDataQuery,
)
from gateway.domain.event_records import event_time, stale_record, started_record
from gateway.domain.events import (
    ChargePointUpdated,
    MeterValuesReported,
    NewEvent,
    ReservationMade,
    TransactionClosed,
    TransactionLost,
    TransactionStaleChanged,
    TransactionStarted,
    TransactionStopped,
)
from gateway.domain.records import IdTagRecord, TransactionRecord, TransactionState
from gateway.domain.registers import RegisterReading, register_readings
from gateway.domain.staleness import occupies
from gateway.domain.state import ChargePointState
from gateway.domain.state import evolve as apply
from gateway.domain.transactions import folded
from gateway.domain.values import Flag, Registration
from gateway.domain.vendor_data import VendorAnswer
from gateway.ocpp.v16.addresses import to_address
from gateway.ocpp.v16.profiles.routing import protocol
from gateway.ocpp.v16.schemas import REPLIES

NOW = datetime(2024, 5, 1, 10, 0, 0, tzinfo=UTC)
HEARTBEAT, RETRY = 300, 60
PROTOCOL = protocol()


def at(seconds: float = 0) -> str:
    """A time as chargers send it, so many seconds from NOW."""
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@define
class Books:
    """Records that span charge points: tags, transactions, numbers."""

    tags: dict[str, IdTagRecord] = field(factory=dict)
    transactions: dict[str, TransactionRecord] = field(factory=dict)
    vendor_answer: VendorAnswer | None = None
    numbers: int = 0
    sequence: int = 0
    readings: dict[str, list[RegisterReading]] = field(factory=dict)
    """Registers of meter values, by transaction."""

    def add_tag(self, id_tag: str, status: str = "Accepted", parent: str | None = None, **options: Any) -> None:
        self.tags[folded(id_tag)] = IdTagRecord(id_tag, status, NOW, NOW, parent_id_tag=parent, **options)

    def authorization(self, id_tag: str) -> Authorization:
        tag = self.tags.get(folded(id_tag))
        if tag is None:
            return Authorization("Invalid", allow_concurrent=False)
        return Authorization(tag.status, tag.expiry_date, tag.parent_id_tag, tag.allow_concurrent)

    def by_number(self, number: int) -> TransactionRecord | None:
        return next((t for t in self.transactions.values() if t.number == number), None)

    def fetch(self, charge_point: str, query: Query) -> Facts:
        match query:
            case AuthorizeQuery():
                return Facts(authorization=self.authorization(query.id_tag))
            case StartQuery():
                twins = [
                    t
                    for t in self.transactions.values()
                    if t.charge_point == charge_point and t.start_key == query.start_key
                ]
                in_use = any(
                    occupies(t)
                    and folded(t.id_tag) == folded(query.id_tag)
                    and (t.charge_point != charge_point or t.connector != query.connector)
                    for t in self.transactions.values()
                )
                self.numbers += 1
                return Facts(
                    authorization=self.authorization(query.id_tag),
                    transaction=twins[-1] if twins else None,
                    tag_in_use=in_use,
                    number=self.numbers,
                )
            case StopQuery():
                found = self.by_number(query.number)
                stopped = query.transaction_id or (None if found is None else found.transaction_id)
                return Facts(
                    readings=tuple(self.readings.get(stopped or "", [])),
                    authorization=None if query.id_tag is None else self.authorization(query.id_tag),
                    starting_tag=self.tags.get(folded(query.starting_tag or "")),
                    transaction=self.by_number(query.number),
                )
            case TransactionQuery():
                return Facts(transaction=self.by_number(query.number))
            case VendorDataQuery():
                return Facts(vendor_answer=self.vendor_answer)

    def record(self, charge_point: str, event: NewEvent) -> int:
        self.sequence += 1
        match event.body:
            case TransactionStarted() as body:
                self.transactions[body.transaction_id] = started_record(charge_point, event, body, self.sequence)
            case MeterValuesReported(transaction_id=str() as transaction_id) as body:
                found = register_readings(body.meter_value, event.received_at)
                self.readings.setdefault(transaction_id, []).extend(found)
            case TransactionLost() as body:
                lost = self.transactions[body.transaction_id]
                self.transactions[body.transaction_id] = evolve(lost, state=TransactionState.LOST)
            case TransactionStaleChanged() as body:
                changed = stale_record(event, body, self.transactions[body.transaction_id])
                self.transactions[body.transaction_id] = changed
            case TransactionClosed() as body:
                closed = self.transactions[body.transaction_id]
                self.transactions[body.transaction_id] = evolve(closed, state=TransactionState.CLOSED)
            case TransactionStopped() as body:
                self.transactions[body.transaction_id] = evolve(
                    self.transactions[body.transaction_id],
                    state=TransactionState.STOPPED,
                    meter_stop=body.meter_stop,
                    stopped_at=event_time(event),
                    stop_received_at=event.received_at,
                    stop_raw=event.reported_raw,
                    energy=body.energy,
                )
        return self.sequence


@define
class Charger:
    """One charge point's session: ``call`` is one CALL and its confirmation."""

    books: Books = field(factory=Books)
    identity: str = "CP-1"
    registration: Registration = Registration.ACCEPTED
    now: datetime = NOW
    events: list[NewEvent] = field(factory=list)
    guards: tuple[Any, ...] = ()
    state: ChargePointState = field(init=False)
    _messages: int = 0
    _transactions: int = 0

    def __attrs_post_init__(self) -> None:
        self.state = ChargePointState(self.identity, 1, self.registration, ever_accepted=True)

    def call(self, action: str, message_id: str = "", **payload: Any) -> Any:
        """The confirmation of a CALL; its events are the last of ``events``."""
        self._messages += 1
        request = PROTOCOL.decode_call(message_id or f"m{self._messages}", action, payload)
        assert not isinstance(request, CallRefused), request
        query = PROTOCOL.query(self.state, request)
        facts = Facts() if query is None else self.books.fetch(self.identity, query)
        self._transactions += 1
        context = Context(self.now, HEARTBEAT, RETRY, f"tx_{self.identity}_{self._transactions}")
        decision = PROTOCOL.decide(self.state, request, facts, context)
        assert REPLIES[action].is_valid(decision.reply), list(REPLIES[action].iter_errors(decision.reply))
        for event in decision.events:
            assert codec.decode(event.body.TYPE, event.body.VERSION, codec.encode(event.body)) == event.body
            apply(self.state, event, self.books.record(self.identity, event))
        self.events.extend(decision.events)
        self.guards = decision.guards
        return decision.reply

    def new_events(self, action: str, message_id: str = "", **payload: Any) -> list[NewEvent]:
        """The events of a CALL."""
        before = len(self.events)
        self.call(action, message_id, **payload)
        return self.events[before:]

    def new_event(self, action: str, message_id: str = "", **payload: Any) -> NewEvent:
        """The one event of a CALL."""
        (event,) = self.new_events(action, message_id, **payload)
        return event

    def start(
        self, id_tag: str = "TAG", connector: int = 1, meter: int = 0, time: str | None = None, **more: Any
    ) -> int:
        """StartTransaction; the number it is given."""
        reply = self.call(
            "StartTransaction",
            **{"connectorId": connector, "idTag": id_tag, "meterStart": meter, "timestamp": time or at()} | more,
        )
        return reply["transactionId"]

    def stop(self, number: int, meter: int = 100, time: str | None = None, **more: Any) -> list[NewEvent]:
        """StopTransaction; its events."""
        return self.new_events(
            "StopTransaction", **{"transactionId": number, "meterStop": meter, "timestamp": time or at(60)} | more
        )

    def reconnect(self) -> None:
        """A new connection: what the connection alone knew is gone, what is stored comes back."""
        kept = self.state
        self.state = ChargePointState(
            self.identity,
            kept.epoch + 1,
            kept.registration,
            kept.ever_accepted,
            kept.boot,
            dict(kept.connectors),
            dict(kept.open_transactions),
            dict(kept.reservations),
            memory=kept.memory,
            booted_at=kept.booted_at,
        )

    def boot(self) -> None:
        """A power cycle: the charger comes back on a new connection and boots."""
        self.reconnect()
        self.call("BootNotification", chargePointVendor="V", chargePointModel="M")

    def reserve(
        self,
        reservation_id: int = 7,
        connector: int = 1,
        made: float = 0,
        minutes: float = 60,
        parent: str | None = None,
    ) -> None:
        """The charger accepts a reservation, so many seconds from NOW."""
        made_at = NOW + timedelta(seconds=made)
        address = to_address(connector)
        body = ReservationMade(reservation_id, address, "TAG", made_at + timedelta(minutes=minutes), parent)
        apply(self.state, NewEvent(body, made_at), 0)

    def update(self, registration: Registration) -> None:
        """The operator decides anew."""
        apply(self.state, NewEvent(ChargePointUpdated(registration, ("registration",)), self.now), 0)


def charger(*accepted: str, **options: Any) -> Charger:
    """A charger with some accepted tags, TAG among them."""
    made = Charger(**options)
    for id_tag in ("TAG", *accepted):
        made.books.add_tag(id_tag)
    return made


def has(event: NewEvent, *flags: Flag) -> bool:
    """Tell whether exactly these doubts are on an event."""
    return set(event.flags) == set(flags)

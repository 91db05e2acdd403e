"""The shape of a decision: what a handler may ask first, what it is given, and what it answers.

    query = handler.query(state, request)          what must be looked up beyond the charger's own state, or None
    facts = await <the session looks it up>        the handler itself never waits
    decision = handler.decide(state, request, facts, context)
    journal.commit(decision.events, guards=decision.guards)
    evolve(state, ...); send(decision.reply)

If a guard fails the facts were out of date: they are looked up again and the handler decides again.
"""

from datetime import datetime
from typing import Generic, TypeAlias, TypeVar

from attrs import field, frozen

from gateway.domain.events import NewEvent
from gateway.domain.records import IdTagRecord, TransactionRecord
from gateway.domain.registers import RegisterReading
from gateway.domain.signing import SigningVerdict
from gateway.domain.values import JSON, WHOLE_CHARGE_POINT, ConnectorAddress, Flag
from gateway.domain.vendor_data import VendorAnswer
from gateway.quick_frozen import quick_frozen

P = TypeVar("P")


@quick_frozen
class Request(Generic[P]):
    """A charger's CALL, decoded. ``payload`` is the protocol version's typed request; ``raw`` the payload as sent."""

    message_id: str
    action: str
    payload: P
    raw: JSON
    flags: tuple[Flag, ...] = ()
    """DEVIATES where the schema was broken and the message read leniently."""
    deviations: tuple[str, ...] = ()
    """Names of the repairs that it took, for counting by vendor, model and firmware."""
    faults: int = 0
    """How many faults were looked at: reading it took so much longer."""
    text: str = field(default="", repr=False)
    """The payload as sent where it has too many values, or nests too deep, to be read; ``raw`` then has what could be
    made out of it."""


# --- what may be looked up ------------------------------------------------------------------------------------


@frozen
class AuthorizeQuery:
    id_tag: str


@frozen
class StartQuery:
    """For a start: its earlier twin, the tag's standing, the tag's open transactions, a number for a new one."""

    id_tag: str
    start_key: str
    connector: ConnectorAddress = WHOLE_CHARGE_POINT
    """Where it starts: an open transaction of the tag on this very connector is a lost stop, not another use."""


@frozen
class StopQuery:
    """For a stop: the transaction with that number (on any charge point), and the standing of the stopping tag, if
    any."""

    number: int
    id_tag: str | None
    starting_tag: str | None = None
    transaction_id: str | None = None
    """The open transaction that it ends; None: the one with the number, if there is one."""


@frozen
class TransactionQuery:
    """For meter values that name a number that is not open: whose is it?"""

    number: int


@frozen
class VendorDataQuery:
    """For vendors' data: the answer of the service that handles it. The one query that is answered outside of the
    gateway, so it is never waited for where others wait."""

    vendor_id: str
    message_id: str | None
    data: JSON


@frozen
class SigningQuery:
    """For a request to certify a key: whether it may be signed."""

    csr: str = field(repr=False)


Query: TypeAlias = AuthorizeQuery | StartQuery | StopQuery | TransactionQuery | VendorDataQuery | SigningQuery


@frozen
class Authorization:
    """A tag's standing, as the charger is answered (S §7.1). ``status``: Accepted, Blocked, Expired, Invalid."""

    status: str
    expiry_date: datetime | None = None
    parent_id_tag: str | None = None
    allow_concurrent: bool = True


@quick_frozen
class Facts:
    """The answers to a query. Fields that its query does not ask for stay at their defaults."""

    authorization: Authorization | None = None
    starting_tag: IdTagRecord | None = None
    """The tag that started the transaction being stopped, for its parent (B3.4)."""
    transaction: TransactionRecord | None = None
    """The transaction found: a start's twin, or the one with the number asked for."""
    tag_in_use: bool = False
    """Whether the tag has an open transaction anywhere but on the connector that the query names."""
    readings: tuple[RegisterReading, ...] = ()
    """For a stop: the registers of the transaction's first and last meter values, in their order."""
    number: int = 0
    """A number for a new transaction: positive, below 2^31, unique over all chargers and restarts."""
    vendor_answer: VendorAnswer | None = None
    """The answer of the service that handles a vendor's data."""
    signing: SigningVerdict | None = None
    """Whether a request to certify a key may be signed."""


@quick_frozen
class Context:
    """A decision's surroundings, injected."""

    now: datetime
    heartbeat_interval: int
    """Seconds; the interval in the answer to an accepted charger's boot (S §4.2)."""
    retry_interval: int
    """Seconds that a Pending or Rejected charger is asked to wait before its next boot. Positive (B1.2)."""
    new_transaction_id: str = ""
    """A fresh id of the gateway's, used where the decision makes a transaction."""


# --- the decision ---------------------------------------------------------------------------------------------


@frozen
class IdTagFree:
    """Commit only if the tag still has no open transaction anywhere but on this charge point's ``connector``."""

    id_tag: str
    connector: ConnectorAddress = WHOLE_CHARGE_POINT


@frozen
class RequestIdUnused:
    """Commit only if no command of this charge point has this request id yet."""

    request_id: str


@frozen
class StartPending:
    """Commit only if no transaction has come of this remote start of the charge point, and it is not recorded as
    expired."""

    command_id: str


@frozen
class WantedUnchanged:
    """The wanted state of the connector has this revision; 0: nothing was ever wanted of it."""

    connector: ConnectorAddress
    revision: int


@frozen
class OperationUnused:
    """Commit only if no operation of this charge point has this request id yet."""

    request_id: str


@frozen
class SteeringRequestUnused:
    """No earlier request of the charge point's that changed what is wanted has this id."""

    request_id: str


@frozen
class SigningOpen:
    """The charge point's open request to certify a key is this one; ``issued``: a certificate is there for it already,
    or not yet; None: either."""

    signing_id: str
    issued: bool | None = None


@frozen
class NotConnected:
    """The charge point has no connection: no session owns it."""


Guard: TypeAlias = (
    IdTagFree
    | RequestIdUnused
    | StartPending
    | OperationUnused
    | WantedUnchanged
    | SteeringRequestUnused
    | NotConnected
    | SigningOpen
)


@quick_frozen
class Decision:
    """``reply`` is the confirmation's payload as JSON, ready to be put on the wire."""

    reply: JSON
    events: tuple[NewEvent, ...] = ()
    guards: tuple[Guard, ...] = ()


@frozen
class CallRefused:
    """The CALL gets a CALLERROR. ``details`` stays small and free of secrets (A4.3)."""

    message_id: str
    code: str
    description: str = ""
    faults: int = 0
    """How many faults were looked at before it was given up."""
    action: str = ""
    """Of a CALL whose action the protocol knows; empty for any other, which may be any text."""

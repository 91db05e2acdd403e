"""Looks up, before a decision, what it must know beyond the charger's own state: tags, twins, numbers, and what others
say."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from gateway.domain.codec import UnreadableBody, decode
from gateway.domain.decision import (
    Authorization,
    AuthorizeQuery,
    Facts,
    Query,
    SigningQuery,
    StartQuery,
    StopQuery,
    TransactionQuery,
    VendorDataQuery,
)
from gateway.domain.events import MeterValuesReported
from gateway.domain.records import TransactionRecord
from gateway.domain.registers import RegisterReading, register_readings
from gateway.domain.signing import SigningJudge, SigningVerdict
from gateway.domain.transactions import uses_elsewhere
from gateway.domain.values import Clock
from gateway.domain.vendor_data import NoVendorServices, VendorData, VendorServices
from gateway.session.ports import Authorizer
from gateway.store.api import Store
from gateway.store.reads import Reads

TAG_TRANSACTIONS_CONSIDERED = 20
"""Transactions that occupy one tag, looked at for ConcurrentTx: one elsewhere is enough, and a tag that may not
run several never has many."""

EDGE_READINGS = 3
"""Meter values at either end of a transaction that its stop is held against."""

LOCAL_AUTHORIZATION = "Accepted"

NO_SIGNING = SigningVerdict("", datetime.min.replace(tzinfo=UTC), refused="signing_not_served")
"""Where no certificate is ever signed."""


class TableAuthorizer:
    """Authorizes by the operator's table of tags, and by one policy for tags that are not in it."""

    def __init__(self, reads: Reads, clock: Clock, unknown_tags: str) -> None:
        self._reads = reads
        self._clock = clock
        self._unknown_tags = unknown_tags

    async def authorize(self, charge_point: str, id_tag: str) -> Authorization:
        """By the table: expired tags are answered Expired whatever else they are but blocked (S §7.2)."""
        record = await self._reads.id_tag(id_tag)
        if record is None:
            return Authorization(self._unknown_tags)
        status = record.status
        if status == LOCAL_AUTHORIZATION and record.expiry_date is not None and record.expiry_date <= self._clock():
            status = "Expired"
        return Authorization(status, record.expiry_date, record.parent_id_tag, record.allow_concurrent)


class Lookups:
    """Answers queries. Stateless, shared by all sessions; what it allocates it allocates through the store."""

    def __init__(
        self,
        reads: Reads,
        authorizer: Authorizer,
        take_number: Callable[[], Awaitable[int]],
        vendors: VendorServices | None = None,
        unknown_number: Callable[[str, int], Awaitable[None]] | None = None,
        signing: SigningJudge | None = None,
    ) -> None:
        self._reads = reads
        self._authorizer = authorizer
        self._take_number = take_number
        self._unknown_number = unknown_number
        self._signing = signing
        self._vendors = NoVendorServices() if vendors is None else vendors

    def at_once(self, query: VendorDataQuery) -> Facts | None:
        """The facts, where no service has to be asked for them; None: ``fetch``, and not where others wait."""
        answer = self._vendors.at_once(query.vendor_id, query.message_id)
        return None if answer is None else Facts(vendor_answer=answer)

    async def fetch(self, charge_point: str, query: Query) -> Facts:
        """Raises ``StoreUnavailable``. Cancelling is safe; a number taken and not used is lost, which is allowed."""
        match query:
            case AuthorizeQuery():
                return Facts(authorization=await self._authorizer.authorize(charge_point, query.id_tag))
            case StartQuery():
                return await self._start(charge_point, query)
            case StopQuery():
                return await self._stop(charge_point, query)
            case TransactionQuery():
                return Facts(transaction=await self._by_number(charge_point, query.number))
            case SigningQuery():
                judge = self._signing
                verdict = NO_SIGNING if judge is None else await judge.judge(charge_point, query.csr)
                return Facts(signing=verdict)
            case VendorDataQuery():
                data = VendorData(charge_point, query.vendor_id, query.message_id, query.data)
                return Facts(vendor_answer=await self._vendors.ask(data))

    async def _start(self, charge_point: str, query: StartQuery) -> Facts:
        authorization = await self._authorizer.authorize(charge_point, query.id_tag)
        twin = await self._reads.transaction_by_start_key(charge_point, query.start_key)
        in_use = False
        if not authorization.allow_concurrent:
            held = await self._reads.occupying_transactions_of_tag(query.id_tag, TAG_TRANSACTIONS_CONSIDERED)
            in_use = bool(uses_elsewhere(held, charge_point, query.connector))
        number = await self._take_number()
        return Facts(authorization=authorization, transaction=twin, tag_in_use=in_use, number=number)

    async def _by_number(self, charge_point: str, number: int) -> TransactionRecord | None:
        found = await self._reads.transaction_by_number(number)
        if found is None and number > 0 and self._unknown_number is not None:
            await self._unknown_number(charge_point, number)
        return found

    async def _stop(self, charge_point: str, query: StopQuery) -> Facts:
        transaction = await self._by_number(charge_point, query.number)
        stopped = query.transaction_id or (None if transaction is None else transaction.transaction_id)
        readings = () if stopped is None else await self._reads.run(_readings, stopped)
        if query.id_tag is None:
            return Facts(transaction=transaction, readings=readings)
        authorization = await self._authorizer.authorize(charge_point, query.id_tag)
        starting = query.starting_tag
        if starting is None and transaction is not None:
            starting = transaction.id_tag
        starting_tag = None if starting is None else await self._reads.id_tag(starting)
        return Facts(authorization=authorization, transaction=transaction, starting_tag=starting_tag, readings=readings)


def _readings(store: Store, transaction_id: str) -> tuple[RegisterReading, ...]:
    """The registers of a transaction's first and last meter values; in a worker thread."""
    found: list[RegisterReading] = []
    for stored in store.edge_readings(transaction_id, EDGE_READINGS):
        try:
            body = decode(stored.type, stored.version, stored.body_json)
        except UnreadableBody:
            continue  # of a later version: what it says is not known
        if isinstance(body, MeterValuesReported):
            found += register_readings(body.meter_value, stored.received_at, body.dialect)
    return tuple(found)

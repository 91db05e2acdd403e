"""TransactionService."""

from gateway.api.v1 import transaction_pb2 as pb
from gateway.api.v1.transaction_pb2_grpc import TransactionServiceServicer
from gateway.bridge import Bridge
from gateway.control.convert.enums import TRANSACTION_STATE
from gateway.control.convert.events import event
from gateway.control.convert.requests import Fields
from gateway.control.convert.samples import normalised_reading, reading
from gateway.control.convert.transactions import transaction
from gateway.control.errors import invalid
from gateway.control.services.paging import Page, page
from gateway.control.services.rpc import Context, Service, changing, unary
from gateway.control.transactions import Transactions
from gateway.domain.commands import FieldViolation
from gateway.store.api import TransactionFilter

MAX_EVENTS = 200
"""Events of a page: each may hold a message of a charger's, whole."""


class TransactionRpcs(Service, TransactionServiceServicer):
    """Transactions and what was metered in them."""

    def __init__(self, bridge: Bridge, default_timeout: float, transactions: Transactions) -> None:
        super().__init__(bridge, default_timeout)
        self._transactions = transactions

    @unary
    async def GetTransaction(self, request: pb.GetTransactionRequest, context: Context) -> pb.GetTransactionResponse:
        found = await self.call(context, self._transactions.get, _id(request.transaction_id))
        return pb.GetTransactionResponse(transaction=transaction(found))

    @unary
    async def ListTransactions(
        self, request: pb.ListTransactionsRequest, context: Context
    ) -> pb.ListTransactionsResponse:
        where = _filter(request)
        wanted = page(request.page_size, request.page_token, "transactions", where)
        found = await self.call(context, self._transactions.page, where, wanted.after or None, wanted.size)
        messages, token = wanted.cut(found, lambda each: each.record.transaction_id, transaction)
        return pb.ListTransactionsResponse(transactions=messages, next_page_token=token)

    @unary
    async def ListTransactionReadings(
        self, request: pb.ListTransactionReadingsRequest, context: Context
    ) -> pb.ListTransactionReadingsResponse:
        transaction_id = _id(request.transaction_id)
        wanted = page(request.page_size, request.page_token, "readings", transaction_id, max_size=MAX_EVENTS)
        convert = normalised_reading if request.normalised_readings else reading
        events = await self.call(context, self._transactions.readings, transaction_id, _sequence(wanted), wanted.size)
        messages, token = wanted.cut(events, lambda stored: str(stored.sequence), convert)
        return pb.ListTransactionReadingsResponse(readings=messages, next_page_token=token)

    @changing
    async def CloseTransaction(
        self, request: pb.CloseTransactionRequest, context: Context
    ) -> pb.CloseTransactionResponse:
        fields = Fields()
        transaction_id = fields.text("transaction_id", request.transaction_id)
        ended_at = fields.optional_time("end_time", request, "end_time")
        fields.check()
        about = {"transaction_id": transaction_id}
        register = request.meter_stop_watt_hours if request.HasField("meter_stop_watt_hours") else None
        given = (transaction_id, request.reason, register, ended_at, request.insist)
        closed = await self.change(context, about, self._transactions.close, *given)
        return pb.CloseTransactionResponse(transaction=transaction(closed))

    @changing
    async def AttributeOrphan(self, request: pb.AttributeOrphanRequest, context: Context) -> pb.AttributeOrphanResponse:
        fields = Fields()
        orphan = fields.text("orphan_event_id", request.orphan_event_id)
        transaction_id = fields.text("transaction_id", request.transaction_id)
        fields.text("request_id", request.request_id)
        fields.check()
        about = {"transaction_id": transaction_id, "request_id": request.request_id}
        given = (orphan, transaction_id, request.reason, request.request_id, request.insist)
        attributed = await self.change(context, about, self._transactions.attribute, *given)
        return pb.AttributeOrphanResponse(transaction=transaction(attributed))

    @unary
    async def ListOrphans(self, request: pb.ListOrphansRequest, context: Context) -> pb.ListOrphansResponse:
        charge_point = request.charge_point or None
        wanted = page(request.page_size, request.page_token, "orphans", charge_point, max_size=MAX_EVENTS)
        events = await self.call(context, self._transactions.orphans, charge_point, _sequence(wanted), wanted.size)
        messages, token = wanted.cut(events, lambda stored: str(stored.sequence), event)
        return pb.ListOrphansResponse(orphans=messages, next_page_token=token)


def _id(transaction_id: str) -> str:
    fields = Fields()
    fields.text("transaction_id", transaction_id)
    fields.check()
    return transaction_id


def _sequence(wanted: Page) -> int:
    if not wanted.after:
        return 0
    if not (wanted.after.isascii() and wanted.after.isdigit() and len(wanted.after) < 19):
        raise invalid(FieldViolation("page_token", "is not a token of this list"))
    return int(wanted.after)


def _filter(request: pb.ListTransactionsRequest) -> TransactionFilter:
    fields = Fields()
    where = TransactionFilter(
        charge_point=request.charge_point or None,
        state=fields.optional_word("state", TRANSACTION_STATE, request.state),
        started_from=fields.optional_time("started_from_time", request, "started_from_time"),
        started_before=fields.optional_time("started_before_time", request, "started_before_time"),
        id_tag=request.id_tag or None,
    )
    fields.check()
    return where

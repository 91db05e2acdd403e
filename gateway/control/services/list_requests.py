"""Requests for lists and counts as queries: fields of a request and its filter are one condition."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.api.v1 import charge_point_pb2 as pb
from gateway.api.v1 import command_pb2, common_pb2, id_tag_pb2, operation_pb2, transaction_pb2
from gateway.control.charge_points import label_violations
from gateway.control.convert.enums import (
    COMMAND_STATE,
    ID_TAG_STATUS,
    OPERATION_END,
    OPERATION_KIND,
    REGISTRATION,
    TRANSACTION_STATE,
    Words,
)
from gateway.control.convert.requests import Fields
from gateway.control.filter_text import Field, Kind, read_filter, read_order
from gateway.control.services.filters import names
from gateway.control.services.rpc import SCOPE
from gateway.domain.conditions import AnyOf, Comparison, Condition, Operator, Order, Value
from gateway.store.lists import Query, both

TEXT, TIME, FLAG = Field(Kind.TEXT), Field(Kind.TIME), Field(Kind.FLAG)
LABELS = Field(Kind.LABEL)


def _words(words: Words[Any], enum: Mapping[str, int]) -> Field:
    """The values of an enum, by their names without what they begin with."""
    prefix = next(iter(enum)).removesuffix("UNSPECIFIED")
    named = {name.removeprefix(prefix): words.word(number) for name, number in enum.items()}
    return Field(Kind.WORD, {name: str(word) for name, word in named.items() if word is not None})


CHARGE_POINT_FIELDS: Final[Mapping[str, Field]] = {
    "identity": TEXT,
    "registration": _words(REGISTRATION, dict(common_pb2.Registration.items())),
    "connected": FLAG,
    "description": TEXT,
    "create_time": TIME,
    "update_time": TIME,
    "boot_time": TIME,
    "certificate_expire_time": TIME,
    "certificate_serial_number": TEXT,
    "vendor": TEXT,
    "model": TEXT,
    "firmware_version": TEXT,
    "charge_point_serial_number": TEXT,
    "charge_box_serial_number": TEXT,
    "labels": LABELS,
}

TRANSACTION_FIELDS: Final[Mapping[str, Field]] = {
    "transaction_id": TEXT,
    "charge_point": TEXT,
    "state": _words(TRANSACTION_STATE, dict(transaction_pb2.TransactionState.items())),
    "id_tag": TEXT,
    "start_time": TIME,
    "stop_time": TIME,
    "stop_reason": TEXT,
    "stale": FLAG,
    "labels": LABELS,
}

COMMAND_FIELDS: Final[Mapping[str, Field]] = {
    "command_id": TEXT,
    "charge_point": TEXT,
    "request_id": TEXT,
    "operation": TEXT,
    "state": _words(COMMAND_STATE, dict(command_pb2.CommandState.items())),
    "create_time": TIME,
    "finish_time": TIME,
    "late": FLAG,
    "caller": TEXT,
    "labels": LABELS,
}

OPERATION_FIELDS: Final[Mapping[str, Field]] = {
    "operation_id": TEXT,
    "charge_point": TEXT,
    "request_id": TEXT,
    "kind": _words(OPERATION_KIND, dict(operation_pb2.OperationKind.items())),
    "open": FLAG,
    "end": _words(OPERATION_END, dict(operation_pb2.OperationEnd.items())),
    "reason": TEXT,
    "id_tag": TEXT,
    "command_id": TEXT,
    "transaction_id": TEXT,
    "create_time": TIME,
    "end_time": TIME,
    "caller": TEXT,
    "labels": LABELS,
}

ORPHAN_FIELDS: Final[Mapping[str, Field]] = {
    "charge_point": TEXT,
    "receive_time": TIME,
    "report_time": TIME,
    "attributed": FLAG,
    "labels": LABELS,
}

ID_TAG_FIELDS: Final[Mapping[str, Field]] = {
    "id_tag": TEXT,
    "status": _words(ID_TAG_STATUS, dict(id_tag_pb2.IdTagStatus.items())),
    "expire_time": TIME,
    "parent_id_tag": TEXT,
    "allow_concurrent": FLAG,
    "description": TEXT,
    "create_time": TIME,
    "update_time": TIME,
}

CHARGE_POINT_ORDERS: Final = {
    name: name for name in ("identity", "create_time", "update_time", "certificate_expire_time")
}
TRANSACTION_ORDERS: Final = {"start_time": "start_time"}
COMMAND_ORDERS: Final = {"create_time": "create_time"}
ORPHAN_ORDERS: Final = {"receive_time": "receive_time"}
ID_TAG_ORDERS: Final = {name: name for name in ("id_tag", "create_time", "update_time")}


def equal(name: str, value: Value | None) -> Condition | None:
    """A field of a request as a condition; None: it is not set."""
    return None if value is None or value == "" else Comparison(name, Operator.EQUAL, value)


def query(
    request: Any,
    fields: Fields,
    known: Mapping[str, Field],
    *conditions: Condition | None,
    orders: Mapping[str, str] | None = None,
    default: Order | None = None,
) -> Query:
    """The query of a request; ``conditions`` are those of its other fields. Raises ``Failure``."""
    labels = dict(request.labels)
    fields.violations += label_violations(labels, "labels")
    fields.check()
    condition = both(*conditions, read_filter(request.filter, known))
    # A caller's scope is labels more: a key with two values finds none.
    wanted = sorted({*labels.items(), *SCOPE.get().items()})
    order = read_order(request.order_by, orders, default) if orders and default else None
    return Query(condition, tuple(wanted), order)


def charge_point_query(request: pb.ListChargePointsRequest) -> Query:
    """Of a list of charge points."""
    fields = Fields()
    registration = fields.optional_word("registration", REGISTRATION, request.registration)
    connected = request.connected if request.HasField("connected") else None
    given = (equal("registration", registration), equal("connected", connected))
    return query(request, fields, CHARGE_POINT_FIELDS, *given, orders=CHARGE_POINT_ORDERS, default=Order("identity"))


def transaction_query(request: transaction_pb2.ListTransactionsRequest) -> Query:
    """Of a list of transactions."""
    fields = Fields()
    state = fields.optional_word("state", TRANSACTION_STATE, request.state)
    begins = fields.optional_time("started_from_time", request, "started_from_time")
    ends = fields.optional_time("started_before_time", request, "started_before_time")
    given = (
        equal("charge_point", request.charge_point),
        equal("state", state),
        None if begins is None else Comparison("start_time", Operator.GREATER_OR_EQUAL, begins),
        None if ends is None else Comparison("start_time", Operator.LESS, ends),
        equal("id_tag", request.id_tag),
    )
    default = Order("start_time", descending=True)
    return query(request, fields, TRANSACTION_FIELDS, *given, orders=TRANSACTION_ORDERS, default=default)


def command_query(request: command_pb2.ListCommandsRequest) -> Query:
    """Of a list of commands."""
    default = Order("create_time", descending=True)
    fields = Fields()
    given = (equal("charge_point", request.charge_point), _callers(request, fields))
    return query(request, fields, COMMAND_FIELDS, *given, orders=COMMAND_ORDERS, default=default)


def operation_query(request: operation_pb2.ListOperationsRequest) -> Query:
    """Of a list of operations."""
    default = Order("create_time", descending=True)
    fields = Fields()
    given = (equal("charge_point", request.charge_point), _callers(request, fields))
    return query(request, fields, OPERATION_FIELDS, *given, orders=COMMAND_ORDERS, default=default)


def _callers(
    request: command_pb2.ListCommandsRequest | operation_pb2.ListOperationsRequest, fields: Fields
) -> Condition | None:
    found = tuple(Comparison("caller", Operator.EQUAL, name) for name in names(fields, "callers", request.callers))
    return AnyOf(found) if len(found) > 1 else both(*found)


def orphan_query(request: transaction_pb2.ListOrphansRequest) -> Query:
    """Of a list of stops without a transaction."""
    of_one = equal("charge_point", request.charge_point)
    return query(request, Fields(), ORPHAN_FIELDS, of_one, orders=ORPHAN_ORDERS, default=Order("receive_time"))


def id_tag_query(request: id_tag_pb2.ListIdTagsRequest) -> Query:
    """Of a list of tags. They are no charge point's and have no labels: a caller with a scope finds none."""
    order = read_order(request.order_by, ID_TAG_ORDERS, Order("id_tag"))
    return Query(read_filter(request.filter, ID_TAG_FIELDS), tuple(sorted(SCOPE.get().items())), order)

"""The connection to a gateway's control interface, and what its errors mean in one line."""

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import grpc
import typer
from attrs import frozen
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status

from gateway.api.v1.charge_point_pb2_grpc import ChargePointServiceStub
from gateway.api.v1.command_pb2_grpc import CommandServiceStub
from gateway.api.v1.common_pb2 import ConnectorAddress
from gateway.api.v1.event_pb2_grpc import EventServiceStub
from gateway.api.v1.id_tag_pb2_grpc import IdTagServiceStub
from gateway.api.v1.transaction_pb2_grpc import TransactionServiceStub
from gateway.cli.output import CommandFailed, age

T = TypeVar("T")

DEFAULT_TARGET = "127.0.0.1:50051"

READ_SECONDS = 20.0
"""The deadline of a call that no charger has to answer."""

COMMAND_SECONDS = 90.0
"""The deadline of a command: longer than the gateway's own for it, so that its word on the outcome arrives."""

PAGE_SIZE = 200

OPTIONS = (
    # A page or batch may hold a charger's largest messages: gRPC's own limit of 4 MiB is below what the gateway sends.
    ("grpc.max_receive_message_length", 32 * 1024 * 1024),
    # A watch over a link that died without a word is noticed.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)

TargetOption = Annotated[
    str,
    typer.Option(
        envvar="GATEWAY_TARGET", help="The control interface, host:port. TLS: GATEWAY_CA, see `gateway --help`."
    ),
]


@frozen
class TlsFiles:
    """What TLS towards the control interface needs; None: no TLS."""

    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


TLS: ContextVar[TlsFiles] = ContextVar("tls", default=TlsFiles())  # noqa: B039 - frozen
"""What this run's root command was given."""


@frozen
class Gateway:
    """The services of one gateway."""

    channel: grpc.Channel
    charge_points: ChargePointServiceStub
    commands: CommandServiceStub
    events: EventServiceStub
    id_tags: IdTagServiceStub
    transactions: TransactionServiceStub


@contextmanager
def connect(target: str, tls: TlsFiles | None = None) -> Iterator[Gateway]:
    """A gateway's services. The connection is made with the first call. Raises CommandFailed for unreadable files."""
    with _channel(target, tls or TLS.get()) as channel:
        yield Gateway(
            channel,
            ChargePointServiceStub(channel),
            CommandServiceStub(channel),
            EventServiceStub(channel),
            IdTagServiceStub(channel),
            TransactionServiceStub(channel),
        )


def _channel(target: str, tls: TlsFiles) -> grpc.Channel:
    if tls.authority is None:
        return grpc.insecure_channel(target, OPTIONS)
    try:
        read = [None if path is None else path.read_bytes() for path in (tls.authority, tls.key, tls.certificate)]
    except OSError as error:
        raise CommandFailed(f"{error.filename}: can't be read: {error.strerror}") from None
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(*read), OPTIONS)


# --- requests -------------------------------------------------------------------------------------------------


def request_id(given: str | None = None) -> str:
    """The caller's id for a command: the given one, or a new one."""
    return given or f"cli-{uuid.uuid4().hex}"


def connector(number: int) -> ConnectorAddress:
    """OCPP 1.6's connector number as an address."""
    return ConnectorAddress(evse=number, connector=1 if number else 0)


def connector_name(address: ConnectorAddress) -> str:
    """An address as OCPP 1.6's number, where it has one."""
    if address.evse == 0 and address.connector == 0:
        return "0"
    return str(address.evse) if address.connector == 1 else f"{address.evse}.{address.connector}"


def timestamp(moment: datetime) -> Timestamp:
    """A moment as the API writes it."""
    made = Timestamp()
    made.FromDatetime(moment.astimezone(UTC))
    return made


def duration(seconds: float) -> Duration:
    """A span as the API writes it."""
    made = Duration()
    made.FromTimedelta(timedelta(seconds=seconds))
    return made


def moment(message: Message, field: str) -> datetime | None:
    """A timestamp field, None where it is unset."""
    if not message.HasField(field):
        return None
    value: Timestamp = getattr(message, field)
    return value.ToDatetime(UTC)


def as_dict(message: Message) -> dict[str, Any]:
    """A message for JSON, with the API's own field names."""
    return MessageToDict(message, preserving_proto_field_name=True)


def pages(
    fetch: Callable[..., Any], request: Any, items: Callable[[Any], Iterable[T]], limit: int | None = None
) -> Iterator[T]:
    """The elements of all pages of a list, or the first ``limit`` of them. ``request`` is changed on the way."""
    count = 0
    while True:
        request.page_size = PAGE_SIZE if limit is None else min(PAGE_SIZE, limit - count)
        response = fetch(request, timeout=READ_SECONDS)
        for item in items(response):
            yield item
            count += 1
            if count == limit:
                return
        if not response.next_page_token:
            return
        request.page_token = response.next_page_token


# --- errors ---------------------------------------------------------------------------------------------------


def reason_of(error: grpc.RpcError) -> str:
    """The ErrorInfo's reason, empty if there is none."""
    info = _details(error)[0]
    return "" if info is None else info.reason


def describe(error: grpc.RpcError, target: str = "") -> str:
    """An error of the control interface in one line (and one more for each wrong field)."""
    call: Any = error  # every RpcError of a client is a Call as well
    code, text = call.code(), call.details() or ""
    info, violations = _details(error)
    if info is None and code is grpc.StatusCode.UNAVAILABLE:
        return f"no gateway answers{f' at {target}' if target else ''}: {text}"
    if info is None and code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return "the gateway did not answer in time"
    line = text or code.name.lower().replace("_", " ")
    if info is not None and info.reason:
        line += f" [{info.reason}]"
        line += "".join(f", {name.replace('_', ' ')}: {value}" for name, value in _worth_telling(info))
    # The gateway's own message names the fields already; another server's may not.
    return "\n".join([line, *(f"  {each.field}: {each.description}" for each in violations if each.field not in text)])


def _worth_telling(info: ErrorInfo) -> Iterator[tuple[str, str]]:
    """The metadata, times as ages too."""
    for name, value in sorted(info.metadata.items()):
        if not value:
            continue
        try:
            yield name, f"{value} ({age(datetime.fromisoformat(value))})"
        except (ValueError, TypeError):
            yield name, value


def _details(error: Any) -> tuple[ErrorInfo | None, list[BadRequest.FieldViolation]]:
    info: ErrorInfo | None = None
    violations: list[BadRequest.FieldViolation] = []
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # a trailer that contradicts the status: a proxy's doing
        status = None
    for detail in status.details if status is not None else ():
        if detail.Is(ErrorInfo.DESCRIPTOR):
            info = ErrorInfo()
            detail.Unpack(info)
        elif detail.Is(BadRequest.DESCRIPTOR):
            request = BadRequest()
            detail.Unpack(request)
            violations = list(request.field_violations)
    return info, violations

"""The connection to a gateway's control interface, and what its errors mean in one line."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

import grpc
import typer
from attrs import frozen
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from typer._click.globals import get_current_context  # typer exports it not

from gateway.api.v1.caller_pb2 import Role
from gateway.api.v1.charge_point_pb2 import GetChargePointRequest
from gateway.api.v1.common_pb2 import ConnectorAddress
from gateway.api.v1.reading_pb2 import ChargingState
from gateway.api.v1.server_pb2 import GetServerInfoRequest
from gateway.cli.exit_codes import ExitCode
from gateway.cli.field_options import written
from gateway.cli.last_call import METHOD, LastCall
from gateway.cli.output import CommandFailed, age, fail
from gateway.cli.wait_notes import WaitNotes
from gateway.client import GatewayClient, Problem, Tls, new_request_id, problem_of

T = TypeVar("T")

DEFAULT_TARGET = "127.0.0.1:50051"

READ_SECONDS = 20.0
"""The deadline of a call that no charger has to answer."""

COMMAND_SECONDS = 90.0
"""The deadline of a command: longer than the gateway's own for it, so that its word on the outcome arrives."""

PAGE_SIZE = 200

NOT_THIS_PORT = "is not the control interface: look at control.address in its settings, not at a listener's port"

CAUSES = (
    ("WRONG_VERSION_NUMBER", "the gateway at {target} speaks no TLS: leave out --ca (GATEWAY_CA)"),
    ("CERTIFICATE_VERIFY_FAILED", "the certificate of the gateway at {target} is not from the CA given with --ca"),
    ("Hostname Verification", "the certificate of the gateway at {target} is for another host name"),
    ("Failed to create security handshaker", "--ca, --certificate or --key: no certificate or key in PEM"),
    ("Socket closed", "{target} hangs up: it wants TLS (give --ca), or " + NOT_THIS_PORT),
    ("reset by peer", "{target} hangs up: it wants TLS (give --ca), or " + NOT_THIS_PORT),
    ("ALPN", "{target} " + NOT_THIS_PORT),
    ("http1.x", "{target} " + NOT_THIS_PORT),
    ("errors resolving", "--target: there is no host of the name in {target}"),
    ("Connection refused", "no gateway answers at {target}: nothing listens there"),
    ("timed out", "no gateway answers at {target}: the connection timed out"),
    ("o route to host", "no gateway answers at {target}: there is no route to it"),
    ("unreachable", "no gateway answers at {target}: its network can't be reached"),
)
"""Parts of gRPC's text for an unreachable target, which is written for gRPC's developers, and the line for each. The
first that fits counts."""

TargetOption = Annotated[
    str,
    typer.Option(
        envvar="GATEWAY_TARGET", help="The control interface, host:port. TLS: GATEWAY_CA, see `gateway --help`."
    ),
]


@frozen
class TlsFiles:
    """Files for TLS towards the control interface; None: no TLS."""

    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


TLS: ContextVar[TlsFiles] = ContextVar("tls", default=TlsFiles())  # noqa: B039 - frozen
"""What this run's root command was given."""

TOKEN_FILE: ContextVar[Path | None] = ContextVar("token_file", default=None)
"""The file with this run's token, where one was named."""

PARAMETERS: ContextVar[Mapping[str, str]] = ContextVar("parameters", default=MappingProxyType({}))
"""The options and arguments of the command that asks, as they are typed, for errors."""

TARGET: ContextVar[str] = ContextVar("target", default=DEFAULT_TARGET)
"""Where this run connects to, for errors."""

ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/]+):(?P<port>[0-9]{1,5})|[a-z]+:/\S+|unix:\S+")
"""host:port, [IPv6]:port, or a name with a scheme that gRPC knows."""

MAX_PORT = 65_535
"""Of TCP."""


@contextmanager
def connect(target: str, tls: TlsFiles | None = None) -> Iterator[GatewayClient]:
    """A gateway's services. The connection is made with the first call. Raises CommandFailed for files
    that can't be read or are not what they should be, and BadParameter for a target that is none."""
    address = ADDRESS.fullmatch(target)
    if address is None:
        raise typer.BadParameter(f"expected host:port, found {target!r}", param_hint="--target")
    if address["port"] is not None and not 0 < int(address["port"]) <= MAX_PORT:
        raise typer.BadParameter(f"expected a port from 1 to {MAX_PORT}, found {target!r}", param_hint="--target")
    TARGET.set(target)
    context = get_current_context(silent=True)
    PARAMETERS.set({} if context is None else written(context.command.params))
    METHOD.set("")
    notes = (WaitNotes(), LastCall())
    with GatewayClient(target, read_tls(tls or TLS.get()), COMMAND_SECONDS, notes, _token()) as client:
        yield client


def _token() -> str | None:
    """The caller's token: from the named file, else from GATEWAY_TOKEN. Raises CommandFailed, without the token."""
    path = TOKEN_FILE.get()
    if path is None:
        text = os.environ.get("GATEWAY_TOKEN", "").strip()
        where = "GATEWAY_TOKEN"
    else:
        where = str(path)
        try:
            text = path.read_text(encoding="ascii").strip()
        except OSError as error:
            raise CommandFailed(f"--token-file: {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            text = ""
        if not text:
            raise CommandFailed(f"--token-file: {path}: holds no token")
    if text and not (text.isascii() and text.isprintable() and " " not in text):
        raise CommandFailed(f"{where}: holds no token")
    return text or None


def read_tls(files: TlsFiles) -> Tls | None:
    """Return the contents of the files; None: no TLS. Raises CommandFailed."""
    if files.authority is None:
        return None
    from gateway.cli.pem import read_authority, read_pair  # most calls need no TLS, and start faster without it

    authority = read_authority(files.authority)
    if files.certificate is None or files.key is None:
        return Tls(authority)
    return Tls(authority, *read_pair(files.certificate, files.key))


# --- requests -------------------------------------------------------------------------------------------------


def request_id(given: str | None = None) -> str:
    """The caller's id for a command: the given one, or a new one."""
    return given or new_request_id()


def connector(number: int) -> ConnectorAddress:
    """OCPP 1.6's connector number as an address."""
    return ConnectorAddress(evse=number, connector=1 if number else 0)


def charging_state(value: ChargingState.ValueType) -> str:
    """A connector's state in words: "out of service"."""
    return ChargingState.Name(value).removeprefix("CHARGING_STATE_").lower().replace("_", " ")


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
    """A span as the API writes it. Raises BadParameter for one that it has no room for."""
    made = Duration()
    try:
        made.FromTimedelta(timedelta(seconds=seconds))
    except (OverflowError, ValueError):
        raise typer.BadParameter(f"{seconds} seconds are longer than any span that can be sent") from None
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


def must_exist(gateway: GatewayClient, charge_point: str) -> None:
    """Raises grpc.RpcError, NOT_FOUND, where there is no such charge point: a list that is empty because its filter is
    mistyped must not look like one of a charge point that has nothing."""
    gateway.charge_points.GetChargePoint(GetChargePointRequest(identity=charge_point), timeout=READ_SECONDS)


def must_administer(gateway: GatewayClient) -> None:
    """Before a question whose yes would be refused: raises CommandFailed where the caller lacks the role `administer`.
    A gateway that does not say what its callers may do is asked the thing itself, after the question."""
    try:
        asks = gateway.server.GetServerInfo(GetServerInfoRequest(), timeout=READ_SECONDS)
    except grpc.RpcError as error:
        if problem_of(error).code is grpc.StatusCode.UNIMPLEMENTED:
            return
        raise
    if asks.HasField("caller") and Role.ROLE_ADMINISTER not in asks.caller.roles:
        metadata = {"caller": asks.caller.name, "role": "administer"}
        fail(f"the caller {asks.caller.name} lacks the role administer", ExitCode.FAILED, "ROLE_MISSING", metadata)


# --- errors ---------------------------------------------------------------------------------------------------


def describe(error: grpc.RpcError) -> str:
    """An error of the control interface for people: one line, and one more for each wrong field not named in it."""
    problem = problem_of(error)
    if not problem.reason and problem.code is grpc.StatusCode.UNAVAILABLE:
        return unreachable(TARGET.get(), problem.message)
    if not problem.reason and problem.code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return "the gateway did not answer in time"
    line = problem.message or problem.code.name.lower().replace("_", " ")
    if problem.reason:
        line += f" [{problem.reason}]"
    line += "".join(f", {name.replace('_', ' ')}: {value}" for name, value in _worth_telling(problem))
    wrong = [f"  {name}: {what}" for name, what in problem.violations if name not in problem.message]
    return "\n".join([line, *wrong])


NEVER_CONNECTED = ("failed to connect", "Connection refused", "errors resolving", "security handshaker")
"""Parts of gRPC's texts for a connection that did not come about: the request never left."""


def outcome_lost(problem: Problem) -> bool:
    """Return true if a request may have reached the gateway although its outcome is not known: no answer in time, or a
    connection that broke under it."""
    if problem.reason:
        return False
    if problem.code is grpc.StatusCode.UNAVAILABLE:
        return not any(part in problem.message for part in NEVER_CONNECTED)
    return problem.code is grpc.StatusCode.DEADLINE_EXCEEDED


def _worth_telling(problem: Problem) -> Iterator[tuple[str, str]]:
    """The metadata that the message does not repeat, times as ages too."""
    for name, value in sorted(problem.metadata.items()):
        if not value or value in problem.message:
            continue
        try:
            yield name, f"{value} ({age(datetime.fromisoformat(value))})"
        except (ValueError, TypeError):
            yield name, value


def unreachable(target: str, details: str) -> str:
    """The line for a target that could not be reached. ``details``: as gRPC has it."""
    for part, meaning in CAUSES:
        if part in details:
            return meaning.format(target=target)
    return f"no gateway answers at {target}: {details}"

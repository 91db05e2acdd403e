"""`gateway call`: any RPC by its name, with a request and its responses in JSON."""

import sys
from collections.abc import Iterator
from typing import Annotated, Final

import typer
from google.protobuf import descriptor_pool, json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.api.v1 import services
from gateway.cli.connection import COMMAND_SECONDS, DEFAULT_TARGET, TargetOption, as_dict, connect
from gateway.cli.output import out, print_json, print_json_line

PACKAGE: Final = "gateway.api.v1"
SERVICE: Final = "Service"


def methods() -> dict[str, MethodDescriptor]:
    """All RPCs, by the names that the command line has for them: ``ChargePoint/GetChargePoint``."""
    pool = descriptor_pool.Default()
    found = [
        pool.FindServiceByName(f"{PACKAGE}.{name}")
        for name, value in sorted(vars(services).items())
        if name.endswith(SERVICE) and isinstance(value, type)
    ]
    return {f"{each.name.removesuffix(SERVICE)}/{method.name}": method for each in found for method in each.methods}


def names(incomplete: str) -> list[str]:
    """The names that begin like this, for a shell."""
    return [name for name in methods() if name.startswith(incomplete)]


def call(
    method: Annotated[
        str | None,
        typer.Argument(metavar="SERVICE/METHOD", autocompletion=names, help="The RPC; without one all are listed."),
    ] = None,
    request: Annotated[
        str,
        typer.Argument(
            metavar="JSON", help="The request; - reads it from standard input, for a stream one from each line."
        ),
    ] = "{}",
    timeout: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds until a call is given up; of a stream: none unless set.")
    ] = None,
    target: TargetOption = DEFAULT_TARGET,
    json: Annotated[bool, typer.Option("--json", help="Print errors as JSON, too.")] = False,
) -> None:
    """Call any RPC, as docs/http.md writes its messages in JSON. Streams are printed as they come, a line each.

    An example: gateway call Command/ClearCache '{"chargePoint": "CP001", "requestId": "r-17"}'
    """
    known = methods()
    if method is None:
        for name in known:
            out().print(name)
        return
    short = method.replace("Service/", "/")
    if short not in known:
        raise typer.BadParameter(f"there is no RPC {method}: `gateway call` lists them", param_hint="SERVICE/METHOD")
    found = known[short]
    message = None if found.client_streaming and request == "-" else _read(found, _text(request))
    with connect(target) as gateway:
        rpc = getattr(gateway.channel, _kind(found))(
            f"/{found.containing_service.full_name}/{found.name}",
            request_serializer=GetMessageClass(found.input_type).SerializeToString,
            response_deserializer=GetMessageClass(found.output_type).FromString,
        )
        if not found.server_streaming:
            print_json(as_dict(rpc(message, timeout=timeout or COMMAND_SECONDS)))
            return
        asked = message if not found.client_streaming else _lines(found) if message is None else iter([message])
        for response in rpc(asked, timeout=timeout):
            print_json_line(as_dict(response))


def _kind(method: MethodDescriptor) -> str:
    client = "stream" if method.client_streaming else "unary"
    return f"{client}_{'stream' if method.server_streaming else 'unary'}"


def _text(request: str) -> str:
    return sys.stdin.read() if request == "-" else request


def _lines(method: MethodDescriptor) -> Iterator[Message]:
    """A request of each line of standard input."""
    for line in sys.stdin:
        if line.strip():
            yield _read(method, line)


def _read(method: MethodDescriptor, text: str) -> Message:
    """The request that JSON holds. Raises BadParameter."""
    message: Message = GetMessageClass(method.input_type)()
    if not text.lstrip().startswith("{"):
        raise typer.BadParameter("expected a JSON object", param_hint="JSON")
    try:
        return json_format.Parse(text, message)
    except (json_format.Error, ValueError, TypeError, ArithmeticError, LookupError, RecursionError) as error:
        raise typer.BadParameter(" ".join(str(error).split()), param_hint="JSON") from None

"""`gateway call`: any RPC by its name, with a request and its responses in JSON."""

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final

import grpc
import typer
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.api import strict_json
from gateway.api.v1 import services
from gateway.cli.connection import COMMAND_SECONDS, DEFAULT_TARGET, TargetOption, as_dict, connect
from gateway.cli.last_call import METHOD
from gateway.cli.option_values import refuse_typed
from gateway.cli.output import out, print_json, print_json_line

PACKAGE: Final = "gateway.api.v1"
SERVICE: Final = "Service"

MOST_SECONDS: Final = 7 * 86_400
"""Of a stream that was given a time: a week."""


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
        float | None,
        typer.Option(min=0.1, max=MOST_SECONDS, help="Seconds until a call is given up; of a stream: none unless set."),
    ] = None,
    target: TargetOption = DEFAULT_TARGET,
    json: Annotated[bool, typer.Option("--json", help="Print errors as JSON, too.")] = False,
) -> None:
    """Call any RPC, as docs/http.md writes its messages in JSON. Streams are printed as they come, a line each.

    An example: gateway call Command/ClearCache '{"chargePoint": "CP001", "requestId": "r-17"}'
    """
    known = methods()
    if method is None:
        refuse_typed("is for a call: name SERVICE/METHOD", timeout="--timeout", target="--target")
        for name in known:
            out().print(name)
        return
    short = method.replace("Service/", "/")
    if short not in known:
        raise typer.BadParameter(f"there is no RPC {method}: `gateway call` lists them", param_hint="SERVICE/METHOD")
    found = known[short]
    lines = Lines(found) if found.client_streaming and request == "-" else None
    message = None if lines is not None else _read(found, _text(request))
    with connect(target) as gateway:
        path = f"/{found.containing_service.full_name}/{found.name}"
        METHOD.set(path)
        rpc = getattr(gateway.channel, _kind(found))(
            path,
            request_serializer=GetMessageClass(found.input_type).SerializeToString,
            response_deserializer=GetMessageClass(found.output_type).FromString,
        )
        if not found.server_streaming:
            print_json(as_dict(rpc(message, timeout=timeout or COMMAND_SECONDS)))
            return
        if lines is not None:
            lines.send(rpc, timeout)
            return
        for response in rpc(iter([message]) if found.client_streaming else message, timeout=timeout):
            print_json_line(as_dict(response))


def _kind(method: MethodDescriptor) -> str:
    client = "stream" if method.client_streaming else "unary"
    return f"{client}_{'stream' if method.server_streaming else 'unary'}"


def _text(request: str) -> str:
    return sys.stdin.read() if request == "-" else request


class Lines:
    """Requests of a client that streams, one from each line of standard input.

    gRPC reads them in a thread of its own, and would end the call with a fault of its own: a line that is no request
    cancels the call, so that what came before it is not taken for all.
    """

    def __init__(self, method: MethodDescriptor) -> None:
        self._method = method
        self._wrong: typer.BadParameter | None = None
        self._call: Any = None
        self._begun = threading.Event()

    def send(self, rpc: Callable[..., Any], timeout: float | None) -> None:
        """Send them, and print the responses. Raises BadParameter for a line that is no request."""
        self._call = rpc(self._requests(), timeout=timeout)
        self._begun.set()
        try:
            for response in self._call:
                print_json_line(as_dict(response))
        except grpc.RpcError:
            if self._wrong is None:
                raise
        if self._wrong is not None:
            raise self._wrong

    def _requests(self) -> Iterator[Message]:
        for number, line in enumerate(sys.stdin, 1):
            if not line.strip():
                continue
            try:
                found = _read(self._method, line)
            except typer.BadParameter as error:
                self._wrong = typer.BadParameter(f"line {number}: {error.message}", param_hint="JSON")
                self._begun.wait()
                self._call.cancel()
                return
            yield found


def _read(method: MethodDescriptor, text: str) -> Message:
    """The request that JSON holds. Raises BadParameter."""
    message: Message = GetMessageClass(method.input_type)()
    if not text.lstrip().startswith("{"):
        raise typer.BadParameter("expected a JSON object", param_hint="JSON")
    try:
        return strict_json.from_text(text, message)
    except ValueError as error:
        raise typer.BadParameter(" ".join(str(error).split()), param_hint="JSON") from None

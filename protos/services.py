"""Makes typed services of a descriptor set: ``gateway/api/v1/services.py``, ``async_services.py`` and ``messages.py``.

Run by ``generate.py``. The services are what ``gateway-client`` shows its users: a method for each RPC, blocking or
``async``, over any transport of ``gateway/api/methods.py``.
"""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

ATTRIBUTES = {
    "CallerService": "callers",
    "ChargePointService": "charge_points",
    "CommandService": "commands",
    "EventService": "events",
    "IdTagService": "id_tags",
    "OperationService": "operations",
    "TransactionService": "transactions",
}
"""Names of services in a client that are plurals; the others are the service's own."""

READS = ("Get", "List", "Count", "Stream", "Watch", "Check", "Compute", "Estimate")
"""First words of methods that change nothing, unless their request has a request_id: then they are commands."""

READ_BY_REQUEST_ID = "GetCommand"
"""The read whose request_id is that of something that there is."""

NOTE = "# Generated from protos/ by `make protos`. Not to be edited."


def write(descriptors: FileDescriptorSet, package: str, folder: Path) -> None:
    """Write the three modules. ``descriptors``: with source information, for the comments."""
    files = [each for each in descriptors.file if each.package == package]
    prefix = package
    (folder / "messages.py").write_text(_messages(files, prefix), encoding="utf-8")
    (folder / "services.py").write_text(_services(files, prefix, asynchronous=False), encoding="utf-8")
    (folder / "async_services.py").write_text(_services(files, prefix, asynchronous=True), encoding="utf-8")


def snake(name: str) -> str:
    """A name of protobuf's as Python writes it."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def module(file: FileDescriptorProto) -> str:
    """The module of a file's messages."""
    return Path(file.name).stem + "_pb2"


def _names(file: FileDescriptorProto) -> Iterator[str]:
    yield from (each.name for each in file.message_type)
    for enum in file.enum_type:
        yield enum.name
        yield from (value.name for value in enum.value)


def _messages(files: list[FileDescriptorProto], package: str) -> str:
    lines = [NOTE, '"""All messages, enums and values of the interface under one name."""', ""]
    everything = []
    for file in files:
        names = sorted(_names(file))
        everything += names
        if names:
            lines += [f"from {package}.{module(file)} import ("]
            lines += [f"    {name} as {name}," for name in names]
            lines += [")"]
    lines += ["", "__all__ = ["]
    lines += [f'    "{name}",' for name in sorted(everything)]
    return "\n".join([*lines, "]", ""])


def _services(files: list[FileDescriptorProto], package: str, *, asynchronous: bool) -> str:
    transport = "AsyncTransport" if asynchronous else "Transport"
    stream = "AsyncResponseStream" if asynchronous else "ResponseStream"
    requests = "AsyncIterable" if asynchronous else "Iterable"
    kind = "`async` methods" if asynchronous else "methods that block"
    lines = [
        NOTE,
        f'"""The services of the interface as classes: {kind}, over any transport."""',
        "",
        f"from collections.abc import {requests}",
        "",
        f"from gateway.api.methods import Method, Repeatable, {stream}, {transport}",
        f"from {package} import messages as v1",
    ]
    attributes = []
    for file in files:
        for index, service in enumerate(file.service):
            comments = _comments(file)
            attributes.append((ATTRIBUTES.get(service.name, snake(service.name.removesuffix("Service"))), service.name))
            lines += ["", "", f"class {service.name}:", *_docstring(comments.get((6, index), ""), 4), ""]
            lines += [f"    def __init__(self, transport: {transport}) -> None:", "        self._transport = transport"]
            for number, method in enumerate(service.method):
                comment = comments.get((6, index, 2, number), "")
                lines += ["", *_method(file, service, method, comment, stream, requests, asynchronous=asynchronous)]
    lines += ["", "", "class Services:", '    """All services, over one transport."""', ""]
    lines += [f"    def __init__(self, transport: {transport}) -> None:"]
    lines += [f"        self.{name} = {service}(transport)" for name, service in sorted(attributes)]
    return "\n".join([*lines, ""])


def _method(
    file: FileDescriptorProto,
    service: ServiceDescriptorProto,
    method: MethodDescriptorProto,
    comment: str,
    stream: str,
    requests: str,
    *,
    asynchronous: bool,
) -> list[str]:
    asked, answered = (f"v1.{name.rpartition('.')[2]}" for name in (method.input_type, method.output_type))
    fields = {
        field.name
        for message in file.message_type
        if message.name == method.input_type.rpartition(".")[2]
        for field in message.field
    }
    value = (
        f'Method("/{file.package}.{service.name}/{method.name}", {asked}, {answered}, '
        f"Repeatable.{repeatable(method.name, fields)})"
    )
    name = snake(method.name)
    doc = _docstring(comment, 8)
    if not method.server_streaming:
        define, wait = ("async def", "await ") if asynchronous else ("def", "")
        return [
            f"    {define} {name}(self, request: {asked}, timeout: float | None = None) -> {answered}:",
            *doc,
            f"        return {wait}self._transport.unary({value}, request, timeout)",
        ]
    if not method.client_streaming:
        return [
            f"    def {name}(self, request: {asked}, timeout: float | None = None) -> {stream}[{answered}]:",
            *doc,
            f"        return self._transport.stream({value}, request, timeout)",
        ]
    return [
        f"    def {name}(",
        f"        self, requests: {requests}[{asked}], timeout: float | None = None",
        f"    ) -> {stream}[{answered}]:",
        *doc,
        f"        return self._transport.both({value}, requests, timeout)",
    ]


def repeatable(name: str, fields: set[str]) -> str:
    """The name of the way in which a method may be repeated, by its name and its request's fields."""
    if "request_id" in fields and name != READ_BY_REQUEST_ID:
        return "BY_REQUEST_ID"
    return "READ" if name.startswith(READS) else "NEVER"


def _comments(file: FileDescriptorProto) -> dict[tuple[int, ...], str]:
    """The comment before each element, by the element's path."""
    return {tuple(each.path): each.leading_comments.strip() for each in file.source_code_info.location}


def _docstring(comment: str, indent: int) -> list[str]:
    text = " ".join(comment.split()).replace("\\", "\\\\").replace('"""', "'''")
    margin = " " * indent
    if not text:
        return [f'{margin}"""No description."""']
    lines = textwrap.wrap(f'"""{text}', 116 - indent)
    return [f"{margin}{line}" for line in lines[:-1]] + [f'{margin}{lines[-1]}"""']

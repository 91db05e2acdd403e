"""The reference of the gRPC interface, made from the protos: a page for each file, and a list of all methods."""

import tempfile
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)
from grpc_tools import protoc

from gateway.control.access import NEEDS
from protos import services

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "gateway.api.v1"

EXAMPLES = {
    "CreateChargePoint": "provision",
    "CreateIdTag": "provision",
    "WatchEvents": "watch",
    "WatchOperation": "follow",
    "StartCharging": "charge",
    "LimitCharging": "charge",
    "StopCharging": "charge",
    "GetTransaction": "charge",
}
"""Methods that an example calls, and its part of the example's files."""

REPEATS = {
    "READ": "it changes nothing: after a connection that broke it is asked again",
    "BY_REQUEST_ID": "with the same `request_id` it is safe to repeat",
    "NEVER": "repeated only where the error says that nothing was done; else read first",
}

Path_ = tuple[int, ...]


def described() -> list[FileDescriptorProto]:
    """The files of the interface, with their comments."""
    protos = ROOT / "protos"
    sources = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "set")
        search = [f"--proto_path={protos}", f"--proto_path={files('grpc_tools') / '_proto'}"]
        if protoc.main(["protoc", *search, "--include_source_info", f"--descriptor_set_out={made}", *sources]):
            raise SystemExit("the protos can't be compiled")
        found = FileDescriptorSet.FromString(made.read_bytes())
    return [each for each in found.file if each.package == PACKAGE]


class Reference:
    """All files, and where each type is described."""

    def __init__(self, described_files: list[FileDescriptorProto], example: Callable[[str], str]) -> None:
        self.files = described_files
        self._example = example
        self._homes: dict[str, str] = {}
        for file in described_files:
            names = [*(each.name for each in file.message_type), *(each.name for each in file.enum_type)]
            self._homes |= {f".{file.package}.{name}": Path(file.name).stem for name in names}

    def page(self, file: FileDescriptorProto) -> str:
        """The page of a file."""
        self._here = Path(file.name).stem
        self._comments = {tuple(each.path): each.leading_comments for each in file.source_code_info.location}
        self._file = file
        parts = [f"# {file.service[0].name if file.service else Path(file.name).name}\n"]
        for index, service in enumerate(file.service):
            parts += self._service(service, index)
        asked = {method.input_type for service in file.service for method in service.method}
        answered = {method.output_type for service in file.service for method in service.method}
        shown = {name.rpartition(".")[2] for name in asked | answered}
        others = [(i, message) for i, message in enumerate(file.message_type) if message.name not in shown]
        if others or file.enum_type:
            parts.append("## Messages and enums\n")
        for i, message in others:
            parts.append(
                f"### {message.name} {{#{message.name}}}\n\n{self._text((4, i))}\n\n{self._fields(message, i)}"
            )
        for i, enum in enumerate(file.enum_type):
            parts.append(f"### {enum.name} {{#{enum.name}}}\n\n{self._text((5, i))}\n\n{self._values(enum, i)}")
        return "\n".join(parts)

    def index(self) -> str:
        """The list of all methods."""
        rows = [
            f"| [{method.name}]({Path(file.name).stem}.md#{method.name}) | {service.name} | "
            f"{_first(self._comment_of(file, (6, s, 2, m)))} |"
            for file in self.files
            for s, service in enumerate(file.service)
            for m, method in enumerate(service.method)
        ]
        head = (
            "# Reference\n\nMade from the protos, which say the same to compilers. [The gRPC interface](../api.md) has "
            "what holds for all of it.\n\n| method | service | |\n| --- | --- | --- |\n"
        )
        return head + "\n".join(sorted(rows)) + "\n"

    def _service(self, service: ServiceDescriptorProto, index: int) -> Iterator[str]:
        yield f"{self._text((6, index))}\n"
        yield "## Methods\n"
        for number, method in enumerate(service.method):
            yield self._method(service, method, (6, index, 2, number))

    def _method(self, service: ServiceDescriptorProto, method: MethodDescriptorProto, path: Path_) -> str:
        asked, answered = (self._message(name) for name in (method.input_type, method.output_type))
        fields = {field.name for field in asked[1].field}
        attribute = services.ATTRIBUTES.get(service.name, services.snake(service.name.removesuffix("Service")))
        need = str(NEEDS[f"{PACKAGE}.{service.name}"][method.name].value)
        streams = [
            kind for kind, on in (("client", method.client_streaming), ("server", method.server_streaming)) if on
        ]
        lines = [
            f"### {method.name} {{#{method.name}}}\n",
            f"{self._text(path)}\n",
            "| | |\n| --- | --- |",
            f"| path | `/{PACKAGE}.{service.name}/{method.name}` |",
            f"| Python | `gateway.{attribute}.{services.snake(method.name)}(v1.{asked[1].name}(...))` |",
            *([f"| streams | {' and '.join(streams)} |"] if streams else []),
            f"| needs | {need} |",
            f"| repeated | {REPEATS[services.repeatable(method.name, fields)]} |\n",
            f"**{asked[1].name}**\n\n{self._fields(asked[1], asked[0])}",
            f"**{answered[1].name}**\n\n{self._fields(answered[1], answered[0])}",
        ]
        if method.name in EXAMPLES:
            lines.append(self._example(EXAMPLES[method.name]))
        return "\n".join(lines)

    def _message(self, name: str) -> tuple[int, DescriptorProto]:
        """A method's message, which is in its service's file."""
        short = name.rpartition(".")[2]
        return next((i, each) for i, each in enumerate(self._file.message_type) if each.name == short)

    def _fields(self, message: DescriptorProto, index: int) -> str:
        if not message.field:
            return "No fields.\n"
        rows = ["| field | type | |", "| --- | --- | --- |"]
        maps = {each.name: each for each in message.nested_type if each.options.map_entry}
        for i, field in enumerate(message.field):
            words = _line(self._comments.get((4, index, 2, i), ""))
            if field.HasField("oneof_index") and not field.proto3_optional:
                words = f"*One of {message.oneof_decl[field.oneof_index].name}.* {words}"
            rows.append(f"| `{field.name}` | {self._type(field, maps)} | {words} |")
        return "\n".join([*rows, ""])

    def _values(self, enum: EnumDescriptorProto, index: int) -> str:
        rows = ["| value | number | |", "| --- | --- | --- |"]
        for i, value in enumerate(enum.value):
            rows.append(f"| `{value.name}` | {value.number} | {_line(self._comments.get((5, index, 2, i), ''))} |")
        return "\n".join([*rows, ""])

    def _type(self, field: FieldDescriptorProto, maps: dict[str, DescriptorProto]) -> str:
        short = field.type_name.rpartition(".")[2]
        if short in maps:
            key, value = maps[short].field
            return f"map of {self._type(key, {})} to {self._type(value, {})}"
        if field.type_name in self._homes:
            home = self._homes[field.type_name]
            target = f"{home}.md" if home != self._here else ""
            shown = self._shown(field.type_name)
            name = f"[{short}]({target}#{shown})" if shown else short
        elif field.type_name:
            name = f"`{field.type_name[1:]}`"
        else:
            name = f"`{FieldDescriptorProto.Type.Name(field.type).removeprefix('TYPE_').lower()}`"
        if field.label == FieldDescriptorProto.LABEL_REPEATED:
            return f"repeated {name}"
        return f"optional {name}" if field.proto3_optional else name

    def _shown(self, name: str) -> str:
        """The anchor of a type: its own, or its method's for a request or a response."""
        short = name.rpartition(".")[2]
        for file in self.files:
            for service in file.service:
                for method in service.method:
                    if name in (method.input_type, method.output_type):
                        return method.name
        return short

    def _text(self, path: Path_) -> str:
        paragraphs = self._comments.get(path, "").strip().split("\n\n")
        return "\n\n".join(_line(each) for each in paragraphs) or "No description."

    @staticmethod
    def _comment_of(file: FileDescriptorProto, path: Path_) -> str:
        return next((e.leading_comments for e in file.source_code_info.location if tuple(e.path) == path), "")


def _line(comment: str) -> str:
    """A comment as one line of Markdown, with nothing in it taken for markup."""
    text = " ".join(comment.split())
    for mark in "\\`*_<>[]|":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("\\<", "&lt;").replace("\\>", "&gt;")


def _first(comment: str) -> str:
    """The first sentence of a comment."""
    text = " ".join(comment.split())
    return _line(text.partition(". ")[0].rstrip(".") + ".")


def write(folder: Path, example: Callable[[str], str]) -> list[str]:
    """Write the pages; the names of all but the list. ``example`` gives an example by its mark."""
    reference = Reference(described(), example)
    (folder / "index.md").write_text(reference.index(), encoding="utf-8")
    names = []
    for file in reference.files:
        name = f"{Path(file.name).stem}.md"
        (folder / name).write_text(reference.page(file), encoding="utf-8")
        names.append(name)
    return sorted(names)

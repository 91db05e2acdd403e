"""Makes an OpenAPI 3.1 document of a descriptor set: ``gateway/api/v1/openapi.json``, for clients over HTTP and JSON.

Run by ``generate.py``. Paths and verbs are those of ``gateway.control.http.methods``, schemas those of ProtoJSON, and
descriptions the comments of the protos.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

from gateway.control.http.methods import PREFIX, RESUMED, reads

NAME = "openapi.json"
Schema = dict[str, Any]
Comments = Mapping[tuple[int, ...], str]

KINDS: Mapping[int, Schema] = {
    FieldDescriptorProto.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptorProto.TYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptorProto.TYPE_INT64: {"type": "string", "format": "int64"},
    FieldDescriptorProto.TYPE_UINT64: {"type": "string", "format": "uint64"},
    FieldDescriptorProto.TYPE_SINT64: {"type": "string", "format": "int64"},
    FieldDescriptorProto.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptorProto.TYPE_UINT32: {"type": "integer", "format": "int64", "minimum": 0},
    FieldDescriptorProto.TYPE_SINT32: {"type": "integer", "format": "int32"},
    FieldDescriptorProto.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptorProto.TYPE_STRING: {"type": "string"},
    FieldDescriptorProto.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
}
"""Scalars as ProtoJSON writes them."""

WELL_KNOWN: Mapping[str, Schema] = {
    ".google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    ".google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    ".google.protobuf.FieldMask": {"type": "string", "description": "Names of fields in lowerCamelCase, with commas."},
}
"""Messages that are a text in JSON."""

ABOUT = (
    "The methods of the gateway's control interface over HTTP and JSON. Each is POST with a JSON body; those that "
    "change nothing and ask no charger are GET as well, with the fields of the request as parameters: a field of a "
    "message follows a dot, and so does a map's key, or it stands in brackets. What a GET has no parameter for goes by "
    "POST. A method that streams its responses answers with lines of JSON, or with "
    "server-sent events where Accept asks for them."
)

ERROR: Schema = {
    "type": "object",
    "description": "An error as in AIP-193. Programs go by the reason of the ErrorInfo.",
    "required": ["error"],
    "properties": {"error": {"$ref": "#/components/schemas/ErrorBody"}},
}
ERROR_BODY: Schema = {
    "type": "object",
    "required": ["code", "message", "status", "details"],
    "properties": {
        "code": {"type": "integer", "description": "The HTTP code."},
        "message": {"type": "string", "description": "Words for people."},
        "status": {"type": "string", "description": "The name of a google.rpc.Code."},
        "details": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["@type"],
                "properties": {
                    "@type": {"type": "string"},
                    "reason": {"type": "string", "description": "A name of ErrorReason, or a charger's code."},
                    "domain": {"type": "string"},
                    "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
                    "fieldViolations": {"type": "array", "items": {"type": "object"}},
                },
            },
        },
    },
}

DEADLINE: Schema = {
    "name": "Connect-Timeout-Ms",
    "in": "header",
    "description": "The deadline, in milliseconds.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 9_999_999_999},
}
RESUME: Schema = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that was handled: the watch goes on after it.",
    "schema": {"type": "string"},
}


def write(descriptors: FileDescriptorSet, package: str, folder: Path) -> None:
    """Write the document. ``descriptors``: with source information, for the descriptions."""
    text = json.dumps(document(descriptors, package), ensure_ascii=False, indent=1)
    (folder / NAME).write_text(text + "\n", encoding="utf-8")


def document(descriptors: FileDescriptorSet, package: str) -> Schema:
    """The document of a package."""
    schemas: dict[str, Schema] = {}
    paths: dict[str, Schema] = {}
    tags = []
    files = [file for file in descriptors.file if file.package == package]
    messages = {message.name: message for file in files for message in file.message_type}
    for file in files:
        comments = _comments(file)
        for index, message in enumerate(file.message_type):
            schemas.update(_message(message, (4, index), comments, message.name))
        for index, enum in enumerate(file.enum_type):
            schemas[enum.name] = _enum(enum, (5, index), comments)
        for index, service in enumerate(file.service):
            found = dict(_service(service, (6, index), comments, package, messages))
            if found:
                tags.append({"name": service.name, **_described(comments, (6, index))})
                paths.update(found)
    return {
        "openapi": "3.1.0",
        "info": {"title": package, "version": package.rpartition(".")[2], "description": ABOUT},
        "security": [{"token": []}, {"certificate": []}],
        "tags": sorted(tags, key=lambda tag: str(tag["name"])),
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token of the gateway's, or a JWT."},
                "certificate": {"type": "mutualTLS", "description": "A client certificate of control.client_ca."},
            },
            "responses": {
                "Error": {
                    "description": "The call ended in an error.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
            },
            "schemas": dict(sorted({**schemas, "Error": ERROR, "ErrorBody": ERROR_BODY}.items())),
        },
    }


def _comments(file: FileDescriptorProto) -> Comments:
    """The comments of a file, by the path of what they are about."""
    return {
        tuple(each.path): " ".join(each.leading_comments.split())
        for each in file.source_code_info.location
        if each.leading_comments
    }


def _described(comments: Comments, path: tuple[int, ...]) -> Schema:
    return {"description": comments[path]} if path in comments else {}


# --- schemas ----------------------------------------------------------------------------------------------------------


def _message(
    message: DescriptorProto, path: tuple[int, ...], comments: Comments, name: str
) -> Iterator[tuple[str, Schema]]:
    """A message and those inside of it, by their names in the document."""
    maps = {each.name: each for each in message.nested_type if each.options.map_entry}
    properties = {
        field.json_name: {**_field(field, maps), **_described(comments, (*path, 2, index))}
        for index, field in enumerate(message.field)
    }
    yield name, {"type": "object", **_described(comments, path), "properties": properties}
    for index, inner in enumerate(message.nested_type):
        if not inner.options.map_entry:
            yield from _message(inner, (*path, 3, index), comments, f"{name}.{inner.name}")
    for index, enum in enumerate(message.enum_type):
        yield f"{name}.{enum.name}", _enum(enum, (*path, 4, index), comments)


def _field(field: FieldDescriptorProto, maps: Mapping[str, DescriptorProto]) -> Schema:
    entry = maps.get(field.type_name.rpartition(".")[2]) if field.type_name else None
    if entry is not None:
        return {"type": "object", "additionalProperties": _value(entry.field[1])}
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return {"type": "array", "items": _value(field)}
    return _value(field)


def _value(field: FieldDescriptorProto) -> Schema:
    if field.type in KINDS:
        return dict(KINDS[field.type])
    if field.type_name in WELL_KNOWN:
        return dict(WELL_KNOWN[field.type_name])
    return _reference(field.type_name)


def _reference(type_name: str) -> Schema:
    """A reference to a message or an enum of the package, by its full name."""
    short = type_name.removeprefix(".gateway.api.v1.")
    if short.startswith("."):
        raise ValueError(f"{type_name}: its form in JSON is not known here")
    return {"$ref": f"#/components/schemas/{short}"}


def _enum(enum: EnumDescriptorProto, path: tuple[int, ...], comments: Comments) -> Schema:
    values = [f"`{each.name}`: {text}" for index, each in enumerate(enum.value)
              if (text := comments.get((*path, 2, index)))]  # fmt: skip
    words = "\n".join(part for part in (comments.get(path, ""), *values) if part)
    return {"type": "string", "description": words, "enum": [each.name for each in enum.value]}


# --- paths ------------------------------------------------------------------------------------------------------------


def _service(
    service: ServiceDescriptorProto,
    path: tuple[int, ...],
    comments: Comments,
    package: str,
    messages: Mapping[str, DescriptorProto],
) -> Iterator[tuple[str, Schema]]:
    for index, method in enumerate(service.method):
        if method.client_streaming:
            continue
        name = f"/{package}.{service.name}/{method.name}"
        words = _described(comments, (*path, 2, index))
        resume = [RESUME] if name in RESUMED else []
        shared = {"tags": [service.name], **words, "responses": _responses(method)}
        found: Schema = {
            "post": {
                "operationId": f"{service.name}_{method.name}",
                **shared,
                "parameters": [DEADLINE, *resume],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": _reference(method.input_type)}},
                },
            }
        }
        if reads(name):
            request = messages[method.input_type.removeprefix(f".{package}.")]
            found["get"] = {
                "operationId": f"{service.name}_{method.name}_by_GET",
                **shared,
                "parameters": [DEADLINE, *resume, *_parameters(request, messages, package)],
            }
        yield f"{PREFIX}{service.name}/{method.name}", found


def _parameters(
    request: DescriptorProto, messages: Mapping[str, DescriptorProto], package: str, before: str = ""
) -> Iterator[Schema]:
    """The fields that go into a query: those of a message behind its name, and a map as the object that it is. A list
    of messages does not."""
    maps = {each.name: each for each in request.nested_type if each.options.map_entry}
    for field in request.field:
        name = f"{before}{field.json_name}"
        if field.type in KINDS or field.type_name in WELL_KNOWN or field.type == FieldDescriptorProto.TYPE_ENUM:
            yield {"name": name, "in": "query", "schema": _field(field, {})}
        elif (entry := maps.get(field.type_name.rpartition(".")[2])) is not None:
            if entry.field[1].type in KINDS:
                schema = _field(field, maps)
                yield {"name": name, "in": "query", "style": "deepObject", "explode": True, "schema": schema}
        elif field.label != FieldDescriptorProto.LABEL_REPEATED:
            inner = messages[field.type_name.removeprefix(f".{package}.")]
            yield from _parameters(inner, messages, package, f"{name}.")


def _responses(method: MethodDescriptorProto) -> Schema:
    response = _reference(method.output_type)
    content: Schema = {"application/json": {"schema": response}}
    if method.server_streaming:
        line = {"type": "object", "properties": {"result": response, "error": _reference("ErrorBody")}}
        content = {
            "application/x-ndjson": {"schema": line},
            "text/event-stream": {"schema": {"type": "string", "description": "Events whose data is a response."}},
        }
    return {
        "200": {"description": "The responses." if method.server_streaming else "The response.", "content": content},
        "default": {"$ref": "#/components/responses/Error"},
    }

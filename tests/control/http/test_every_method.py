"""Every method over HTTP beside gRPC, and the OpenAPI document that describes them."""

import json
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any
from urllib.parse import urlencode

import grpc
import jsonschema_rs
import pytest
import trio
from google.protobuf import descriptor_pool, json_format
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from gateway.client import GatewayClient, problem_of
from gateway.control.access import NEEDS
from gateway.control.http.messages import from_query
from gateway.control.http.methods import PACKAGE, RESUMED, reads
from gateway.domain.callers import Role
from tests.control.fakes import Control, control
from tests.control.http.client import Answer, HttpClient, client
from tests.control.http.test_callers import bearer, known, required
from tests.support.named_tests import REPOSITORY

DOCUMENT = json.loads(resources.files("gateway.api.v1").joinpath("openapi.json").read_text(encoding="utf-8"))

TO_CP1 = {"chargePoint": "CP1", "requestId": "r1"}
CONNECTOR = {"evse": 1, "connector": 1}

ASKED: Mapping[str, dict[str, Any]] = {
    "ChargePointService/GetChargePoint": {"identity": "CP1"},
    "ChargePointService/GetLatestReadings": {"chargePoints": ["CP1"]},
    "ChargePointService/DisconnectChargePoint": {"identity": "CP1"},
    "ChargePointService/UpdateChargePoint": {"chargePoint": {"identity": "CP1"}, "updateMask": "description"},
    "CommandService/CancelReservation": {**TO_CP1, "reservationId": 1},
    "CommandService/ChangeAvailability": {**TO_CP1, "connector": CONNECTOR, "type": 1},
    "CommandService/ClearCache": TO_CP1,
    "CommandService/RemoteStartTransaction": {**TO_CP1, "connector": CONNECTOR, "idTag": "TAG"},
    "CommandService/Reset": {**TO_CP1, "type": "RESET_TYPE_SOFT"},
    "CommandService/TriggerMessage": {**TO_CP1, "requestedMessage": 1},
    "IdTagService/CheckIdTag": {"idTag": "TAG", "chargePoint": "CP1"},
    "SteeringService/GetSteering": {"chargePoint": "CP1"},
    "DiagnosticsService/ListFrames": {"chargePoint": "CP1"},
}
"""Requests that are answered with more than a refusal; those of other methods are empty."""

DIFFERS = {"updateTime", "etag", "clockTime", "steadyDuration", "statusTime"}
"""Fields that say when or how often something was done."""


def unary() -> dict[str, MethodDescriptor]:
    """The methods that have one request and one response, by their paths behind the prefix."""
    return {
        f"{service.rpartition('.')[2]}/{name}": method
        for service, names in NEEDS.items()
        if service.startswith(f"{PACKAGE}.")
        for name in names
        for method in [descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]]
        if not method.client_streaming and not method.server_streaming
    }


def without(value: Any) -> Any:
    """JSON without the fields that differ between two calls."""
    if isinstance(value, dict):
        return {key: without(each) for key, each in value.items() if key not in DIFFERS}
    return [without(each) for each in value] if isinstance(value, list) else value


async def over_grpc(gateway: Control, token: str, method: MethodDescriptor, body: dict[str, Any]) -> Any:
    """The response as JSON, or status, reason and metadata of its error."""
    request = json_format.ParseDict(body, GetMessageClass(method.input_type)())
    name = f"/{method.containing_service.full_name}/{method.name}"

    def call() -> Any:
        with GatewayClient(f"127.0.0.1:{gateway.port}", token=token) as found:
            send = found.channel.unary_unary(
                name,
                request_serializer=GetMessageClass(method.input_type).SerializeToString,
                response_deserializer=GetMessageClass(method.output_type).FromString,
            )
            try:
                return json_format.MessageToDict(send(request, timeout=10))
            except grpc.RpcError as error:
                problem = problem_of(error)
                return problem.code.name, problem.reason, problem.metadata

    return await trio.to_thread.run_sync(call)


async def over_http(http: HttpClient, path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
    """The same over HTTP."""
    return outcome(await http.post(f"/v1/{path}", body, **headers))


def outcome(answer: Answer) -> Any:
    """The response, or status, reason and metadata."""
    if answer.code == 200:
        return answer.json
    info = answer.json["error"]["details"][0]
    return answer.json["error"]["status"], info["reason"], info.get("metadata", {})


async def test_every_method_ends_as_over_grpc(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused without a token; with one the same response, of the form that OpenAPI says, or the same error."""
    monkeypatch.setattr("gateway.control.services.refused_calls.AT_ONCE", 0)
    answered = set()
    async with control(tmp_path, required()) as gateway, client(gateway) as http:
        await gateway.charge_point()
        token = await known(gateway, Role.ADMINISTER)
        for path, method in unary().items():
            body = ASKED.get(path, {})
            refused = await over_http(http, path, body, {})
            assert refused == ("UNAUTHENTICATED", "CALLER_NOT_NAMED", {}), path
            found = await over_http(http, path, body, bearer(token))
            expected = await over_grpc(gateway, token, method, body)
            assert (path, without(found)) == (path, without(expected))
            if reads(f"/{method.containing_service.full_name}/{method.name}"):
                got = await http.get(f"/v1/{path}?{urlencode(body, doseq=True)}", **bearer(token))
                assert without(outcome(got)) == without(expected), path
            if isinstance(found, dict):
                answered.add(path)
                validator(method.output_type.full_name.removeprefix(f"{PACKAGE}.")).validate(found)
    assert answered >= ASKED.keys() - {"ChargePointService/DisconnectChargePoint"}
    assert len(answered) >= 29


def strict(value: Any) -> Any:
    """A schema that takes no other properties than those it names."""
    if isinstance(value, dict):
        closed = {"additionalProperties": False} if isinstance(value.get("properties"), dict) else {}
        return {**{key: strict(each) for key, each in value.items()}, **closed}
    return [strict(each) for each in value] if isinstance(value, list) else value


STRICT = strict(DOCUMENT["components"]["schemas"])


def validator(name: str) -> Any:
    """The check of a message's JSON."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": STRICT}}
    return jsonschema_rs.validator_for(schema)


def test_the_document_is_one_of_openapi() -> None:
    """By the schema of OpenAPI 3.1, every reference resolved."""
    validate(DOCUMENT, cls=OpenAPIV31SpecValidator)


def test_the_document_has_every_method_and_no_other() -> None:
    """With the verbs that it takes; those whose client streams are gRPC's."""
    expected = {}
    for service, names in NEEDS.items():
        if not service.startswith(f"{PACKAGE}."):
            continue
        for name in names:
            method = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
            if not method.client_streaming:
                verbs = {"get", "post"} if reads(f"/{service}/{name}") else {"post"}
                expected[f"/v1/{service.rpartition('.')[2]}/{name}"] = verbs
    assert {path: set(verbs) for path, verbs in DOCUMENT["paths"].items()} == expected


def test_the_page_says_what_to_do_instead_of_each_method_that_is_not_there() -> None:
    """Those whose client streams, and no others."""
    page = (REPOSITORY / "docs" / "http.md").read_text(encoding="utf-8")
    table = page.partition("\n## Methods whose client streams\n")[2].partition("\n## ")[0]
    pool = descriptor_pool.Default()
    streamed = {
        name
        for service, names in NEEDS.items()
        if service.startswith(f"{PACKAGE}.")
        for name in names
        if pool.FindServiceByName(service).methods_by_name[name].client_streaming
    }
    assert set(re.findall(r"(?m)^\| `(\w+)` \|", table)) == streamed


def test_the_document_says_what_resumes() -> None:
    """By the header Last-Event-ID."""
    found = {
        f"/{PACKAGE}.{path.removeprefix('/v1/')}"
        for path, verbs in DOCUMENT["paths"].items()
        if any(each["name"] == "Last-Event-ID" for each in verbs["post"]["parameters"])
    }
    assert found == RESUMED


SCALARS = {"boolean": "true", "integer": "1", "number": "1", "string": "1"}
"""A value of each kind, as it stands in a query."""


def given(parameter: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A parameter of the document with a value, as the document says that it is written."""
    schema = parameter["schema"]
    if parameter.get("style") == "deepObject":
        assert schema["type"] == "object"
        return [(f"{parameter['name']}[{key}]", SCALARS[schema["additionalProperties"]["type"]]) for key in "ab"]
    if schema.get("type") == "array":
        return [*given({**parameter, "schema": schema["items"]})] * 2
    if "$ref" in schema:
        return [(parameter["name"], DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["enum"][1])]
    texts = {"date-time": "2026-01-01T00:00:00Z", "base64": "AAAA"}
    text = texts.get(schema.get("format") or schema.get("contentEncoding"), SCALARS[schema["type"]])
    text = "1s" if "pattern" in schema else text
    return [(parameter["name"], text)]


def into_queries(descriptor: Descriptor, before: str = "") -> Iterator[str]:
    """The fields that a query takes, as it has them: found by trying."""
    for field in descriptor.fields:
        name = f"{before}{field.json_name}"
        kind = field.message_type
        well_known = kind is not None and kind.full_name.startswith("google.protobuf.")
        if kind is not None and not well_known and not field.is_repeated:
            yield from into_queries(kind, f"{name}.")
        elif kind is None or well_known or kind.GetOptions().map_entry:
            yield name


def test_the_document_has_each_parameter_that_a_query_takes() -> None:
    """Maps and the fields of messages among them; each fills its field when it is written as the document says."""
    got = {path: verbs["get"] for path, verbs in DOCUMENT["paths"].items() if "get" in verbs}
    maps = 0
    for path, found in got.items():
        service, _, method = path.removeprefix("/v1/").partition("/")
        request = descriptor_pool.Default().FindServiceByName(f"{PACKAGE}.{service}").methods_by_name[method].input_type
        parameters = {each["name"]: each for each in found["parameters"] if each.get("in") == "query"}
        assert (path, sorted(parameters)) == (path, sorted(into_queries(request)))
        for name, parameter in parameters.items():
            filled: Any = json_format.MessageToDict(from_query(request, urlencode(given(parameter))))
            for part in name.split("."):
                filled = filled[part]
            if isinstance(filled, dict):
                assert filled == {"a": "1", "b": "1"}
                maps += 1
    assert maps >= 11


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GetChargePointRequest", {"identity": 5}),
        ("GetChargePointRequest", {"colour": "red"}),
        ("WatchEventsRequest", {"startAt": "NO_SUCH"}),
        ("WatchMeterValuesRequest", {"latestInterval": "1 s"}),
        ("ListChargePointsRequest", {"labels": {"a": 1}}),
    ],
)
def test_the_document_refuses_what_is_no_such_message(name: str, value: Any) -> None:
    """So that a test against it can fail."""
    with pytest.raises(jsonschema_rs.ValidationError):
        validator(name).validate(value)

"""Unary calls over HTTP: the same answers as over gRPC, and errors that say the same."""

import json
from typing import Any

import pytest
import trio
from google.protobuf import json_format

from gateway.api.v1 import charge_point_pb2
from gateway.control.http import server
from gateway.control.http.connection import BodyBudget
from gateway.control.services.deserialization import MAX_REQUEST_BYTES
from tests.control.fakes import control
from tests.control.http.client import JSON, client, settings

GET_CHARGE_POINT = "/v1/ChargePointService/GetChargePoint"
RESET = "/v1/CommandService/Reset"
SOFT = {"chargePoint": "CP1", "requestId": "r1", "type": "RESET_TYPE_SOFT"}


async def test_an_answer_is_that_of_grpc(tmp_path: Any) -> None:
    """As protobuf's JSON, with names in either spelling in the request; by POST, and by GET where it only reads."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        await gateway.charge_point()
        asked = charge_point_pb2.GetChargePointRequest(identity="CP1")
        expected = await gateway.call(gateway.client.charge_points.GetChargePoint, asked)
        posted = await http.post(GET_CHARGE_POINT, {"identity": "CP1"})
        assert (posted.code, posted.headers["content-type"]) == (200, "application/json")
        assert posted.json == json_format.MessageToDict(expected)
        assert (await http.get(f"{GET_CHARGE_POINT}?identity=CP1")).json == posted.json
        lists = "/v1/ChargePointService/ListChargePoints"
        for body in ({"pageSize": 1, "labels": {"a.b": "c"}}, {"page_size": 1, "labels": {"a.b": "c"}}):
            assert "chargePoints" not in (await http.post(lists, body)).json
        assert "chargePoints" not in (await http.get(f"{lists}?page_size=1&labels.a.b=c")).json
        assert "chargePoints" in (await http.get(f"{lists}?pageSize=1&view=CHARGE_POINT_VIEW_BASIC")).json


async def test_an_error_has_status_reason_and_metadata(tmp_path: Any) -> None:
    """And the fields that are wrong; its code is that of the status."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        missing = await http.post(GET_CHARGE_POINT, {"identity": "CP2"})
        assert missing.ending == (404, "NOT_FOUND", "UNKNOWN_CHARGE_POINT")
        [info] = missing.json["error"]["details"]
        assert info == {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "UNKNOWN_CHARGE_POINT",
            "domain": "gateway.api.v1",
            "metadata": {"charge_point": "CP2"},
        }
        wrong = await http.post("/v1/ChargePointService/ListChargePoints", {"pageSize": -1})
        assert wrong.ending == (400, "INVALID_ARGUMENT", "INVALID_REQUEST")
        [violation] = wrong.json["error"]["details"][1]["fieldViolations"]
        assert violation["field"] == "page_size"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "can't be read"),
        (b"[]", "can't be read"),
        (b'{"no_such_field": 1}', "no field named"),
        (b'{"identity": 5}', "identity"),
        (b'{"identity": "a", "identity": "b"}', "can't be read"),
        (b"[" * 100_000, "can't be read"),
        (b'{"identity": "\xff"}', "can't be read"),
    ],
)
async def test_a_body_that_is_no_such_message_is_refused(tmp_path: Any, body: bytes, words: str) -> None:
    """With the reason, on a connection that goes on."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        await http.send("POST", GET_CHARGE_POINT, body, JSON)
        answer = await http.answer()
        assert answer.ending == (400, "INVALID_ARGUMENT", "MALFORMED_REQUEST")
        assert words in answer.json["error"]["message"]
        assert (await http.get("/v1/ServerService/GetServerInfo")).code == 200


@pytest.mark.parametrize(
    ("method", "url", "headers", "ending"),
    [
        ("GET", "/v1/Nope/Get", {}, (404, "UNIMPLEMENTED", "UNKNOWN_METHOD")),
        ("GET", "/other", {}, (404, "UNIMPLEMENTED", "UNKNOWN_METHOD")),
        ("POST", "/v1/VendorDataService/HandleVendorData", JSON, (404, "UNIMPLEMENTED", "UNKNOWN_METHOD")),
        ("GET", "/v1/CommandService/GetConfiguration", {}, (405, "INVALID_ARGUMENT", "MALFORMED_REQUEST")),
        ("OPTIONS", GET_CHARGE_POINT, {}, (405, "INVALID_ARGUMENT", "MALFORMED_REQUEST")),
        ("POST", GET_CHARGE_POINT, {}, (400, "INVALID_ARGUMENT", "MALFORMED_REQUEST")),
        ("POST", GET_CHARGE_POINT, {"content-type": "text/plain"}, (400, "INVALID_ARGUMENT", "MALFORMED_REQUEST")),
        ("POST", f"{GET_CHARGE_POINT}?identity=a", JSON, (400, "INVALID_ARGUMENT", "MALFORMED_REQUEST")),
        ("GET", GET_CHARGE_POINT, {"host": "rebound.example:80"}, (400, "INVALID_ARGUMENT", "MALFORMED_REQUEST")),
        ("GET", GET_CHARGE_POINT, {"connect-timeout-ms": "1s"}, (400, "INVALID_ARGUMENT", "MALFORMED_REQUEST")),
        ("GET", f"{GET_CHARGE_POINT}?colour=red", {}, (400, "INVALID_ARGUMENT", "MALFORMED_REQUEST")),
    ],
)
async def test_what_asks_for_no_method_is_refused(
    tmp_path: Any, method: str, url: str, headers: dict[str, str], ending: tuple[int, str, str]
) -> None:
    """By path, verb, type, host, deadline or parameter. A page of the web can send none of the types that are taken."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        await http.send(method, url, headers=headers)
        answer = await http.answer()
        assert answer.ending == ending
        if ending[0] == 405:
            assert answer.headers["allow"] == ("POST" if "GetConfiguration" in url else "GET, POST")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:1", "[::1]:1"])
async def test_a_trial_on_loopback_answers_to_names_of_this_machine(tmp_path: Any, host: str) -> None:
    """Of which none is resolved by another machine."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        assert (await http.get("/v1/ServerService/GetServerInfo", host=host)).code == 200


async def test_a_deadline_is_a_header(tmp_path: Any) -> None:
    """And an outcome that is not known by then is said to be unknown."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        await gateway.charge_point()
        gateway.commands.wait = 60
        answer = await http.post(RESET, SOFT, connect_timeout_ms="400")
        assert answer.ending == (500, "UNKNOWN", "OUTCOME_UNKNOWN")
        assert gateway.commands.calls[0][3] < 0.4
        late = await http.post(GET_CHARGE_POINT, {"identity": "CP1"}, connect_timeout_ms="0")
        assert late.ending == (504, "DEADLINE_EXCEEDED", "DEADLINE")


async def test_a_client_that_leaves_cancels_its_call(tmp_path: Any) -> None:
    """As over gRPC."""
    async with control(tmp_path, settings()) as gateway:
        await gateway.charge_point()
        gateway.commands.wait = 60
        async with client(gateway) as http:
            await http.send("POST", RESET, json.dumps(SOFT).encode(), JSON)
            await gateway.commands.begun.wait()
        with trio.fail_after(60):
            await gateway.commands.cancelled.wait()


async def test_requests_follow_one_another_on_a_connection(tmp_path: Any) -> None:
    """Also those that are sent before the answer to the one before is there."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        await gateway.charge_point()
        for _ in range(3):
            assert (await http.post(GET_CHARGE_POINT, {"identity": "CP1"})).code == 200
        request = f"GET {GET_CHARGE_POINT}?identity=CP1 HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
        await http.stream.send_all(request + request)
        data = b""
        while data.count(b'"identity"') < 2:
            data += await http.stream.receive_some()
        assert data.count(b"HTTP/1.1 200") == 2


async def test_a_client_may_wait_to_be_asked_for_its_body(tmp_path: Any) -> None:
    """With Expect: 100-continue, as curl does; it is not asked for one that is refused anyway."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        head = b"POST %s HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 2\r\n"
        await http.stream.send_all(head % GET_CHARGE_POINT.encode() + b"content-type: application/json\r\n\r\n")
        assert (await http.stream.receive_some()).startswith(b"HTTP/1.1 100")
        await http.stream.send_all(b"{}")
        assert (await http.stream.receive_some()).startswith(b"HTTP/1.1 400")
        await http.stream.send_all(head % b"/v1/Nope/Get" + b"\r\n")
        assert (await http.stream.receive_some()).startswith(b"HTTP/1.1 404")


async def test_a_body_has_a_bound(tmp_path: Any) -> None:
    """It is refused where the bound is passed, not at its end."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        head = f"POST {RESET} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n".encode()
        await http.stream.send_all(head + b"content-length: 999999999\r\n\r\n" + b" " * (MAX_REQUEST_BYTES + 1))
        data = await http.stream.receive_some()
        assert data.startswith(b"HTTP/1.1 413")
        assert b"REQUEST_TOO_LARGE" in data


async def test_all_bodies_together_have_a_bound(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what was read gives its place back."""
    monkeypatch.setattr(server, "BodyBudget", lambda: BodyBudget(40))
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        for _ in range(3):
            assert (await http.post(GET_CHARGE_POINT, {"identity": "CP1"})).code == 404
        answer = await http.post(GET_CHARGE_POINT, {"identity": "C" * 40})
        assert answer.ending == (429, "RESOURCE_EXHAUSTED", "TOO_MANY_CALLS")


async def test_a_large_page_comes_whole(tmp_path: Any) -> None:
    """It is put into JSON, and a large request read from it, beside the loop."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        for number in range(200):
            await gateway.charge_point(f"CP{number:03}")
        page = await http.get("/v1/ChargePointService/ListChargePoints?page_size=200")
        assert len(page.body) > 32_768
        assert len(page.json["chargePoints"]) == 200
        names = [f"CP{number:03}" for number in range(200)] + [f"{number:0400}" for number in range(60)]
        read = await http.post("/v1/ChargePointService/GetLatestReadings", {"chargePoints": names})
        assert read.code == 200
        assert len(read.json["chargePoints"]) == 260

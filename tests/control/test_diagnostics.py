"""DiagnosticsService over a real server and client, in front of what a running gateway would remember."""

from datetime import UTC, timedelta

import grpc
import pytest
import trio

from gateway.api.v1 import diagnostics_pb2 as pb
from gateway.domain.diagnostics import (
    DeviationCount,
    FlappingChargePoint,
    FrameKind,
    KeptFrame,
    LatencyCount,
    LatencyKind,
    RefusedConnection,
)
from tests.control.fakes import NOW

LATER = NOW + timedelta(hours=1)


def refusal(number, identity="CP1", address="192.0.2.1", **changes):
    fields = {"stage": "admission", "reason": "wrong_password", "status": 401} | changes
    return RefusedConnection(
        number, identity, address, "chargers", count=number, first_seen=NOW, last_seen=LATER, **fields
    )


def deviation(number, vendor="Acme", model="One", firmware="1.0"):
    return DeviationCount(number, "spelling", vendor, model, firmware, number, NOW, LATER, "CP1")


def latency(number, kind=LatencyKind.ANSWER, action="Heartbeat", vendor="Acme", model="One", firmware="1.0"):
    return LatencyCount(number, kind, action, vendor, model, firmware, (0.5, 1.0), (number, 0, 1), 2.5)


async def listed(gateway, rpc, request):
    """The entries of all pages."""
    pages = await trio.to_thread.run_sync(lambda: list(gateway.client.pages(rpc, request)))
    (entries,) = (each.name for each in pages[0].DESCRIPTOR.fields if each.name != "next_page_token")
    return [entry for page in pages for entry in getattr(page, entries)]


async def test_refused_connections_are_listed_whole(gateway):
    """With identity, address, reason, answer, count and times."""
    gateway.diagnostics.refused = [refusal(7), refusal(3, "", stage="tls", reason="http_request", status=None)]
    response = await gateway.call(gateway.client.diagnostics.ListRefusedConnections, pb.ListRefusedConnectionsRequest())
    named, nameless = response.refused_connections
    assert (named.charge_point, named.address, named.listener) == ("CP1", "192.0.2.1", "chargers")
    assert (named.stage, named.reason) == (pb.CONNECTION_STAGE_ADMISSION, "wrong_password")
    assert (named.http_status, named.count) == (401, 7)
    assert named.first_seen_time.ToDatetime(UTC) == NOW
    assert named.last_seen_time.ToDatetime(UTC) == LATER
    assert (nameless.charge_point, nameless.stage) == ("", pb.CONNECTION_STAGE_TLS)
    assert not nameless.HasField("http_status")
    assert response.next_page_token == ""


async def test_refused_connections_are_found_by_identity_and_address_a_page_at_a_time(gateway):
    """Each once, though the list grows meanwhile."""
    gateway.diagnostics.refused = [refusal(n, f"CP{n % 2}", f"192.0.2.{n % 3}") for n in range(60, 0, -1)]
    rpc = gateway.client.diagnostics.ListRefusedConnections
    request = pb.ListRefusedConnectionsRequest(page_size=7, charge_point="CP1")
    first = await gateway.call(rpc, request)
    gateway.diagnostics.refused.insert(0, refusal(61))
    request.page_token = first.next_page_token
    found = [*first.refused_connections, *await listed(gateway, rpc, request)]
    assert [each.count for each in found] == list(range(59, 0, -2))
    of_address = await listed(gateway, rpc, pb.ListRefusedConnectionsRequest(address="192.0.2.2"))
    assert {each.address for each in of_address} == {"192.0.2.2"}
    assert len(of_address) == 20


async def test_latencies_are_listed_with_their_buckets(gateway):
    """Durations as such; the last bucket, above all bounds, has none."""
    gateway.diagnostics.latencies = [latency(3, LatencyKind.CALL, "Reset"), latency(1)]
    rpc = gateway.client.diagnostics.ListLatencies
    response = await gateway.call(rpc, pb.ListLatenciesRequest())
    call, answer = response.latencies
    assert (call.kind, call.action) == (pb.LATENCY_KIND_CALL, "Reset")
    assert (answer.kind, answer.action) == (pb.LATENCY_KIND_ANSWER, "Heartbeat")
    assert (call.vendor, call.model, call.firmware_version, call.count) == ("Acme", "One", "1.0", 4)
    assert call.mean_duration.ToMilliseconds() == 625
    assert call.median_duration.ToMicroseconds() == 333_333
    assert call.p99_duration.ToMilliseconds() == 1000
    assert [each.max_duration.ToMilliseconds() for each in call.buckets] == [500, 1000, 0]
    assert [each.HasField("max_duration") for each in call.buckets] == [True, True, False]
    assert [each.count for each in call.buckets] == [3, 0, 1]


async def test_latencies_are_found_by_make_and_action_a_page_at_a_time(gateway):
    """All filters together."""
    gateway.diagnostics.latencies = [
        *(latency(n, action=f"A{n % 2}") for n in range(60, 4, -1)),
        latency(4, vendor="Other"),
        latency(3, model="Two"),
        latency(2, firmware="2.0"),
    ]
    rpc = gateway.client.diagnostics.ListLatencies
    request = pb.ListLatenciesRequest(page_size=5, vendor="Acme", model="One", firmware_version="1.0", action="A1")
    assert [each.count - 1 for each in await listed(gateway, rpc, request)] == list(range(59, 4, -2))
    assert [each.vendor for each in await listed(gateway, rpc, pb.ListLatenciesRequest(vendor="Other"))] == ["Other"]


async def test_frames_are_reported_in_order_with_what_was_done_to_them(gateway):
    """Cut, redacted, or as on the wire."""
    gateway.diagnostics.rings["CP1"] = [
        KeptFrame(NOW, FrameKind.CONNECTED, "192.0.2.1 port 5, TLSv1.3", 25),
        KeptFrame(NOW, FrameKind.RECEIVED, "[2", 5000, cut=True),
        KeptFrame(LATER, FrameKind.SENT, "[3]", 3, redacted=True),
        KeptFrame(LATER, FrameKind.CLOSED, "by the charger: 1000", 20),
    ]
    response = await gateway.call(gateway.client.diagnostics.ListFrames, pb.ListFramesRequest(charge_point="CP1"))
    assert [each.kind for each in response.frames] == [3, 1, 2, 4]
    received, sent = response.frames[1:3]
    assert (received.text, received.size_bytes, received.cut, received.redacted) == ("[2", 5000, True, False)
    assert (sent.text, sent.size_bytes, sent.cut, sent.redacted) == ("[3]", 3, False, True)
    assert sent.frame_time.ToDatetime(UTC) == LATER


async def test_a_charge_point_that_said_nothing_yet_has_no_frames_and_an_unknown_one_is_not_found(gateway, failing):
    """The two are not the same to who looks for a typing error."""
    await gateway.charge_point("QUIET")
    rpc = gateway.client.diagnostics.ListFrames
    assert not (await gateway.call(rpc, pb.ListFramesRequest(charge_point="QUIET"))).frames
    problem = await failing(rpc, pb.ListFramesRequest(charge_point="NOBODY"))
    assert (problem.code, problem.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CHARGE_POINT")


async def test_a_setting_that_keeps_no_frames_is_reported(gateway, failing):
    """Rather than an empty list, which would say something else."""
    gateway.diagnostics.keeps_frames = False
    problem = await failing(gateway.client.diagnostics.ListFrames, pb.ListFramesRequest(charge_point="CP1"))
    assert (problem.code, problem.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "FRAMES_NOT_KEPT")
    assert "sessions.kept_frames" in problem.message


async def test_deviations_are_found_by_make_model_and_firmware(gateway):
    """Whole, and a page at a time."""
    gateway.diagnostics.deviating = [
        deviation(4, firmware="2.0"),
        deviation(3, model="Two"),
        deviation(2, vendor="Other"),
        deviation(1),
    ]
    rpc = gateway.client.diagnostics.ListDeviations
    everything = await listed(gateway, rpc, pb.ListDeviationsRequest(page_size=1))
    assert [each.count for each in everything] == [4, 3, 2, 1]
    last = everything[-1]
    assert (last.deviation, last.vendor, last.model, last.firmware_version) == ("spelling", "Acme", "One", "1.0")
    assert last.last_charge_point == "CP1"
    assert (last.first_seen_time.ToDatetime(UTC), last.last_seen_time.ToDatetime(UTC)) == (NOW, LATER)
    for field, value, numbers in [
        ("vendor", "Acme", [4, 3, 1]),
        ("model", "Two", [3]),
        ("firmware_version", "2.0", [4]),
        ("vendor", "Nobody", []),
    ]:
        found = await listed(gateway, rpc, pb.ListDeviationsRequest(**{field: value}))
        assert [each.count for each in found] == numbers


@pytest.mark.parametrize(
    ("rpc", "request_", "field"),
    [
        ("ListFrames", pb.ListFramesRequest(), "charge_point"),
        ("ListDeviations", pb.ListDeviationsRequest(page_size=-1), "page_size"),
        ("ListRefusedConnections", pb.ListRefusedConnectionsRequest(page_token="xxxx"), "page_token"),
    ],
)
async def test_what_can_not_be_served_is_refused_by_its_field(gateway, failing, rpc, request_, field):
    """INVALID_ARGUMENT."""
    problem = await failing(getattr(gateway.client.diagnostics, rpc), request_)
    assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [name for name, _ in problem.violations] == [field]


async def test_a_token_of_other_filters_is_refused(gateway, failing):
    """A page would be left out, or come twice."""
    gateway.diagnostics.deviating = [deviation(2), deviation(1)]
    rpc = gateway.client.diagnostics.ListDeviations
    first = await gateway.call(rpc, pb.ListDeviationsRequest(page_size=1))
    problem = await failing(rpc, pb.ListDeviationsRequest(vendor="Acme", page_token=first.next_page_token))
    assert problem.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_charge_points_that_come_and_go_are_listed(gateway):
    """With their connects, and for how long they are kept out."""
    gateway.diagnostics.flapping = [FlappingChargePoint("CP1", 21, NOW, LATER, 29.5)]
    response = await gateway.call(gateway.client.diagnostics.ListFlapping, pb.ListFlappingRequest())
    (entry,) = response.flapping
    assert (entry.charge_point, entry.connect_count, response.total_count) == ("CP1", 21, 1)
    assert entry.since_time.ToDatetime(UTC) == NOW
    assert entry.last_connect_time.ToDatetime(UTC) == LATER
    assert entry.kept_out_duration.ToMilliseconds() == 29_500

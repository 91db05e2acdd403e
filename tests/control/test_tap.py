"""TapChargePoint over a real channel: frames as they come, until the caller ends it; audited, bounded, for its role."""

from contextlib import aclosing

import grpc
import pytest
import trio

from gateway.api.v1 import audit_pb2
from gateway.api.v1 import diagnostics_pb2 as pb
from gateway.client import problem_of
from gateway.domain.callers import Role
from gateway.domain.diagnostics import FrameKind
from gateway.observability.tap import MAX_TAPS
from tests.control.test_authentication import required, serving
from tests.control.test_fleet import in_thread
from tests.control.test_scope import ends
from tests.observability.test_frame_log import PEER


def tap(gateway, charge_point="CP1"):
    return gateway.client.diagnostics.TapChargePoint(pb.TapChargePointRequest(charge_point=charge_point), timeout=60)


async def test_frames_come_as_they_are_until_the_caller_ends_it(gateway):
    """The first response is empty: the tap is open. Its end closes it."""
    await gateway.charge_point("CP1")
    log = gateway.diagnostics.log
    ring = log.opened("CP1", PEER)
    stream = tap(gateway)
    seen = []
    async with aclosing(in_thread(stream)) as responses:
        first = await anext(responses)
        assert not first.frames
        assert log.taps == 1
        ring.add(FrameKind.RECEIVED, b'[2,"1","Heartbeat",{}]')
        ring.add_command(b'[2,"2","ChangeConfiguration",{"key":"AuthorizationKey","value":"00112233445566778899"}]')
        while len(seen) < 2:
            seen += (await anext(responses)).frames
    assert [each.kind for each in seen] == [pb.FRAME_KIND_RECEIVED, pb.FRAME_KIND_SENT]
    assert seen[0].text == '[2,"1","Heartbeat",{}]'
    assert "0011223344" not in seen[1].text
    assert seen[1].redacted
    stream.cancel()
    with trio.fail_after(60):
        while log.taps:  # noqa: ASYNC110 - of another thread's doing
            await trio.sleep(0.01)


async def test_a_tap_of_what_can_not_be_tapped_is_refused(gateway, failing):
    """An unknown charge point, none named, frames that are not kept, or as many taps as there may be."""
    await gateway.charge_point("CP1")

    async def refused(charge_point):
        with pytest.raises(grpc.RpcError) as caught:
            async for _ in in_thread(tap(gateway, charge_point)):
                pass
        return problem_of(caught.value)

    assert (await refused("NOBODY")).reason == "UNKNOWN_CHARGE_POINT"
    assert (await refused("")).reason == "INVALID_REQUEST"
    log = gateway.diagnostics.log
    log._taps["other"] = (None,) * MAX_TAPS
    problem = await refused("CP1")
    assert (problem.code, problem.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_TAPS")
    log._taps.clear()
    gateway.diagnostics.keeps_frames = False
    problem = await refused("CP1")
    assert (problem.code, problem.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "FRAMES_NOT_KEPT")


async def test_a_tap_is_in_the_audit_and_not_for_those_who_operate(tmp_path):
    """The caller, the charge point, and when."""
    async with required(tmp_path) as (gateway, tokens):
        await gateway.charge_point("CP1")
        with serving(gateway, tokens[Role.OPERATE]) as client, pytest.raises(grpc.RpcError) as caught:
            async for _ in in_thread(client.diagnostics.TapChargePoint(pb.TapChargePointRequest(charge_point="CP1"))):
                pass
        assert problem_of(caught.value).reason == "ROLE_MISSING"
        root = tokens[Role.ADMINISTER]
        with serving(gateway, root) as client:
            stream = client.diagnostics.TapChargePoint(pb.TapChargePointRequest(charge_point="CP1"))
            async with aclosing(in_thread(stream)) as responses:
                await anext(responses)
            stream.cancel()
        listed = await ends(gateway, root, lambda c: c.audit.ListAudit, audit_pb2.ListAuditRequest())
        newest = listed.entries[0]
        assert (newest.caller, newest.action, newest.charge_point) == ("administer", "TapChargePoint", "CP1")
        assert newest.outcome == audit_pb2.AUDIT_OUTCOME_DONE

"""RetentionService over a real server and client: the clock that is doubted, and an operator's word."""

from datetime import timedelta

import grpc
import pytest

from gateway.api.v1 import retention_pb2 as pb
from gateway.client import problem_of


async def test_a_clock_is_doubted_until_it_is_confirmed(gateway):
    """Here the newest event is years older than the clock says."""
    await gateway.charge_point()
    found = (await gateway.call(gateway.client.retention.GetRetention, pb.GetRetentionRequest())).retention
    assert found.waiting
    assert "when last seen" in found.reason
    request = pb.ConfirmClockRequest(clock_time=found.clock_time)
    confirmed = (await gateway.call(gateway.client.retention.ConfirmClock, request)).retention
    assert (confirmed.waiting, confirmed.reason) == (False, "")
    again = (await gateway.call(gateway.client.retention.ConfirmClock, request)).retention
    assert not again.waiting


@pytest.mark.parametrize("minutes", [-6, 6])
async def test_another_time_than_the_gateways_confirms_nothing(gateway, minutes):
    """It has jumped since it was shown."""
    await gateway.charge_point()
    found = (await gateway.call(gateway.client.retention.GetRetention, pb.GetRetentionRequest())).retention
    request = pb.ConfirmClockRequest()
    request.clock_time.FromDatetime(found.clock_time.ToDatetime() + timedelta(minutes=minutes))
    with pytest.raises(grpc.RpcError) as caught:
        await gateway.call(gateway.client.retention.ConfirmClock, request)
    problem = problem_of(caught.value)
    assert (problem.code, problem.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CLOCK_DIFFERS")
    found = (await gateway.call(gateway.client.retention.GetRetention, pb.GetRetentionRequest())).retention
    assert found.waiting


async def test_a_confirmation_without_a_time_is_refused(gateway):
    """By the field."""
    with pytest.raises(grpc.RpcError) as caught:
        await gateway.call(gateway.client.retention.ConfirmClock, pb.ConfirmClockRequest())
    problem = problem_of(caught.value)
    assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [name for name, _ in problem.violations] == ["clock_time"]

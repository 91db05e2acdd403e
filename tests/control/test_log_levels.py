"""GetLogLevels and SetLogLevel over a real channel."""

import grpc

from gateway.api.v1 import audit_pb2
from gateway.api.v1 import diagnostics_pb2 as pb
from gateway.domain.callers import Role
from tests.control.fakes import NOW
from tests.control.test_authentication import required
from tests.control.test_scope import ends


def wanted(level, charge_point="", seconds=60):
    request = pb.SetLogLevelRequest(charge_point=charge_point, level=level)
    if seconds is not None:
        request.duration.FromMilliseconds(round(1000 * seconds))
    return request


async def test_levels_are_set_for_a_while_and_shown(gateway):
    """Of the process and of a charge point; unset is as the settings say."""
    await gateway.charge_point("CP1")
    stub = gateway.client.diagnostics
    await gateway.call(stub.SetLogLevel, wanted(pb.LOG_LEVEL_WARNING))
    made = await gateway.call(stub.SetLogLevel, wanted(pb.LOG_LEVEL_DEBUG, "CP1"))
    shown = await gateway.call(stub.GetLogLevels, pb.GetLogLevelsRequest())
    assert shown.settings_level == made.settings_level == pb.LOG_LEVEL_INFO
    assert [(each.charge_point, each.level) for each in shown.overrides] == [
        ("", pb.LOG_LEVEL_WARNING),
        ("CP1", pb.LOG_LEVEL_DEBUG),
    ]
    assert shown.overrides == made.overrides
    assert shown.overrides[0].end_time.ToSeconds() == NOW.timestamp() + 60
    left = await gateway.call(stub.SetLogLevel, wanted(pb.LOG_LEVEL_UNSPECIFIED, seconds=None))
    assert [each.charge_point for each in left.overrides] == ["CP1"]


async def test_a_level_that_can_not_be_meant_is_refused_by_name(gateway, failing):
    """Nothing changes."""
    await gateway.charge_point("CP1")
    rpc = gateway.client.diagnostics.SetLogLevel
    for request, field in (
        (wanted(pb.LOG_LEVEL_DEBUG, seconds=None), "duration"),
        (wanted(pb.LOG_LEVEL_DEBUG, seconds=0), "duration"),
        (wanted(pb.LOG_LEVEL_DEBUG, seconds=86_401), "duration"),
        (wanted(9), "level"),
        (wanted(pb.LOG_LEVEL_UNSPECIFIED), "duration"),
        (wanted(pb.LOG_LEVEL_DEBUG, "x" * 49), "charge_point"),
    ):
        problem = await failing(rpc, request)
        assert [name for name, _ in problem.violations] == [field]
    assert (await failing(rpc, wanted(pb.LOG_LEVEL_DEBUG, "NOBODY"))).reason == "UNKNOWN_CHARGE_POINT"
    assert gateway.log_levels.overrides == ()
    gateway.log_levels.room = False
    problem = await failing(rpc, wanted(pb.LOG_LEVEL_DEBUG, "CP1"))
    assert (problem.code, problem.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_LOG_LEVELS")


async def test_a_level_is_in_the_audit(tmp_path):
    """With the charge point, the level and the time."""
    async with required(tmp_path) as (gateway, tokens):
        await gateway.charge_point("CP1")
        refused = await ends(
            gateway, tokens[Role.OPERATE], lambda c: c.diagnostics.SetLogLevel, wanted(pb.LOG_LEVEL_DEBUG)
        )
        assert refused.reason == "ROLE_MISSING"
        root = tokens[Role.ADMINISTER]
        await ends(gateway, root, lambda c: c.diagnostics.SetLogLevel, wanted(pb.LOG_LEVEL_DEBUG, "CP1"))
        await ends(gateway, root, lambda c: c.diagnostics.SetLogLevel, wanted(pb.LOG_LEVEL_UNSPECIFIED, "CP1", None))
        listed = (await ends(gateway, root, lambda c: c.audit.ListAudit, audit_pb2.ListAuditRequest())).entries
        assert [(each.action, each.charge_point, each.detail) for each in listed[:2]] == [
            ("SetLogLevel", "CP1", "as the settings say"),
            ("SetLogLevel", "CP1", "debug for 60 s"),
        ]

"""Drain and WatchDrain over a real channel."""

from contextlib import aclosing

from gateway.api.v1 import audit_pb2
from gateway.api.v1 import server_pb2 as pb
from gateway.domain.callers import Role
from gateway.domain.drain import DrainTerms
from tests.control.test_authentication import required
from tests.control.test_fleet import in_thread
from tests.control.test_scope import ends


def request(seconds=None, **given):
    asked = pb.DrainRequest(**given)
    if seconds is not None:
        asked.deadline.FromMilliseconds(round(1000 * seconds))
    return asked


async def test_a_drain_is_begun_on_its_terms_once_and_watched(gateway):
    """Terms that are not given are those of the settings; a second wish changes nothing."""
    stub = gateway.client.server
    watching = stub.WatchDrain(pb.WatchDrainRequest(), timeout=60)
    async with aclosing(in_thread(watching)) as looks:
        assert (await anext(looks)).progress.stage == pb.DRAIN_STAGE_SERVING
        begun = (await gateway.call(stub.Drain, request(60, closes_per_second=5.0))).progress
        assert gateway.draining.terms == DrainTerms(5.0, 0.5, 60.0)
        assert (begun.stage, begun.session_count, begun.idle_count, begun.charging_count) == (
            pb.DRAIN_STAGE_COMMANDS, 7, 5, 2,
        )  # fmt: skip
        assert begun.left_duration.ToMilliseconds() == 24_500
        again = (await gateway.call(stub.Drain, request(jitter=1.0))).progress
        assert again == begun
        assert gateway.draining.terms.jitter == 0.5
        assert (await anext(looks)).progress == begun
    watching.cancel()


async def test_terms_out_of_bounds_are_refused_by_name(gateway, failing):
    """And nothing is begun."""
    for asked, field in (
        (request(closes_per_second=0.5), "closes_per_second"),
        (request(closes_per_second=float("nan")), "closes_per_second"),
        (request(jitter=1.5), "jitter"),
        (request(3601), "deadline"),
        (request(0.5), "deadline"),
    ):
        problem = await failing(gateway.client.server.Drain, asked)
        assert [name for name, _ in problem.violations] == [field]
    assert gateway.draining.terms == DrainTerms(1000.0, 0.5, 25.0)


async def test_a_drain_is_for_administrators_and_in_the_audit(tmp_path):
    """With its terms."""
    async with required(tmp_path) as (gateway, tokens):
        refused = await ends(gateway, tokens[Role.OPERATE], lambda c: c.server.Drain, request())
        assert refused.reason == "ROLE_MISSING"
        root = tokens[Role.ADMINISTER]
        await ends(gateway, root, lambda c: c.server.Drain, request(60))
        listed = (await ends(gateway, root, lambda c: c.audit.ListAudit, audit_pb2.ListAuditRequest())).entries
        assert (listed[0].action, listed[0].caller, listed[0].detail) == ("Drain", "administer", "1000 a second, 60 s")

"""IdTagService over a real server and client, in front of a real store."""

from datetime import UTC, timedelta

import grpc
import pytest
import trio

from gateway.api.v1 import command_pb2
from gateway.api.v1 import id_tag_pb2 as pb
from gateway.domain.events import ChargePointConnected, NewEvent, TransactionStarted
from gateway.domain.values import ConnectorAddress, Registration
from gateway.store.commits import Append, CreateChargePoint, OpenSession
from tests.control.fakes import NOW


def new(tag="Tag1", **fields):
    return pb.CreateIdTagRequest(id_tag=pb.IdTag(id_tag=tag, **{"status": pb.ID_TAG_STATUS_ACCEPTED, **fields}))


def update(*paths, tag="Tag1", **fields):
    return pb.UpdateIdTagRequest(id_tag=pb.IdTag(id_tag=tag, **fields), update_mask={"paths": paths})


async def test_a_tag_is_added_read_changed_and_removed(gateway, failing):
    """Found without regard to case, shown as entered."""
    stub = gateway.client.id_tags
    made = await gateway.call(stub.CreateIdTag, new(parent_id_tag="P", expire_time=NOW, allow_concurrent=True))
    assert made.id_tag.etag == "1"
    found = (await gateway.call(stub.GetIdTag, pb.GetIdTagRequest(id_tag="TAG1"))).id_tag
    assert found == made.id_tag
    assert (found.id_tag, found.parent_id_tag, found.expire_time.ToDatetime(UTC)) == ("Tag1", "P", NOW)
    changed = (await gateway.call(stub.UpdateIdTag, update("status", status=pb.ID_TAG_STATUS_BLOCKED))).id_tag
    assert (changed.status, changed.parent_id_tag, changed.allow_concurrent) == (pb.ID_TAG_STATUS_BLOCKED, "P", True)
    assert changed.etag == "2"
    cleared = (await gateway.call(stub.UpdateIdTag, update("expire_time", "parent_id_tag"))).id_tag
    assert not cleared.HasField("expire_time")
    assert cleared.parent_id_tag == ""
    await gateway.call(stub.DeleteIdTag, pb.DeleteIdTagRequest(id_tag="tag1"))
    for rpc, request in [
        (stub.GetIdTag, pb.GetIdTagRequest(id_tag="Tag1")),
        (stub.DeleteIdTag, pb.DeleteIdTagRequest(id_tag="Tag1")),
        (stub.UpdateIdTag, update("status", status=1)),
    ]:
        problem = await failing(rpc, request)
        assert (problem.code, problem.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_ID_TAG")


async def test_a_tag_that_differs_in_case_only_is_taken(gateway, failing):
    """ALREADY_EXISTS."""
    await gateway.call(gateway.client.id_tags.CreateIdTag, new())
    problem = await failing(gateway.client.id_tags.CreateIdTag, new("tAG1"))
    assert (problem.code, problem.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ID_TAG_EXISTS")


async def test_a_stale_etag_changes_nothing(gateway, failing):
    """ABORTED."""
    await gateway.call(gateway.client.id_tags.CreateIdTag, new())
    problem = await failing(gateway.client.id_tags.UpdateIdTag, update("description", description="x", etag="9"))
    assert (problem.code, problem.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert gateway.store.id_tag("Tag1").description == ""


async def test_changes_at_the_same_time_lose_nothing(gateway):
    """Different fields, no etags: both stay."""
    stub = gateway.client.id_tags
    await gateway.call(stub.CreateIdTag, new())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.call, stub.UpdateIdTag, update("description", description="d"))
        nursery.start_soon(gateway.call, stub.UpdateIdTag, update("allow_concurrent", allow_concurrent=True))
        nursery.start_soon(gateway.call, stub.UpdateIdTag, update("parent_id_tag", parent_id_tag="P"))
    record = gateway.store.id_tag("Tag1")
    assert (record.description, record.allow_concurrent, record.parent_id_tag) == ("d", True, "P")


async def test_lists_come_in_pages(gateway):
    """Every tag once."""
    for number in range(5):
        await gateway.call(gateway.client.id_tags.CreateIdTag, new(f"T{number}"))
    request = pb.ListIdTagsRequest(page_size=2)
    pages = await trio.to_thread.run_sync(
        lambda: list(gateway.client.pages(gateway.client.id_tags.ListIdTags, request))
    )
    assert [each.id_tag for page in pages for each in page.id_tags] == [f"T{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("rpc", "request_", "field"),
    [
        ("CreateIdTag", pb.CreateIdTagRequest(), "id_tag"),
        ("CreateIdTag", new(""), "id_tag.id_tag"),
        ("CreateIdTag", new("x" * 21), "id_tag.id_tag"),
        ("CreateIdTag", new("é"), "id_tag.id_tag"),
        ("CreateIdTag", new(status=0), "id_tag.status"),
        ("CreateIdTag", new(status=9), "id_tag.status"),
        ("CreateIdTag", new(etag="1"), "id_tag.etag"),
        ("CreateIdTag", new(parent_id_tag="x" * 21), "id_tag.parent_id_tag"),
        ("CreateIdTag", new(description="x" * 1001), "id_tag.description"),
        ("GetIdTag", pb.GetIdTagRequest(), "id_tag"),
        ("UpdateIdTag", update(), "update_mask"),
        ("UpdateIdTag", update("create_time"), "update_mask"),
        ("UpdateIdTag", update("status"), "id_tag.status"),
        ("UpdateIdTag", update("description", tag=""), "id_tag.id_tag"),
        ("UpdateIdTag", update("description", etag="x"), "id_tag.etag"),
    ],
)
async def test_what_can_not_be_a_tag_is_refused_by_its_field(gateway, failing, rpc, request_, field):
    """INVALID_ARGUMENT."""
    problem = await failing(getattr(gateway.client.id_tags, rpc), request_)
    assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
    assert field in [name for name, _ in problem.violations]


# --- what a start would be answered ---------------------------------------------------------------------------


def started(identity, epoch, transaction_id, number, tag, connector):
    """A transaction that has started."""
    body = TransactionStarted(transaction_id, number, connector, tag, "Accepted", 0, f"key-{number}")
    return Append(identity, epoch, (NewEvent(body, NOW),))


async def test_a_check_says_what_a_start_would_be_answered(gateway, failing):
    """By the table, and ConcurrentTx with the transactions where the tag is in use elsewhere."""
    stub = gateway.client.id_tags
    for identity in ("CP1", "CP2"):
        gateway.store.commit([CreateChargePoint(identity, Registration.ACCEPTED, (), NOW)])
    for tag, fields in {
        "OK": {},
        "OFTEN": {"allow_concurrent": True},
        "BLOCKED": {"status": pb.ID_TAG_STATUS_BLOCKED},
        "OLD": {"expire_time": NOW - timedelta(days=1)},
    }.items():
        await gateway.call(stub.CreateIdTag, new(tag, **fields))

    async def check(tag, identity="CP1", **where):
        request = pb.CheckIdTagRequest(charge_point=identity, id_tag=tag, **where)
        found = await gateway.call(stub.CheckIdTag, request)
        name = command_pb2.AuthorizationStatus.Name(found.status).removeprefix("AUTHORIZATION_STATUS_")
        return name, [each.transaction_id for each in found.transactions]

    for tag, status in [("ok", "ACCEPTED"), ("BLOCKED", "BLOCKED"), ("OLD", "EXPIRED"), ("NOBODY", "INVALID")]:
        assert await check(tag) == (status, [])

    (opened,) = gateway.store.commit([OpenSession("CP2", ChargePointConnected("192.0.2.1", "ocpp1.6", 2), NOW)])
    one, two = ConnectorAddress(1, 1), ConnectorAddress(2, 1)
    for number, tag in enumerate(("OK", "OFTEN"), 1):
        gateway.store.commit([started("CP2", opened.epoch, f"tx_{number}", number, tag, one)])
    assert await check("OK") == ("CONCURRENT_TX", ["tx_1"])
    assert await check("OK", "CP2") == ("CONCURRENT_TX", ["tx_1"])
    assert await check("OK", "CP2", connector={"evse": two.evse, "connector": 1}) == ("CONCURRENT_TX", ["tx_1"])
    assert await check("OK", "CP2", connector={"evse": one.evse, "connector": 1}) == ("ACCEPTED", [])
    assert await check("OFTEN") == ("ACCEPTED", [])

    problem = await failing(stub.CheckIdTag, pb.CheckIdTagRequest(charge_point="NOPE", id_tag="OK"))
    assert (problem.code, problem.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CHARGE_POINT")
    for request, field in [
        (pb.CheckIdTagRequest(id_tag="OK"), "charge_point"),
        (pb.CheckIdTagRequest(charge_point="CP1"), "id_tag"),
        (pb.CheckIdTagRequest(charge_point="CP1", id_tag="x" * 21), "id_tag"),
    ]:
        problem = await failing(stub.CheckIdTag, request)
        assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
        assert [name for name, _ in problem.violations] == [field]

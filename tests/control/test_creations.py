"""CreateChargePoint, asked for again: the same charge point, and a key while none was of use."""

import grpc
import pytest
from google.protobuf import field_mask_pb2

from gateway.api.v1 import charge_point_pb2 as pb
from gateway.client import problem_of
from gateway.domain import codec
from gateway.domain.credentials import find
from gateway.domain.events import ChargePointConnected
from gateway.store.api import EventFilter
from gateway.store.commits import OpenSession
from tests.control.fakes import NOW


def asking(request_id="r1", key=None, **fields):
    """A request."""
    made = pb.CreateChargePointRequest(charge_point=pb.ChargePoint(identity="CP1", **fields), request_id=request_id)
    if key is not None:
        made.authorization_key = key
    return made


async def create(gateway, request):
    return await gateway.call(gateway.client.charge_points.CreateChargePoint, request)


async def refusal(gateway, request):
    """Status and reason."""
    with pytest.raises(grpc.RpcError) as caught:
        await create(gateway, request)
    problem = problem_of(caught.value)
    return problem.code.name, problem.reason, problem.metadata


def lets_in(gateway, key):
    """True if a key lets the charger in now."""
    return find(gateway.store.credentials("CP1"), key, NOW) is not None


async def update(gateway, **fields):
    mask = field_mask_pb2.FieldMask(paths=fields)
    request = pb.UpdateChargePointRequest(charge_point=pb.ChargePoint(identity="CP1", **fields), update_mask=mask)
    await gateway.call(gateway.client.charge_points.UpdateChargePoint, request)


async def test_a_repeat_has_another_key_and_the_lost_one_counts_no_more(gateway):
    """As often as it comes: the answer with the first key may be in other hands."""
    first = await create(gateway, asking())
    keys = [first.generated_authorization_key]
    for _ in range(2):
        again = await create(gateway, asking())
        assert again.charge_point.create_time == first.charge_point.create_time
        keys.append(again.generated_authorization_key)
        assert [lets_in(gateway, key) for key in keys] == [False] * (len(keys) - 1) + [True]
    types = [each.type for each in gateway.store.events(0, 100, EventFilter()).events]
    assert types == ["charge_point.created", "charge_point.updated", "charge_point.updated"]
    bodies = [codec.body_of(each) for each in gateway.store.events(0, 100, EventFilter()).events]
    assert [each.request_id for each in bodies] == ["r1"] * 3


async def test_a_given_key_is_the_repeats(gateway):
    """And none is generated."""
    for key in (b"0123456789", b"0123456789", b"another key"):
        assert (await create(gateway, asking(key=key))).generated_authorization_key == b""
        assert lets_in(gateway, key)
    assert not lets_in(gateway, b"0123456789")


async def test_a_key_in_use_stays(gateway):
    """Of a charge point that has connected, a repeat says what it is, and has no key."""
    key = (await create(gateway, asking())).generated_authorization_key
    await gateway.journal.commit(OpenSession("CP1", ChargePointConnected("192.0.2.1:1", "ocpp1.6", 2), NOW))
    again = await create(gateway, asking())
    assert again.charge_point.identity == "CP1"
    assert again.charge_point.connection.epoch == 1
    assert again.generated_authorization_key == b""
    assert lets_in(gateway, key)


async def test_a_change_since_stays(gateway):
    """Also where what was asked for first is something else by now."""
    key = (await create(gateway, asking(description="first"))).generated_authorization_key
    await update(gateway, description="second")
    again = await create(gateway, asking(description="first"))
    assert (again.charge_point.description, again.generated_authorization_key) == ("second", b"")
    assert lets_in(gateway, key)


async def test_another_request_is_refused(gateway):
    """With another id, without one, or with the same id and other values; nothing changes."""
    key = (await create(gateway, asking(labels={"site": "north"}))).generated_authorization_key
    for other in (asking("r2", labels={"site": "north"}), asking("", labels={"site": "north"})):
        assert await refusal(gateway, other) == ("ALREADY_EXISTS", "CHARGE_POINT_EXISTS", {"charge_point": "CP1"})
    expected = ("INVALID_ARGUMENT", "REQUEST_ID_REUSED", {"charge_point": "CP1", "request_id": "r1"})
    for fields in ({}, {"labels": {"site": "south"}}, {"labels": {"site": "north"}, "description": "x"}):
        assert await refusal(gateway, asking(**fields)) == expected
    assert lets_in(gateway, key)


async def test_a_creation_after_a_deletion_is_another(gateway):
    """By the newest one's id; the epoch of the one before is no connection of its own."""
    await create(gateway, asking())
    await gateway.journal.commit(OpenSession("CP1", ChargePointConnected("192.0.2.1:1", "ocpp1.6", 2), NOW))
    delete = pb.DeleteChargePointRequest(identity="CP1")
    await gateway.call(gateway.client.charge_points.DeleteChargePoint, delete)
    await create(gateway, asking("r2"))
    assert (await refusal(gateway, asking("r1")))[1] == "CHARGE_POINT_EXISTS"
    assert len((await create(gateway, asking("r2"))).generated_authorization_key) == 20


@pytest.mark.parametrize("request_id", ["x" * 65, "a\nb"])
async def test_an_id_has_printable_characters_and_not_too_many(gateway, request_id):
    """As of commands."""
    status, reason, _ = await refusal(gateway, asking(request_id))
    assert (status, reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST")

"""ChargePointService over a real server and client, in front of a real store."""

from datetime import timedelta

import grpc
import pytest

from gateway.api.v1 import charge_point_pb2 as pb
from gateway.api.v1 import common_pb2
from gateway.domain import codec
from gateway.domain.credentials import find, verify
from gateway.domain.events import (
    BootInformation,
    ChargePointBooted,
    ConnectorStatusChanged,
    ReservationEnded,
    ReservationMade,
)
from gateway.domain.records import CredentialKind
from gateway.domain.records import LiveSession as Live
from gateway.domain.values import ConnectorAddress, Registration
from gateway.store.api import EventFilter
from tests.control.fakes import NOW


def new(identity="CP1", **fields):
    return pb.CreateChargePointRequest(charge_point=pb.ChargePoint(identity=identity, **fields))


async def test_a_generated_key_is_returned_once_and_admits_the_charger(gateway):
    """20 random bytes; what is kept is a verifier of the fast kind."""
    made = await gateway.call(gateway.client.charge_points.CreateChargePoint, new())
    key = made.generated_authorization_key
    (credential,) = gateway.store.credentials("CP1")
    assert len(key) == 20
    assert credential.kind is CredentialKind.GENERATED
    assert verify(credential, key)
    assert made.charge_point.registration == common_pb2.REGISTRATION_ACCEPTED
    assert made.charge_point.etag == "1"
    assert not made.charge_point.HasField("connection")
    again = await gateway.call(gateway.client.charge_points.GetChargePoint, pb.GetChargePointRequest(identity="CP1"))
    assert again.charge_point == made.charge_point


async def test_a_given_key_is_kept_as_a_slow_verifier_and_not_returned(gateway):
    """Its strength is not known."""
    request = new(registration=common_pb2.REGISTRATION_PENDING, description="garage")
    request.authorization_key = b"\x00\xff:" * 6
    made = await gateway.call(gateway.client.charge_points.CreateChargePoint, request)
    (credential,) = gateway.store.credentials("CP1")
    assert credential.kind is CredentialKind.IMPORTED
    assert verify(credential, b"\x00\xff:" * 6)
    assert made.generated_authorization_key == b""
    assert made.charge_point.description == "garage"
    assert made.charge_point.registration == common_pb2.REGISTRATION_PENDING


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.CreateChargePointRequest(), "charge_point"),
        (new(""), "charge_point.identity"),
        (new("x" * 49), "charge_point.identity"),
        (new("a/b"), "charge_point.identity"),
        (new("a:b"), "charge_point.identity"),
        (new("a\nb"), "charge_point.identity"),
        (new(".."), "charge_point.identity"),
        (new(description="x" * 1001), "charge_point.description"),
        (new(etag="1"), "charge_point.etag"),
        (new(labels={"": "x"}), "charge_point.labels"),
        (new(labels={"a b": "x"}), "charge_point.labels"),
        (new(labels={"site": "x" * 129}), "charge_point.labels[site]"),
        (new(labels={f"k{number}": "" for number in range(33)}), "charge_point.labels"),
        (pb.CreateChargePointRequest(charge_point=pb.ChargePoint(identity="CP1"), authorization_key=b"short"),
         "authorization_key"),
        (pb.CreateChargePointRequest(charge_point=pb.ChargePoint(identity="CP1"), authorization_key=b""),
         "authorization_key"),
    ],
)  # fmt: skip
async def test_what_can_not_be_provisioned_is_refused_by_its_field(gateway, failing, request_, field):
    """INVALID_ARGUMENT, and nothing is kept."""
    problem = await failing(gateway.client.charge_points.CreateChargePoint, request_)
    assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
    assert field in [name for name, _ in problem.violations]
    assert gateway.store.charge_points("", 10) == []


async def test_an_identity_that_is_taken_is_refused(gateway, failing):
    """ALREADY_EXISTS; the first one's key stays."""
    made = await gateway.call(gateway.client.charge_points.CreateChargePoint, new())
    problem = await failing(gateway.client.charge_points.CreateChargePoint, new())
    assert (problem.code, problem.reason) == (grpc.StatusCode.ALREADY_EXISTS, "CHARGE_POINT_EXISTS")
    assert verify(gateway.store.credentials("CP1")[0], made.generated_authorization_key)


async def test_an_unknown_charge_point_is_not_found_by_any_method(gateway, failing):
    """Each names it in the metadata."""
    stub = gateway.client.charge_points
    update = pb.UpdateChargePointRequest(charge_point=pb.ChargePoint(identity="CP9"), generate_authorization_key=True)
    for rpc, request in [
        (stub.GetChargePoint, pb.GetChargePointRequest(identity="CP9")),
        (stub.DeleteChargePoint, pb.DeleteChargePointRequest(identity="CP9")),
        (stub.DisconnectChargePoint, pb.DisconnectChargePointRequest(identity="CP9")),
        (stub.UpdateChargePoint, update),
    ]:
        problem = await failing(rpc, request)
        assert (problem.code, problem.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CHARGE_POINT")
        assert problem.metadata == {"charge_point": "CP9"}


async def test_a_charge_point_is_shown_as_it_described_itself_and_with_its_live_connection(gateway):
    """Boot, connectors and, from the running process, when it was last heard."""
    epoch = await gateway.charge_point()
    boot = BootInformation("Acme", "One", firmware_version="1.2", meter_serial_number="M7")
    await gateway.append(
        "CP1",
        epoch,
        ChargePointBooted(boot, Registration.ACCEPTED, 300),
        ConnectorStatusChanged(ConnectorAddress(1, 1), "Faulted", "GroundFailure", vendor_error_code="E7"),
    )
    heard = NOW + timedelta(hours=1)
    gateway.commands.connections["CP1"] = Live(epoch, heard)
    request = pb.GetChargePointRequest(identity="CP1")
    shown = (await gateway.call(gateway.client.charge_points.GetChargePoint, request)).charge_point
    assert (shown.boot.vendor, shown.boot.firmware_version, shown.boot.meter_serial_number) == ("Acme", "1.2", "M7")
    assert shown.ever_accepted
    (connector,) = shown.connectors
    assert (connector.connector.evse, connector.status, connector.vendor_error_code) == (1, "Faulted", "E7")
    assert shown.connection.connected
    assert shown.connection.remote_address == "192.0.2.1:4711"
    assert shown.connection.last_heard_time.ToDatetime(NOW.tzinfo) == heard
    gateway.commands.connections["CP1"] = Live(epoch + 1, heard + timedelta(hours=1))
    shown = (await gateway.call(gateway.client.charge_points.GetChargePoint, request)).charge_point
    assert shown.connection.last_heard_time.ToDatetime(NOW.tzinfo) != heard + timedelta(hours=1)


async def test_the_reservations_that_hold_are_shown(gateway):
    """As they were made; those that have ended are not."""
    epoch = await gateway.charge_point()
    expiry = NOW + timedelta(hours=1)
    await gateway.append(
        "CP1",
        epoch,
        ReservationMade(7, ConnectorAddress(0, 0), "TAG", expiry, "GROUP"),
        ReservationMade(8, ConnectorAddress(1, 1), "TAG", expiry),
        ReservationEnded(8, ConnectorAddress(1, 1), "cancelled"),
    )
    request = pb.GetChargePointRequest(identity="CP1")
    shown = (await gateway.call(gateway.client.charge_points.GetChargePoint, request)).charge_point
    (reservation,) = shown.reservations
    assert (reservation.reservation_id, reservation.id_tag, reservation.parent_id_tag) == (7, "TAG", "GROUP")
    assert reservation.HasField("connector")
    assert reservation.connector.evse == 0
    assert reservation.expire_time.ToDatetime(NOW.tzinfo) == expiry
    assert reservation.create_time.ToDatetime(NOW.tzinfo) == NOW + timedelta(minutes=1)


async def test_lists_come_in_pages_and_by_filter(gateway, failing):
    """Every one once, in order of identity; a token belongs to its filters."""
    for number in range(5):
        await gateway.call(gateway.client.charge_points.CreateChargePoint, new(f"CP{number}"))
    await gateway.charge_point("LIVE", Registration.PENDING)
    stub = gateway.client.charge_points
    request = pb.ListChargePointsRequest(page_size=2)
    seen, tokens = [], []
    while True:
        page = await gateway.call(stub.ListChargePoints, request)
        seen += [each.identity for each in page.charge_points]
        assert len(page.charge_points) <= 2
        if not page.next_page_token:
            break
        tokens.append(page.next_page_token)
        request.page_token = page.next_page_token
    assert seen == ["CP0", "CP1", "CP2", "CP3", "CP4", "LIVE"]
    for filtered, expected in [
        (pb.ListChargePointsRequest(connected=True), ["LIVE"]),
        (pb.ListChargePointsRequest(connected=False), seen[:5]),
        (pb.ListChargePointsRequest(registration=common_pb2.REGISTRATION_PENDING), ["LIVE"]),
    ]:
        page = await gateway.call(stub.ListChargePoints, filtered)
        assert [each.identity for each in page.charge_points] == expected
    for wrong in [
        pb.ListChargePointsRequest(page_token=tokens[0], connected=True),
        pb.ListChargePointsRequest(page_token="?"),
        pb.ListChargePointsRequest(page_token="e30="),
        pb.ListChargePointsRequest(page_size=-1),
        pb.ListChargePointsRequest(registration=77),
    ]:
        problem = await failing(stub.ListChargePoints, wrong)
        assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
        assert len(problem.violations) == 1


async def test_an_update_changes_what_its_mask_names_and_reaches_the_live_session(gateway):
    """Nothing else changes; the etag rises."""
    await gateway.call(gateway.client.charge_points.CreateChargePoint, new(description="old"))
    request = pb.UpdateChargePointRequest(
        charge_point=pb.ChargePoint(
            identity="CP1", registration=common_pb2.REGISTRATION_REJECTED, description="new", etag="1"
        )
    )
    request.update_mask.paths.append("registration")
    changed = await gateway.call(gateway.client.charge_points.UpdateChargePoint, request)
    assert changed.charge_point.registration == common_pb2.REGISTRATION_REJECTED
    assert changed.charge_point.description == "old"
    assert changed.charge_point.etag == "2"
    assert changed.generated_authorization_key == b""
    assert gateway.commands.notified == [("registration", "CP1", Registration.REJECTED)]


@pytest.mark.parametrize("switch", ["own_requests", "accept_hex_password"])
async def test_a_switch_is_set_and_left_to_the_settings_again(gateway, switch):
    """Named in the mask and unset in the charge point: as the settings say."""
    await gateway.call(gateway.client.charge_points.CreateChargePoint, new())
    for value, kept in ((True, True), (False, False), (None, None)):
        charge_point = pb.ChargePoint(identity="CP1", **({} if value is None else {switch: value}))
        request = pb.UpdateChargePointRequest(charge_point=charge_point, update_mask={"paths": [switch]})
        changed = (await gateway.call(gateway.client.charge_points.UpdateChargePoint, request)).charge_point
        assert (getattr(changed, switch) if changed.HasField(switch) else None) is value
        assert getattr(gateway.store.charge_point("CP1").quirks, switch) is kept


async def test_an_update_with_a_stale_etag_changes_nothing(gateway, failing):
    """ABORTED: read it again."""
    await gateway.call(gateway.client.charge_points.CreateChargePoint, new())
    request = pb.UpdateChargePointRequest(
        charge_point=pb.ChargePoint(identity="CP1", registration=common_pb2.REGISTRATION_REJECTED, etag="7")
    )
    request.update_mask.paths.append("registration")
    problem = await failing(gateway.client.charge_points.UpdateChargePoint, request)
    assert (problem.code, problem.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert gateway.store.charge_point("CP1").registration is Registration.ACCEPTED
    assert gateway.commands.notified == []


async def test_rotating_the_key_replaces_all_present_ones(gateway):
    """The old password counts no more, the new one does."""
    stub = gateway.client.charge_points
    made = await gateway.call(stub.CreateChargePoint, new())
    request = pb.UpdateChargePointRequest(charge_point=pb.ChargePoint(identity="CP1"), generate_authorization_key=True)
    rotated = await gateway.call(stub.UpdateChargePoint, request)
    credentials = gateway.store.credentials("CP1")
    later = NOW + timedelta(days=10_000)
    assert find(credentials, made.generated_authorization_key, later) is None
    assert find(credentials, rotated.generated_authorization_key, later) is not None


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"update_mask": {"paths": ["identity"]}},
        {"update_mask": {"paths": ["registration"]}},
        {"update_mask": {"paths": ["description"]}, "generate_authorization_key": False},
        {"authorization_key": b""},
        {"authorization_key": b"x" * 41},
    ],
)
async def test_an_update_that_says_nothing_or_too_much_is_refused(gateway, failing, change):
    """INVALID_ARGUMENT with the field."""
    await gateway.call(gateway.client.charge_points.CreateChargePoint, new())
    request = pb.UpdateChargePointRequest(charge_point=pb.ChargePoint(identity="CP1"), **change)
    problem = await failing(gateway.client.charge_points.UpdateChargePoint, request)
    assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
    assert problem.violations


async def test_deleting_ends_the_session_and_frees_the_identity(gateway):
    """It can be created anew, with another key."""
    stub = gateway.client.charge_points
    await gateway.call(stub.CreateChargePoint, new())
    await gateway.call(stub.DeleteChargePoint, pb.DeleteChargePointRequest(identity="CP1"))
    assert gateway.commands.notified == [("expel", "CP1")]
    assert gateway.store.credentials("CP1") == ()
    await gateway.call(stub.CreateChargePoint, new())


async def test_disconnecting_ends_a_live_session_only(gateway, failing):
    """Without one: FAILED_PRECONDITION, and when it was last seen."""
    await gateway.charge_point()
    request = pb.DisconnectChargePointRequest(identity="CP1")
    problem = await failing(gateway.client.charge_points.DisconnectChargePoint, request)
    assert (problem.code, problem.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CHARGE_POINT_OFFLINE")
    assert problem.metadata["last_seen"].startswith("2026-03-01T12:00")
    gateway.commands.connections["CP1"] = Live(1, NOW)
    await gateway.call(gateway.client.charge_points.DisconnectChargePoint, request)


async def test_labels_are_set_and_replaced_and_go_with_the_charge_point(gateway):
    """By create, and by an update whose mask names them; a charge point made anew has none of the old ones."""
    stub = gateway.client.charge_points
    await gateway.call(stub.CreateChargePoint, new(labels={"site": "north", "owner": "Müller & Co"}))
    asked = pb.GetChargePointRequest(identity="CP1")
    shown = (await gateway.call(stub.GetChargePoint, asked)).charge_point
    assert dict(shown.labels) == {"site": "north", "owner": "Müller & Co"}
    request = pb.UpdateChargePointRequest(charge_point=pb.ChargePoint(identity="CP1", labels={"site": "south"}))
    request.update_mask.paths.append("description")
    changed = (await gateway.call(stub.UpdateChargePoint, request)).charge_point
    assert dict(changed.labels) == dict(shown.labels)
    request.update_mask.paths[:] = ["labels"]
    changed = (await gateway.call(stub.UpdateChargePoint, request)).charge_point
    assert (dict(changed.labels), changed.etag) == ({"site": "south"}, "2")
    assert (await gateway.call(stub.UpdateChargePoint, request)).charge_point.etag == "2"
    request.charge_point.ClearField("labels")
    assert not (await gateway.call(stub.UpdateChargePoint, request)).charge_point.labels
    request.charge_point.labels["site"] = "west"
    await gateway.call(stub.UpdateChargePoint, request)
    await gateway.call(stub.DeleteChargePoint, pb.DeleteChargePointRequest(identity="CP1"))
    await gateway.call(stub.CreateChargePoint, new())
    assert not (await gateway.call(stub.GetChargePoint, asked)).charge_point.labels


async def test_labels_that_can_not_be_set_change_nothing(gateway, failing):
    """The update is refused by the label's field, and the old ones stay."""
    stub = gateway.client.charge_points
    await gateway.call(stub.CreateChargePoint, new(labels={"site": "north"}))
    request = pb.UpdateChargePointRequest(charge_point=pb.ChargePoint(identity="CP1", labels={"site": "a\nb"}))
    request.update_mask.paths.append("labels")
    problem = await failing(stub.UpdateChargePoint, request)
    assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [name for name, _ in problem.violations] == ["charge_point.labels[site]"]
    assert dict(gateway.store.charge_point("CP1").labels) == {"site": "north"}


async def test_lists_are_filtered_by_labels(gateway, failing):
    """All of them have to be there with their values; pages go on with the same filter."""
    stub = gateway.client.charge_points
    for number in range(6):
        labels = {"site": "north" if number % 2 else "south", "a.b/c": str(number)}
        await gateway.call(stub.CreateChargePoint, new(f"CP{number}", labels=labels))
    await gateway.call(stub.CreateChargePoint, new("NONE"))
    for labels, expected in [
        ({"site": "north"}, ["CP1", "CP3", "CP5"]),
        ({"site": "north", "a.b/c": "3"}, ["CP3"]),
        ({"site": ""}, []),
        ({"north": "site"}, []),
        ({"a": "3"}, []),
    ]:
        page = await gateway.call(stub.ListChargePoints, pb.ListChargePointsRequest(labels=labels))
        assert [each.identity for each in page.charge_points] == expected
    request = pb.ListChargePointsRequest(labels={"site": "south"}, page_size=2)
    first = await gateway.call(stub.ListChargePoints, request)
    request.page_token = first.next_page_token
    rest = await gateway.call(stub.ListChargePoints, request)
    assert [each.identity for each in (*first.charge_points, *rest.charge_points)] == ["CP0", "CP2", "CP4"]
    request.labels["site"] = "north"
    problem = await failing(stub.ListChargePoints, request)
    assert [name for name, _ in problem.violations] == ["page_token"]
    problem = await failing(stub.ListChargePoints, pb.ListChargePointsRequest(labels={"a b": "x", "c": " "}))
    assert [name for name, _ in problem.violations] == ["labels", "labels[c]"]


async def test_the_quirk_profile_that_counts_is_shown_with_where_each_value_comes_from(gateway):
    """Said for it alone, else of its make, else for all; only of one charge point, not in lists."""
    stub = gateway.client.charge_points
    request = new()
    request.charge_point.quirks.settle_delay.FromMilliseconds(2500)
    request.charge_point.quirks.max_stack_level = 0
    made = (await gateway.call(stub.CreateChargePoint, request)).charge_point
    got = (await gateway.call(stub.GetChargePoint, pb.GetChargePointRequest(identity="CP1"))).charge_point
    for each in (made, got):
        assert each.effective_quirks.settle_delay.ToMilliseconds() == 2500
        assert each.effective_quirks.ping_interval.seconds == 50
        sources = {origin.field: origin.source for origin in each.quirk_origins}
        assert set(sources) == {field.name for field in pb.QuirkProfile.DESCRIPTOR.fields}
        assert sources["settle_delay"] == sources["max_stack_level"] == pb.QUIRK_SOURCE_CHARGE_POINT
        assert sources["ping_interval"] == pb.QUIRK_SOURCE_DEFAULT
    listed = (await gateway.call(stub.ListChargePoints, pb.ListChargePointsRequest())).charge_points[0]
    assert listed.quirks == got.quirks
    assert not listed.HasField("effective_quirks")
    assert not listed.quirk_origins


async def test_quirks_are_changed_one_by_one_or_all_together(gateway):
    """By the mask: what it does not name stays, and what it names and is unset is its make's again."""
    stub = gateway.client.charge_points
    request = new()
    request.charge_point.quirks.own_requests = False
    request.charge_point.quirks.measurands.extend(["A,B", "A"])
    await gateway.call(stub.CreateChargePoint, request)

    async def changed(*paths, **quirks):
        charge_point = pb.ChargePoint(identity="CP1", quirks=pb.QuirkProfile(**quirks))
        update = pb.UpdateChargePointRequest(charge_point=charge_point, update_mask={"paths": paths})
        return (await gateway.call(stub.UpdateChargePoint, update)).charge_point.quirks

    assert await changed("quirks.max_stack_level", max_stack_level=3, plug_in_first=True) == pb.QuirkProfile(
        own_requests=False, measurands=["A,B", "A"], max_stack_level=3
    )
    assert await changed("quirks.own_requests", "quirks.measurands") == pb.QuirkProfile(max_stack_level=3)
    assert await changed("quirks", pong_expected=False) == pb.QuirkProfile(pong_expected=False)
    assert await changed("quirks") == pb.QuirkProfile()
    fields = [
        codec.decode(each.type, each.version, each.body_json).changed
        for each in gateway.store.events(0, 100, EventFilter(types=frozenset({"charge_point.updated"}))).events
    ]
    assert fields == [
        ("max_stack_level",),
        ("own_requests", "measurands"),
        ("pong_expected", "max_stack_level"),
        ("pong_expected",),
    ]


async def test_quirks_out_of_bounds_are_refused_by_name(gateway, failing):
    """And those that contradict the older fields, and names that there are not."""
    stub = gateway.client.charge_points
    request = new()
    request.charge_point.quirks.settle_delay.FromSeconds(301)
    request.charge_point.quirks.max_schedule_periods = 0
    request.charge_point.quirks.clock_offset.seconds = 2**62
    request.charge_point.quirks.own_requests = True
    request.charge_point.own_requests = False
    problem = await failing(stub.CreateChargePoint, request)
    assert problem.code == grpc.StatusCode.INVALID_ARGUMENT
    assert {name for name, _ in problem.violations} == {
        "charge_point.quirks.clock_offset",
        "charge_point.own_requests",
    }
    request.charge_point.quirks.ClearField("clock_offset")
    request.charge_point.own_requests = True
    problem = await failing(stub.CreateChargePoint, request)
    assert {name for name, _ in problem.violations} == {
        "charge_point.quirks.settle_delay",
        "charge_point.quirks.max_schedule_periods",
    }
    update = pb.UpdateChargePointRequest(charge_point=pb.ChargePoint(identity="CP1"))
    update.update_mask.paths.append("quirks.humour")
    problem = await failing(stub.UpdateChargePoint, update)
    assert [name for name, _ in problem.violations] == ["update_mask"]

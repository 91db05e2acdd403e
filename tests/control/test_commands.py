"""CommandService over a real server and client; the router answers what a test says."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import grpc
import pytest
import trio

from gateway.api.v1 import command_pb2 as pb
from gateway.api.v1 import common_pb2
from gateway.domain import commands as c
from gateway.domain import security_commands as s
from gateway.domain.charging import (
    ChargingProfile,
    ChargingRateUnit,
    ChargingSchedule,
    ProfileKind,
    ProfilePurpose,
    RecurrencyKind,
    SchedulePeriod,
)
from gateway.domain.commands import CommandState, FieldViolation, RefusalReason, Refused
from gateway.domain.events import CommandQueued, CommandSent
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress
from tests.control.fakes import NOW, answered, control

ONE = common_pb2.ConnectorAddress(evse=1, connector=1)
WHOLE = common_pb2.ConnectorAddress()
AT = datetime(2026, 5, 1, 6, 30, tzinfo=UTC)

PROFILE = common_pb2.ChargingProfile(
    charging_profile_id=7,
    transaction_id="tx_1",
    stack_level=2,
    purpose=common_pb2.CHARGING_PROFILE_PURPOSE_TX_PROFILE,
    kind=common_pb2.CHARGING_PROFILE_KIND_RECURRING,
    recurrency_kind=common_pb2.RECURRENCY_KIND_WEEKLY,
    valid_from_time=AT,
    schedule=common_pb2.ChargingSchedule(
        duration=timedelta(hours=2),
        start_schedule_time=AT,
        rate_unit=common_pb2.CHARGING_RATE_UNIT_AMPERES,
        periods=[
            common_pb2.ChargingSchedulePeriod(start_period=timedelta(0), limit=16.1),
            common_pb2.ChargingSchedulePeriod(start_period=timedelta(minutes=30), limit=6, number_phases=1),
        ],
        min_charging_rate=5.5,
    ),
)
DOMAIN_PROFILE = ChargingProfile(
    profile_id=7,
    stack_level=2,
    purpose=ProfilePurpose.TX,
    kind=ProfileKind.RECURRING,
    schedule=ChargingSchedule(
        ChargingRateUnit.AMPERE,
        (SchedulePeriod(0, Decimal("16.1")), SchedulePeriod(1800, Decimal("6.0"), 1)),
        7200,
        AT,
        Decimal("5.5"),
    ),
    transaction_id="tx_1",
    recurrency_kind=RecurrencyKind.WEEKLY,
    valid_from=AT,
)

OPERATIONS = [
    ("CancelReservation", {"reservation_id": 5}, c.CancelReservation(5)),
    (
        "ChangeAvailability",
        {"connector": WHOLE, "type": pb.AVAILABILITY_TYPE_INOPERATIVE},
        c.ChangeAvailability(WHOLE_CHARGE_POINT, c.AvailabilityType.INOPERATIVE),
    ),
    ("ChangeConfiguration", {"key": "K", "value": "V"}, c.ChangeConfiguration("K", "V")),
    ("ClearCache", {}, c.ClearCache()),
    ("ClearChargingProfile", {}, c.ClearChargingProfile()),
    (
        "ClearChargingProfile",
        {
            "connector": ONE,
            "purpose": common_pb2.CHARGING_PROFILE_PURPOSE_TX_DEFAULT_PROFILE,
            "stack_level": 0,
            "charging_profile_id": 0,
        },
        c.ClearChargingProfile(0, ConnectorAddress(1, 1), ProfilePurpose.TX_DEFAULT, 0),
    ),
    ("DataTransfer", {"vendor_id": "acme", "message_id": "m", "data": ""}, c.DataTransfer("acme", "m", "")),
    ("DataTransfer", {"vendor_id": "acme"}, c.DataTransfer("acme")),
    (
        "GetCompositeSchedule",
        {"connector": WHOLE, "duration": timedelta(hours=1), "rate_unit": common_pb2.CHARGING_RATE_UNIT_WATTS},
        c.GetCompositeSchedule(WHOLE_CHARGE_POINT, 3600, ChargingRateUnit.WATT),
    ),
    ("GetConfiguration", {"keys": ["A", "B"]}, c.GetConfiguration(("A", "B"))),
    (
        "GetDiagnostics",
        {"location": "ftp://x/", "retries": 2, "retry_interval": timedelta(seconds=9), "start_time": AT},
        c.GetDiagnostics("ftp://x/", 2, 9, AT),
    ),
    ("GetLocalListVersion", {}, c.GetLocalListVersion()),
    ("RemoteStartTransaction", {"id_tag": "T"}, c.RemoteStartTransaction("T")),
    (
        "RemoteStartTransaction",
        {"id_tag": "T", "connector": ONE, "charging_profile": PROFILE},
        c.RemoteStartTransaction("T", ConnectorAddress(1, 1), DOMAIN_PROFILE),
    ),
    ("RemoteStopTransaction", {"transaction_id": "tx_1"}, c.RemoteStopTransaction("tx_1")),
    (
        "ReserveNow",
        {"connector": ONE, "expire_time": AT, "id_tag": "T", "reservation_id": 3, "parent_id_tag": "P"},
        c.ReserveNow(ConnectorAddress(1, 1), AT, "T", 3, "P"),
    ),
    ("Reset", {"type": pb.RESET_TYPE_HARD}, c.Reset(c.ResetType.HARD)),
    (
        "SendLocalList",
        {
            "list_version": 4,
            "update_type": pb.LOCAL_LIST_UPDATE_TYPE_DIFFERENTIAL,
            "entries": [
                pb.LocalListEntry(id_tag="A"),
                pb.LocalListEntry(
                    id_tag="B", status=pb.AUTHORIZATION_STATUS_CONCURRENT_TX, expire_time=AT, parent_id_tag="P"
                ),
            ],
        },
        c.SendLocalList(
            4,
            c.UpdateType.DIFFERENTIAL,
            (c.LocalListEntry("A"), c.LocalListEntry("B", "ConcurrentTx", AT, "P")),
        ),
    ),
    (
        "SetChargingProfile",
        {"connector": ONE, "charging_profile": PROFILE},
        c.SetChargingProfile(ConnectorAddress(1, 1), DOMAIN_PROFILE),
    ),
    (
        "TriggerMessage",
        {"requested_message": pb.TRIGGERED_MESSAGE_DIAGNOSTICS_STATUS_NOTIFICATION},
        c.TriggerMessage(c.TriggeredMessage.DIAGNOSTICS_STATUS),
    ),
    ("UnlockConnector", {"connector": ONE}, c.UnlockConnector(ConnectorAddress(1, 1))),
    (
        "UpdateFirmware",
        {"location": "https://x/f", "retrieve_time": AT, "retries": 0, "retry_interval": timedelta(seconds=60)},
        c.UpdateFirmware("https://x/f", AT, 0, 60),
    ),
    ("CertificateSigned", {"certificate_chain": "pem"}, s.CertificateSigned("pem")),
    (
        "DeleteCertificate",
        {
            "certificate": pb.CertificateHash(
                hash_algorithm=2, issuer_name_hash="a", issuer_key_hash="b", serial_number="1"
            )
        },
        s.DeleteCertificate(s.CertificateHash(s.HashAlgorithm.SHA384, "a", "b", "1")),
    ),
    (
        "ExtendedTriggerMessage",
        {"requested_message": pb.EXTENDED_TRIGGER_SIGN_CHARGE_POINT_CERTIFICATE},
        s.ExtendedTriggerMessage(s.ExtendedTrigger.SIGN_CERTIFICATE),
    ),
    (
        "GetInstalledCertificateIds",
        {"certificate_use": pb.CERTIFICATE_USE_MANUFACTURER_ROOT_CERTIFICATE},
        s.GetInstalledCertificateIds(s.CertificateUse.MANUFACTURER_ROOT),
    ),
    (
        "GetLog",
        {"log_type": pb.LOG_TYPE_SECURITY_LOG, "location": "ftp://x/", "ocpp_request_id": 0, "latest_time": AT},
        s.GetLog(s.LogType.SECURITY, 0, "ftp://x/", latest_time=AT),
    ),
    # 49,539,526: of the request id "r1", the same in each version of the gateway.
    (
        "GetLog",
        {"log_type": pb.LOG_TYPE_DIAGNOSTICS_LOG, "location": "ftp://x/", "retries": 1},
        s.GetLog(s.LogType.DIAGNOSTICS, 49_539_526, "ftp://x/", 1),
    ),
    (
        "InstallCertificate",
        {"certificate_use": pb.CERTIFICATE_USE_CENTRAL_SYSTEM_ROOT_CERTIFICATE, "certificate": "pem"},
        s.InstallCertificate(s.CertificateUse.CENTRAL_SYSTEM_ROOT, "pem"),
    ),
    (
        "SignedUpdateFirmware",
        {
            "location": "https://x/f",
            "retrieve_time": AT,
            "install_time": AT,
            "signing_certificate": "pem",
            "signature": "c2ln",
            "retry_interval": timedelta(seconds=60),
            "ocpp_request_id": 7,
        },
        s.SignedUpdateFirmware(7, "https://x/f", AT, "pem", "c2ln", AT, retry_interval=60),
    ),
]


def reset(**changes):
    fields = {"charge_point": "CP1", "request_id": "r1", "type": pb.RESET_TYPE_SOFT, **changes}
    return pb.ResetRequest(**fields)


@pytest.mark.parametrize(("operation", "fields", "command"), OPERATIONS)
async def test_every_operation_reaches_the_router_as_the_domain_s_command(gateway, operation, fields, command):
    """Nothing is lost or made up on the way, and options that aren't given stay away."""
    request = getattr(pb, f"{operation}Request")(charge_point="CP1", request_id="r1", **fields)
    response = await gateway.call(getattr(gateway.client.commands, operation), request)
    ((identity, sent, request_id, _),) = gateway.commands.calls
    assert (identity, sent, request_id) == ("CP1", command, "r1")
    assert response.command.command_id == "cmd_1"
    assert response.command.state == pb.COMMAND_STATE_ANSWERED


def test_every_operation_of_the_domain_has_an_rpc():
    """One for each."""
    assert {operation for operation, _, _ in OPERATIONS} == set(c.COMMANDS)


STATUSES = [
    ("CancelReservation", {}, "Rejected"),
    ("ChangeAvailability", {"connector": ONE, "type": 1}, "Scheduled"),
    ("ChangeConfiguration", {"key": "K"}, "RebootRequired"),
    ("ChangeConfiguration", {"key": "K"}, "NotSupported"),
    ("ClearChargingProfile", {}, "Unknown"),
    ("RemoteStartTransaction", {"id_tag": "T"}, "Rejected"),
    ("ReserveNow", {"connector": ONE, "expire_time": AT, "id_tag": "T"}, "Occupied"),
    ("SendLocalList", {"list_version": 1, "update_type": 1}, "VersionMismatch"),
    ("TriggerMessage", {"requested_message": 1}, "NotImplemented"),
    ("UnlockConnector", {"connector": ONE}, "UnlockFailed"),
    ("CertificateSigned", {"certificate_chain": "pem"}, "Rejected"),
    ("DeleteCertificate", {"certificate": pb.CertificateHash(hash_algorithm=1)}, "NotFound"),
    ("ExtendedTriggerMessage", {"requested_message": 1}, "NotImplemented"),
    ("InstallCertificate", {"certificate_use": 1, "certificate": "pem"}, "Failed"),
    (
        "SignedUpdateFirmware",
        {"location": "x", "retrieve_time": AT, "signing_certificate": "pem", "signature": "c2ln"},
        "RevokedCertificate",
    ),
]


@pytest.mark.parametrize(("operation", "fields", "status"), STATUSES)
async def test_what_a_charger_says_is_a_response_whatever_it_says(gateway, operation, fields, status):
    """Rejected is no error; each word has its constant, and is returned as it came besides."""
    gateway.commands.outcome = answered(c.StatusAnswer(status))
    request = getattr(pb, f"{operation}Request")(charge_point="CP1", request_id="r1", **fields)
    response = await gateway.call(getattr(gateway.client.commands, operation), request)
    descriptor = response.DESCRIPTOR.fields_by_name["status"].enum_type
    name = descriptor.values_by_number[response.status].name
    assert name.replace("_", "").lower().endswith(status.lower())
    assert response.command.answer.status.status == status


async def test_answers_with_fields_come_typed(gateway):
    """Configuration, composite schedule, data transfer, diagnostics, local list version."""
    stub = gateway.client.commands
    ids = {"charge_point": "CP1", "request_id": "r1"}
    gateway.commands.outcome = answered(
        c.ConfigurationAnswer((c.ConfigurationKey("A", True, "1"), c.ConfigurationKey("B", False)), ("C",))
    )
    response = await gateway.call(stub.GetConfiguration, pb.GetConfigurationRequest(**ids))
    assert [(key.key, key.readonly, key.HasField("value")) for key in response.keys] == [
        ("A", True, True),
        ("B", False, False),
    ]
    assert list(response.unknown_keys) == ["C"]

    schedule = DOMAIN_PROFILE.schedule
    gateway.commands.outcome = answered(c.CompositeScheduleAnswer("Accepted", ConnectorAddress(1, 1), AT, schedule))
    request = pb.GetCompositeScheduleRequest(connector=ONE, duration=timedelta(hours=1), **ids)
    response = await gateway.call(stub.GetCompositeSchedule, request)
    assert response.status == pb.GET_COMPOSITE_SCHEDULE_STATUS_ACCEPTED
    assert response.schedule == PROFILE.schedule
    gateway.commands.outcome = answered(c.CompositeScheduleAnswer("Rejected"))
    response = await gateway.call(stub.GetCompositeSchedule, request)
    assert not response.HasField("schedule")

    gateway.commands.outcome = answered(c.DataTransferAnswer("UnknownVendorId"))
    response = await gateway.call(stub.DataTransfer, pb.DataTransferRequest(vendor_id="v", **ids))
    assert response.status == pb.DATA_TRANSFER_STATUS_UNKNOWN_VENDOR_ID
    assert not response.HasField("data")

    gateway.commands.outcome = answered(c.DiagnosticsAnswer())
    response = await gateway.call(stub.GetDiagnostics, pb.GetDiagnosticsRequest(location="ftp://x", **ids))
    assert not response.HasField("file_name")

    gateway.commands.outcome = answered(s.LogAnswer("AcceptedCanceled", "log.gz"))
    response = await gateway.call(stub.GetLog, pb.GetLogRequest(log_type=1, location="ftp://x", **ids))
    assert (response.status, response.file_name) == (pb.GET_LOG_STATUS_ACCEPTED_CANCELED, "log.gz")
    assert response.command.answer.log.status == "AcceptedCanceled"

    name = s.CertificateHash(s.HashAlgorithm.SHA512, "a", "b", "1")
    gateway.commands.outcome = answered(s.InstalledCertificatesAnswer("Accepted", (name,)))
    request = pb.GetInstalledCertificateIdsRequest(certificate_use=1, **ids)
    response = await gateway.call(stub.GetInstalledCertificateIds, request)
    assert [each.serial_number for each in response.certificates] == ["1"]
    assert response.command.answer.installed_certificates.certificates == response.certificates
    gateway.commands.outcome = answered(s.InstalledCertificatesAnswer("NotFound"))
    response = await gateway.call(stub.GetInstalledCertificateIds, request)
    assert response.status == pb.GET_INSTALLED_CERTIFICATE_IDS_STATUS_NOT_FOUND
    assert not response.certificates

    gateway.commands.outcome = answered(c.LocalListVersionAnswer(-1))
    response = await gateway.call(stub.GetLocalListVersion, pb.GetLocalListVersionRequest(**ids))
    assert response.list_version == -1

    gateway.commands.outcome = answered(c.EmptyAnswer())
    request = pb.UpdateFirmwareRequest(location="https://x", retrieve_time=AT, **ids)
    response = await gateway.call(stub.UpdateFirmware, request)
    assert response.command.answer.HasField("empty")


def refused(reason, **metadata):
    return Refused(reason, "the reason in words", metadata=metadata)


def not_sent(reason):
    return lambda _: answered(state=CommandState.NOT_SENT, answer=None, reason=reason, finished_at=NOW)


def charger_error(code, description="why"):
    return answered(error=c.ChargerError(code, description, '{"a":1}'))


S = grpc.StatusCode
TABLE = [
    (refused(RefusalReason.UNKNOWN_CHARGE_POINT), S.NOT_FOUND, "UNKNOWN_CHARGE_POINT", {}),
    (refused(RefusalReason.UNKNOWN_TRANSACTION), S.NOT_FOUND, "UNKNOWN_TRANSACTION", {}),
    (refused(RefusalReason.CHARGE_POINT_OFFLINE, last_seen="2026"), S.FAILED_PRECONDITION, "CHARGE_POINT_OFFLINE",
     {"last_seen": "2026", "charge_point": "CP1"}),
    (refused(RefusalReason.CHARGE_POINT_PENDING), S.FAILED_PRECONDITION, "CHARGE_POINT_PENDING", {}),
    (refused(RefusalReason.CHARGE_POINT_REJECTED), S.FAILED_PRECONDITION, "CHARGE_POINT_REJECTED", {}),
    (refused(RefusalReason.QUEUE_FULL, limit="32"), S.RESOURCE_EXHAUSTED, "QUEUE_FULL", {"limit": "32"}),
    (refused(RefusalReason.REQUEST_ID_REUSED), S.INVALID_ARGUMENT, "REQUEST_ID_REUSED", {}),
    (refused(RefusalReason.DRAINING), S.UNAVAILABLE, "DRAINING", {}),
    (refused(RefusalReason.STORE_UNAVAILABLE), S.UNAVAILABLE, "STORE_UNAVAILABLE", {}),
    (refused(RefusalReason.NODE_UNREACHABLE), S.UNAVAILABLE, "NODE_UNREACHABLE", {}),
    (not_sent("deadline"), S.DEADLINE_EXCEEDED, "NOT_SENT", {"command_id": "cmd_1", "cause": "deadline"}),
    (not_sent("transaction-ended"), S.NOT_FOUND, "UNKNOWN_TRANSACTION", {"command_id": "cmd_1"}),
    (not_sent("deleted"), S.NOT_FOUND, "UNKNOWN_CHARGE_POINT", {"command_id": "cmd_1"}),
    (not_sent("disconnected"), S.FAILED_PRECONDITION, "CHARGE_POINT_OFFLINE", {"command_id": "cmd_1"}),
    (not_sent("draining"), S.UNAVAILABLE, "NOT_SENT", {"command_id": "cmd_1"}),
    (answered(state=CommandState.NOT_SENT, answer=None, reason="draining", created_at=NOW), S.FAILED_PRECONDITION,
     "NOT_SENT", {}),
    (answered(state=CommandState.OUTCOME_UNKNOWN, answer=None, reason="timeout"), S.UNKNOWN, "OUTCOME_UNKNOWN",
     {"command_id": "cmd_1", "cause": "timeout"}),
    (charger_error("NotSupported"), S.UNIMPLEMENTED, "NotSupported",
     {"code": "NotSupported", "description": "why", "details": '{"a":1}', "command_id": "cmd_1"}),
    (charger_error("NotImplemented"), S.UNIMPLEMENTED, "NotImplemented", {}),
    (charger_error("InternalError"), S.FAILED_PRECONDITION, "InternalError", {}),
    (charger_error("InvalidConfirmation"), S.FAILED_PRECONDITION, "InvalidConfirmation", {}),
    (charger_error("NOT_SENT"), S.FAILED_PRECONDITION, "UnknownErrorCode", {"code": "NOT_SENT"}),
    (charger_error("E" * 255, "\n\x00 é" * 60), S.FAILED_PRECONDITION, "UnknownErrorCode", {}),
]  # fmt: skip


@pytest.mark.parametrize(("outcome", "code", "reason", "metadata"), TABLE)
async def test_each_outcome_that_is_no_confirmation_has_its_status(gateway, failing, outcome, code, reason, metadata):
    """The design's table, row by row, with the reason for programs and what a caller needs in the metadata."""
    gateway.commands.outcome = outcome
    problem = await failing(gateway.client.commands.Reset, reset())
    assert (problem.code, problem.reason) == (code, reason)
    assert metadata.items() <= problem.metadata.items()
    assert problem.metadata["charge_point"] == "CP1"
    assert "\n" not in str(problem)


async def test_violations_are_reported_by_the_names_of_the_request_s_fields(gateway, failing):
    """Names that differ in the domain are translated."""
    gateway.commands.outcome = Refused(
        RefusalReason.INVALID_COMMAND,
        "can't be sent",
        (
            FieldViolation("profile.schedule.periods[1].start_period", "must rise"),
            FieldViolation("profile.valid_from", "late"),
        ),
    )
    request = pb.SetChargingProfileRequest(charge_point="CP1", request_id="r1", connector=ONE, charging_profile=PROFILE)
    problem = await failing(gateway.client.commands.SetChargingProfile, request)
    assert (problem.code, problem.reason) == (S.INVALID_ARGUMENT, "INVALID_COMMAND")
    assert problem.violations == (
        ("charging_profile.schedule.periods[1].start_period", "must rise"),
        ("charging_profile.valid_from_time", "late"),
    )


NO_ID = {"charge_point": "CP1", "request_id": "r"}
BAD = [
    (pb.ResetRequest(request_id="r", type=1), "Reset", {"charge_point"}),
    (pb.ResetRequest(charge_point="CP1", request_id="r"), "Reset", {"type"}),
    (pb.ResetRequest(charge_point="CP1", request_id="r", type=99), "Reset", {"type"}),
    (pb.ResetRequest(charge_point="CP1", request_id="r" * 65, type=1), "Reset", {"request_id"}),
    (pb.ResetRequest(charge_point="CP1", request_id="a\nb", type=1), "Reset", {"request_id"}),
    (pb.UnlockConnectorRequest(**NO_ID), "UnlockConnector", {"connector"}),
    (pb.RemoteStartTransactionRequest(**NO_ID), "RemoteStartTransaction", {"id_tag"}),
    (pb.RemoteStopTransactionRequest(**NO_ID), "RemoteStopTransaction", {"transaction_id"}),
    (pb.RemoteStopTransactionRequest(transaction_id="tx_1", foreign_number=0, **NO_ID),
     "RemoteStopTransaction", {"foreign_number"}),
    (pb.SetChargingProfileRequest(**NO_ID), "SetChargingProfile", {"connector", "charging_profile"}),
    (
        pb.SetChargingProfileRequest(connector=ONE, charging_profile=common_pb2.ChargingProfile(), **NO_ID),
        "SetChargingProfile",
        {"charging_profile.schedule", "charging_profile.purpose", "charging_profile.kind"},
    ),
    (
        pb.GetCompositeScheduleRequest(connector=ONE, duration=timedelta(seconds=1.5), **NO_ID),
        "GetCompositeSchedule",
        {"duration"},
    ),
    (pb.GetCompositeScheduleRequest(connector=ONE, duration=timedelta(seconds=-1), **NO_ID),
     "GetCompositeSchedule", {"duration"}),
    (pb.UpdateFirmwareRequest(**NO_ID), "UpdateFirmware", {"location"}),
    (pb.CertificateSignedRequest(**NO_ID), "CertificateSigned", {"certificate_chain"}),
    (pb.DeleteCertificateRequest(**NO_ID), "DeleteCertificate", {"certificate", "certificate.hash_algorithm"}),
    (pb.ExtendedTriggerMessageRequest(requested_message=9, **NO_ID), "ExtendedTriggerMessage", {"requested_message"}),
    (pb.GetLogRequest(**NO_ID), "GetLog", {"log_type", "location"}),
    (pb.InstallCertificateRequest(**NO_ID), "InstallCertificate", {"certificate_use", "certificate"}),
    (pb.SignedUpdateFirmwareRequest(**NO_ID), "SignedUpdateFirmware",
     {"location", "signing_certificate", "signature"}),
    (pb.ReserveNowRequest(connector=ONE, id_tag="T", expire_time={"seconds": 2**50}, **NO_ID),
     "ReserveNow", {"expire_time"}),
    (pb.SendLocalListRequest(update_type=1, entries=[pb.LocalListEntry(status=77)], **NO_ID),
     "SendLocalList", {"entries[0].id_tag", "entries[0].status"}),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "operation", "fields"), BAD)
async def test_a_request_that_says_too_little_never_reaches_the_router(gateway, failing, request_, operation, fields):
    """INVALID_ARGUMENT with a violation for each field, all at once."""
    problem = await failing(getattr(gateway.client.commands, operation), request_)
    assert problem.code is S.INVALID_ARGUMENT
    assert {name for name, _ in problem.violations} == fields
    assert gateway.commands.calls == []


@pytest.mark.parametrize("limit", [float("nan"), float("inf")])
async def test_a_limit_that_is_no_number_is_refused(gateway, failing, limit):
    """It could not be put on the wire."""
    request = pb.SetChargingProfileRequest(charge_point="CP1", request_id="r", connector=ONE, charging_profile=PROFILE)
    request.charging_profile.schedule.periods[1].limit = limit
    problem = await failing(gateway.client.commands.SetChargingProfile, request)
    assert [name for name, _ in problem.violations] == ["charging_profile.schedule.periods[1].limit"]


async def test_a_request_id_is_required_and_the_client_gives_one(gateway):
    """Without it, repeating would not be safe."""
    with pytest.raises(grpc.RpcError, match="request_id"):
        await trio.to_thread.run_sync(gateway.client.commands.Reset, reset(request_id=""))
    request = reset(request_id="")
    await gateway.call(gateway.client.commands.Reset, request)
    await gateway.call(gateway.client.commands.Reset, request)
    first, second = gateway.commands.calls
    assert first[2] == second[2] == request.request_id != ""


async def test_the_gateway_gives_itself_less_time_than_its_caller_has(gateway):
    """A quarter of a second, so that its answer arrives; without a deadline, the default."""
    await gateway.call(gateway.client.commands.Reset, reset(), timeout=5.0)
    await trio.to_thread.run_sync(gateway.client.commands.Reset, reset())
    (*_, given), (*_, default) = gateway.commands.calls
    assert 4.0 < given <= 4.8  # gRPC rounds what it sends of the deadline up, by a per cent
    assert default == pytest.approx(60, abs=0.5)


async def test_a_deadline_that_leaves_no_time_sends_nothing(gateway, failing):
    """The router is given a deadline that has passed, and still looks for an earlier command with the request id."""
    gateway.commands.outcome = refused(RefusalReason.NOT_SENT)
    problem = await failing(gateway.client.commands.Reset, reset(), timeout=0.2)
    assert (problem.code, problem.reason) == (S.DEADLINE_EXCEEDED, "NOT_SENT")
    ((*_, left),) = gateway.commands.calls
    assert left < 0


async def test_a_caller_that_goes_away_ends_the_waiting_in_trio(gateway):
    """Cancellation goes all the way down."""
    gateway.commands.wait = 30

    def start_and_cancel():
        future = gateway.client.commands.Reset.future(reset(), timeout=20)
        trio.from_thread.run(gateway.commands.begun.wait)
        future.cancel()

    with trio.fail_after(60):
        await trio.to_thread.run_sync(start_and_cancel)
        await gateway.commands.cancelled.wait()


async def test_more_calls_than_the_bridge_carries_are_refused_with_a_reason(tmp_path):
    """RESOURCE_EXHAUSTED, and the ones under way go on."""
    async with control(tmp_path, max_calls=1) as gateway:
        gateway.commands.wait = 1.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gateway.call, gateway.client.commands.Reset, reset())
            await gateway.commands.begun.wait()
            with pytest.raises(grpc.RpcError, match="under way") as caught:
                await gateway.call(gateway.client.commands.Reset, reset())
            assert caught.value.code() is S.RESOURCE_EXHAUSTED


async def test_a_bug_ends_its_call_and_shows_nothing_of_itself(gateway, failing):
    """UNKNOWN: the command may have been sent before it; the next call is served."""

    def bug(_):
        raise KeyError("the secret of the house")

    gateway.commands.outcome = bug
    problem = await failing(gateway.client.commands.Reset, reset())
    assert (problem.code, problem.reason) == (S.UNKNOWN, "OUTCOME_UNKNOWN")
    assert problem.metadata == {"charge_point": "CP1", "request_id": "r1", "cause": "internal-error"}
    assert "secret" not in str(problem)
    gateway.commands.outcome = answered()
    await gateway.call(gateway.client.commands.Reset, reset())


async def test_commands_are_read_back_and_listed_newest_first(gateway, failing):
    """From the store, also those of other callers; secrets are redacted when they are recorded."""
    epoch = await gateway.charge_point()
    for n in range(3):
        queued = CommandQueued(f"cmd_{n}", "Reset", f"r{n}", {"reset_type": "Soft"})
        await gateway.append("CP1", epoch, queued, cause=f"command:cmd_{n}")
    await gateway.append("CP1", epoch, CommandSent("cmd_2", "Reset"), cause="command:cmd_2")
    stub = gateway.client.commands
    found = (await gateway.call(stub.GetCommand, pb.GetCommandRequest(command_id="cmd_2"))).command
    assert (found.state, found.operation, found.request_id) == (pb.COMMAND_STATE_SENT, "Reset", "r2")
    assert found.arguments_json == '{"reset_type":"Soft"}'
    assert not found.HasField("finish_time")
    assert found.WhichOneof("outcome") is None
    request = pb.ListCommandsRequest(charge_point="CP1", page_size=2)
    pages = await trio.to_thread.run_sync(lambda: list(gateway.client.pages(stub.ListCommands, request)))
    assert [each.command_id for page in pages for each in page.commands] == ["cmd_2", "cmd_1", "cmd_0"]
    problem = await failing(stub.GetCommand, pb.GetCommandRequest(command_id="cmd_9"))
    assert (problem.code, problem.reason) == (S.NOT_FOUND, "UNKNOWN_COMMAND")


def test_importing_the_control_plane_is_quiet():
    """gRPC's own settings are in place before it is imported."""
    code = (
        "import gateway.control.server, os; print(os.environ['GRPC_VERBOSITY'], os.environ['GRPC_ENABLE_FORK_SUPPORT'])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("NONE 0", "")

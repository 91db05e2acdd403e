"""Confirmations: read as leniently as CALLs, failed where they can't be, and never with a secret in them."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import commands as c
from gateway.domain import security_commands as s
from gateway.domain.charging import ChargingProfile, ChargingRateUnit, ChargingSchedule, ProfileKind, ProfilePurpose
from gateway.domain.commands import INVALID_CONFIRMATION
from gateway.domain.secrets import REDACTED
from gateway.domain.values import ConnectorAddress
from gateway.ocpp.rpc import CallResult, parse
from gateway.ocpp.v16 import decode
from gateway.ocpp.v16.decode import decode_error
from tests.ocpp.test_rpc import JSON_VALUES

ONE = ConnectorAddress(1, 1)

EXAMPLES = [
    c.CancelReservation(1),
    c.ChangeAvailability(ONE, c.AvailabilityType.OPERATIVE),
    c.ChangeConfiguration("HeartbeatInterval", "60"),
    c.ClearCache(),
    c.ClearChargingProfile(),
    c.DataTransfer("V"),
    c.GetCompositeSchedule(ONE, 60),
    c.GetConfiguration(),
    c.GetDiagnostics("ftp://host/x"),
    c.GetLocalListVersion(),
    c.RemoteStartTransaction("TAG"),
    c.RemoteStopTransaction("tx_1"),
    c.Reset(c.ResetType.SOFT),
    c.SendLocalList(1, c.UpdateType.FULL),
    c.SetChargingProfile(
        ONE,
        ChargingProfile(
            1, 0, ProfilePurpose.TX, ProfileKind.RELATIVE, ChargingSchedule(ChargingRateUnit.AMPERE, ()), "tx_1"
        ),
    ),
    c.TriggerMessage(c.TriggeredMessage.HEARTBEAT),
    c.UnlockConnector(ONE),
    s.CertificateSigned("pem"),
    s.DeleteCertificate(s.CertificateHash(s.HashAlgorithm.SHA256, "0", "0", "1")),
    s.ExtendedTriggerMessage(s.ExtendedTrigger.HEARTBEAT),
    s.GetInstalledCertificateIds(s.CertificateUse.CENTRAL_SYSTEM_ROOT),
    s.GetLog(s.LogType.SECURITY, 1, "ftp://host/x"),
    s.InstallCertificate(s.CertificateUse.CENTRAL_SYSTEM_ROOT, "pem"),
]


def decode_answer(command, payload):
    """The answer alone, without what had to be mended."""
    return decode.decode_answer(command, payload).answer


def failed(command, payload):
    error = decode_answer(command, payload)
    assert isinstance(error, c.ChargerError), error
    assert error.code == INVALID_CONFIRMATION
    return error


@pytest.mark.parametrize("status", ["Accepted", "Rejected", "RebootRequired", "NotSupported"])
def test_every_outcome_of_a_change_is_distinguished(status):
    """B9.5."""
    assert decode_answer(EXAMPLES[2], {"status": status}) == c.StatusAnswer(status)


def test_a_status_in_the_wrong_case_is_read():
    """As in a charger's own messages."""
    assert decode_answer(c.ClearCache(), {"status": "accepted", "extra": 1}) == c.StatusAnswer("Accepted")


@pytest.mark.parametrize("payload", [{"status": "Perhaps"}, {}, {"status": None}, {"type": "Soft"}, [], "Accepted", 5])
def test_an_unreadable_confirmation_fails_the_call(payload):
    """B9.19: unknown status, missing field, the request echoed, no object at all."""
    assert len(failed(c.Reset(c.ResetType.SOFT), payload).description) <= 255


@pytest.mark.parametrize("command", [c.GetConfiguration(("A",)), c.GetDiagnostics("ftp://h/x")])
def test_an_echoed_request_is_no_confirmation_also_where_nothing_is_required(command):
    """mh#424: dropping what doesn't belong would leave a seeming confirmation."""
    failed(command, {"key": ["A"], "location": "ftp://h/x"})


def test_update_firmware_is_confirmed_by_nothing():
    """S §5.19."""
    command = c.UpdateFirmware("ftp://h/x", datetime(2024, 5, 1, tzinfo=UTC))
    assert decode_answer(command, {}) == c.EmptyAnswer()


@pytest.mark.parametrize(("payload", "name"), [({}, None), ({"fileName": ""}, None), ({"fileName": "a"}, "a")])
def test_no_file_name_is_nothing_to_upload(payload, name):
    """B9.16."""
    assert decode_answer(c.GetDiagnostics("ftp://h/x"), payload) == c.DiagnosticsAnswer(name)


@pytest.mark.parametrize("version", [-1, 0, 7])
def test_a_list_version_is_what_was_said(version):
    """B9.12: -1 and 0 mean something."""
    assert decode_answer(c.GetLocalListVersion(), {"listVersion": version}) == c.LocalListVersionAnswer(version)


@pytest.mark.parametrize("status", ["Rejected", "Accepted"])
def test_a_composite_schedule_may_be_missing(status):
    """B9.14."""
    assert decode_answer(c.GetCompositeSchedule(ONE, 60), {"status": status}) == c.CompositeScheduleAnswer(status)


def test_a_composite_schedule_is_read():
    """Limits exactly as sent."""
    answer = decode_answer(
        c.GetCompositeSchedule(ONE, 60),
        {
            "status": "Accepted",
            "connectorId": 1,
            "scheduleStart": "2024-05-01T10:00:00",
            "chargingSchedule": {
                "chargingRateUnit": "W",
                "duration": "60",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 7360.25}, {"startPeriod": 30, "limit": "11"}],
            },
        },
    )
    assert isinstance(answer, c.CompositeScheduleAnswer)
    assert answer.schedule is not None
    assert answer.connector == ONE
    assert answer.schedule_start is not None
    assert answer.schedule.duration == 60
    assert [str(period.limit) for period in answer.schedule.periods] == ["7360.25", "11.0"]


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ({"key": "A", "readonly": True, "value": "1"}, c.ConfigurationKey("A", True, "1")),
        ({"key": "A", "readonly": "true", "value": 60}, c.ConfigurationKey("A", True, "60")),
        ({"key": "A", "readonly": 0, "value": True}, c.ConfigurationKey("A", False, "true")),
        ({"key": "A", "readonly": "No"}, c.ConfigurationKey("A", False)),
        ({"key": "A"}, c.ConfigurationKey("A", False)),
        ({"key": "A", "readonly": None, "value": None}, c.ConfigurationKey("A", False)),
        ({"key": "A", "readonly": False, "value": ["W", "A"]}, c.ConfigurationKey("A", False, "W,A")),
        ({"key": "A", "readonly": False, "value": "x" * 600}, c.ConfigurationKey("A", False, "x" * 600)),
    ],
)
def test_a_configuration_key_is_coerced(entry, key):
    """Quirk 31."""
    answer = decode_answer(c.GetConfiguration(), {"configurationKey": [entry, {"readonly": True}], "unknownKey": ["B"]})
    assert answer == c.ConfigurationAnswer((key,), ("B",))


def test_a_reported_secret_is_redacted():
    """WP A01.FR.09: a charger must not show it, and some do."""
    keys = [{"key": "authorizationKey", "readonly": False, "value": "deadbeef"}]
    answer = decode_answer(c.GetConfiguration(), {"configurationKey": keys})
    assert answer == c.ConfigurationAnswer((c.ConfigurationKey("authorizationKey", False, REDACTED),))


def test_vendors_data_may_be_an_object():
    """B8.1, the other way round."""
    assert decode_answer(c.DataTransfer("V"), {"status": "Accepted", "data": {"a": 1}}) == c.DataTransferAnswer(
        "Accepted", '{"a":1}'
    )


def test_an_error_is_cut_to_its_bounds():
    """Nothing a charger sends grows a record without bound."""
    error = decode_error(c.ClearCache(), "C" * 999, "d" * 999, {"x": "y" * 9999})
    assert (len(error.code), len(error.description), len(json.loads(error.details))) == (60, 255, 1000)


def test_an_error_does_not_repeat_the_secret_of_its_command():
    """A charger that echoes a value in its error must not put it into an event."""
    command = c.ChangeConfiguration("AuthorizationKey", "00112233445566778899AABBCCDDEEFF")
    error = decode_error(command, "X", f"bad {command.value.lower()}", {"value": command.value})
    assert command.value.lower() not in repr(error).lower()


@given(st.sampled_from(EXAMPLES), JSON_VALUES)
def test_any_confirmation_is_an_answer_or_an_invalid_one(command, payload):
    """Never an exception."""
    frame = parse(json.dumps([3, "1", payload]).encode())
    assert isinstance(frame, CallResult)
    decode_answer(command, frame.payload)


@given(
    st.sampled_from(EXAMPLES),
    st.dictionaries(
        st.sampled_from(["status", "configurationKey", "unknownKey", "chargingSchedule", "listVersion", "data"]),
        JSON_VALUES
        | st.just("Accepted")
        | st.lists(st.dictionaries(st.sampled_from(["key", "readonly"]), JSON_VALUES)),
    ),
)
def test_any_values_of_its_own_fields_are_an_answer_or_an_invalid_one(command, payload):
    """Never an exception, with the right names too."""
    frame = parse(json.dumps([3, "1", payload]).encode())
    assert isinstance(frame, CallResult)
    decode_answer(command, frame.payload)


def test_what_is_longer_than_its_schema_is_kept_and_said_to_deviate():
    """A list of measurands that is cut within a word is another list; keys of 61 characters are keys."""
    keys = [
        {"key": "K" * 61, "readonly": False, "value": "v" * 643},
        {"key": "MeterValuesSampledData", "readonly": False, "value": "v" * 1349},
        {"key": "Endless", "readonly": True, "value": "v" * 9999},
    ]
    read = decode.decode_answer(c.GetConfiguration(), {"configurationKey": keys})
    assert read.deviations == ("text-too-long",)
    assert [(each.key, len(each.value)) for each in read.answer.keys] == [
        ("K" * 61, 643),
        ("MeterValuesSampledData", 1349),
        ("Endless", 2500),
    ]
    plain = decode.decode_answer(c.GetConfiguration(), {"configurationKey": [keys[1] | {"value": "v"}]})
    assert plain.deviations == ()


def test_details_that_are_too_long_are_still_json():
    """Their beginning, as a text: JSON that is cut can't be read."""
    error = decode_error(c.ClearCache(), "GenericError", "", {"a": "x" * 5000})
    assert json.loads(error.details) == '{"a":"' + "x" * 994


HASHES = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "01"}
INSTALLED = s.GetInstalledCertificateIds(s.CertificateUse.CENTRAL_SYSTEM_ROOT)


def test_installed_certificates_are_read_as_a_list_or_as_one():
    """B11.6: an array, a single object, and NotFound without either."""
    one = s.CertificateHash(s.HashAlgorithm.SHA256, "aa", "bb", "01")
    for hashes in ([HASHES], HASHES):
        payload = {"status": "Accepted", "certificateHashData": hashes}
        assert decode_answer(INSTALLED, payload) == s.InstalledCertificatesAnswer("Accepted", (one,))
    assert decode_answer(INSTALLED, {"status": "NotFound"}) == s.InstalledCertificatesAnswer("NotFound")
    many = {"status": "Accepted", "certificateHashData": [HASHES] * 200}
    assert len(decode_answer(INSTALLED, many).certificates) == decode.MAX_CERTIFICATES == 100


def test_both_words_for_a_deleted_certificate_are_read():
    """X7: Success in the use case, Accepted in the enumeration."""
    delete = s.DeleteCertificate(s.CertificateHash(s.HashAlgorithm.SHA256, "0", "0", "1"))
    read = decode.decode_answer(delete, {"status": "Success"})
    assert (read.answer, read.deviations) == (c.StatusAnswer("Accepted"), ("delete-success",))
    assert decode_answer(delete, {"status": "NotFound"}) == c.StatusAnswer("NotFound")
    failed(c.Reset(c.ResetType.SOFT), {"status": "Success"})


def test_a_log_s_file_is_shown_without_its_password():
    """AcceptedCanceled, with and without the name of a file (B11.9)."""
    log = s.GetLog(s.LogType.SECURITY, 1, "ftp://host/x")
    assert decode_answer(log, {"status": "AcceptedCanceled"}) == s.LogAnswer("AcceptedCanceled")
    found = decode_answer(log, {"status": "Accepted", "filename": "ftp://u:S3cret@h/log.gz"})
    assert found == s.LogAnswer("Accepted", "ftp://u:(redacted)@h/log.gz")
    assert decode_answer(log, {"status": "Accepted", "filename": ""}) == s.LogAnswer("Accepted")

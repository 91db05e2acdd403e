"""Commands on the wire: valid by the outgoing schemas, options left out, units and numbers as OCPP wants them."""

from datetime import UTC, datetime
from decimal import Decimal

import orjson
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gateway.domain import charging as ch
from gateway.domain import commands as c
from gateway.domain import security_commands as s
from gateway.domain.firmware import FirmwareUpdate, as_sent
from gateway.domain.records import TransactionRecord, TransactionState
from gateway.domain.state import ChargePointState
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress, Registration
from gateway.ocpp.v16.checks import check
from gateway.ocpp.v16.encode import encode_command
from gateway.ocpp.v16.schemas import COMMANDS as SCHEMAS
from tests.domain.values import TIMES, strategy_of
from tests.support.charger_certificates import SigningAuthority, pem, request

AT = datetime(2024, 5, 1, 10, 0, 0, 123456, UTC)
ONE = ConnectorAddress(1, 1)


def state():
    """A charge point with transaction tx_1, which is number 7, open on connector 1."""
    transaction = TransactionRecord("tx_1", 7, "CP", ONE, "TAG", "Accepted", TransactionState.OPEN, 0, AT, AT, 1)
    return ChargePointState("CP", 1, Registration.ACCEPTED, True, open_transactions={"tx_1": transaction})


WORD = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=20)
SMALL = st.integers(0, 1000)
PERIODS = st.lists(st.integers(1, 5000), max_size=4, unique=True).flatmap(
    lambda starts: st.tuples(
        *(
            st.builds(
                ch.SchedulePeriod,
                st.just(start),
                st.decimals(0, 50_000, places=1),
                st.none() | st.integers(1, 3),
            )
            for start in [0, *sorted(starts)]
        )
    )
)
CA = SigningAuthority()
VALID = {
    "connector": st.sampled_from([WHOLE_CHARGE_POINT, ONE, ConnectorAddress(2, 1)]),
    "id_tag": WORD,
    "parent_id_tag": st.none() | WORD,
    "status": st.sampled_from(["Accepted", "Blocked"]),
    "location": st.sampled_from(["ftp://user:pw@host/path", "https://host/x.bin"]),
    "transaction_id": st.none() | st.just("tx_1"),
    "key": WORD,
    "keys": st.lists(WORD, max_size=3).map(tuple),
    "vendor_id": WORD,
    "list_version": st.integers(1, 100),
    "duration": st.integers(1, 86_400),
    "retries": st.none() | SMALL,
    "retry_interval": st.none() | SMALL,
    "reservation_id": SMALL,
    "stack_level": SMALL,
    "profile_id": SMALL,
    "start_time": st.none(),
    "periods": PERIODS,
    "min_charging_rate": st.none() | st.decimals(0, 100, places=1),
    "recurrency_kind": st.none(),
    "start_schedule": st.none() | TIMES,
    "valid_from": st.none(),
    "certificate_chain": st.just(CA.issue(request())),
    "certificate": st.just(pem(CA.root)),
    "signing_certificate": st.just(pem(CA.root)),
    "signature": st.sampled_from(["c2ln", "QUJD" * 200]),
    "ocpp_request_id": SMALL,
    "latest_time": st.none(),
    "install_date": st.none(),
    "issuer_name_hash": st.sampled_from(["0", "aF" * 64]),
    "issuer_key_hash": st.sampled_from(["0", "aF" * 64]),
    "serial_number": WORD,
}


@pytest.mark.parametrize("operation", sorted(c.COMMANDS))
@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], max_examples=40)
@given(data=st.data())
def test_every_command_that_passes_its_checks_is_valid_on_the_wire(operation, data):
    """By the outgoing schema, without a null anywhere (B9.17), and as JSON."""
    fields = dict(VALID)
    if operation == "RemoteStopTransaction":
        fields["transaction_id"] = st.just("tx_1")
    if operation == "ClearChargingProfile":
        fields["profile_id"] = st.none() | SMALL
    if operation == "DeleteCertificate":
        fields["certificate"] = strategy_of(s.CertificateHash, VALID)
    command = data.draw(strategy_of(c.COMMANDS[operation], fields))
    assume(not check(command))
    if isinstance(command, FirmwareUpdate):
        command = as_sent(command, AT)
    action, payload = encode_command(command, state())
    assert action == operation
    sent = orjson.dumps(payload)
    assert SCHEMAS[action].is_valid(orjson.loads(sent)), list(SCHEMAS[action].iter_errors(payload))
    assert b":null" not in sent


def profile(**changes):
    """A TxProfile for the open transaction."""
    schedule = ch.ChargingSchedule(
        ch.ChargingRateUnit.AMPERE, (ch.SchedulePeriod(0, Decimal("6.0")), ch.SchedulePeriod(60, Decimal("16"), 1))
    )
    fields = {
        "profile_id": 1,
        "stack_level": 0,
        "purpose": ch.ProfilePurpose.TX,
        "kind": ch.ProfileKind.RELATIVE,
        "schedule": schedule,
        "transaction_id": "tx_1",
    }
    return ch.ChargingProfile(**(fields | changes))


def test_a_profile_names_the_transaction_by_the_chargers_number():
    """B10.2. Casing exact (B10.13), limits numbers with one decimal."""
    assert encode_command(c.SetChargingProfile(ONE, profile()), state()) == (
        "SetChargingProfile",
        {
            "connectorId": 1,
            "csChargingProfiles": {
                "chargingProfileId": 1,
                "transactionId": 7,
                "stackLevel": 0,
                "chargingProfilePurpose": "TxProfile",
                "chargingProfileKind": "Relative",
                "chargingSchedule": {
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [
                        {"startPeriod": 0, "limit": 6.0},
                        {"startPeriod": 60, "limit": 16.0, "numberPhases": 1},
                    ],
                },
            },
        },
    )


def test_what_the_security_extension_sends():
    """B11.5, B11.7, B11.10: the fields of the whitepaper, and no connector where none is named."""
    name = s.CertificateHash(s.HashAlgorithm.SHA384, "aa", "bb", "01")
    firmware = s.SignedUpdateFirmware(7, "https://h/f", AT, "pem", "c2ln", AT, 2, 60)
    moment = "2024-05-01T10:00:00Z"
    for command, payload in (
        (
            s.DeleteCertificate(name),
            {
                "certificateHashData": {
                    "hashAlgorithm": "SHA384",
                    "issuerNameHash": "aa",
                    "issuerKeyHash": "bb",
                    "serialNumber": "01",
                }
            },
        ),
        (
            s.ExtendedTriggerMessage(s.ExtendedTrigger.SIGN_CERTIFICATE),
            {"requestedMessage": "SignChargePointCertificate"},
        ),
        (
            s.GetLog(s.LogType.SECURITY, 3, "ftp://h/", oldest_time=AT),
            {
                "logType": "SecurityLog",
                "requestId": 3,
                "log": {"remoteLocation": "ftp://h/", "oldestTimestamp": moment},
            },
        ),
        (
            firmware,
            {
                "retries": 2,
                "retryInterval": 60,
                "requestId": 7,
                "firmware": {
                    "location": "https://h/f",
                    "retrieveDateTime": moment,
                    "installDateTime": moment,
                    "signingCertificate": "pem",
                    "signature": "c2ln",
                },
            },
        ),
    ):
        assert encode_command(command, state()) == (type(command).__name__, payload)


def test_a_remote_stop_names_the_chargers_number():
    """B9.4."""
    assert encode_command(c.RemoteStopTransaction("tx_1"), state()) == ("RemoteStopTransaction", {"transactionId": 7})


@pytest.mark.parametrize(
    "command", [c.RemoteStopTransaction("tx_2"), c.SetChargingProfile(ONE, profile(transaction_id="tx_2"))]
)
def test_a_transaction_that_ended_meanwhile_is_not_named(command):
    """Between the check and the wire it may have stopped: then nothing is sent."""
    with pytest.raises(LookupError):
        encode_command(command, state())


def test_times_are_whole_seconds_of_utc():
    """B2.1."""
    _, payload = encode_command(c.ReserveNow(ONE, AT, "TAG", 3), state())
    assert payload == {"connectorId": 1, "expiryDate": "2024-05-01T10:00:00Z", "idTag": "TAG", "reservationId": 3}


@pytest.mark.parametrize(
    "command", [c.ClearChargingProfile(), c.ClearCache(), c.GetLocalListVersion(), c.GetConfiguration()]
)
def test_a_command_without_arguments_is_an_empty_object(command):
    """B9.6, B9.15: all of them, by leaving everything out."""
    assert encode_command(command, state())[1] == {}


def test_an_entry_without_a_status_deletes_its_tag():
    """B9.11: no idTagInfo."""
    entries = (c.LocalListEntry("A"), c.LocalListEntry("B", "Accepted", parent_id_tag="P"))
    _, payload = encode_command(c.SendLocalList(2, c.UpdateType.DIFFERENTIAL, entries), state())
    assert payload["localAuthorizationList"] == [
        {"idTag": "A"},
        {"idTag": "B", "idTagInfo": {"status": "Accepted", "parentIdTag": "P"}},
    ]


def test_a_full_list_without_entries_clears_it():
    """B9.11: the empty list is sent."""
    _, payload = encode_command(c.SendLocalList(1, c.UpdateType.FULL), state())
    assert payload == {"listVersion": 1, "localAuthorizationList": [], "updateType": "Full"}


def test_connector_zero_is_the_whole_charge_point():
    """And nothing else is: OCPP 1.6 has no second connector of an EVSE."""
    command = c.ChangeAvailability(WHOLE_CHARGE_POINT, c.AvailabilityType.INOPERATIVE)
    assert encode_command(command, state())[1] == {"connectorId": 0, "type": "Inoperative"}
    with pytest.raises(ValueError, match="one connector per number"):
        encode_command(c.UnlockConnector(ConnectorAddress(1, 2)), state())

"""Stored bodies, commands and answers come back as they were, and their secrets don't."""

import subprocess
import sys
from datetime import UTC, datetime

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import codec
from gateway.domain import commands as c
from gateway.domain import security_commands as s
from gateway.domain.codec import UnreadableBody, canonical_bytes, decode, encode, encode_command
from gateway.domain.commands import COMMANDS, Answer, ChargerError, ConfigurationKey
from gateway.domain.events import BODIES, ChargePointBooted, ConnectorStatusChanged, MeterValuesReported
from gateway.domain.secrets import REDACTED, shown_location
from gateway.domain.values import ConnectorAddress
from tests.domain.values import SENT, strategy_of


@pytest.mark.parametrize("cls", BODIES.values(), ids=BODIES)
@given(data=st.data())
def test_every_body_comes_back_as_it_was(cls, data):
    """Round trip over every class of event, whatever a charger put into it."""
    body = data.draw(strategy_of(cls))
    assert decode(cls.TYPE, cls.VERSION, encode(body)) == body


@given(st.lists(SENT, max_size=3))
def test_meter_values_whose_json_was_made_before_are_stored_as_any(sent):
    """The bytes that were made for the decision are the stored ones; they are no field of the body."""
    plain = MeterValuesReported(ConnectorAddress(1, 1), tuple(sent), "tx_1", 7)
    made = attrs.evolve(plain, meter_value_json=orjson.dumps(tuple(sent)))
    assert encode(made) == encode(plain)
    assert decode(made.TYPE, made.VERSION, encode(made)) == plain
    assert set(orjson.loads(encode(made))) == {"connector", "meter_value", "transaction_id", "number"}


@given(strategy_of(Answer))
def test_every_answer_comes_back_as_it_was(answer):
    """For the columns of a command."""
    assert codec.decode_answer(codec.encode_answer(answer)) == answer


@given(strategy_of(ChargerError))
def test_every_error_comes_back_as_it_was(error):
    """For the columns of a command."""
    assert codec.decode_error(codec.encode_error(error)) == error


def test_what_a_charger_sent_is_stored_as_it_was_sent():
    """A field at its default takes no room, and nothing looks into meter values."""
    values = ({"timestamp": "2024", "sampledValue": [{"value": 1, "odd": None}]},)
    assert orjson.loads(encode(MeterValuesReported(ConnectorAddress(1, 1), values))) == {
        "connector": {"evse": 1, "connector": 1},
        "meter_value": [{"timestamp": "2024", "sampledValue": [{"value": 1, "odd": None}]}],
    }


def test_a_stored_field_that_this_version_does_not_know_is_ignored():
    """An optional field may be added without a new version."""
    body = ConnectorStatusChanged(ConnectorAddress(1, 1), "Available", "NoError")
    stored = orjson.loads(encode(body)) | {"invented_later": 1}
    assert decode(body.TYPE, 1, orjson.dumps(stored)) == body


@pytest.mark.parametrize(
    ("type_", "stored"),
    [
        ("charge_point.created", b'{"registration":"Accepted"}'),
        ("charge_point.updated", b'{"registration":"Accepted","changed":["description"]}'),
        ("charge_point.deleted", b"{}"),
    ],
)
def test_what_was_stored_before_callers_had_names_has_none(type_, stored):
    """And is stored again as it was."""
    body = decode(type_, 1, stored)
    assert body.caller == ""
    assert encode(body) == stored


def test_a_body_of_a_later_version_is_refused_by_name():
    """Reading it half would be worse."""
    with pytest.raises(UnreadableBody, match=r"charge_point\.booted has version 99"):
        decode("charge_point.booted", 99, b"{}")


@pytest.mark.parametrize(
    ("type_", "data"),
    [("no.such", b"{}"), ("charge_point.booted", b"{}"), ("charge_point.booted", b"["), ("charge_point.booted", b"1")],
)
def test_what_can_not_be_read_names_its_type(type_, data):
    """One error, of the store's family."""
    with pytest.raises(UnreadableBody, match=type_):
        decode(type_, 1, data)


def test_an_old_body_is_lifted_step_by_step(monkeypatch):
    """Stored bodies are read for ever."""
    monkeypatch.setattr(ChargePointBooted, "VERSION", 3)
    monkeypatch.setitem(codec.UPCASTERS, ("charge_point.booted", 1), lambda old: {**old, "registration": "Pending"})
    monkeypatch.setitem(codec.UPCASTERS, ("charge_point.booted", 2), lambda old: {**old, "interval": 60})
    body = decode("charge_point.booted", 1, b'{"boot":{"vendor":"V","model":"M"}}')
    assert isinstance(body, ChargePointBooted)
    assert (body.registration, body.interval) == ("Pending", 60)


@pytest.mark.parametrize("cls", COMMANDS.values(), ids=COMMANDS)
@given(data=st.data())
def test_every_command_can_be_stored_and_distinguished_from_another(cls, data):
    """As JSON, and in one spelling for its fingerprint."""
    command = data.draw(strategy_of(cls))
    orjson.dumps(encode_command(command))
    assert canonical_bytes(command) == canonical_bytes(command)


@pytest.mark.parametrize("key", ["AuthorizationKey", "authorizationkey", " AUTHORIZATIONKEY "])
def test_the_value_of_a_secret_key_is_never_stored(key):
    """WP A01.FR.09. The fingerprint's bytes have it, for two keys are two requests."""
    command = c.ChangeConfiguration(key, "00112233445566778899aabbccddeeff")
    assert encode_command(command) == {"key": key, "value": REDACTED}
    assert canonical_bytes(command) != canonical_bytes(c.ChangeConfiguration(key, "another"))
    assert "0011" not in repr(command)


def test_the_value_of_any_other_key_is_stored():
    """It is what the operator wants to see."""
    assert encode_command(c.ChangeConfiguration("HeartbeatInterval", "60"))["value"] == "60"


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("ftp://host/path", "ftp://host/path"),
        ("ftp://user@host/path", "ftp://(redacted)@host/path"),
        ("https://host/fw.bin?sig=S3cret", "https://host/fw.bin?(redacted)"),
        ("https://host/fw.bin?X-Amz-Signature=S3cret&x=1", "https://host/fw.bin?(redacted)"),
        ("https://host/fw.bin#S3cret", "https://host/fw.bin#(redacted)"),
        ("ftp://host/dir;password=S3cret", 'ftp://host/dir;password="(redacted)"'),
        ("user:S3cret@host/dir", "user:(redacted)@host/dir"),
        ("host/dir?sig=S3cret", "host/dir?(redacted)"),
        ("ftp://user:pass:word@host:21/path", "ftp://user:(redacted)@host:21/path"),
        ("https://u:p@[::1]:8080/x?y#z", "https://u:(redacted)@[::1]:8080/x?(redacted)"),
        ("ftp://[::1", "ftp://[::1"),
    ],
)
def test_the_password_of_an_upload_is_never_stored(location, shown):
    """Locations of diagnostics and firmware carry credentials (S §5.9)."""
    assert shown_location(location) == shown
    assert encode_command(c.GetDiagnostics(location))["location"] == shown
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for command in (
        c.UpdateFirmware(location, at),
        s.GetLog(s.LogType.SECURITY, 1, location),
        s.SignedUpdateFirmware(1, location, at, "pem", "c2ln"),
    ):
        assert "S3cret" not in repr(encode_command(command))
        assert codec.secrets_of(command) == codec.secrets_of(c.GetDiagnostics(location))


def test_a_configuration_key_is_stored_with_its_answer():
    """Answers are tagged by their kind, under names that stay."""
    answer = c.ConfigurationAnswer((ConfigurationKey("A", True, "1"),), ("B",))
    assert orjson.loads(codec.encode_answer(answer)) == {
        "kind": "configuration",
        "keys": [{"key": "A", "readonly": True, "value": "1"}],
        "unknown_keys": ["B"],
    }


def test_an_answer_of_unknown_kind_is_unreadable():
    """Written by a later version."""
    with pytest.raises(UnreadableBody):
        codec.decode_answer(b'{"kind":"novel"}')


STORED_BEFORE_DIALECTS = {
    "transaction.started": {
        "transaction_id": "tx_1",
        "number": 7,
        "connector": {"evse": 1, "connector": 1},
        "id_tag": "TAG",
        "status": "Accepted",
        "meter_start": 0,
        "start_key": "key",
        "payload_text": "{",
    },
    "transaction.stopped": {
        "transaction_id": "tx_1",
        "connector": {"evse": 1, "connector": 1},
        "meter_stop": 5,
        "reason": "Local",
        "energy": 5,
        "meter_value": [{"sampledValue": [{"value": "5"}]}],
    },
    "transaction.orphaned": {"number": 7, "why": "unknown-number", "payload": {"transactionId": 7}},
    "meter_values.reported": {
        "connector": {"evse": 1, "connector": 1},
        "meter_value": [{"sampledValue": [{"value": "5"}]}],
    },
}


@pytest.mark.parametrize("type_", STORED_BEFORE_DIALECTS)
def test_what_was_stored_before_there_were_dialects_is_of_1_6(type_):
    """And takes no more room than before."""
    stored = STORED_BEFORE_DIALECTS[type_]
    body = decode(type_, 1, orjson.dumps(stored))
    assert body.dialect == "ocpp1.6"
    assert orjson.loads(encode(body)) == stored


@pytest.mark.parametrize("type_", STORED_BEFORE_DIALECTS)
def test_another_versions_dialect_is_stored(type_):
    """So that it is never read as 1.6's."""
    body = attrs.evolve(decode(type_, 1, orjson.dumps(STORED_BEFORE_DIALECTS[type_])), dialect="ocpp9.9")
    assert decode(type_, 1, encode(body)) == body
    assert orjson.loads(encode(body))["dialect"] == "ocpp9.9"


FIRST_USE = """
import sys
from decimal import Decimal
from gateway.domain import codec
from gateway.domain.charging import *
from gateway.domain.commands import *
from gateway.domain.events import CommandAnswered, CommandQueued
from gateway.domain.values import ConnectorAddress

period = SchedulePeriod(0, Decimal(16))
schedule = ChargingSchedule(ChargingRateUnit.AMPERE, (period,))
profile = ChargingProfile(1, 0, ProfilePurpose.TX_DEFAULT, ProfileKind.ABSOLUTE, schedule)
command = RemoteStartTransaction("TAG", ConnectorAddress(1, 1), profile)
compiled = []
sys.addaudithook(lambda event, args: compiled.append(args) if event == "compile" else None)
arguments = codec.encode_command(command)
codec.fingerprint("store", command)
codec.encode(CommandQueued("cmd", "RemoteStartTransaction", "r", arguments))
codec.encode(CommandAnswered("cmd", "RemoteStartTransaction", StatusAnswer("Accepted")))
codec.encode_answer(StatusAnswer("Accepted"))
print(len(compiled))
"""


def test_the_first_command_takes_no_longer_than_later_ones() -> None:
    """Its converters are there when the process starts: none is compiled while a charger waits."""
    done = subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"

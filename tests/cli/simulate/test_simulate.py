"""`gateway simulate`: who is simulated, with which keys, and what wrong usage is."""

import grpc
import pytest

from gateway.api.v1 import charge_point_pb2 as api
from gateway.cli.simulate import command as simulate
from tests.cli.fakes import Failure
from tests.support.charger_certificates import SigningAuthority, key_pem, new_key, request


@pytest.fixture
def simulated(monkeypatch):
    """Nothing is simulated; what would have been is kept: keys by identity, the URL, and the traits."""
    kept: list[tuple[dict[str, bytes], str, dict[str, object]]] = []
    monkeypatch.setattr(
        simulate, "run", lambda keys, context, url, json, **traits: kept.append((dict(keys), url, traits))
    )
    return kept


def test_one_charger_with_its_key(run, simulated):
    """The identity is as given; the key is read as hexadecimal."""
    result = run("simulate", "--identity", "HOME-1", "--key", "00ff" * 8, "--speed", 60, "--tag", "T")
    assert result.exit_code == 0, result.output
    keys, url, traits = simulated[0]
    assert keys == {"HOME-1": bytes.fromhex("00ff" * 8)}
    assert url == "wss://localhost:9443/ocpp"
    assert (traits["speed"], traits["id_tag"]) == (60.0, "T")


def test_many_are_numbered_and_made_known_with_new_keys(fake, run, simulated):
    """A charger that exists gets another key: the old one can't be read back."""
    fake.answers["CreateChargePoint"] = [
        api.CreateChargePointResponse(generated_authorization_key=b"a" * 20),
        Failure(grpc.StatusCode.ALREADY_EXISTS, "there is a charge point", "CHARGE_POINT_EXISTS"),
    ]
    fake.answers["UpdateChargePoint"] = api.UpdateChargePointResponse(generated_authorization_key=b"b" * 20)
    result = run("simulate", "--create", "--count", 2, "--identity", "X")
    assert result.exit_code == 0, result.output
    assert simulated[0][0] == {"X-0001": b"a" * 20, "X-0002": b"b" * 20}
    (updated,) = fake.asked("UpdateChargePoint")
    assert (updated.charge_point.identity, updated.generate_authorization_key) == ("X-0002", True)


def test_another_error_of_the_gateway_ends_it(fake, run, simulated):
    """Nothing is simulated with half of the keys."""
    fake.answers["CreateChargePoint"] = Failure(grpc.StatusCode.INVALID_ARGUMENT, "no such identity", "INVALID_REQUEST")
    result = run("simulate", "--create")
    assert result.exit_code == 2
    assert "no such identity [INVALID_REQUEST]" in result.stderr
    assert not simulated


@pytest.mark.parametrize("arguments", [[], ["--key", "00", "--create"], ["--key", "zz"], ["--create", "--count", 0]])
def test_keys_come_from_one_place(fake, run, simulated, arguments):
    """Wrong usage asks nothing of the gateway."""
    assert run("simulate", *arguments).exit_code == 2
    assert not simulated
    assert not fake.requests


@pytest.mark.parametrize("source", [("--key", "00" * 20), ("--create",)])
@pytest.mark.parametrize(("name", "why"), [("ca.pem", "no certificate in PEM"), ("none.pem", "can't be read: No such")])
def test_a_ca_that_is_none_is_reported_and_changes_nothing(fake, run, tmp_path, source, name, why):
    """By its path, before any charger is given another key."""
    (tmp_path / "ca.pem").write_text("nothing")
    result = run("simulate", *source, "--ca", tmp_path / name)
    assert result.exit_code == 1
    assert f"{name}: {why}" in result.stderr
    assert not fake.requests


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("--url", "ws://localhost:1/ocpp", "expected wss://host:port/path"),
        ("--url", "wss://localhost:65536/ocpp", "a port from 1 to 65535"),
        ("--url", "wss://localhost:0/ocpp", "a port from 1 to 65535"),
        ("--url", "wss://localhost:x/ocpp", "a port from 1 to 65535"),
        ("--url", "wss://[::1/ocpp", "expected wss://host:port/path"),
        ("--phases", 2, "expected 1 or 3"),
        ("--speed", 1001, "1000"),
        ("--tag", "t" * 21, "1 to 20 characters"),
        ("--identity", "", "identity"),
    ],
)
def test_a_charger_that_can_not_be_simulated_changes_nothing(fake, run, option, value, why):
    """Keys of chargers that exist stay as they are; the message is of the option alone."""
    result = run("simulate", "--create", option, value)
    assert result.exit_code == 2
    assert why in result.stderr
    assert "Attribute(" not in result.stderr
    assert not fake.requests


def test_a_url_that_is_not_wss_is_wrong_usage(run):
    """There is no plain ws."""
    result = run("simulate", "--key", "00" * 20, "--url", "ws://localhost:1/ocpp")
    assert result.exit_code == 2
    assert "wss" in result.stderr


@pytest.fixture
def own(tmp_path):
    """A charger's certificate with its key, in one file."""
    key = new_key()
    path = tmp_path / "home-1.pem"
    path.write_text(SigningAuthority().issue(request("HOME-1", key=key)) + key_pem(key))
    return path


def test_a_certificate_stands_in_the_place_of_the_key(run, simulated, own):
    """Security profile 3; with a key beside it that is sent too."""
    assert run("simulate", "--identity", "HOME-1", "--certificate", own).exit_code == 0
    assert run("simulate", "--identity", "HOME-1", "--certificate", own, "--key", "00ff" * 8).exit_code == 0
    assert [keys for keys, _, _ in simulated] == [{"HOME-1": b""}, {"HOME-1": bytes.fromhex("00ff" * 8)}]


def test_a_certificate_that_can_not_be_presented_is_wrong_usage(fake, run, simulated, own, tmp_path):
    """It is one charger's, and has its key; nothing changes in the gateway."""
    bare = tmp_path / "bare.pem"
    bare.write_text(own.read_text().partition("-----BEGIN PRIVATE")[0])
    no_key, not_one = "no certificate with its private key in PEM", "a certificate is one charger's"
    for arguments, why in (([bare], no_key), ([tmp_path / "none"], no_key), ([own, "--count", 2], not_one)):
        result = run("simulate", "--create", "--certificate", *arguments)
        assert result.exit_code == 2
        assert why in result.stderr
    assert not simulated
    assert not fake.requests

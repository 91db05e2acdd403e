"""`gateway serve`, `check-config` and `example-config`: settings are checked before anything starts."""

import re
import socket
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.app.preflight import check
from gateway.app.settings import load
from gateway.cli.certificates import Issuing, development_set, write
from gateway.cli.main import app
from gateway.errors import GatewayError, leaves
from gateway.store.sqlite import SqliteStore

runner = CliRunner()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Development certificates, made once."""
    directory = tmp_path_factory.mktemp("certs")
    write(directory, development_set(["localhost"], Issuing("Org", datetime.now(UTC), timedelta(days=30))), force=False)
    return directory


@pytest.fixture
def config(tmp_path, certificates):
    """A settings file that the gateway could serve with."""
    path = tmp_path / "gateway.toml"
    kinds = ", ".join(
        f'{{ certificate = "{certificates}/server-{kind}.pem", key = "{certificates}/server-{kind}.key" }}'
        for kind in ("ecdsa", "rsa")
    )
    path.write_text(f"[[listeners]]\ncertificates = [{kinds}]\n", encoding="utf-8")
    return path


def invoke(*arguments: object):
    result = runner.invoke(app, [str(each) for each in arguments])
    return result, " ".join((result.stdout + result.stderr).split())


HANGS = 240
"""Seconds: a guard against hanging. A machine with thirty processes for its two cores took more than sixty."""


def run(command: str, config: Path) -> tuple[int, str]:
    """The command in a process of its own, as logging is set up for a whole process; what it says of errors."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", command, "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    return done.returncode, done.stderr


def test_a_good_file_is_good(config):
    """It says where the gateway would listen, and exits with 0."""
    result, text = invoke("check-config", "--config", config)
    assert result.exit_code == 0, text
    assert "wss://0.0.0.0:9443/ocpp/" in text
    assert re.search(r"http \(JSON\)\W+off", text)
    assert result.stderr == ""
    config.write_text(config.read_text() + '[http]\naddress = "127.0.0.1:50052"\n')
    result, text = invoke("check-config", "--config", config)
    assert result.exit_code == 0, text
    assert re.search(r"http \(JSON\)\W+127.0.0.1:50052", text)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("0.0.0.0:50052", 'http.address: "0.0.0.0:50052" is not loopback and there is no TLS'),
        ("127.0.0.1:50051", "http.address: 127.0.0.1:50051 is taken by control.address"),
        ("nonsense", "http.address"),
    ],
)
def test_an_address_for_http_that_can_not_be_is_found(config, address, words):
    """By the rules of the control interface's."""
    config.write_text(config.read_text() + f'[http]\naddress = "{address}"\n')
    result, text = invoke("check-config", "--config", config)
    assert result.exit_code == 1
    assert words in text


def test_a_wrong_file_is_reported_on_standard_error(config):
    """All problems, and exit code 1."""
    config.write_text(config.read_text() + "[sessions]\nheartbeat = 1\n[drain]\nx = 1\n")
    result, _ = invoke("check-config", "--config", config)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {config}: 2 problems:\n  sessions.heartbeat: unknown key;")


def test_no_file_is_reported(tmp_path):
    """The usual first mistake."""
    code, text = run("serve", tmp_path / "none.toml")
    assert code == 1
    assert "none.toml: can't be read: No such file or directory" in text


def test_a_missing_certificate_is_found_without_serving(config, certificates):
    """Files that the settings name are looked at."""
    config.write_text(config.read_text().replace("server-rsa.pem", "other.pem"))
    result, text = invoke("check-config", "--config", config)
    assert result.exit_code == 1
    assert f"listeners[0].certificates[1].certificate: {certificates}/other.pem: No such file" in text


def test_a_key_of_another_certificate_is_found(config, certificates):
    """So is a pair that doesn't belong together."""
    config.write_text(config.read_text().replace("server-rsa.key", "ca.key"))
    result, text = invoke("check-config", "--config", config)
    assert result.exit_code == 1
    reason = f"{certificates}/ca.key does not belong to {certificates}/server-rsa.pem"
    assert f"listeners[0].certificates[1].key: {reason}" in text


@pytest.mark.parametrize("command", ["check-config", "serve"])
def test_the_key_of_the_other_certificate_is_found(config, certificates, command):
    """It fits one of the two, but not the one that it is given for."""
    config.write_text(config.read_text().replace("server-rsa.key", "server-ecdsa.key") + _store(config))
    code, text = run(command, config)
    assert code == 1
    reason = f"{certificates}/server-ecdsa.key does not belong to {certificates}/server-rsa.pem"
    assert f"listeners[0].certificates[1].key: {reason}" in text


def test_all_bad_pairs_are_reported_with_what_else_is_wrong(config, certificates):
    """One run shows everything, each by its setting; what is sound beside them is looked at as well."""
    pairs = ("server-ecdsa.key", "server-ecdsa.pem"), ("server-rsa.pem", "server-rsa.pem")
    swapped = ", ".join(
        f'{{ certificate = "{certificates}/{one}", key = "{certificates}/{two}" }}' for one, two in pairs
    )
    config.write_text(config.read_text().replace("certificates = [", f"certificates = [{swapped}, "))
    findings = check(load(config), datetime.now(UTC) + timedelta(days=31))
    assert [(each.key, each.text) for each in findings[:3]] == [
        ("listeners[0].certificates[0].certificate", f"{certificates}/server-ecdsa.key holds no certificate in PEM"),
        ("listeners[0].certificates[0].key", f"{certificates}/server-ecdsa.pem holds no private key in PEM"),
        ("listeners[0].certificates[1].key", f"{certificates}/server-rsa.pem holds no private key in PEM"),
    ]
    assert [each.key for each in findings[3:]] == [f"listeners[0].certificates[{n}].certificate" for n in (2, 3)]
    assert all("expired on" in each.text for each in findings[3:])


def _store(config) -> str:
    return f'[store]\npath = "{config.parent}/gateway.db"\n'


@pytest.mark.parametrize("command", ["check-config", "serve"])
def test_a_control_key_of_another_certificate_is_found(config, certificates, command):
    """gRPC itself would only say that it could not listen."""
    pair = f'certificate = "{certificates}/server-rsa.pem"\nkey = "{certificates}/server-ecdsa.key"\n'
    config.write_text(config.read_text() + f"[control]\n{pair}" + _store(config))
    code, text = run(command, config)
    assert code == 1
    reason = f"{certificates}/server-ecdsa.key does not belong to {certificates}/server-rsa.pem"
    assert f"control.key: {reason}" in text


def test_a_control_certificate_that_is_none_is_found(config):
    """The control interface's files are looked at, too."""
    config.write_text(config.read_text() + f'[control]\ncertificate = "{config}"\nkey = "{config}"\n')
    result, text = invoke("check-config", "--config", config)
    assert result.exit_code == 1
    assert f"control.certificate: {config} holds no certificate in PEM" in text
    assert f"control.key: {config} holds no private key in PEM" in text


def test_a_store_in_no_folder_is_found(config):
    """The database's folder is the operator's to make."""
    config.write_text(config.read_text() + '[store]\npath = "none/gateway.db"\n')
    result, text = invoke("check-config", "--config", config)
    assert result.exit_code == 1
    assert "store.path: " in text
    assert "none: no such folder" in text
    code, text = run("serve", config)
    assert code == 1
    assert text == f"error: store.path: {config.parent}/none: no such folder\n"


def test_one_kind_of_certificate_is_a_warning(config, certificates):
    """The gateway serves with it, but not every charger."""
    config.write_text(
        f'[[listeners]]\ncertificates = [{{ certificate = "{certificates}/server-rsa.pem", '
        f'key = "{certificates}/server-rsa.key" }}]\n'
    )
    result, text = invoke("check-config", "--config", config)
    assert result.exit_code == 0
    assert "warning: listeners[0].certificates: no ECDSA certificate" in text


@pytest.mark.parametrize(
    ("days", "said", "fatal"), [(2, "expires on", False), (31, "expired on", True), (-3, "not valid before", True)]
)
def test_a_certificates_end_is_reported_in_time(config, days, said, fatal):
    """Thirty days before as a warning, after it as an error."""
    (finding, _) = check(load(config), datetime.now(UTC) + timedelta(days=days))
    assert said in finding.text
    assert finding.fatal is fatal


def test_the_example_can_be_piped_to_a_file(tmp_path):
    """The output of example-config is a settings file."""
    result, _ = invoke("example-config")
    (tmp_path / "gateway.toml").write_text(result.stdout, encoding="utf-8")
    assert load(tmp_path / "gateway.toml").listeners


def test_wrong_usage_is_code_2():
    """As everywhere."""
    result, text = invoke("serve", "--no-such-option")
    assert result.exit_code == 2
    assert "No such option" in text


def test_the_module_runs_as_the_console_script_does():
    """`python -m gateway` is the same command."""
    done = subprocess.run([sys.executable, "-m", "gateway", "--help"], capture_output=True, text=True, timeout=HANGS)
    assert done.returncode == 0
    assert "check-config" in done.stdout


TAKEN = {
    "listeners[0]": ('host = "127.0.0.1"\nport = {taken}\n[control]\naddress = "127.0.0.1:{free}"\n', "off"),
    "control.address": ('host = "127.0.0.1"\nport = 0\n[control]\naddress = "127.0.0.1:{taken}"\n', "off"),
    "metrics.address": (
        'host = "127.0.0.1"\nport = 0\n[control]\naddress = "127.0.0.1:{free}"\n',
        "127.0.0.1:{taken}",
    ),
}
"""Where a port is taken → the rest of the listener and the control interface, and the address for metrics."""


@pytest.mark.parametrize("place", TAKEN)
def test_a_port_that_is_taken_ends_serving_with_one_line(config, free, place):
    """An error that nurseries wrap in groups reaches the operator as a sentence, not a traceback, on every Python."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        others, metrics = (each.format(taken=port, free=free) for each in TAKEN[place])
        config.write_text(config.read_text() + others + f'[metrics]\naddress = "{metrics}"\n')
        code, said = run("serve", config)
    assert code == 1
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert errors == [f"error: {place}: can't listen on 127.0.0.1:{port}: the address is in use"]
    assert "Traceback" not in said


@pytest.fixture
def free() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def test_errors_in_groups_are_reported_each_in_its_line():
    """However deep the groups are."""
    group = ExceptionGroup("", [GatewayError("a"), ExceptionGroup("", [GatewayError("b"), GatewayError("c")])])
    assert [str(each) for each in leaves(group)] == ["a", "b", "c"]


def test_a_database_that_was_replaced_is_refused_until_it_is_recovered(config):
    """By name, with the command that helps; which says what it has done, and the second time that there is nothing."""
    path = load(config).store.path
    with closing(SqliteStore(path)) as store:
        old = store.store_id
    path.unlink()
    with closing(SqliteStore(path.with_name("other.db"))):
        pass
    path.with_name("other.db").rename(path)
    code, errors = run("serve", config)
    assert code == 1
    assert re.search(rf"error: the database \S+ is not the one .*and {old} was.*`gateway recover`", errors), errors
    result, text = invoke("recover", "--config", config)
    assert result.exit_code == 0, text
    assert "transaction numbers: from 1000001 on" in text
    result, text = invoke("recover", "--config", config)
    assert (result.exit_code, "nothing to do" in text) == (0, True)
    result, text = invoke("recover", "--snapshot", "--config", config)
    assert (result.exit_code, "transaction numbers: from 2000001 on" in text) == (0, True)


def test_recovering_a_database_that_is_served_is_refused(config):
    """By the process that has it."""
    with closing(SqliteStore(load(config).store.path)):
        result, text = invoke("recover", "--config", config)
    assert result.exit_code == 1
    assert "is served by this process" in text

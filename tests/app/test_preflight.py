"""`gateway check-config`: what would keep the gateway from serving, each named by its setting, all of it at once."""

import os
import shutil
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pytest
from typer.testing import CliRunner

from gateway.app.preflight import check as preflight
from gateway.app.settings import load
from gateway.cli.main import app
from gateway.errors import SettingsError
from tests.endtoend.gateway_process import development_certificates, free_port
from tests.support.nats_server import LoneNats

Check: TypeAlias = Callable[..., tuple[int, str]]
"""Checks listeners (host, port) and ``more`` text: the exit code, and what is said."""

runner = CliRunner()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Development certificates, made once."""
    return development_certificates(tmp_path_factory.mktemp("checking") / "certs")


@pytest.fixture
def check(tmp_path: Path, made: Path) -> Check:
    """Runs `check-config` on listeners (host, port) and further text; the exit code, and what it says."""
    certs = shutil.copytree(made, tmp_path / "certs")

    def run(*listeners: tuple[str, int], more: str = "") -> tuple[int, str]:
        pairs = ", ".join(
            f'{{ certificate = "{certs}/server-{kind}.pem", key = "{certs}/server-{kind}.key" }}'
            for kind in ("ecdsa", "rsa")
        )
        tables = [
            f'[[listeners]]\nname = "l{index}"\nhost = "{host}"\nport = {port}\ncertificates = [{pairs}]\n'
            for index, (host, port) in enumerate(listeners)
        ]
        config = tmp_path / "gateway.toml"
        config.write_text("".join(tables) + more)
        result = runner.invoke(app, ["check-config", "--config", str(config)])
        return result.exit_code, result.stdout + result.stderr

    return run


CONTROL, METRICS = '[control]\naddress = "{}"\nallow_insecure = true\n', '[metrics]\naddress = "{}"\n'

CLASHES = {
    "metrics and control": (
        [("127.0.0.1", 1)],
        CONTROL.format("127.0.0.1:9") + METRICS.format("127.0.0.1:9"),
        ("metrics.address", "control.address"),
    ),
    "metrics and the control interface's default": (
        [("127.0.0.1", 1)],
        METRICS.format("127.0.0.1:50051"),
        ("metrics.address", "control.address"),
    ),
    "control and a listener": ([("127.0.0.1", 9)], CONTROL.format("127.0.0.1:9"), ("control.address", "listeners[0]")),
    "metrics and a listener": ([("127.0.0.1", 9)], METRICS.format("127.0.0.1:9"), ("metrics.address", "listeners[0]")),
    "two listeners": ([("127.0.0.1", 9), ("127.0.0.1", 9)], "", ("listeners[1]", "listeners[0]")),
    "every address and one": ([("0.0.0.0", 9), ("127.0.0.1", 9)], "", ("listeners[1]", "listeners[0]")),
    "one and every address": ([("127.0.0.1", 9), ("0.0.0.0", 9)], "", ("listeners[1]", "listeners[0]")),
    "every address, and control": (
        [("0.0.0.0", 9)],
        CONTROL.format("127.0.0.1:9"),
        ("control.address", "listeners[0]"),
    ),
    "a listener and control on every": (
        [("127.0.0.1", 9)],
        CONTROL.format("[::]:9"),
        ("control.address", "listeners[0]"),
    ),
    "localhost": ([("localhost", 9)], METRICS.format("127.0.0.1:9"), ("metrics.address", "listeners[0]")),
    "localhost of IPv6": ([("::1", 9)], METRICS.format("localhost:9"), ("metrics.address", "listeners[0]")),
    "every address, and localhost": (
        [("0.0.0.0", 9)],
        METRICS.format("localhost:9"),
        ("metrics.address", "listeners[0]"),
    ),
    "one address written in two ways": ([("::1", 9), ("0:0::1", 9)], "", ("listeners[1]", "listeners[0]")),
    "an IPv4 address in IPv6": ([("127.0.0.1", 9), ("::ffff:127.0.0.1", 9)], "", ("listeners[1]", "listeners[0]")),
}


@pytest.mark.parametrize("case", CLASHES)
def test_two_that_would_listen_at_one_place_are_named_both(check: Check, case: str) -> None:
    """`serve` would only find the second one taken."""
    listeners, more, (later, earlier) = CLASHES[case]
    code, said = check(*listeners, more=more)
    assert code == 1
    [line] = [line for line in said.splitlines() if "is taken by" in line]
    assert line.strip().startswith(f"{later}: ")
    assert f"is taken by {earlier} (" in line


APART = {
    "ports that the system chooses": ([("127.0.0.1", 0), ("127.0.0.1", 0)], CONTROL.format("127.0.0.1:0")),
    "one port at two addresses": ([("127.0.0.1", 9443), ("127.0.0.2", 9443)], ""),
    "every address of either family": ([("0.0.0.0", 9443), ("::", 9443)], ""),
    "no metrics": ([("127.0.0.1", 9464)], METRICS.format("off")),
}


@pytest.mark.parametrize("case", APART)
def test_what_can_be_listened_on_together_is_good(check: Check, case: str) -> None:
    """The check may not refuse what serves."""
    listeners, more = APART[case]
    if "::" in dict(listeners) and not _has_ipv6():
        listeners = listeners[:1]
    code, said = check(*listeners, more=more)
    assert code == 0, said
    assert "good" in said


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("listeners", "more", "key"),
    [
        ([("no-such-host.invalid", 9)], "", "listeners[0]"),
        ([("127.0.0.1", 1), ("no-such-host.invalid", 9)], "", "listeners[1]"),
        ([("127.0.0.1", 1)], CONTROL.format("no-such-host.invalid:9"), "control.address"),
        ([("127.0.0.1", 1)], METRICS.format("no-such-host.invalid:9"), "metrics.address"),
        ([("a" * 70, 9)], "", "listeners[0]"),
    ],
)
def test_a_host_that_does_not_resolve_is_named(
    check: Check, listeners: list[tuple[str, int]], more: str, key: str
) -> None:
    """Reserved names never do."""
    code, said = check(*listeners, more=more)
    assert code == 1
    assert f"  {key}: the host " in said
    assert "can't be resolved" in said


@pytest.mark.parametrize(
    ("listeners", "more", "key"),
    [
        ([("192.0.2.1", 9)], "", "listeners[0]"),
        ([("127.0.0.1", 1)], CONTROL.format("192.0.2.1:9"), "control.address"),
        ([("127.0.0.1", 1)], METRICS.format("192.0.2.1:9"), "metrics.address"),
        ([("2001:db8::1", 9)], "", "listeners[0]"),
    ],
)
def test_an_address_of_another_machine_is_named(
    check: Check, listeners: list[tuple[str, int]], more: str, key: str
) -> None:
    """Addresses of documentation belong to no machine."""
    code, said = check(*listeners, more=more)
    assert code == 1
    assert f"  {key}: can't listen on " in said


def test_a_port_that_is_in_use_is_good(check: Check) -> None:
    """A running gateway has it: the file is checked beside it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, said = check(("127.0.0.1", taken.getsockname()[1]))
    assert code == 0, said


def test_everything_is_said_at_once(check: Check, tmp_path: Path) -> None:
    """All faults come in one report: between settings, with hosts, with folders and with certificates."""
    (tmp_path / "certs" / "server-rsa.key").unlink()
    code, said = check(
        ("no-such-host.invalid", 9),
        ("192.0.2.1", 8),
        more='[store]\npath = "none/gateway.db"\n' + CONTROL.format("127.0.0.1:7") + METRICS.format("127.0.0.1:7"),
    )
    assert code == 1
    keys = {line.split(": ")[0].strip() for line in said.splitlines() if line.startswith("  ")}
    expected = {"metrics.address", "listeners[0]", "listeners[1]", "store.path", "listeners[0].certificates[1].key"}
    assert expected <= keys, said


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: os.mkfifo(path), "is no file"),
        (lambda path: path.write_text("[[listeners]]"), "is no database"),
    ],
    ids=["a folder", "a pipe", "another file"],
)
def test_a_store_that_is_no_database_is_named(
    check: Check, tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    """A pipe would be waited for; another file would be refused at the start."""
    make(tmp_path / "gateway.db")
    code, said = check(("127.0.0.1", 1))
    assert code == 1
    assert f"store.path: {tmp_path / 'gateway.db'}: {reason}" in said


def test_a_store_below_a_file_is_named(check: Check, tmp_path: Path) -> None:
    """Its folder is none."""
    (tmp_path / "plain").write_text("")
    code, said = check(("127.0.0.1", 1), more='[store]\npath = "plain/gateway.db"\n')
    assert code == 1
    assert f"store.path: {tmp_path / 'plain'}: is no folder" in said


@pytest.mark.parametrize("name", ["certs/server-rsa.key", "gateway.db"])
def test_a_secret_that_everybody_can_read_is_a_warning(check: Check, tmp_path: Path, name: str) -> None:
    """No error: containers mount keys like that."""
    (tmp_path / "gateway.db").touch(0o600)
    assert "other users" not in check(("127.0.0.1", 1))[1]
    (tmp_path / name).chmod(0o644)
    code, said = check(("127.0.0.1", 1))
    assert code == 0, said
    assert "warning: " in said
    assert f"{tmp_path / name}: other users of this machine can read it" in said.replace("\n", "")


CONTRADICTIONS = {
    "sessions.settle_delay_seconds": "[sessions]\nsettle_delay_seconds = 60\n",
    "drain.deadline_seconds": "[drain]\ndeadline_seconds = 1\n",
    "sessions.silence_seconds": "[sessions]\nsilence_seconds = 100\n",
    "control.default_timeout_seconds": "[control]\ndefault_timeout_seconds = 39\n",
}


@pytest.mark.parametrize("key", CONTRADICTIONS)
def test_times_that_contradict_each_other_are_named(check: Check, key: str) -> None:
    """Each alone is within its bounds."""
    code, said = check(("127.0.0.1", 1), more=CONTRADICTIONS[key])
    assert code == 1
    assert f"{key}: expected " in said


@pytest.mark.parametrize("text", ["[drain]\ndeadline_seconds = 0\n", "[sessions]\nsettle_delay_seconds = 59\n"])
def test_times_at_the_edge_are_good(check: Check, text: str) -> None:
    """No drain at all is a choice."""
    code, said = check(("127.0.0.1", 1), more=text)
    assert code == 0, said


def test_serving_refuses_what_lies_between_settings_too(tmp_path: Path) -> None:
    """`serve` reads the file as `check-config` does."""
    path = tmp_path / "gateway.toml"
    path.write_text(
        '[[listeners]]\ncertificates = [{ certificate = "a", key = "b" }]\n[metrics]\naddress = "127.0.0.1:50051"\n'
    )
    with pytest.raises(SettingsError, match=r"metrics\.address: 127\.0\.0\.1:50051 is taken by control\.address"):
        load(path)


def test_a_database_on_a_server_that_is_away_is_named_without_its_password(check: Check, tmp_path: Path) -> None:
    """And a password that other users can read is a warning, or that can't be read an error."""
    secret = tmp_path / "password"
    table = f'[store]\nurl = "postgresql://gateway@127.0.0.1:1/gateway"\npassword_file = "{secret}"\n'
    code, said = check(("127.0.0.1", 1), more=table)
    assert code == 1
    assert f"  store.password_file: {secret}: can't be read" in said
    secret.write_text("hunter2-hunter2\n")
    secret.chmod(0o644)
    code, said = check(("127.0.0.1", 1), more=table)
    assert code == 1
    assert "  store.url: " in said
    assert "warning: store.password_file: " in said
    assert "hunter2" not in said


AWAY = '[store]\nurl = "postgresql://gateway@127.0.0.1:1/gateway"\n[cluster]\nnode = 1\n'
"""A node whose database is not there."""


def test_servers_of_nats_are_reached_for(check: Check) -> None:
    """None of them is an error; while one is there, another that is away is a warning."""
    gone, also = (f"nats://127.0.0.1:{free_port()}" for _ in range(2))
    code, said = check(("127.0.0.1", 1), more=f'{AWAY}nats = ["{gone}", "{also}"]\n')
    assert code == 1
    assert f"  cluster.nats: {gone}: nothing listens there" in said
    assert f"  cluster.nats: {also}: nothing listens there" in said
    assert "127.0.0.1:1" not in said.partition("cluster.nats")[2]
    real = LoneNats()
    real.start()
    try:
        said = check(("127.0.0.1", 1), more=f'{AWAY}nats = ["{gone}", "{real.url}"]\n')[1]
        assert f"warning: cluster.nats: {gone}: nothing listens there" in said
        assert real.url not in said
    finally:
        real.kill()


def test_files_for_nats_are_read(check: Check, tmp_path: Path) -> None:
    """The token, which others should not read, and the authority, each by its own setting."""
    secret, authority = tmp_path / "token", tmp_path / "nats.pem"
    nats = f'{AWAY}nats = ["nats://127.0.0.1:{free_port()}"]\n'
    with_token, with_authority = (
        f'{nats}{key} = "{path}"\n' for key, path in (("nats_token_file", secret), ("nats_ca", authority))
    )
    assert f"  cluster.nats_token_file: {secret}: can't be read" in check(("127.0.0.1", 1), more=with_token)[1]
    secret.write_text("s3cret\n")
    secret.chmod(0o644)
    said = check(("127.0.0.1", 1), more=with_token)[1]
    assert f"warning: cluster.nats_token_file: {secret}: other users" in said
    assert "s3cret" not in said
    wrong = f"  cluster.nats_ca: {authority}: holds no certificate that can be read"
    assert wrong in check(("127.0.0.1", 1), more=with_authority)[1]
    authority.write_text("nothing")
    assert wrong in check(("127.0.0.1", 1), more=with_authority)[1]


def test_nats_without_tls_over_a_network_is_a_warning(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each server that is not on this machine; what is on it needs none."""
    monkeypatch.setattr("gateway.bridge.nats_checks.faults", lambda address: [])
    servers = (
        '"nats://nats1:4222", "nats://127.0.0.2:4222", "nats://[::1]:4222", "nats://localhost:4222", "tls://nats2:4222"'
    )
    said = check(("127.0.0.1", 1), more=f"{AWAY}nats = [{servers}]\n")[1]
    assert "warning: cluster.nats: nats://nats1:4222 is not encrypted" in said
    assert said.count("is not encrypted") == 1


def test_nats_without_its_library_or_a_node_is_said(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first keeps a node from being one, the second is meant for several processes perhaps."""
    monkeypatch.setitem(sys.modules, "gateway.bridge.nats_checks", None)
    said = check(("127.0.0.1", 1), more='[cluster]\nnats = ["nats://127.0.0.1:1"]\n')[1]
    assert "  cluster.node: nats-py is not installed" in said
    assert "warning: cluster.node: missing" in said


def test_files_of_the_control_interface_are_read(check: Check, tmp_path: Path, made: Path) -> None:
    """Its certificate, its key and the authority of its callers, each by its own setting."""
    key = tmp_path / "control.key"
    shutil.copy(made / "server-rsa.key", key)
    table = f'[control]\naddress = "127.0.0.1:0"\ncertificate = "{made}/server-rsa.pem"\nkey = "{key}"\n'
    code, said = check(("127.0.0.1", 1), more=table)
    assert code == 0, said
    key.chmod(0o644)
    assert f"warning: control.key: {key}: other users" in check(("127.0.0.1", 1), more=table)[1]
    authority = tmp_path / "callers.pem"
    code, said = check(("127.0.0.1", 1), more=table + f'client_ca = "{authority}"\n')
    assert code == 1
    assert f"  control.client_ca: {authority}: No such file" in said
    authority.write_text("nothing")
    assert "  control.client_ca: " in check(("127.0.0.1", 1), more=table + f'client_ca = "{authority}"\n')[1]
    key.write_text("nothing")
    code, said = check(("127.0.0.1", 1), more=table)
    assert code == 1
    assert f"  control.key: {key}" in said


def test_one_kind_of_certificate_is_a_warning(tmp_path: Path, made: Path) -> None:
    """Chargers that know the other kind alone can't connect."""
    config = tmp_path / "gateway.toml"
    pair = f'{{ certificate = "{made}/server-ecdsa.pem", key = "{made}/server-ecdsa.key" }}'
    config.write_text(f'[[listeners]]\nhost = "127.0.0.1"\nport = 0\ncertificates = [{pair}]\n')
    (found,) = [each for each in preflight(load(config)) if each.key == "listeners[0].certificates"]
    assert (found.text.split(":")[0], found.fatal) == ("no RSA certificate", False)
    later = datetime.now(UTC) + timedelta(days=10 * 365)
    (over,) = [each for each in preflight(load(config), later) if each.key.endswith(".certificate")]
    assert over.fatal

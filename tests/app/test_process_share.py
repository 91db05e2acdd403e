"""The share of one of several processes on one machine, and what they can't be served by."""

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from gateway.app import processes
from gateway.app.logs import _with_slot
from gateway.app.preflight import check as preflight
from gateway.app.process_share import MAX_PROCESSES, ProcessShare, share_of, shared
from gateway.app.serve import serve
from gateway.app.service_manager import NONE
from gateway.app.settings import Settings
from gateway.app.settings.cluster import ClusterSettings
from gateway.control.grpc_options import options
from gateway.errors import SettingsError
from tests.app.running import settings
from tests.endtoend.gateway_process import development_certificates, free_port


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Development certificates, made once."""
    return development_certificates(tmp_path_factory.mktemp("share") / "certs")


@pytest.fixture
def given(tmp_path: Path, certificates: Path) -> Settings:
    """Settings of a service on PostgreSQL."""
    found = settings(tmp_path, certificates)
    return evolve(
        found,
        store=evolve(found.store, url="postgresql://db/gateway"),
        control=evolve(found.control, address=f"127.0.0.1:{free_port()}"),
        metrics=evolve(found.metrics, address="127.0.0.1:9464"),
        cluster=ClusterSettings(nats=("nats://nats1:4222",)),
    )


def test_a_share_is_handed_over_in_the_environment() -> None:
    """And taken out of it, so that no child of the process takes it for its own."""
    share = ProcessShare(3, ((0, 7), (1, 8)), "nats://127.0.0.1:4222", Path("/run/token"), 4)
    environment = {"PATH": "/bin", **share.environment()}
    assert share_of(environment) == share
    assert environment == {"PATH": "/bin"}
    assert share_of(environment) is None
    assert share_of(ProcessShare(1).environment()) == ProcessShare(1)


@pytest.mark.parametrize("sockets", ["7", "0:x", "0:1:2"])
def test_a_share_that_can_not_be_read_is_refused(sockets: str) -> None:
    """By the names of its variables."""
    with pytest.raises(SettingsError, match="GATEWAY_SLOT, GATEWAY_PROCESSES, GATEWAY_SOCKETS: expected"):
        share_of({"GATEWAY_SLOT": "1", "GATEWAY_PROCESSES": "2", "GATEWAY_SOCKETS": sockets})


def test_each_process_has_a_slot_and_a_port_of_metrics(given: Settings) -> None:
    """And the NATS server that was begun for all, if the settings name none."""
    of = ProcessShare(2).applied(given)
    assert (of.cluster.node, of.cluster.nats, of.metrics.address) == (2, given.cluster.nats, "127.0.0.1:9466")
    own = ProcessShare(1, nats="nats://127.0.0.1:1", nats_token_file=Path("token")).applied(given)
    assert (own.cluster.nats, own.cluster.nats_token_file) == (("nats://127.0.0.1:1",), Path("token"))
    off = evolve(given, metrics=evolve(given.metrics, address="off"))
    assert ProcessShare(2).applied(off).metrics.address == "off"
    six = evolve(given, metrics=evolve(given.metrics, address="[::1]:9464"))
    assert ProcessShare(2).applied(six).metrics.address == "[::1]:9466"


def test_sockets_are_those_of_their_listeners() -> None:
    """Which are not inherited any further."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = os.dup(listening.fileno())
        os.set_inheritable(number, True)
        handed = ProcessShare(1, ((1, number),)).handed_over(["one", "two"])
        assert not os.get_inheritable(number)
        [mine] = handed.of("two")
        assert mine.getsockname() == listening.getsockname()
        assert handed.of("one") == []
        mine.close()
        handed.close()
    assert ProcessShare(1).handed_over(["one"]).of("one") == []


def test_a_port_of_callers_is_shared_by_those_of_one_service_alone() -> None:
    """Two gateways on one port would take each other's clients unnoticed."""
    assert dict(options(True))["grpc.so_reuseport"] == 1
    assert dict(options(False))["grpc.so_reuseport"] == 0


def test_each_line_of_the_log_says_whose_it_is() -> None:
    """By the slot."""
    assert _with_slot(2, None, "info", {"event": "ready"}) == {"event": "ready", "slot": 2}


@pytest.mark.parametrize(
    ("count", "changes", "words"),
    [
        (0, {}, f"--processes: expected 1 to {MAX_PROCESSES}, found 0"),
        (MAX_PROCESSES + 1, {}, "--processes: expected 1 to"),
        (2, {"store": {"url": ""}}, "share a database on PostgreSQL: set store.url"),
        (2, {"cluster": {"node": 7}}, "cluster.node: the processes have the slots 1 to 2"),
        (2, {"metrics": {"address": "127.0.0.1:65534"}}, "the port of process 2 would be 65536"),
        (2, {"control": {"address": "127.0.0.1:9466"}}, "of process 2 is taken by control.address"),
        (2, {"control": {"address": "127.0.0.1:0"}}, "control.address: expected a port"),
    ],
)
def test_what_can_not_be_served_is_refused_by_name(
    given: Settings, count: int, changes: dict[str, dict[str, Any]], words: str
) -> None:
    """Before any process is begun."""
    processes.check(given, 2)
    sections: dict[str, Any] = {name: evolve(getattr(given, name), **fields) for name, fields in changes.items()}
    with pytest.raises(SettingsError, match=words):
        processes.check(evolve(given, **sections), count)


def test_a_port_that_another_program_has_is_refused(given: Settings) -> None:
    """The processes would share it with that, too."""
    with socket.create_server(given.control.host_and_port), pytest.raises(SettingsError, match="the address is in use"):
        processes.check(given, 2)


def test_nats_without_a_slot_is_for_several_processes_only(given: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single gateway refuses it by name; check-config warns."""
    monkeypatch.delenv("GATEWAY_SLOT", raising=False)
    with pytest.raises(SettingsError, match=r"cluster\.node: missing"):
        serve(given)
    [warning] = [each for each in preflight(given) if each.key == "cluster.node"]
    assert not warning.fatal


def test_the_token_of_nats_is_the_owners_alone(tmp_path: Path) -> None:
    """From the moment that its file is there."""
    processes._write_secret(tmp_path / "token", "secret")
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "token").read_text() == "secret"
    with pytest.raises(FileExistsError):
        processes._write_secret(tmp_path / "token", "another")


def test_a_process_that_was_given_a_share_has_its_settings(given: Settings) -> None:
    """And takes the sockets of a service manager only where it has none."""
    own, sockets, share = shared(ProcessShare(2, count=3).environment(), given)
    assert (own.cluster.node, share) == (2, ProcessShare(2, count=3))
    assert sockets is NONE
    alone = evolve(given, cluster=ClusterSettings())
    assert shared({}, alone) == (alone, NONE, None)


def test_a_server_of_nats_is_needed(given: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Named, or there to be begun: in the path, or beside this Python."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    without = evolve(given, cluster=ClusterSettings())
    with pytest.raises(SettingsError, match=r"cluster\.nats: names no server, and there is no nats-server"):
        processes.check(without, 2)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "nats-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert processes.nats_server() == str(program)
    processes.check(without, 2)

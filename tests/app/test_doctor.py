"""`gateway doctor`: each of its findings, brought about on a machine that is made up as far as it must be."""

import json
import os
import resource
import shutil
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

import apsw
import pytest
from attrs import evolve, frozen
from typer.testing import CliRunner

from gateway.app import doctor, from_settings
from gateway.app.checks import Check, Level
from gateway.app.doctor import SYNCS, Host, examine
from gateway.app.settings import ControlSettings, MetricsSettings, Settings
from gateway.cli.main import app
from gateway.store.sqlite.migrate import scripts
from gateway.store.sqlite.store import SqliteStore
from tests.app.running import settings as running_settings
from tests.endtoend.gateway_process import development_certificates, free_port

NOW = datetime(2026, 11, 27, tzinfo=UTC)
KERNEL = {"net.core.somaxconn": 4096, "net.ipv4.tcp_max_syn_backlog": 4096, "fs.file-max": 1_000_000}


@frozen
class Machine(Host):
    """A machine whose clock is as the test says."""

    kept: bool | None = True

    def clock_is_kept(self) -> bool | None:
        return self.kept


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return development_certificates(tmp_path_factory.mktemp("doctor") / "certs")


@pytest.fixture
def settings(tmp_path: Path, certificates: Path) -> Settings:
    """Settings with ports that are free."""
    found = running_settings(tmp_path, certificates, port=free_port())
    control = ControlSettings(address=f"127.0.0.1:{free_port()}")
    return evolve(found, control=control, metrics=MetricsSettings(address=f"127.0.0.1:{free_port()}"))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One that is fit."""
    kernel = tmp_path / "kernel"
    for name, value in KERNEL.items():
        path = kernel.joinpath(*name.split("."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n", encoding="ascii")
    return Machine(lambda: datetime.now(UTC), partial(ticking, count(), 0.0005), kernel)


def ticking(ticks: Iterator[int], seconds: float) -> float:
    """A clock that goes on by so many seconds each time."""
    return seconds * next(ticks)


def of(name: str, checks: list[Check]) -> list[Check]:
    return [each for each in checks if each.name == name]


def test_a_machine_that_is_fit_is_found_so(settings: Settings, machine: Machine, tmp_path: Path) -> None:
    """Nothing is an error, and nothing is left behind."""
    checks = examine(settings, machine)
    assert {each.name for each in checks} == {
        "settings", "database", "ports", "disk", "space", "limits", "kernel", "clock",
    }  # fmt: skip
    assert [each for each in checks if each.level is Level.ERROR] == []
    [disk] = of("disk", checks)
    assert f"a sync takes 0.5 ms, the longest of {SYNCS} took 0.5" in disk.text
    assert list(tmp_path.glob(".gateway-doctor*")) == []
    assert not settings.store.path.exists()


def test_a_disk_that_is_slow_is_a_warning_and_one_beyond_the_deadline_an_error(
    settings: Settings, machine: Machine
) -> None:
    """By the middle of its syncs, and by the longest."""
    for seconds, level in ((0.03, Level.WARNING), (6.0, Level.ERROR)):
        slow = evolve(machine, measure=partial(ticking, count(), seconds))
        [disk] = of("disk", examine(settings, slow))
        assert disk.level is level


def test_a_folder_that_can_not_be_written_is_an_error(settings: Settings, machine: Machine, tmp_path: Path) -> None:
    """Or is not there."""
    away = evolve(settings, store=evolve(settings.store, path=tmp_path / "none" / "gateway.db"))
    checks = examine(away, machine)
    [disk] = of("disk", checks)
    assert disk.level is Level.ERROR
    assert "No such file" in disk.text
    assert of("database", checks) == []  # no first start would make it


def test_room_that_retention_would_need_is_looked_at(
    settings: Settings, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit beyond the disk is none; neither is none at all."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10**9}))
    for most, level in ((2 * 10**9, Level.WARNING), (0, Level.WARNING), (5 * 10**8, Level.OK)):
        retention = evolve(settings.store.retention, max_bytes=most)
        [space] = of("space", examine(evolve(settings, store=evolve(settings.store, retention=retention)), machine))
        assert space.level is level


def test_a_port_in_use_is_an_error_unless_a_gateway_serves(settings: Settings, machine: Machine) -> None:
    """The one that has the database has the ports, too."""
    with socket.create_server(("127.0.0.1", settings.listeners[0].port)):
        [port, *_] = of("ports", examine(settings, machine))
        assert (port.level, port.text.endswith("in use, and not by a gateway on this database")) == (Level.ERROR, True)
        store = SqliteStore(settings.store.path)
        try:
            checks = examine(settings, machine)
            assert of("ports", checks)[0].level is Level.OK
            [database] = of("database", checks)
            assert database.text.endswith(f"served by process {os.getpid()}")
        finally:
            store.close()


def test_a_database_that_a_start_would_refuse_is_an_error(settings: Settings, machine: Machine) -> None:
    """One that is gone, and one that is an older state than was served; one that was served last is good."""
    path = settings.store.path
    SqliteStore(path).close()
    earlier = path.read_bytes()
    SqliteStore(path).close()
    assert [each.level for each in of("database", examine(settings, machine))] == [Level.OK]
    path.write_bytes(earlier)
    [database] = of("database", examine(settings, machine))
    assert (database.level, "gateway recover" in database.text) == (Level.ERROR, True)
    path.unlink()
    [database] = of("database", examine(settings, machine))
    assert (database.level, "is not there. Restore a backup" in database.text) == (Level.ERROR, True)


@pytest.fixture
def older(settings: Settings) -> Path:
    """A database that a version before has made."""
    SqliteStore(settings.store.path).close()
    cx = apsw.Connection(str(settings.store.path))
    cx.pragma("user_version", len(scripts()) - 1)
    cx.close()
    return settings.store.path


def test_a_database_that_the_next_start_changes_is_a_warning(settings: Settings, machine: Machine, older: Path) -> None:
    """And it isn't changed by looking."""
    [database] = of("database", examine(settings, machine))
    assert database.level is Level.WARNING
    assert f"brings it to {len(scripts())}: back it up first" in database.text
    assert not older.with_name("gateway.db-wal").exists()
    cx = apsw.Connection(str(older))
    assert cx.pragma("user_version") == len(scripts()) - 1
    cx.close()


@pytest.mark.parametrize("content", ["newer", "no database"])
def test_a_database_that_can_not_be_served_is_an_error(
    settings: Settings, machine: Machine, older: Path, content: str
) -> None:
    """Of a later version, or of another program."""
    if content == "newer":
        cx = apsw.Connection(str(older))
        cx.pragma("user_version", len(scripts()) + 1)
        cx.close()
    else:
        older.write_bytes(b"something else" * 100)
    [database] = of("database", examine(settings, machine))
    assert database.level is Level.ERROR
    assert database.text.count(str(older)) == 1


def test_few_open_files_are_a_warning_and_too_few_an_error(
    settings: Settings, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as the process that looks may have."""
    monkeypatch.setattr(doctor, "raise_file_limit", lambda: None)
    for files, level in ((600, Level.ERROR), (1500, Level.WARNING), (20_000, Level.OK)):
        monkeypatch.setattr(from_settings, "file_limit", lambda files=files: files)
        [limits] = of("limits", examine(settings, machine))
        assert limits.level is level
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0


def test_a_kernel_with_short_queues_is_a_warning(settings: Settings, machine: Machine) -> None:
    """One that can't be read is none."""
    machine.kernel.joinpath("net", "core", "somaxconn").write_text("128\n", encoding="ascii")
    machine.kernel.joinpath("fs", "file-max").unlink()
    found = {each.text.split()[0]: each.level for each in of("kernel", examine(settings, machine))}
    assert found == {
        "net.core.somaxconn": Level.WARNING,
        "net.ipv4.tcp_max_syn_backlog": Level.OK,
        "fs.file-max": Level.OK,
    }


@pytest.mark.parametrize(("kept", "level"), [(True, Level.OK), (False, Level.WARNING), (None, Level.OK)])
def test_a_clock_that_nothing_keeps_is_a_warning(
    settings: Settings, machine: Machine, kept: bool | None, level: Level
) -> None:
    """If that can be asked."""
    [clock] = of("clock", examine(settings, evolve(machine, kept=kept)))
    assert clock.level is level


def test_the_system_can_be_asked_about_its_clock() -> None:
    """Or says that it can't."""
    assert Host(lambda: NOW, lambda: 0.0).clock_is_kept() in (True, False, None)


def test_the_command_ends_with_1_where_something_is_in_the_way(tmp_path: Path, certificates: Path) -> None:
    """With each finding on a line, or as JSON."""
    config = tmp_path / "gateway.toml"
    pair = f'{{ certificate = "{certificates}/server-ecdsa.pem", key = "{certificates}/server-ecdsa.key" }}'
    ports = f"port = {free_port()}\n"
    control, metrics = free_port(), free_port()
    text = (
        f'[[listeners]]\nhost = "127.0.0.1"\n{ports}certificates = [{pair}]\n'
        f'[control]\naddress = "127.0.0.1:{control}"\n[metrics]\naddress = "127.0.0.1:{metrics}"\n'
    )
    config.write_text(f'{text}[store]\npath = "{tmp_path}/gateway.db"\n', encoding="utf-8")
    fit = CliRunner().invoke(app, ["doctor", "--config", str(config), "--json"])
    assert fit.exit_code == 0, fit.output
    assert json.loads(fit.stdout)["fit"] is True
    (tmp_path / "gateway.db").write_bytes(b"something else" * 100)
    unfit = CliRunner().invoke(app, ["doctor", "--config", str(config)], env={"COLUMNS": "200"})
    assert unfit.exit_code == 1
    assert "database" in unfit.stdout
    assert "error" in unfit.stdout

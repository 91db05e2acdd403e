"""The systemd units: what systemd says of them, and what they share with the gateway's defaults."""

import configparser
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.app.settings import DrainSettings, ListenerSettings, examine
from gateway.app.store_lifetime import CLOSE_SECONDS

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"
PAGE = ROOT / "docs" / "operations.md"
PROGRAM = "/opt/gateway/bin/gateway"
MAX_EXPOSURE = 25
"""Of systemd-analyze's scale, in tenths: 2.5 is what it calls OK, and a service without hardening has 9.6."""


def systemd_analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        without: Callable[[str], None] = pytest.fail if os.environ.get("CI") else pytest.skip
        without("systemd-analyze is not installed: units are not verified")
    return found or ""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with a program that is there and a user that is."""
    for unit in UNITS.iterdir():
        text = unit.read_text(encoding="utf-8").replace(PROGRAM, "/bin/true")
        (tmp_path / unit.name).write_text(re.sub(r"^(User|Group)=gateway$", r"\1=root", text, flags=re.M), "utf-8")
    return tmp_path


def section(unit: str, name: str) -> dict[str, str]:
    """A section of a unit; of keys that are there several times the last one."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNITS / unit, encoding="utf-8")
    return dict(parser[name])


def test_systemd_finds_nothing_wrong_with_the_units(units: Path) -> None:
    """Nor any key that it does not know."""
    files = sorted(map(str, units.iterdir()))
    done = subprocess.run(
        [systemd_analyze(), "verify", "--man=no", *files], capture_output=True, text=True, timeout=60, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "gateway" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


def test_the_service_may_do_little_beyond_its_work(units: Path) -> None:
    """As systemd counts it."""
    done = subprocess.run(
        [
            systemd_analyze(),
            "security",
            "--offline=true",
            f"--threshold={MAX_EXPOSURE}",
            str(units / "gateway.service"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_socket_is_for_the_default_listener() -> None:
    """By its name and its port, in both families."""
    lines = (UNITS / "gateway.socket").read_text(encoding="utf-8").splitlines()
    listener = ListenerSettings(certificates=())
    assert f"FileDescriptorName={listener.name}" in lines
    assert {f"ListenStream=0.0.0.0:{listener.port}", f"ListenStream=[::]:{listener.port}"} <= set(lines)


def test_the_service_is_given_time_to_drain() -> None:
    """The deadline, the store's closing and the log's end."""
    service = section("gateway.service", "Service")
    assert int(service["TimeoutStopSec"]) > DrainSettings().deadline_seconds + CLOSE_SECONDS + 2
    assert service["Type"] == "notify"
    assert service["ExecStart"].startswith(f"{PROGRAM} serve ")


def documented(section_name: str) -> list[str]:
    """Commands of a section of the operator's page."""
    text = PAGE.read_text(encoding="utf-8").split(f"\n## {section_name}\n")[1].split("\n## ")[0]
    return re.findall(r"^    (\S.*)$", text, re.MULTILINE)


def test_what_the_page_says_makes_settings_that_the_service_can_serve_with(tmp_path: Path) -> None:
    """Its commands in their order, in other folders and without other users: the database is in the one folder that the
    service may write to, and keys are for the gateway's group alone."""
    left_out = re.compile(r"python3 -m venv|/opt/gateway/bin/pip|useradd|chgrp|sudo|systemctl|cp ")
    state, settings = tmp_path / "state", tmp_path / "etc"
    trial = f"{sys.executable} -m gateway certs dev --directory {settings}/certs"
    lines = [line for line in documented("Under systemd") if not left_out.match(line)]
    at = next(number for number, line in enumerate(lines) if line.startswith("chmod"))
    for old, new in (
        (r"-o \w+ -g \w+ ", ""),
        ("/opt/gateway/bin/gateway", f"{sys.executable} -m gateway"),
        ("/var/lib/gateway", str(state)),
        ("/etc/gateway", str(settings)),
    ):
        lines = [re.sub(old, new, line) for line in lines]
    script = "\n".join([*lines[:at], trial, *lines[at:]])
    done = subprocess.run(["sh", "-euxc", script], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert len(lines) == 5
    found, problems = examine(settings / "gateway.toml")
    assert problems == []
    service = section("gateway.service", "Service")
    assert found.store.path == state / "gateway.db"
    assert service["StateDirectory"] == Path("/var/lib/gateway").name
    assert "--config /etc/gateway/gateway.toml" in service["ExecStart"]
    for key in (settings / "certs").glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o640

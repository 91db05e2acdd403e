"""The systemd units: what systemd says of them, and what they share with the gateway's defaults."""

import configparser
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.app.settings import DrainSettings, ListenerSettings
from gateway.app.store_lifetime import CLOSE_SECONDS

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
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

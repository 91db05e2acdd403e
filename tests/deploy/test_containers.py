"""The image and compose.yaml: what they start, with which rights, and whether the settings in them are good."""

import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from gateway.app.settings import DrainSettings, SessionSettings, examine
from gateway.app.store_lifetime import CLOSE_SECONDS
from gateway.chargers.capacity import room_for
from scripts.pythons import NEWER

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return found


def test_the_base_of_the_image_is_an_argument() -> None:
    """For another Python, or a digest; no digest is written by hand. By default the newest of the tests."""
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${BASE}", "${BASE}"]
    newest = NEWER[0].minor
    assert re.findall(r"^ARG (\S+)", DOCKERFILE, re.MULTILINE) == [f"PYTHON={newest}", "BASE=python:${PYTHON}-slim"]
    assert "sha256:" not in DOCKERFILE.replace("@sha256:<digest>", "")


def test_the_image_runs_as_no_root_and_asks_the_gateway_for_its_health() -> None:
    """With the client that is in it."""
    instructions = [line.split()[0] for line in DOCKERFILE.splitlines() if re.match(r"[A-Z]+ ", line)]
    assert instructions.index("USER") < instructions.index("ENTRYPOINT")
    assert re.search(r"^USER gateway$", DOCKERFILE, re.MULTILINE)
    assert re.search(r'^HEALTHCHECK .* CMD \["gateway", "health"\]$', DOCKERFILE, re.MULTILINE)


def test_files_that_the_image_and_the_services_name_are_there() -> None:
    """Those that the operator brings are not."""
    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists(), name
    for service in compose()["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./") and not source.endswith("/certs"):
                assert (ROOT / source).exists(), source


def test_volumes_of_the_services_are_declared() -> None:
    """And mounted paths are absolute."""
    found = compose()
    for service in found["services"].values():
        for volume in service.get("volumes", []):
            source, target, *_ = volume.split(":")
            assert target.startswith("/")
            if not source.startswith("."):
                assert source in found["volumes"]


def test_the_gateway_may_write_to_its_volume_alone_and_is_given_time_to_drain() -> None:
    """A root that is read-only, no capabilities, no new privileges."""
    gateway = compose()["services"]["gateway"]
    assert gateway["read_only"] is True
    assert gateway["cap_drop"] == ["ALL"]
    assert gateway["security_opt"] == ["no-new-privileges:true"]
    assert int(gateway["stop_grace_period"].removesuffix("s")) > DrainSettings().deadline_seconds + CLOSE_SECONDS + 2


def test_the_settings_in_compose_are_good() -> None:
    """Its ports are those that the services name."""
    settings, problems = examine(ROOT / "deploy" / "compose" / "gateway.toml")
    assert problems == []
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yaml").read_text(encoding="utf-8"))
    [job] = scraped["scrape_configs"]
    [targets] = job["static_configs"]
    assert settings.metrics.host_and_port is not None
    assert targets["targets"] == [f"gateway:{settings.metrics.host_and_port[1]}"]
    assert compose()["services"]["gateway"]["ports"] == [f"{settings.listeners[0].port}:{settings.listeners[0].port}"]
    assert str(settings.store.path).startswith("/var/lib/gateway/")


def test_grafana_finds_the_dashboards_where_they_are_mounted() -> None:
    """And the data source that they are for."""
    grafana = compose()["services"]["grafana"]
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    [provider] = yaml.safe_load((provisioning / "dashboards" / "gateway.yaml").read_text())["providers"]
    assert any(volume.split(":")[1] == provider["options"]["path"] for volume in grafana["volumes"])
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    assert source["url"] == "http://prometheus:9090"


def test_the_certificates_that_the_page_makes_for_a_trial_are_readable_in_the_container(tmp_path: Path) -> None:
    """By another user, through a folder that is its owner's alone at first; what compose.yaml mounts is good then."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    [command] = re.findall(r"`(gateway certs dev --directory deploy/compose/certs && [^`]+)`", page)
    certificates = tmp_path / "certs"
    command = command.replace("deploy/compose/certs", str(certificates))
    command = command.replace("gateway certs", f"{sys.executable} -m gateway certs", 1)
    subprocess.run(["sh", "-euc", command], check=True, capture_output=True, cwd=ROOT, timeout=60)
    assert stat.S_IMODE(certificates.stat().st_mode) & 0o005 == 0o005
    for file in certificates.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) & 0o004, file
    text = (ROOT / "deploy" / "compose" / "gateway.toml").read_text(encoding="utf-8")
    settings = tmp_path / "gateway.toml"
    settings.write_text(
        text.replace("/etc/gateway/certs", str(certificates)).replace("/var/lib/gateway", str(tmp_path)), "utf-8"
    )
    _, problems = examine(settings)
    assert problems == []


def test_the_page_says_how_many_charge_points_a_container_s_usual_limit_is_enough_for() -> None:
    """1,024 open files."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    [said] = re.findall(r"with 1,024 some (\d+) charge points are let in", page)
    assert room_for(1024, SessionSettings().max_concurrent_handshakes, None).sessions == pytest.approx(
        int(said), rel=0.1
    )

"""The alert rules and dashboards as data, and Prometheus' own checker of them."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from attrs import frozen
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
TESTS = DEPLOY / "prometheus" / "alerts_test.yaml"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))

NAME = re.compile(r"\b(?:gateway|process|python)_[a-z0-9_]+")
SELECTOR = re.compile(r"\b((?:gateway|process|python)_[a-z0-9_]+)\{([^}]*)\}")
GROUPING = re.compile(r"by \(([^)]*)\)")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
SCRAPED = frozenset({"instance", "job"})
"""Labels that Prometheus adds to each sample."""

SUFFIXES = {"counter": ("_total",), "gauge": ("",), "info": ("_info",), "histogram": ("_bucket", "_sum", "_count")}


@frozen
class Rule:
    """An alert rule."""

    name: str
    expression: str
    severity: str
    annotations: Mapping[str, str]


def rules() -> list[Rule]:
    """All alert rules."""
    [group] = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [
        Rule(each["alert"], each["expr"], each["labels"]["severity"], each["annotations"]) for each in group["rules"]
    ]


def panels(dashboard: Path) -> list[dict[str, Any]]:
    """The panels of a dashboard that show something; its rows are none."""
    content = json.loads(dashboard.read_text(encoding="utf-8"))
    return [panel for panel in content["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Each expression of a rule or a panel, and where it stands."""
    for rule in rules():
        yield rule.name, rule.expression
    for dashboard in DASHBOARDS:
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield f"{dashboard.stem}: {panel['title']}", target["expr"]


def known(registry: CollectorRegistry) -> dict[str, frozenset[str]]:
    """The name of each sample that there may be, and its labels."""
    found: dict[str, frozenset[str]] = {}
    for family in registry.collect():
        for suffix in SUFFIXES[family.type]:
            labels = {*_labels(family), *(["le"] if suffix == "_bucket" else [])}
            found[family.name + suffix if not family.name.endswith(suffix or " ") else family.name] = frozenset(labels)
    return found


def _labels(family: Metric) -> tuple[str, ...]:
    return tuple(getattr(family, "_labelnames", ()))


def promtool() -> str:
    """Prometheus' tool. In CI it has to be there (`make test` installs it where it may)."""
    found = shutil.which("promtool")
    if found is None:
        without: Callable[[str], None] = pytest.fail if os.environ.get("CI") else pytest.skip
        without("promtool is not installed: alert rules are not checked (`make test` installs it where it may)")
    return found or ""


def run(*arguments: str | Path) -> str:
    """The output of promtool; its failure is the test's."""
    done = subprocess.run([promtool(), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr

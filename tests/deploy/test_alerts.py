"""Alert rules and dashboards: each metric that they name exists, each rule is tested, and each alert has its page."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry

from gateway.app.database_checks import OLD_IDS
from gateway.app.serve import Gateway, utc_now
from tests.app.running import Disk, settings
from tests.deploy import rules
from tests.endtoend.gateway_process import development_certificates

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CollectorRegistry]:
    """The metrics of a gateway that does not run: each family is there."""
    folder = tmp_path_factory.mktemp("alerts")
    disk = Disk(folder / "gateway.db", clock=utc_now)
    try:
        yield Gateway(settings(folder, development_certificates(folder / "certs")), disk).metrics.registry
    finally:
        disk.close()


def test_each_metric_that_a_rule_or_a_panel_names_exists_with_the_labels_that_it_uses(
    registry: CollectorRegistry,
) -> None:
    """A panel that stays empty, and a rule that never fires, would not be noticed else."""
    known = rules.known(registry)
    for where, expression in rules.expressions():
        names = rules.NAME.findall(expression)
        if not expression.startswith("up{"):
            assert names, where
        labels = frozenset[str]().union(*(known.get(name, frozenset()) for name in names), rules.SCRAPED)
        for name in names:
            assert name in known, f"{where}: there is no {name}"
        for name, selector in rules.SELECTOR.findall(expression):
            used = set(rules.LABEL.findall(selector))
            assert used <= known[name] | rules.SCRAPED, f"{where}: {name} has no labels {used - known[name]}"
        for grouping in rules.GROUPING.findall(expression):
            used = {label.strip() for label in grouping.split(",")}
            assert used <= labels, f"{where}: no labels {used - labels}"


def test_a_metric_that_is_not_there_is_found(registry: CollectorRegistry) -> None:
    """The check above can fail; counters and histograms are known by the names of their samples."""
    known = rules.known(registry)
    assert {"gateway_sessions", "gateway_stalls_total", "gateway_answer_seconds_bucket", "gateway_build_info"} <= set(
        known
    )
    assert not {"gateway_stalls", "gateway_answer_seconds", "gateway_happenings_total"} & set(known)
    assert known["gateway_answer_seconds_bucket"] == {"action", "le"}


def test_each_alert_has_its_section_in_the_operators_page_and_none_is_left_over() -> None:
    """Found by the anchor that the alert names."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    sections = re.findall(r"^### (Gateway\w+)$", page, re.MULTILINE)
    assert sections == [rule.name for rule in rules.rules()]
    for rule in rules.rules():
        path, _, anchor = rule.annotations["runbook"].partition("#")
        assert ROOT / path == ROOT / "docs" / "operations.md"
        assert anchor == rule.name.lower()
        assert rule.severity in ("warning", "critical")
        assert rule.annotations["summary"].endswith(".")


def test_doctor_and_the_rule_know_one_bound_for_the_age_of_transaction_ids() -> None:
    """A finding without its alert, or an alert that doctor calls good, would be one page against another."""
    [rule] = [each for each in rules.rules() if each.name == "GatewayTransactionIdsAge"]
    assert float(rule.expression.rpartition(">")[2]) == OLD_IDS


def test_each_rule_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    """In alerts_test.yaml."""
    fires: set[str] = set()
    silent: set[str] = set()
    for case in yaml.safe_load(rules.TESTS.read_text(encoding="utf-8"))["tests"]:
        for check in case["alert_rule_test"]:
            (fires if check["exp_alerts"] else silent).add(check["alertname"])
    assert fires == {rule.name for rule in rules.rules()}
    assert silent == fires


def test_the_rules_and_their_tests_pass_promtool() -> None:
    """And Prometheus' own settings."""
    assert "29 rules found" in rules.run("check", "rules", rules.ALERTS)
    assert "is valid" in rules.run("check", "config", rules.DEPLOY / "prometheus" / "prometheus.yaml")
    assert "SUCCESS" in rules.run("test", "rules", rules.TESTS)


def test_expressions_of_dashboards_are_promql(tmp_path: Path) -> None:
    """Checked as recording rules, with Grafana's variables filled in."""
    recorded = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m").replace("$instance", "g")}
        for number, (_, expression) in enumerate(rules.expressions())
    ]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}), encoding="utf-8")
    assert f"{len(recorded)} rules found" in rules.run("check", "rules", file)


@pytest.mark.parametrize("dashboard", rules.DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboards_panels_say_what_they_show(dashboard: Path) -> None:
    """Each has a title of its own, a description and a unit, and none overlaps another."""
    panels = rules.panels(dashboard)
    assert len({panel["title"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        at = panel["gridPos"]
        squares = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not squares & taken, panel["title"]
        assert max(x for x, _ in squares) < 24, panel["title"]
        taken |= squares

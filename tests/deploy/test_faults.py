"""Alerts fire by faults of the gateway itself: its metrics before and after, given to the rules by promtool.

The rules' own tests (alerts_test.yaml) say when a rule fires, by numbers; these say that a fault brings such numbers
about. The parts are real; the disk, the clock and the charger are the tests'.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trio
import yaml  # type: ignore[import-untyped]
from attrs import evolve, frozen
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.app.divergence import Divergence
from gateway.app.log_writer import LogWriter
from gateway.app.loop_lag import LoopLag
from gateway.app.serve import Gateway, utc_now
from gateway.app.stall_clock import StallClock
from gateway.app.supervision import Supervisor
from gateway.domain.commands import ClearCache
from gateway.histogram import LATENCY_BOUNDS
from gateway.journal.journal import Journal
from gateway.observability.metrics import Metrics
from gateway.observability.observer import GatewayObserver
from gateway.session.limits import SessionLimits
from gateway.store.commits import RecordLastHeard
from gateway.store.reads import Reads
from gateway.store.sqlite.store import SqliteStore
from gateway.transport.listener import ConnectionOutcome
from tests.app.running import Disk, running, settings, until
from tests.deploy import rules
from tests.endtoend.gateway_process import development_certificates
from tests.session.commands.test_commands import ready
from tests.session.test_handler_bugs import Broken
from tests.support.harness import Harness, boot

Samples: TypeAlias = dict[str, tuple[str, float]]
"""A sample's series, as Prometheus writes it, with the type of its family and its value."""

BEFORE, AFTER = 20, 80
"""Minutes for which a fault's metrics are as before it, and as after it."""


@frozen
class Fault:
    """Takes the metrics before and after itself. ``rising``: its counts rise evenly, as it goes on; else at once."""

    alert: str
    metrics: Callable[[Path, Path], Awaitable[tuple[Samples, Samples]]]
    rising: bool = False


def samples(registry: CollectorRegistry) -> Samples:
    """All samples of a registry; points in time from now on, since promtool's clock begins at 0."""
    found: Samples = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            labels = {**sample.labels, "instance": "g", "job": "gateway"}
            written = ",".join(map('{}="{}"'.format, labels, labels.values()))
            series = f"{sample.name}{{{written}}}"
            value = sample.value
            if sample.name.endswith("_timestamp_seconds"):
                value -= utc_now().timestamp()
            found[series] = (family.type, value)
    return found


def values(kind: str, before: float | None, after: float, *, rising: bool) -> str:
    """A series of promtool's, a value for each minute."""
    first = f"_x{BEFORE}" if before is None else f"{before}x{BEFORE}"
    if rising and kind in ("counter", "histogram"):
        step = (after - (before or 0)) / AFTER
        return f"{first} {before or 0}+{step}x{AFTER}"
    return f"{first} {after}x{AFTER}"


async def fires(fault: Fault, folder: Path, certificates: Path) -> None:
    """Assert that the alert fires after the fault, and did not before it."""
    before, after = await fault.metrics(folder, certificates)
    [rule] = [rule for rule in rules.rules() if rule.name == fault.alert]
    named = set(rules.NAME.findall(rule.expression))
    series = []
    for name, (kind, value) in after.items():
        if name.partition("{")[0] in named:
            first = before[name][1] if name in before else None
            series.append({"series": name, "values": values(kind, first, value, rising=fault.rising)})
    assert series, named
    ids = yaml.safe_load(rules.ALERTS.read_text(encoding="utf-8"))
    ids["groups"][0]["rules"] = [each for each in ids["groups"][0]["rules"] if each["alert"] == fault.alert]
    for each in ids["groups"][0]["rules"]:
        each["expr"] = f"count({each['expr']})"  # whichever labels it has
        each["annotations"], each["labels"] = {}, {}
    (folder / "rules.yaml").write_text(yaml.safe_dump(ids), encoding="utf-8")
    checks: list[dict[str, Any]] = [
        {"eval_time": f"{BEFORE - 2}m", "alertname": fault.alert, "exp_alerts": []},
        {"eval_time": f"{BEFORE + AFTER - 2}m", "alertname": fault.alert, "exp_alerts": [{"exp_labels": {}}]},
    ]
    if "increase(" in rule.expression and not fault.rising:  # it is over after a while
        checks[1]["eval_time"] = f"{BEFORE + 3}m"
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "alert_rule_test": checks}],
    }
    (folder / "test.yaml").write_text(yaml.safe_dump(test), encoding="utf-8")
    rules.run("test", "rules", folder / "test.yaml")


# --- faults -----------------------------------------------------------------------------------------------------


async def _disk_fails(folder: Path, certificates: Path) -> tuple[Samples, Samples]:
    async with running(settings(folder, certificates)) as serving:
        registry = serving.gateway.metrics.registry
        charger = await serving.booted()
        before = samples(registry)
        serving.disk.failing = True
        await charger.send(
            2, "m", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Faulted"}
        )
        await until(lambda: not serving.gateway.journal.healthy)
        return before, samples(registry)


async def _task_fails(folder: Path, certificates: Path) -> tuple[Samples, Samples]:
    metrics = Metrics()
    before = samples(metrics.registry)

    async def broken() -> None:
        raise LookupError("a bug")

    with capture_logs():
        await Supervisor(metrics).once("feed", broken)
    return before, samples(metrics.registry)


@asynccontextmanager
async def _observed(folder: Path, metrics: Metrics) -> AsyncIterator[Harness]:
    """Yield a harness whose sessions count for metrics."""
    harness = Harness(folder)
    harness.observer = GatewayObserver(metrics, utc_now, 0)
    try:
        yield harness
    finally:
        harness.store.close()


async def _handler_fails(folder: Path, certificates: Path) -> tuple[Samples, Samples]:
    metrics = Metrics(trio.current_time)
    async with _observed(folder, metrics) as harness:
        harness.add_charge_point()
        async with harness.connected() as charger:
            await boot(charger)
        before = samples(metrics.registry)
        broken = Broken(harness, "Heartbeat", "decide")
        async with harness.connected() as charger:
            with capture_logs():
                await charger.send(2, "m", "Heartbeat", {})
                await trio.sleep(1)
        broken.mended = True
    return before, samples(metrics.registry)


async def _session_fails(folder: Path, certificates: Path) -> tuple[Samples, Samples]:
    metrics = Metrics(trio.current_time)
    async with _observed(folder, metrics) as harness:
        harness.add_charge_point()
        before = samples(metrics.registry)
        async with harness.connected() as charger:
            await boot(charger)
            broken = Broken(harness, "MeterValues", "decide")
        async with harness.connected() as charger:
            with capture_logs():
                await charger.send(2, "m", "MeterValues", {"connectorId": 1, "meterValue": []})
                await charger.sees_the_end()
            charger.gone = True
        broken.mended = True
    return before, samples(metrics.registry)


async def _commands_unanswered(folder: Path, certificates: Path) -> tuple[Samples, Samples]:
    metrics = Metrics(trio.current_time)
    async with _observed(folder, metrics) as harness:
        harness.limits = SessionLimits(settle_delay=0, call_timeout=5)
        async with ready(harness) as (charger, asked):
            before = samples(metrics.registry)
            for _ in range(40):
                outcome = asked.ask(ClearCache())
                await charger.next_call("ClearCache")
                await outcome()
                await trio.sleep(1)
    return before, samples(metrics.registry)


async def _commits_are_slow(folder: Path, certificates: Path) -> tuple[Samples, Samples]:
    """A disk that takes 0.8 s to sync."""
    metrics = Metrics()
    store = SqliteStore(folder / "gateway.db", clock=utc_now)

    async def slow(function: Callable[..., Any], *args: Any, **_: Any) -> Any:
        await trio.sleep(0.8)
        return function(*args)

    journal = Journal(store, run_sync=slow)  # type: ignore[arg-type]
    metrics.histogram("gateway_commit_seconds", "S.", LATENCY_BOUNDS).take(journal.commit_seconds)
    before = samples(metrics.registry)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(journal.run)
            for _ in range(30):
                await journal.commit(RecordLastHeard(()))
            await journal.aclose()
    finally:
        store.close()
    return before, samples(metrics.registry)


async def _answers_are_slow(folder: Path, certificates: Path) -> tuple[Samples, Samples]:
    """A disk that takes three seconds for each message."""
    metrics = Metrics(trio.current_time)
    async with _observed(folder, metrics) as harness:
        harness.add_charge_point()
        async with harness.connected() as charger:
            await boot(charger)
            before = samples(metrics.registry)
            harness.journal.stall_seconds = 3
            for status in ("Preparing", "Available") * 15:
                report = {"connectorId": 1, "errorCode": "NoError", "status": status}
                await charger.call("StatusNotification", report)
            harness.journal.stall_seconds = 0
    return before, samples(metrics.registry)


async def _keys_are_guessed(folder: Path, certificates: Path) -> tuple[Samples, Samples]:
    """One wrong password a second."""
    metrics = Metrics()
    observer = GatewayObserver(metrics, utc_now, 0)
    refused = ConnectionOutcome("chargers", "admission", "wrong_password", "192.0.2.1", "CP1", 401)
    observer.connection_over(refused)
    before = samples(metrics.registry)
    for _ in range(60 * AFTER):
        observer.connection_over(refused)
    return before, samples(metrics.registry)


async def _log_has_no_reader(folder: Path, certificates: Path) -> tuple[Samples, Samples]:
    reading, writing = os.pipe()
    writer = LogWriter(writing, "{} missing".format)
    metrics = Metrics()
    metrics.counter("gateway_log_lines_dropped", "L.", lambda: writer.dropped)
    before = samples(metrics.registry)
    os.close(reading)
    writer.put("a line")
    writer.close()
    os.close(writing)
    return before, samples(metrics.registry)


async def _loop_is_late(folder: Path, certificates: Path) -> tuple[Samples, Samples]:
    metrics = Metrics()
    lag = LoopLag(metrics, lambda: 1.4 * trio.current_time())
    before = samples(metrics.registry)
    with trio.move_on_after(60):
        await lag.run()
    return before, samples(metrics.registry)


async def _process_stands_still(folder: Path, certificates: Path) -> tuple[Samples, Samples]:
    metrics, time = Metrics(), 0.0
    clock = StallClock(lambda: time)
    metrics.counter("gateway_stalls", "S.", lambda: clock.stalls)
    clock.start_clock()
    before = samples(metrics.registry)
    with capture_logs():
        time = 30.0
        clock.current_time()
    return before, samples(metrics.registry)


async def _older_copy(folder: Path, certificates: Path) -> tuple[Samples, Samples]:
    metrics = Metrics()
    store = SqliteStore(folder / "gateway.db", clock=utc_now)
    try:
        before = samples(metrics.registry)
        with capture_logs():
            Divergence(Reads(store, None), metrics, utc_now).seen("resume_token", "position 7")  # type: ignore[arg-type]
        return before, samples(metrics.registry)
    finally:
        store.close()


async def _places_are_taken(folder: Path, certificates: Path) -> tuple[Samples, Samples]:
    disk = Disk(folder / "gateway.db", clock=utc_now)
    try:
        of = settings(folder, certificates)
        gateway = Gateway(evolve(of, sessions=evolve(of.sessions, max_sessions=20)), disk)
        before = samples(gateway.metrics.registry)
        for _ in range(19):
            assert gateway.capacity.take(replaces=False)
        return before, samples(gateway.metrics.registry)
    finally:
        disk.close()


async def _certificate_ends(folder: Path, certificates: Path) -> tuple[Samples, Samples]:
    """The development certificate lasts for some days."""
    disk = Disk(folder / "gateway.db", clock=utc_now)
    try:
        of = Gateway(settings(folder, certificates), disk)
        after = samples(of.metrics.registry)
        later = {name: (kind, value + 400 * 86_400) for name, (kind, value) in after.items()}
        return later, after
    finally:
        disk.close()


VIRTUAL = (
    Fault("GatewayTaskFailed", _task_fails),
    Fault("GatewayHandlerFailed", _handler_fails),
    Fault("GatewaySessionFailed", _session_fails),
    Fault("GatewayCommandsUnanswered", _commands_unanswered, rising=True),
    Fault("GatewaySlowCommits", _commits_are_slow, rising=True),
    Fault("GatewaySlowAnswers", _answers_are_slow, rising=True),
    Fault("GatewayHandshakesFail", _keys_are_guessed, rising=True),
    Fault("GatewayLogLosesLines", _log_has_no_reader),
    Fault("GatewayLoopLags", _loop_is_late, rising=True),
    Fault("GatewayStoodStill", _process_stands_still),
    Fault("GatewayStoreOfAnotherLife", _older_copy),
    Fault("GatewayAlmostFull", _places_are_taken),
    Fault("GatewayCertificateExpires", _certificate_ends),
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return development_certificates(tmp_path_factory.mktemp("faults") / "certs")


@pytest.mark.parametrize("fault", VIRTUAL, ids=lambda fault: fault.alert)
async def test_a_fault_fires_its_alert(
    tmp_path: Path, certificates: Path, autojump_clock: MockClock, fault: Fault
) -> None:
    """And nothing did before."""
    await fires(fault, tmp_path, certificates)


async def test_a_disk_that_fails_fires_its_alert(tmp_path: Path, certificates: Path) -> None:
    """In a gateway that serves, in real time."""
    await fires(Fault("GatewayStoreUnavailable", _disk_fails), tmp_path, certificates)


async def test_without_its_fault_an_alert_is_not_fired(tmp_path: Path, certificates: Path) -> None:
    """The tests above can fail."""

    async def nothing(folder: Path, certificates: Path) -> tuple[Samples, Samples]:
        metrics = Metrics()
        metrics.counter("gateway_stalls", "S.", lambda: 1)
        return samples(metrics.registry), samples(metrics.registry)

    with pytest.raises(AssertionError, match="GatewayStoodStill"):
        await partial(fires, Fault("GatewayStoodStill", nothing))(tmp_path, certificates)

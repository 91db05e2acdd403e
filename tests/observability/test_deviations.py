"""Which makes deviate, and how often: bounded, by make and firmware."""

from datetime import UTC, datetime, timedelta

from prometheus_client import generate_latest

from gateway.domain.events import BootInformation
from gateway.observability.deviations import MAX_ENTRIES, Deviations
from gateway.observability.metrics import Metrics
from gateway.observability.observer import GatewayObserver

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ACME = BootInformation("Acme", "One", firmware_version="1.0")


def test_deviations_are_counted_by_name_make_and_firmware() -> None:
    """With the charger that was seen last, to look at its frames."""
    times = iter(START + timedelta(seconds=n) for n in range(10))
    deviations = Deviations(lambda: next(times))
    deviations.deviated("CP1", ACME, ("number-for-text", "spelling"))
    deviations.deviated("CP2", ACME, ("number-for-text",))
    deviations.deviated("CP3", BootInformation("Acme", "One", firmware_version="2.0"), ("number-for-text",))
    deviations.deviated("CP4", None, ("spelling",))
    found = {(each.deviation, each.vendor, each.firmware_version): each for each in deviations.entries()}
    assert len(found) == 4
    first = found["number-for-text", "Acme", "1.0"]
    assert (first.count, first.charge_point, first.model) == (2, "CP2", "One")
    assert (first.first_seen, first.last_seen) == (START, START + timedelta(seconds=1))
    assert found["spelling", "", ""].charge_point == "CP4"


def test_a_charger_that_invents_firmwares_fills_no_memory() -> None:
    """The least recently seen goes; what is long is cut."""
    deviations = Deviations(lambda: START)
    deviations.deviated("CP1", ACME, ("spelling",))
    for number in range(2 * MAX_ENTRIES):
        deviations.deviated(
            "CP2", BootInformation("v" * 99, "m" * 99, firmware_version=f"{number}" * 99), ("spelling",)
        )
        deviations.deviated("CP1", ACME, ("spelling",))
    found = deviations.entries()
    assert len(found) == MAX_ENTRIES
    assert found[-1].count == 2 * MAX_ENTRIES + 1
    assert (len(found[0].vendor), len(found[0].model), len(found[0].firmware_version)) == (20, 20, 50)


def test_metrics_count_them_by_name_too() -> None:
    """As before: their labels are few."""
    metrics = Metrics()
    diagnostics = GatewayObserver(metrics, lambda: START, 0)
    diagnostics.deviated("CP1", ACME, ("spelling", "spelling"))
    diagnostics.answered("Heartbeat", 0, diagnostics.latencies(ACME))
    reported = generate_latest(metrics.registry).decode()
    assert 'gateway_deviations_total{deviation="spelling"} 2.0' in reported
    assert 'gateway_answer_seconds_count{action="Heartbeat"} 1.0' in reported
    assert diagnostics.deviations()[0].count == 2

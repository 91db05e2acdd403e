"""The driver of the control interface, against a bare server: what it counts is what there was."""

import os
import time
from collections.abc import Iterator

import pytest

from bench.grpc_driver import GrpcDriver
from bench.grpc_process import Ledger
from bench.processes import free_ports
from bench.servers.echo import Echo, echo

TARGETS = [f"CP{number}" for number in range(8)]


@pytest.fixture(scope="module")
def server() -> Iterator[Echo]:
    with echo(messages_per_second=100, message_bytes=500) as running:
        yield running


@pytest.fixture(scope="module")
def driver() -> Iterator[GrpcDriver]:
    with GrpcDriver() as running:
        yield running


def test_calls_are_counted_with_their_latencies_and_the_cpu_of_both_sides(server: Echo, driver: GrpcDriver) -> None:
    """Every call of the window has its place in the histogram, and the rate is their number over its length."""
    driver.call(server.address, TARGETS, callers=4)
    window = driver.measure(0.5, server.pid)
    called = driver.called()
    assert called.calls > 50
    assert called.as_seen.get_total_count() == called.calls
    assert called.latency.get_total_count() >= called.calls
    assert called.calls_per_second == pytest.approx(called.calls / window.seconds, rel=0.05)
    assert called.failures == {}
    assert window.driver_cpu_seconds > 0
    assert window.server_cpu_seconds > 0


def test_every_target_takes_a_first_call_before_anything_is_measured(server: Echo, driver: GrpcDriver) -> None:
    """The first calls are over when it returns, and count for nothing."""
    driver.prime(server.address, TARGETS)
    driver.call(server.address, TARGETS, callers=1)
    assert driver.called().calls == 0


def test_more_callers_than_chargers_are_refused(server: Echo, driver: GrpcDriver) -> None:
    """Two callers at one charger would wait for each other."""
    with pytest.raises(ValueError, match="9 callers need as many chargers, there are 8"):
        driver.call(server.address, TARGETS, callers=9)


def test_failed_calls_are_reported_by_status_and_are_no_latencies(driver: GrpcDriver) -> None:
    """No server listens there."""
    (port,) = free_ports(1)
    driver.call(f"127.0.0.1:{port}", TARGETS, callers=2)
    driver.measure(0.3, os.getpid())
    called = driver.called()
    assert called.calls == 0
    assert set(called.failures) == {"UNAVAILABLE"}


def test_what_fails_while_priming_is_an_error_of_the_driver(driver: GrpcDriver) -> None:
    """And the driver can be used again."""
    (port,) = free_ports(1)
    with pytest.raises(RuntimeError, match="UNAVAILABLE"):
        driver.prime(f"127.0.0.1:{port}", TARGETS)


def test_all_watchers_have_every_message_once_and_its_lag(server: Echo, driver: GrpcDriver) -> None:
    """At 100 messages a second 3 watchers have 300 deliveries a second, of bytes that are parsed once."""
    driver.watch(server.address, 3, settle=False)
    time.sleep(0.1)
    window = driver.measure(0.5, server.pid)
    watched = driver.watched()
    assert watched.deliveries == pytest.approx(300 * window.seconds, rel=0.3)
    assert watched.batches == watched.deliveries
    assert watched.lag.get_total_count() == watched.deliveries
    assert watched.parsed <= watched.batches / 3 + 1
    assert watched.duplicates == 0
    assert watched.out_of_order == 0
    assert watched.missing <= 2, "only of the message that came while the watches ended"
    assert watched.failures == {}


def test_a_watch_that_fails_is_reported(driver: GrpcDriver) -> None:
    """No server listens there."""
    (port,) = free_ports(1)
    driver.watch(f"127.0.0.1:{port}", 2, settle=False)
    assert driver.watched().failures


class TestLedger:
    """Which events there were, and who had them."""

    def test_a_watcher_that_missed_an_event_has_a_gap(self) -> None:
        """One of two watchers did not have the second of three."""
        ledger = _ledger("abc", "ac")
        assert (ledger.missing(), ledger.duplicates(), ledger.out_of_order()) == (1, 0, 0)
        assert ledger.behind() == 1

    def test_an_event_that_came_twice_is_a_duplicate_and_hides_no_gap(self) -> None:
        """It has had three deliveries, of two events out of three."""
        ledger = _ledger("abc", "aba")
        assert (ledger.missing(), ledger.duplicates()) == (1, 1)

    def test_another_order_is_reported(self) -> None:
        """All have all events."""
        ledger = _ledger("abc", "acb", "abc")
        assert (ledger.missing(), ledger.duplicates(), ledger.out_of_order()) == (0, 0, 1)

    def test_what_came_before_all_watchers_were_there_counts_for_none(self) -> None:
        """Only one of them could have it."""
        ledger = Ledger(2)
        ledger.had(0, [ledger.number("before")])
        ledger.begin()
        for watcher in range(2):
            ledger.had(watcher, [ledger.number("after")])
        assert (ledger.expected(), ledger.missing(), ledger.behind()) == (1, 0, 0)


def _ledger(*had: str) -> Ledger:
    ledger = Ledger(len(had))
    ledger.begin()
    for watcher, events in enumerate(had):
        ledger.had(watcher, [ledger.number(event) for event in events])
    return ledger

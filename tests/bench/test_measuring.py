"""The measurement that peers and transports have in common: the same for every server, medians of rounds."""

import io
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen
from rich.console import Console

from bench import attackers, histogram, scenarios
from bench.fleet_results import Load
from bench.processes import Usage
from bench.scenarios import attacks, peers, transport
from bench.servers import measuring, process
from bench.servers.measuring import Measured, Plan

PLAN = Plan(sessions=10, active=4, seconds=0.3, warm_up=0.1, rate=50.0)


def load(cpu_seconds: float) -> Load:
    return Load(
        messages=1000,
        in_time=1000,
        seconds=1.0,
        latency=histogram.of([500.0] * 1000),
        errors={},
        driver_cores=0.2,
        driver_cpu_seconds=0.2,
        server_cpu_seconds=cpu_seconds,
        server_rss_growth=0,
        longest_turn=0.0,
        pauses=(),
    )


def quiet() -> Console:
    return Console(file=io.StringIO())


def test_a_server_is_measured_with_all_its_sessions(tmp_path: Path) -> None:
    """All connect; a closed loop and an open one give messages, CPU and memory, and nothing goes wrong."""
    with process.running("bare", tmp_path) as server:
        measured = measuring.measure(server, process.credentials(PLAN.sessions), PLAN)
    assert measured.wrong == ()
    assert measured.closed.messages > 0
    assert measured.open is not None
    assert measured.open.messages > 0
    assert measured.kib_per_session > 0
    assert measured.connect_milliseconds >= 0


def test_a_low_rate_is_measured_net_of_silence(tmp_path: Path) -> None:
    """By a figure and latencies of its own; without one there are neither."""
    plan = evolve(PLAN, rate=0.0, low_rate=20.0, low_seconds=0.3)
    with process.running("bare", tmp_path) as server:
        measured = measuring.measure(server, process.credentials(PLAN.sessions), plan)
    assert measured.wrong == ()
    assert measured.open is None
    assert measured.low is not None
    assert measured.low.messages > 0
    result = measuring.result("peers", "bare", plan, [evolve(measured, quiet=float(cost)) for cost in (500, 100, 300)])
    assert result.figure(measuring.CPU_LOW) == 300
    assert result.histograms["low rate"].get_total_count() == 3 * measured.low.messages
    assert measuring.CPU_LOW not in {
        each.name
        for each in measuring.result("peers", "bare", PLAN, [Measured(1.0, 30.0, load(0.02), None, ())]).figures
    }


def test_of_several_rounds_the_median_counts() -> None:
    """One disturbed round moves no figure; its value is shown."""
    runs = [Measured(1.0, 30.0, load(cpu), None, ()) for cpu in (0.02, 0.9, 0.03)]
    result = measuring.result("transport", "bare", PLAN, runs)
    assert result.valid
    assert result.figure(measuring.CPU_PER_MESSAGE) == pytest.approx(30)
    assert result.histograms["closed loop"].get_total_count() == 3000
    assert "CPU per message: 20, 900, 30 µs" in result.notes


def test_a_round_that_went_wrong_makes_the_result_invalid() -> None:
    """Sessions that were lost are not passed over."""
    good, bad = (Measured(1.0, 30.0, load(0.02), None, wrong) for wrong in ((), ("3 were lost: reset",)))
    result = measuring.result("transport", "bare", PLAN, [good, bad])
    assert not result.valid
    assert result.invalid_because == ("3 were lost: reset",)


@frozen
class Halves:
    """A server that is said to be two processes, of which the second takes nothing."""

    server: process.Running

    def __getattr__(self, name: str) -> Any:
        return getattr(self.server, name)

    def usage(self) -> Usage:
        all_of_it = self.server.usage()
        return evolve(all_of_it, parts={"first": all_of_it.cpu_seconds, "second": 7.0})


def test_the_processes_of_a_server_are_told_apart(tmp_path: Path) -> None:
    """CPU of a message, in the closed loop and the open one: the sum, and of each."""
    with process.running("bare", tmp_path) as server:
        measured = measuring.measure(Halves(server), process.credentials(PLAN.sessions), PLAN)
    result = measuring.result("peers", "two", PLAN, [measured])
    for name in ("CPU per message", "CPU per message, open loop"):
        assert result.figure(f"{name}, of it first") == pytest.approx(result.figure(name))
        assert result.figure(f"{name}, of it second") == 0


def test_some_of_the_sessions_send_and_not_all() -> None:
    """The others are what a closed loop leaves out."""
    with pytest.raises(ValueError, match="some, and not all"):
        Plan(sessions=10, active=10, seconds=1, warm_up=1, rate=0)


def test_a_peer_that_cannot_run_here_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its case has no figures, and a note."""
    monkeypatch.setenv("PATH", "")
    [result] = peers.run(scenarios.options(peers, {"servers": ["ocpp-rpc"]}), quiet())
    assert result.case == "ocpp-rpc"
    assert not result.figures
    assert result.notes == ("left out: node was not found",)


def test_the_transports_are_measured_beside_a_bare_handshake() -> None:
    """The yardsticks of the check are there under the names that it looks for."""
    values = {"sessions": 10, "active": 4, "seconds": 0.2, "warm_up": 0.1, "rounds": 1, "servers": ["bare"]}
    handshake, bare = transport.run(scenarios.options(transport, values), quiet())
    assert handshake.case == "handshake"
    assert handshake.figure("CPU per handshake") > 0
    assert bare.case == "bare"
    assert bare.figure("CPU per message") > 0
    assert bare.figure("memory per session") > 0


def test_short_forms_are_options_that_there_are() -> None:
    """`bench.check` runs them."""
    for scenario in (attacks, peers, transport):
        scenarios.options(scenario, scenario.SHORT)


def test_every_attack_that_is_named_in_the_short_form_is_there() -> None:
    """And the first one is none, which the others are compared with."""
    assert set(attacks.SHORT["attacks"]) <= set(attackers.ATTACKS)
    assert next(iter(attackers.ATTACKS)) == "none"


def test_a_neighbour_is_answered_beside_an_attack() -> None:
    """Each of its messages is answered, within what the attack leaves, and its link stays."""
    values = {"seconds": 0.5, "attacks": ["nested-lists"]}
    [result] = attacks.run(scenarios.options(attacks, values), quiet())
    assert result.case == "nested-lists"
    assert result.invalid_because == ()
    assert result.histograms["the neighbour's answer"].get_total_count() == 25
    assert 0 < result.figure("median answer") <= result.figure("worst answer")

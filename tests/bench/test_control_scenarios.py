"""Commands and watch in the small: real gateway, real chargers, all cases, the figures that the check looks for."""

import argparse
import io

import pytest
from rich.console import Console

from bench import histogram
from bench.fleet_results import Load
from bench.grpc_driver import Watched, Window
from bench.results import Result
from bench.scenarios import Scenario, commands, lists, load, options, reconcile, watch


def test_commands_are_measured_beside_an_echo_idle_and_under_load() -> None:
    """Each case has its calls, all of them answered."""
    results = _run(commands, sessions=8, callers=[1, 4], load=50.0, seconds=0.4, warm_up=0.1)
    assert [result.case for result in results] == [
        "echo, 1 caller",
        "echo, 4 callers",
        "1 caller, idle",
        "4 callers, idle",
        "1 caller, loaded",
        "4 callers, loaded",
    ]
    for result in results:
        name = "echo" if result.case.startswith("echo") else "command"
        assert result.histograms[name].get_total_count() > 0
        assert result.figure("rate") > 0
        assert not [reason for reason in result.invalid_because if "failed" in reason or "answered" in reason]


def test_charge_points_with_plans_are_put_in_order_when_these_are_new_and_after_a_restart() -> None:
    """Each is sent its profile once in each case, and is recorded as having it."""
    first, restart = _run(reconcile, sessions=6)
    assert (first.case, restart.case) == ("first", "restart")
    for result in (first, restart):
        assert result.invalid_because == ()
        assert result.figure("until the last was sent its profile") > result.figure("after the last was back")


def test_watchers_are_measured_without_gaps_beside_a_bare_stream() -> None:
    """All that chargers were confirmed reached both numbers of watchers, once."""
    results = _run(watch, sessions=8, watchers=[1, 3], rate=100.0, seconds=0.5, warm_up=0.1, turns=1)
    one, three, bare = results
    assert [result.case for result in results] == ["1 watcher", "3 watchers", "bare stream"]
    for result in (one, three):
        assert result.figure("gaps") == 0
        assert result.figure("duplicates") == 0
        assert result.histograms["lag"].get_total_count() > 0
    assert three.figure("deliveries") > 2 * one.figure("deliveries")
    three.figure("CPU per further delivery")  # of so few it says nothing, but it is there
    bare.figure("CPU per message")


def test_lists_are_timed_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all their messages, in each turn; one that lacks something makes the result invalid."""
    monkeypatch.setattr(lists, "WARM_UP_SECONDS", 0.0)
    monkeypatch.setattr(lists, "PAUSE_SECONDS", 0.0)
    asked = {"whole": (lambda: [(2, 10), (1, 30)], 3), "short": (lambda: iter([(2, 20)]), 3)}
    taken, _ = lists._measured(Idle(), asked, _options(lists, turns=2))  # type: ignore[arg-type]
    assert [len(each.seconds) for each in taken.values()] == [2, 2]
    assert (taken["whole"].largest, taken["whole"].wrong) == (30, [])
    assert taken["short"].wrong == ["short: 2 instead of 3"] * 2


@pytest.mark.parametrize("name", ["commands", "lists", "nodes", "reconcile", "watch"])
def test_the_short_form_has_options_that_exist(name: str) -> None:
    """As the check asks for them."""
    scenario = load(name)
    options(scenario, scenario.SHORT)


def test_more_callers_than_chargers_are_refused() -> None:
    """Before anything is started."""
    with pytest.raises(SystemExit, match="32 callers need as many chargers"):
        commands.run(_options(commands, sessions=8), Console(file=io.StringIO()))


def test_a_further_delivery_is_the_difference_of_two_numbers_of_watchers() -> None:
    """Work done once for an event isn't in it: 0.3 cores at 1,000 deliveries/s, 0.4 at 11,000 are 10 µs each."""
    few, more = _streamed(1, 0.3, 1_000), _streamed(11, 0.4, 11_000)
    assert watch._further(few, more, lambda each: each.deliveries) == pytest.approx(10.0)


def test_confirmed_messages_that_no_watcher_saw_are_gaps_of_each() -> None:
    """The watchers agree with each other, and yet 5 of what was confirmed is missing."""
    streamed = _streamed(3, 0.5, 3_000, events=995, confirmed=1_000)
    assert streamed.gaps == 15
    plan = watch.Plan(8, [1, 3], 1_000.0, 1.0, 0.1, 1)
    assert "15 deliveries are missing" in watch._amiss(plan, streamed)


def test_a_load_that_was_not_what_was_asked_makes_a_result_invalid() -> None:
    """Neither too few messages nor failed ones pass for the load."""
    assert commands.amiss(_load(1_000), 1_000.0) == []
    assert commands.amiss(_load(900), 1_000.0) == ["the load was 900 messages/s instead of 1000"]
    assert commands.amiss(_load(1_000, errors=2), 1_000.0) == ["2 messages of the load failed: CALLERROR"]


class Idle:
    """Chargers that send nothing."""

    def start_open_loop(self, **_: float) -> None:
        pass

    def mark(self) -> None:
        pass

    def stop_open_loop(self) -> Load:
        return _load(0)


def _run(scenario: Scenario, **values: object) -> list[Result]:
    return scenario.run(_options(scenario, **values), Console(file=io.StringIO()))


def _options(scenario: object, **values: object) -> argparse.Namespace:
    return options(scenario, values)  # type: ignore[arg-type]


def _streamed(
    watchers: int, server_cores: float, deliveries: int, events: int = 1_000, confirmed: int = 1_000
) -> watch.Streamed:
    """A turn of one second."""
    watched = Watched(
        lag=histogram.new(),
        deliveries=deliveries,
        batches=deliveries // 10,
        bytes=deliveries * 400,
        parsed=1,
        events=events,
        meter_values=events,
        missing=0,
        duplicates=0,
        out_of_order=0,
        failures={},
    )
    return watch.Streamed(watchers, [watch.Turn(Window(1.0, 0.1, server_cores), watched, _load(confirmed))])


def _load(messages: int, errors: int = 0) -> Load:
    """Of one second."""
    return Load(
        messages=messages,
        in_time=messages,
        seconds=1.0,
        latency=histogram.new(),
        errors={"CALLERROR": errors} if errors else {},
        driver_cores=0.1,
        driver_cpu_seconds=0.1,
        server_cpu_seconds=0.3,
        server_rss_growth=0,
        longest_turn=0.001,
        pauses=(),
    )

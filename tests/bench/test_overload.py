"""Goodput under three times what the gateway can take: what counts as short, and what is left out of it."""

from __future__ import annotations

from attrs import evolve

from bench import histogram
from bench.fleet import Connected, Load
from bench.scenarios import overload

CAPACITY = Connected(
    connected=400,
    failures={},
    seconds=1.0,
    latency=histogram.new(),
    overtaken=0,
    driver_cores=0.3,
    driver_cpu_seconds=0.3,
    server_cpu_seconds=0.9,
    server_rss_growth=0,
)
MOST = Load(
    messages=13_000,
    in_time=12_000,
    seconds=1.0,
    latency=histogram.new(),
    errors={},
    driver_cores=0.3,
    driver_cpu_seconds=0.3,
    server_cpu_seconds=1.0,
    server_rss_growth=0,
    longest_turn=0.01,
    pauses=(),
)


def test_connects_that_are_done_at_four_fifths_of_the_capacity_are_enough() -> None:
    """Those that failed are not done."""
    enough = overload._connects(CAPACITY, evolve(CAPACITY, connected=320, failures={"HTTP 503": 80}), 1200.0)
    assert (enough.valid, enough.figure("goodput"), enough.figure("failed")) == (True, 0.8, 80)
    assert enough.notes == ("80 connects failed: HTTP 503",)
    assert enough.figure(overload.CPU_SHARE) == 0.8
    short = overload._connects(CAPACITY, evolve(CAPACITY, connected=316), 1200.0)
    assert short.invalid_because == ("goodput is 0.79 of the capacity: 0.8 is asked",)


def test_messages_count_that_are_confirmed_while_the_storm_lasts() -> None:
    """Those that are confirmed behind it do not."""
    assert overload._messages(MOST, evolve(MOST, in_time=9_600)).valid
    assert not overload._messages(MOST, evolve(MOST, messages=13_000, in_time=9_000)).valid


def test_chargers_that_are_there_come_before_those_that_connect() -> None:
    """Connects may not be had at the price of messages, and none of the sessions at that of either."""
    reports = MOST.rate / 3
    there = evolve(MOST, in_time=round(reports))
    slow = evolve(CAPACITY, connected=240)
    both = overload._both(CAPACITY, slow, 1200.0, MOST, there, reports, lost=0)
    assert both.valid
    assert both.figure("messages confirmed in time") == 1
    assert not overload._both(CAPACITY, evolve(slow, connected=180), 1200.0, MOST, there, reports, lost=0).valid
    starved = evolve(there, in_time=round(reports / 2))
    assert overload._both(CAPACITY, CAPACITY, 1200.0, MOST, starved, reports, lost=0).invalid_because == (
        "goodput is 0.50 of the capacity: 0.8 is asked",
    )
    lost = overload._both(CAPACITY, slow, 1200.0, MOST, there, reports, lost=2)
    assert lost.invalid_because == ("2 of those that were there were lost",)

"""Goodput under three times what the gateway can take: when a capacity is one, and what counts as short of it."""

from __future__ import annotations

import pytest
from attrs import evolve

from bench import cores, histogram
from bench.fleet_results import Connected, Load
from bench.scenarios import overload
from bench.scenarios.overload import Capacity

MOST_CONNECTS = Connected(
    connected=400,
    failures={},
    seconds=1.0,
    begun_seconds=1.0,
    latency=histogram.new(),
    overtaken=0,
    driver_cores=0.3,
    driver_cpu_seconds=0.3,
    server_cpu_seconds=0.9,
    server_rss_growth=0,
)
MOST_MESSAGES = Load(
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
CONNECTS, MESSAGES = Capacity(MOST_CONNECTS, 64), Capacity(MOST_MESSAGES, 64)
STORM = evolve(MOST_CONNECTS, begun_seconds=1 / 3)
"""As many as at capacity done in a second, all of them begun in a third of it."""


def found(**rates: int) -> tuple[Capacity[Connected], list[int]]:
    """A capacity of a gateway that does so many connects with ``_32`` at once, and so on; what was tried."""
    tried: list[int] = []

    def measure(at_once: int) -> Connected:
        tried.append(at_once)
        return evolve(MOST_CONNECTS, connected=rates[f"_{at_once}"], server_cpu_seconds=0.8)

    return overload.capacity(measure, 128), tried


def test_a_capacity_is_reached_where_twice_as_many_at_once_bring_hardly_more() -> None:
    """The most that was seen counts, of however many at once."""
    assert found(_32=200, _64=300, _128=320) == (
        Capacity(evolve(MOST_CONNECTS, connected=320, server_cpu_seconds=0.8), 128),
        [32, 64, 128],
    )
    most, tried = found(_32=300, _64=290)
    assert (most.most.connected, most.at_once, most.unreached, tried) == (300, 32, (), [32, 64])


def test_a_capacity_that_still_grows_is_none_unless_the_gateway_has_its_whole_core() -> None:
    """Then it can do no more, whatever is under way."""
    most, _ = found(_32=100, _64=200, _128=400)
    assert most.unreached == (
        "the capacity was not reached: 128 at once still did more than half as many, and the gateway had 0.80 cores",
    )
    busy = overload.capacity(lambda at_once: evolve(MOST_CONNECTS, connected=at_once, server_cpu_seconds=0.9), 128)
    assert (busy.at_once, busy.unreached) == (128, ())


def test_a_capacity_of_drivers_that_had_no_time_left_is_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing about the gateway."""
    monkeypatch.setattr(cores, "driver_cores", lambda: (1,))
    full = overload.capacity(lambda _: evolve(MOST_CONNECTS, driver_cores=0.95), 128)
    assert full.unreached == ("the capacity is the drivers': they had 0.95 of their 1 cores",)


def test_nothing_is_held_against_a_capacity_that_was_not_reached() -> None:
    """Each of the three results says why it is not valid."""
    reason = "the capacity was not reached: so"
    connects, messages = evolve(CONNECTS, unreached=(reason,)), evolve(MESSAGES, unreached=(reason,))
    assert overload._connects(connects, STORM, 1200.0).invalid_because == (reason,)
    assert overload._messages(messages, MOST_MESSAGES).invalid_because == (reason,)
    reports = MOST_MESSAGES.rate / 3
    there = evolve(MOST_MESSAGES, in_time=round(reports))
    both = overload._both(connects, STORM, 1200.0, messages, there, reports, lost=0)
    assert both.invalid_because == (f"connects: {reason}", f"messages: {reason}")


def test_a_storm_that_the_drivers_did_not_offer_is_none() -> None:
    """They began the connects later than they were due."""
    late = overload._connects(CONNECTS, evolve(STORM, begun_seconds=0.5), 1200.0)
    assert late.figure("offered") == 800
    assert late.invalid_because == ("the drivers were the bottleneck: they began 800 connects a second of 1200",)


def test_connects_that_are_done_at_four_fifths_of_the_capacity_are_enough() -> None:
    """Those that failed are not done."""
    enough = overload._connects(CONNECTS, evolve(STORM, connected=320, failures={"HTTP 503": 80}), 1200.0)
    assert (enough.valid, enough.figure("goodput"), enough.figure("failed")) == (True, 0.8, 80)
    assert enough.notes == ("80 connects failed: HTTP 503",)
    assert enough.figure(overload.CPU_SHARE) == 0.8
    short = overload._connects(CONNECTS, evolve(STORM, connected=316, failures={"HTTP 503": 84}), 1200.0)
    assert short.invalid_because == ("goodput is 0.79 of the capacity: 0.8 is asked",)


def test_messages_count_that_are_confirmed_while_the_storm_lasts() -> None:
    """Those that are confirmed behind it do not."""
    assert overload._messages(MESSAGES, evolve(MOST_MESSAGES, in_time=9_600)).valid
    assert not overload._messages(MESSAGES, evolve(MOST_MESSAGES, messages=13_000, in_time=9_000)).valid


def test_chargers_that_are_there_come_before_those_that_connect() -> None:
    """Connects may not be had at the price of messages, and none of the sessions at that of either."""
    reports = MOST_MESSAGES.rate / 3
    there = evolve(MOST_MESSAGES, in_time=round(reports))
    slow = evolve(STORM, connected=320, begun_seconds=0.25)
    both = overload._both(CONNECTS, slow, 1200.0, MESSAGES, there, reports, lost=0)
    assert both.valid
    assert both.figure("messages confirmed in time") == 1
    slower = evolve(slow, connected=316)
    short = overload._both(CONNECTS, slower, 1200.0, MESSAGES, there, reports, lost=0)
    assert short.invalid_because == ("goodput is 0.79 of the capacity: 0.8 is asked",)
    starved = evolve(there, in_time=round(reports / 2))
    both = overload._both(CONNECTS, STORM, 1200.0, MESSAGES, starved, reports, lost=0)
    assert both.invalid_because == ("goodput is 0.50 of the capacity: 0.8 is asked",)
    lost = overload._both(CONNECTS, slow, 1200.0, MESSAGES, there, reports, lost=2)
    assert lost.invalid_because == ("2 of those that were there were lost",)

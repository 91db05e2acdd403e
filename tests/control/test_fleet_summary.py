"""The summary of the fleet: in virtual time on a real store, and over a real channel."""

from contextlib import aclosing
from datetime import timedelta

import pytest
import trio

from gateway.api.v1 import fleet_pb2 as pb
from gateway.api.v1 import reading_pb2
from gateway.control import fleet_summary
from gateway.control.fleet_summary import REFRESH_SECONDS, FleetSummaries
from gateway.domain.charging_state import ChargingState
from gateway.domain.events import ConnectorStatusChanged
from gateway.domain.fleet_summary import MINUTES, Flapping, PowerSum, Seen, power_of
from gateway.domain.power import PowerSource
from gateway.domain.values import ConnectorAddress
from gateway.errors import StoreUnavailable
from gateway.store.commits import CreateChargePoint
from gateway.store.reads import Reads
from tests.control.fakes import NOW, FakePowers
from tests.control.test_authentication import required
from tests.control.test_scope import ends, label, scoped
from tests.support.new_store import new_store

KW = PowerSum(1000.0, 1)


class Runner:
    """Reads at once, and counts; ``broken``: the store gives no answer."""

    def __init__(self):
        self.count = 0
        self.broken = False

    async def read(self, fn, *args):
        await trio.lowlevel.checkpoint()
        if self.broken:
            raise StoreUnavailable("the disk hangs")
        self.count += 1
        return fn(*args)


class Fleet:
    """Summaries on a store with three charge points, A and B in the north; the clock is Trio's."""

    def __init__(self, path):
        self.store = new_store(path)
        for identity, site in (("A", "north"), ("B", "north"), ("C", "south")):
            self.store.commit([CreateChargePoint(identity, "Accepted", (), NOW, labels={"site": site})])
        self.began = trio.current_time()
        self.powers = FakePowers({identity: Seen(1, KW) for identity in "ABC"})
        self.runner = Runner()
        self.ahead = timedelta()
        self.summaries = FleetSummaries(Reads(self.store, self.runner), self.powers, self.now)

    def now(self):
        return NOW + timedelta(seconds=round(trio.current_time() - self.began, 2)) + self.ahead


@pytest.fixture
async def fleet(tmp_path, autojump_clock, nursery):
    """Its minutes are noted."""
    found = Fleet(tmp_path)
    nursery.start_soon(found.summaries.run)
    yield found
    found.store.close()


def starts(summary):
    return [(each.start - NOW) / timedelta(minutes=1) for each in summary.minutes]


def test_power_is_summed_over_connectors_and_what_is_old_is_said():
    """A reading of six minutes ago counts apart, and only where its connector still charges."""
    now, charging = NOW, ChargingState.CHARGING

    def power(watts, minutes=0):
        return (watts, now - timedelta(minutes=minutes), False, PowerSource.MEASURED)

    found = power_of(
        [
            (charging, power(7000.0, 5)),
            (ChargingState.CONNECTED, power(10.0)),
            (charging, power(3000.0, 6)),
            (ChargingState.AVAILABLE, power(11000.0, 6)),
            (charging, None),
            (ChargingState.AVAILABLE, None),
        ],
        now,
    )
    assert found == PowerSum(7010.0, 2, 3000.0, 1, 1)


async def test_minutes_are_kept_for_a_day(autojump_clock, fleet):
    """Each with the power at its end, from the start of the gateway on; the oldest go."""
    first = await fleet.summaries.get({})
    assert (first.minutes, first.since, first.power) == ((), NOW, PowerSum(3000.0, 3))
    await trio.sleep(150)
    fleet.powers.seen = {}
    await trio.sleep(60)
    found = await fleet.summaries.get({})
    assert starts(found) == [0, 1, 2]
    assert [each.power.watts for each in found.minutes] == [3000.0, 3000.0, 0.0]
    await trio.sleep(MINUTES * 60)
    assert starts(await fleet.summaries.get({}))[:2] == [3, 4]


async def test_many_who_ask_cost_as_much_as_one(autojump_clock, fleet):
    """The store counts once in so many seconds."""
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(fleet.summaries.get, {})
    assert fleet.runner.count == 1
    await trio.sleep(REFRESH_SECONDS)
    await fleet.summaries.get({})
    assert fleet.runner.count == 2


async def test_a_scope_has_its_own_counts_and_a_history_since_it_first_asked(autojump_clock, fleet):
    """The whole fleet's is not for it."""
    await trio.sleep(90)
    found = await fleet.summaries.get({"site": "north"})
    assert (found.counts.total, found.power.watts, found.minutes) == (2, 2000.0, ())
    assert found.since == NOW + timedelta(seconds=90)
    await trio.sleep(60)
    later = await fleet.summaries.get({"site": "north"})
    assert [(each.start - NOW, each.power.watts) for each in later.minutes] == [(timedelta(minutes=1), 2000.0)]
    assert later.since == found.since
    assert len((await fleet.summaries.get({})).minutes) == 2


async def test_scopes_are_bounded_and_the_whole_fleet_is_never_forgotten(autojump_clock, fleet, monkeypatch):
    """The one that asked longest ago begins anew."""
    monkeypatch.setattr(fleet_summary, "MAX_SCOPES", 2)
    await trio.sleep(70)
    for site in ("north", "south", "north", "west"):
        await fleet.summaries.get({"site": site})
    await trio.sleep(60)
    assert [len((await fleet.summaries.get({"site": site})).minutes) for site in ("north", "west")] == [1, 1]
    assert len((await fleet.summaries.get({})).minutes) == 2
    assert (await fleet.summaries.get({"site": "south"})).minutes == ()


async def test_a_clock_that_is_set_back_goes_over_minutes_again(autojump_clock, fleet):
    """The later look at a minute counts, and the minutes stay in order."""
    await trio.sleep(200)
    fleet.ahead = timedelta(minutes=-2)
    fleet.powers.seen = {}
    await trio.sleep(60)
    found = await fleet.summaries.get({})
    assert starts(found) == sorted(set(starts(found)))
    assert found.minutes[-1].power.watts == 0.0


async def test_a_store_that_fails_costs_minutes_of_scopes_and_nothing_else(autojump_clock, fleet):
    """Those who ask are refused meanwhile."""
    await fleet.summaries.get({"site": "north"})
    fleet.runner.broken = True
    await trio.sleep(61)
    with pytest.raises(StoreUnavailable):
        await fleet.summaries.get({})
    fleet.runner.broken = False
    await trio.sleep(60)
    assert [starts(await fleet.summaries.get(scope)) for scope in ({}, {"site": "north"})] == [[0, 1], [1]]


async def test_one_that_connects_again_and_again_flaps(autojump_clock, fleet):
    """By the number of its connection an hour ago; one that was away then counts from when it was seen first."""
    assert (await fleet.summaries.get({})).flapping == ()
    await trio.sleep(61)
    fleet.powers.seen = {"A": Seen(7, KW), "B": Seen(6, KW), "C": Seen(9, KW), "D": Seen(90, KW)}
    found = await fleet.summaries.get({})
    assert found.flapping == (Flapping("C", 8), Flapping("A", 6))
    assert found.flapping_count == 2
    assert (await fleet.summaries.get({"site": "north"})).flapping == (Flapping("A", 6),)
    await trio.sleep(4500)
    assert (await fleet.summaries.get({})).flapping == ()


async def test_a_watch_gives_each_minute_once(autojump_clock, fleet):
    """The first message has all, later ones those that ended since."""
    await trio.sleep(125)
    shown = []
    async with aclosing(fleet.summaries.watch({})) as watched:
        async for summary in watched:
            shown.append(starts(summary))
            if len(shown) == 15:
                break
    assert shown[0] == [0, 1]
    assert [each for each in shown[1:] if each] == [[2]]


async def test_a_watch_that_began_before_the_first_minute_misses_none(autojump_clock, fleet):
    shown = []
    async with aclosing(fleet.summaries.watch({})) as watched:
        async for summary in watched:
            shown += starts(summary)
            if fleet.now() - NOW > timedelta(seconds=130):
                break
    assert shown == [0, 1]


async def test_the_summary_over_the_wire(gateway):
    """Counts of the store, and the power that sessions have."""
    epoch = await gateway.charge_point("CP1")
    await gateway.append("CP1", epoch, ConnectorStatusChanged(ConnectorAddress(1, 1), "Faulted", "GroundFailure"))
    gateway.powers.seen = {"CP1": Seen(1, PowerSum(7400.0, 1, 11.0, 2, 3))}
    gateway.powers.unanswered = (2, 5)
    stream = gateway.client.fleet.WatchFleetSummary(pb.WatchFleetSummaryRequest(), timeout=60)
    watched = await trio.to_thread.run_sync(next, stream)
    stream.cancel()
    found = (await gateway.call(gateway.client.fleet.GetFleetSummary, pb.GetFleetSummaryRequest())).summary
    assert found == watched.summary
    assert found.charge_point_count == 1
    assert [(each.state, each.count) for each in found.charging_state_counts] == [
        (reading_pb2.CHARGING_STATE_FAULTED, 1)
    ]
    assert (found.power.watts, found.power.reading_count) == (7400.0, 1)
    assert (found.power.stale_watts, found.power.stale_count, found.power.missing_count) == (11.0, 2, 3)
    assert list(found.power.unanswered_nodes) == [2, 5]
    [fault] = found.faults
    assert (fault.charge_point, fault.connector.error_code, found.fault_count) == ("CP1", "GroundFailure", 1)


async def test_a_caller_with_a_scope_gets_what_is_in_it(tmp_path):
    """By both ways."""
    async with required(tmp_path) as (gateway, _):
        for identity, site in (("IN", "north"), ("OUT", "south")):
            await gateway.charge_point(identity)
            await label(gateway, identity, site=site)
        gateway.powers.seen = {"IN": Seen(1, KW), "OUT": Seen(1, KW)}
        token = await scoped(gateway)
        rpc, watch = lambda c: c.fleet.GetFleetSummary, lambda c: first(c.fleet.WatchFleetSummary)
        found = await ends(gateway, token, rpc, pb.GetFleetSummaryRequest())
        watched = await ends(gateway, token, watch, pb.WatchFleetSummaryRequest())
        for each in (found, watched):
            assert (each.summary.charge_point_count, each.summary.power.watts) == (1, 1000.0)


def first(stream):
    """Call a watch for its first message."""

    def call(request, timeout):
        began = stream(request, timeout=timeout)
        try:
            return next(began)
        finally:
            began.cancel()

    return call

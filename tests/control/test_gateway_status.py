"""GetGatewayStatus over a real channel: the store and its disk, the open watches, and what is served."""

from datetime import timedelta
from typing import Any

import pytest
import trio
from attrs import evolve

from gateway.api.v1 import diagnostics_pb2 as pb
from gateway.api.v1 import event_pb2
from gateway.control.watchers import Watcher, Watchers
from gateway.domain.callers import Role
from gateway.domain.gateway_status import ServedCertificate
from gateway.store.commits import CreateChargePoint
from tests.control.fakes import NOW
from tests.control.test_authentication import required, serving

SECONDS = 60


async def asked(gateway: Any) -> pb.GatewayStatus:
    response = await gateway.call(gateway.client.diagnostics.GetGatewayStatus, pb.GetGatewayStatusRequest())
    status: pb.GatewayStatus = response.status
    return status


async def test_the_store_is_shown_with_the_disk_under_it(gateway: Any) -> None:
    """As it was last looked at; what is not known of a server is unset."""
    status = await asked(gateway)
    assert status.status_time.seconds > 0
    assert status.store == pb.StoreStatus(
        healthy=True, database_bytes=5_000_000, log_bytes=1_000_000, free_bytes=70_000_000, disk_bytes=100_000_000
    )
    gateway.status.of_store = evolve(gateway.status.of_store, healthy=False, log=None, free=None, disk=None, waiting=7)
    store = (await asked(gateway)).store
    assert (store.healthy, store.waiting_write_count) == (False, 7)
    assert not any(store.HasField(name) for name in ("log_bytes", "free_bytes", "disk_bytes"))


async def test_what_ends_first_comes_first(gateway: Any) -> None:
    gateway.status.served = [
        ServedCertificate("main", "client_authority", NOW + timedelta(days=90)),
        ServedCertificate("control", "ECDSA", NOW + timedelta(days=9)),
    ]
    found = (await asked(gateway)).certificates
    assert [(each.listener, each.kind) for each in found] == [
        ("control", "ECDSA"),
        ("main", "client_authority"),
    ]
    assert found[0].expire_time.ToDatetime(NOW.tzinfo) == NOW + timedelta(days=9)


async def until(gateway: Any, holds: Any) -> pb.GatewayStatus:
    """The first status of which it holds."""
    with trio.fail_after(SECONDS):
        found = await asked(gateway)
        while not holds(found):
            found = await asked(gateway)
    return found


async def test_watches_are_listed_while_they_are_open(gateway: Any) -> None:
    """Also those of which the filter lets nothing through: they are at the head all the same."""
    assert list((await asked(gateway)).watchers) == []
    stub = gateway.client.events
    begin = {"start_at": event_pb2.WATCH_START_NOW}
    events = stub.WatchEvents(event_pb2.WatchEventsRequest(types=["charge_point.booted"], **begin), timeout=SECONDS)
    meters = stub.WatchMeterValues(event_pb2.WatchMeterValuesRequest(labels={"a": "b"}, **begin), timeout=SECONDS)
    for each in (events, meters):
        await trio.to_thread.run_sync(next, each)
    await gateway.journal.commit(CreateChargePoint("CP1", "Accepted", (), NOW))
    found = await until(gateway, lambda status: all(each.events_behind == 0 for each in status.watchers))
    assert sorted(each.method for each in found.watchers) == ["WatchEvents", "WatchMeterValues"]
    assert found.watcher_count == 2
    assert all(each.start_time.seconds > 0 for each in found.watchers)
    events.cancel()
    meters.cancel()
    await until(gateway, lambda status: status.watcher_count == 0)


async def test_a_watch_is_listed_with_its_caller(tmp_path: Any) -> None:
    """For those who may read, and have no scope."""
    async with required(tmp_path) as (gateway, tokens):

        def act() -> pb.GatewayStatus:
            with serving(gateway, tokens[Role.READ]) as client:
                request = event_pb2.WatchEventsRequest(start_at=event_pb2.WATCH_START_NOW)
                watch = client.events.WatchEvents(request, timeout=SECONDS)
                next(watch)
                answer = client.diagnostics.GetGatewayStatus(pb.GetGatewayStatusRequest(), timeout=SECONDS)
                watch.cancel()
                return answer.status

        status = await trio.to_thread.run_sync(act)
        assert [each.caller for each in status.watchers] == [Role.READ.value]


class Place:
    """A watcher's place, as far as its lag is concerned."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.head = 100

    async def next(self) -> Any:
        raise NotImplementedError


def test_the_one_that_is_the_farthest_behind_comes_first() -> None:
    """One that a store of before has put beyond the head is not behind."""
    watchers = Watchers(lambda: NOW)
    near, far, beyond = (Place(position) for position in (99, 3, 104))
    with watchers.entered(Watcher("near", "WatchEvents"), near), watchers.entered(Watcher("far", "WatchEvents"), far):
        with watchers.entered(Watcher("beyond", "WatchEvents"), beyond):
            found = [(each.caller, each.behind) for each in watchers.statuses()]
        assert found == [("far", 97), ("near", 1), ("beyond", 0)]
        assert len(watchers.statuses()) == 2
    assert watchers.statuses() == []


async def test_a_hundred_watches_are_listed_and_all_are_counted(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A status stays readable, and small."""
    monkeypatch.setattr("gateway.control.services.diagnostics.MAX_WATCHERS", 1)
    request = event_pb2.WatchEventsRequest(start_at=event_pb2.WATCH_START_NOW)
    watches = [gateway.client.events.WatchEvents(request, timeout=SECONDS) for _ in range(2)]
    for each in watches:
        await trio.to_thread.run_sync(next, each)
    found = await asked(gateway)
    assert (len(found.watchers), found.watcher_count) == (1, 2)
    for each in watches:
        each.cancel()

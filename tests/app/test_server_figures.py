"""Figures of the database server: a transaction that holds watchers up is seen by its age."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.app.server_figures import ServerFigures
from gateway.errors import StoreUnavailable
from gateway.observability.metrics import Metrics
from gateway.store.reads import Reads
from gateway.store.server_state import ServerState


class OnServer:
    """A store on a server whose state is given; None: it is away."""

    kind = "postgresql"

    def __init__(self) -> None:
        self.state: ServerState | None = ServerState(100, 100, 7)

    def server_state(self) -> ServerState:
        if self.state is None:
            raise StoreUnavailable("away")
        return self.state


class Direct:
    """Reads in this thread."""

    async def read(self, fn: Any, *args: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return fn(*args)


@pytest.fixture
def store() -> OnServer:
    return OnServer()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def figures(store: Any, metrics: Metrics) -> ServerFigures:
    runner: Any = Direct()
    return ServerFigures(Reads(store, runner), metrics)


def shown(metrics: Metrics) -> tuple[float | None, float | None]:
    value = metrics.registry.get_sample_value
    return value("gateway_horizon_age_seconds"), value("gateway_transaction_id_age")


async def test_the_horizon_ages_while_the_oldest_transaction_stays(
    store: OnServer, metrics: Metrics, autojump_clock: MockClock
) -> None:
    """Not while none is running, and not while they come and go."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(figures(store, metrics).run)
        await trio.sleep(10.5)
        assert shown(metrics) == (0, 7)
        store.state = ServerState(101, 105, 8)
        await trio.sleep(10)
        assert shown(metrics) == (9, 8)
        store.state = None
        await trio.sleep(10)
        assert shown(metrics) == (9, 8)
        store.state = ServerState(103, 109, 9)
        await trio.sleep(1)
        assert shown(metrics) == (0, 9)
        nursery.cancel_scope.cancel()


async def test_a_file_has_none(store: OnServer, metrics: Metrics, autojump_clock: MockClock) -> None:
    """And is asked once."""
    store.kind, store.state = "sqlite", None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(figures(store, metrics).run)
        await trio.sleep(100)
        assert shown(metrics) == (0, 0)
        nursery.cancel_scope.cancel()

"""Signals that end a run, reload its files, or cut its drain short."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from gateway.app.drain import Draining, cut_short_by_signal, terms_of
from gateway.app.settings import DrainSettings
from gateway.domain.drain import DrainStage, DrainTerms
from tests.support.harness import Harness


@pytest.fixture
def draining(tmp_path: Path) -> Iterator[Draining]:
    harness = Harness(tmp_path)
    yield Draining(harness.router, terms_of(DrainSettings()))
    harness.store.close()


async def test_a_reload_does_not_end_the_run(draining: Draining) -> None:
    """SIGHUP is taken as often as it comes; SIGTERM ends the wait."""
    sends, received = trio.open_memory_channel[int](10)
    reloads: list[str] = []
    over = trio.Event()

    async def wait() -> None:
        await draining.until_stopped(received, lambda: reloads.append("again"))
        over.set()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            for _ in range(2):
                await sends.send(signal.SIGHUP)
            await wait_all_tasks_blocked()
            assert (reloads, over.is_set()) == (["again", "again"], False)
            await sends.send(signal.SIGTERM)
    assert over.is_set()
    assert len(reloads) == 2


async def test_a_drain_that_is_asked_for_ends_the_wait(draining: Draining) -> None:
    """Without any signal; one that has begun is asked for no more."""
    _sends, received = trio.open_memory_channel[int](10)
    terms = DrainTerms(1.0, 0.0, 5.0)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(draining.until_stopped, received, lambda: None)
            await wait_all_tasks_blocked()
            assert draining.begin(terms)
    assert draining.terms == terms
    draining.enter(DrainStage.COMMANDS)
    assert draining.progress.stage is DrainStage.COMMANDS
    assert 0 < draining.progress.left <= 5.0
    assert not draining.begin(terms)


async def test_a_reload_does_not_cut_a_drain_short(draining: Draining) -> None:
    """A second SIGTERM does."""
    sends, received = trio.open_memory_channel[int](10)
    with trio.fail_after(60), trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cut_short_by_signal, received, scope)
            await sends.send(signal.SIGHUP)
            await wait_all_tasks_blocked()
            assert not scope.cancel_called
            await sends.send(signal.SIGTERM)
            await trio.sleep_forever()
    assert scope.cancelled_caught

"""The store's opening and its closing: neither a start nor an end of the process hangs on a disk in trouble."""

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog
import trio

from gateway.app.settings import Settings
from gateway.app.stores import ServedStore, new_store
from gateway.domain.values import Clock
from gateway.errors import StoreMisplaced, StoreUnavailable

log = structlog.get_logger()

CLOSE_SECONDS = 5.0
"""For closing the store, once all is over: a disk that hangs must not keep the process from ending."""

DOOR_SECONDS = 3.0
"""While a store takes longer than this to open, chargers are answered when to come back; a sound one takes
two seconds at most, but for the first start of a new version."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between attempts to open a store whose disk is in trouble."""


@contextmanager
def opened(settings: Settings, clock: Clock) -> Iterator[ServedStore]:
    """The store, to be opened by the run, closed at the end."""
    store = new_store(settings, clock, opened=False)
    try:
        yield store
    finally:
        close(store)


def close(store: ServedStore, seconds: float = CLOSE_SECONDS) -> bool:
    """Close the store, whose last commit may hang on its disk; False if that takes too long, and is left behind."""
    closing = threading.Thread(target=store.close, name="store-close", daemon=True)
    closing.start()
    closing.join(seconds)
    if closing.is_alive():
        log.warning("store not closed in time; the next start opens it as after a crash", seconds=seconds)
    return not closing.is_alive()


async def open_store(
    store: ServedStore,
    clock: Clock,
    clock_is_trusted: Callable[[], Awaitable[object]],
    open_endpoints: Callable[[], Awaitable[None]],
) -> None:
    """Open the store and settle what the last run left open, however long the disk takes. While it is in trouble
    the listeners are open, so that chargers are answered when to come back and operators see what is wrong.

    Raises ``StoreMisplaced``, and what opening an endpoint raises.
    """
    opened = trio.Event()

    async def late() -> None:
        with trio.move_on_after(DOOR_SECONDS):
            await opened.wait()
            return
        log.warning("the store is not open yet", seconds=DOOR_SECONDS)
        await open_endpoints()

    pause = FIRST_PAUSE
    async with trio.open_nursery() as waiting:
        waiting.start_soon(late)
        while not await _is_opened(store, clock, clock_is_trusted, pause):
            await open_endpoints()
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        opened.set()


async def _is_opened(
    store: ServedStore, clock: Clock, clock_is_trusted: Callable[[], Awaitable[object]], pause: float
) -> bool:
    """Try once; False where the disk is in trouble. A thread that hangs on it is left behind when all is over."""
    try:
        await trio.to_thread.run_sync(store.open, abandon_on_cancel=True)
        await clock_is_trusted()  # before anything is recorded, which would bear the time of a wrong clock
        settled = await trio.to_thread.run_sync(store.settle, clock(), abandon_on_cancel=True)
    except StoreMisplaced as error:
        key = "store.path" if store.kind == "sqlite" else "store.url"
        raise StoreMisplaced(f"{key}: {error}") from error
    except StoreUnavailable as error:
        log.error("store unavailable at start", error=str(error), next_try_seconds=pause)
        return False
    if settled:
        log.info("settled what the last run left open", charge_points=settled)
    return True

"""Tracking of a call's changes on their way to disk: the answer that its caller may get turns on that alone.

A call that is given up (deadline, stop, bug) before anything was handed over has changed nothing and will not; after
that its outcome is not known, unless the disk has answered.
"""

import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from contextvars import ContextVar
from typing import TypeVar, TypeVarTuple

from gateway.control.ports import Journal
from gateway.errors import CommitUnknown, GatewayError, StoreUnavailable
from gateway.store.commits import Appended, Done, Write, WriteResult

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Withdrawn(GatewayError):
    """The call was given up before it came to change anything, and must not change anything now."""


class CommitTracker:
    """One call that changes something. ``withdraw`` is asyncio's, all else Trio's; the lock is between the two."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = False
        self._withdrawn = False

    async def run(self, fn: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
        """``fn(*args)``, whose changes by a ``ChangingJournal`` and by ``changing`` are this call's."""
        _present.set(self)
        return await fn(*args)

    async def stream(self, fn: Callable[[*Ts], AsyncGenerator[T, None]], *args: *Ts) -> AsyncGenerator[T, None]:
        """The same for a generator."""
        _present.set(self)
        async with aclosing(fn(*args)) as items:
            async for item in items:
                yield item

    def begin(self) -> None:
        """Something is about to be changed. Raises ``Withdrawn`` if it must not be any more."""
        with self._lock:
            if self._withdrawn:
                raise Withdrawn("the call was given up before anything was changed")
            self._begun = True

    def nothing_changed(self) -> None:
        """True if what was begun has changed nothing and never will."""
        with self._lock:
            self._begun = False

    def withdraw(self) -> bool:
        """Give up. True: nothing was changed, and nothing will be."""
        with self._lock:
            self._withdrawn = not self._begun
            return self._withdrawn


_present: ContextVar[CommitTracker | None] = ContextVar("handover", default=None)
"""Of the call that this task runs for."""


def changing() -> None:
    """The present call changes something now that is no commit. Raises ``Withdrawn``."""
    handover = _present.get()
    if handover is not None:
        handover.begin()


def nothing_changed() -> None:
    """Note that what ``changing`` announced was nothing to do."""
    handover = _present.get()
    if handover is not None:
        handover.nothing_changed()


class ChangingJournal:
    """The journal for calls that change something. Outside of one it is the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def commit(self, write: Write) -> WriteResult:
        """As the journal's. Raises ``Withdrawn`` and commits nothing if the call was given up."""
        handover = _present.get()
        if handover is None:
            return await self._journal.commit(write)
        handover.begin()
        try:
            result = await self._journal.commit(write)
        except CommitUnknown:
            raise
        except StoreUnavailable:
            handover.nothing_changed()
            raise
        if not isinstance(result, Appended | Done):
            handover.nothing_changed()
        return result

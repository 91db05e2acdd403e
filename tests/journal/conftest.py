"""A journal over a fake store. Tests name `autojump_clock` themselves: pytest-trio looks at their own arguments."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from gateway.journal import Journal
from tests.journal.fakes import FakeStore, Inline


@asynccontextmanager
async def running(journal: Journal) -> AsyncIterator[Journal]:
    """The journal with its writer, drained at the end."""
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        yield journal
        await journal.aclose()


@pytest.fixture
def store():
    return FakeStore()


@pytest.fixture
def disk():
    return Inline()


@pytest.fixture
async def journal(store, disk):
    async with running(Journal(store, run_sync=disk)) as journal:
        yield journal

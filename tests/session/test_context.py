"""The centre of a session: commits and the state they make."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.domain.commands import ConfigurationKey
from gateway.domain.events import ChargePointConnected, ConfigurationReported, NewEvent
from gateway.domain.quirks import QuirkBook
from gateway.session.context import SessionContext, SessionOver
from gateway.session.limits import SessionLimits
from gateway.session.ports import NO_FRAMES, NoObserver
from gateway.store.commits import Opened, OpenSession, RecordLastHeard
from tests.support.harness import Harness, virtual_clock
from tests.support.wire import FakeTransport


class Uneven:
    """Commits in order, and tells of it out of order: the first commit's answer comes last."""

    def __init__(self, harness: Harness) -> None:
        self._journal = harness.journal
        self._delay = 10.0

    async def commit(self, write: Any, applied: Any = None, *, shielded: bool = False) -> Any:
        result = await self._journal.commit(write, applied, shielded=shielded)
        delay, self._delay = self._delay, self._delay - 5
        await trio.sleep(delay)
        return result

    async def read(self, fn: Any, *args: Any) -> Any:
        return fn(*args)


def core_of(harness: Harness, journal: Any) -> SessionContext:
    connected = ChargePointConnected("127.0.0.1:1", "ocpp1.6", 2, "TLSv1.3")
    opened = harness.store.commit([OpenSession("CP1", connected, virtual_clock())])[0]
    assert isinstance(opened, Opened)
    return SessionContext(
        state=opened.state,
        transport=FakeTransport(),
        protocol=harness.protocol,
        journal=journal,
        reads=harness.reads,
        clock=virtual_clock,
        limits=SessionLimits(),
        quirks=QuirkBook(),
        observer=NoObserver(),
        frames=NO_FRAMES,
    )


async def test_events_are_applied_in_the_order_of_their_commits(harness: Harness, autojump_clock: MockClock) -> None:
    """The reader and commands commit side by side; what memory holds is what the store holds."""
    harness.add_charge_point()
    core = core_of(harness, Uneven(harness))

    async def report(value: str) -> None:
        keys = (ConfigurationKey("A", False, value),)
        await core.commit((NewEvent(ConfigurationReported(keys, ()), virtual_clock()),))

    async with trio.open_nursery() as nursery:
        for value in ("1", "2", "3"):
            nursery.start_soon(report, value)
            await trio.sleep(0.1)
    assert core.state.configuration == {"A": "3"}


async def test_a_commit_that_is_given_up_holds_no_other_up(harness: Harness, autojump_clock: MockClock) -> None:
    """Its session is ending; what is shielded from that goes on."""
    harness.add_charge_point()
    core = core_of(harness, Uneven(harness))
    event = NewEvent(ConfigurationReported((ConfigurationKey("A", False, "1"),), ()), virtual_clock())

    async def give_up() -> None:
        with trio.move_on_after(1):
            await core.commit((event,))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give_up)
        await trio.sleep(0.1)
        await core.commit((event,))
    assert trio.current_time() < 10


@pytest.mark.parametrize("step", ["commit", "submit", "write", "read"])
async def test_a_store_that_can_not_ends_the_session_by_that_name(
    harness: Harness, autojump_clock: MockClock, step: str
) -> None:
    """Whichever way the session asks it: the caller stops there, and it is no bug."""
    harness.add_charge_point()
    core = core_of(harness, harness.journal)
    event = NewEvent(ConfigurationReported((ConfigurationKey("A", False, "1"),), ()), virtual_clock())
    harness.journal.failing = True

    async def ask() -> None:
        match step:
            case "commit":
                await core.commit((event,))
            case "submit":
                core.submit((event,), lambda *_: None)
            case "write":
                await core.write(RecordLastHeard(()))
            case "read":
                await core.read(harness.reads.charge_point("CP1"))

    with pytest.raises(SessionOver, match="store-unavailable"):
        await ask()
    assert core.ending is not None
    assert (core.ending.reason, core.ending.code, core.ending.initiator) == ("store-unavailable", 1011, "local")

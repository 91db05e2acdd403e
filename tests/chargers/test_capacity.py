"""The number of places for chargers, and the charger that gets the last of them."""

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
from trio.testing import MockClock

from gateway.chargers.admission import Principal
from gateway.chargers.capacity import (
    MOST_DESCRIPTORS,
    RESERVE,
    Capacity,
    Descriptors,
    file_limit,
    raise_file_limit,
    room_for,
)
from gateway.chargers.connections import ChargerConnections
from gateway.errors import SettingsError
from gateway.observability.frame_log import FrameLog
from gateway.session.keepalive import TimerQueue
from gateway.session.ports import NoObserver
from tests.support.harness import Harness, virtual_clock
from tests.support.wire import FakeTransport


@pytest.fixture
def _same_limit_afterwards() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.usefixtures("_same_limit_afterwards")
def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    """Distributions start processes with 1024; that is no capacity for a gateway."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    raise_file_limit()
    assert file_limit() == min(hard, MOST_DESCRIPTORS)


def test_a_limit_that_cannot_be_raised_stays_and_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, whose hard limit is not the real one."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))

    def refuse(_: int, __: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    with structlog.testing.capture_logs() as logs:
        raise_file_limit()
    assert [line["event"] for line in logs] == ["the limit of open files can't be raised"]
    assert file_limit() == 256


@pytest.mark.parametrize("descriptors", [1024, 4096, 20_000, MOST_DESCRIPTORS])
def test_all_that_may_be_open_at_once_fits_into_the_limit(descriptors: Any) -> None:
    """Sessions, those being replaced, handshakes, and the reserve."""
    room = room_for(descriptors, 200, None)
    assert room.sessions > 0
    assert room.sessions + room.replaced + 200 + RESERVE <= descriptors
    assert room.sessions + room.replaced + 200 + RESERVE > 0.98 * descriptors - 2


def test_what_the_settings_turn_on_takes_its_descriptors_from_sessions() -> None:
    """And from the connections that may wait; the refusal names all that is kept."""
    room = room_for(20_000, 200, None, 256)
    assert room.sessions + room.replaced + 200 + RESERVE + 256 <= 20_000
    assert Capacity(room_for(2000, 200, 10, 256)).may_wait == Capacity(room_for(2000, 200, 10)).may_wait - 256
    with pytest.raises(SettingsError, match=r"970 is the least to serve a charger with: 768 are kept"):
        room_for(969, 200, None, 256)


def test_a_common_limit_holds_eighteen_thousand_chargers() -> None:
    """20,000 open files."""
    assert room_for(20_000, 200, None).sessions > 18_000


def test_the_operator_may_set_less_but_not_more() -> None:
    """A promise that the system can't keep is refused at the start, by name and with the way out."""
    assert room_for(20_000, 200, 1000) == Descriptors(20_000, 1000, 50, 200)
    assert room_for(20_000, 200, 3) == Descriptors(20_000, 3, 16, 200)
    assert room_for(720, 200, 3) == Descriptors(720, 3, 5, 200)
    with pytest.raises(SettingsError, match=r"sessions\.max_sessions: 20000 .*ulimit"):
        room_for(20_000, 200, 20_000)


def test_too_few_descriptors_for_one_charger_are_refused_at_the_start() -> None:
    """With what would be enough."""
    with pytest.raises(SettingsError, match=r"limit of open files is 256, and 714 is the least") as refused:
        room_for(256, 200, None)
    least = 714
    assert str(least) in str(refused.value)
    assert room_for(least, 200, None).sessions == 1
    with pytest.raises(SettingsError):
        room_for(least - 1, 200, None)


def test_places_are_given_once_and_given_back() -> None:
    """Newcomers up to the mark; those that replace a session of their own somewhat beyond."""
    capacity = Capacity(Descriptors(1000, 2, 1))
    assert capacity.take(replaces=False)
    assert capacity.take(replaces=False)
    assert not capacity.take(replaces=False)
    assert capacity.taken == 2
    assert capacity.take(replaces=True)
    assert not capacity.take(replaces=True)
    capacity.give_back()
    assert capacity.has_place(replaces=True)
    assert not capacity.has_place(replaces=False)
    capacity.give_back()
    capacity.give_back()
    assert capacity.taken == 0


class Faulty(FakeTransport):
    """A transport with a bug that ends the session after a second."""

    async def receive(self) -> bytes:
        await trio.sleep(1)
        raise RuntimeError("a bug")


async def test_who_finds_no_place_after_admission_is_closed_with_try_again_later(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """However many are admitted at the same moment, no more are served than there are places; an end, also a failure,
    gives its place back."""
    harness = Harness(tmp_path)
    capacity = Capacity(Descriptors(1000, 3, 1))
    chargers = ChargerConnections(
        router=harness.router,
        capacity=capacity,
        journal=harness.journal,
        reads=harness.reads,
        lookups=harness.lookups,
        protocols={"ocpp1.6": harness.protocol},
        clock=virtual_clock,
        limits=harness.limits,
        observer=NoObserver(),
        recorder=FrameLog(virtual_clock, 20),
        timers=TimerQueue(),
        boot_configuration=(),
    )
    for number in range(10):
        harness.add_charge_point(f"CP{number}")
    transports = [Faulty() for _ in range(10)]
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(chargers, transports[number], Principal(f"CP{number}", "ocpp1.6", 2))
        await trio.sleep(0.5)
        assert len(harness.router) == capacity.taken == 3
    closed = [each.closed_with for each in transports]
    assert closed.count((1013, "at capacity")) == 7
    assert closed.count((1011, "internal-error")) == 3
    assert capacity.taken == 0
    harness.store.close()

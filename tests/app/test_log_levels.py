"""The log's levels at run time: at once for loggers that exist, for one charge point, and over in their time."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.app import log_levels
from gateway.app.log_levels import MAX_OVERRIDES, FilteredLogger, LogLevels, apply
from gateway.domain.diagnostics import FrameKind
from gateway.domain.log_levels import LogLevel
from gateway.observability.frame_log import FrameLog
from gateway.observability.tap import MAX_TAPS
from tests.observability.test_frame_log import KEY, PEER
from tests.support.harness import virtual_clock


class Lines(list[str]):
    """The lines of the log."""

    def msg(self, line: str) -> None:
        self.append(line)

    debug = info = warning = error = exception = msg

    @property
    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """A log with the product's filter, and loggers that keep what they were made with."""
    before, found = structlog.get_config(), Lines()
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        wrapper_class=FilteredLogger,
        logger_factory=lambda *_: found,
        cache_logger_on_first_use=True,
    )
    monkeypatch.setattr(log_levels, "log", structlog.get_logger())
    yield found
    structlog.configure(**before)
    apply(log_levels.NUMBERS[LogLevel.INFO])


@pytest.fixture
def frames() -> FrameLog:
    return FrameLog(virtual_clock, 20)


@asynccontextmanager
async def running(frames: FrameLog, level: LogLevel = LogLevel.INFO) -> AsyncIterator[LogLevels]:
    levels = LogLevels(level, virtual_clock, frames.tapped)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(levels.run)
        await wait_all_tasks_blocked()
        yield levels
        nursery.cancel_scope.cancel()


async def test_the_level_of_the_process_counts_at_once_and_ends_in_its_time(
    lines: Lines, frames: FrameLog, autojump_clock: MockClock
) -> None:
    """For a logger that has written before, too."""
    log = structlog.get_logger()
    async with running(frames) as levels:
        log.debug("one")
        log.info("two")
        assert levels.set("", LogLevel.DEBUG, 60)
        log.debug("three")
        assert levels.set("", LogLevel.ERROR, 60)
        log.warning("four")
        log.error("five")
        await trio.sleep(59)
        log.warning("six")
        await trio.sleep(2)
        log.info("seven")
        log.debug("eight")
    assert lines.events == ["two", "three", "five", "log level is over", "seven"]


async def test_the_level_of_a_charge_point_is_for_lines_that_name_it(
    lines: Lines, frames: FrameLog, autojump_clock: MockClock
) -> None:
    """More of them, or fewer; those of others stay."""
    log = structlog.get_logger()
    async with running(frames) as levels:
        levels.set("CP1", LogLevel.DEBUG, 60)
        levels.set("CP2", LogLevel.ERROR, 60)
        assert [(each.charge_point, each.level) for each in levels.overrides] == [
            ("CP1", LogLevel.DEBUG),
            ("CP2", LogLevel.ERROR),
        ]
        for charge_point in ("CP1", "CP2", "CP3"):
            log.debug(f"debug {charge_point}", charge_point=charge_point)
            log.info(f"info {charge_point}", charge_point=charge_point)
            log.error(f"error {charge_point}", charge_point=charge_point)
        log.debug("debug of none")
        levels.set("CP1", None, 0)
        log.debug("debug again", charge_point="CP1")
        await trio.sleep(61)
        log.info("info again", charge_point="CP2")
        assert levels.overrides == ()
    assert lines.events == [
        "debug CP1",
        "info CP1",
        "error CP1",
        "error CP2",
        "info CP3",
        "error CP3",
        "log level is over",
        "info again",
    ]


async def test_frames_of_a_charge_point_at_debug_are_lines_without_secrets(
    lines: Lines, frames: FrameLog, autojump_clock: MockClock
) -> None:
    """By a tap, which is closed when the level ends."""
    ring = frames.opened("CP1", PEER)
    assert ring is not None
    async with running(frames) as levels:
        levels.set("CP1", LogLevel.DEBUG, 60)
        await wait_all_tasks_blocked()
        ring.add(FrameKind.RECEIVED, b'[2,"1","Heartbeat",{}]')
        change = [2, "2", "ChangeConfiguration", {"key": "AuthorizationKey", "value": KEY}]
        ring.add_command(json.dumps(change).encode())
        await wait_all_tasks_blocked()
        assert frames.taps == 1
        levels.set("CP1", LogLevel.INFO, 60)
        await wait_all_tasks_blocked()
        assert frames.taps == 0
        ring.add(FrameKind.RECEIVED, b'[2,"3","Heartbeat",{}]')
        levels.set("CP1", LogLevel.DEBUG, 60)
        await trio.sleep(61)
        assert frames.taps == 0
    found = [json.loads(line) for line in lines if "frame" in line]
    assert [(each["kind"], each["charge_point"]) for each in found] == [("received", "CP1"), ("sent", "CP1")]
    assert KEY not in "".join(lines)


async def test_without_room_for_a_tap_the_level_holds_all_the_same(
    lines: Lines, frames: FrameLog, autojump_clock: MockClock
) -> None:
    """And the log says why there are no frames."""
    frames._taps["other"] = (object(),) * MAX_TAPS  # type: ignore[assignment]
    async with running(frames) as levels:
        levels.set("CP1", LogLevel.DEBUG, 60)
        await wait_all_tasks_blocked()
        structlog.get_logger().debug("line", charge_point="CP1")
    assert lines.events == ["frames are not logged: too many taps are open", "line"]


async def test_so_many_charge_points_have_a_level_of_their_own_at_most(
    lines: Lines, frames: FrameLog, autojump_clock: MockClock
) -> None:
    """One that has one may have another; the process needs no place."""
    async with running(frames) as levels:
        for number in range(MAX_OVERRIDES):
            assert levels.set(f"CP{number}", LogLevel.INFO, 60)
        assert not levels.set("one more", LogLevel.INFO, 60)
        assert levels.set("CP0", LogLevel.ERROR, 60)
        assert levels.set("", LogLevel.ERROR, 60)
        assert levels.overrides[0].charge_point == ""


async def test_what_a_slow_log_misses_is_said(lines: Lines, frames: FrameLog, autojump_clock: MockClock) -> None:
    """As a tap says it."""
    ring = frames.opened("CP1", PEER)
    assert ring is not None
    async with running(frames) as levels:
        levels.set("CP1", LogLevel.DEBUG, 60)
        await wait_all_tasks_blocked()
        for _ in range(1_005):
            ring.add(FrameKind.RECEIVED, b"x")
        await wait_all_tasks_blocked()
    assert any(each == "frames are missing" for each in lines.events)

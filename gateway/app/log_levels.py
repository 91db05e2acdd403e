"""The log's levels at run time: of the process and of single charge points, each for a stated time.

The filter is one class whose methods are replaced: loggers that exist keep to it at once, and a line below the level
costs what it always does, a call that returns. Lines of a charge point are those that name it. At ``debug`` its frames
are lines, too, by way of a tap, without secrets; nothing is asked for them while no charge point has that level.
"""

import logging
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
import trio
from attrs import frozen

from gateway.domain.log_levels import LogLevel, LogOverride
from gateway.domain.values import Clock
from gateway.observability.tap import Tap

log = structlog.get_logger()

MAX_OVERRIDES: Final = 16
"""Charge points with a level of their own: twice as many as there are taps for their frames. Each line is held against
them while there is one."""

MAX_FRAME_CHARACTERS: Final = 4_096
"""Of a frame in a line of the log; the rest is cut, as in ``gateway frames``."""

METHODS: Final = ("debug", "info", "warning", "warn", "error", "exception", "critical", "fatal", "msg", "log")
"""Those of a logger that the level decides about, and their kin."""

NUMBERS: Final = {each: getattr(logging, each.name) for each in LogLevel}
_OF_METHOD: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "exception": logging.ERROR,
}


class FilteredLogger(structlog.BoundLoggerBase):
    """The loggers of the process; ``apply`` gives it its methods."""


def apply(level: int, own: dict[str, int] | None = None) -> None:
    """Let lines through from ``level`` on, and those that name a charge point of ``own`` from its level on."""
    plain = structlog.make_filtering_bound_logger(level)
    for name in METHODS:
        if hasattr(plain, name):
            setattr(FilteredLogger, name, getattr(plain, name))
    if own:
        whole = structlog.make_filtering_bound_logger(logging.DEBUG)
        for name, number in _OF_METHOD.items():
            setattr(FilteredLogger, name, _selective(getattr(plain, name), getattr(whole, name), number, own))


def _selective(plain: Any, whole: Any, number: int, own: dict[str, int]) -> Callable[..., Any]:
    def method(self: Any, event: str | None = None, *args: Any, **kw: Any) -> Any:
        level = own.get(kw.get("charge_point", ""))
        if level is None:
            return plain(self, event, *args, **kw)
        return whole(self, event, *args, **kw) if number >= level else None

    return method


@frozen
class _Held:
    """An override: of a charge point, or of the process (empty). ``until`` in Trio's time."""

    level: LogLevel
    until: float
    ends_at: datetime


class LogLevels:
    """``gateway.control.ports.LogLevels``. Belongs to the Trio loop. ``level``: that of the settings."""

    def __init__(
        self, level: LogLevel, clock: Clock, tapped: Callable[[str], AbstractContextManager[Tap | None]]
    ) -> None:
        self.settings_level = level
        self._clock = clock
        self._tapped = tapped
        self._held: dict[str, _Held] = {}
        self._frames: dict[str, trio.CancelScope] = {}
        self._changed = trio.Event()
        apply(NUMBERS[level])

    @property
    def overrides(self) -> tuple[LogOverride, ...]:
        """Those that hold, the process's first."""
        return tuple(
            LogOverride(charge_point, each.level, each.ends_at) for charge_point, each in sorted(self._held.items())
        )

    def set(self, charge_point: str, level: LogLevel | None, seconds: float) -> bool:
        """Hold a level for so long, of a charge point or of the process (empty). None: the settings' again. False: too
        many charge points have one."""
        if level is None:
            self._held.pop(charge_point, None)
        else:
            if charge_point and charge_point not in self._held and len(self._held.keys() - {""}) >= MAX_OVERRIDES:
                return False
            ends_at = self._clock() + timedelta(seconds=seconds)
            self._held[charge_point] = _Held(level, trio.current_time() + seconds, ends_at)
        self._apply()
        return True

    def _apply(self) -> None:
        process = self._held.get("")
        own = {name: NUMBERS[each.level] for name, each in self._held.items() if name}
        apply(NUMBERS[self.settings_level if process is None else process.level], own)
        self._changed.set()

    async def run(self) -> None:
        """End levels in their time, and write frames of charge points at ``debug``, until cancelled; then the settings'
        level is back."""
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    self._changed = trio.Event()
                    self._follow(nursery)
                    with trio.move_on_at(min((each.until for each in self._held.values()), default=math.inf)):
                        await self._changed.wait()
                    self._end_due()
        finally:
            self._held.clear()
            self._frames.clear()
            apply(NUMBERS[self.settings_level])

    def _end_due(self) -> None:
        now = trio.current_time()
        due = [name for name, each in self._held.items() if each.until <= now]
        for name in due:
            del self._held[name]
        if due:
            self._apply()
        for name in due:
            log.info("log level is over", **({"charge_point": name} if name else {}))

    def _follow(self, nursery: trio.Nursery) -> None:
        """Begin and end the writing of frames."""
        wanted = {name for name, each in self._held.items() if name and each.level is LogLevel.DEBUG}
        for name in self._frames.keys() - wanted:
            self._frames.pop(name).cancel()
        for name in wanted - self._frames.keys():
            self._frames[name] = scope = trio.CancelScope()
            nursery.start_soon(self._write_frames, name, scope)

    async def _write_frames(self, charge_point: str, scope: trio.CancelScope) -> None:
        with scope, self._tapped(charge_point) as tap:
            if tap is None:
                log.warning("frames are not logged: too many taps are open", charge_point=charge_point)
                return
            while True:
                batch = await tap.next()
                for each in batch.frames:
                    text = each.text[:MAX_FRAME_CHARACTERS]
                    log.debug("frame", charge_point=charge_point, kind=each.kind.value, text=text, bytes=each.size)
                if batch.missing:
                    log.debug("frames are missing", charge_point=charge_point, missing=batch.missing)

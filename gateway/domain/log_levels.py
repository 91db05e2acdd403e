"""Levels of the log, as they are set at run time."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from attrs import frozen

MIN_SECONDS: Final = 1
MAX_SECONDS: Final = 86_400
"""For which a level may hold: a log that is forgotten at debug fills a disk."""


class LogLevel(StrEnum):
    """From which on lines are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@frozen
class LogOverride:
    """A level that holds for a while: of a charge point, or of the process (empty)."""

    charge_point: str
    level: LogLevel
    ends_at: datetime

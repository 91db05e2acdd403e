"""The drain of a gateway: how it is to go, and how far it has got."""

from enum import StrEnum
from typing import Final

from attrs import frozen

MAX_RATE: Final = 100_000.0
"""Sessions closed a second; more than any process can."""

MAX_DEADLINE_SECONDS: Final = 3_600.0


@frozen
class DrainTerms:
    """Terms of a drain. ``jitter``: by how much of the time between two closes each comes later at most, 0 to 1.
    ``deadline_seconds``: for all of it; then the rest is cut off."""

    closes_per_second: float
    jitter: float
    deadline_seconds: float


class DrainStage(StrEnum):
    """Stages of a drain, in order."""

    SERVING = "serving"
    """None was asked for."""
    COMMANDS = "commands"
    """Commands under way have their outcomes waited for; no charger is let in."""
    SESSIONS = "sessions"
    """Sessions are closed, idle ones first."""
    ENDING = "ending"
    """All sessions are over, or the time is; the control interface and the journal follow."""


@frozen
class DrainProgress:
    """The course of a drain. ``sessions``: at its beginning; ``idle`` and ``charging``: those that are left. ``left``:
    seconds until the deadline."""

    stage: DrainStage = DrainStage.SERVING
    sessions: int = 0
    idle: int = 0
    charging: int = 0
    left: float = 0.0

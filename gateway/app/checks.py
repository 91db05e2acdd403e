"""Findings of `gateway doctor`."""

from enum import StrEnum

from attrs import frozen


class Level(StrEnum):
    """Seriousness of a finding."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@frozen
class Check:
    """One thing that was looked at."""

    name: str
    level: Level
    text: str

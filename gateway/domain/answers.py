"""Answers of a charger to commands: its confirmations, and its errors."""

from datetime import datetime
from typing import Any, TypeAlias

from attrs import frozen

from gateway.domain.charging import ChargingSchedule
from gateway.domain.security_commands import InstalledCertificatesAnswer, LogAnswer
from gateway.domain.values import ConnectorAddress


@frozen
class StatusAnswer:
    """A confirmation that is a status: Accepted, Rejected, RebootRequired, Scheduled ... as the charger said."""

    status: str


@frozen
class EmptyAnswer:
    """A confirmation without fields (UpdateFirmware)."""


@frozen
class DataTransferAnswer:
    status: str
    data: str | None = None


@frozen
class CompositeScheduleAnswer:
    """``schedule`` may be missing, with Rejected and even with Accepted (B9.14)."""

    status: str
    connector: ConnectorAddress | None = None
    schedule_start: datetime | None = None
    schedule: ChargingSchedule | None = None


@frozen
class ConfigurationKey:
    """A key as the charger reported it; the value of a secret key is ``(redacted)``."""

    key: str
    readonly: bool
    value: str | None = None


@frozen
class ConfigurationAnswer:
    keys: tuple[ConfigurationKey, ...] = ()
    unknown_keys: tuple[str, ...] = ()


@frozen
class DiagnosticsAnswer:
    """No ``file_name``: the charger has nothing to upload (S §5.9)."""

    file_name: str | None = None


@frozen
class LocalListVersionAnswer:
    """0: the list is empty; -1: the charger does not support lists (S §5.10)."""

    list_version: int


Answer: TypeAlias = (
    StatusAnswer
    | EmptyAnswer
    | DataTransferAnswer
    | CompositeScheduleAnswer
    | ConfigurationAnswer
    | DiagnosticsAnswer
    | LocalListVersionAnswer
    | InstalledCertificatesAnswer
    | LogAnswer
)


INVALID_CONFIRMATION = "InvalidConfirmation"
"""The gateway's own code for a confirmation that can't be read: the charger believes that it has confirmed."""


@frozen
class ChargerError:
    """The charger answered CALLERROR, or a confirmation that can't be read (code ``INVALID_CONFIRMATION``).

    ``description`` at most 255 characters, ``details`` at most 1,000 characters of JSON: longer ones are cut.
    """

    code: str
    description: str = ""
    details: str = "{}"


def verdict(answer: Any) -> tuple[bool | None, str]:
    """Return whether a charger's answer is that it will carry the command out, and the answer in its words. None: it
    can't be read, so the charger may (B9.19)."""
    if isinstance(answer, ChargerError):
        return (None if answer.code == INVALID_CONFIRMATION else False), answer.code
    if isinstance(answer, EmptyAnswer):
        return True, ""  # UpdateFirmware's confirmation says nothing else
    said = getattr(answer, "status", "")
    return said in ("Accepted", "AcceptedCanceled"), said

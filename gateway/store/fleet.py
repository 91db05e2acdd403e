"""Fleet jobs in the store: the writes that it takes of them, and its reads."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from attrs import field, frozen

from gateway.domain.codec import decode_value, encode_value
from gateway.domain.fleet import FleetEnd, FleetItem, FleetJob, FleetProgress
from gateway.domain.labels import Labels
from gateway.domain.security_commands import SignedUpdateFirmware


@frozen
class CreateFleetJob:
    """A job, and an item for each of the charge points. Answers ``Done``; ``Exists`` where its request id is used;
    ``GuardFailed`` where as many run as may. The oldest ones that have ended go, beyond ``fleet.MAX_JOBS``."""

    job: FleetJob
    charge_points: tuple[str, ...] = field(repr=False)


@frozen
class RecordFleetItems:
    """Note the state of items of a job. One that has an outcome keeps it. Answers ``Done``."""

    job_id: str
    items: tuple[FleetItem, ...]


@frozen
class CancelFleetJob:
    """Nothing more of it is begun; one that has ended stays as it is. Answers ``Done`` or ``Missing``."""

    job_id: str
    at: datetime
    caller: str = ""


@frozen
class EndFleetJob:
    """Answers ``Done``."""

    job_id: str
    end: FleetEnd
    at: datetime


def to_firmware(firmware: SignedUpdateFirmware | None) -> str:
    """A job's firmware as it is stored."""
    return "" if firmware is None else encode_value(firmware).decode()


def from_firmware(text: str) -> SignedUpdateFirmware | None:
    """A stored job's firmware."""
    return decode_value(text.encode(), SignedUpdateFirmware) if text else None


FleetWrite: TypeAlias = CreateFleetJob | RecordFleetItems | CancelFleetJob | EndFleetJob


class FleetReads(Protocol):
    """The reads of fleet jobs, as of ``Store``."""

    def fleet_job(self, job_id: str) -> FleetJob | None: ...

    def fleet_job_by_request(self, request_id: str) -> FleetJob | None: ...

    def fleet_job_cancelled(self, job_id: str) -> bool:
        """Return true if it was cancelled; cheaper than to read it."""
        ...

    def fleet_jobs(self, running: bool) -> list[FleetJob]:
        """All of them, or those that run; newest first. There are few."""
        ...

    def fleet_items(self, job_id: str, outcome: str, after: str, limit: int) -> list[FleetItem]:
        """By identity; those with the outcome, or in the state WAITING or UNDER_WAY, if one is given."""
        ...

    def open_fleet_items(self, job_id: str) -> list[FleetItem]:
        """All that have not ended, by identity."""
        ...

    def fleet_progress(self, job_id: str, identities: Sequence[str]) -> list[FleetProgress]:
        """The operations that the job has begun at these charge points, in any order."""
        ...

    def selected(self, labels: Labels, identities: Sequence[str] | None, limit: int) -> list[str]:
        """Identities of charge points that have all of the labels, of ``identities`` or of all, by identity. ``limit``
        is not that of a page."""
        ...

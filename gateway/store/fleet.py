"""Fleet jobs in the store: the writes that it takes of them, and its reads."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, Protocol, TypeAlias

import orjson
import structlog
from attrs import evolve, field, frozen

from gateway.domain.codec import decode_value, encode_value
from gateway.domain.commands import UpdateFirmware
from gateway.domain.firmware import FirmwareUpdate, as_sent, is_signed
from gateway.domain.fleet import FleetEnd, FleetItem, FleetJob, FleetProgress
from gateway.domain.labels import Labels
from gateway.domain.security_commands import SignedUpdateFirmware
from gateway.errors import StoreCorrupt
from gateway.store.rows import Row

log = structlog.get_logger()

AT_ONCE: Final = "at_once"
"""Name of a field of the stored firmware: it is fetched from when each charger is sent the command on."""


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


def to_firmware(job: FleetJob) -> str:
    """A job's firmware as it is stored. One for at once has the job's time as well, which a gateway of before needs."""
    if job.firmware is None:
        return ""
    kept = orjson.loads(encode_value(as_sent(job.firmware, job.created_at)))
    return orjson.dumps({**kept, **({} if job.firmware.retrieve_date else {AT_ONCE: True})}).decode()


def from_firmware(text: str) -> FirmwareUpdate | None:
    """A stored job's firmware. A gateway of before can't read plain firmware, and so begins nothing of such a job."""
    if not text:
        return None
    kept = orjson.loads(text)
    cls: type[FirmwareUpdate] = SignedUpdateFirmware if is_signed(kept) else UpdateFirmware
    firmware = decode_value(text.encode(), cls)
    return evolve(firmware, retrieve_date=None) if kept.get(AT_ONCE) else firmware


def known_jobs(rows: Iterable[Row], job: Callable[[Row], FleetJob]) -> list[FleetJob]:
    """The jobs of rows, whose second column is the job's id. One that this version of the gateway can't read is a later
    version's: it is left alone, and costs no other."""
    found = []
    for row in rows:
        try:
            found.append(job(row))
        except (StoreCorrupt, LookupError, TypeError, ValueError) as error:
            log.warning("fleet job left alone, for it can't be read", job_id=row[1], error=type(error).__name__)
    return found


FleetWrite: TypeAlias = CreateFleetJob | RecordFleetItems | CancelFleetJob | EndFleetJob


class FleetReads(Protocol):
    """The reads of fleet jobs, as of ``Store``."""

    def fleet_job(self, job_id: str) -> FleetJob | None: ...

    def fleet_job_by_request(self, request_id: str) -> FleetJob | None: ...

    def fleet_job_cancelled(self, job_id: str) -> bool:
        """Return true if it was cancelled; cheaper than to read it."""
        ...

    def fleet_jobs(self, running: bool) -> list[FleetJob]:
        """All of them, or those that run; newest first. There are few. A later version's are left out."""
        ...

    def fleet_items(self, job_id: str, outcome: str, after: str, limit: int) -> list[FleetItem]:
        """By identity, with their stages; those with the outcome, or in the state WAITING or UNDER_WAY, if one is
        given."""
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

"""Progress of work over many charge points: jobs of the gateway, and firmware that goes to one after the other."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from attrs import define

from gateway.api.v1 import fleet_pb2, operation_pb2
from gateway.console.figures import moment

UNDER_WAY: Final = (fleet_pb2.FLEET_OUTCOME_WAITING, fleet_pb2.FLEET_OUTCOME_UNDER_WAY)

UNKNOWN: Final = (operation_pb2.OPERATION_END_UNKNOWN, operation_pb2.OPERATION_END_TIMED_OUT)
"""Ends of installations that may have been carried out all the same."""


def progress_of(job: fleet_pb2.FleetJob) -> tuple[int, int]:
    """Charge points of a job that have their outcome, and all."""
    total = sum(each.count for each in job.counts)
    return total - sum(each.count for each in job.counts if each.outcome in UNDER_WAY), total


@define
class Rollout:
    """Installations of one firmware, by the address that chargers fetch it from. ``begun``: the newest of them."""

    location: str
    begun: datetime | None
    done: int = 0
    failed: int = 0
    open: int = 0
    unknown: int = 0
    """Of which it can't be known what came of them."""

    @property
    def total(self) -> int:
        """Installations in all."""
        return self.ended + self.open

    @property
    def ended(self) -> int:
        """Those that are followed no more."""
        return self.done + self.failed + self.unknown


def rollouts_of(
    operations: Iterable[operation_pb2.Operation], jobs: Iterable[fleet_pb2.FleetJob] = ()
) -> list[Rollout]:
    """Return the rollouts of firmware that operations, the newest first, are parts of; those of jobs are left out."""
    found: dict[str, Rollout] = {}
    of_jobs = {job.fleet_job_id for job in jobs}
    for each in operations:
        if each.request_id in of_jobs:
            continue
        location = location_of(each)
        rollout = found.setdefault(location, Rollout(location, moment(each, "create_time")))
        if not each.end:
            rollout.open += 1
        elif each.end == operation_pb2.OPERATION_END_DONE:
            rollout.done += 1
        elif each.end in UNKNOWN:
            rollout.unknown += 1
        else:
            rollout.failed += 1
    return list(found.values())


def location_of(operation: operation_pb2.Operation) -> str:
    """The address of an operation's firmware; empty: it does not say."""
    arguments = json.loads(operation.arguments_json or "{}")
    return str(arguments.get("location", ""))

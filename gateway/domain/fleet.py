"""Fleet jobs: one operation for each of many charge points, at a pace that is kept.

A job has an item for each charge point that was selected when it was made. Its operation has the job's id as its
request id, so that it is begun once, whatever becomes of the gateway in between.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from attrs import field, frozen

from gateway.domain.firmware import FirmwareUpdate
from gateway.domain.operations import OperationKind, OperationRequest, Stage
from gateway.domain.rotations import rotation_request

RPCS: Final[Mapping[OperationKind, str]] = MappingProxyType(
    {
        OperationKind.ROTATE_AUTHORIZATION_KEY: "RotateAuthorizationKeys",
        OperationKind.RENEW_CERTIFICATE: "RenewCertificates",
        OperationKind.INSTALL_FIRMWARE: "RollOutFirmware",
    }
)
"""Kinds of jobs, and the RPC that makes one."""

MAX_ITEMS: Final = 100_000
"""Charge points of one job: more than one gateway holds."""

MAX_RUNNING: Final = 8
"""Jobs at once: one of each kind and a few that were cut up by site."""

MAX_JOBS: Final = 100
"""Jobs that are kept, the newest ones; running ones always."""

MAX_PER_MINUTE: Final = 6_000.0
"""Operations that are begun in a minute; beyond that a pace is none."""

MAX_AT_ONCE: Final = 1_000
"""Operations at once."""


WAITING_STAGES: Final = frozenset(
    {
        *(Stage.REBOOT_REQUIRED, Stage.RESET_SENT, Stage.RESET_REFUSED, Stage.RESET_UNKNOWN),
        Stage.CERTIFICATE_REQUESTED,
    }
)
"""Stages of operations that wait for a boot, or for a signing service, which may take hours: they hold no place."""


SILENT: Final = timedelta(hours=1)
"""An installation of firmware of which nothing is heard for so long holds no place: many chargers report little of it,
or nothing, and are followed for a day. A download over a bad mobile link takes less."""


class FleetEnd(StrEnum):
    """End of a job."""

    DONE = "DONE"
    """Each of its items has ended."""
    CANCELLED = "CANCELLED"
    """It was cancelled: what was begun has ended, and the rest was not begun."""
    EXPIRED = "EXPIRED"
    """Its time was over; as of one that is cancelled."""
    TOO_MANY_FAILURES = "TOO_MANY_FAILURES"
    """So many operations failed as end it; as of one that is cancelled."""


NOT_BEGUN: Final = "NOT_BEGUN"
"""The outcome of an item whose operation never came into being; of all others it is their operation's end."""

WAITING: Final = "WAITING"
UNDER_WAY: Final = "UNDER_WAY"
"""Items without an outcome, in counts: without an operation, and with one."""


UNFAILED: Final = frozenset({"DONE", NOT_BEGUN, WAITING, UNDER_WAY})
"""Outcomes, and states without one, that are no failure: where nothing was begun nothing came of it."""


@frozen
class Pace:
    """``per_minute``: operations begun in a minute, evenly; ``at_once``: those under way."""

    per_minute: float
    at_once: int


@frozen
class FleetJob:
    """A job and how far it has come. ``counts``: of its items, by outcome or by ``WAITING`` and ``UNDER_WAY``."""

    job_id: str
    request_id: str
    kind: OperationKind
    pace: Pace
    created_at: datetime
    expires_at: datetime
    """What is not begun by then never will be."""
    caller: str = ""
    """The caller of the control interface; empty: it had no name."""
    reset: bool = False
    """Of rotations, as ``insist``: of each one (``gateway.domain.rotations``)."""
    insist: bool = False
    firmware: FirmwareUpdate | None = None
    """Of INSTALL_FIRMWARE, signed or not. Its location holds no secret: a job is on disk until the last charger has had
    its turn."""
    cancelled_at: datetime | None = None
    end: FleetEnd | None = None
    ended_at: datetime | None = None
    counts: Mapping[str, int] = field(factory=dict)
    asked: str = ""
    """Digest of what was asked for and is kept nowhere else; empty: the job was made by a gateway of before."""
    max_failures: int = 0
    """So many failures end it; 0: none do."""

    @property
    def failures(self) -> int:
        """The number of its operations that have failed."""
        return sum(count for state, count in self.counts.items() if state not in UNFAILED)

    @property
    def operation(self) -> OperationRequest:
        """The operation that each charge point gets."""
        if self.kind is OperationKind.ROTATE_AUTHORIZATION_KEY:
            return rotation_request(reset=self.reset, insist=self.insist)
        return OperationRequest(self.kind, own_command=self.firmware)


@frozen
class FleetItem:
    """One charge point's part of a job. ``outcome`` None: it has not ended."""

    charge_point: str
    operation_id: str = ""
    outcome: str | None = None
    reason: str = ""
    """Why it ended so: of an operation, its reason; of ``NOT_BEGUN``, the refusal's or that of the job's end."""
    stage: Stage | None = None
    """The newest stage of its operation, where it is asked for; of no weight where an item is recorded."""


@frozen
class FleetProgress:
    """A begun item's operation as it is now. ``holds_place``: something happens to it, or is about to: its charge point
    is connected, and it is at none of ``WAITING_STAGES``. ``staged_at``: when it reached its newest stage."""

    charge_point: str
    operation_id: str
    end: str | None
    reason: str
    holds_place: bool
    staged_at: datetime

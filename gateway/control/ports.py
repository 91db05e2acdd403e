"""Ports that the composition root fills for control. All of them belong to the Trio loop."""

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from gateway.charging.wishes import WantedRequest
from gateway.domain.commands import CallOutcome, Command, FieldViolation, Refused, Unknown
from gateway.domain.decision import Authorization
from gateway.domain.diagnostics import (
    DeviationCount,
    FlappingChargePoint,
    KeptFrame,
    LatencyCount,
    RefusedConnection,
)
from gateway.domain.drain import DrainProgress, DrainTerms
from gateway.domain.events import NewEvent
from gateway.domain.fleet_summary import Look
from gateway.domain.gateway_status import ServedCertificate, StoreStatus
from gateway.domain.log_levels import LogLevel, LogOverride
from gateway.domain.operations import OperationRecord, OperationRefused, OperationRequest
from gateway.domain.records import LiveSession
from gateway.domain.steering import ChangedWanted
from gateway.domain.values import Registration
from gateway.feed import Batch
from gateway.store.api import EventFilter
from gateway.store.commits import Write, WriteResult

T = TypeVar("T")


class Journal(Protocol):
    """The way of writes to the store (``gateway.store.reads.Reads`` is that of reads)."""

    async def commit(self, write: Write) -> WriteResult:
        """On disk when it returns. Raises ``StoreUnavailable``. Cancelling the waiter withdraws nothing."""
        ...


class Commands(Protocol):
    """The way to live sessions: the router."""

    @property
    def unsupported_codes(self) -> frozenset[str]:
        """Error codes by which a charger says that it does not know an operation."""
        ...

    async def call(
        self,
        identity: str,
        command: Command,
        *,
        request_id: str,
        deadline: float,
        answer_by: float | None = None,
        caller: str = "",
    ) -> CallOutcome:
        """Carry a command: the finished record, or why there is none. ``deadline`` in Trio's time; one that has passed
        begins no new command. Returns by ``answer_by``, by default a little after the deadline. ``caller`` is recorded
        with a new one.

        The same ``request_id`` again gives the first outcome and sends nothing. Cancelling ends the waiting only.
        """
        ...

    async def operate(
        self, identity: str, request: OperationRequest, request_id: str, seconds: float, caller: str = ""
    ) -> OperationRecord | OperationRefused | Refused | Unknown | None:
        """Begin an operation: its record, which is on disk, or why there is none; None: another one has the request
        id. It is not sent later than in ``seconds``. Cancelling only ends the waiting."""
        ...

    def broken_by(self, command: Command) -> tuple[FieldViolation, ...]:
        """Violations of a command by the rules of every version that chargers may speak; empty: one takes it."""
        ...

    def operation_begun(self, identity: str) -> None:
        """An operation that changes what is wanted is committed; a live session follows it."""
        ...

    @property
    def security_profiles(self) -> frozenset[int]:
        """The security profiles that the gateway's listeners let in."""
        ...

    async def connected(self, identity: str) -> bool:
        """Return true if there is a session of the charge point, at any node. Raises ``StoreUnavailable``."""
        ...

    async def let_go(self, identity: str, caller: str) -> bool:
        """Have its session closed, by the caller's wish; false: there is none. Raises ``StoreUnavailable``."""
        ...

    def live(self, identity: str) -> LiveSession | None:
        """The live connection to this process, or None."""
        ...

    def registration_changed(self, identity: str, registration: Registration) -> None:
        """A change of registration is committed; a live session follows."""
        ...

    def minimum_profile_raised(self, identity: str, profile: int) -> None:
        """A change of the least security profile is committed; a live session below it ends."""
        ...

    def expel(self, identity: str) -> None:
        """The charge point is deleted; a live session ends."""
        ...

    def transaction_closed(self, identity: str, closed: NewEvent) -> None:
        """A transaction is closed by the operator, and that is committed; a live session follows."""
        ...


class LivePowers(Protocol):
    """The power of the charge points that are connected, to this process or to any that shares its store."""

    async def look(self) -> Look:
        """Each of them as it is now. Cancelling is safe."""
        ...


class WantedStates(Protocol):
    """Changes of what is wanted of connectors, connected or not."""

    async def change(
        self, identity: str, request: WantedRequest, also: tuple[NewEvent, ...] = ()
    ) -> ChangedWanted | Refused:
        """Commit a change, or why there is none. The same request again, by its id, changes nothing and is answered as
        it was. ``also``: events that are recorded with it. Raises ``StoreUnavailable``."""
        ...


class Authorizer(Protocol):
    """The standing of tags, as charge points are answered."""

    async def authorize(self, charge_point: str, id_tag: str) -> Authorization:
        """By the operator's table. Raises ``StoreUnavailable``; cancelling is safe."""
        ...


class Subscription(Protocol):
    """One watcher's place in the history."""

    @property
    def position(self) -> int:
        """Everything at or below it has been given or filtered out."""
        ...

    @property
    def head(self) -> int:
        """The position of the newest event that there is."""
        ...

    async def next(self) -> Batch:
        """The next events, or none after a while without any. Raises ``BelowFloor`` and ``StoreUnavailable``."""
        ...


class Feed(Protocol):
    """Committed events, for watchers."""

    def subscribe(
        self, where: EventFilter, after: int | None, *, idle: float, max_events: int, max_bytes: int
    ) -> AbstractAsyncContextManager[Subscription]:
        """Events above ``after`` (None: from now on; ``gateway.feed.BEGINNING``: all there are). Entering raises
        ``BelowFloor``, ``BeyondHead`` and ``StoreUnavailable``."""
        ...


class Diagnostics(Protocol):
    """Diagnostics that the running process keeps. Nothing here waits, or holds a secret."""

    @property
    def keeps_frames(self) -> bool:
        """True if frames are kept at all."""
        ...

    def refused_connections(self) -> list[RefusedConnection]:
        """The newest entry first."""
        ...

    def frames(self, charge_point: str) -> list[KeptFrame] | None:
        """The oldest first; None: there are none."""
        ...

    def flapping_charge_points(self) -> list[FlappingChargePoint]:
        """Those that come and go now, the one with the most connects first."""
        ...

    def tapped(self, charge_point: str) -> AbstractContextManager["Tap | None"]:
        """The frames of a charge point from now on; None: too many taps are open."""
        ...

    def deviations(self) -> list[DeviationCount]:
        """The newest entry first."""
        ...

    def latency_counts(self) -> list[LatencyCount]:
        """The newest entry first."""
        ...


class Draining(Protocol):
    """The drain of the gateway."""

    @property
    def terms(self) -> DrainTerms:
        """The terms of the settings, or of the drain under way."""
        ...

    @property
    def progress(self) -> DrainProgress:
        """The course so far."""
        ...

    def begin(self, terms: DrainTerms) -> bool:
        """Ask for a drain, which ends the process. False: one is under way, and stays as it is."""
        ...


class LogLevels(Protocol):
    """The log's levels at run time."""

    @property
    def settings_level(self) -> LogLevel: ...

    @property
    def overrides(self) -> tuple[LogOverride, ...]:
        """Levels that hold for a while."""
        ...

    def set(self, charge_point: str, level: LogLevel | None, seconds: float) -> bool:
        """Hold a level for so long, of a charge point or of the process (empty); None: the settings' again. False: too
        many charge points have one."""
        ...


class RunningStatus(Protocol):
    """The condition of the running gateway, as it was last looked at. Nothing here waits."""

    def store(self) -> StoreStatus: ...

    def certificates(self) -> list[ServedCertificate]:
        """Those that are served or trusted now."""
        ...


class Tapped(Protocol):
    """A batch of frames; ``missing``: those since the batch before that found no room."""

    @property
    def frames(self) -> tuple[KeptFrame, ...]: ...

    @property
    def missing(self) -> int: ...


class Tap(Protocol):
    """A charge point's frames as they come."""

    async def next(self) -> Tapped:
        """Wait for frames. Cancelling is safe."""
        ...


class ClockStatus(Protocol):
    """Of the wall clock: the time, why it is doubted (empty: it is not), and how long it has run evenly since."""

    @property
    def now(self) -> datetime: ...

    @property
    def reason(self) -> str: ...

    @property
    def steady(self) -> timedelta: ...


class ClockWatch(Protocol):
    """Trust in the wall clock before anything is deleted by it. Both raise ``StoreUnavailable``."""

    async def status(self) -> ClockStatus:
        """Return the present state."""
        ...

    async def confirm(self, shown: datetime, caller: str = "") -> bool:
        """An operator, the caller, holds the clock for right at this time; False: it shows another by now."""
        ...

"""Ports that the composition root fills for sessions: journal, look-ups, counters, authorization."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from gateway.domain.commands import CommandRecord
from gateway.domain.decision import Authorization
from gateway.domain.diagnostics import FrameKind
from gateway.domain.events import BootInformation
from gateway.histogram import Latencies
from gateway.store.commits import Write, WriteResult
from gateway.transport.api import Initiator

T = TypeVar("T")


class Journal(Protocol):
    """The way of writes to the store (``gateway.journal``). Both raise ``StoreUnavailable``."""

    async def commit(
        self, write: Write, applied: Callable[[Write, WriteResult], None] | None = None, *, shielded: bool = False
    ) -> WriteResult:
        """On disk when it returns. Cancelling the waiter withdraws nothing. ``applied`` is called with the answer
        before it returns, in the order of the commits, whether or not a caller still waits. ``shielded``: as in a scope
        that shields it from cancellation."""
        ...

    def submit(self, write: Write, on_answer: Callable[[Write, WriteResult | Exception], None]) -> None:
        """As ``commit`` for a caller that doesn't wait: ``on_answer`` is called once with the answer, or with why it
        could not be kept. Raises ``StoreUnavailable`` if nothing was handed over."""
        ...


class Authorizer(Protocol):
    """Decides the standing of an idTag. The seam for an authorizer outside of the gateway.

    It must answer within its own deadline, with a policy of its own for when the outside can't be reached: a
    charger's message waits for it. Raises only ``StoreUnavailable``.
    """

    async def authorize(self, charge_point: str, id_tag: str) -> Authorization: ...


class Counter(Protocol):
    """Counts what happens, for metrics. Must be cheap, must not raise."""

    def count(self, what: str, label: str = "") -> None: ...


class Observer(Counter, Protocol):
    """Counts and measures what happens, for metrics and for diagnostics of chargers. Must be cheap, must not raise."""

    def now(self) -> float:
        """Seconds by a clock that never goes back, to measure by."""
        ...

    def latencies(self, boot: BootInformation | None) -> Latencies:
        """Return the histograms of the make that a charge point has last reported."""
        ...

    def answered(self, action: str, began: float, latencies: Latencies) -> None:
        """A CALL of the charge point, taken up at ``began`` (by ``now``), is answered."""
        ...

    def call_answered(self, operation: str, took: float, latencies: Latencies) -> None:
        """A request of the gateway's own accord is answered, so many seconds after its CALL."""
        ...

    def command_over(self, operation: str, outcome: str, took: float | None, latencies: Latencies) -> None:
        """A caller's command is over; ``took``: seconds from its CALL to the answer, None without one."""
        ...

    def deviated(self, charge_point: str, boot: BootInformation | None, deviations: tuple[str, ...]) -> None:
        """A message had to be mended to be read: the names of what it took (``Request.deviations``), and what the
        charge point last reported of its make."""
        ...

    def too_large(self, charge_point: str, size: int) -> None:
        """A message of so many bytes was beyond the limit, and has ended its connection."""
        ...


class NoObserver:
    """Counts nothing."""

    def now(self) -> float:
        """Return always the same: nothing is measured."""
        return 0.0

    def latencies(self, boot: BootInformation | None) -> Latencies:
        """Make some that are not kept."""
        return Latencies()

    def answered(self, action: str, began: float, latencies: Latencies) -> None:
        """Forget it."""

    def call_answered(self, operation: str, took: float, latencies: Latencies) -> None:
        """Forget it."""

    def command_over(self, operation: str, outcome: str, took: float | None, latencies: Latencies) -> None:
        """Forget it."""

    def count(self, what: str, label: str = "") -> None:
        """Forget it."""

    def deviated(self, charge_point: str, boot: BootInformation | None, deviations: tuple[str, ...]) -> None:
        """Forget it."""

    def too_large(self, charge_point: str, size: int) -> None:
        """Forget it."""


class Frames(Protocol):
    """Keeps the last frames of a connection for operators. Must be cheap, must not raise."""

    def add(self, kind: FrameKind, data: bytes) -> None:
        """Keep a frame that was received, before it is read, or an answer that is about to be sent."""
        ...

    def add_command(self, data: bytes) -> None:
        """Keep a CALL that is about to be sent, without the key that it may carry."""
        ...

    def add_end(self, initiator: Initiator, code: int, reason: str) -> None:
        """Keep the end of the connection."""
        ...


class CommandTrace(Protocol):
    """The trace of one command. Must be cheap, must not raise."""

    def step(self, name: str, *, outgoing: bool = False) -> AbstractContextManager[None]:
        """A part of it, for as long as the block takes; ``outgoing``: it crosses to the charge point."""
        ...

    def over(self, outcome: str) -> None:
        """It has its outcome; the first one counts."""
        ...


class CommandTraces(Protocol):
    """Traces commands; there is one only where the settings ask for traces."""

    def begin(self, record: CommandRecord, operation_id: str = "") -> CommandTrace:
        """Begin the trace of a command."""
        ...


class NoFrames:
    """Keeps nothing."""

    def add(self, kind: FrameKind, data: bytes) -> None:
        """Do nothing."""

    def add_command(self, data: bytes) -> None:
        """Do nothing."""

    def add_end(self, initiator: Initiator, code: int, reason: str) -> None:
        """Do nothing."""


NO_FRAMES = NoFrames()

"""Nodes that share a store: what they write and read of each other. Only a store on PostgreSQL takes any of it.

A charge point with a session has an owner, the slot of the node that opened it. Its owner writes to it through its own
lane; any other node writes to it under the owner's lane too, and leaves a notice of what it has written.
"""

import os
import socket
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeAlias

from attrs import frozen

from gateway.domain.events import StoredEvent
from gateway.domain.records import ChargePointRecord

SILENCE_SECONDS = 10.0
"""After so long without a commit of a node any other may end it, and after so long its keeping of the fleet's chores
passes on. Longer than a bad commit, shorter than the patience of a charger's owner."""

MAX_SLOT = 1_000
"""Slots are numbered from 1. A thousand processes of 20,000 chargers are more than one database carries."""


def own_name() -> str:
    """The name of this process among the nodes: its host, and its number there."""
    return f"{socket.gethostname()}, process {os.getpid()}"


class NoticeKind(StrEnum):
    """The kinds of what another node has done to a charge point of this one."""

    TAKEN = "taken"
    """It owns the charge point now."""
    DELETED = "deleted"
    """It has deleted the charge point."""
    CHANGED = "changed"
    """It has recorded events."""
    DISCONNECT = "disconnect"
    """An operator wants the connection closed."""


@frozen
class Notice:
    """``epoch``: the charge point's after it. ``position``: the sequences of what was written begin there. ``caller``:
    the one that asked for it, where one did."""

    kind: NoticeKind
    charge_point: str
    epoch: int
    position: int
    caller: str = ""


@frozen
class NodeRecord:
    """A slot. ``silent_seconds``: since its last commit, by the database's clock. ``incarnation``: how often the slot
    was taken, or its node ended. ``charge_points``: those that it owns. ``seen_at``: its last commit; ``taken_at``:
    since when its process has the slot, None: a version of before that said so has taken it; both by the database's
    clock."""

    node: int
    incarnation: int
    silent_seconds: float
    address: str
    version: str
    draining: bool
    charge_points: int
    chores: bool
    """Whether it keeps the chores of the fleet."""
    seen_at: datetime
    taken_at: datetime | None


@frozen
class OwnerRecord:
    """The node that owns a charge point, and the epoch of the session there."""

    node: int
    incarnation: int
    epoch: int


# --- writes ---------------------------------------------------------------------------------------------------


@frozen
class Beat:
    """A commit of nothing, which says that the node is there, and has notices found. Answers ``Done``."""

    draining: bool = False


@frozen
class EndNode:
    """One step of ending a node that is silent: fence it, and settle at most ``limit`` of its charge points, each under
    its epoch, which is raised then. Answers ``Ended``: there are more while it settled any. ``Missing`` where it is not
    silent, or another incarnation."""

    node: int
    incarnation: int
    at: datetime
    limit: int
    silence: float = SILENCE_SECONDS


@frozen
class AskToDisconnect:
    """Leave a notice for the charge point's owner. Answers ``Done``, or ``Missing`` where it has none."""

    charge_point: str
    caller: str = ""


NodeWrite: TypeAlias = Beat | EndNode | AskToDisconnect


@frozen
class Ended:
    """Answer to ``EndNode``. ``incarnation``: the node's now, with which the next step is asked for."""

    charge_points: int
    incarnation: int


class NodeStore(Protocol):
    """The part of a store shared by nodes that it has besides ``Store``. All raise ``StoreUnavailable``."""

    on_notices: Callable[[Sequence[Notice]], None] | None
    """Called in the writer's thread with notices, each once, before the batch that found them is answered. It must not
    block or raise."""

    on_left: Callable[[frozenset[int]], None] | None
    """Called in the writer's thread with slots that a commit has left notices for, once it is kept."""

    @property
    def node(self) -> int:
        """The slot of this process."""
        ...

    @property
    def incarnation(self) -> int:
        """The slot's, as this process has taken it."""
        ...

    def nodes(self) -> list[NodeRecord]:
        """All slots that were ever taken, by number."""
        ...

    def owner(self, identity: str) -> OwnerRecord | None:
        """Return the owner of a charge point; None: no node has a session of it."""
        ...

    def owned(self, after: str, limit: int) -> list[ChargePointRecord]:
        """The charge points that this node owns, by identity."""
        ...

    def noticed(self, identity: str, position: int) -> list[StoredEvent]:
        """The events that one transaction has recorded of a charge point."""
        ...

    def keep_chores(self) -> bool:
        """Take the chores of the fleet, or keep them, for ``SILENCE_SECONDS``; False: another node has them."""
        ...

    def leave_chores(self) -> None:
        """Let another node have the chores at once."""
        ...

    def free_lanes(self, seconds: float) -> int:
        """End the connections of nodes whose transaction has been open for so long, or that are silent: of processes
        that were stopped, whose locks all others would wait for. Answers how many there were."""
        ...

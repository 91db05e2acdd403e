"""The writer's memory of charge points, with which an everyday message costs no query.

That is sound because the slot's other writers are fenced, and because all of it is forgotten when a batch fails. Those
that a batch names and that are not known are read together, before its first write.
"""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

from collections.abc import Iterable

from attrs import define, field

from gateway.domain.clock_offset import ClockOffset
from gateway.domain.profiles import Profiles
from gateway.domain.repeats import Memory
from gateway.store.clock_offsets import clock_offset
from gateway.store.postgres.connection import Answer, Connection
from gateway.store.postgres.encoding import Array
from gateway.store.rows import memory

MAX_REMEMBERED = 100_000
"""Charge points: several times what one gateway serves, some 60 MB at worst."""

MAX_REMEMBERED_TRANSACTIONS = 64
"""Open ones of one charge point: several times the connectors of the largest post."""

_OWNERS = """SELECT c.identity, c.key, c.epoch, c.node, c.deleted_at IS NULL, c.clock_offset,
    EXISTS (SELECT 1 FROM charging_profile p WHERE p.charge_point = c.key),
    m.readings, m.messages, m.clock, m.clock_before_boot, m.ran_back
    FROM charge_point c LEFT JOIN memory m ON m.charge_point = c.key WHERE c.identity = ANY ($1)"""

_OPEN = f"""SELECT c.key, t.transaction_id, t.number FROM charge_point c
    CROSS JOIN LATERAL (SELECT transaction_id, number FROM txn WHERE charge_point = c.key AND state = 'OPEN'
    ORDER BY start_sequence LIMIT {MAX_REMEMBERED_TRANSACTIONS})
    AS t WHERE c.identity = ANY ($1)"""


@define(eq=False)
class Owner:
    """A charge point as the writer needs it for every message. ``present`` False: deleted."""

    key: int
    identity: str
    epoch: int
    node: int | None
    """The slot whose session owns it; None: there is no session."""
    present: bool
    clock: ClockOffset
    memory: Memory
    profiles: Profiles | None
    """None: not read yet."""
    open: dict[str, int] = field(factory=dict)
    """Open transactions to their numbers, as far as there is room."""


class Books:
    """Of one writer's connection."""

    def __init__(self) -> None:
        self._owners: dict[str, Owner] = {}

    def known(self, identity: str) -> Owner | None:
        """The charge point, if it is remembered."""
        return self._owners.get(identity)

    def begin(self) -> None:
        """A batch begins: where too many are remembered, all are forgotten. A batch adds those that it names."""
        if len(self._owners) > MAX_REMEMBERED:
            self._owners.clear()

    def ask(self, cx: Connection, identities: Iterable[str]) -> tuple[Answer, Answer] | None:
        """Queue the questions about those that are not remembered; None: there are none."""
        wanted = list(dict.fromkeys(each for each in identities if each not in self._owners))
        if not wanted:
            return None
        named = Array("text", wanted)
        return cx.send(_OWNERS, named), cx.send(_OPEN, named)

    def learn(self, answers: tuple[Answer, Answer]) -> None:
        """Take what was answered."""
        owners, transactions = answers
        by_key: dict[int, Owner] = {}
        for identity, key, epoch, node, present, clock, profiled, *said in owners.rows:
            by_key[key] = self._owners[identity] = Owner(
                key,
                identity,
                epoch,
                node,
                present,
                clock_offset(clock),
                Memory() if said[0] is None else memory(tuple(said)),
                None if profiled else {},
            )
        for key, transaction_id, number in transactions.rows:
            by_key[key].open[transaction_id] = number

    def add(self, owner: Owner) -> None:
        """One that is created in this batch."""
        self._owners[owner.identity] = owner

    def forget(self) -> None:
        """A batch has failed, or others have changed something."""
        self._owners.clear()

    def forget_some(self, identities: Iterable[str]) -> None:
        """Others have changed something of these."""
        for identity in identities:
            self._owners.pop(identity, None)

    def forget_others(self, identities: Iterable[str], node: int) -> None:
        """A batch is over: of those that it named, keep those that ``node`` owns, which no other changes unseen."""
        for identity in identities:
            owner = self._owners.get(identity)
            if owner is not None and owner.node != node:
                del self._owners[identity]

"""The writer's connection through its life: opened, broken, opened anew, fenced; and what became of the last batch."""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Final, TypeVar

import structlog

from gateway.domain.values import Clock
from gateway.errors import CommitUnknown, StoreCorrupt, StoreError, StoreMisplaced, StoreUnavailable
from gateway.store.nodes import Notice, own_name
from gateway.store.postgres import notices
from gateway.store.postgres.connection import Broken, Connection, ServerError, mapped
from gateway.store.postgres.durability import Durability, problems
from gateway.store.postgres.generations import Generations
from gateway.store.postgres.hosts import Hosts
from gateway.store.postgres.lane import FENCED, SLOT, CommitsLost, Kept, Lane, SlotLost
from gateway.store.postgres.locks import NOTHING, Needs
from gateway.store.postgres.migrate import check_again, known_version, migrate
from gateway.store.postgres.partitions import Partitions
from gateway.store.postgres.patience import Patience
from gateway.store.postgres.writer import Moved, Writer

R = TypeVar("R")

TRIES: Final = 3
"""Of one batch: a connection that broke, and notices or a partition in the way of the second try. A batch that breaks
connection after connection may be what brings the server down."""

TRIES_OF_NODE: Final = 8
"""The same among several nodes: its charge points may change hands between any two tries."""

DEADLOCK: Final = "40P01"

NO_PARTITION: Final = ("23514", "no partition of relation")
"""SQLSTATE and words of an event for which there is no partition yet."""

log = structlog.get_logger()


class WriterConnection:
    """Not for several threads at once."""

    def __init__(
        self, hosts: Hosts, clock: Clock, durability: Durability | None, patience: Patience, node: int | None = None
    ) -> None:
        """``patience``: with a server that is away, or fails over. ``node``: the slot, where there are others; None:
        this is the only gateway."""
        self._hosts = hosts
        self._clock = clock
        self._durability = durability
        self._patience = patience
        self.place = hosts.place
        self.opened = False
        self.store_id = ""
        self.codes: dict[str, int] = {}
        self.generations = Generations()
        self._lane = Lane(SLOT if node is None else node, shared=node is not None)
        self._tries = TRIES if node is None else TRIES_OF_NODE
        self.on_notices: Callable[[Sequence[Notice]], None] | None = None
        self.on_left: Callable[[frozenset[int]], None] | None = None
        self.rejoin: Callable[[Writer], None] | None = None
        """What a node does when it takes its slot anew after others have ended it, before anything else."""
        self._partitions = Partitions()
        self._writer: Writer | None = None
        self._fenced = ""
        self._beyond = False

    # --- opening ---

    def open(self) -> None:
        """Open the database for the first time. Raises as ``PostgresStore``."""
        try:
            cx = self._hosts.connect()
            try:
                self._check(cx)
                self._lane.hold(cx, self.place)
                migrate(cx, self.place, self._clock(), self._lane.slot)
                self._take(cx)
                self._partitions.maintain(cx, self._clock())
                self._learn(cx)
                self._writer = Writer(cx, self._lane, self.codes)
            except BaseException:
                cx.close()
                raise
        except Broken as error:
            raise StoreUnavailable(f"the database {self.place} can't be reached: {error}") from error
        except ServerError as error:
            raise mapped(error, self.place) from error
        self.opened = True

    def _check(self, cx: Connection) -> None:
        if self._durability is None:
            return
        found = problems(cx, self._durability)
        if found:
            raise StoreMisplaced(f"the database {self.place} keeps no promise: {'; '.join(found)}")

    def _take(self, cx: Connection) -> Kept:
        """Take the slot. What was committed before is on a standby, too, once this is."""
        cx.warnings.clear()
        kept = self._lane.take(cx, self.place, own_name(), version("gateway"), known_version())
        if cx.warnings:
            raise Broken(f"a commit was not confirmed: {'; '.join(cx.warnings)}")
        return kept

    def _learn(self, cx: Connection) -> None:
        """Begin a generation, and read what does not change as long as the store is open."""
        self.generations.begin(cx, always=not self._lane.shared)  # nodes share one: their tokens hold at each other
        meta, types = cx.send("SELECT store_id FROM meta"), cx.send("SELECT name, code FROM event_type")
        cx.sync()
        (self.store_id,) = meta.rows[0]
        self.codes = dict(types.rows)

    # --- writing ---

    def write(
        self, named: Sequence[str], work: Callable[[Writer], R], needs: Callable[[], Needs] = lambda: NOTHING
    ) -> tuple[R, int]:
        """One transaction: ``work``, then COMMIT, or nothing; answers also where its sequences begin. ``work`` is done
        again where nothing of it was kept for a reason that is over."""
        try:
            if self._fenced:
                self._rejoin()
            return self._write(named, work, needs() if self._lane.shared else NOTHING)
        finally:
            self._show_notices()

    def _show_notices(self) -> None:
        found = tuple(self._lane.found)
        self._lane.found.clear()
        if found and self.on_notices is not None:
            self.on_notices(found)
        rung = frozenset(self._lane.rung)
        self._lane.rung.clear()
        if rung and self.on_left is not None:
            self.on_left(rung)

    @property
    def incarnation(self) -> int:
        """The slot's, as it was taken last."""
        return self._lane.incarnation

    def _write(self, named: Sequence[str], work: Callable[[Writer], R], needs: Needs) -> tuple[R, int]:
        again = False
        for left in reversed(range(self._tries)):
            writer = self._writer or self._reached()
            sealing = False
            try:
                writer.begin(named, needs, again=again)
                result = work(writer)
                writer.flush()
                sealing = True
                base = writer.commit()
            except Broken as error:
                log.warning("store connection broke", place=self.place, error=str(error))
                self.close()
                if sealing:
                    kept = self._kept()
                    if kept is not None:
                        return result, kept  # it was done up to its commit
                if not left:
                    raise StoreUnavailable(f"the database {self.place} failed: {error}") from error
            except Moved:
                self._undo(writer)
                if not left:
                    raise StoreUnavailable(f"charge points of the database {self.place} change hands") from None
            except ServerError as error:
                self._undo(writer)
                again = error.state == FENCED
                if not (left and self._mended(writer, error)):
                    if self._fenced:
                        raise StoreUnavailable(self._fenced) from error
                    raise mapped(error, self.place) from error
            except BaseException:
                self._undo(writer)
                raise
            else:
                if writer.cx.warnings:
                    # "Canceling wait for synchronous replication": it is on this server's disk alone.
                    why = "; ".join(writer.cx.warnings)
                    raise CommitUnknown(f"a commit of the database {self.place} was not confirmed: {why}")
                self._maintain(writer, base)
                return result, base
        raise AssertionError("the last try answers or raises")

    def _mended(self, writer: Writer, error: ServerError) -> bool:
        """Return true if a batch that the server refused can be done now. Raises ``StoreError``."""
        if error.state == DEADLOCK:
            return True
        lacks_partition = error.state == NO_PARTITION[0] and NO_PARTITION[1] in str(error)
        if error.state != FENCED and not lacks_partition:
            return False
        if self._writer is not writer:
            return True  # it broke while the batch was undone: the next connection finds what stands in the way
        try:
            if not lacks_partition:
                return self._noticed(writer)
            self._partitions.maintain(writer.cx, self._clock())
        except Broken as broken:
            log.warning("store connection broke", place=self.place, error=str(broken))
            self.close()
        except ServerError as refused:
            self._undo(writer)
            raise mapped(refused, self.place) from refused
        return True

    def _noticed(self, writer: Writer) -> bool:
        """The fence failed: take note of what others have changed. False: the slot is another's, for good."""
        found = notices.find(writer.cx, self._lane.slot, self._lane.notices)
        if found is None or found.incarnation != self._lane.incarnation:
            self._fence(f"another gateway has taken slot {self._lane.slot} of the database {self.place}")
            return False
        writer.take_note(found)
        self._lane.batch = found.batch
        return True

    def _fence(self, why: str, beyond: bool = False) -> None:
        """Write nothing any more; ``beyond``: for good, also where the slot may be taken anew."""
        self._fenced, self._beyond = why, self._beyond or beyond
        log.critical("fenced", error=why)
        self.close()

    def _undo(self, writer: Writer) -> None:
        writer.forget()
        try:
            writer.cx.roll_back()
        except (Broken, ServerError) as error:
            log.warning("store connection given up", place=self.place, error=str(error))
            self.close()

    def _reached(self) -> Writer:
        """The writer of a new connection, within the patience. Raises ``StoreUnavailable``."""
        self._again()
        assert self._writer is not None, "it was reached"
        return self._writer

    def _kept(self) -> int | None:
        """The connection broke over a commit: where the batch's sequences begin, if it was kept; None: it was not.

        Raises ``CommitUnknown`` where that can't be found out within the patience."""
        try:
            kept = self._again()
        except StoreUnavailable as error:
            raise CommitUnknown(f"it is not known whether a commit was kept: {error}") from error
        return kept.position if kept.kept else None

    def _again(self) -> Kept:
        """Connect once more; answers what became of the last batch. Raises ``StoreUnavailable``."""
        why = self._fenced
        for until in self._patience.attempts():
            if self._fenced:
                raise StoreUnavailable(self._fenced)
            try:
                return self._connected(until)
            except StoreUnavailable as error:
                why = str(error)
        raise StoreUnavailable(why)

    def _connected(self, until: float) -> Kept:
        """Connect, and take the slot. Raises ``StoreUnavailable``."""
        try:
            cx = self._hosts.connect(until)
            try:
                self._check(cx)
                self._lane.hold(cx, self.place, until)
                check_again(cx, self.place, until)
                self.generations.begin(cx, always=False)
                kept = self._take(cx)
            except BaseException:
                cx.close()
                raise
        except Broken as error:
            raise StoreUnavailable(f"the database {self.place} can't be reached: {error}") from error
        except ServerError as error:
            raise mapped(error, self.place) from error
        except SlotLost as error:
            self._fence(str(error), isinstance(error, CommitsLost))
            raise
        except StoreUnavailable:
            raise
        except StoreCorrupt as error:  # contracted while this process was away
            self._fence(f"{error}. This gateway writes nothing any more", beyond=True)
            raise StoreUnavailable(self._fenced) from error
        except StoreError as error:  # in use: by a gateway that was started meanwhile
            raise StoreUnavailable(str(error)) from error
        self._patience.reached()
        self._writer = Writer(cx, self._lane, self.codes)
        return kept

    def _rejoin(self) -> None:
        """A node that others have ended takes its slot anew: what it remembers and what its sessions go on with is
        over. Raises ``StoreUnavailable`` where it may not, and until it can."""
        if self.rejoin is None or self._beyond:
            raise StoreUnavailable(self._fenced)
        self._fenced, fenced = "", self._fenced
        self._lane.lose()
        try:
            self.rejoin(self._reached())
        except (StoreError, Broken, ServerError) as error:
            self._fenced = fenced
            self.close()
            raise StoreUnavailable(f"{fenced}; it was not taken anew: {error}") from error
        log.warning("slot taken anew", slot=self._lane.slot, place=self.place)

    def _maintain(self, writer: Writer, base: int) -> None:
        """See to the partitions, after a commit: it stands, whatever comes of this."""
        if not self._partitions.due(base, writer.floor):
            return
        try:
            self._partitions.maintain(writer.cx, self._clock())
        except (Broken, ServerError) as error:
            log.error("partitions not maintained", place=self.place, error=str(error))
            self._undo(writer)

    def close(self) -> None:
        """Close the connection, if there is one; the next write opens another."""
        if self._writer is not None:
            self._writer.cx.close()
            self._writer = None

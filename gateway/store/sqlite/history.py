"""The history for reading beside a gateway that serves: by time, a page at a time, so that the log can go on."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final

import apsw

from gateway.domain.events import StoredEvent
from gateway.domain.records import TransactionRecord
from gateway.errors import StoreCorrupt, StoreError
from gateway.store.api import EventFilter, event_id_prefix
from gateway.store.encoding import to_micros
from gateway.store.filters import TransactionFilter
from gateway.store.sqlite import event_queries, migrate, queries
from gateway.store.sqlite.connections import mapped, open_reader
from gateway.store.sqlite.selects import fetch, one

PAGE: Final = 500
"""Events, or transactions, read at once."""

ASTRAY: Final = 100_000
"""Events by which one may lie off the order of time: clocks are set, and were wrong before."""

NEXT_TIME: Final = "SELECT received_at FROM event WHERE sequence > ? ORDER BY sequence LIMIT 1"


class History:
    """Records of the database at ``path``. For one thread; ``with`` closes it.

    Raises ``StoreError`` where there is none, or one of another schema: its gateway has to be started once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.exists():
            raise StoreError(f"{path}: there is no database")
        newest = len(migrate.scripts())
        try:
            self._cx = open_reader(path)
            try:
                version = migrate.check(self._cx, path, newest)
                if version != newest:
                    raise StoreError(
                        f"{path}: has schema version {version}, not {newest}: start this gateway on it once"
                    )
                (store_id,) = one(self._cx, "SELECT value FROM meta WHERE name = 'store_id'")
                self._prefix = event_id_prefix(str(store_id))
                self._codes: dict[str, int] = dict(fetch(self._cx, "SELECT name, code FROM event_type"))
            except BaseException:
                self._cx.close(True)
                raise
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise StoreCorrupt(f"{path} is damaged or not a database ({error})") from error
        except apsw.Error as error:
            raise mapped(error, path) from error

    def __enter__(self) -> "History":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._cx.close(True)
        if isinstance(error, apsw.Error):
            raise mapped(error, self._path) from error

    def events(self, begin: datetime, end: datetime) -> Iterator[StoredEvent]:
        """Events that were received from ``begin`` on and before ``end``, by sequence."""
        position = self._before(begin)
        beyond = 0
        while beyond < ASTRAY:
            page = event_queries.events(self._cx, position, PAGE, EventFilter(), self._codes, self._prefix)
            if page.position <= position:
                return
            position = page.position
            for event in page.events:
                if begin <= event.received_at < end:
                    beyond = 0
                    yield event
                elif event.received_at >= end:
                    beyond += 1

    def _before(self, begin: datetime) -> int:
        """A sequence before every event of that time, as far as they are in order: by halving."""
        edges = event_queries.bounds(self._cx)
        low, high = edges.floor, edges.head
        wanted = to_micros(begin)
        while low < high:
            middle = (low + high) // 2
            found = fetch(self._cx, NEXT_TIME, (middle,))
            if found and found[0][0] < wanted:
                low = middle + 1
            else:
                high = middle
        return max(edges.floor, low - ASTRAY)

    def transactions(self, begin: datetime, end: datetime) -> Iterator[TransactionRecord]:
        """Transactions that began from ``begin`` on and before ``end``, the newest first."""
        where, after = TransactionFilter(started_from=begin, started_before=end), None
        while page := queries.transactions(self._cx, where, after, PAGE):
            yield from page
            after = page[-1].transaction_id

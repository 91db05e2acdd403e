"""Checkpoints: the log's pages are written back to the database, and a disk that can't take them is not kept quiet.

SQLite would do them unasked after commits, and say nothing when they fail: what is committed is safe in the log, but
the log grows until the disk is full.
"""

from pathlib import Path

import apsw
import structlog

CHECKPOINT_PAGES = 4_000
"""About 16 MiB of log: a page that many commits touched is written back to the database once."""

log = structlog.get_logger()


class Checkpoints:
    """Of one writer's connection. Not for several threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.due = False
        """Whether the log is so long that it is time for ``run``."""
        self._pages = 0
        self._most = CHECKPOINT_PAGES
        self._failing = False

    def watch(self, cx: apsw.Connection) -> None:
        """Hear from this connection how long the log is. It must not have checkpoints of its own."""
        cx.set_wal_hook(self._committed)

    def _committed(self, _: apsw.Connection, __: str, pages: int) -> int:
        self._pages = pages
        self.due = pages >= self._most
        return apsw.SQLITE_OK

    def run(self, cx: apsw.Connection) -> None:
        """Checkpoint, after a commit; as far as readers let it, without waiting for them. Never raises: the commit
        stands. After a failure the log first grows by as much again: trying costs as much as succeeding."""
        self.due = False  # until the next commit says how long the log is
        try:
            cx.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.BusyError:
            pass  # a backup tool is at it
        except apsw.Error as error:
            self._most = self._pages + CHECKPOINT_PAGES
            if not self._failing:
                log.error("checkpoint failed", path=str(self._path), error=str(error), log_pages=self._pages)
            self._failing = True
        else:
            self._most = CHECKPOINT_PAGES
            if self._failing:
                log.info("checkpoints work again", path=str(self._path))
            self._failing = False

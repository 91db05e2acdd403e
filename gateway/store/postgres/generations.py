"""Generations of the history: each run of a gateway begins one, and so does each timeline of the server.

A server that takes over begins a timeline (PostgreSQL's word). It may lack events that were seen before, and gives out
their sequences once more. So a position goes with its generation, which is begun before the timeline's first event,
behind the newest one that the server has.
"""

import secrets
from typing import Final

from gateway.store.api import Generation
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.lane import SCHEMA_LOCK

GENERATION_KEY: Final = 2
"""Beside SCHEMA_LOCK: of two writers that find a new timeline the first one begins its generation."""

_TIMELINE: Final = """SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int8,
    (SELECT timeline FROM generation ORDER BY number DESC LIMIT 1)"""

_BEGIN: Final = """INSERT INTO generation (token, first_sequence, timeline) VALUES ($1, 1 + greatest(
    (SELECT floor FROM meta), (SELECT coalesce(max(sequence), 0) FROM event)), $2)"""

_FORGET: Final = """DELETE FROM generation WHERE number IN (SELECT number FROM (SELECT number, first_sequence,
    lead(first_sequence) OVER (ORDER BY number) AS next FROM generation) AS each
    WHERE next IS NOT NULL AND (next = first_sequence OR next <= (SELECT floor FROM meta)))"""


class Generations:
    """Those that this process knows of. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self.known: tuple[Generation, ...] = ()
        self._newest = 0

    def begin(self, cx: Connection, *, always: bool) -> None:
        """Begin one, if the server is on another timeline than the newest one, or ``always``. Due before anything is
        written there."""
        cx.send("BEGIN")
        cx.send("SELECT pg_advisory_xact_lock($1, $2)", SCHEMA_LOCK, GENERATION_KEY)
        timeline, newest = cx.one(_TIMELINE)
        if always or timeline != newest:
            cx.send(_BEGIN, 1 + secrets.randbelow(2**63 - 1), timeline)
            cx.send(_FORGET)
        cx.send("COMMIT")
        self.read(cx)

    def read(self, cx: Connection) -> None:
        """Take note of those that there are."""
        found = cx.rows("SELECT number, token, first_sequence FROM generation ORDER BY number")
        if found and found[-1][0] > self._newest:  # else another thread has seen more
            self._newest = found[-1][0]
            self.known = tuple(Generation(token, first) for _, token, first in found)

    def require(self, cx: Connection, number: int | None) -> None:
        """Know the generation of this number, which was the newest for a snapshot that events are read in."""
        if number is not None and number > self._newest:
            self.read(cx)

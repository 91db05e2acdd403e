"""The servers that a URL names, and connections to one of them.

Libpq goes on to the next host when one refuses, and never when one is silent: a machine that has lost its power would
keep a failover from being followed. Here each has its own time, and the one that answered last comes first.
"""

import time

from gateway.store.postgres.connection import Broken, Connection, each_host, place_of


class Hosts:
    """The servers of one URL. Its methods may be called from any thread."""

    def __init__(self, url: str) -> None:
        self.place = place_of(url)
        self._each, self._seconds = each_host(url)
        self._latest = 0

    def connect(self, until: float | None = None) -> Connection:
        """A connection to the first server that takes one, until then (monotonic; None: as long as all of them may
        take). Raises ``Broken`` with what each of them said."""
        said = list[str]()
        first = self._latest
        for turn in range(len(self._each)):
            at = (first + turn) % len(self._each)
            seconds = self._seconds if until is None else min(self._seconds, until - time.monotonic())
            try:
                connection = Connection(self._each[at], max(seconds, 0.0))
            except Broken as error:
                said.append(str(error))
            else:
                self._latest = at
                return connection
        raise Broken("; ".join(said))

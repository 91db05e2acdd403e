"""Capacity for chargers: a place for each open connection, as many as there are descriptors for.

A process that runs out of descriptors can't accept, can't open its database's files and can't answer its operator. So
the places are counted beforehand, and above the mark newcomers are answered 503 before anything is looked up for them.

    descriptors = RESERVE + others + handshakes in progress + sessions + sessions that are being replaced

``others`` is what is only there where the settings turn it on: connections of the HTTP interface.

Connections that wait for their first bytes, or for a place for their handshake, use what sessions leave.
"""

import resource

import structlog
from attrs import define, field, frozen

from gateway.errors import SettingsError

log = structlog.get_logger()

MOST_DESCRIPTORS = 1024 * 1024
"""What the soft limit is raised to at most; containers often come with a hard limit of a billion. It is Linux's own
ceiling (``fs.nr_open``), and memory ends long before: a session takes some 40 KiB."""

RESERVE = 512
"""Descriptors for everything else: the store (a few connections of three files each), the control interface (256
clients at most), metrics (32 scrapes), logs, wake-ups, and a margin for what libraries open. Of them,
``LEAST_WAITING`` for connections that wait, where sessions have all the rest."""

LEAST_WAITING, MOST_WAITING = 128, 4096
"""Connections that may wait without a place: at most as many as chargers behind one address may come back at once; each
takes 5 kB. At least so many that a charger's connect finds a few seconds among silent ones."""

REPLACED_SHARE = 20
"""One place more for every so many sessions: a link that broke without a word leaves an open connection behind, and
the charger that comes back holds a second one until that is closed, some seconds later. After a power cut that is a
large part of them at once; those that find no place are answered when to come again."""
LEAST_REPLACED = 16
"""The same for small gateways, as far as there are descriptors: one charger that comes back three times in a second
must find a place each time."""


@frozen
class Descriptors:
    """Numbers that the descriptors allow. ``sessions``: chargers at once."""

    descriptors: int
    sessions: int
    replaced: int
    handshakes: int = 0
    others: int = 0


def raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard one. A limit that can't be raised stays what it was."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:  # macOS has a lower limit of its own than the hard one that it reports
        log.warning("the limit of open files can't be raised", soft=soft, hard=hard, error=str(error))


def file_limit() -> int:
    """Return the number of files that may be open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def room_for(descriptors: int, handshakes: int, max_sessions: int | None, others: int = 0) -> Descriptors:
    """Return what remains for sessions. ``handshakes``: how many there may be in progress, over all listeners.
    ``others``: descriptors for what the settings turn on besides.

    Raises ``SettingsError`` where nothing does, and where ``max_sessions`` asks for more than there is.
    """
    reserve = RESERVE + others
    places = descriptors - reserve - handshakes
    sessions = places * REPLACED_SHARE // (REPLACED_SHARE + 1)
    if sessions < 1:
        raise SettingsError(
            f"the limit of open files is {descriptors}, and {reserve + handshakes + 2} is the least to serve a charger "
            f"with: {reserve} are kept for store, control interface and logs, {handshakes} for handshakes in progress "
            "(sessions.max_concurrent_handshakes of each listener); raise the limit (ulimit -n, LimitNOFILE=)"
        )
    if max_sessions is not None:
        if max_sessions > sessions:
            raise SettingsError(
                f"sessions.max_sessions: {max_sessions} are wanted, and the limit of open files, {descriptors}, allows "
                f"{sessions}; raise that limit (ulimit -n, LimitNOFILE=), or leave the setting out"
            )
        sessions = max_sessions
    replaced = min(places - sessions, max(LEAST_REPLACED, sessions // REPLACED_SHARE))
    return Descriptors(descriptors, sessions, replaced, handshakes, others)


@define(eq=False)
class Capacity:
    """The places of one gateway. Belongs to the Trio loop."""

    room: Descriptors
    _taken: int = field(default=0, init=False)

    @property
    def taken(self) -> int:
        """Connections that are served now, those included that are being replaced or closed."""
        return self._taken

    @property
    def may_wait(self) -> int:
        """Connections that may wait now, over all listeners."""
        left = self.room.descriptors - RESERVE - self.room.others - self.room.handshakes - self._taken
        return max(LEAST_WAITING, min(MOST_WAITING, left))

    def has_place(self, *, replaces: bool) -> bool:
        """Return true if one more may come. ``replaces``: a session of the same charger is still there."""
        sessions, replaced = self.room.sessions, self.room.replaced
        return self._taken < (sessions + replaced if replaces else sessions)

    def take(self, *, replaces: bool) -> bool:
        """Take a place, to be given back; False, and none is taken, if there is none.

        No await between the look and the taking, so however many come at once, no place is given twice.
        """
        found = self.has_place(replaces=replaces)
        self._taken += found
        return found

    def give_back(self) -> None:
        """Give back a place that was taken."""
        self._taken -= 1

"""The condition of a running gateway, as operators are shown it."""

from datetime import datetime

from attrs import frozen


@frozen
class StoreStatus:
    """Sizes in bytes; None: the store is a server, whose disk is not known here. ``healthy``: commits are taken."""

    healthy: bool
    database: int
    log: int | None
    free: int | None
    disk: int | None
    waiting: int


@frozen
class WatcherStatus:
    """A watch of events. ``behind``: recorded events that it has not come to."""

    caller: str
    method: str
    since: datetime
    behind: int


@frozen
class ServedCertificate:
    """A certificate, or a list of them. ``kind`` as in the metrics."""

    listener: str
    kind: str
    ends: datetime

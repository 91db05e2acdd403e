"""The error tree.

Rejection is a value here: a refused command, a blocked tag or a bad frame is an object that says why. An exception
from this tree means that something can't be handled at that point:

* ``GatewayError`` - the root; nothing else derives from ``Exception`` directly.
    * ``SettingsError`` - the configuration can't be used; names the key, the file and what was expected.
    * ``StoreError`` - the store can't keep or give what was asked.
        * ``StoreUnavailable`` - a commit or read failed (full disk, I/O error, time-out). Nothing may be acknowledged.
            * ``CommitUnknown`` - the write reached the store, and whether it is kept is not known.
            * ``StoreMisplaced`` - there is no such folder, or no permission: waiting mends nothing.
        * ``StoreInUse`` - another process serves this database.
        * ``StoreCorrupt`` - the database is damaged or of an unknown version.
        * ``StoreReplaced`` - the database is not the one that was last served here.
    * ``ConnectionClosed`` (in ``gateway.transport.api``) - the connection to a charger is over, and by whom.

A foreign exception (``OSError``, ``ssl.SSLError``, ``apsw.Error``) is mapped once, at the edge where it arises.
"""

from collections.abc import Iterator
from typing import TypeVar

_Error = TypeVar("_Error", bound=BaseException)


class GatewayError(Exception):
    """Root of all errors that the gateway raises on purpose."""


class SettingsError(GatewayError):
    """The configuration can't be used. The message names the key, the file and what was expected."""


class StoreError(GatewayError):
    """The store could not do what was asked."""


class StoreUnavailable(StoreError):
    """A commit or a read failed or timed out; what was to be kept must not be acknowledged."""


class CommitUnknown(StoreUnavailable):
    """A commit was begun and its result is not known: it must not be acknowledged, and may yet be found on the disk.

    A plain ``StoreUnavailable`` of a commit says that nothing of it was kept.
    """


class StoreMisplaced(StoreUnavailable):
    """The database can't be at the path that the settings name: no such folder, no permission, no file. The message
    names it; it is the operator's to mend, and no disk's."""


class StoreInUse(StoreError):
    """Another process holds this database. The message names the file and, where known, the process."""


class StoreCorrupt(StoreError):
    """The database is damaged, or written by a version that this one can't read. The message says what to do."""


class StoreReplaced(StoreError):
    """The database is not the one that was last served at this place: restored, copied, or gone. The message says what
    differs and what to do."""


def leaves(group: BaseExceptionGroup[_Error]) -> Iterator[_Error]:
    """The errors in a group, and in the groups in it, in order."""
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from leaves(each)
        else:
            yield each

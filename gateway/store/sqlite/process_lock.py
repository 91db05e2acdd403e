"""One process, one database: a lock file beside it says who serves it.

SQLite itself would let a second gateway in, and both would be right in turns. The lock is ``flock`` on
``<database>.lock``: it goes with the process, however that ends, and holds against a second opening in the same
process. The file stays: removing it would let two processes hold locks on two files of one name.
"""

import errno
import fcntl
import os
from pathlib import Path

from gateway.errors import StoreInUse, StoreMisplaced, StoreUnavailable

_NOTE_BYTES = 128

MISPLACED = frozenset({errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP})
"""What opening a file answers that no waiting mends. A full, read-only or failing disk is none of these."""


def check_place(path: Path) -> None:
    """Raise ``StoreMisplaced`` for a database file that is there and may not be opened for writing, ever."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        if error.errno in MISPLACED:
            raise StoreMisplaced(f"the database {path} can't be opened: {error.strerror}") from error


class ProcessLock:
    """Exclusive ownership of the database at ``path``, from construction to ``release``.

    Raises ``StoreInUse``, naming the file and the process that holds it, ``StoreMisplaced`` where the folder isn't
    there or nothing may be made in it, and ``StoreUnavailable`` where the disk can't make the lock file.
    """

    def __init__(self, path: Path) -> None:
        self._lock = path.with_name(path.name + ".lock")
        try:
            self._fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StoreMisplaced(f"{path.parent}: no such folder") from error
        except OSError as error:
            kind = StoreMisplaced if error.errno in MISPLACED else StoreUnavailable
            raise kind(f"the lock file {self._lock} can't be opened: {error.strerror}") from error
        try:
            self._acquire(path)
        except BaseException:
            os.close(self._fd)
            raise

    def _acquire(self, path: Path) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreInUse(f"the database {path} is served by {self._holder()} (lock file {self._lock})") from None
        except OSError as error:
            raise StoreUnavailable(f"the lock file {self._lock} can't be locked: {error.strerror}") from error
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            pass  # The note is for people; on a full or read-only disk the lock holds without it.

    def _holder(self) -> str:
        note = os.pread(self._fd, _NOTE_BYTES, 0).strip()
        if not note.isdigit():
            return "another process"
        return "this process" if int(note) == os.getpid() else f"process {int(note)}"

    def release(self) -> None:
        """Let others have it. Repeating it does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

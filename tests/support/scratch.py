"""The folder in which tests keep their files: in memory, where there is enough of it.

Every database of a test is synced as a gateway's is, hundreds of times in some tests; a disk takes milliseconds for
that, memory none, and no test asks for what a sync is for. What is left after a power failure is tested on a disk of
the tests' own making (``tests/store/test_power_loss.py``), and a killed process loses nothing either way.
``PYTEST_DEBUG_TEMPROOT=/var/tmp make test`` runs them on a disk.
"""

import os
import tempfile
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")

LEAST_BYTES: Final = 2**31
"""Free, or the tests stay on the disk: all workers together hold some hundred megabytes. Containers often have 64."""

CHOSEN: Final = "PYTEST_DEBUG_TEMPROOT"
"""pytest's own variable for where it makes its folders; processes of pytest-xdist inherit it."""


def choose(memory: Path = MEMORY) -> Path | None:
    """Have pytest, and ``tempfile`` in this process, make their folders in memory. None: it is chosen already, there is
    too little, or no program may be run from there."""
    if CHOSEN not in os.environ and not _has_room(memory):
        return None
    folder = os.environ.setdefault(CHOSEN, str(memory))
    tempfile.tempdir = folder
    return Path(folder)


def _has_room(memory: Path) -> bool:
    if not os.access(memory, os.W_OK | os.X_OK):
        return False
    found = os.statvfs(memory)
    return found.f_bavail * found.f_frsize >= LEAST_BYTES and not found.f_flag & os.ST_NOEXEC

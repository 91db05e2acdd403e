"""The companion: a small file beside the database that says which one was last served here, and how far it had come.

Restored from a backup, or copied from elsewhere, a database would give out transaction numbers, epochs and sequences a
second time. Beside its companion that shows before anything is given out: another store id, a generation that the
companion does not know, or less history than the companion has seen.

The file ``<database>-id`` holds two slots, written in turns and synced, each with a checksum: whenever the process or
the power ends, one of them is whole. It never says more than the database has on disk: of a generation it is written
before the database begins it (``generations`` then has both), of head and number after they were committed.
"""

import struct
import zlib
from pathlib import Path

import apsw
import orjson
from attrs import frozen

SLOT = 512
"""Bytes. One sector, the most that a disk writes whole."""

_HEAD = struct.Struct(">8sIH")
_MAGIC = b"OCPGid1\n"


@frozen
class Companion:
    """``generations``: the tokens of the one that is served and, while the next one begins, of that; 0: from before
    there were any. ``head`` and ``next_number``: what the database had reached at least."""

    store_id: str
    generations: tuple[int, ...]
    head: int
    next_number: int


def companion_path(database: Path) -> Path:
    """Return the path of a database's companion. (A dash, as with the log: SQLite gives it the database's mode.)"""
    return database.with_name(database.name + "-id")


def read_companion(database: Path) -> Companion | None:
    """Return the last record written; None: none, or none that can be read."""
    try:
        content = companion_path(database).read_bytes()
    except OSError:
        return None
    found = _newest(content)
    return None if found is None else found[1]


def write_companion(database: Path, companion: Companion, vfs: str | None = None) -> None:
    """Replace what was written; on disk when it returns. Raises apsw's errors; then the old one still holds."""
    flags = [apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE, 0]
    file = apsw.VFSFile(vfs or "", str(companion_path(database)), flags)
    try:
        content = file.xRead(2 * SLOT, 0) if file.xFileSize() >= 2 * SLOT else b""
        newest = _newest(content)
        count, slot = (1, 0) if newest is None else (newest[0] + 1, 1 - newest[2])
        if not content:
            file.xWrite(bytes(SLOT), SLOT)  # both slots are there before the first is relied on
        file.xWrite(_slot(count, companion), slot * SLOT)
        file.xSync(apsw.SQLITE_SYNC_NORMAL)
    finally:
        file.xClose()


def _slot(count: int, companion: Companion) -> bytes:
    body = orjson.dumps(
        {
            "count": count,
            "store_id": companion.store_id,
            "generations": companion.generations,
            "head": companion.head,
            "next_number": companion.next_number,
        }
    )
    return (_HEAD.pack(_MAGIC, zlib.crc32(body), len(body)) + body).ljust(SLOT, b"\n")


def _newest(content: bytes) -> tuple[int, Companion, int] | None:
    """The count, the companion and the slot of the newest whole slot."""
    found = [whole for slot in (0, 1) if (whole := _read(content[slot * SLOT : (slot + 1) * SLOT], slot)) is not None]
    return max(found, key=lambda each: each[0], default=None)


def _read(data: bytes, slot: int) -> tuple[int, Companion, int] | None:
    if len(data) < _HEAD.size:
        return None
    magic, checksum, length = _HEAD.unpack_from(data)
    body = data[_HEAD.size : _HEAD.size + length]
    if magic != _MAGIC or len(body) != length or zlib.crc32(body) != checksum:
        return None
    try:
        fields = orjson.loads(body)
        companion = Companion(
            str(fields["store_id"]),
            tuple(int(each) for each in fields["generations"]),
            int(fields["head"]),
            int(fields["next_number"]),
        )
        return int(fields["count"]), companion, slot
    except (ValueError, KeyError, TypeError):
        return None

"""A disk that can fail and that power can be taken from: an SQLite VFS over the ordinary files of one folder.

The files themselves are what the process sees, the system's cache. Beside them a ``Platter`` keeps what would be left
of them if the power went now. ``Disk.log`` tells everything that was done, so that a test can replay it on a platter of
its own, stop before any sync, and look at what survived.

What is assumed of a disk, at its worst: nothing reaches it before a sync, or all of it, or any of it, in any order, by
sectors of 512 bytes; new names and removals of files need their directory synced; a file that was made longer may hold
anything there. A sync that fails marks what it should have written as clean: a later sync does not write it, unless
something is written to the same block again (that is what Linux does).
"""

import copy
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import apsw
from attrs import define, field, frozen

SECTOR = 512
"""Bytes that a disk writes whole or not at all."""

BLOCK = 4096
"""Bytes that the system's cache keeps as clean or dirty."""

_SYNCS_ITS_FOLDER = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_WAL


# --- what is done to a disk -----------------------------------------------------------------------------------


@frozen
class Create:
    file: int
    name: str


@frozen
class Write:
    file: int
    offset: int
    data: bytes


@frozen
class Truncate:
    file: int
    size: int


@frozen
class Sync:
    """``folder``: the names of the folder with it."""

    file: int
    folder: bool


@frozen
class FailedSync:
    file: int


@frozen
class Delete:
    name: str
    synced: bool


Operation: TypeAlias = Create | Write | Truncate | Sync | FailedSync | Delete
Change: TypeAlias = Write | Truncate


# --- what would be left of it ---------------------------------------------------------------------------------


@define
class File:
    """``durable`` is on the platter. ``pending`` was written since; ``clean`` too, but a sync of it failed."""

    durable: bytearray = field(factory=bytearray)
    pending: list[Change] = field(factory=list)
    clean: dict[int, list[Write]] = field(factory=dict)


Survival: TypeAlias = Callable[[File, random.Random], bytes]
"""What is left of a file when the power goes."""


class Platter:
    """The files as far as they are certain to survive, and what is on its way to them."""

    def __init__(self, durable: dict[str, bytes]) -> None:
        self._names = {name: n for n, name in enumerate(durable)}
        self._files = {file: File(bytearray(durable[name])) for name, file in self._names.items()}
        self._naming: list[tuple[str, int | None]] = []

    @property
    def next_number(self) -> int:
        """A file number that was never used."""
        return max(self._files, default=0) + 1

    def file_of(self, name: str) -> int | None:
        """The file that the process finds under a name."""
        found = self._names.get(name)
        for renamed, file in self._naming:
            if renamed == name:
                found = file
        return found

    def apply(self, operation: Operation) -> None:
        match operation:
            case Create(file, name):
                self._files[file] = File()
                self._naming.append((name, file))
            case Delete(name, synced):
                self._naming.append((name, None))
                if synced:
                    self._sync_folder()
            case Write(file):
                self._write(self._files[file], operation)
            case Truncate(file):
                self._files[file].pending.append(operation)
            case Sync(file, folder):
                for change in self._files[file].pending:
                    put(self._files[file].durable, change)
                self._files[file].pending.clear()
                if folder:
                    self._sync_folder()
            case FailedSync(file):
                self._fail(self._files[file])

    def _write(self, file: File, write: Write) -> None:
        for block in range(write.offset // BLOCK, (write.offset + len(write.data) - 1) // BLOCK + 1):
            file.pending += file.clean.pop(block, ())  # it is dirty again, all of it
        file.pending.append(write)

    def _fail(self, file: File) -> None:
        for change in file.pending:
            if isinstance(change, Write):
                for piece in pieces(change, BLOCK):
                    file.clean.setdefault(piece.offset // BLOCK, []).append(piece)
            else:
                put(file.durable, change)  # a length is no data: the file system's own journal has it
        file.pending.clear()

    def _sync_folder(self) -> None:
        for name, file in self._naming:
            _name(self._names, name, file)
        self._naming.clear()

    def left(self, survival: Survival, dice: random.Random) -> dict[str, bytes]:
        """The files after a power cut. Names change in the order in which they were changed."""
        names = dict(self._names)
        known: dict[Survival, int] = {lost: 0, whole: len(self._naming)}
        kept = known.get(survival, dice.randint(0, len(self._naming)))
        for name, file in self._naming[:kept]:
            _name(names, name, file)
        return {name: survival(self._files[file], dice) for name, file in names.items()}


def _name(names: dict[str, int], name: str, file: int | None) -> None:
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file


def put(content: bytearray, change: Change) -> None:
    """Do a change; a gap behind the end is filled with zeros."""
    if isinstance(change, Truncate):
        content[change.size :] = bytes(max(0, change.size - len(content)))
        return
    content.extend(bytes(max(0, change.offset - len(content))))
    content[change.offset : change.offset + len(change.data)] = change.data


def pieces(write: Write, size: int) -> Iterator[Write]:
    """A write in parts that end where the disk's or the cache's units do."""
    begin = write.offset
    end = begin + len(write.data)
    while begin < end:
        to = min(end, (begin // size + 1) * size)
        yield Write(write.file, begin, write.data[begin - write.offset : to - write.offset])
        begin = to


def lost(file: File, _: random.Random) -> bytes:
    """Nothing that was not synced."""
    return bytes(file.durable)


def whole(file: File, _: random.Random) -> bytes:
    """Everything."""
    content = bytearray(file.durable)
    for block in file.clean.values():
        for write in block:
            put(content, write)
    for change in file.pending:
        put(content, change)
    return bytes(content)


def prefix(file: File, dice: random.Random) -> bytes:
    """Everything up to some moment, and a part of what was being written then."""
    content = bytearray(file.durable)
    count = dice.randint(0, len(file.pending))
    for change in file.pending[:count]:
        put(content, change)
    if count < len(file.pending):
        cut = file.pending[count]
        sectors = list(pieces(cut, SECTOR)) if isinstance(cut, Write) else []
        for sector in sectors[: dice.randint(0, len(sectors))]:
            put(content, sector)
    return bytes(content)


def torn(file: File, dice: random.Random) -> bytes:
    """Any sectors, whenever they were written."""
    return _some(file, dice, lambda content, write: None)


def garbled(file: File, dice: random.Random) -> bytes:
    """As torn; and what the file was made longer by holds anything."""

    def garble(content: bytearray, write: Write) -> None:
        if write.offset >= len(file.durable):
            put(content, Write(write.file, write.offset, dice.randbytes(len(write.data))))

    return _some(file, dice, garble)


def _some(file: File, dice: random.Random, instead: Callable[[bytearray, Write], None]) -> bytes:
    content = bytearray(file.durable)
    chance = dice.choice((0.1, 0.5, 0.9))
    clean = [write for block in file.clean.values() for write in block]
    for change in (*clean, *file.pending):
        if isinstance(change, Truncate):
            if dice.random() < chance:
                put(content, change)
            continue
        for sector in pieces(change, SECTOR):
            if dice.random() < chance:
                put(content, sector)
            else:
                instead(content, sector)
    return bytes(content)


SURVIVALS: tuple[Survival, ...] = (lost, whole, prefix, torn, garbled)


# --- the VFS --------------------------------------------------------------------------------------------------


Trouble: TypeAlias = Callable[[str], Exception | None]


def no_trouble(_: str) -> None:
    """Everything works."""


def full(_: str) -> Exception:
    return apsw.FullError("no space left on device")


def read_only(_: str) -> Exception:
    return apsw.ReadOnlyError("read-only file system")


def broken(_: str) -> Exception:
    return apsw.IOError("the disk is gone")


class Disk(apsw.VFS):
    """An SQLite VFS under the name ``vfs``, for the databases of ``folder``; ``unregister`` it when all are closed.

    ``write_trouble`` and ``sync_trouble`` make it fail: given the file's name they answer what goes wrong, or None.
    ``sync_seconds`` makes it slow; ``lies``: it says it has synced what it has not. Any thread may use it.
    """

    def __init__(self, folder: Path, *, vfs: str = "disk", platter: Platter | None = None) -> None:
        self.folder = folder
        self.vfs = vfs
        self.write_trouble: Trouble = no_trouble
        self.sync_trouble: Trouble = no_trouble
        self.sync_seconds = 0.0
        self.lies = False
        self.log: list[Operation] = []
        self.platter = platter or Platter(contents(folder))
        self.start = copy.deepcopy(self.platter)
        self._numbers = itertools.count(self.platter.next_number)
        self._lock = threading.Lock()
        super().__init__(vfs, base="")

    def heal(self) -> None:
        """Everything works again."""
        self.write_trouble = self.sync_trouble = no_trouble
        self.sync_seconds = 0.0

    @staticmethod
    def raise_trouble(trouble: Trouble, name: str) -> None:
        error = trouble(name)
        if error is not None:
            raise error

    def record(self, operation: Operation) -> None:
        with self._lock:
            self._record(operation)

    def _record(self, operation: Operation) -> None:
        self.log.append(operation)
        self.platter.apply(operation)

    def xOpen(self, name: Any, flags: list[int]) -> "DiskFile":
        file = DiskFile(self, name, flags)
        with self._lock:
            known = self.platter.file_of(_base(name))
            if known is None:
                known = next(self._numbers)
                self._record(Create(known, _base(name)))
        file.file = known
        return file

    def xDelete(self, name: str, syncdir: bool) -> None:
        super().xDelete(name, syncdir)
        self.record(Delete(_base(name), syncdir))

    def moved(self, folder: Path, vfs: str) -> "Disk":
        """The disk as a new process finds it: the same files in another folder, with the same past."""
        for name, content in contents(self.folder).items():
            (folder / name).write_bytes(content)
        return Disk(folder, vfs=vfs, platter=copy.deepcopy(self.platter))


class DiskFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._name = _base(name)
        self.file = 0
        self._syncs_folder = bool(flags[0] & _SYNCS_ITS_FOLDER) and bool(flags[0] & apsw.SQLITE_OPEN_CREATE)
        super().__init__("", name, flags)

    def excepthook(self, etype: Any, evalue: Any, etraceback: Any) -> bool:
        """Accept trouble that SQLite reports to no caller, as in an automatic checkpoint."""
        return isinstance(evalue, apsw.Error)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.raise_trouble(self._disk.write_trouble, self._name)
        super().xWrite(data, offset)
        self._disk.record(Write(self.file, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        self._disk.raise_trouble(self._disk.write_trouble, self._name)
        super().xTruncate(newsize)
        self._disk.record(Truncate(self.file, newsize))

    def xSync(self, flags: int) -> None:
        if self._disk.sync_seconds:
            time.sleep(self._disk.sync_seconds)
        try:
            self._disk.raise_trouble(self._disk.sync_trouble, self._name)
        except apsw.Error:
            self._disk.record(FailedSync(self.file))
            raise
        # What is synced is the platter; the files themselves only have to outlive the process, if that.
        if not self._disk.lies:
            self._disk.record(Sync(self.file, self._syncs_folder))
        self._syncs_folder = False


def _base(name: Any) -> str:
    return Path(name if isinstance(name, str) else name.filename()).name


def contents(folder: Path) -> dict[str, bytes]:
    """The database's files in a folder: not its shared memory, which no power cut leaves, and not the lock."""
    return {
        each.name: each.read_bytes()
        for each in folder.iterdir()
        if each.is_file() and not each.name.endswith(("-shm", ".lock"))
    }

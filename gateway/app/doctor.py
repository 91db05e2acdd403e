"""`gateway doctor`: whether this machine is fit to run the gateway with these settings.

Nothing is changed but for a file that is written beside the database, synced, and removed (on PostgreSQL empty messages
in the write-ahead log take its place); it may be run beside a gateway that serves. A finding is an error (the gateway
can't serve), a warning (it serves, and something is worth a look) or good.
"""

import ctypes
import errno
import fcntl
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import quote

import apsw
from attrs import frozen

from gateway.app import database_checks, preflight
from gateway.app.checks import Check, Level
from gateway.app.from_settings import descriptors
from gateway.app.settings import Settings
from gateway.app.settings.expectations import Place
from gateway.app.stores import NO_LIBRARY, password
from gateway.chargers.capacity import raise_file_limit
from gateway.errors import SettingsError, StoreError
from gateway.store.sqlite import generations, migrate
from gateway.transport.listener import BACKLOG

SYNCS: Final = 20
"""Writes that are synced, to see how fast the disk is: a second at most on one that is good enough."""

SYNC_BYTES: Final = 16 * 1024
"""Of each: a group commit of some messages."""

SLOW_SYNC_SECONDS: Final = 0.02
"""In the middle: a good disk takes 0.2 to 10 ms, and every answer to a charger waits for one."""

FEW_SESSIONS: Final = 1_000
"""A limit of open files for fewer is one that was not set for a gateway."""

TIME_ERROR: Final = 5
"""Answer of adjtimex(2) where nothing keeps the clock."""

TIMEX_BYTES: Final = 512
"""More than its structure takes, on all platforms."""


@frozen
class Host:
    """The machine, as far as it is looked at: for tests to replace. ``now``: the wall clock. ``measure``: seconds."""

    now: Callable[[], datetime]
    measure: Callable[[], float]
    kernel: Path = Path("/proc/sys")

    def setting(self, name: str) -> int | None:
        """A number among the kernel's settings; None: there is none here."""
        try:
            return int(self.kernel.joinpath(*name.split(".")).read_text(encoding="ascii").split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def clock_is_kept(self) -> bool | None:
        """Return true if something keeps the clock right (NTP); None: that can't be asked here."""
        try:
            found = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
        except (OSError, AttributeError):
            return None
        return None if found < 0 else bool(found != TIME_ERROR)


def examine(settings: Settings, host: Host) -> list[Check]:
    """Look at everything; in the order in which it is best mended."""
    on_server = bool(settings.store.url)
    served = None if on_server else _served_by(settings.store.path)
    return [
        *_settings(settings, host),
        *(_server(settings, host) if on_server else _database(settings, served)),
        *_ports(settings, served, on_server),
        *(() if on_server else _disk(settings, host)),
        *_limits(settings),
        *_kernel(host),
        *_clock(host),
    ]


def _settings(settings: Settings, host: Host) -> Iterator[Check]:
    """Settings, certificates, folders: as `gateway check-config` finds them."""
    findings = preflight.check(settings, host.now())
    for finding in findings:
        yield Check("settings", Level.ERROR if finding.fatal else Level.WARNING, f"{finding.key}: {finding.text}")
    if not findings:
        yield Check("settings", Level.OK, "good, and so are the certificates and folders that they name")


def _served_by(database: Path) -> str | None:
    """The process that serves the database, as its lock file has it; None: none does."""
    lock = database.with_name(database.name + ".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "another process"
    finally:
        os.close(descriptor)
    return None


def _database(settings: Settings, served: str | None) -> Iterator[Check]:
    path = settings.store.path
    if not path.parent.is_dir():
        return  # an error of the settings
    try:
        generations.check_presence(path)
    except StoreError as error:
        yield Check("database", Level.ERROR, str(error))
        return
    if not path.exists():
        yield Check("database", Level.OK, f"{path}: is not there yet; the first start makes it")
        return
    newest = len(migrate.scripts())
    try:
        # Without a log it is in no use, and a plain look would leave an empty one behind.
        way = "mode=ro" if generations.has_log(path) else "immutable=1"
        cx = apsw.Connection(f"file:{quote(str(path))}?{way}", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        try:
            version = migrate.check(cx, path, newest)
            if served is None:  # one that serves writes both, one behind the other
                generations.verify(cx, path)
        finally:
            cx.close(True)
    except StoreError as error:  # names the file
        yield Check("database", Level.ERROR, str(error))
        return
    except apsw.Error as error:
        yield Check("database", Level.ERROR, f"{path}: {error}")
        return
    by = "" if served is None else f", served by process {served}"
    if version in (0, newest):
        yield Check("database", Level.OK, f"{path}: {path.stat().st_size:,} bytes, schema version {version}{by}")
    else:
        text = f"{path}: has schema version {version}, and the next start brings it to {newest}: back it up first{by}"
        yield Check("database", Level.WARNING, text)


def _server(settings: Settings, host: Host) -> Iterator[Check]:
    """Look at the server of the database; one that can't be reached is an error of the settings', too."""
    store = settings.store
    try:
        from gateway.store.postgres.server_look import look

        found = look(store.url, password(store), host.now, host.measure, SYNCS)
    except ImportError:
        yield Check("database", Level.ERROR, NO_LIBRARY)
    except (StoreError, SettingsError) as error:
        yield Check("database", Level.ERROR, str(error))
    else:
        yield from database_checks.checks(found, store)


def _ports(settings: Settings, served: str | None, on_server: bool) -> Iterator[Check]:
    """Look for ports in use. Of a database on a server it can't be said whether this machine's gateway serves it."""
    for place in settings.places():
        taken = _is_taken(place)
        if not taken:
            yield Check("ports", Level.OK, f"{place.key}: {place} is free")
        elif on_server:
            yield Check("ports", Level.WARNING, f"{place.key}: {place} is in use: by a gateway that serves, or another")
        elif served is not None:
            yield Check("ports", Level.OK, f"{place.key}: {place} is in use, and a gateway serves")
        else:
            yield Check("ports", Level.ERROR, f"{place.key}: {place} is in use, and not by a gateway on this database")


def _is_taken(place: Place) -> bool:
    """Return true if something listens there. Names that can't be resolved are a finding of the settings'."""
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return False
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
    return False


def _disk(settings: Settings, host: Host) -> Iterator[Check]:
    folder = settings.store.path.absolute().parent
    try:
        seconds = sorted(_syncs(folder, host.measure))
        free = shutil.disk_usage(folder).free
        used = settings.store.path.stat().st_size if settings.store.path.exists() else 0
    except OSError as error:
        yield Check("disk", Level.ERROR, f"{folder}: can't be written: {error.strerror or error}")
        return
    middle, longest = median(seconds), seconds[-1]
    text = f"{folder}: a sync takes {middle * 1000:.1f} ms, the longest of {SYNCS} took {longest * 1000:.1f}"
    if longest > settings.store.commit_deadline_seconds:
        yield Check("disk", Level.ERROR, f"{text}: longer than store.commit_deadline_seconds")
    elif middle > SLOW_SYNC_SECONDS:
        yield Check("disk", Level.WARNING, f"{text}: every answer to a charger waits for one")
    else:
        yield Check("disk", Level.OK, text)
    wanted = settings.store.retention.max_bytes
    if wanted == 0 or used + free < wanted:
        limit = "has no limit" if wanted == 0 else f"may grow to {wanted:,} bytes (store.retention.max_bytes)"
        text = f"{folder}: {free:,} bytes are free, and the database {limit}"
        yield Check("space", Level.WARNING, text)
    else:
        yield Check("space", Level.OK, f"{folder}: {free:,} bytes are free, enough for what retention lets stay")


def _syncs(folder: Path, measure: Callable[[], float]) -> list[float]:
    """Seconds that writes to a file of that folder take until they are on disk. Raises OSError."""
    path = folder / f".gateway-doctor-{os.getpid()}"
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        found = []
        for _ in range(SYNCS):
            began = measure()
            os.write(descriptor, b"\0" * SYNC_BYTES)
            os.fsync(descriptor)
            found.append(measure() - began)
        return found
    finally:
        os.close(descriptor)
        path.unlink()


def _limits(settings: Settings) -> Iterator[Check]:
    """Open files: of this process, which has the limits of the user who runs it."""
    raise_file_limit()
    sessions = settings.sessions
    try:
        room = descriptors(settings)
    except SettingsError as error:
        yield Check("limits", Level.ERROR, str(error))
        return
    text = f"{room.descriptors:,} open files (ulimit -n, LimitNOFILE=) are enough for {room.sessions:,} charge points"
    few = room.sessions < FEW_SESSIONS and sessions.max_sessions is None
    yield Check("limits", Level.WARNING if few else Level.OK, text)


def _kernel(host: Host) -> Iterator[Check]:
    """Settings of the kernel that a crowd of chargers meets."""
    for name, least, why in (
        ("net.core.somaxconn", BACKLOG, "chargers that come back at once wait in the backlog of the port"),
        ("net.ipv4.tcp_max_syn_backlog", 1024, "the same, before their connection is made"),
        ("fs.file-max", 100_000, "each charger is an open file, of all processes together"),
    ):
        value = host.setting(name)
        if value is None:
            yield Check("kernel", Level.OK, f"{name} can't be read here")
        elif value < least:
            yield Check("kernel", Level.WARNING, f"{name} is {value}, and {least} are better: {why}")
        else:
            yield Check("kernel", Level.OK, f"{name} is {value}")


def _clock(host: Host) -> Iterator[Check]:
    kept = host.clock_is_kept()
    shown = f"{host.now():%Y-%m-%d %H:%M:%S} UTC"
    if kept is None:
        yield Check("clock", Level.OK, f"{shown}; whether something keeps it right can't be asked here")
    elif kept:
        yield Check("clock", Level.OK, f"{shown}, kept right by the system")
    else:
        text = f"{shown}, and nothing keeps it right (NTP): chargers take over this time, and certificates end by it"
        yield Check("clock", Level.WARNING, text)

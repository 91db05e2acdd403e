"""A PostgreSQL for tests: in a folder, on a socket in it, ended with the test session."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from gateway.store.postgres.connection import Connection
from gateway.store.rows import Row

SERVERS = "/usr/lib/postgresql"
"""Where Debian and Ubuntu put them, a folder for each version."""

SHARED = "GATEWAY_TESTS_POSTGRES"
"""The environment's name for the folder of a running server that test processes use one after the other."""

SECONDS = 60
"""For the server to be made and to start: a second or two, on a busy machine many times that."""


def programs() -> Path | None:
    """The folder with ``initdb`` and ``pg_ctl``, of the newest version; None: there is no server here."""
    found = sorted(Path(SERVERS).glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    return None if elsewhere is None else Path(elsewhere).resolve().parent


def missing() -> str:
    """The program whose lack keeps a server from being started here; empty: none is missing."""
    return "" if programs() else "PostgreSQL was not found (on Debian and Ubuntu: apt install postgresql)"


def require() -> None:
    """Skip the test where there is no server; in continuous integration it fails."""
    if missing():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing())


class Server:
    """A running server. ``durable``: with the settings that a promise rests on; else quick, and lost with the power.
    ``primary``: the one whose standby it is, until it is promoted. ``runs``: it was started by another process."""

    def __init__(
        self, folder: Path, durable: bool = False, primary: "Server | None" = None, runs: bool = False
    ) -> None:
        found = programs()
        assert found is not None, "there is a PostgreSQL here"
        self._programs = found
        self.folder = folder
        self._data = folder / "data"
        # A standby has its primary's databases.
        self._numbers: Iterator[int] = count(1) if primary is None else primary._numbers
        self.runs = runs
        self._owner = _owner()
        if runs:
            return
        if self._owner is not None:
            shutil.chown(folder, self._owner)
        if primary is not None:
            copy = ("-D", self._data, "-h", primary.folder, "-U", "postgres", "-R", "-c", "fast", "--no-sync")
            self._run("pg_basebackup", *copy)
            with (self._data / "postgresql.conf").open("a", encoding="utf-8") as file:
                file.write(f"unix_socket_directories = '{folder}'\n")
            self.start()
            return
        initdb = ("-D", self._data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync")
        self._run("initdb", *initdb)
        settings = {
            "listen_addresses": "''",
            "unix_socket_directories": f"'{folder}'",
            "shared_buffers": "32MB",
            "autovacuum": "off",  # its transactions would hold up the horizon at a moment that no test chose
            "max_connections": "60",
            "wal_keep_size": "1GB",  # a standby that lags behind while another one is promoted is to find what it needs
        }
        if not durable:
            settings |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())
        self.start()

    def start(self) -> None:
        log = self.folder / "server.log"
        self._run("pg_ctl", "start", "-D", self._data, "-l", log, "-w", "-t", str(SECONDS), "-s")
        self.runs = True

    def stop(self, mode: str = "immediate") -> None:
        """End the server, if it runs: ``immediate`` as a crash does, ``fast`` in order."""
        if not self.runs:
            return
        self.runs = False
        self._run("pg_ctl", "stop", "-D", self._data, "-m", mode, "-w", "-t", str(SECONDS), "-s")

    @property
    def pid(self) -> int:
        """Of the process that makes all others of the server."""
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def kill(self) -> None:
        """SIGKILL to all processes of the server, as the death of its machine; it can't be started again."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)  # makes no more of them
        children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        for each in (*children, pid):
            try:
                os.kill(each, signal.SIGKILL)
            except ProcessLookupError:
                continue  # its client has gone meanwhile
        self.runs = False

    def promote(self) -> None:
        """Make a standby a primary."""
        self._run("pg_ctl", "promote", "-D", self._data, "-w", "-t", str(SECONDS), "-s")

    def follow(self, primary: "Server | None") -> None:
        """Have a standby take what is recorded from this server from now on; None: from none."""
        self.configure(primary_conninfo="" if primary is None else f"host={primary.folder} user=postgres")

    def received(self) -> int:
        """Bytes of the write-ahead log that a standby has received."""
        return int(self.rows("SELECT (pg_last_wal_receive_lsn() - '0/0'::pg_lsn)::int8")[0][0])

    def configure(self, **settings: str) -> None:
        """Change settings of the running server."""
        for name, value in settings.items():
            self.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        self.execute("SELECT pg_reload_conf()")

    def url(self, database: str, *others: "Server") -> str:
        """The URL of a database; of whichever primary there is, with the other servers given."""
        if others:
            hosts = ",".join(str(each.folder) for each in (self, *others))
            return f"postgresql:///{database}?host={hosts}&user=postgres&target_session_attrs=read-write"
        return f"postgresql:///{database}?host={self.folder}&user=postgres"

    def execute(self, statement: str, database: str = "postgres") -> None:
        cx = Connection(self.url(database))
        try:
            cx.run(statement)
        finally:
            cx.close()

    def rows(self, statement: str, *given: str) -> list[Row]:
        """The rows of a statement, in a connection of its own."""
        cx = Connection(self.url("postgres"))
        try:
            return cx.rows(statement, *given)
        finally:
            cx.close()

    def said(self) -> str:
        """The end of the server's log."""
        return (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")[-2000:]

    def position(self) -> str:
        """The end of the write-ahead log."""
        return str(self.rows("SELECT pg_current_wal_flush_lsn()::text")[0][0])

    def database(self, template: str = "template0") -> str:
        """Make a database; answers its name."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def drop(self, database: str) -> None:
        self.execute(f"DROP DATABASE {database} WITH (FORCE)")

    def _run(self, program: str, *arguments: object) -> None:
        """PostgreSQL refuses to be run by root: then it is run by another user. (Changed to by a program, since a child
        that changes its own user before it runs one dies now and then beside the threads of gRPC.)"""
        command = [str(self._programs / program), *map(str, arguments)]
        if self._owner is not None:
            group = pwd.getpwnam(self._owner).pw_gid
            command = ["setpriv", f"--reuid={self._owner}", f"--regid={group}", "--clear-groups", *command]
        subprocess.run(command, check=True, timeout=2 * SECONDS, stdout=subprocess.DEVNULL, cwd="/")


_TABLES = """SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
    AND relnamespace = 'public'::regnamespace AND relname NOT IN ('gateway_schema', 'event_type', 'event_partition')"""


def empty(url: str) -> None:
    """Empty the tables of a gateway's database, as if it had just been made, and give it another store's id. (A copy of
    a database takes a hundred times as long.)"""
    cx = Connection(url)
    try:
        (meta,) = cx.rows("SELECT md5(random()::text)")
        for (name,) in cx.rows(_TABLES):
            cx.send(f"DELETE FROM {name}")
        cx.send("INSERT INTO meta (store_id, created_at) VALUES ($1, 0)", f"store_{meta[0]}")
        cx.sync()
    finally:
        cx.close()


def _owner() -> str | None:
    """The user that runs the server, where it can't be this one."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    return None


@contextmanager
def shared() -> Iterator[Server]:
    """The server that the environment names, without what the process before left in it; else one for the time of the
    context. (Never used by two at once: what is visible in one database waits for transactions in the others.)"""
    folder = os.environ.get(SHARED)
    if folder is None:
        with server() as running:
            yield running
        return
    running = Server(Path(folder), runs=True)
    for (name,) in running.rows("SELECT datname FROM pg_database WHERE datname LIKE 'test_%'"):
        running.drop(str(name))
    yield running


@contextmanager
def server(durable: bool = False, primary: Server | None = None) -> Iterator[Server]:
    """A server for the time of the context. Its folder's name is short: a socket's path has 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="gateway-pg-") as folder:
        Path(folder).chmod(0o755)
        running = Server(Path(folder), durable, primary)
        try:
            yield running
        finally:
            running.stop()

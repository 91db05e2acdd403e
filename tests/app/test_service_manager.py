"""The service manager: notes over a datagram socket, and listening sockets that are handed over."""

import os
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from attrs import evolve
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.app.serve import Gateway, utc_now
from gateway.app.service_manager import MAX_SOCKETS, HandedOver, ServiceManager, handed_over
from gateway.errors import SettingsError
from tests.app.running import Disk, settings, until
from tests.endtoend.gateway_process import development_certificates


@contextmanager
def receiver(address: str) -> Iterator[socket.socket]:
    """The service manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notes:
        notes.bind("\0" + address[1:] if address.startswith("@") else address)
        notes.settimeout(5)
        yield notes


def received(notes: socket.socket) -> list[str]:
    """The lines of the next note."""
    return notes.recv(4096).decode().split("\n")


@pytest.mark.parametrize("kind", ["file", "abstract"])
def test_notes_are_sent_to_the_managers_socket(tmp_path: Path, kind: str) -> None:
    """A path, or a name of the abstract namespace."""
    address = str(tmp_path / "notify") if kind == "file" else f"@gateway-test-{os.getpid()}"
    environment = {"NOTIFY_SOCKET": address, "OTHER": "stays"}
    with receiver(address) as notes:
        manager = ServiceManager(environment, lambda: 12.5)
        manager.ready("serving")
        assert received(notes) == ["READY=1", "STATUS=serving"]
        manager.reloading()
        assert received(notes)[:2] == ["RELOADING=1", "MONOTONIC_USEC=12500000"]
        manager.status("x")
        assert received(notes) == ["STATUS=x"]
        manager.stopping("draining")
        assert received(notes) == ["STOPPING=1", "STATUS=draining"]
    assert environment == {"OTHER": "stays"}


def test_without_a_manager_nothing_is_sent() -> None:
    """As when it is started from a shell."""
    manager = ServiceManager({}, lambda: 0)
    with capture_logs() as logs:
        manager.ready("serving")
    assert logs == []
    assert manager.watchdog is None


def test_a_manager_that_is_gone_is_no_reason_to_stop(tmp_path: Path) -> None:
    """It is logged."""
    manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "none")}, lambda: 0)
    with capture_logs() as logs:
        manager.ready("serving")
    assert [(line["event"], line["note"]) for line in logs] == [("the service manager was not notified", "READY=1")]


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_a_watchdog_is_for_the_process_that_it_names(variables: dict[str, str], seconds: float | None) -> None:
    """Another one's is none of this process's."""
    assert ServiceManager(dict(variables), lambda: 0).watchdog == seconds


async def test_a_process_that_lives_says_so_twice_in_the_managers_time(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """And at once."""
    address = str(tmp_path / "notify")
    with receiver(address) as notes:
        manager = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "4000000"}, lambda: 0)
        with trio.move_on_after(5):
            await manager.run()
        assert [received(notes) for _ in range(3)] == [["WATCHDOG=1"]] * 3
        notes.setblocking(False)
        with pytest.raises(BlockingIOError):
            notes.recv(100)


# --- sockets ------------------------------------------------------------------------------------------------------


FIRST_HERE = 700
"""Where tests put the sockets: at the descriptors from 3 on this process has files of its own."""


@contextmanager
def handed(*sockets: socket.socket) -> Iterator[dict[str, str]]:
    """Put sockets at descriptors in a row, as systemd does; the environment."""
    places = [FIRST_HERE + index for index in range(len(sockets))]
    for each, place in zip(sockets, places, strict=True):
        os.dup2(each.fileno(), place)
    try:
        yield {"LISTEN_FDS": str(len(sockets)), "LISTEN_PID": str(os.getpid())}
    finally:
        for place in places:
            try:
                os.close(place)
            except OSError:
                pass  # its owner has closed it


def take(environment: dict[str, str], listeners: list[str]) -> HandedOver:
    return handed_over(environment, listeners, FIRST_HERE)


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as made:
        yield made


def test_a_socket_goes_to_the_listener_of_its_name() -> None:
    """The listener owns a descriptor of its own, and the port stays when it closes that."""
    with listening() as one, listening() as two, handed(one, two) as environment:
        environment |= {"LISTEN_FDNAMES": "front:back", "OTHER": "stays"}
        sockets = take(environment, ["back", "front", "third"])
        assert environment == {"OTHER": "stays"}
        [front], [back] = sockets.of("front"), sockets.of("back")
        assert (front.getsockname(), back.getsockname()) == (one.getsockname(), two.getsockname())
        assert not os.get_inheritable(front.fileno())
        assert sockets.of("third") == []
        front.close()
        [again] = sockets.of("front")
        assert again.getsockname() == one.getsockname()
        for each in (again, back):
            each.close()
        sockets.close()


@pytest.mark.parametrize("names", [None, "unknown", "gateway.socket"])
def test_a_socket_without_a_name_is_the_only_listeners(names: str | None) -> None:
    """systemd names it after its unit, or not at all."""
    with listening() as one, handed(one) as environment:
        if names is not None:
            environment["LISTEN_FDNAMES"] = names
        sockets = take(environment, ["chargers"])
        [found] = sockets.of("chargers")
        assert found.getsockname() == one.getsockname()
        found.close()
        sockets.close()


def test_sockets_for_another_process_are_left_alone() -> None:
    """Its variables were inherited; the descriptors are not this process's."""
    environment = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDNAMES": "chargers"}
    assert take(environment, ["chargers"]).of("chargers") == []
    assert environment == {}


@pytest.mark.parametrize(
    ("names", "listeners", "reason"),
    [
        ("other", ["chargers"], '"other", and there is no such listener: FileDescriptorName= is to be one of chargers'),
        ("unknown", ["a", "b"], "has no name, and there are several listeners"),
        ("control", ["chargers"], "is for the control interface: gRPC takes no socket"),
    ],
)
def test_a_socket_that_no_listener_can_use_is_refused_by_name(names: str, listeners: list[str], reason: str) -> None:
    """Chargers would wait in its backlog for ever."""
    with listening() as one, handed(one) as environment:
        environment["LISTEN_FDNAMES"] = names
        with pytest.raises(SettingsError) as caught:
            take(environment, listeners)
        assert reason in str(caught.value)


@pytest.mark.parametrize("count", ["x", str(MAX_SOCKETS + 1), "-1"])
def test_a_number_of_sockets_that_is_none_is_refused(count: str) -> None:
    """Before any descriptor is touched."""
    with pytest.raises(SettingsError, match="LISTEN_FDS: expected at most"):
        handed_over({"LISTEN_FDS": count, "LISTEN_PID": str(os.getpid())}, ["chargers"])


def test_what_is_no_listening_socket_is_refused(tmp_path: Path) -> None:
    """A file; a socket that does not listen; one that is not TCP."""
    refused = pytest.raises(SettingsError, match="does not listen on TCP")
    with socket.socket() as idle, handed(idle) as environment, refused:
        take(environment, ["chargers"])
    with socket.socket(socket.AF_UNIX) as local:
        local.bind(str(tmp_path / "local"))
        local.listen()
        with handed(local) as environment, pytest.raises(SettingsError, match="does not listen on TCP"):
            take(environment, ["chargers"])


# --- a whole gateway ----------------------------------------------------------------------------------------------


async def test_a_gateway_serves_on_a_socket_that_outlives_it_and_says_how_it_is(tmp_path: Path) -> None:
    """Ready when its ports are open, reloading, stopping; a connection that comes after its end waits, and is served by
    the next one."""
    certificates = development_certificates(tmp_path / "certs")
    address = str(tmp_path / "notify")
    tls = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    of = settings(tmp_path, certificates)
    of = evolve(of, listeners=(evolve(of.listeners[0], name="chargers", port=1),))  # nothing may bind that
    with listening() as one, receiver(address) as notes, handed(one) as environment:
        sockets = take(environment, ["chargers"])
        port = one.getsockname()[1]
        waiting: trio.SocketStream | None = None
        for run in range(2):
            disk = Disk(of.store.path, clock=utc_now)
            try:
                manager = ServiceManager({"NOTIFY_SOCKET": address}, trio.current_time)
                gateway = Gateway(of, disk, manager=manager, sockets=sockets)
                with trio.fail_after(60):
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(gateway.run)
                        assert (await trio.to_thread.run_sync(received, notes)) == ["READY=1", "STATUS=serving"]
                        if waiting is None:
                            waiting = await trio.open_tcp_stream("127.0.0.1", port)
                        upgraded = trio.SSLStream(waiting, tls, server_hostname="localhost", https_compatible=True)
                        await upgraded.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                        assert (await upgraded.receive_some(100)).startswith(b"HTTP/1.1 4")
                        await trio.aclose_forcefully(upgraded)
                        if run == 0:
                            await _reloads_and_stops(gateway, notes, nursery)
                            waiting = await trio.open_tcp_stream("127.0.0.1", port)
                        nursery.cancel_scope.cancel()
            finally:
                disk.close()
        sockets.close()


async def _reloads_and_stops(gateway: Gateway, notes: socket.socket, nursery: trio.Nursery) -> None:
    """By the process's own signals."""
    signal.raise_signal(signal.SIGHUP)
    assert (await trio.to_thread.run_sync(received, notes))[0] == "RELOADING=1"
    assert (await trio.to_thread.run_sync(received, notes)) == ["READY=1", "STATUS=serving"]
    signal.raise_signal(signal.SIGTERM)
    assert (await trio.to_thread.run_sync(received, notes)) == ["STOPPING=1", "STATUS=draining"]
    await until(lambda: gateway.journal._ended.is_set())

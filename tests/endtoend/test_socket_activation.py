"""A port that systemd's own tool holds: the first charger starts the gateway, and waits for it in the port's backlog.

A port that goes from one gateway to the next, in one process: tests/app/test_service_manager.py.
"""

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.endtoend.gateway_process import Gateway

CONNECT_SECONDS = 60.0
"""A guard against hanging."""


@pytest.fixture
def gateway(tmp_path: Path, certificates: Path) -> Iterator[Gateway]:
    made = Gateway(tmp_path, certificates)
    try:
        yield made
    finally:
        made.reap()


def test_systemds_own_activation_starts_the_gateway_with_the_first_connection(gateway: Gateway) -> None:
    """And that connection is answered."""
    tool = shutil.which("systemd-socket-activate")
    if tool is None:
        without: Callable[[str], None] = pytest.fail if os.environ.get("CI") else pytest.skip
        without("systemd-socket-activate is not installed: socket activation is not tried with it")
    assert tool is not None
    launcher = (tool, f"--listen=127.0.0.1:{gateway.port}", "--fdname=chargers", sys.executable, "-m", "gateway")
    gateway.begin(launcher)
    with first_connection(gateway.port) as waiting:
        gateway.wait_until_it_serves()
        with gateway.tls.wrap_socket(waiting, server_hostname="localhost") as link:
            link.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert link.recv(100).startswith(b"HTTP/1.1 4")
    assert gateway.stop() == 0


def first_connection(port: int) -> socket.socket:
    """Try until the tool listens."""
    until = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=CONNECT_SECONDS)
        except ConnectionRefusedError:
            assert time.monotonic() < until, "nothing listens"
            time.sleep(0.02)

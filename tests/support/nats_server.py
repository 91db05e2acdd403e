"""One NATS server for tests, on loopback."""

import socket
import subprocess
import time

from tests.cluster.servers import SECONDS, require_nats
from tests.endtoend.gateway_process import free_port


class LoneNats:
    """A server that is alone; ``options``: of its command line."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self._command = [require_nats(), "-a", "127.0.0.1", "-p", str(self.port), *options]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

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

"""The gateway under measurement: started as a user would start it, watched from outside."""

import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket

import grpc
from attrs import frozen

from gateway.api.v1 import charge_point_pb2, charge_point_pb2_grpc

START_SECONDS = 30.0

CONFIG = """
[[listeners]]
certificates = [
  {{ certificate = "certs/server-ecdsa.pem", key = "certs/server-ecdsa.key" }},
  {{ certificate = "certs/server-rsa.pem", key = "certs/server-rsa.key" }},
]
host = "127.0.0.1"
port = {port}
[control]
address = "127.0.0.1:{control}"
[metrics]
address = "off"
[authorization]
unknown_tags = "Accepted"
[sessions]
max_messages_per_second = 100000
[logging]
level = "warning"
"""
"""All else is as it comes: what is measured is what is shipped. But a closed loop is faster than any charger may be."""


@frozen
class Serving:
    """A gateway that runs, and where."""

    process: subprocess.Popen[bytes]
    port: int
    tls: ssl.SSLContext
    channel: grpc.Channel
    folder: Path

    def create(self, identities: Iterable[str]) -> dict[str, bytes]:
        """Make charge points known; their keys."""
        service = charge_point_pb2_grpc.ChargePointServiceStub(self.channel)
        keys = {}
        for identity in identities:
            point = charge_point_pb2.ChargePoint(identity=identity)
            request = charge_point_pb2.CreateChargePointRequest(charge_point=point)
            keys[identity] = service.CreateChargePoint(request, timeout=30).generated_authorization_key
        return keys

    def cpu_seconds(self) -> float:
        """What all its threads have used so far. Linux only."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int:
        """Its resident memory. Linux only."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def disk_bytes(self) -> int:
        """The database and its log."""
        return sum(path.stat().st_size for path in self.folder.glob("gateway.db*"))


@contextmanager
def serving(folder: Path) -> Iterator[Serving]:
    """Certificates, settings, database and process in ``folder``; SIGTERM at the end, which must give exit code 0."""
    gateway = [sys.executable, "-m", "gateway"]
    subprocess.run(
        [*gateway, "certs", "dev", "--directory", "certs"], cwd=folder, check=True, stdout=subprocess.DEVNULL
    )
    port, control = _free_ports(2)
    (folder / "gateway.toml").write_text(CONFIG.format(port=port, control=control), encoding="utf-8")
    process = subprocess.Popen([*gateway, "serve", "--config", "gateway.toml"], cwd=folder)
    channel = grpc.insecure_channel(f"127.0.0.1:{control}")
    try:
        _await_port(process, port)
        tls = ssl.create_default_context(cafile=str(folder / "certs" / "ca.pem"))
        yield Serving(process, port, tls, channel, folder)
        process.terminate()
        if process.wait(60) != 0:
            raise SystemExit(f"the gateway ended with {process.returncode}")
    finally:
        channel.close()
        if process.poll() is None:
            process.kill()
            process.wait(10)


def _await_port(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"the gateway ended with {process.returncode}")
        with socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"the gateway did not listen within {START_SECONDS:.0f} s")


def _free_ports(how_many: int) -> list[int]:
    probes = [socket() for _ in range(how_many)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()

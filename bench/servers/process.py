"""Starting the servers of this folder, each in a process of its own on the server's core."""

import importlib.util
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from bench import cores
from bench.processes import ROOT, Credentials, Usage, certificates, usage

HERE = Path(__file__).resolve().parent

START_SECONDS = 30.0
"""For imports and compiled schemas."""

NODE = ("ocpp_rpc",)
PYTHON = ("bare", "lean_gateway", "trio_websocket", "mobilityhouse")
GO = ("ocpp_go",)
NAMES = (*PYTHON, *NODE, *GO)

BUILT = ROOT / "bench" / "cache"
"""Where a program of Go is built to, and stays."""

BUILD_SECONDS = 300.0
"""For the download of its modules and the build."""

KEY_BYTES = 20
"""As the gateway's own keys."""


class Unavailable(Exception):
    """This server can't be run here; the text says why."""


@frozen(eq=False)
class Running:
    """One of these servers, ready for chargers. A ``processes.Server``."""

    pid: int
    port: int
    ca_file: Path
    host: str = "127.0.0.1"
    path: str = "/ocpp"

    def usage(self) -> Usage:
        """Return the usage of its process."""
        return usage(self.pid)


def why_unavailable(name: str) -> str | None:
    """Return what is missing to run it; None if nothing is."""
    if name == "mobilityhouse" and importlib.util.find_spec("ocpp") is None:
        return "the package ocpp is not installed"
    if name in GO and not _built(name).is_file():
        return "it is not built (python -m bench peers builds it, where Go is there)"
    if name not in NODE:
        return None
    if shutil.which("node") is None:
        return "node was not found"
    if not (ROOT / "node_modules" / "ocpp-rpc").is_dir():
        return "ocpp-rpc is not installed (npm installs it: make peers)"
    return None


def build(name: str) -> str | None:
    """Build it, if it is a program of Go that has changed since; return why that is not possible, None if it is."""
    if name not in GO:
        return None
    sources, program = HERE / name, _built(name)
    if program.is_file() and program.stat().st_mtime > max(each.stat().st_mtime for each in sources.iterdir()):
        return None
    go = shutil.which("go")
    if go is None:
        return "go was not found"
    program.parent.mkdir(exist_ok=True)
    command = [go, "build", "-mod=readonly", "-o", str(program), "."]
    try:
        done = subprocess.run(command, cwd=sources, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS)
    except subprocess.TimeoutExpired:
        return f"it was not built within {BUILD_SECONDS:.0f} s"
    return None if done.returncode == 0 else f"it can't be built: {done.stderr.strip()[-300:]}"


def _built(name: str) -> Path:
    return BUILT / name.replace("_", "-")


def credentials(count: int, prefix: str = "CP") -> list[Credentials]:
    """Chargers with keys; these servers know none and take any."""
    return [Credentials(f"{prefix}{number:05}", os.urandom(KEY_BYTES)) for number in range(count)]


@contextmanager
def running(name: str, folder: Path) -> Iterator[Running]:
    """The server, with certificates in ``folder/certs``; SIGTERM at the end.

    Raises ``Unavailable``; RuntimeError if it does not become ready.
    """
    missing = why_unavailable(name)
    if missing is not None:
        raise Unavailable(missing)
    ca = certificates(folder)
    with cores.on([cores.server_core()]):
        process = subprocess.Popen(
            [*_command(name), str(ca.parent)],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        )
    try:
        yield Running(process.pid, _ready(process, name), ca)
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with {process.returncode}")
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def _command(name: str) -> Sequence[str]:
    if name in NODE:
        return ["node", str(HERE / f"{name}.js")]
    if name in GO:
        return [str(_built(name))]
    if name in PYTHON:
        return [sys.executable, "-m", f"bench.servers.{name}"]
    raise ValueError(f"no server is called {name!r}")


def _ready(process: "subprocess.Popen[bytes]", name: str) -> int:
    """The port that it prints."""
    assert process.stdout is not None
    until = time.monotonic() + START_SECONDS
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([process.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
            raise RuntimeError(f"{name} was not ready within {START_SECONDS:.0f} s")
        part = os.read(process.stdout.fileno(), 256)
        if not part:
            raise RuntimeError(f"{name} ended with {process.wait()} before it was ready")
        line += part
    word, _, port = line.decode().partition(" ")
    if word != "ready":
        raise RuntimeError(f"{name} said {line!r} in place of ready and its port")
    return int(port)

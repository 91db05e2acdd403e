"""Makes the database of an earlier schema that tests/store/test_schemas.py brings up to date, by the code that had it.

    python scripts/earlier_schema.py 19 [20 ...]

The last commit with so many migrations is unpacked and serves; two simulated wallboxes charge there for a quarter of a
minute, and are sent commands. What is left is written to tests/store/schemas/.
"""

import gzip
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = ROOT / "tests" / "store" / "schemas"
MIGRATIONS = "gateway/store/sqlite/migrations"

SETTINGS = """[[listeners]]
host = "127.0.0.1"
port = {port}
[[listeners.certificates]]
certificate = "{certificates}/server-ecdsa.pem"
key = "{certificates}/server-ecdsa.key"
[control]
address = "127.0.0.1:{control}"
[metrics]
address = "off"
[store]
path = "{folder}/gateway.db"
[authorization]
unknown_tags = "Accepted"
"""
"""Names that all versions know."""

CHARGING_SECONDS = 14
START_SECONDS, STOP_SECONDS = 60.0, 60.0


def git(*arguments: str) -> str:
    """The output of a git command."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def migrations(commit: str) -> int:
    """Return the number of migrations that a commit has."""
    return sum(name.endswith(".sql") for name in git("ls-tree", "-r", "--name-only", commit, MIGRATIONS).splitlines())


def last_with(version: int) -> str:
    """The last commit whose schema has that version."""
    for commit in git("rev-list", "HEAD", "--", MIGRATIONS).split():
        if migrations(commit) > version >= migrations(f"{commit}^"):
            found = f"{commit}^"
            if migrations(found) == version:
                return git("rev-parse", found).strip()
    if migrations("HEAD") == version:
        return git("rev-parse", "HEAD").strip()
    raise SystemExit(f"no commit has schema version {version}")


def free_port() -> int:
    """A port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ended(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Have a process end, by force if need be."""
    process.send_signal(number)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def made(version: int, folder: Path) -> Path:
    """Serve and charge; the database that is left, in one file."""
    tree, certificates, port, control = folder / "tree", folder / "certificates", free_port(), free_port()
    tree.mkdir()
    archive = subprocess.run(
        ["git", "archive", last_with(version), "gateway"], cwd=ROOT, capture_output=True, check=True
    )
    subprocess.run(["tar", "-x", "-C", str(tree)], input=archive.stdout, check=True)
    gateway = [sys.executable, "-m", "gateway"]
    environment = {**os.environ, "PYTHONPATH": str(tree), "GATEWAY_TARGET": f"127.0.0.1:{control}"}
    config = folder / "gateway.toml"
    config.write_text(SETTINGS.format(port=port, control=control, certificates=certificates, folder=folder), "utf-8")

    def run(*arguments: str, timeout: float = 60) -> None:
        command = [*gateway, *arguments]
        subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=timeout, check=False)

    run("certs", "dev", "--directory", str(certificates))
    server = subprocess.Popen([*gateway, "serve", "--config", str(config)], cwd=folder, env=environment)
    try:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > until:
                    raise SystemExit(f"the gateway of schema version {version} does not serve") from None
                time.sleep(0.1)
        url, ca = f"wss://localhost:{port}/ocpp/", str(certificates / "ca.pem")
        charging = ["simulate", "--url", url, "--ca", ca, "--count", "2", "--create", "--speed", "600", "--spread", "0"]
        simulator = subprocess.Popen([*gateway, *charging], cwd=folder, env=environment, stdout=subprocess.DEVNULL)
        time.sleep(CHARGING_SECONDS)
        run("reset", "SIM-0001", "--type", "soft")
        run("config", "get", "SIM-0002")
        ended(simulator, signal.SIGINT)
    finally:
        ended(server, signal.SIGTERM)
    whole = folder / "whole.db"
    with sqlite3.connect(folder / "gateway.db") as cx:
        assert cx.execute("PRAGMA user_version").fetchone() == (version,)
        cx.execute("VACUUM INTO ?", (str(whole),))
    cx.close()
    return whole


if __name__ == "__main__":
    if not sys.argv[1:] or not all(each.isdecimal() for each in sys.argv[1:]):
        sys.exit("usage: python scripts/earlier_schema.py VERSION...")
    for each in map(int, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as scratch:
            content = made(each, Path(scratch)).read_bytes()
        (SCHEMAS / f"schema-{each:02}.db.gz").write_bytes(gzip.compress(content, 9, mtime=0))

"""Files with secrets (verifiers of keys, who charged when, private keys) are their owner's alone under any umask."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.endtoend.charger import chargers
from tests.endtoend.gateway_process import Gateway, MakeGateway

ROOT = Path(__file__).resolve().parents[2]
OPEN_UMASK = 0o000
"""So that a file is as open as the code that makes it lets it be."""

PAGES = ("README.md", "docs/store.md", "docs/operations.md")


def open_to_others(folder: Path) -> dict[str, str]:
    """Files and their modes, those with which any user but the owner may do anything."""
    return {
        path.name: oct(mode)
        for path in folder.iterdir()
        if path.is_file() and (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077
    }


def with_open_umask(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it with a umask that takes nothing away, the project's own commands first in the path."""
    shims = folder / "shims"
    shims.mkdir(exist_ok=True)
    for name, arguments in {"sqlite3": "-m apsw", "python": "", "gateway": "-m gateway"}.items():
        (shims / name).write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')
        (shims / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, umask=OPEN_UMASK, check=True
    )


async def test_what_a_serving_gateway_makes_is_its_own(make_gateway: MakeGateway) -> None:
    """Database, write-ahead log, its index, and the lock; while it serves and after it has stopped."""
    gateway: Gateway = make_gateway()
    there = {path.name for path in gateway.folder.iterdir()} | {gateway.log.name}
    umask = os.umask(OPEN_UMASK)
    try:
        gateway.start()
    finally:
        os.umask(umask)
    gateway.add_charge_point("CP1")
    async with chargers(gateway, "CP1") as (charger,):
        await charger.status("Available")
        opened = {name: mode for name, mode in open_to_others(gateway.folder).items() if name not in there}
        assert opened == {}
        made = {path.name for path in gateway.folder.iterdir()} - there
    assert {"gateway.db", "gateway.db-wal", "gateway.db-shm", "gateway.db.lock"} <= made
    assert gateway.stop() == 0
    assert {name for name in open_to_others(gateway.folder) if name not in there} == set()


def documented() -> list[str]:
    """The commands of the documents that read or write a database."""
    lines = [line for page in PAGES for line in (ROOT / page).read_text(encoding="utf-8").splitlines()]
    shown = [line.strip() for line in lines if line.startswith("    ")]
    return [line for line in shown if re.search(r"VACUUM INTO|sqlite\.recovering|\.backup\b", line)]


def test_the_documents_say_how_to_back_up_and_to_recover() -> None:
    """The commands below are found."""
    assert any("VACUUM INTO" in command for command in documented())


@pytest.mark.parametrize("command", documented())
def test_what_a_documented_command_makes_is_the_owners_alone(
    make_gateway: MakeGateway, tmp_path: Path, command: str
) -> None:
    """Run as it is written, on a database of the gateway's."""
    gateway: Gateway = make_gateway()
    gateway.start()
    gateway.add_charge_point("CP1")
    assert gateway.stop() == 0
    folder = tmp_path / "elsewhere"
    folder.mkdir(mode=0o700)
    (folder / "gateway.db").write_bytes(gateway.database.read_bytes())
    (folder / "gateway.db").chmod(0o600)
    before = {path.name for path in folder.iterdir()}
    with_open_umask("sh", "-c", command, folder=folder)
    made = [path for path in folder.iterdir() if path.is_file() and path.name not in before]
    assert made, "the command made no file"
    assert open_to_others(folder) == {}


def test_private_keys_of_a_development_set_are_the_owners_alone(tmp_path: Path) -> None:
    """Certificates are made for handing out; keys are not."""
    with_open_umask("gateway", "certs", "dev", "--directory", "certs", folder=tmp_path)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "certs").iterdir()}
    assert {mode for name, mode in modes.items() if name.endswith(".key")} == {0o600}
    assert stat.S_IMODE((tmp_path / "certs").stat().st_mode) == 0o700

"""Files with secrets (verifiers of keys, who charged when, private keys) are their owner's alone under any umask."""

import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import tap
from gateway.cli.demo import environment
from gateway.cli.main import app
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
    return [
        line for line in shown if re.search(r"VACUUM INTO|sqlite\.recovery|\.backup\b|^gateway (backup|restore)", line)
    ]


def test_the_documents_say_how_to_back_up_and_to_recover() -> None:
    """The commands below are found."""
    for words in ("gateway backup", "gateway restore", "sqlite.recovery"):
        assert any(words in command for command in documented()), words


@pytest.mark.parametrize("command", [each for each in documented() if not each.startswith("gateway ")])
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


# --- commands that write files, in this process -----------------------------------------------------------------


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(OPEN_UMASK)
    yield
    os.umask(before)


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    """Settings whose database is in a folder of its own."""
    (tmp_path / "data").mkdir()
    config = tmp_path / "gateway.toml"
    config.write_text(
        """
        [[listeners]]
        certificates = [{ certificate = "a.pem", key = "a.key" }]
        [store]
        path = "data/gateway.db"
        """
    )
    return config


def run(*arguments: object) -> None:
    """A command in this process."""
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output


def test_what_offline_commands_make_is_the_owners_alone(configured: Path, open_umask: None) -> None:
    """A caller that is made known while no gateway runs, and a database that is taken over: with all that SQLite puts
    beside it."""
    folder = configured.parent / "data"
    run("callers", "add", "root", "--role", "administer", "--offline", "--config", configured)
    assert {"gateway.db", "gateway.db.lock"} <= {each.name for each in folder.iterdir()}
    assert open_to_others(folder) == {}
    run("recover", "--snapshot", "--config", configured)
    assert open_to_others(folder) == {}


def test_what_the_commands_for_keeping_data_make_is_the_owners_alone(configured: Path, open_umask: None) -> None:
    """Backups, what a restored one replaces, exports, and the file by which a disk's speed is measured."""
    data, kept = configured.parent / "data", configured.parent / "kept"
    kept.mkdir()
    offline = ("--offline", "--config", configured)
    run("callers", "add", "root", "--role", "administer", *offline)
    run("backup", kept / "gateway.db", "--config", configured)
    run("backup", kept, "--keep", "14", "--config", configured)
    run("export", kept, "--config", configured)
    assert len(list(kept.glob("*.db"))) == 2
    assert list(kept.rglob("*.csv"))
    run("restore", kept / "gateway.db", "--yes", "--config", configured)
    CliRunner().invoke(app, ["doctor", "--config", str(configured)])  # its certificates are missing: exit code 1
    assert list(data.glob("gateway.db-replaced-*"))
    assert [open_to_others(each) for each in (data, kept)] == [{}, {}]


def test_what_the_demo_makes_is_the_owners_alone(tmp_path: Path, open_umask: None) -> None:
    """Its files are in a folder that is: made for it, or emptied of others' reach."""
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    environment.write_files(folder, 1, 2)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {each.name for each in (folder / "certs").glob("*.key")}
    assert [name for name in open_to_others(folder / "certs") if name.endswith(".key")] == []


def test_what_is_tapped_into_a_file_is_the_owners_alone(tmp_path: Path, open_umask: None) -> None:
    """Idtags and places of chargers are in it. (tests/cli/test_tap.py has the whole command.)"""
    with tap._file(tmp_path / "tap.jsonl") as file:
        assert file is not None
        file.write("x")
    assert open_to_others(tmp_path) == {}


WRITERS = {
    "gateway/app/doctor.py": "test_what_the_commands_for_keeping_data_make_is_the_owners_alone",
    "gateway/app/export.py": "test_what_the_commands_for_keeping_data_make_is_the_owners_alone",
    "gateway/app/processes.py": "",  # a token of NATS: tests/app/test_process_share.py
    "gateway/cli/certificates.py": "test_private_keys_of_a_development_set_are_the_owners_alone",
    "gateway/cli/demo/environment.py": "test_what_the_demo_makes_is_the_owners_alone",
    "gateway/cli/tap.py": "test_what_is_tapped_into_a_file_is_the_owners_alone",
    "gateway/client/tokens.py": "",  # a watch's resume token, by mkstemp for its owner alone
    "gateway/openssl.py": "",  # a copy of OpenSSL's settings, without a secret; removed at once
    "gateway/simulator/link.py": "",  # a simulated charger's key, by mkstemp for its owner alone; removed at once
    "gateway/store/sqlite/backup.py": "test_what_the_commands_for_keeping_data_make_is_the_owners_alone",
    "gateway/store/sqlite/companion.py": "test_what_offline_commands_make_is_the_owners_alone",
    "gateway/store/sqlite/connections.py": "test_what_offline_commands_make_is_the_owners_alone",
    "gateway/store/sqlite/process_lock.py": "test_what_offline_commands_make_is_the_owners_alone",
    "gateway/transport/memory_file.py": "",  # in memory, without a name
}
"""Modules that can make a file, and the test that looks at its mode."""

MAKES_FILES = re.compile(
    r"""\.write_(?:text|bytes)\(|\bopen\([^)]*["'][wax]b?\+?["']|\.open\(["'][wax]|os\.open\(|O_CREAT|VFSFile\("""
    r"""|mkstemp|NamedTemporaryFile|shutil\.copy|\.touch\("""
)


def test_every_module_that_makes_files_is_looked_at() -> None:
    """A new one is missing here until a test looks at the modes of what it makes."""
    found = {
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "gateway").rglob("*.py"))
        if MAKES_FILES.search(path.read_text(encoding="utf-8"))
    }
    assert found == WRITERS.keys()
    assert {name for name in WRITERS.values() if name} <= globals().keys()

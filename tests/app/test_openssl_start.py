"""The groups of TLS in the configuration that OpenSSL starts with: arranged in time, or by a start once more."""

import os
import sys
from pathlib import Path

import pytest

from gateway import openssl
from gateway.openssl import GROUPS, MARK, MAX_BYTES, VARIABLE

LINE = f"Groups = {GROUPS}"


class Replaced(Exception):
    """The process would be another one from here on."""


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in which nothing was arranged yet; its environment is put back at the end."""
    monkeypatch.setattr(openssl, "_arranged", False)
    for name in (VARIABLE, MARK):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def in_time(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """OpenSSL has not started; the configurations that it starts with are noted."""
    found: list[str] = []
    monkeypatch.setattr(openssl, "_LATE", ())
    monkeypatch.setattr(openssl, "_start", lambda: found.append(Path(os.environ[VARIABLE]).read_text("utf-8")))
    return found


@pytest.mark.parametrize("without_memory_files", [False, True])
@pytest.mark.parametrize("own", [None, "providers = p\n"])
def test_openssl_starts_with_the_groups_and_all_that_was_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, in_time: list[str], own: str | None, without_memory_files: bool
) -> None:
    """Once; the environment and the folder for files are as before."""
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    if without_memory_files:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    if own is not None:
        (tmp_path / "own.cnf").write_text(own, "utf-8")
        monkeypatch.setenv(VARIABLE, str(tmp_path / "own.cnf"))
    before = os.environ.get(VARIABLE)
    assert openssl.arrange()
    assert openssl.arrange()
    [read] = in_time
    assert LINE in read
    assert read.startswith(own or "")
    assert os.environ.get(VARIABLE) == before
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("size", [None, MAX_BYTES + 1])
def test_a_configuration_that_can_not_be_read_is_as_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, in_time: list[str], size: int | None
) -> None:
    """OpenSSL would take it so, too; one that is too large is no configuration."""
    path = tmp_path / "own.cnf"
    monkeypatch.setenv(VARIABLE, str(path))
    if size is not None:
        path.write_bytes(b"#" * size)
    assert openssl.arrange()
    [read] = in_time
    assert read.startswith("\n\n[default]\n")
    assert os.environ[VARIABLE] == str(path)


@pytest.mark.parametrize("own", [None, "/nowhere/a:b.cnf"])
def test_a_process_in_which_openssl_has_started_is_started_again(
    monkeypatch: pytest.MonkeyPatch, own: str | None
) -> None:
    """With its own arguments; the second one finds the environment as the first one had it, and starts no third."""
    started: list[list[str]] = []

    def execv(program: str, arguments: list[str]) -> None:
        started.append([program, *arguments])
        raise Replaced

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "gateway", "serve"])
    if own is not None:
        monkeypatch.setenv(VARIABLE, own)
    assert not openssl.arrange()
    with pytest.raises(Replaced):
        openssl.restart_if_late()
    assert started == [[sys.executable, sys.executable, "-m", "gateway", "serve"]]
    path = Path(os.environ[VARIABLE])
    assert LINE in path.read_text("utf-8")
    assert openssl.arrange()
    assert (os.environ.get(VARIABLE), MARK in os.environ) == (own, False)
    assert not path.exists()
    openssl.restart_if_late()
    assert len(started) == 1


def test_a_program_without_a_command_line_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to start: Python is embedded in another program."""
    monkeypatch.setattr(sys, "orig_argv", [])
    openssl.restart_if_late()
    assert VARIABLE not in os.environ

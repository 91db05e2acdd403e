"""Token stores: what is saved survives, and nothing half-written is ever read."""

import os
from pathlib import Path

import pytest

from gateway.client import FileTokenStore, MemoryTokenStore
from tests.support.syncing import noted_syncs


def test_no_file_is_no_token(tmp_path: Path) -> None:
    """The first run begins where its request says."""
    assert FileTokenStore(tmp_path / "token").load() is None
    assert MemoryTokenStore().load() is None


def test_the_last_token_saved_is_loaded(tmp_path: Path) -> None:
    """By another store of the same file; nothing else is left in the folder."""
    store = FileTokenStore(tmp_path / "token")
    store.save(b"\x00one")
    store.save(b"two\n")
    assert FileTokenStore(str(tmp_path / "token")).load() == b"two\n"
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


@pytest.mark.parametrize("content", [b"", b"x" * 101])
def test_a_file_that_holds_no_token_is_refused(tmp_path: Path, content: bytes) -> None:
    """Beginning anew would hide that it is another file."""
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="holds no resume token"):
        FileTokenStore(path).load()


def test_a_token_is_synced_before_it_takes_the_place_of_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file, then its name, then the folder: a power failure at any moment leaves one of the two tokens."""
    done = noted_syncs(monkeypatch)
    FileTokenStore(tmp_path / "token").save(b"one")
    assert done == ["whole token", "folder"]


def test_a_disk_that_fails_leaves_the_last_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing beside it."""
    store = FileTokenStore(tmp_path / "token")
    store.save(b"one")

    def fail(_: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="full"):
        store.save(b"two")
    assert store.load() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["token"]

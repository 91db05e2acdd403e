"""Notes of what is on disk for certain when a file gets its name: all that was written, or less."""

import os
from pathlib import Path
from typing import Any

import pytest


def noted_syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note from now on, in their order: ``folder`` where one is synced, and the name that a file is given in place of
    another, behind ``whole`` or ``part``: so much of the file had been synced before."""
    done: list[str] = []
    synced: dict[int, bytes] = {}
    sync, replace = os.fsync, os.replace

    def fsync(handle: int) -> None:
        if os.path.isdir(opened := f"/proc/self/fd/{handle}"):
            done.append("folder")
        else:
            synced[os.fstat(handle).st_ino] = Path(opened).read_bytes()
        sync(handle)

    def replaced(source: Any, target: Any) -> None:
        file = Path(source)
        whole = synced.get(file.stat().st_ino) == file.read_bytes()
        done.append(f"{'whole' if whole else 'part'} {Path(target).name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replaced)
    return done

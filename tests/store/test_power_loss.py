"""The power goes, at any moment: what was acknowledged is there, once, and nothing that was given out comes again.

A store lives on a recording disk (``tests.support.disk``); then the power is cut before each of its syncs, with what
was not synced lost, kept, cut off, torn or garbled, and a fresh store opens what is left. To go on with other lives for
ten minutes: ``POWER_LOSS_SECONDS=600 POWER_LOSS_SEED=7 make test ARGS=tests/store/test_power_loss.py``.
"""

import hashlib
import itertools
import os
import random
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.store.sqlite import SqliteStore, checkpoints, connections, migrate
from tests.support.disk import Disk, lost, prefix, torn, whole
from tests.support.outages import Life, Violation, examine, leftovers

SECONDS = float(os.environ.get("POWER_LOSS_SECONDS", "0"))
SEED = int(os.environ.get("POWER_LOSS_SEED", "20260301"))

SECOND_MIGRATION = """
CREATE TABLE note (key INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
INSERT INTO note SELECT key, transaction_id FROM txn;
CREATE INDEX note_text ON note (text);
"""
"""A later version's, for the length of a test: it reads and writes, as the real ones will."""


@pytest.fixture(autouse=True)
def a_log_that_is_short(monkeypatch):
    """Many checkpoints and restarts of the log in a short life."""
    monkeypatch.setattr(checkpoints, "CHECKPOINT_PAGES", 40)
    monkeypatch.setattr(connections, "WAL_LIMIT", 64 * 1024)


@pytest.fixture
def disks(tmp_path):
    """Makes disks with folders of their own, and lets go of them."""
    made = []

    def make(files: Mapping[str, bytes] | None = None) -> Disk:
        folder = tmp_path / f"disk-{len(made)}"
        write(folder, files or {})
        made.append(Disk(folder, vfs=f"disk-{len(made)}"))
        return made[-1]

    yield make
    for disk in made:
        disk.unregister()


@contextmanager
def migrations(further: bool) -> Iterator[None]:
    """The real ones, and a further one if asked for."""
    scripts = [*migrate.scripts(), SECOND_MIGRATION] if further else migrate.scripts()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "scripts", lambda: scripts)
        yield


def live(disk: Disk, dice: random.Random, batches: int = 14) -> Life:
    """From the first opening to the last close: sessions, retention, restarts, a migration, a reader in the way."""
    life = Life(disk, dice)
    life.begin()
    for _ in range(batches):
        life.a_batch()
    life.with_a_reader_in_the_way(lambda: [life.a_batch() for _ in range(batches // 2)])
    life.stop()
    life.history.migrated = life.now()
    with migrations(further=True):
        life.start()
        life.settle()
        life.replace("CP3")
        life.probe()
        for _ in range(batches // 2):
            life.a_batch()
        life.stop()
    return life


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def hold(life: Life, position: int, files: Mapping[str, bytes], folder: Path) -> None:
    """A fresh gateway on what is left keeps what was acknowledged until then. Raises Violation."""
    write(folder, files)
    with migrations(further=life.migrated(position)):
        examine(folder, life.history, position)


def hold_all(life: Life, dice: random.Random, folder: Path) -> int:
    """The power is cut before each sync, in every way; answers how often. What is left as it was left before, to the
    byte, and would be held to the same, is not looked at again."""
    count, held = 0, set()
    for position, survival, files in leftovers(life.disk, dice):
        count += 1
        contents = sorted((name, hashlib.sha256(content).digest()) for name, content in files.items())
        same = tuple(contents), life.history.expected_at(position)
        if same in held:
            continue
        held.add(same)
        left = folder / f"left-{count}"
        try:
            hold(life, position, files, left)
        except (Violation, GatewayError) as error:
            error.add_note(f"cut at {position} of {len(life.disk.log)}, {survival}, seed {SEED}; what is left: {left}")
            raise
        shutil.rmtree(left)
    return count


def test_whenever_the_power_goes_what_was_acknowledged_is_there_once(disks, tmp_path):
    """Before every sync, with what was not synced lost, kept, cut off, torn or garbled: each acknowledged event is
    there once, the books are one transaction's, whole, and neither sequences nor epochs nor numbers go back."""
    for seed in range(2):
        life = live(disks(), random.Random(SEED + seed))
        assert hold_all(life, random.Random(SEED), tmp_path) > 250


def test_the_power_may_go_again_while_a_store_recovers(disks, tmp_path):
    """The remains of the remains are held to the same history."""
    dice = random.Random(SEED)
    life = live(disks(), dice, batches=6)
    first = [*leftovers(life.disk, dice, survivals=(whole, torn))]
    cuts = 0
    for position, _, files in dice.sample(first, 12):
        disk = disks(files)
        with migrations(further=life.migrated(position)):
            SqliteStore(disk.folder / "gateway.db", vfs=disk.vfs).close()
        for _, _, again in leftovers(disk, dice, survivals=(lost, prefix, torn)):
            cuts += 1
            hold(life, position, again, tmp_path / f"again-{cuts}")
    assert cuts > 60


def test_a_disk_that_lies_about_its_syncs_is_found_out(disks, tmp_path):
    """This test's own test: without syncs there is no promise to keep, and that shows."""
    disk = disks()
    disk.lies = True
    life = live(disk, random.Random(SEED))
    (position, _, files) = [*leftovers(disk, random.Random(SEED), survivals=(lost,))][-1]
    with pytest.raises(Violation):
        hold(life, position, files, tmp_path / "left")


def test_commits_that_are_not_synced_are_found_out(disks, tmp_path, monkeypatch):
    """This test's own test: with ``synchronous=NORMAL`` the last commits may be gone."""
    monkeypatch.setattr(Life, "start", _start_carelessly)
    life = live(disks(), random.Random(SEED))
    with pytest.raises(Violation):
        hold_all(life, random.Random(SEED), tmp_path)


def _start_carelessly(life: Life, start=Life.start) -> None:
    start(life)
    assert life.store._writer is not None
    life.store._writer.cx.execute("PRAGMA synchronous = NORMAL")


@pytest.mark.skipif(not SECONDS, reason="POWER_LOSS_SECONDS says for how long")
@pytest.mark.timeout(SECONDS + 120)
def test_many_lives(disks, tmp_path):
    """The same with other lives, for as long as one likes."""
    until = time.monotonic() + SECONDS
    for seed in itertools.count(SEED):
        dice = random.Random(seed)
        hold_all(live(disks(), dice, batches=dice.randint(2, 60)), dice, tmp_path)
        print(f"seed {seed} held")
        if time.monotonic() > until:
            return

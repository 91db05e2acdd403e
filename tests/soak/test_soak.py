"""The short form of ``make soak``."""

from pathlib import Path

from tests.endtoend.conftest import certificates
from tests.soak.soaking import soak

__all__ = ["certificates"]


async def test_all_of_it_at_once_leaves_the_books_right_and_memory_flat(tmp_path: Path, certificates: Path) -> None:
    """Links cut, chargers taken over, commands, floods, slow readers, watchers, strangers; nothing missing, nothing
    twice, nothing left behind."""
    print(await soak(tmp_path, certificates, seconds=12, chargers=8))

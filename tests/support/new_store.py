"""New stores for tests whose subject is something else: their empty database is made once in a process, and copied.

Making one runs all migrations, which takes five times as long as to open what they made; thousands of tests, and each
example of some, begin with one. What the migrations make is tested in ``tests/store``.
"""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.store.sqlite import SqliteStore

NAME = "gateway.db"


@cache
def _made() -> dict[str, bytes]:
    """The files of a database that was made and closed, by name."""
    with TemporaryDirectory() as folder:
        SqliteStore(Path(folder) / NAME).close()
        return {each.name: each.read_bytes() for each in Path(folder).iterdir()}


def new_store(folder: Path) -> SqliteStore:
    """A store on a database in ``folder``: the one that is there, or an empty one."""
    path = folder / NAME
    if not path.exists():
        for name, data in _made().items():
            (folder / name).write_bytes(data)
    return SqliteStore(path)

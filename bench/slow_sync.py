"""The gateway on a slower disk: ``python -m bench.slow_sync MILLISECONDS serve --config gateway.toml``.

Makes an SQLite VFS the default one whose files take so much longer for each sync, then runs the gateway's command line
as it is. Cloud volumes take 2 to 10 ms: batches must form by themselves while a commit is under way. All I/O goes
through Python here, which costs the gateway CPU: rates and latencies of this gateway count, its CPU does not.
"""

import sys
import time
from typing import Any

import apsw

NAME = "bench-slow-sync"


class SlowFile(apsw.VFSFile):
    """A file of the VFS named ``base``, with a pause after each sync."""

    def __init__(self, base: str, filename: Any, flags: list[int], seconds: float) -> None:
        super().__init__(base, filename, flags)
        self._seconds = seconds

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        time.sleep(self._seconds)  # other threads run meanwhile, as they would


class SlowSync(apsw.VFS):
    """The VFS that was the default one, with such files."""

    def __init__(self, seconds: float) -> None:
        self._base = apsw.vfs_names()[0]  # from now on "" would be this one
        super().__init__(NAME, base=self._base, makedefault=True)
        self._seconds = seconds

    def xOpen(self, name: Any, flags: list[int]) -> SlowFile:
        return SlowFile(self._base, name, flags, self._seconds)


def main() -> None:
    """Run the gateway's command line; raises SystemExit."""
    vfs = SlowSync(float(sys.argv.pop(1)) / 1000)
    from gateway.cli.main import run

    try:
        run()
    finally:
        vfs.unregister()


if __name__ == "__main__":
    main()

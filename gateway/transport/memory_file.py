"""Bytes under a path: for OpenSSL, which Python's ``ssl`` gives certificates and keys by path only."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def path_of(data: bytes) -> Iterator[str]:
    """A path that ``data`` can be read from while the block runs.

    In memory where the system can do that (Linux), so that what was checked is what is loaded, and no key is written to
    a disk; else a file that only this user can read, removed at the end.
    """
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("gateway")
        path = f"/proc/self/fd/{file}"
        try:
            if os.path.exists(path):
                with open(file, "wb", closefd=False) as written:
                    written.write(data)
                yield path
                return
        finally:
            os.close(file)
    with tempfile.NamedTemporaryFile() as temporary:
        temporary.write(data)
        temporary.flush()
        yield temporary.name

"""Stores that keep a watch's resume token between runs."""

import os
import tempfile
from pathlib import Path
from typing import Protocol

MAX_TOKEN_BYTES = 100
"""The contract's bound of a token. A file that holds more is another one."""


class TokenStore(Protocol):
    """Keeps one resume token. ``save`` returns once it would survive a power failure."""

    def load(self) -> bytes | None:
        """The last token saved; None: none yet."""

    def save(self, token: bytes) -> None:
        """Keep a token in place of the one before."""


class MemoryTokenStore:
    """A token for as long as the program runs: for screens, which need no past, and for tests."""

    def __init__(self, token: bytes | None = None) -> None:
        self.token = token

    def load(self) -> bytes | None:
        """The last token saved."""
        return self.token

    def save(self, token: bytes) -> None:
        """Keep a token."""
        self.token = token


class FileTokenStore:
    """A token in a file of its own. A kill or a power failure leaves the old token or the new one, never a part.

    For one watch of one process. The token belongs to the gateway's store: one of another store is refused with
    BAD_RESUME_TOKEN. Raises OSError where the file can't be read or written, ValueError where it is no token's.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def load(self) -> bytes | None:
        """The token in the file; None: there is no file."""
        try:
            token = self.path.read_bytes()
        except FileNotFoundError:
            return None
        if not 0 < len(token) <= MAX_TOKEN_BYTES:
            raise ValueError(f"{self.path} holds no resume token: it has {len(token)} bytes")
        return token

    def save(self, token: bytes) -> None:
        """Write the token to another file, sync it, and put it in place of the first; then sync the folder."""
        folder = self.path.parent
        handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(token)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)

"""The time of a wrong key's check, by how wrong it is: ``python -m bench.guessing``.

By the processor's time of this thread. Were a guess that begins right to take longer, its time would show the way to
the key.
"""

import argparse
import time
from datetime import UTC, datetime
from typing import Final

from gateway.domain.credentials import MAX_PASSWORD_BYTES, make_credential, verify
from gateway.domain.records import Credential, CredentialKind

KEY: Final = b"0123456789abcdefghij"

GUESSES: Final = {
    "of one byte": b"x",
    "of its length": b"x" * len(KEY),
    "its first half": KEY[: len(KEY) // 2],
    "all but its last byte": KEY[:-1],
    "its last byte changed": KEY[:-1] + b"x",
    "of 255 bytes": b"x" * MAX_PASSWORD_BYTES,
}
"""Name → a wrong key."""


def microseconds(credential: Credential, guess: bytes, count: int) -> float:
    """The median of ``count`` checks."""
    spent = []
    for _ in range(count):
        began = time.thread_time_ns()
        found = verify(credential, guess)
        spent.append(time.thread_time_ns() - began)
        if found:
            raise RuntimeError("a wrong key was taken")
    return sorted(spent)[count // 2] / 1000


def main() -> None:
    """Measure each guess at a generated and at an imported key, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.guessing", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="checks of each guess")
    count = parser.parse_args().count
    kinds = (CredentialKind.GENERATED, CredentialKind.IMPORTED)
    of_kinds = [make_credential(KEY, kind, datetime.now(UTC)) for kind in kinds]
    print(f"{'guess':24}{'generated key':>16}{'imported key':>16}  microseconds, medians of {count}")
    for name, guess in GUESSES.items():
        print(f"{name:24}" + "".join(f"{microseconds(each, guess, count):16.1f}" for each in of_kinds))


if __name__ == "__main__":
    main()

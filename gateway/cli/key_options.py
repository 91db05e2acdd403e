"""AuthorizationKeys as they are given on the command line: as hexadecimal digits, or as text."""

import sys
from typing import Annotated

import typer

KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        "--key-hex",
        help="Its AuthorizationKey (8 to 40 bytes) in hexadecimal; - reads it from standard input.",
    ),
]
KeyTextOption = Annotated[
    str | None,
    typer.Option("--key-text", help="The same as text, as typed into the charger; - reads it from standard input."),
]
ResetOption = Annotated[
    bool, typer.Option("--reset", help="Reset a charger that needs it for its new key, once no transaction is open.")
]
ResetAnywayOption = Annotated[
    bool, typer.Option("--anyway", help="With --reset: also where a transaction is open; the reset ends it.")
]


def read_keys(digits: str | None, text: str | None) -> bytes | None:
    """An AuthorizationKey as it was given, None if it was not. Raises BadParameter, which does not repeat the key."""
    if digits is not None and text is not None:
        raise typer.BadParameter("--key and --key-text are two ways to give one key")
    if digits is not None:
        return _read_key(digits)
    return None if text is None else _read_key_text(text)


def _read_key(text: str) -> bytes:
    """An AuthorizationKey from its hexadecimal digits, or from a line of standard input for ``-``.

    Raises BadParameter, which does not repeat the key.
    """
    digits = sys.stdin.readline().strip() if text == "-" else text
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise typer.BadParameter(
            "expected hexadecimal digits, two for each byte (a password as text: --key-text)", param_hint="--key"
        ) from None


def _read_key_text(text: str) -> bytes:
    """An AuthorizationKey from its text in UTF-8, or from a line of standard input for ``-``.

    Raises BadParameter for text that no page takes as it is: control characters, or spaces at its ends.
    """
    given = sys.stdin.readline().rstrip("\r\n") if text == "-" else text
    if not given.isprintable() or given != given.strip():
        raise typer.BadParameter("has control characters, or spaces at an end", param_hint="--key-text")
    return given.encode("utf-8")

"""Output of commands: tables for people, JSON for machines, one clear line on standard error when something failed.

Much of what is shown was sent by chargers. It is printed as plain text, never as markup, with control characters made
visible: a charger must not be able to move an operator's cursor.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.exit_codes import ExitCode
from gateway.cli.tables import Column, Listing
from gateway.errors import GatewayError

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]

MAX_CELL = 200
"""A longer text is cut in a table; JSON has it whole."""


PIPE_WIDTH = 5_000
"""Columns where output is no terminal: wide enough for every table, a row of which is a line then."""


class CommandFailed(GatewayError):
    """A command did not do what it was asked for. The message is one clear line, for standard error.

    ``code`` is an exit code (``exit_codes.ExitCode``); ``reason`` and ``metadata`` are for programs, and so are
    ``violations``, pairs of a field and what is wrong with it, that the message lists for people.
    """

    def __init__(
        self,
        message: str,
        code: int = 1,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Iterable[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.violations = tuple(violations)
        self.code = code
        self.reason = reason
        self.metadata = dict(metadata or {})


class Interrupted(GatewayError):
    """Ctrl-C while something was under way. The message says what became of it, for standard error; exit code 130."""


def fail(
    message: str,
    code: int = 1,
    reason: str = "",
    metadata: Mapping[str, str] | None = None,
    violations: Iterable[tuple[str, str]] = (),
) -> NoReturn:
    """End the command with an exit code and this line on standard error."""
    raise CommandFailed(message, code, reason, metadata, violations)


def done(text: str, json: bool) -> None:
    """Say that something is done that leaves nothing to show; to a program that is an empty object."""
    if json:
        print_json({})
    else:
        say(text)


def agreed(question: str, yes: bool, json: bool = False) -> bool:
    """Ask at the terminal, unless ``yes`` has answered. Raises CommandFailed where a program would be asked, and where
    there is no answer.

    Last before the thing is done: all that would refuse it and can be known before is looked for first.
    """
    if yes:
        return True
    if json:
        fail("with --json nothing is asked: give --yes", ExitCode.USAGE)
    try:
        return typer.confirm(question, err=True)
    except typer.Abort as error:
        if isinstance(error.__context__, EOFError):
            fail("there is no terminal to ask at: --yes says yes")
        raise


def out() -> Console:
    """Standard output. Made anew each time, since tests and pipes replace the stream. A pipe has no width to keep
    to: scripts that cut columns out of it need them whole."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def err() -> Console:
    """Standard error."""
    return Console(file=sys.stderr, highlight=False, markup=False, emoji=False)


def say(message: str, style: str = "") -> None:
    """A line for people on standard output."""
    out().print(Text(printable(message), style=style), soft_wrap=True)


def note(message: str) -> None:
    """A line for people on standard error: progress, hints."""
    err().print(Text(printable(message), style="dim"), soft_wrap=True)


def complain(message: str) -> None:
    """The one line (or list) that says what went wrong."""
    first, *rest = message.split("\n")
    text = Text("error: ", style="bold red").append(printable(first), style="not bold default")
    for line in rest:
        text.append("\n" + printable(line), style="not bold default")
    err().print(text, soft_wrap=True)


def complain_json(
    message: str,
    code: int,
    *,
    status: str = "",
    reason: str = "",
    metadata: Mapping[str, str] | None = None,
    violations: Iterable[tuple[str, str]] = (),
) -> None:
    """Print an error as one JSON object on a line of standard error, always with the same keys.

    ``status`` is gRPC's name of a status, ``reason`` the gateway's word; both empty where the command line itself
    failed. ``violations`` are (field, description).
    """
    error = {
        "exit_code": code,
        "status": status,
        "reason": reason,
        "message": message,
        "metadata": dict(metadata or {}),
        "violations": [{"field": field, "description": description} for field, description in violations],
    }
    print(json.dumps({"error": error}, ensure_ascii=False), file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """A value on standard output, indented: the whole answer of a command."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_json_line(value: Any) -> None:
    """A value on a line of its own: one element of an endless answer. Flushed, so that a pipe sees it at once."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def table(*columns: str, rows: Sequence[Sequence[object]], title: str = "", empty: str = "none") -> Listing:
    """A table. Marks before a column's name: ``>`` aligned to the right; ``~`` stands below its row where the terminal
    is narrow; ``-`` is left out there. ``empty`` is what is said where there are no rows."""
    return Listing([Column.of(each) for each in columns], [[cell(each) for each in row] for row in rows], title, empty)


def facts(pairs: Iterable[tuple[str, object]]) -> Table:
    """Names and values, one pair a line; pairs without a value are left out."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="dim")
    made.add_column(overflow="fold")
    for name, value in pairs:
        if value not in (None, ""):
            made.add_row(name, cell(value))
    return made


def cell(value: object) -> Text:
    """A value as it stands in a table."""
    if isinstance(value, Text):
        return value
    text = printable("" if value is None else str(value))
    return Text(text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…")


def printable(text: str) -> str:
    """Text without anything that a terminal would obey."""
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)


# --- values ---------------------------------------------------------------------------------------------------


def counted(count: int, noun: str) -> str:
    """A number with what it counts, in the plural unless it is one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def local(moment: datetime | None) -> str:
    """A moment in the reader's own time zone, to the second."""
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """Return roughly how long ago something was."""
    if moment is None:
        return ""
    seconds = int(((now or datetime.now(UTC)) - moment).total_seconds())
    if seconds < 0:
        return "just now"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def kilowatt_hours(milliwatt_hours: int) -> str:
    """Energy for people."""
    return f"{milliwatt_hours / 1_000_000:.3f} kWh"


def kilowatts(watts: float) -> str:
    """Power for people."""
    return f"{watts / 1000:.2f} kW"


def status_style(status: str) -> str:
    """The colour of an OCPP status word."""
    match status:
        case "Available" | "Accepted" | "Operative" | "Unlocked":
            return "green"
        case "Charging":
            return "bold cyan"
        case "Faulted" | "Unavailable" | "Rejected" | "Blocked" | "Invalid" | "UnlockFailed":
            return "red"
        case "Preparing" | "Finishing" | "SuspendedEV" | "SuspendedEVSE" | "Reserved" | "Pending":
            return "yellow"
        case _:
            return ""


def status(word: str) -> Text:
    """An OCPP status word in its colour."""
    return Text(printable(word), style=status_style(word))

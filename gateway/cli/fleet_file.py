"""A fleet in a file: CSV in UTF-8 with a header line, one charger a line. docs/operations.md describes it to operators.

The form of a key is given by its column and never guessed: ``key_hex`` holds hexadecimal digits, ``key_text`` the
password itself, to the space. Faults are reported by line, column and reason, and never by what stands there: a
key may stand in any place of a file that is wrong.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping

from attrs import frozen

from gateway.api.v1.charge_point_pb2 import ChargePoint, ImportedChargePoint
from gateway.api.v1.common_pb2 import Registration
from gateway.cli.output import CommandFailed

MAX_FILE_BYTES = 32 * 1024 * 1024
"""What the gateway takes in one import is no more than that, in its own form."""

KEYS = ("key_hex", "key_text")
COLUMNS = ("identity", *KEYS, "registration", "description", "assume_subprotocol")

LABEL = "label:"
"""What a column of labels begins with; the label's key follows. An empty cell: a charger without that label."""

REGISTRATIONS: Mapping[str, Registration.ValueType] = {
    "": Registration.REGISTRATION_UNSPECIFIED,  # the gateway's default: accepted
    "accepted": Registration.REGISTRATION_ACCEPTED,
    "pending": Registration.REGISTRATION_PENDING,
    "rejected": Registration.REGISTRATION_REJECTED,
}
SWITCHES: Mapping[str, bool] = {"": False, "false": False, "true": True}

_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")


@frozen
class Wrong:
    """One thing that is wrong with a line."""

    line: int
    column: str
    reason: str

    @property
    def place(self) -> str:
        """Return the place in the file in words."""
        return f"line {self.line}: {self.column}" if self.column else f"line {self.line}"

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@frozen
class Row:
    """A charger as far as its line could be read. ``key_column``: where its key stands, or should."""

    line: int
    charge_point: ImportedChargePoint
    key_column: str


@frozen
class FleetFile:
    """The content of a file. Lines that can't be split into columns have no row."""

    rows: tuple[Row, ...]
    wrong: tuple[Wrong, ...]


def read_fleet(data: bytes) -> FleetFile:
    """Read a file's content. Raises CommandFailed if it has no header that can be gone by."""
    if len(data) > MAX_FILE_BYTES:
        raise CommandFailed(f"the file is larger than {MAX_FILE_BYTES // 2**20} MiB: split it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _unusable("is not UTF-8: save the file as CSV in UTF-8", line) from None
    lines = _Lines(text)
    header = next(lines, None)
    if header is None:
        raise _unusable(lines.broken.reason if lines.broken else "there is no header: the file is empty")
    columns = _columns(header[1])
    rows: list[Row] = []
    wrong: list[Wrong] = []
    for line, cells in lines:
        if len(cells) != len(columns):
            wrong.append(
                Wrong(
                    line,
                    "",
                    f"has {len(cells)} column{'' if len(cells) == 1 else 's'}, and the header has {len(columns)}",
                )
            )
            continue
        row, faults = _row(line, dict(zip(columns, cells, strict=True)))
        rows.append(row)
        wrong += faults
    if lines.broken is not None:
        wrong.append(lines.broken)
    return FleetFile(tuple(rows), tuple(wrong))


WRONG_LINES = "WRONG_LINES"
"""The reason of a file that was not imported for what stands in it."""


def _unusable(reason: str, line: int = 1) -> CommandFailed:
    """An error for a file of which no line can be read."""
    wrong = Wrong(line, "", reason)
    return CommandFailed(str(wrong), reason=WRONG_LINES, violations=[(wrong.place, reason)])


class _Lines:
    """The records of a text that aren't empty, each with the number of its first line; up to the first that is no CSV,
    which is ``broken`` then."""

    def __init__(self, text: str) -> None:
        self._reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        self.broken: Wrong | None = None

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        return self

    def __next__(self) -> tuple[int, list[str]]:
        while True:
            line = self._reader.line_num + 1
            try:
                cells = next(self._reader)
            except csv.Error as error:
                self.broken = Wrong(line, "", f"is not CSV, and the lines after it were not read: {error}")
                raise StopIteration from None
            if any(cell.strip() for cell in cells):
                return line, cells


def _columns(header: list[str]) -> list[str]:
    """The columns' names. A header is never shown: where it was forgotten it is a charger with its key."""
    names = [_column(name.strip()) for name in header]
    known = f"a header names columns among {', '.join(COLUMNS)} and {LABEL}KEY"
    for number, name in enumerate(names, 1):
        if name not in COLUMNS and not name.startswith(LABEL):
            hint = "; columns are separated by commas" if len(names) == 1 else ""
            raise _unusable(f"column {number} has a name that is not known: {known}{hint}")
        if name in names[: number - 1]:
            raise _unusable(f"column {number} is there twice{'' if name.startswith(LABEL) else f': {name}'}")
    if "identity" not in names:
        raise _unusable(f"there is no column identity: {known}")
    if not set(KEYS) & set(names):
        raise _unusable("there is no column with keys: key_hex for hexadecimal digits, key_text for text")
    return names


def _column(name: str) -> str:
    """A column's name as it is compared: in any case, but for a label's key."""
    start, key = name[: len(LABEL)].lower(), name[len(LABEL) :]
    return f"{start}{key.strip()}" if start == LABEL else name.lower()


def _row(line: int, cells: dict[str, str]) -> tuple[Row, list[Wrong]]:
    wrong: list[Wrong] = []
    key_column, key, reason = _key(cells)
    if reason:
        wrong.append(Wrong(line, key_column, reason))
    registration = cells.get("registration", "").strip().lower()
    if registration not in REGISTRATIONS:
        wrong.append(Wrong(line, "registration", "must be accepted, pending or rejected, or empty for accepted"))
    assume = cells.get("assume_subprotocol", "").strip().lower()
    if assume not in SWITCHES:
        wrong.append(Wrong(line, "assume_subprotocol", "must be true or false, or empty for false"))
    charge_point = ChargePoint(
        identity=cells["identity"].strip(),
        registration=REGISTRATIONS.get(registration, Registration.REGISTRATION_UNSPECIFIED),
        description=cells.get("description", "").strip(),
        assume_subprotocol=SWITCHES.get(assume, False),
        labels={
            name.removeprefix(LABEL): cell.strip()
            for name, cell in cells.items()
            if name.startswith(LABEL) and cell.strip()
        },
    )
    return Row(line, ImportedChargePoint(charge_point=charge_point, authorization_key=key), key_column), wrong


def _key(cells: dict[str, str]) -> tuple[str, bytes, str]:
    """Column and key, and what is wrong with it, if something is. Its length is the gateway's to judge."""
    digits, text = cells.get("key_hex", "").strip(), cells.get("key_text", "")
    if digits and text:
        return "key_hex", b"", "there is a key_text too: a charger has one key"
    if digits:
        if not _HEX.fullmatch(digits):
            return "key_hex", b"", "must have hexadecimal digits only, two for each byte"
        return "key_hex", bytes.fromhex(digits), ""
    if text:
        return "key_text", text.encode(), ""
    columns = [name for name in KEYS if name in cells]
    return columns[0], b"", f"must be set ({' or '.join(columns)}): an import is for chargers that have their keys"

"""A table that stays readable on a narrow terminal: nothing in it is ever cut to fit.

Where its columns do not fit side by side, the least important ones leave the table: to a line of their own below each
row, or altogether. The width that they need is that of their contents; a pipe has room for everything.
"""

from collections.abc import Iterator, Sequence

from attrs import frozen
from rich.console import Console, ConsoleOptions
from rich.padding import Padding
from rich.text import Text

GAP = 2
"""Spaces between columns."""

INDENT = 4
"""Of what stands below its row."""


@frozen
class Column:
    """A column, by its heading. One that ``yields`` leaves the table before those that don't, the widest first."""

    name: str
    right: bool = False
    yields: bool = False
    dispensable: bool = False
    """Where it leaves the table it is not shown at all; otherwise below its row."""

    @classmethod
    def of(cls, text: str) -> "Column":
        """From its heading with marks before it: ``>`` aligned to the right, ``~`` yields, ``-`` yields and can be
        done without."""
        name = text.lstrip(">~-")
        marks = text[: len(text) - len(name)]
        return cls(name, ">" in marks, "~" in marks or "-" in marks, "-" in marks)


@frozen
class Listing:
    """Rows of texts under headings; a Rich renderable. ``empty`` stands where there are no rows."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Text]]
    title: str = ""
    empty: str = "none"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text | Padding]:
        """The lines, fit for the width."""
        if self.title:
            yield Text(self.title, style="italic")
        if not self.rows:
            yield Text(self.empty, style="dim")
            return
        widths = [
            max(len(column.name), *(row[place].cell_len for row in self.rows))
            for place, column in enumerate(self.columns)
        ]
        kept = self._kept(widths, options.max_width)
        yield self._line([Text(each.name, style="bold") for each in self.columns], kept, widths)
        for row in self.rows:
            yield self._line(row, kept, widths)
            below = self._below(row, kept, max(1, options.max_width - INDENT))
            if below:
                yield Padding(below, (0, 0, 0, INDENT))

    def _kept(self, widths: Sequence[int], room: int) -> list[int]:
        """The columns that stay side by side: the first that doesn't yield does in any case."""
        kept = list(range(len(widths)))

        def wanted(place: int) -> tuple[bool, int, int]:
            column = self.columns[place]
            return (column.yields, widths[place] if column.yields else 0, place)

        while len(kept) > 1 and sum(widths[each] + GAP for each in kept) - GAP > room:
            kept.remove(max(kept, key=wanted))
        return kept

    def _line(self, row: Sequence[Text], kept: Sequence[int], widths: Sequence[int]) -> Text:
        line = Text(overflow="fold")
        for place in kept:
            padding = " " * (widths[place] - row[place].cell_len)
            parts = (padding, row[place]) if self.columns[place].right else (row[place], padding)
            line.append(" " * GAP if line or place != kept[0] else "")
            for part in parts:
                line.append(part)
        line.rstrip()
        return line

    def _below(self, row: Sequence[Text], kept: Sequence[int], room: int) -> Text | None:
        """Yield lines of the cells that left the table, with their names; as many in a line as fit."""
        below, used = Text(overflow="fold"), 0
        for place, column in enumerate(self.columns):
            if place in kept or column.dispensable or not row[place]:
                continue
            part = Text(f"{column.name} ", style="dim").append_text(row[place])
            if below:
                fits = used + GAP + part.cell_len <= room
                below.append(" " * GAP if fits else "\n")
                used = used + GAP if fits else 0
            below.append_text(part)
            used += part.cell_len
        return below or None

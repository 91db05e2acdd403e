"""Changes of rows, gathered over a batch and sent as few statements: one for all charge points that it concerns.

Changes of different charge points don't meet: no row is of two. Those of one charge point keep their order by
going into waves: within a wave its changes come in the order of the statements' ranks, and what would come too early
opens its next wave.
"""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Final

from attrs import frozen

from gateway.store.postgres.connection import Connection
from gateway.store.postgres.encoding import Array, Value

_RANKS: Final = count()


@frozen(eq=False)
class Change:
    """A statement that changes rows of many charge points. ``kinds``: the types of what each row of it is given."""

    rank: int
    sql: str
    kinds: tuple[str, ...]


def change(columns: str, sql: str) -> Change:
    """A change. ``columns``: "name type" of what each row is given, separated by commas, the charge point's key first;
    ``ROWS`` in the statement stands for all of them, as a table of the name ``u``."""
    pairs = [each.split() for each in columns.split(",")]
    names, kinds = [name for name, _ in pairs], tuple(kind for _, kind in pairs)
    arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(kinds, 1))
    return Change(next(_RANKS), sql.replace("ROWS", f"unnest({arrays}) AS u ({', '.join(names)})"), kinds)


def upsert(table: str, keys: Sequence[str], columns: str) -> Change:
    """The change that inserts rows or replaces them. The first column is ``charge_point``, a part of every key."""
    names = [each.split()[0] for each in columns.split(",")]
    kept = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
    return change(
        columns,
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(f'u.{name}' for name in names)} FROM ROWS "
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {kept}",
    )


class Changes:
    """Of one batch."""

    def __init__(self) -> None:
        self._waves: list[dict[Change, list[tuple[Value, ...]]]] = []
        self._at: dict[int, tuple[int, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._waves)

    def add(self, change: Change, *row: Value) -> None:
        """``row`` begins with the charge point's key."""
        self.extend(change, (row,))

    def extend(self, change: Change, rows: Iterable[tuple[Value, ...]]) -> None:
        """Several rows of one charge point, no two of which change the same row."""
        rows = tuple(rows)
        if not rows:
            return
        key = rows[0][0]
        assert isinstance(key, int)
        wave, rank = self._at.get(key, (0, -1))
        if change.rank <= rank:
            wave += 1
        if wave == len(self._waves):
            self._waves.append(defaultdict(list))
        self._waves[wave][change].extend(rows)
        self._at[key] = (wave, change.rank)

    def send(self, cx: Connection) -> None:
        """Queue all of them, in order."""
        for wave in self._waves:
            for each in sorted(wave, key=lambda change: change.rank):
                columns = zip(*wave[each], strict=True)
                cx.send(each.sql, *map(Array, each.kinds, columns))
        self.clear()

    def clear(self) -> None:
        self._waves.clear()
        self._at.clear()

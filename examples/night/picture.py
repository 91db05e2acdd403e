"""The night as a picture: price, plan and power over time, as SVG. Drawn by hand: three step lines need no library."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from xml.sax.saxutils import escape

from attrs import frozen

WIDTH, ROW, LEFT, TOP, GAP = 960, 120, 90, 40, 36
"""Pixels: the whole width, the height of a row, the margins, the space between rows."""

COLOURS = {"price": "#7a5195", "plan": "#bbbbbb", "power": "#2f7d32"}


@frozen
class Line:
    """A step line: each value holds from its time until the next one's."""

    kind: str
    points: Sequence[tuple[datetime, float]]


@frozen
class Row:
    """A row of the picture: lines over the same values, of which ``most`` is the top."""

    title: str
    unit: str
    most: float
    lines: Sequence[Line]


def svg(title: str, rows: Sequence[Row], start: datetime, end: datetime) -> str:
    """The picture as an SVG document."""
    height = TOP + len(rows) * (ROW + GAP) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
        'font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>',
    ]
    for number, row in enumerate(rows):
        parts.extend(_row(row, TOP + number * (ROW + GAP), start, end))
    parts.extend(_hours(start, end, height - GAP + 4))
    return "\n".join([*parts, "</svg>", ""])


def _row(row: Row, top: float, start: datetime, end: datetime) -> Iterable[str]:
    bottom = top + ROW
    yield f'<text x="{LEFT}" y="{top - 5:g}">{escape(row.title)}</text>'
    for share in (0, 0.5, 1):
        y = bottom - share * ROW
        yield f'<line x1="{LEFT}" y1="{y:g}" x2="{WIDTH - 10}" y2="{y:g}" stroke="#eeeeee"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:g}" text-anchor="end">{row.most * share:g} {escape(row.unit)}</text>'
    for line in row.lines:
        if line.points:
            yield (
                f'<path d="{_path(line.points, row.most, bottom, start, end)}" fill="none" '
                f'stroke="{COLOURS[line.kind]}" stroke-width="{4 if line.kind == "plan" else 2}"/>'
            )


def _path(points: Sequence[tuple[datetime, float]], most: float, bottom: float, start: datetime, end: datetime) -> str:
    drawn = []
    for number, (at, value) in enumerate(points):
        y = bottom - min(value / most, 1) * ROW
        until = points[number + 1][0] if number + 1 < len(points) else end
        drawn.append(f"{'L' if number else 'M'}{_x(at, start, end):.1f} {y:.1f} H{_x(until, start, end):.1f}")
    return " ".join(drawn)


def _hours(start: datetime, end: datetime, y: float) -> Iterable[str]:
    hours = int((end - start).total_seconds() // 3600)
    for hour in range(hours + 1):
        at = start + hour * (end - start) / hours
        yield f'<text x="{_x(at, start, end):.1f}" y="{y:g}" text-anchor="middle">{at:%H:%M}</text>'


def _x(at: datetime, start: datetime, end: datetime) -> float:
    share = (at - start) / (end - start)
    return LEFT + min(max(share, 0), 1) * (WIDTH - 10 - LEFT)

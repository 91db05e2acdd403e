"""Errors of estimated ends, by shape and share of the energy; run as a module it prints the table of
docs/energy.md."""

import random
from functools import cache
from statistics import median

from attrs import frozen

from gateway.energy.completion import CompletionState, estimate_completion
from tests.energy.charging_curves import SHAPES, plain

SHARES = (0.25, 0.5, 0.75)
SESSIONS = 60


@frozen
class Errors:
    """Of many sessions at one share: errors in percent of the time that was left, and how often the bounds held."""

    median: float
    p90: float
    plain_median: float
    plain_p90: float
    within: float
    estimated: float
    """Share of sessions with an estimate."""


@cache
def errors(shape: str, share: float, sessions: int = SESSIONS, seed: int = 1) -> Errors:
    ours, theirs, within, known = [], [], 0, 0
    for number in range(sessions):
        curve = SHAPES[shape](random.Random(f"{seed} {shape} {number}"))
        charge = curve.seen(curve.step_at(share))
        left = (curve.end - charge.now).total_seconds()
        found = estimate_completion(charge, curve.target)
        theirs.append(abs((plain(charge, curve.target_kwh) - curve.end).total_seconds()) / left * 100)
        if found.state is not CompletionState.ESTIMATED or found.finish is None or found.earliest is None:
            continue
        known += 1
        ours.append(abs((found.finish - curve.end).total_seconds()) / left * 100)
        within += found.earliest <= curve.end and (found.latest is None or curve.end <= found.latest)
    return Errors(
        median(ours), _p90(ours), median(theirs), _p90(theirs), 100 * within / max(known, 1), 100 * known / sessions
    )


def _p90(values: list[float]) -> float:
    return sorted(values)[max(-(-len(values) * 9 // 10) - 1, 0)]


def table(sessions: int = SESSIONS) -> str:
    """The table as Markdown."""
    lines = [
        "| shape | at | median | p90 | plain: median | plain: p90 | within the bounds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for shape in SHAPES:
        for share in SHARES:
            found = errors(shape, share, sessions)
            cells = (found.median, found.p90, found.plain_median, found.plain_p90, found.within)
            lines.append(f"| {shape} | {share:.0%} | " + " | ".join(f"{cell:.0f} %" for cell in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())

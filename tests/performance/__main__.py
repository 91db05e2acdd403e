"""``python -m tests.performance``: the cost of one message now, in the form in which ``test_budget`` and
``test_journeys`` have it recorded. With ``--journeys`` each call of the journeys besides, in order.
"""

from __future__ import annotations

import platform
import sys
import tempfile
from pathlib import Path

import trio

from tests.performance import counting, tracing


def main() -> None:
    print(f"CPython {platform.python_version()}")
    counts = counting.calls_per_step()
    for step, count in counts.items():
        print(f'    "{step}": {count},')
    print(f"function calls of a message: {sum(counts.values())}")
    with tempfile.TemporaryDirectory() as folder:
        journeys = trio.run(tracing.journeys, Path(folder))
    for name, calls in journeys.items():
        print(f"calls of a journey, {name}: {len(calls)}")
        if "--journeys" in sys.argv:
            print(tracing.listed(calls))
    if counting.valgrind() is None:
        print("valgrind was not found: instructions were not counted")
        return
    message, yardstick = counting.instructions()
    print(f"instructions of a message: {message:,.0f}, of the yardstick: {yardstick:,.0f}: {message / yardstick:.2f}")


main()

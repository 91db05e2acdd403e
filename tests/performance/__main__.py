"""``python -m tests.performance``: what one message costs now, in the form in which ``test_budget`` has it recorded."""

from __future__ import annotations

import platform

from tests.performance import counting


def main() -> None:
    print(f"CPython {platform.python_version()}")
    counts = counting.calls_per_step()
    for step, count in counts.items():
        print(f'    "{step}": {count},')
    print(f"function calls of a message: {sum(counts.values())}")
    if counting.valgrind() is None:
        print("valgrind was not found: instructions were not counted")
        return
    message, yardstick = counting.instructions()
    print(f"instructions of a message: {message:,.0f}, of the yardstick: {yardstick:,.0f}: {message / yardstick:.2f}")


main()

"""``python -m bench``: what to measure is the first argument."""

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from bench import load

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", metavar="MEASUREMENT", required=True)
    each = commands.add_parser("load", help=load.HELP, description=load.__doc__)
    each.add_argument("--sessions", type=_positive(int), default=200, help="chargers at once (%(default)s)")
    each.add_argument("--seconds", type=_positive(float), default=20.0, help="how long to measure (%(default)s)")
    each.add_argument("--warm-up", type=_positive(float), default=3.0, help="seconds before that (%(default)s)")
    each.add_argument("--pause", type=float, default=0.0, help="seconds between a charger's messages (%(default)s)")
    each.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON (%(default)s)")
    options = parser.parse_args()
    plan = load.Plan(options.sessions, options.seconds, options.warm_up, options.pause)
    result = asyncio.run(load.measure(plan))
    print(load.as_text(result))
    print(load.write(result, options.results))
    return 0


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def positive(text: str) -> float:
        value = kind(text)
        if value <= 0:
            raise argparse.ArgumentTypeError(f"expected more than 0, found {text}")
        return value

    return positive


if __name__ == "__main__":
    sys.exit(main())

"""Measurements of the gateway under load. Without an argument: all of them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench import check, cores, report, results, scenarios

RESULTS = Path(__file__).resolve().parent / "results"

EPILOG = """\
Each measurement starts what it measures, by itself, on one core, drives it from the others and stops it again; only
Linux is supported. Results: JSON, a Markdown table and plots in a new folder under bench/results. Leave the machine
alone meanwhile. `python -m bench MEASUREMENT --help` tells the options of each.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; exit code 1 if a result is not valid, or, for ``check``, if something has become worse."""
    options = _parser().parse_args(arguments)
    if not sys.platform.startswith("linux"):
        print("error: CPU and memory are taken from /proc, which only Linux has", file=sys.stderr)
        return 2
    cores.drive()
    run = getattr(options, "act", _all)
    try:
        return int(run(options, Console()))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="MEASUREMENT")
    plain = argparse.RawDescriptionHelpFormatter
    each = commands.add_parser("all", help="all of the following, some 105 minutes with soak's hour (the default)")
    for target in (parser, each):
        _add_results(target)
        target.add_argument("--short", action="store_true", help="their short forms: under ten minutes")
        target.add_argument(
            "--without", nargs="+", default=[], metavar="NAME", choices=scenarios.NAMES, help="leave out"
        )
    each.set_defaults(act=_all)
    for name in scenarios.NAMES:
        scenario = scenarios.load(name)
        each = commands.add_parser(name, help=scenario.HELP, description=scenario.__doc__, formatter_class=plain)
        scenario.add_arguments(each)
        _add_results(each)
        each.set_defaults(act=_one, scenario=name)
    for module in (check, report):
        each = commands.add_parser(module.NAME, help=module.HELP, description=module.__doc__, formatter_class=plain)
        module.add_arguments(each)
        _add_results(each)
        each.set_defaults(act=module.run)
    return parser


def _add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="where they go (%(default)s)")


def _one(options: argparse.Namespace, console: Console) -> int:
    measured = scenarios.load(options.scenario).run(options, console)
    results.show(measured, console)
    console.print(f"Kept in {results.write(measured, options.results)}", soft_wrap=True)
    return 0 if all(result.valid for result in measured) else 1


def _all(options: argparse.Namespace, console: Console) -> int:
    code = 0
    for name in scenarios.NAMES:
        if name in options.without:
            continue
        scenario = scenarios.load(name)
        console.rule(name)
        chosen = vars(scenarios.options(scenario, scenario.SHORT if options.short else {}))
        try:
            code |= _one(argparse.Namespace(**chosen, scenario=name, results=options.results), console)
        except Exception:  # one that fails leaves the others to be measured
            console.print_exception()
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())

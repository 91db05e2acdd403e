"""The scenarios that are measured. A scenario is a module in here, named as its subcommand.

It has ``NAME``; ``HELP``: one line that says what it does and how long it takes; ``add_arguments(parser)``;
``run(options, console) -> list[Result]``; and ``SHORT``: the options that `bench.check` runs it with.
"""

import argparse
import importlib
from collections.abc import Mapping
from typing import Any, Protocol, cast

from rich.console import Console

from bench.results import Result

NAMES = (
    "startup",
    "throughput",
    "hold",
    "storm",
    "overload",
    "reconcile",
    "commands",
    "watch",
    "lists",
    "transport",
    "rates",
    "peers",
    "attacks",
    "nodes",
    "soak",
)
"""In the order in which all of them are run."""


class Scenario(Protocol):
    """Interface of such a module."""

    NAME: str
    HELP: str
    SHORT: Mapping[str, Any]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, options: argparse.Namespace, console: Console) -> list[Result]: ...


def load(name: str) -> Scenario:
    """The scenario of this name. Raises ModuleNotFoundError if something it needs is not installed."""
    return cast(Scenario, importlib.import_module(f"bench.scenarios.{name}"))


def options(scenario: Scenario, values: Mapping[str, Any]) -> argparse.Namespace:
    """Its options: defaults, with ``values`` in their places. Raises ValueError for a name that it doesn't have."""
    parser = argparse.ArgumentParser()
    scenario.add_arguments(parser)
    parsed = parser.parse_args([])
    if unknown := set(values) - set(vars(parsed)):
        raise ValueError(f"{scenario.NAME} has no option {', '.join(sorted(unknown))}")
    vars(parsed).update(values)
    return parsed

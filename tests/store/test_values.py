"""The store's writes, answers and records are values: made from their fields, equal by them, and never changed."""

import inspect
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import attrs
import pytest

import gateway.store

MODULES = sorted(
    path.stem for path in Path(gateway.store.__file__).parent.glob("*.py") if not path.stem.startswith("_")
)

OBJECTS = {"Reads", "Times"}
"""What both stores share beside values: the reads of a store, and a clock's looks."""


def classes(module: str) -> list[type[Any]]:
    """The classes that a module of both stores defines, but for interfaces, tuples and what does something."""
    loaded = import_module(f"gateway.store.{module}")
    return [
        each
        for _, each in inspect.getmembers(loaded, inspect.isclass)
        if each.__module__ == loaded.__name__
        and Protocol not in each.__bases__
        and not issubclass(each, tuple | Exception | Enum)
        and each.__name__ not in OBJECTS
    ]


@pytest.mark.parametrize("module", MODULES)
def test_what_both_stores_exchange_is_values(module: str) -> None:
    """A class without its decorator takes no fields, and is equal to itself alone."""
    for each in classes(module):
        assert attrs.has(each), each
        assert each.__eq__ is not object.__eq__, each
        assert each.__hash__ not in (None, object.__hash__), each


def test_there_are_some() -> None:
    """The rule has something to hold."""
    assert sum(len(classes(module)) for module in MODULES) > 50

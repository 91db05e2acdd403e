"""Conditions on records, as a tree that a store can turn into a query: comparisons, joined by and, or and not.

A comparison with what a record does not have is false, and its negation true: there is no third value.
"""

from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from attrs import frozen

Value: TypeAlias = str | bool | datetime


class Operator(StrEnum):
    """The ways to compare."""

    EQUAL = "="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    HAS = ":"
    """There is a value, whatever it is; of labels."""


@frozen
class Comparison:
    """A field of the record against a value. ``key``: of a label; empty for other fields."""

    field: str
    operator: Operator
    value: Value
    key: str = ""


@frozen
class Not:
    """The opposite."""

    part: "Condition"


@frozen
class AllOf:
    """All of several; at least two."""

    parts: tuple["Condition", ...]


@frozen
class AnyOf:
    """At least one of several; at least two."""

    parts: tuple["Condition", ...]


Condition: TypeAlias = Comparison | Not | AllOf | AnyOf


@frozen
class Order:
    """An order of records: by a field, and among equals by their key."""

    field: str
    descending: bool = False

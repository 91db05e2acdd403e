"""Hypothesis strategies for the domain's values, by their annotations."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs
from hypothesis import strategies as st

from gateway.domain.codec import NOT_STORED

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
NUMBERS = st.integers(-(2**63), 2**63 - 1)
SENT = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
"""What a charger may have sent, as it comes out of a frame."""


def strategy_of(hint: Any, fields: Mapping[str, st.SearchStrategy[Any]] | None = None) -> st.SearchStrategy[Any]:
    """Values of an annotation. ``fields`` stand in for what the annotation of a field of that name would give."""
    fields = fields or {}
    if hint is Any:
        return SENT
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return st.one_of(*(strategy_of(arg, fields) for arg in get_args(hint)))
    if origin is tuple:
        return st.lists(strategy_of(get_args(hint)[0], fields), max_size=3).map(tuple)
    if attrs.has(hint):
        hints = get_type_hints(hint)
        names = [a.name for a in attrs.fields(hint) if a.name not in NOT_STORED]
        return st.builds(hint, **{n: fields[n] if n in fields else strategy_of(hints[n], fields) for n in names})
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    known = {
        NoneType: st.none(),
        str: TEXT,
        bool: st.booleans(),
        int: NUMBERS,
        float: st.floats(allow_nan=False, allow_infinity=False),
        datetime: TIMES,
        Decimal: st.decimals(allow_nan=False, allow_infinity=False, places=2),
    }
    return known[hint]

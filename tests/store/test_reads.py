"""Reads of the store for tasks of the loop: each is the store's own, with all that it was given, in its order."""

import inspect
from typing import Any

import pytest

from gateway.store.api import Store
from gateway.store.reads import Reads

NAMES = sorted(
    name
    for name, each in vars(Reads).items()
    if inspect.isfunction(each) and not name.startswith("_") and name not in ("run", "compute")
)


class Named:
    """A store, of which each read is its own name."""

    def __getattr__(self, name: str) -> str:
        return name


class Runner:
    """Runs nothing, and shows what it was given."""

    def read(self, *given: Any) -> tuple[Any, ...]:
        return given


def reads() -> Reads:
    store: Any = Named()
    runner: Any = Runner()
    return Reads(store, runner)


@pytest.mark.parametrize("name", NAMES)
def test_a_read_is_the_stores_with_all_that_it_was_given(name: str) -> None:
    """And where something is left out, what the store takes in its place."""
    own = inspect.signature(getattr(Reads, name)).parameters
    theirs = inspect.signature(getattr(Store, name)).parameters
    assert [(each.name, each.default) for each in own.values()] == [
        (each.name, each.default) for each in theirs.values()
    ]
    given = [object() for each in own if each != "self"]
    assert getattr(reads(), name)(*given) == (name, *given)


def test_what_reads_several_times_is_given_the_store() -> None:
    """A computation is not."""
    made = reads()
    function, first, second = (object() for _ in range(3))
    made_any: Any = made
    assert made_any.run(function, first, second) == (function, made_any._store, first, second)
    assert made_any.compute(function, first, second) == (function, first, second)
    assert (made.store_id, made.store_kind, made.generations) == ("store_id", "kind", "generations")
    assert made_any.current_generations() == "generations"

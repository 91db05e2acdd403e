"""Callers of the control interface, as the store keeps them."""

import pytest

from gateway.domain.callers import MAX_CALLERS, Caller, Role
from gateway.store.api import Store
from gateway.store.commits import AddCaller, Done, Exists, GuardFailed, Missing, RemoveCaller
from tests.store.builders import T0, one


def test_callers_are_kept_as_they_are_and_listed_by_name(store: Store) -> None:
    """By what each shows."""
    second = Caller("b", (Role.READ, Role.VENDOR_DATA), T0, b"digest")
    first = Caller("a", (Role.READ,), T0, certificate_name="a.example", scope={"site": "north", "b": "ü"})
    for each in (second, first):
        assert one(store, AddCaller(each)) == Done()
    assert store.callers() == [first, second]


@pytest.mark.parametrize(
    ("other", "taken"),
    [
        (Caller("a", (Role.READ,), T0, b"other"), "name"),
        (Caller("b", (Role.READ,), T0, certificate_name="a.example"), "certificate_name"),
    ],
)
def test_a_name_is_one_callers(store: Store, other: Caller, taken: str) -> None:
    """And so is the name in a certificate; several have none, and several no token."""
    for name in ("a", "c"):
        certificate = "a.example" if name == "a" else "c.example"
        assert one(store, AddCaller(Caller(name, (Role.READ,), T0, certificate_name=certificate))) == Done()
    for name in ("d", "e"):
        assert one(store, AddCaller(Caller(name, (Role.READ,), T0, name.encode()))) == Done()
    assert one(store, AddCaller(other)) == Exists((taken,))
    assert [each.name for each in store.callers()] == ["a", "c", "d", "e"]


def test_a_caller_is_removed_once(store: Store) -> None:
    """Its name can be given again."""
    caller = Caller("a", (Role.READ,), T0, b"digest")
    assert one(store, RemoveCaller("a")) == Missing()
    assert one(store, AddCaller(caller)) == Done()
    assert one(store, RemoveCaller("a")) == Done()
    assert one(store, RemoveCaller("a")) == Missing()
    assert store.callers() == []
    assert one(store, AddCaller(caller)) == Done()


def test_there_are_at_most_so_many(store: Store) -> None:
    """All of them are held in memory."""
    made = [AddCaller(Caller(f"c{n}", (Role.READ,), T0, b"%d" % n)) for n in range(MAX_CALLERS + 1)]
    results = store.commit(made)
    assert results == [Done()] * MAX_CALLERS + [GuardFailed()]
    assert len(store.callers()) == MAX_CALLERS

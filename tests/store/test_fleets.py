"""A fleet is created in one write: all of it or none."""

import pytest

from gateway.domain.quirks import QuirkValues
from gateway.domain.values import Registration
from gateway.store.commits import Appended, CreateChargePoint, CreateChargePoints, DeleteChargePoint, Exists
from tests.store.builders import T0, append, at, connect, create, credential, nth, one, status, types

NEEDY = QuirkValues(assume_subprotocol=True)


def fleet(*identities: str) -> CreateChargePoints:
    return CreateChargePoints(
        tuple(
            CreateChargePoint(each, Registration.PENDING, (credential(f"cred_{each}"),), T0, f"notes on {each}", NEEDY)
            for each in identities
        )
    )


def test_a_fleet_is_there_with_its_keys_and_an_event_each(store):
    """Nothing tells it from charge points created one by one."""
    assert one(store, fleet("CP2", "CP1")) == Appended(nth(store, 1, 2))
    assert types(store) == ["charge_point.created"] * 2
    first, second = store.charge_points("", 10)
    assert (first.identity, second.identity) == ("CP1", "CP2")
    assert (first.registration, first.description, first.quirks.assume_subprotocol) == (
        Registration.PENDING,
        "notes on CP1",
        True,
    )
    assert store.credentials("CP1") == (credential("cred_CP1"),)
    assert store.credentials("CP2") == (credential("cred_CP2"),)


def test_one_that_is_taken_keeps_all_of_them_out(store):
    """The answer names every one that is taken; the others in the batch are served."""
    create(store, "CP2")
    create(store, "CP4")
    refused, made = store.commit([fleet("CP1", "CP2", "CP3", "CP4"), fleet("CP5")])
    assert refused == Exists(("CP2", "CP4"))
    assert made == Appended(nth(store, 3))
    assert [each.identity for each in store.charge_points("", 10)] == ["CP2", "CP4", "CP5"]
    assert store.credentials("CP1") == ()


def test_one_that_is_there_twice_keeps_all_of_them_out(store):
    """The check before it has missed something; nothing is half done."""
    assert one(store, fleet("CP1", "CP2", "CP1")) == Exists(("CP1",))
    assert store.charge_points("", 10) == []
    assert types(store) == []


def test_one_that_was_deleted_is_created_anew(store):
    """Its epoch and revision go on."""
    create(store, "CP1")
    one(store, DeleteChargePoint("CP1", at(1)))
    assert isinstance(one(store, fleet("CP1", "CP2")), Appended)
    record = store.charge_point("CP1")
    assert record is not None
    assert record.revision == 2
    assert store.credentials("CP1") == (credential("cred_CP1"),)


def test_a_fleet_survives_a_restart(place):
    """It is on disk when it is answered."""
    one(place.open(), fleet(*(f"CP{n}" for n in range(1_500))))
    store = place.open()
    assert len(store.charge_points("", 1_000)) == 1_000
    assert store.taken(["CP0", "CP1499", "CP1500"]) == {"CP0", "CP1499"}


def test_taken_are_those_that_exist_now(store):
    """The deleted are not, nor are those of another case."""
    create(store, "CP1")
    create(store, "CP2")
    create(store, 'C"P,3')
    one(store, DeleteChargePoint("CP2", at(1)))
    assert store.taken(["CP1", "CP2", "cp1", 'C"P,3', "CP9"]) == {"CP1", 'C"P,3'}
    assert store.taken([]) == frozenset()


def test_taken_looks_at_a_thousand_at_most(store):
    """More is a bug of the caller."""
    with pytest.raises(ValueError, match="at most 1000"):
        store.taken([f"CP{n}" for n in range(1_001)])


def test_sessions_of_a_fleet_can_be_opened_at_once(store):
    """The books know the new ones."""
    one(store, fleet("CP1", "CP2"))
    connect(store, "CP2", 1)
    assert isinstance(append(store, status(), identity="CP2"), Appended)

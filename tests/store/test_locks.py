"""The locks that a batch takes where several nodes write: which of its writes need which, and in which order."""

from datetime import timedelta
from typing import Any

import pytest

from gateway.domain.decision import IdTagFree, RequestIdUnused
from gateway.domain.events import NewEvent
from gateway.domain.fleet import FleetEnd
from gateway.store.commits import (
    AddCaller,
    AllocateNumbers,
    Append,
    ClockRecord,
    DeleteChargePoint,
    DeleteIdTag,
    Forget,
    OpenSession,
    PutIdTag,
    RecordClock,
    RecordLastHeard,
    RemoveCaller,
    Trim,
    Write,
)
from gateway.store.fleet import CancelFleetJob, CreateFleetJob, EndFleetJob, RecordFleetItems
from gateway.store.nodes import EndNode
from gateway.store.postgres.lane import LANE_LOCK
from gateway.store.postgres.locks import (
    BUCKETS,
    FLEET_LOCK,
    NOTHING,
    POINT_LOCK,
    TAG_LOCK,
    Needs,
    bucket,
    needs_of,
    take,
)
from tests.store.builders import CONNECTED, at, event, id_tag, status

ANY: Any = object()
"""What a lock does not depend on."""

TAGS: dict[str, Write] = {
    "a guard": Append("CP1", 1, (event(status()),), (RequestIdUnused("r"), IdTagFree("Tag1"))),
    "a put": PutIdTag(id_tag("TAG1"), create=True),
    "a deletion": DeleteIdTag("tag1"),
}

OF_THE_FLEET: dict[str, Write] = {
    "a caller": AddCaller(ANY),
    "a caller that goes": RemoveCaller("ann"),
    "numbers": AllocateNumbers(1),
    "trimming": Trim(None, 1),
    "forgetting": Forget(None, timedelta(7), timedelta(30), 1, 0, 0),
    "the clock": RecordClock(ClockRecord(at(), False, "", 0.0, 0)),
    "a job": CreateFleetJob(ANY, ()),
    "its items": RecordFleetItems("job", ()),
    "its cancelling": CancelFleetJob("job", at()),
    "its end": EndFleetJob("job", FleetEnd.DONE, at()),
}

OF_ONE: dict[str, Write] = {
    "events": Append("CP1", 1, (NewEvent(status(), at()),), (RequestIdUnused("r"),)),
    "a session": OpenSession("CP1", CONNECTED, at()),
    "a deletion": DeleteChargePoint("CP1", at()),
    "times": RecordLastHeard((("CP1", at()),)),
}


@pytest.mark.parametrize("write", TAGS)
def test_what_rests_on_a_tag_takes_its_lock(write: str) -> None:
    """Tags that differ in case are one."""
    assert needs_of([TAGS[write]]) == Needs(tags=frozenset({bucket("tag1")}))


@pytest.mark.parametrize("write", OF_THE_FLEET)
def test_what_there_is_once_for_all_has_one_lock(write: str) -> None:
    """Also among others, before and behind it."""
    assert needs_of([OF_THE_FLEET[write]]) == Needs(fleet=True)
    others = list(OF_ONE.values())
    assert needs_of([*others, OF_THE_FLEET[write], *others]) == Needs(fleet=True)


@pytest.mark.parametrize("write", OF_ONE)
def test_what_concerns_one_charge_point_takes_no_lock_besides_its_own(write: str) -> None:
    """An everyday message waits for nothing of others."""
    assert needs_of([OF_ONE[write]]) is NOTHING


def test_the_end_of_a_node_takes_the_locks_of_its_lane() -> None:
    """Nothing of it is committed meanwhile."""
    assert needs_of([EndNode(3, 1, at(), 10), EndNode(7, 1, at(), 10)]) == Needs(lanes=frozenset({3, 7}))


def test_the_needs_of_a_batch_are_those_of_all_its_writes() -> None:
    """None of them hides another."""
    batch = [TAGS["a put"], EndNode(3, 1, at(), 10), OF_THE_FLEET["numbers"], DeleteIdTag("other")]
    assert needs_of(batch) == Needs(frozenset({bucket("tag1"), bucket("other")}), frozenset({3}), True)


def test_locks_are_taken_in_one_order() -> None:
    """By class and number, each once, so that no two batches wait for each other."""
    taken: list[tuple[int, int]] = []

    class Server:
        def send(self, _: str, classes: Any, numbers: Any) -> None:
            taken.extend(zip(classes.values, numbers.values, strict=True))
            assert classes.kind == numbers.kind == "int4"

    cx: Any = Server()
    take(cx, [5, 2, 5], [9, 1, 9], Needs(frozenset({8, 4}), frozenset({3, 2}), True))
    lanes, points = [(LANE_LOCK, 2), (LANE_LOCK, 3), (LANE_LOCK, 5)], [(POINT_LOCK, 1), (POINT_LOCK, 9)]
    assert taken == [*lanes, *points, (TAG_LOCK, 4), (TAG_LOCK, 8), (FLEET_LOCK, 0)]
    assert taken == sorted(taken)
    taken.clear()
    take(cx, [1], [], NOTHING)
    assert taken == [(LANE_LOCK, 1)]


def test_a_lock_of_a_name_is_one_of_so_many() -> None:
    """The same on every node, whatever its version."""
    assert (bucket("CP1"), bucket("")) == (485, 0)
    assert {bucket(f"CP{number}") for number in range(20_000)} == set(range(BUCKETS))

"""The locks of a batch where several nodes write: all are taken together, before the transaction has its id.

They come in one order, by class and number, so that no two batches wait for each other: lanes, charge points that this
node does not own, idTags, what the fleet has once. Charge points and idTags share their locks by their hash.
"""

from collections.abc import Iterable, Sequence
from typing import Final
from zlib import crc32

from attrs import frozen

from gateway.domain.decision import IdTagFree
from gateway.domain.transactions import folded
from gateway.store import commits, fleet, nodes
from gateway.store.commits import Write
from gateway.store.postgres.connection import Connection
from gateway.store.postgres.encoding import Array
from gateway.store.postgres.lane import LANE_LOCK

POINT_LOCK, TAG_LOCK, FLEET_LOCK = 0x4F43_5004, 0x4F43_5005, 0x4F43_5006
"""Classes of advisory locks, beside those of the lane: of charge points, of idTags, and one of all that is kept once
for the fleet: callers, jobs, numbers, the floor."""

BUCKETS: Final = 512
"""Of charge points, and of idTags. A server has 64 places for locks per connection; so a batch of a whole fleet takes
no more of them than nine connections' share."""

_LOCK: Final = "SELECT pg_advisory_xact_lock(class, number) FROM unnest($1::int4[], $2::int4[]) AS u (class, number)"

_OF_THE_FLEET: Final = (
    commits.AddCaller,
    commits.RemoveCaller,
    commits.AllocateNumbers,
    commits.Trim,
    commits.Forget,
    commits.RecordClock,
    fleet.CreateFleetJob,
    fleet.RecordFleetItems,
    fleet.CancelFleetJob,
    fleet.EndFleetJob,
)


@frozen
class Needs:
    """The locks of a batch's writes, besides those of the charge points that they name."""

    tags: frozenset[int] = frozenset()
    lanes: frozenset[int] = frozenset()
    fleet: bool = False


NOTHING: Final = Needs()


def bucket(text: str) -> int:
    """The lock of a charge point's identity, or of an idTag."""
    return crc32(text.encode()) % BUCKETS


def needs_of(batch: Sequence[Write]) -> Needs:
    """The locks that the writes of a batch need."""
    tags, lanes, of_the_fleet = set[int](), set[int](), False
    for write in batch:
        match write:
            case commits.Append(guards=guards):
                for guard in guards:
                    if isinstance(guard, IdTagFree):
                        tags.add(bucket(folded(guard.id_tag)))
            case commits.PutIdTag(record=record):
                tags.add(bucket(folded(record.id_tag)))
            case commits.DeleteIdTag(id_tag=id_tag):
                tags.add(bucket(folded(id_tag)))
            case nodes.EndNode(node=node):
                lanes.add(node)
            case _:
                of_the_fleet = of_the_fleet or isinstance(write, _OF_THE_FLEET)
    if not (tags or lanes or of_the_fleet):
        return NOTHING
    return Needs(frozenset(tags), frozenset(lanes), of_the_fleet)


def take(cx: Connection, lanes: Iterable[int], points: Iterable[int], needs: Needs) -> None:
    """Queue the statement that takes the locks, one after the other."""
    pairs = [(LANE_LOCK, lane) for lane in sorted({*lanes, *needs.lanes})]
    pairs += [(POINT_LOCK, point) for point in sorted(set(points))]
    pairs += [(TAG_LOCK, tag) for tag in sorted(needs.tags)]
    if needs.fleet:
        pairs.append((FLEET_LOCK, 0))
    cx.send(_LOCK, Array("int4", [of for of, _ in pairs]), Array("int4", [number for _, number in pairs]))

"""Tables of what is wanted of connectors, and of the profiles that chargers have: changed by events, read as values.

Profiles are folded by the functions that fold them in memory (``gateway.domain.profiles``); a charge point has few.
"""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gateway.domain import events as e
from gateway.domain import profiles as p
from gateway.domain.codec import decode_value, encode_value
from gateway.domain.events import NewEvent
from gateway.domain.labels import NO_LABELS, Labels
from gateway.domain.profiles import Profiles
from gateway.domain.steering import ChangedWanted, InstalledProfile, Steering, SteeringState, pending
from gateway.domain.values import ConnectorAddress
from gateway.store.api import SteeringRow
from gateway.store.encoding import clamped, to_time
from gateway.store.limits import MAX_REQUESTS, bounded
from gateway.store.lists import steering_place
from gateway.store.postgres.books import Owner
from gateway.store.postgres.changes import change, upsert
from gateway.store.postgres.conditions import label_array
from gateway.store.postgres.connection import Connection
from gateway.store.rows import Row

if TYPE_CHECKING:
    from gateway.store.postgres.writer import Writer

WANTED: Final = upsert(
    "steering",
    ("charge_point", "evse", "connector"),
    "charge_point int4, evse int8, connector int8, revision int8, state text, wanted bytea, steering bytea",
)
REQUESTED: Final = change(
    """key int4, request_id text, fingerprint text, evse int8, connector int8, revision int8, at int8, sequence int8""",
    """INSERT INTO steering_request (charge_point, request_id, fingerprint, evse, connector, revision, at, sequence)
    SELECT u.key, u.request_id, u.fingerprint, u.evse, u.connector, u.revision, u.at, (SELECT mine()) + u.sequence
    FROM ROWS ON CONFLICT DO NOTHING""",
)
OLD_REQUESTS: Final = change(
    "key int4",
    f"""DELETE FROM steering_request r USING ROWS WHERE r.charge_point = u.key AND r.sequence <= (SELECT s.sequence
    FROM steering_request s WHERE s.charge_point = u.key ORDER BY s.sequence DESC LIMIT 1 OFFSET {MAX_REQUESTS})""",
)
STEERED: Final = change(
    "key int4, evse int8, connector int8, revision int8, state text, steering bytea",
    """UPDATE steering s SET state = u.state, steering = u.steering FROM ROWS
    WHERE s.charge_point = u.key AND s.evse = u.evse AND s.connector = u.connector AND s.revision = u.revision""",
)
PROFILE_REMOVED: Final = change(
    "key int4, profile_id int8",
    "DELETE FROM charging_profile p USING ROWS WHERE p.charge_point = u.key AND p.profile_id = u.profile_id",
)
PROFILE_PUT: Final = upsert(
    "charging_profile", ("charge_point", "profile_id"), "charge_point int4, profile_id int8, body bytea"
)


def wanted_changed(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.WantedChanged, sequence: int
) -> None:
    wanted, place = body.wanted, _place(body.wanted.connector)
    row = writer.first(
        "SELECT steering FROM steering WHERE charge_point = $1 AND evse = $2 AND connector = $3", owner.key, *place
    )
    after = pending(wanted, event.received_at, None if row is None else decode_value(row[0], Steering))
    writer.change(WANTED, owner.key, *place, wanted.revision, after.state, encode_value(wanted), encode_value(after))
    if body.caller:
        writer.noted(owner, body, at, sequence)
    if body.request_id:
        given = (body.request_id, body.fingerprint, *place, wanted.revision, at, sequence)
        writer.change(REQUESTED, owner.key, *given)
        writer.change(OLD_REQUESTS, owner.key)


def steering_changed(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.SteeringChanged, sequence: int
) -> None:
    after = body.steering
    place = _place(body.connector)
    writer.change(STEERED, owner.key, *place, after.revision, after.state, encode_value(after))


def profile_installed(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.ChargingProfileInstalled, sequence: int
) -> None:
    new = p.of_event(event, body)
    refold(writer, owner, lambda present: p.installed(present, new))


def profile_removed(
    writer: "Writer", owner: Owner, event: NewEvent, at: int, body: e.ChargingProfileRemoved, sequence: int
) -> None:
    refold(writer, owner, lambda present: p.removed(present, body.profile_id))


def forget_profiles_of(writer: "Writer", owner: Owner, transaction_id: str) -> None:
    """A transaction has ended: its profiles go with it."""
    refold(writer, owner, lambda present: p.ended(present, transaction_id))


def refold(writer: "Writer", owner: Owner, change: Callable[[Profiles], Profiles]) -> None:
    """Change the record of a charge point's profiles; nothing is written where nothing changes."""
    if owner.profiles is None:
        owner.profiles = charging_profiles(writer.rows(PROFILES, owner.key))
    before = owner.profiles
    after = owner.profiles = change(before)
    gone = [(owner.key, clamped(number)) for number in before.keys() - after.keys()]
    put = [
        (owner.key, clamped(number), encode_value(each)) for number, each in after.items() if before.get(number) != each
    ]
    writer.changes.extend(PROFILE_REMOVED, gone)
    writer.changes.extend(PROFILE_PUT, put)


# --- reads ----------------------------------------------------------------------------------------------------

PROFILES: Final = "SELECT body FROM charging_profile WHERE charge_point = $1 ORDER BY profile_id"
STEERING: Final = (
    "SELECT evse, connector, wanted, steering FROM steering WHERE charge_point = $1 ORDER BY evse, connector"
)


def charging_profiles(found: list[Row]) -> dict[int, InstalledProfile]:
    """The profiles that a charge point has accepted, by id."""
    profiles = (decode_value(body, InstalledProfile) for (body,) in found)
    return {each.profile.profile_id: each for each in profiles}


def page(
    cx: Connection, state: SteeringState | None, after: str, limit: int, scope: Labels = NO_LABELS
) -> list[SteeringRow]:
    """The progress of wanted states, by identity and connector."""
    place = steering_place(after)
    sql = """SELECT c.identity, s.evse, s.connector, s.steering FROM charge_point c
        JOIN steering s ON s.charge_point = c.key
        WHERE (c.identity, s.evse, s.connector) > ($1, $2, $3) AND c.deleted_at IS NULL
        AND ($4::text IS NULL OR s.state = $4) AND c.label @> $6::text[]
        ORDER BY c.identity, s.evse, s.connector LIMIT $5"""
    found = cx.rows(sql, *place, state, bounded(limit), label_array(scope))
    return [
        (name, ConnectorAddress(place, connector), decode_value(body, Steering))
        for name, place, connector, body in found
    ]


CHANGED: Final = """SELECT fingerprint, evse, connector, revision, at FROM steering_request
    WHERE charge_point = $1 AND request_id = $2"""


def changed(request_id: str, row: Row | None) -> ChangedWanted | None:
    """The change that was made under a request id; None: there is none, as far as is remembered."""
    if row is None:
        return None
    fingerprint, evse, number, revision, at = row
    return ChangedWanted(request_id, fingerprint, ConnectorAddress(evse, number), revision, to_time(at))


def changed_by_identity(cx: Connection, identity: str, request_id: str) -> ChangedWanted | None:
    """The same for the charge point of this identity."""
    sql = """SELECT r.fingerprint, r.evse, r.connector, r.revision, r.at FROM steering_request r
        JOIN charge_point c ON c.key = r.charge_point
        WHERE c.identity = $1 AND c.deleted_at IS NULL AND r.request_id = $2"""
    return changed(request_id, cx.first(sql, identity, request_id))


def revision(writer: "Writer", owner: Owner, connector: ConnectorAddress) -> int:
    """The revision of what is wanted of a connector; 0: nothing was ever wanted of it."""
    sql = "SELECT revision FROM steering WHERE charge_point = $1 AND evse = $2 AND connector = $3"
    row = writer.first(sql, owner.key, *_place(connector))
    return 0 if row is None else int(row[0])


def _place(connector: ConnectorAddress) -> tuple[int, int]:
    return clamped(connector.evse), clamped(connector.connector)

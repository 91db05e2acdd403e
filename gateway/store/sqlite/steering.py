"""Tables of what is wanted of connectors, and of the profiles that chargers have: changed by events, read as values.

Profiles are folded by the functions that fold them in memory (``gateway.domain.profiles``); a charge point has few.
"""

from collections.abc import Callable

from apsw import Connection

from gateway.domain import events as e
from gateway.domain import profiles as p
from gateway.domain.codec import decode_value, encode_value
from gateway.domain.events import NewEvent
from gateway.domain.labels import NO_LABELS, Labels
from gateway.domain.profiles import Profiles
from gateway.domain.steering import ChangedWanted, InstalledProfile, Steering, SteeringState, Wanted, pending
from gateway.domain.values import ConnectorAddress
from gateway.store.api import SteeringRow
from gateway.store.encoding import clamped, to_time
from gateway.store.limits import MAX_REQUESTS, bounded
from gateway.store.lists import steering_place
from gateway.store.rows import Row
from gateway.store.sqlite.audit_notes import noted
from gateway.store.sqlite.conditions import in_scope
from gateway.store.sqlite.selects import fetch


def wanted_changed(cx: Connection, key: int, event: NewEvent, at: int, body: e.WantedChanged, sequence: int) -> None:
    wanted, place = body.wanted, _place(key, body.wanted.connector)
    row = cx.execute(
        "SELECT steering FROM steering WHERE charge_point = ? AND evse = ? AND connector = ?", place
    ).fetchone()
    after = pending(wanted, event.received_at, None if row is None else decode_value(row[0], Steering))
    cx.execute(
        "INSERT OR REPLACE INTO steering VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*place, wanted.revision, after.state, encode_value(wanted), encode_value(after)),
    )
    if body.request_id:
        given = (key, body.request_id, body.fingerprint, *place[1:], wanted.revision, at)
        cx.execute("INSERT OR IGNORE INTO steering_request VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*given, sequence))
        cx.execute(
            """DELETE FROM steering_request WHERE charge_point = ?1 AND sequence <= (SELECT sequence
            FROM steering_request WHERE charge_point = ?1 ORDER BY sequence DESC LIMIT 1 OFFSET ?2)""",
            (key, MAX_REQUESTS),
        )
    if body.caller:
        noted(cx, key, event, at, body, sequence)


def steering_changed(
    cx: Connection, key: int, event: NewEvent, at: int, body: e.SteeringChanged, sequence: int
) -> None:
    cx.execute(
        """UPDATE steering SET state = ?, steering = ? WHERE charge_point = ? AND evse = ? AND connector = ?
        AND revision = ?""",
        (body.steering.state, encode_value(body.steering), *_place(key, body.connector), body.steering.revision),
    )


def profile_installed(
    cx: Connection, key: int, event: NewEvent, at: int, body: e.ChargingProfileInstalled, sequence: int
) -> None:
    new = p.of_event(event, body)
    refold(cx, key, lambda present: p.installed(present, new))


def profile_removed(
    cx: Connection, key: int, event: NewEvent, at: int, body: e.ChargingProfileRemoved, sequence: int
) -> None:
    refold(cx, key, lambda present: p.removed(present, body.profile_id))


def forget_profiles_of(cx: Connection, key: int, transaction_id: str) -> None:
    """A transaction has ended: its profiles go with it."""
    refold(cx, key, lambda present: p.ended(present, transaction_id))


def refold(cx: Connection, key: int, change: Callable[[Profiles], Profiles]) -> None:
    """Change the record of a charge point's profiles; nothing is written where nothing changes."""
    before = charging_profiles(cx, key)
    after = change(before)
    for number in before.keys() - after.keys():
        cx.execute("DELETE FROM charging_profile WHERE charge_point = ? AND profile_id = ?", (key, clamped(number)))
    for number, each in after.items():
        if before.get(number) != each:
            cx.execute(
                "INSERT OR REPLACE INTO charging_profile VALUES (?, ?, ?)", (key, clamped(number), encode_value(each))
            )


# --- reads ----------------------------------------------------------------------------------------------------


def wanted(cx: Connection, key: int) -> dict[ConnectorAddress, Wanted]:
    """The wanted states of a charge point's connectors."""
    found = (decode_value(body, Wanted) for (body,) in _rows(cx, "wanted", key))
    return {each.connector: each for each in found}


def steerings(cx: Connection, key: int) -> dict[ConnectorAddress, Steering]:
    """The progress of each of a charge point's wanted states."""
    return {
        ConnectorAddress(evse, number): decode_value(body, Steering)
        for evse, number, body in _rows(cx, "evse, connector, steering", key)
    }


def page(
    cx: Connection, state: SteeringState | None, after: str, limit: int, scope: Labels = NO_LABELS
) -> list[SteeringRow]:
    """The progress of wanted states, by identity and connector."""
    place = steering_place(after)
    condition, labels = in_scope(scope, "c.key") if scope else ("TRUE", [])
    sql = f"""SELECT c.identity, s.evse, s.connector, s.steering FROM charge_point c
        JOIN steering s ON s.charge_point = c.key
        WHERE (c.identity, s.evse, s.connector) > (?, ?, ?) AND c.deleted_at IS NULL
        AND (? IS NULL OR s.state = ?) AND {condition}
        ORDER BY c.identity, s.evse, s.connector LIMIT ?"""  # noqa: S608 - a constant
    found = fetch(cx, sql, (*place, state, state, *labels, bounded(limit)))
    return [
        (name, ConnectorAddress(place, connector), decode_value(body, Steering))
        for name, place, connector, body in found
    ]


def charging_profiles(cx: Connection, key: int) -> dict[int, InstalledProfile]:
    """The profiles that a charge point has accepted, by id."""
    sql = "SELECT body FROM charging_profile WHERE charge_point = ? ORDER BY profile_id"
    found = (decode_value(body, InstalledProfile) for (body,) in fetch(cx, sql, (key,)))
    return {each.profile.profile_id: each for each in found}


def changed_by_request(cx: Connection, key: int, request_id: str) -> ChangedWanted | None:
    """The change that was made under a request id; None: there is none, as far as is remembered."""
    sql = """SELECT fingerprint, evse, connector, revision, at FROM steering_request
        WHERE charge_point = ? AND request_id = ?"""
    row = cx.execute(sql, (key, request_id)).fetchone()
    if row is None:
        return None
    fingerprint, evse, number, revision, at = row
    return ChangedWanted(request_id, fingerprint, ConnectorAddress(evse, number), revision, to_time(at))


def changed_by_identity(cx: Connection, identity: str, request_id: str) -> ChangedWanted | None:
    """The same for the charge point of this identity."""
    row = cx.execute("SELECT key FROM charge_point WHERE identity = ? AND deleted_at IS NULL", (identity,)).fetchone()
    return None if row is None else changed_by_request(cx, row[0], request_id)


def revision(cx: Connection, key: int, connector: ConnectorAddress) -> int:
    """The revision of what is wanted of a connector; 0: nothing was ever wanted of it."""
    sql = "SELECT revision FROM steering WHERE charge_point = ? AND evse = ? AND connector = ?"
    row = cx.execute(sql, _place(key, connector)).fetchone()
    return 0 if row is None else int(row[0])


def _rows(cx: Connection, columns: str, key: int) -> list[Row]:
    sql = f"SELECT {columns} FROM steering WHERE charge_point = ? ORDER BY evse, connector"  # noqa: S608 - constants
    return fetch(cx, sql, (key,))


def _place(key: int, connector: ConnectorAddress) -> tuple[int, int, int]:
    return key, clamped(connector.evse), clamped(connector.connector)

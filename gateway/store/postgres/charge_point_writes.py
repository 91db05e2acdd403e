"""The operator's writes to charge points and their credentials."""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

from collections.abc import Sequence
from typing import Any, Final

from gateway.domain import quirks
from gateway.domain.clock_offset import UNMEASURED
from gateway.domain.events import ChargePointCreated, ChargePointDeleted, ChargePointUpdated, NewEvent
from gateway.domain.repeats import Memory
from gateway.domain.values import Registration
from gateway.store import commits
from gateway.store.causes import DELETED
from gateway.store.commits import Appended, Exists, GuardFailed, Missing
from gateway.store.encoding import from_labels, from_quirks, to_labels, to_micros, to_quirks
from gateway.store.postgres.books import Owner
from gateway.store.postgres.changes import change
from gateway.store.postgres.conditions import label_column
from gateway.store.postgres.encoding import Array, Value
from gateway.store.postgres.key_writes import insert_credentials
from gateway.store.postgres.settlement import end_operations, end_reservations, end_signing, lose_transactions, settle
from gateway.store.postgres.writer import Writer

_GIVEN: Final = """registration text, at int8, description text, quirks text, labels text, least int4"""

CREATED: Final = change(
    f"key int4, identity text, {_GIVEN}",
    """INSERT INTO charge_point (key, identity, registration, created_at, updated_at, description, quirks, labels,
    minimum_security_profile)
    SELECT u.key, u.identity, u.registration, u.at, u.at, u.description, u.quirks, u.labels, u.least FROM ROWS""",
)
CREATED_ANEW: Final = change(
    f"key int4, {_GIVEN}",
    # The revision goes on too: an etag of the one that was deleted must not fit this one.
    """UPDATE charge_point c SET deleted_at = NULL, registration = u.registration, created_at = u.at, updated_at = u.at,
    description = u.description, quirks = u.quirks, labels = u.labels, minimum_security_profile = u.least,
    revision = c.revision + 1 FROM ROWS WHERE c.key = u.key""",
)
LABEL: Final = change(
    "key int4, label text",
    "UPDATE charge_point c SET label = c.label || u.label FROM ROWS WHERE c.key = u.key",
)
NO_LABEL: Final = change("key int4", "UPDATE charge_point c SET label = '{}' FROM ROWS WHERE c.key = u.key")
_OF_ITS_IDENTITY: Final = (
    "credential",
    "connector",
    "boot_configuration",
    "configuration",
    "pending_start",
    "progress",
    "local_list",
    "steering",
    "steering_request",
    "charging_profile",
    "charging_state",
    "signing",
    "charger_certificate",
)
"""Tables whose rows go with a charge point's identity."""


def create_charge_point(writer: Writer, write: commits.CreateChargePoint) -> Appended | Exists:
    if writer.present(write.identity) is not None:
        return Exists()
    return Appended(_create(writer, [write]))


def create_charge_points(writer: Writer, write: commits.CreateChargePoints) -> Appended | Exists:
    seen: set[str] = set()
    there: list[str] = []
    for each in write.charge_points:
        if each.identity in seen or writer.present(each.identity) is not None:
            there.append(each.identity)
        seen.add(each.identity)
    if there:
        return Exists(tuple(there))
    return Appended(_create(writer, write.charge_points))


def _create(writer: Writer, new: Sequence[commits.CreateChargePoint]) -> tuple[int, ...]:
    """Create what isn't there; the sequences."""
    owners = {each.identity: writer.owner(each.identity) for each in new}
    wanted = sum(owner is None for owner in owners.values())
    keys = iter(writer.rows("SELECT nextval('charge_point_key') FROM generate_series(1, $1)", wanted) if wanted else [])
    sequences: tuple[int, ...] = ()
    for write in new:
        at = to_micros(write.at)
        own = (write.description, to_quirks(write.quirks), to_labels(write.labels))
        given: tuple[Value, ...] = (write.registration, at, *own, write.minimum_security_profile)
        owner = owners[write.identity]
        if owner is None:
            owner = Owner(int(next(keys)[0]), write.identity, 0, None, True, UNMEASURED, Memory(), {})
            writer.books.add(owner)
            writer.change(CREATED, owner.key, write.identity, *given)
        else:
            writer.change(CREATED_ANEW, owner.key, *given)
            owner.present = True
        _label(writer, owner, label_column(write.labels))
        insert_credentials(writer, owner, write.credentials)
        created = NewEvent(ChargePointCreated(write.registration, write.caller, write.request_id), write.at)
        sequences += writer.append(owner, owner.epoch, [created])
    return sequences


def _label(writer: Writer, owner: Owner, labels: Sequence[str]) -> None:
    writer.change(NO_LABEL, owner.key)
    for each in labels:
        writer.change(LABEL, owner.key, each)


def update_charge_point(writer: Writer, write: commits.UpdateChargePoint) -> Appended | GuardFailed | Missing:
    owner = writer.present(write.identity)
    if owner is None:
        return Missing()
    sql = """SELECT registration, description, quirks, labels, minimum_security_profile, revision
        FROM charge_point WHERE key = $1"""
    registration, description, own_quirks, labels, least, revision = writer.one(sql, owner.key)
    if write.revision is not None and write.revision != revision:
        return GuardFailed()
    before: dict[str, Any] = {
        "registration": Registration(registration),
        "description": description,
        "labels": from_labels(labels),
        "minimum_security_profile": least,
    }
    wanted = {name: value for name in before if (value := getattr(write, name)) is not None}
    values, quirks_changed = quirks.changed(from_quirks(own_quirks), write.quirks or {})
    changed = (*(name for name, value in wanted.items() if value != before[name]), *quirks_changed)
    if write.credentials is not None:
        changed += ("credentials",)
        writer.send("DELETE FROM credential WHERE charge_point = $1", owner.key)
        insert_credentials(writer, owner, write.credentials)
    if not changed:
        return Appended(())
    after = before | wanted
    writer.send(
        """UPDATE charge_point SET registration = $1, description = $2, quirks = $3, labels = $4, updated_at = $5,
        revision = revision + 1, label = $7::text[], minimum_security_profile = $8 WHERE key = $6""",
        after["registration"],
        after["description"],
        to_quirks(values),
        to_labels(after["labels"]),
        to_micros(write.at),
        owner.key,
        Array("text", label_column(after["labels"])),
        after["minimum_security_profile"],
    )
    updated = ChargePointUpdated(after["registration"], changed, write.caller, write.request_id)
    return Appended(writer.append(owner, owner.epoch, [NewEvent(updated, write.at)]))


def delete_charge_point(writer: Writer, write: commits.DeleteChargePoint) -> Appended | Missing:
    owner = writer.present(write.identity)
    if owner is None:
        return Missing()
    sequences = settle(writer, [owner], DELETED, write.at) + lose_transactions(writer, owner, write.at)
    sequences += end_reservations(writer, owner, write.at) + end_operations(writer, owner, write.at)
    sequences += end_signing(writer, owner, write.at)
    sequences += writer.append(owner, owner.epoch, [NewEvent(ChargePointDeleted(write.caller), write.at)])
    for table in _OF_ITS_IDENTITY:
        writer.send(f"DELETE FROM {table} WHERE charge_point = $1", owner.key)
    owner.profiles = {}
    writer.forget_memory(owner)
    writer.send(
        """UPDATE charge_point SET deleted_at = $1, description = '', quirks = '{}', ever_accepted = 0,
        labels = '{}', label = '{}', boot = NULL, booted_at = NULL,
        connection_since = NULL, remote_address = '', security_profile = 0, last_heard = NULL,
        minimum_security_profile = 0, latest = '', latest_epoch = epoch + 1
        WHERE key = $2""",
        to_micros(write.at),
        owner.key,
    )
    writer.raise_epoch(
        owner, None
    )  # A session that is still there owns nothing, also after the identity is created anew.
    owner.present = False
    return Appended(sequences)

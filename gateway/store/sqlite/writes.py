"""The writes: one function per kind, each checking everything before it changes anything, so that a refusal needs no
rollback and leaves its neighbours in the batch alone."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from gateway.domain import quirks
from gateway.domain.audit import AuditNote, SubjectKind
from gateway.domain.events import (
    ChargePointCreated,
    ChargePointDeleted,
    ChargePointUpdated,
    NewEvent,
)
from gateway.domain.transactions import folded
from gateway.domain.values import Registration
from gateway.errors import StoreError
from gateway.store import commits, fleet
from gateway.store.audit_commits import RecordAction, RecordRefusal
from gateway.store.causes import DELETED, Cause
from gateway.store.commits import (
    AllocatedNumbers,
    Appended,
    Done,
    Exists,
    Fenced,
    GuardFailed,
    Missing,
    Opened,
    Trimmed,
    Write,
    WriteResult,
)
from gateway.store.encoding import from_labels, from_quirks, maybe_micros, to_labels, to_micros, to_quirks
from gateway.store.energy_commits import SettleEnergy
from gateway.store.limits import AT_ONCE, MAX_NUMBER, bounded
from gateway.store.sqlite import fleet_jobs
from gateway.store.sqlite.audit import note_change, record_action, record_refusal
from gateway.store.sqlite.callers import add_caller, remove_caller
from gateway.store.sqlite.guards import failed_guard
from gateway.store.sqlite.key_writes import (
    add_credential,
    decide_key,
    insert_credentials,
    remove_credentials,
    use_key,
)
from gateway.store.sqlite.opened_state import opened_state
from gateway.store.sqlite.retention import forget, record_clock, trim
from gateway.store.sqlite.selects import one
from gateway.store.sqlite.settlement import (
    end_operations,
    end_reservations,
    end_signing,
    lose_transactions,
    settle,
)
from gateway.store.sqlite.transaction_writes import attribute_orphan, close_transaction, settle_energy
from gateway.store.sqlite.writer import Writer

_WITH_EVENTS: Final = (Appended, Opened)


def apply(batch: Sequence[Write], writer: Writer) -> list[WriteResult]:
    """Do the writes of a batch inside the open transaction, in their order."""
    results: list[WriteResult] = []
    for write in batch:
        writer.committed = []
        result = _WRITES[type(write)](writer, write)
        if isinstance(result, _WITH_EVENTS) and len(result.events) < len(writer.committed):
            result = attrs.evolve(result, events=tuple(writer.committed))
        results.append(result)
    return results


# --- events ---------------------------------------------------------------------------------------------------


def append(writer: Writer, write: commits.Append) -> Appended | Fenced | GuardFailed | Missing:
    owner = writer.owner(write.charge_point)
    if owner is None or not owner.present:
        return Missing()
    if write.epoch is not None and write.epoch != owner.epoch:
        return Fenced(owner.epoch)
    for guard in write.guards:
        failed = failed_guard(writer, owner, guard)
        if failed is not None:
            return failed
    return Appended(writer.append(owner, owner.epoch, write.events), tuple(writer.committed))


def open_session(writer: Writer, write: commits.OpenSession) -> Opened | Missing:
    owner = writer.present(write.charge_point)
    if owner is None:
        return Missing()
    settled = settle(writer, owner, Cause(write.left, write.commands_left), write.at)
    writer.raise_epoch(owner)
    writer.flush()  # what the previous owner said last may be in this very batch
    connected = writer.append(owner, owner.epoch, [NewEvent(write.connected, write.at)])
    return Opened(owner.epoch, opened_state(writer, owner, write.at), settled + connected)


# --- charge points --------------------------------------------------------------------------------------------


def create_charge_point(writer: Writer, write: commits.CreateChargePoint) -> Appended | Exists:
    if writer.present(write.identity) is not None:
        return Exists()
    return Appended(_create(writer, write))


def create_charge_points(writer: Writer, write: commits.CreateChargePoints) -> Appended | Exists:
    seen: set[str] = set()
    there: list[str] = []
    for each in write.charge_points:
        if each.identity in seen or writer.present(each.identity) is not None:
            there.append(each.identity)
        seen.add(each.identity)
    if there:
        return Exists(tuple(there))
    return Appended(tuple(sequence for each in write.charge_points for sequence in _create(writer, each)))


def _create(writer: Writer, write: commits.CreateChargePoint) -> tuple[int, ...]:
    """Create what isn't there; the sequences."""
    at = to_micros(write.at)
    own = (write.description, to_quirks(write.quirks), to_labels(write.labels), write.minimum_security_profile)
    given = (write.registration, at, at, *own, write.identity)
    owner = writer.owner(write.identity)
    if owner is None:
        writer.cx.execute(
            """INSERT INTO charge_point (registration, created_at, updated_at, description, quirks, labels,
            minimum_security_profile, identity) VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
            given,
        )
        owner = writer.owner(write.identity)
        assert owner is not None
    else:
        # The revision goes on too: an etag of the one that was deleted must not fit this one.
        writer.cx.execute(
            """UPDATE charge_point SET deleted_at = NULL, registration = ?, created_at = ?, updated_at = ?,
            description = ?, quirks = ?, labels = ?, minimum_security_profile = ?, revision = revision + 1
            WHERE identity = ?""",
            given,
        )
        owner.present = True
    insert_credentials(writer, owner, write.credentials)
    created = ChargePointCreated(write.registration, write.caller, write.request_id)
    return writer.append(owner, owner.epoch, [NewEvent(created, write.at)])


def update_charge_point(writer: Writer, write: commits.UpdateChargePoint) -> Appended | GuardFailed | Missing:
    owner = writer.present(write.identity)
    if owner is None:
        return Missing()
    sql = """SELECT registration, description, quirks, labels, minimum_security_profile, revision
        FROM charge_point WHERE key = ?"""
    registration, description, own_quirks, labels, least, revision = one(writer.cx, sql, (owner.key,))
    if write.revision is not None and write.revision != revision:
        return GuardFailed()
    present: dict[str, Any] = {
        "registration": Registration(registration),
        "description": description,
        "labels": from_labels(labels),
        "minimum_security_profile": least,
    }
    wanted = {name: value for name in present if (value := getattr(write, name)) is not None}
    values, quirks_changed = quirks.changed(from_quirks(own_quirks), write.quirks or {})
    changed = (*(name for name, value in wanted.items() if value != present[name]), *quirks_changed)
    if write.credentials is not None:
        changed += ("credentials",)
        writer.cx.execute("DELETE FROM credential WHERE charge_point = ?", (owner.key,))
        insert_credentials(writer, owner, write.credentials)
    if not changed:
        return Appended(())
    after = present | wanted
    writer.cx.execute(
        """UPDATE charge_point SET registration = ?, description = ?, quirks = ?, labels = ?,
        minimum_security_profile = ?, updated_at = ?, revision = revision + 1 WHERE key = ?""",
        (
            after["registration"],
            after["description"],
            to_quirks(values),
            to_labels(after["labels"]),
            after["minimum_security_profile"],
            to_micros(write.at),
            owner.key,
        ),
    )
    updated = ChargePointUpdated(after["registration"], changed, write.caller, write.request_id)
    return Appended(writer.append(owner, owner.epoch, [NewEvent(updated, write.at)]))


_OF_ITS_IDENTITY = (
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


def delete_charge_point(writer: Writer, write: commits.DeleteChargePoint) -> Appended | Missing:
    owner = writer.present(write.identity)
    if owner is None:
        return Missing()
    sequences = settle(writer, owner, DELETED, write.at) + lose_transactions(writer, owner, write.at)
    sequences += end_reservations(writer, owner, write.at) + end_operations(writer, owner, write.at)
    sequences += end_signing(writer, owner, write.at)
    sequences += writer.append(owner, owner.epoch, [NewEvent(ChargePointDeleted(write.caller), write.at)])
    for table in _OF_ITS_IDENTITY:
        writer.cx.execute(f"DELETE FROM {table} WHERE charge_point = ?", (owner.key,))  # noqa: S608
    writer.forget_memory(owner)
    writer.cx.execute(
        """UPDATE charge_point SET deleted_at = ?, description = '', quirks = '{}', ever_accepted = 0,
        labels = '{}', boot = NULL, booted_at = NULL,
        connection_since = NULL, remote_address = '', security_profile = 0, last_heard = NULL,
        minimum_security_profile = 0, latest = '', latest_epoch = epoch + 1
        WHERE key = ?""",
        (to_micros(write.at), owner.key),
    )
    writer.raise_epoch(owner)  # A session that is still there owns nothing, also after the identity is created anew.
    owner.present = False
    return Appended(sequences)


def record_last_heard(writer: Writer, write: commits.RecordLastHeard) -> Done:
    writer.flush()  # an end that is gathered came first, and would put its own time in the place of this one
    writer.cx.executemany(
        # A later one is kept, but for what a clock that ran ahead has left: it would stand for ever.
        """UPDATE charge_point SET last_heard = CASE WHEN last_heard BETWEEN ?1 AND ?1 + ?3 THEN last_heard ELSE ?1 END
        WHERE identity = ?2 AND deleted_at IS NULL""",
        [(to_micros(at), identity, AT_ONCE) for identity, at in write.heard],
    )
    return Done()


# --- idTags ---------------------------------------------------------------------------------------------------


def put_id_tag(writer: Writer, write: commits.PutIdTag) -> Done | Exists | Missing | GuardFailed:
    record = write.record
    key = folded(record.id_tag)
    row = writer.cx.execute("SELECT revision, created_at, created_by FROM id_tag WHERE folded = ?", (key,)).fetchone()
    if write.create:
        if row is not None:
            return Exists()
        revision, created_at, created_by = 1, to_micros(record.created_at), write.caller
    else:
        if row is None:
            return Missing()
        if write.expected_revision is not None and write.expected_revision != row[0]:
            return GuardFailed()
        revision, created_at, created_by = row[0] + 1, row[1], row[2]
    writer.cx.execute(
        "INSERT OR REPLACE INTO id_tag VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            key,
            record.id_tag,
            record.status,
            created_at,
            to_micros(record.updated_at),
            maybe_micros(record.expiry_date),
            record.parent_id_tag,
            int(record.allow_concurrent),
            record.description,
            revision,
            created_by,
            write.caller,
        ),
    )
    action = "CreateIdTag" if write.create else "UpdateIdTag"
    note_change(writer, AuditNote(write.caller, action, SubjectKind.ID_TAG, record.id_tag), record.updated_at)
    return Done()


def delete_id_tag(writer: Writer, write: commits.DeleteIdTag) -> Done | Missing:
    writer.cx.execute("DELETE FROM id_tag WHERE folded = ?", (folded(write.id_tag),))
    if not writer.cx.changes():
        return Missing()
    if write.by is not None:
        note_change(writer, AuditNote(write.by.caller, "DeleteIdTag", SubjectKind.ID_TAG, write.id_tag), write.by.at)
    return Done()


# --- numbers, retention ---------------------------------------------------------------------------------------


def allocate_numbers(writer: Writer, write: commits.AllocateNumbers) -> AllocatedNumbers:
    first = int(one(writer.cx, "SELECT value FROM meta WHERE name = 'next_number'")[0])
    if write.count < 1 or first + write.count - 1 > MAX_NUMBER:
        raise StoreError(f"{write.count} transaction numbers from {first} on can't be given out")
    writer.cx.execute("UPDATE meta SET value = ? WHERE name = 'next_number'", (first + write.count,))
    return AllocatedNumbers(first, write.count)


def trim_events(writer: Writer, write: commits.Trim) -> Trimmed:
    return trim(writer, write.before, bounded(write.limit), write.now)


def forget_outlived(writer: Writer, write: commits.Forget) -> Trimmed:
    bounded(write.limit)
    return forget(writer, write)


def remember_clock(writer: Writer, write: commits.RecordClock) -> Done:
    record_clock(writer, write)
    note_change(writer, AuditNote(write.confirmed_by, "ConfirmClock"), write.record.seen_at)
    return Done()


_WRITES: dict[type, Callable[[Writer, Any], WriteResult]] = {
    commits.Append: append,
    commits.OpenSession: open_session,
    commits.CreateChargePoint: create_charge_point,
    commits.CreateChargePoints: create_charge_points,
    commits.UpdateChargePoint: update_charge_point,
    commits.DeleteChargePoint: delete_charge_point,
    commits.CloseTransaction: close_transaction,
    commits.AttributeOrphan: attribute_orphan,
    SettleEnergy: settle_energy,
    commits.AddCredential: add_credential,
    commits.RemoveCredentials: remove_credentials,
    commits.DecideKey: decide_key,
    commits.UseKey: use_key,
    commits.PutIdTag: put_id_tag,
    commits.DeleteIdTag: delete_id_tag,
    commits.AddCaller: add_caller,
    commits.RemoveCaller: remove_caller,
    RecordAction: record_action,
    RecordRefusal: record_refusal,
    commits.AllocateNumbers: allocate_numbers,
    commits.RecordLastHeard: record_last_heard,
    commits.Trim: trim_events,
    commits.Forget: forget_outlived,
    commits.RecordClock: remember_clock,
    fleet.CreateFleetJob: fleet_jobs.create_fleet_job,
    fleet.RecordFleetItems: fleet_jobs.record_fleet_items,
    fleet.CancelFleetJob: fleet_jobs.cancel_fleet_job,
    fleet.EndFleetJob: fleet_jobs.end_fleet_job,
}

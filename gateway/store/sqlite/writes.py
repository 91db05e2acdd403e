"""The writes: one function per kind, each checking everything before it changes anything, so that a refusal needs no
rollback and leaves its neighbours in the batch alone."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import attrs

from gateway.domain.events import (
    ChargePointCreated,
    ChargePointDeleted,
    ChargePointUpdated,
    NewEvent,
)
from gateway.domain.records import Credential
from gateway.domain.transactions import folded
from gateway.domain.values import Registration
from gateway.errors import StoreError
from gateway.store import commits
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
from gateway.store.sqlite import queries, rows
from gateway.store.sqlite.callers import add_caller, remove_caller
from gateway.store.sqlite.encoding import from_labels, maybe_micros, to_labels, to_micros, to_time
from gateway.store.sqlite.generations import MAX_NUMBER
from gateway.store.sqlite.guards import failed_guard
from gateway.store.sqlite.opened_state import opened_state
from gateway.store.sqlite.retention import forget, record_clock, trim
from gateway.store.sqlite.settlement import DELETED, Cause, end_operations, end_reservations, lose_transactions, settle
from gateway.store.sqlite.transaction_writes import attribute_orphan, close_transaction, settle_energy
from gateway.store.sqlite.writer import Owner, Writer

_WITH_EVENTS: Final = (Appended, Opened)

AT_ONCE = 5 * 60 * 1_000_000
"""Microseconds. What was heard is written in bulk, and may be so much older than what a connection's end wrote."""


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


def _present(writer: Writer, identity: str) -> Owner | None:
    owner = writer.owner(identity)
    return owner if owner is not None and owner.present else None


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
    owner = _present(writer, write.charge_point)
    if owner is None:
        return Missing()
    settled = settle(writer, owner, Cause(write.left, write.commands_left), write.at)
    writer.raise_epoch(owner)
    writer.flush()  # what the previous owner said last may be in this very batch
    connected = writer.append(owner, owner.epoch, [NewEvent(write.connected, write.at)])
    return Opened(owner.epoch, opened_state(writer, owner, write.at), settled + connected)


# --- charge points --------------------------------------------------------------------------------------------


def create_charge_point(writer: Writer, write: commits.CreateChargePoint) -> Appended | Exists:
    if _present(writer, write.identity) is not None:
        return Exists()
    return Appended(_create(writer, write))


def create_charge_points(writer: Writer, write: commits.CreateChargePoints) -> Appended | Exists:
    seen: set[str] = set()
    there: list[str] = []
    for each in write.charge_points:
        if each.identity in seen or _present(writer, each.identity) is not None:
            there.append(each.identity)
        seen.add(each.identity)
    if there:
        return Exists(tuple(there))
    return Appended(tuple(sequence for each in write.charge_points for sequence in _create(writer, each)))


def _create(writer: Writer, write: commits.CreateChargePoint) -> tuple[int, ...]:
    """Create what isn't there; the sequences."""
    at = to_micros(write.at)
    switches = rows.switch_column(write.own_requests), rows.switch_column(write.accept_hex_password)
    own = (write.description, int(write.assume_subprotocol), *switches, to_labels(write.labels))
    given = (write.registration, at, at, *own, write.identity)
    owner = writer.owner(write.identity)
    if owner is None:
        writer.cx.execute(
            """INSERT INTO charge_point (registration, created_at, updated_at, description, assume_subprotocol,
            own_requests, accept_hex_password, labels, identity) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            given,
        )
        owner = writer.owner(write.identity)
        assert owner is not None
    else:
        # The revision goes on too: an etag of the one that was deleted must not fit this one.
        writer.cx.execute(
            """UPDATE charge_point SET deleted_at = NULL, registration = ?, created_at = ?, updated_at = ?,
            description = ?, assume_subprotocol = ?, own_requests = ?, accept_hex_password = ?,
            labels = ?, revision = revision + 1 WHERE identity = ?""",
            given,
        )
        owner.present = True
    _insert_credentials(writer, owner, write.credentials)
    return writer.append(owner, owner.epoch, [NewEvent(ChargePointCreated(write.registration, write.caller), write.at)])


def update_charge_point(writer: Writer, write: commits.UpdateChargePoint) -> Appended | GuardFailed | Missing:
    owner = _present(writer, write.identity)
    if owner is None:
        return Missing()
    sql = """SELECT registration, description, assume_subprotocol, own_requests, accept_hex_password, labels, revision
        FROM charge_point WHERE key = ?"""
    registration, description, assume_subprotocol, own_requests, accept_hex, labels, revision = rows.one(
        writer.cx, sql, (owner.key,)
    )
    if write.revision is not None and write.revision != revision:
        return GuardFailed()
    present: dict[str, Any] = {
        "registration": Registration(registration),
        "description": description,
        "assume_subprotocol": bool(assume_subprotocol),
        "own_requests": rows.switch(own_requests),
        "accept_hex_password": rows.switch(accept_hex),
        "labels": from_labels(labels),
    }
    wanted = {name: value for name in present if (value := getattr(write, name)) is not None}
    changed = tuple(name for name, value in wanted.items() if value != present[name])
    if write.credentials is not None:
        changed += ("credentials",)
        writer.cx.execute("DELETE FROM credential WHERE charge_point = ?", (owner.key,))
        _insert_credentials(writer, owner, write.credentials)
    if not changed:
        return Appended(())
    after = present | wanted
    writer.cx.execute(
        """UPDATE charge_point SET registration = ?, description = ?, assume_subprotocol = ?, own_requests = ?,
        accept_hex_password = ?, labels = ?, updated_at = ?, revision = revision + 1 WHERE key = ?""",
        (
            after["registration"],
            after["description"],
            int(after["assume_subprotocol"]),
            rows.switch_column(after["own_requests"]),
            rows.switch_column(after["accept_hex_password"]),
            to_labels(after["labels"]),
            to_micros(write.at),
            owner.key,
        ),
    )
    updated = ChargePointUpdated(after["registration"], changed, write.caller)
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
)
"""Tables whose rows go with a charge point's identity."""


def delete_charge_point(writer: Writer, write: commits.DeleteChargePoint) -> Appended | Missing:
    owner = _present(writer, write.identity)
    if owner is None:
        return Missing()
    sequences = settle(writer, owner, DELETED, write.at) + lose_transactions(writer, owner, write.at)
    sequences += end_reservations(writer, owner, write.at) + end_operations(writer, owner, write.at)
    sequences += writer.append(owner, owner.epoch, [NewEvent(ChargePointDeleted(write.caller), write.at)])
    for table in _OF_ITS_IDENTITY:
        writer.cx.execute(f"DELETE FROM {table} WHERE charge_point = ?", (owner.key,))  # noqa: S608
    writer.forget_memory(owner)
    writer.cx.execute(
        """UPDATE charge_point SET deleted_at = ?, description = '', assume_subprotocol = 0, ever_accepted = 0,
        own_requests = NULL, accept_hex_password = NULL, labels = '{}', boot = NULL, booted_at = NULL,
        connection_since = NULL, remote_address = '', security_profile = 0, last_heard = NULL,
        latest = '', latest_epoch = epoch + 1
        WHERE key = ?""",
        (to_micros(write.at), owner.key),
    )
    writer.raise_epoch(owner)  # A session that is still there owns nothing, also after the identity is created anew.
    owner.present = False
    return Appended(sequences)


def record_last_heard(writer: Writer, write: commits.RecordLastHeard) -> Done:
    writer.cx.executemany(
        # A later one is kept, but for what a clock that ran ahead has left: it would stand for ever.
        """UPDATE charge_point SET last_heard = CASE WHEN last_heard BETWEEN ?1 AND ?1 + ?3 THEN last_heard ELSE ?1 END
        WHERE identity = ?2 AND deleted_at IS NULL""",
        [(to_micros(at), identity, AT_ONCE) for identity, at in write.heard],
    )
    return Done()


# --- credentials ----------------------------------------------------------------------------------------------


def add_credential(writer: Writer, write: commits.AddCredential) -> Done | Missing:
    owner = _present(writer, write.identity)
    if owner is None:
        return Missing()
    # Which one a charger goes on with is decided by their order: the newest is the newest, whatever the clock says.
    sql = "SELECT max(not_before) FROM credential WHERE charge_point = ?"
    (latest,) = rows.one(writer.cx, sql, (owner.key,))
    credential = write.credential
    if latest is not None and to_micros(credential.not_before) < latest:
        credential = attrs.evolve(credential, not_before=to_time(latest + 1))
    _insert_credentials(writer, owner, (credential,))
    return Done()


def remove_credentials(writer: Writer, write: commits.RemoveCredentials) -> Done:
    owner = writer.owner(write.identity)
    if owner is not None:
        writer.cx.executemany(
            "DELETE FROM credential WHERE charge_point = ? AND credential_id = ?",
            [(owner.key, credential_id) for credential_id in write.credential_ids],
        )
    return Done()


def _insert_credentials(writer: Writer, owner: Owner, credentials: Iterable[Credential]) -> None:
    writer.cx.executemany(
        "INSERT OR REPLACE INTO credential VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                owner.key,
                credential.credential_id,
                credential.kind,
                credential.salt,
                credential.verifier,
                to_micros(credential.not_before),
                maybe_micros(credential.not_after),
            )
            for credential in credentials
        ],
    )


# --- idTags ---------------------------------------------------------------------------------------------------


def put_id_tag(writer: Writer, write: commits.PutIdTag) -> Done | Exists | Missing | GuardFailed:
    record = write.record
    key = folded(record.id_tag)
    row = writer.cx.execute("SELECT revision, created_at FROM id_tag WHERE folded = ?", (key,)).fetchone()
    if write.create:
        if row is not None:
            return Exists()
        revision, created_at = 1, to_micros(record.created_at)
    else:
        if row is None:
            return Missing()
        if write.expected_revision is not None and write.expected_revision != row[0]:
            return GuardFailed()
        revision, created_at = row[0] + 1, row[1]
    writer.cx.execute(
        "INSERT OR REPLACE INTO id_tag VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
        ),
    )
    return Done()


def delete_id_tag(writer: Writer, write: commits.DeleteIdTag) -> Done | Missing:
    writer.cx.execute("DELETE FROM id_tag WHERE folded = ?", (folded(write.id_tag),))
    return Done() if writer.cx.changes() else Missing()


# --- numbers, retention ---------------------------------------------------------------------------------------


def allocate_numbers(writer: Writer, write: commits.AllocateNumbers) -> AllocatedNumbers:
    first = int(rows.one(writer.cx, "SELECT value FROM meta WHERE name = 'next_number'")[0])
    if write.count < 1 or first + write.count - 1 > MAX_NUMBER:
        raise StoreError(f"{write.count} transaction numbers from {first} on can't be given out")
    writer.cx.execute("UPDATE meta SET value = ? WHERE name = 'next_number'", (first + write.count,))
    return AllocatedNumbers(first, write.count)


def trim_events(writer: Writer, write: commits.Trim) -> Trimmed:
    return trim(writer, write.before, queries.bounded(write.limit), write.now)


def forget_outlived(writer: Writer, write: commits.Forget) -> Trimmed:
    queries.bounded(write.limit)
    return forget(writer, write)


def remember_clock(writer: Writer, write: commits.RecordClock) -> Done:
    record_clock(writer, write)
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
    commits.SettleEnergy: settle_energy,
    commits.AddCredential: add_credential,
    commits.RemoveCredentials: remove_credentials,
    commits.PutIdTag: put_id_tag,
    commits.DeleteIdTag: delete_id_tag,
    commits.AddCaller: add_caller,
    commits.RemoveCaller: remove_caller,
    commits.AllocateNumbers: allocate_numbers,
    commits.RecordLastHeard: record_last_heard,
    commits.Trim: trim_events,
    commits.Forget: forget_outlived,
    commits.RecordClock: remember_clock,
}

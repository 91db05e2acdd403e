"""The writes: one function per kind, each checking everything before it changes anything, so that a refusal needs no
rollback and leaves its neighbours in the batch alone."""

# ruff: noqa: S608 - statements are put together from constants of these modules; what is given is bound

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import attrs

from gateway.domain.audit import AuditNote, SubjectKind
from gateway.domain.events import NewEvent
from gateway.domain.transactions import folded
from gateway.errors import StoreError
from gateway.store import commits, fleet
from gateway.store import nodes as node_writes
from gateway.store.audit_commits import RecordAction, RecordRefusal
from gateway.store.causes import Cause
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
from gateway.store.encoding import maybe_micros, to_micros
from gateway.store.energy_commits import SettleEnergy
from gateway.store.limits import AT_ONCE, MAX_NUMBER, bounded
from gateway.store.postgres import charge_point_writes as charge_points
from gateway.store.postgres import fleet_jobs, nodes
from gateway.store.postgres.audit import note_change, record_action, record_refusal
from gateway.store.postgres.callers import add_caller, remove_caller
from gateway.store.postgres.encoding import Array
from gateway.store.postgres.guards import failed_guard
from gateway.store.postgres.key_writes import add_credential, decide_key, remove_credentials, use_key
from gateway.store.postgres.opened_state import opened_states
from gateway.store.postgres.retention import forget, record_clock, trim
from gateway.store.postgres.settlement import ends_of
from gateway.store.postgres.transaction_writes import attribute_orphan, close_transaction, settle_energy
from gateway.store.postgres.writer import Pending, Writer, absolute, committed

_WITH_EVENTS: Final = (Appended, Opened)

Result = tuple[WriteResult, list[Pending]]
"""A write's answer and its events, with sequences counted from the batch's beginning."""


def identities(batch: Sequence[Write]) -> Iterator[str]:
    """The charge points that a batch concerns, as far as its writes name them."""
    for write in batch:
        match write:
            case commits.Append() | commits.OpenSession() | commits.CloseTransaction() | commits.AttributeOrphan():
                yield write.charge_point
            case SettleEnergy():
                yield write.charge_point
            case commits.CreateChargePoints():
                yield from (each.identity for each in write.charge_points)
            case commits.CreateChargePoint() | commits.UpdateChargePoint() | commits.DeleteChargePoint():
                yield write.identity
            case node_writes.AskToDisconnect():
                yield write.charge_point
            case commits.AddCredential() | commits.RemoveCredentials() | commits.DecideKey() | commits.UseKey():
                yield write.identity
            case _:
                pass


def apply(batch: Sequence[Write], writer: Writer) -> list[Result]:
    """Do the writes of a batch inside the open transaction, in their order."""
    results: list[Result] = []
    opens: dict[str, commits.OpenSession] = {}
    for write in batch:
        if isinstance(write, commits.OpenSession):
            if write.charge_point in opens:
                results += open_sessions(writer, opens)
            opens[write.charge_point] = write
            continue
        results += open_sessions(writer, opens)
        events = writer.committed = []
        results.append((_WRITES[type(write)](writer, write), events))
    return results + open_sessions(writer, opens)


def resolved(results: Sequence[Result], base: int) -> list[WriteResult]:
    """The answers of a batch whose sequences begin at ``base``."""
    answers: list[WriteResult] = []
    for result, events in results:
        if isinstance(result, Appended):
            answers.append(Appended(absolute(result.sequences, base), committed(events, base)))
        elif isinstance(result, Opened):
            sequences = absolute(result.sequences, base)
            answers.append(attrs.evolve(result, sequences=sequences, events=committed(events, base)))
        else:
            answers.append(result)
    return answers


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
    return Appended(writer.append(owner, owner.epoch, write.events))


def open_sessions(writer: Writer, opens: dict[str, commits.OpenSession]) -> list[Result]:
    """Open sessions of different charge points that follow on each other, by their identities, which are taken out:
    what a storm of connections asks of the database is asked for all of them together."""
    if not opens:
        return []
    writes = list(opens.values())
    opens.clear()
    owners = [writer.present(each.charge_point) for each in writes]
    left = [
        (owner, Cause(write.left, write.commands_left), write.at)
        for owner, write in zip(owners, writes, strict=True)
        if owner is not None
    ]
    ends = ends_of(writer, left) if left else {}
    done: list[tuple[tuple[int, ...], list[Pending]]] = []
    for owner, write in zip(owners, writes, strict=True):
        events = writer.committed = []
        sequences: tuple[int, ...] = ()
        if owner is not None:
            sequences = writer.append(owner, owner.epoch, ends[owner.key])
            writer.raise_epoch(owner, writer.lane.slot)
            sequences += writer.append(owner, owner.epoch, [NewEvent(write.connected, write.at)])
        done.append((sequences, events))
    states = iter(opened_states(writer, [(owner, at) for owner, _, at in left]))
    return [
        (Missing() if owner is None else Opened(owner.epoch, next(states), sequences), events)
        for owner, (sequences, events) in zip(owners, done, strict=True)
    ]


def record_last_heard(writer: Writer, write: commits.RecordLastHeard) -> Done:
    newest: dict[str, int] = {}
    for identity, at in write.heard:
        newest[identity] = to_micros(at)
    writer.send(
        # A later one is kept, but for what a clock that ran ahead has left: it would stand for ever.
        # Rows of other nodes' charge points are theirs to change, in their order.
        f"""UPDATE charge_point c SET last_heard = CASE WHEN c.last_heard BETWEEN u.at AND u.at + {AT_ONCE}
        THEN c.last_heard ELSE u.at END FROM unnest($1::text[], $2::int8[]) AS u (identity, at)
        WHERE c.identity = u.identity AND c.deleted_at IS NULL AND (NOT $3 OR c.node = $4)""",
        Array("text", list(newest)),
        Array("int8", list(newest.values())),
        int(writer.lane.shared),
        writer.lane.slot,
    )
    return Done()


# --- idTags ---------------------------------------------------------------------------------------------------


def put_id_tag(writer: Writer, write: commits.PutIdTag) -> Done | Exists | Missing | GuardFailed:
    record = write.record
    key = folded(record.id_tag)
    row = writer.first("SELECT revision, created_at, created_by FROM id_tag WHERE folded = $1", key)
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
    writer.send(
        """INSERT INTO id_tag (folded, id_tag, status, created_at, updated_at, expiry_date, parent_id_tag,
        allow_concurrent, description, revision, created_by, updated_by)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        ON CONFLICT (folded) DO UPDATE SET id_tag = excluded.id_tag, status = excluded.status,
        updated_at = excluded.updated_at, expiry_date = excluded.expiry_date, parent_id_tag = excluded.parent_id_tag,
        allow_concurrent = excluded.allow_concurrent, description = excluded.description,
        revision = excluded.revision, created_by = excluded.created_by, updated_by = excluded.updated_by""",
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
    )
    action = "CreateIdTag" if write.create else "UpdateIdTag"
    note_change(writer, AuditNote(write.caller, action, SubjectKind.ID_TAG, record.id_tag), record.updated_at)
    return Done()


def delete_id_tag(writer: Writer, write: commits.DeleteIdTag) -> Done | Missing:
    if not writer.run("DELETE FROM id_tag WHERE folded = $1", folded(write.id_tag)):
        return Missing()
    if write.by is not None:
        note_change(writer, AuditNote(write.by.caller, "DeleteIdTag", SubjectKind.ID_TAG, write.id_tag), write.by.at)
    return Done()


# --- numbers, retention ---------------------------------------------------------------------------------------


def allocate_numbers(writer: Writer, write: commits.AllocateNumbers) -> AllocatedNumbers:
    first = int(writer.one("SELECT next_number FROM meta")[0])
    if write.count < 1 or first + write.count - 1 > MAX_NUMBER:
        raise StoreError(f"{write.count} transaction numbers from {first} on can't be given out")
    writer.send("UPDATE meta SET next_number = $1", first + write.count)
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
    commits.CreateChargePoint: charge_points.create_charge_point,
    commits.CreateChargePoints: charge_points.create_charge_points,
    commits.UpdateChargePoint: charge_points.update_charge_point,
    commits.DeleteChargePoint: charge_points.delete_charge_point,
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
    fleet.CreateFleetJob: fleet_jobs.create_fleet_job,
    fleet.RecordFleetItems: fleet_jobs.record_fleet_items,
    fleet.CancelFleetJob: fleet_jobs.cancel_fleet_job,
    fleet.EndFleetJob: fleet_jobs.end_fleet_job,
    commits.AllocateNumbers: allocate_numbers,
    node_writes.Beat: nodes.beat,
    node_writes.EndNode: nodes.end_node,
    node_writes.AskToDisconnect: nodes.ask_to_disconnect,
    commits.RecordLastHeard: record_last_heard,
    commits.Trim: trim_events,
    commits.Forget: forget_outlived,
    commits.RecordClock: remember_clock,
}

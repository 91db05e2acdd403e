"""Charge points, as the operator deals with them (Trio's side)."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import trio
from attrs import evolve, field, frozen

from gateway.control.commands import MAX_REQUEST_ID
from gateway.control.commit_tracker import changing, nothing_changed
from gateway.control.connectors import Build, Connectors
from gateway.control.creations import Creation, creation, made_by
from gateway.control.errors import Failure, Status, already_exists, invalid, not_found, stale
from gateway.control.lists import At, at_head, page_at_head
from gateway.control.nodes import Nodes
from gateway.control.ports import Commands, Journal
from gateway.domain import identity as identity_rule
from gateway.domain import labels as label_rule
from gateway.domain.charging_state import OFFLINE_GRACE
from gateway.domain.commands import FieldViolation
from gateway.domain.credentials import MAX_KEY_BYTES, MIN_KEY_BYTES, generate_key, make_credential
from gateway.domain.labels import Labels
from gateway.domain.quirks import NO_VALUES, EffectiveQuirks, QuirkBook, QuirkValues, faults
from gateway.domain.records import ChargePointRecord, Credential, CredentialKind
from gateway.domain.values import Clock, Registration
from gateway.store.commits import (
    Appended,
    CreateChargePoint,
    DeleteChargePoint,
    Exists,
    GuardFailed,
    Missing,
    UpdateChargePoint,
    WriteResult,
)
from gateway.store.lists import ChargePointCounts, Found, Query
from gateway.store.reads import Reads

M = TypeVar("M")

MAX_DESCRIPTION = 1000
"""Notes for people; a page of charge points must stay small."""

HIGHEST_PROFILE = 3
"""Security profiles of OCPP 1.6: 1 to 3."""

SLOW_HASHES = 2
"""Slow hashes of given keys at once: each takes some 50 ms of a core and 16 MiB."""


@frozen
class NewChargePoint:
    """``key`` None: generate one."""

    identity: str
    registration: Registration = Registration.ACCEPTED
    description: str = ""
    quirks: QuirkValues = NO_VALUES
    labels: Labels = field(factory=dict)
    key: bytes | None = field(default=None, repr=False)
    caller: str = ""
    minimum_security_profile: int = 0
    request_id: str = ""
    """Empty: none. Repeated, it returns what it made."""


@frozen
class Change:
    """Change by an operator; None: nothing. ``key`` empty: generate one."""

    identity: str
    registration: Registration | None = None
    description: str | None = None
    quirks: Mapping[str, Any] | None = None
    labels: Labels | None = None
    key: bytes | None = field(default=None, repr=False)
    revision: int | None = None
    caller: str = ""
    minimum_security_profile: int | None = None


@frozen
class Provisioned:
    """``generated_key`` is shown this once; empty where none was generated."""

    record: ChargePointRecord
    quirks: EffectiveQuirks
    generated_key: bytes = field(default=b"", repr=False)


class ChargePoints:
    """All methods raise ``Failure`` and ``StoreUnavailable``. Cancelling one that changes something leaves open
    whether it happened; if it did, the live session has heard of it."""

    def __init__(
        self,
        journal: Journal,
        reads: Reads,
        commands: Commands,
        clock: Clock,
        offline_grace: timedelta = OFFLINE_GRACE,
        quirks: QuirkBook | None = None,
        nodes: Nodes | None = None,
    ) -> None:
        self._nodes = nodes
        self._quirks = quirks or QuirkBook()
        self._journal = journal
        self._reads = reads
        self._commands = commands
        self._clock = clock
        self._connectors = Connectors(reads, commands, clock, offline_grace)
        self._hashes = trio.CapacityLimiter(SLOW_HASHES)
        self._ordered = trio.Lock()

    async def create(self, new: NewChargePoint) -> Provisioned:
        """Make a charge point known."""
        violations = [
            *identity_violations(new.identity),
            *field_violations(new.description, new.key, new.labels, new.minimum_security_profile, new.quirks),
            *request_id_violations(new.request_id),
        ]
        if violations:
            raise invalid(*violations)
        credential, generated = await self._credential(new.key)
        write = CreateChargePoint(
            new.identity,
            new.registration,
            (credential,),
            self._clock(),
            new.description,
            new.quirks,
            new.labels,
            new.caller,
            new.minimum_security_profile,
            new.request_id,
        )
        if not isinstance(await self._journal.commit(write), Exists):
            return Provisioned(*await self.whole(new.identity), generated)
        earlier = None if not new.request_id else await self._reads.run(creation, new.identity)
        if earlier is None or earlier.request_id != new.request_id:
            raise already_exists("charge point", new.identity)
        return await self._repeated(write, earlier, generated)

    async def _repeated(self, write: CreateChargePoint, earlier: Creation, generated: bytes) -> Provisioned:
        """The answer to a request whose charge point is there: its key is this one's while it has been of no use."""
        record, quirks = await self.whole(write.identity)
        if earlier.changed or record.connection.epoch != earlier.epoch:
            return Provisioned(record, quirks)
        if not made_by(write, record):
            message = f"request_id {write.request_id} was used for charge point {write.identity} with other values"
            metadata = {"charge_point": write.identity, "request_id": write.request_id}
            violation = FieldViolation("request_id", message)
            raise Failure(Status.INVALID_ARGUMENT, "REQUEST_ID_REUSED", message, metadata, (violation,))
        update = UpdateChargePoint(
            write.identity,
            write.at,
            credentials=write.credentials,
            revision=record.revision,
            caller=write.caller,
            request_id=write.request_id,
        )
        if not isinstance(await self._commit_update(update), Appended):
            return Provisioned(*await self.whole(write.identity))  # changed meanwhile
        return Provisioned(*await self.whole(write.identity), generated)

    async def get(self, identity: str) -> ChargePointRecord:
        """One charge point, with what the running process knows of its connection."""
        record = await self._reads.charge_point(identity)
        if record is None:
            raise not_found("charge point", identity)
        [shown] = await self._connectors.shown([record])
        return shown

    async def whole(self, identity: str) -> tuple[ChargePointRecord, EffectiveQuirks]:
        """As ``get``, with the quirk profile that counts for it."""
        record = await self.get(identity)
        if record.connection.connected and self._nodes is not None:
            node = await self._nodes.node_of(identity)
            record = evolve(record, connection=evolve(record.connection, node=node))
        return record, self._quirks.of(record.boot, record.quirks)

    async def named(self, identities: Sequence[str]) -> list[ChargePointRecord]:
        """Those of the identities that there are, in the order in which they are asked for."""
        found = {each.identity: each for each in await self._reads.charge_points_named(identities)}
        return await self._connectors.shown([found[each] for each in identities if each in found])

    async def page(self, query: Query, after: str, limit: int, whole: bool) -> At[Found[ChargePointRecord]]:
        """A page; not ``whole``: of each charge point its own fields alone."""
        page = await page_at_head(self._reads, lambda store: store.find_charge_points(query, after, limit, whole))
        found = page.found
        shown = await self._connectors.shown(found.records) if whole else self._connectors.heard(found.records)
        return evolve(page, found=evolve(found, records=shown))

    def snapshot(self, query: Query, build: Build[M]) -> AsyncGenerator[list[M], None]:
        """The messages of all charge points of a query with their connectors, some at a time, with one resume token
        for all. ``build`` runs in a thread."""
        return self._connectors.snapshot(query, build)

    async def count(self, query: Query) -> At[ChargePointCounts]:
        """Counts of charge points and connectors."""
        return await at_head(self._reads, lambda store: store.count_charge_points(query))

    async def update(self, change: Change) -> Provisioned:
        """Change it; a live session learns of another registration at once."""
        violations = field_violations(
            change.description,
            change.key or None,
            change.labels,
            change.minimum_security_profile,
            QuirkValues(**change.quirks or {}),
        )
        if violations:
            raise invalid(*violations)
        credentials, generated = None, b""
        if change.key is not None:
            credential, generated = await self._credential(change.key or None)
            credentials = (credential,)
        write = UpdateChargePoint(
            change.identity,
            self._clock(),
            change.registration,
            change.description,
            change.quirks,
            change.labels,
            credentials,
            change.revision,
            change.caller,
            change.minimum_security_profile,
        )
        result = await self._commit_update(write)
        if isinstance(result, Missing):
            raise not_found("charge point", change.identity)
        if isinstance(result, GuardFailed):
            raise stale("charge point", change.identity)
        return Provisioned(*await self.whole(change.identity), generated)

    async def delete(self, identity: str, caller: str = "") -> None:
        """Remove it and end its session."""
        with trio.CancelScope(shield=True):  # as below
            async with self._ordered:
                result = await self._journal.commit(DeleteChargePoint(identity, self._clock(), caller))
                if not isinstance(result, Missing):
                    self._commands.expel(identity)
        if isinstance(result, Missing):
            raise not_found("charge point", identity)

    async def disconnect(self, identity: str, caller: str = "") -> None:
        """End its session; it may come back."""
        changing()
        if await self._commands.let_go(identity, caller):
            return
        nothing_changed()
        record = await self.get(identity)
        seen = record.connection.last_heard
        raise Failure(
            Status.FAILED_PRECONDITION,
            "CHARGE_POINT_OFFLINE",
            f"charge point {identity} is not connected",
            {"charge_point": identity, "last_seen": "never" if seen is None else seen.isoformat()},
        )

    async def _commit_update(self, write: UpdateChargePoint) -> WriteResult:
        """Commit and tell the session, whatever becomes of the caller: a commit can't be withdrawn, and the session
        must not stay with what no longer holds. One at a time, so that the session hears of changes in their order.
        """
        with trio.CancelScope(shield=True):
            async with self._ordered:
                result = await self._journal.commit(write)
                if write.registration is not None and isinstance(result, Appended):
                    self._commands.registration_changed(write.identity, write.registration)
                if write.minimum_security_profile and isinstance(result, Appended):
                    self._commands.minimum_profile_raised(write.identity, write.minimum_security_profile)
        return result

    async def _credential(self, key: bytes | None) -> tuple[Credential, bytes]:
        """A verifier, and the key if it is of our making: only then its strength is known."""
        if key is None:
            key = generate_key()
            return make_credential(key, CredentialKind.GENERATED, self._clock()), key
        credential = await trio.to_thread.run_sync(
            make_credential, key, CredentialKind.IMPORTED, self._clock(), limiter=self._hashes
        )
        return credential, b""


def request_id_violations(request_id: str) -> list[FieldViolation]:
    """At most one. An empty one is none."""
    if len(request_id) <= MAX_REQUEST_ID and request_id.isprintable():
        return []
    return [FieldViolation("request_id", f"must have at most {MAX_REQUEST_ID} printable characters")]


def identity_violations(identity: str, name: str = "charge_point.identity") -> list[FieldViolation]:
    """At most one; ``name`` is the field's."""
    wrong = identity_rule.fault(identity)
    return [] if wrong is None else [FieldViolation(name, wrong.description)]


def label_violations(labels: Labels, name: str = "charge_point.labels") -> list[FieldViolation]:
    """``name`` is the field's."""
    return [FieldViolation(f"{name}[{key}]" if key else name, fault) for key, fault in label_rule.faults(labels)]


def field_violations(
    description: str | None,
    key: bytes | None,
    labels: Labels | None = None,
    profile: int | None = None,
    quirks: QuirkValues = NO_VALUES,
) -> list[FieldViolation]:
    found = [] if labels is None else label_violations(labels)
    found += faults(quirks, "charge_point.quirks.")
    if profile is not None and not 0 <= profile <= HIGHEST_PROFILE:
        found.append(FieldViolation("charge_point.minimum_security_profile", f"must be 0 to {HIGHEST_PROFILE}"))
    if description is not None and len(description) > MAX_DESCRIPTION:
        found.append(FieldViolation("charge_point.description", f"must have at most {MAX_DESCRIPTION} characters"))
    if key is not None and not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        found.append(FieldViolation("authorization_key", f"must have {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes"))
    return found

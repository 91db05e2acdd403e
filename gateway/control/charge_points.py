"""Charge points, as the operator deals with them (Trio's side)."""

from collections.abc import Sequence
from datetime import timedelta

import trio
from attrs import field, frozen

from gateway.control.commit_tracker import changing, nothing_changed
from gateway.control.connectors import Connectors
from gateway.control.errors import Failure, Status, already_exists, invalid, not_found, stale
from gateway.control.ports import Commands, Journal
from gateway.domain import identity as identity_rule
from gateway.domain import labels as label_rule
from gateway.domain.charging_state import OFFLINE_GRACE
from gateway.domain.commands import FieldViolation
from gateway.domain.credentials import MAX_KEY_BYTES, MIN_KEY_BYTES, generate_key, make_credential
from gateway.domain.labels import Labels
from gateway.domain.records import ChargePointRecord, Credential, CredentialKind
from gateway.domain.values import Clock, Registration, Switch
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
from gateway.store.reads import Reads

MAX_DESCRIPTION = 1000
"""Notes for people; a page of charge points must stay small."""

SLOW_HASHES = 2
"""Slow hashes of given keys at once: each takes some 50 ms of a core and 16 MiB."""


@frozen
class NewChargePoint:
    """``key`` None: generate one."""

    identity: str
    registration: Registration = Registration.ACCEPTED
    description: str = ""
    assume_subprotocol: bool = False
    own_requests: Switch = Switch.DEFAULT
    accept_hex_password: Switch = Switch.DEFAULT
    labels: Labels = field(factory=dict)
    key: bytes | None = field(default=None, repr=False)
    caller: str = ""


@frozen
class Change:
    """Change by an operator; None: nothing. ``key`` empty: generate one."""

    identity: str
    registration: Registration | None = None
    description: str | None = None
    assume_subprotocol: bool | None = None
    own_requests: Switch | None = None
    accept_hex_password: Switch | None = None
    labels: Labels | None = None
    key: bytes | None = field(default=None, repr=False)
    revision: int | None = None
    caller: str = ""


@frozen
class Provisioned:
    """``generated_key`` is shown this once; empty where none was generated."""

    record: ChargePointRecord
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
    ) -> None:
        self._journal = journal
        self._reads = reads
        self._commands = commands
        self._clock = clock
        self._connectors = Connectors(reads, commands, clock, offline_grace)
        self._hashes = trio.CapacityLimiter(SLOW_HASHES)
        self._ordered = trio.Lock()

    async def create(self, new: NewChargePoint) -> Provisioned:
        """Make a charge point known."""
        violations = [*identity_violations(new.identity), *field_violations(new.description, new.key, new.labels)]
        if violations:
            raise invalid(*violations)
        credential, generated = await self._credential(new.key)
        write = CreateChargePoint(
            new.identity,
            new.registration,
            (credential,),
            self._clock(),
            new.description,
            new.assume_subprotocol,
            new.own_requests,
            new.accept_hex_password,
            new.labels,
            new.caller,
        )
        if isinstance(await self._journal.commit(write), Exists):
            raise already_exists("charge point", new.identity)
        return Provisioned(await self.get(new.identity), generated)

    async def get(self, identity: str) -> ChargePointRecord:
        """One charge point, with what the running process knows of its connection."""
        record = await self._reads.charge_point(identity)
        if record is None:
            raise not_found("charge point", identity)
        [shown] = await self._connectors.shown([record])
        return shown

    async def named(self, identities: Sequence[str]) -> list[ChargePointRecord]:
        """Those of the identities that there are, in the order in which they are asked for."""
        found = {each.identity: each for each in await self._reads.charge_points_named(identities)}
        return await self._connectors.shown([found[each] for each in identities if each in found])

    async def page(
        self, after: str, limit: int, connected: bool | None, registration: Registration | None, labels: Labels
    ) -> list[ChargePointRecord]:
        """A page by identity."""
        return await self._connectors.shown(
            await self._reads.charge_points(after, limit, connected, registration, labels)
        )

    async def update(self, change: Change) -> Provisioned:
        """Change it; a live session learns of another registration at once."""
        violations = field_violations(change.description, change.key or None, change.labels)
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
            change.assume_subprotocol,
            change.own_requests,
            change.accept_hex_password,
            change.labels,
            credentials,
            change.revision,
            change.caller,
        )
        result = await self._commit_update(write)
        if isinstance(result, Missing):
            raise not_found("charge point", change.identity)
        if isinstance(result, GuardFailed):
            raise stale("charge point", change.identity)
        return Provisioned(await self.get(change.identity), generated)

    async def delete(self, identity: str, caller: str = "") -> None:
        """Remove it and end its session."""
        with trio.CancelScope(shield=True):  # as below
            async with self._ordered:
                result = await self._journal.commit(DeleteChargePoint(identity, self._clock(), caller))
                if not isinstance(result, Missing):
                    self._commands.expel(identity)
        if isinstance(result, Missing):
            raise not_found("charge point", identity)

    async def disconnect(self, identity: str) -> None:
        """End its session; it may come back."""
        changing()
        if self._commands.disconnect(identity):
            return
        nothing_changed()
        record = await self.get(identity)
        seen = record.connection.last_heard or record.connection.since
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


def identity_violations(identity: str, name: str = "charge_point.identity") -> list[FieldViolation]:
    """At most one; ``name`` is the field's."""
    wrong = identity_rule.fault(identity)
    return [] if wrong is None else [FieldViolation(name, wrong.description)]


def label_violations(labels: Labels, name: str = "charge_point.labels") -> list[FieldViolation]:
    """``name`` is the field's."""
    return [FieldViolation(f"{name}[{key}]" if key else name, fault) for key, fault in label_rule.faults(labels)]


def field_violations(description: str | None, key: bytes | None, labels: Labels | None = None) -> list[FieldViolation]:
    found = [] if labels is None else label_violations(labels)
    if description is not None and len(description) > MAX_DESCRIPTION:
        found.append(FieldViolation("charge_point.description", f"must have at most {MAX_DESCRIPTION} characters"))
    if key is not None and not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        found.append(FieldViolation("authorization_key", f"must have {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes"))
    return found

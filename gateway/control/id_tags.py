"""The operator's table of idTags (Trio's side)."""

from datetime import datetime

import attrs
from attrs import frozen

from gateway.control.errors import already_exists, invalid, not_found, stale
from gateway.control.lists import page_at_head
from gateway.control.ports import Authorizer, Journal
from gateway.domain.audit import DoneBy
from gateway.domain.commands import FieldViolation
from gateway.domain.records import IdTagRecord, TransactionRecord
from gateway.domain.transactions import uses_elsewhere
from gateway.domain.values import Clock, ConnectorAddress
from gateway.store.commits import DeleteIdTag, Exists, GuardFailed, Missing, PutIdTag
from gateway.store.lists import Found, Query
from gateway.store.reads import Reads

MAX_TAG = 20
"""An idToken's length (S §7.15, CiString20)."""

MAX_DESCRIPTION = 1000
"""Notes for people; a page of tags must stay small."""

ATTEMPTS = 5
"""How often an update without an etag starts over when others change the same tag; each time one of them got on."""


@frozen
class TagFields:
    """Fields of a tag that an operator sets."""

    status: str
    expiry_date: datetime | None = None
    parent_id_tag: str | None = None
    allow_concurrent: bool = False
    description: str = ""


MAX_USES = 20
"""Open transactions of a tag that are looked at: one elsewhere is enough to refuse it."""

ACCEPTED = "Accepted"
CONCURRENT = "ConcurrentTx"


@frozen
class Check:
    """Answer that a start with a tag would get (S §7.2), and the transactions that occupy the tag."""

    status: str
    transactions: tuple[TransactionRecord, ...] = ()


class IdTags:
    """All methods raise ``Failure`` and ``StoreUnavailable``. Cancelling one that changes something leaves open
    whether it happened."""

    def __init__(self, journal: Journal, reads: Reads, authorizer: Authorizer, clock: Clock) -> None:
        self._journal = journal
        self._reads = reads
        self._authorizer = authorizer
        self._clock = clock

    async def create(self, id_tag: str, fields: TagFields, caller: str = "") -> IdTagRecord:
        """Add a tag."""
        violations = [*_tag_violations(id_tag), *_violations(fields)]
        if violations:
            raise invalid(*violations)
        now = self._clock()
        record = IdTagRecord(id_tag, created_at=now, updated_at=now, **attrs.asdict(fields))
        if isinstance(await self._journal.commit(PutIdTag(record, create=True, caller=caller)), Exists):
            raise already_exists("id tag", id_tag)
        return await self.get(id_tag)

    async def get(self, id_tag: str) -> IdTagRecord:
        """One tag, without regard to case."""
        record = await self._reads.id_tag(id_tag)
        if record is None:
            raise not_found("id tag", id_tag)
        return record

    async def page(self, query: Query, after: str, limit: int) -> Found[IdTagRecord]:
        """A page."""
        return (await page_at_head(self._reads, lambda store: store.find_id_tags(query, after, limit))).found

    async def update(
        self, id_tag: str, fields: TagFields, names: frozenset[str], revision: int | None, caller: str = ""
    ) -> IdTagRecord:
        """Change the named fields; those of ``fields`` that aren't named don't count."""
        violations = [each for each in _violations(fields) if each.field.removeprefix("id_tag.") in names]
        if violations:
            raise invalid(*violations)
        for _ in range(1 if revision is not None else ATTEMPTS):
            present = await self.get(id_tag)
            changes = {name: value for name, value in attrs.asdict(fields).items() if name in names}
            changed = attrs.evolve(present, updated_at=self._clock(), **changes)
            expected = present.revision if revision is None else revision
            write = PutIdTag(changed, create=False, expected_revision=expected, caller=caller)
            result = await self._journal.commit(write)
            if isinstance(result, Missing):
                raise not_found("id tag", id_tag)
            if not isinstance(result, GuardFailed):
                return await self.get(id_tag)
        raise stale("id tag", id_tag)

    async def delete(self, id_tag: str, caller: str = "") -> None:
        """Remove a tag."""
        if isinstance(await self._journal.commit(DeleteIdTag(id_tag, DoneBy(caller, self._clock()))), Missing):
            raise not_found("id tag", id_tag)

    async def check(self, charge_point: str, id_tag: str, connector: ConnectorAddress | None) -> Check:
        """Return the answer that a start with this tag would get there now. Changes nothing."""
        if len(id_tag) > MAX_TAG:
            raise invalid(FieldViolation("id_tag", f"must have at most {MAX_TAG} characters"))
        if await self._reads.charge_point(charge_point) is None:
            raise not_found("charge point", charge_point)
        authorization = await self._authorizer.authorize(charge_point, id_tag)
        if authorization.status != ACCEPTED or authorization.allow_concurrent:
            return Check(authorization.status)
        held = await self._reads.occupying_transactions_of_tag(id_tag, MAX_USES)
        uses = uses_elsewhere(held, charge_point, connector)
        return Check(CONCURRENT if uses else ACCEPTED, tuple(uses))


def _tag_violations(id_tag: str) -> list[FieldViolation]:
    if not 1 <= len(id_tag) <= MAX_TAG or not id_tag.isprintable() or not id_tag.isascii() or id_tag.isspace():
        return [FieldViolation("id_tag.id_tag", f"must have 1 to {MAX_TAG} characters of printable ASCII")]
    return []


def _violations(fields: TagFields) -> list[FieldViolation]:
    found = []
    if not fields.status:
        found.append(FieldViolation("id_tag.status", "must be set"))
    parent = fields.parent_id_tag
    if parent is not None and (len(parent) > MAX_TAG or not parent.isprintable() or not parent.isascii()):
        found.append(
            FieldViolation("id_tag.parent_id_tag", f"must have at most {MAX_TAG} characters of printable ASCII")
        )
    if len(fields.description) > MAX_DESCRIPTION:
        found.append(FieldViolation("id_tag.description", f"must have at most {MAX_DESCRIPTION} characters"))
    return found

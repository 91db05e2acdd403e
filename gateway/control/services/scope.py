"""Holding calls to their caller's scope: one place for all RPCs, before a method and before each item of a stream."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from attrs import frozen

from gateway.api.v1 import charge_point_pb2
from gateway.control.errors import Failure, Status, invalid, not_found
from gateway.control.scope import BY_QUERY, CHECK_TAG, FIELDS, LATEST, MAX_WATCHED, is_scoped
from gateway.domain.callers import Caller
from gateway.domain.commands import FieldViolation
from gateway.domain.events import TransactionOrphaned
from gateway.domain.labels import NO_LABELS, Labels
from gateway.store.event_ids import sequence_of
from gateway.store.reads import Reads

ORPHAN = "orphan_event_id"
THINGS = {"transaction_id": "transaction", "command_id": "command", "operation_id": "operation", ORPHAN: "orphan"}
"""Fields that name what belongs to a charge point."""


def scope_changed() -> Failure:
    """The end of a stream that began for other charge points than its caller's scope has now."""
    text = "other charge points are in the caller's scope now; watch again, by token"
    return Failure(Status.UNAVAILABLE, "SCOPE_CHANGED", text)


class OutsideOfScope(Failure):
    """There is such a charge point, and the caller's scope does not have it. To the caller it is one that there is
    not; ``charge_point`` is for the audit."""

    charge_point: str = ""


@frozen
class StoredOwners:
    """Charge points by their labels, and by what belongs to them; in Trio."""

    reads: Reads

    async def labelled(self, labels: Labels, identities: Sequence[str] | None, limit: int) -> list[str]:
        """Those that have all of the labels, of ``identities`` or of all there are, by identity."""
        return await self.reads.labelled(labels, identities, limit)

    async def owner(self, field: str, value: str) -> str | None:
        """The charge point of a thing that a field names; None: there is no such thing."""
        if field == ORPHAN:
            sequence = sequence_of(value, self.reads.store_id)
            event = None if sequence is None else await self.reads.event(sequence)
            return event.charge_point if event is not None and event.type == TransactionOrphaned.TYPE else None
        read: Callable[[str], Awaitable[Any]] = getattr(self.reads, THINGS[field])
        found = await read(value)
        return None if found is None else str(found.charge_point)


@frozen
class Held:
    """A call of a caller with a scope. ``watched``: the charge points of a stream; empty: it is none."""

    caller: Caller
    watched: tuple[str, ...] = ()
    filled: bool = False
    """Whether those are all in the scope, because the caller named none."""


Labelled: TypeAlias = Callable[[Labels, Sequence[str] | None, int], Awaitable[list[str]]]
Owner: TypeAlias = Callable[[str, str], Awaitable[str | None]]


class Scopes:
    """Raises ``Failure`` for what is outside of a scope, in the words of what does not exist."""

    def __init__(self, labelled: Labelled, owner: Owner) -> None:
        """Both as ``StoredOwners`` has them."""
        self._labelled = labelled
        self._owner = owner

    async def hold(self, caller: Caller, method: str, request: Any) -> Held:
        """Check a request, and narrow it in place where it names no charge point."""
        if not is_scoped(method):
            text = f"the caller {caller.name} has a scope, and this can't be held to it"
            raise Failure(Status.PERMISSION_DENIED, "SCOPE_NOT_APPLICABLE", text, {"caller": caller.name})
        if method == LATEST:
            return Held(caller)
        fields = FIELDS[method]
        if fields == ("charge_points",):
            return await self._watch(caller, request)
        if method not in BY_QUERY and not getattr(request, fields[0]):
            raise invalid(FieldViolation(fields[0], "must be set: the caller has a scope"))
        watched = [
            await self._inside(caller, name, getattr(request, name)) for name in fields if getattr(request, name)
        ]
        return Held(caller, tuple(watched[:1]))

    async def _inside(self, caller: Caller, field: str, value: str) -> str:
        """The charge point that a field names or whose thing it names. Raises ``Failure``: not found."""
        what = THINGS.get(field)
        identity = value if what is None else await self._owner(field, value)
        if identity is not None and await self._labelled(caller.scope, [identity], 1):
            return identity
        raise await self._hidden(what or "charge point", value, identity)

    async def _hidden(self, what: str, value: str, identity: str | None) -> Failure:
        """The answer about what is not in the scope: the same whether or not there is such a thing."""
        failure = not_found(what, value[:100])
        if identity is None or not await self._labelled(NO_LABELS, [identity], 1):
            return failure
        outside = OutsideOfScope(failure.status, failure.reason, failure.message, failure.metadata, failure.violations)
        outside.charge_point = identity
        return outside

    async def _watch(self, caller: Caller, request: Any) -> Held:
        named = list(dict.fromkeys(request.charge_points))
        if len(named) > MAX_WATCHED:
            raise invalid(FieldViolation("charge_points", f"must have at most {MAX_WATCHED}"))
        if named:
            inside = await self._labelled(caller.scope, named, MAX_WATCHED)
            missing = [name for name in named if name not in set(inside)]
            if missing:
                raise await self._hidden("charge point", missing[0], missing[0])
            return Held(caller, tuple(named))
        found = await self._labelled(caller.scope, None, MAX_WATCHED)
        # An empty filter is one of all: never passed on. At the limit there may be more than were read.
        if not 0 < len(found) < MAX_WATCHED:
            many = f"{MAX_WATCHED:,} charge points or more are" if found else "no charge point is"
            text = f"{many} in the caller's scope: name some"
            raise Failure(Status.FAILED_PRECONDITION, "SCOPE_NOT_WATCHABLE", text, {"caller": caller.name})
        request.charge_points.extend(found)
        return Held(caller, tuple(found), filled=True)

    async def recheck(self, held: Held) -> Held:
        """See that a stream's charge points are still in the scope. Raises ``Failure``: labels have changed."""
        identities = None if held.filled else held.watched
        found = await self._labelled(held.caller.scope, identities, MAX_WATCHED)
        if sorted(found) != sorted(held.watched):
            raise scope_changed()
        return held

    async def narrow(self, held: Held, method: str, response: Any) -> Any:
        """The response, without what it says of charge points outside."""
        if method == CHECK_TAG and response is not None:
            names = [each.charge_point for each in response.transactions]
            inside = set(await self._labelled(held.caller.scope, names, MAX_WATCHED)) if names else set()
            kept = [each for each in response.transactions if each.charge_point in inside]
            del response.transactions[:]
            response.transactions.extend(kept)
        if method == LATEST and response is not None:
            names = [each.charge_point for each in response.charge_points]
            inside = set(await self._labelled(held.caller.scope, names, MAX_WATCHED)) if names else set()
            for each in response.charge_points:
                if each.charge_point not in inside:
                    each.CopyFrom(charge_point_pb2.ChargePointReadings(charge_point=each.charge_point))
        return response

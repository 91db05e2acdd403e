"""Operations on charging: refused beforehand where that can be known, begun at their charge point, shown and watched
(Trio's side)."""

from collections.abc import AsyncGenerator
from decimal import Decimal

from attrs import evolve

from gateway.charging.operations import STEERING_WAIT
from gateway.charging.wishes import LiftLimit, SetLimit, WantedRequest
from gateway.control import upgrade_checks
from gateway.control.commands import REFUSALS, violations
from gateway.control.errors import Failure, Status, invalid, not_found, outcome_unknown
from gateway.control.event_streams import BATCH_BYTES, BATCH_EVENTS, IDLE_SECONDS
from gateway.control.id_tags import ACCEPTED, IdTags
from gateway.control.lists import At, page_at_head
from gateway.control.ports import Commands, Feed, WantedStates
from gateway.domain.charging import ChargingRateUnit
from gateway.domain.codec import encode_command, fingerprint
from gateway.domain.commands import FieldViolation, RefusalReason, Refused, Unknown
from gateway.domain.events import NewEvent, OperationAccepted, OperationAdvanced, OperationEnded
from gateway.domain.operations import (
    STEERING,
    End,
    OperationKind,
    OperationRecord,
    OperationRefusal,
    OperationRefused,
    OperationRequest,
    steering_request_id,
)
from gateway.domain.steering import RateLimit, StandingLimit
from gateway.domain.values import WHOLE_CHARGE_POINT, Clock, new_id
from gateway.store.api import EventFilter
from gateway.store.lists import Found, Query
from gateway.store.reads import Reads

LONGEST_SECONDS = 120.0
"""Until an operation's expiry: a start or a stop that comes later surprises the person beside the charger."""

KEPT = "kept"
"""Why a pause or a limit of an absent charge point ends: it stays wanted, and is put to the charger when it is back."""

WATCHED = frozenset({OperationAdvanced.TYPE, OperationEnded.TYPE})

_STATUSES = {
    OperationRefusal.NO_TRANSACTION: Status.NOT_FOUND,
    OperationRefusal.TOO_MANY_OPERATIONS: Status.RESOURCE_EXHAUSTED,
}
"""Statuses of refusals; those of all others are FAILED_PRECONDITION."""


class OperationCalls:
    """All raise ``Failure`` and ``StoreUnavailable``."""

    def __init__(
        self,
        reads: Reads,
        commands: Commands,
        wanted: WantedStates,
        id_tags: IdTags,
        feed: Feed,
        clock: Clock,
        idle: float = IDLE_SECONDS,
    ) -> None:
        self._reads = reads
        self._wanted = wanted
        self._clock = clock
        self._commands = commands
        self._id_tags = id_tags
        self._feed = feed
        self._idle = idle

    async def begin(
        self, identity: str, request: OperationRequest, request_id: str, seconds: float, caller: str = ""
    ) -> OperationRecord:
        """Begin an operation: its record, which is on disk. The same request again returns the operation as it is.

        It is not sent later than in ``seconds``, or ``LONGEST_SECONDS``; with none left nothing is begun. No refusal
        comes without a look for an earlier one with the request id. Cancelling only ends the waiting.
        """
        wrong = violations(identity, request_id)
        if wrong:
            raise invalid(*wrong)
        request = with_arguments(request, self._reads.store_id)
        earlier = await self._earlier(identity, request, request_id)
        if earlier is not None:
            return earlier
        about = {"charge_point": identity, "request_id": request_id}
        if seconds <= 0:
            raise Failure(Status.DEADLINE_EXCEEDED, "NOT_SENT", "the deadline leaves no time to begin anything", about)
        record = await self._reads.charge_point(identity)
        if record is None:
            raise not_found("charge point", identity)
        if request.kind is OperationKind.UPGRADE_SECURITY_PROFILE:
            keys = await self._reads.credentials(identity)
            speaks_against = upgrade_checks.refusal(
                request, record, keys, self._commands.security_profiles, self._clock()
            )
            if speaks_against is not None:
                raise _refused_beforehand(speaks_against, about)
        if request.kind in STEERING:
            return await self._steer(identity, request, request_id, about, caller)
        if request.kind is OperationKind.START_CHARGING and not request.insist:
            await self._check_tag(identity, request, about)
        outcome = await self._commands.operate(identity, request, request_id, min(seconds, LONGEST_SECONDS), caller)
        match outcome:
            case OperationRecord():
                return outcome
            case None:  # begun by another caller meanwhile
                found = await self._earlier(identity, request, request_id)
                if found is not None:
                    return found
                raise _unknown("store-unavailable", "the store has lost it", about)
            case OperationRefused():
                raise _refused_beforehand(outcome, about)
            case Unknown():
                raise _unknown(outcome.reason, outcome.message, about)
            case Refused():
                raise await self._refused(outcome, identity, about)

    async def _steer(
        self, identity: str, request: OperationRequest, request_id: str, about: dict[str, str], caller: str
    ) -> OperationRecord:
        """Change what is wanted of the connector, together with the operation that follows it. Of a charge point that
        is not connected the operation ends at once, and what is wanted is kept for it."""
        now, operation_id = self._clock(), new_id("op")
        accepted = OperationAccepted(operation_id, request_id, request, now + STEERING_WAIT, caller=caller)
        also: tuple[NewEvent, ...] = (NewEvent(accepted, now),)
        if not await self._commands.connected(identity):
            also += (NewEvent(OperationEnded(operation_id, End.OFFLINE, KEPT), now),)
        outcome = await self._wanted.change(identity, _wanted(request, request_id, caller, operation_id), also)
        if isinstance(outcome, Refused):
            if outcome.reason is RefusalReason.REQUEST_ID_REUSED:  # by another kind of operation meanwhile: that one
                await self._earlier(identity, request, request_id)  # is named
            raise await self._refused(outcome, identity, about)
        self._commands.operation_begun(identity)
        found = await self._earlier(identity, request, request_id)
        if found is None:
            raise _unknown("store-unavailable", "the store has lost it", about)
        return found

    async def _earlier(self, identity: str, request: OperationRequest, request_id: str) -> OperationRecord | None:
        """The operation that this request began before. Raises Failure where another one has its id."""
        found = await self._reads.operation_by_request(identity, request_id)
        if found is not None and found.request != request:
            message = f"request_id {request_id} was used for another operation of this charge point"
            raise Failure(
                Status.INVALID_ARGUMENT,
                RefusalReason.REQUEST_ID_REUSED.value,
                message,
                {"charge_point": identity, "request_id": request_id, "operation_id": found.operation_id},
                (FieldViolation("request_id", message),),
            )
        return found

    async def _check_tag(self, identity: str, request: OperationRequest, about: dict[str, str]) -> None:
        check = await self._id_tags.check(identity, request.id_tag, request.connector)
        if check.status != ACCEPTED:
            where = ", ".join(each.transaction_id for each in check.transactions)
            checked = {"status": check.status, **({"transaction_ids": where} if where else {})}
            message = f"a start with this tag would be answered {check.status}"
            raise Failure(Status.FAILED_PRECONDITION, "ID_TAG_NOT_ACCEPTED", message, {**about, **checked})

    async def _refused(self, refusal: Refused, identity: str, about: dict[str, str]) -> Failure:
        metadata = {**about, **refusal.metadata}
        if refusal.reason is RefusalReason.CHARGE_POINT_OFFLINE:
            record = await self._reads.charge_point(identity)
            heard = None if record is None else record.connection.last_heard
            metadata["last_seen"] = "never" if heard is None else heard.isoformat()
        status = REFUSALS[refusal.reason]
        return Failure(status, refusal.reason.value, refusal.message, metadata, refusal.violations)

    async def get(self, operation_id: str) -> OperationRecord:
        """One operation."""
        record = await self._reads.operation(operation_id)
        if record is None:
            raise not_found("operation", operation_id)
        return record

    async def page(self, query: Query, after: str, limit: int) -> At[Found[OperationRecord]]:
        """A page."""
        return await page_at_head(self._reads, lambda store: store.find_operations(query, after, limit))

    async def watch(self, operation_id: str, after: int) -> AsyncGenerator[OperationRecord, None]:
        """The operation each time that it has gone on, until it has ended. ``after``: the sequence that the caller has.

        To be closed when it is no longer read. Cancelling is safe: a watch with the last sequence misses no stage.
        """
        record = await self.get(operation_id)
        where = EventFilter(frozenset({record.charge_point}), WATCHED)
        async with self._feed.subscribe(
            where, None, idle=self._idle, max_events=BATCH_EVENTS, max_bytes=BATCH_BYTES
        ) as subscription:
            record = await self.get(operation_id)  # what comes after this is an event of the subscription
            while True:
                if record.sequence > after:
                    after = record.sequence
                    yield record
                if record.end is not None:
                    return
                while not (await subscription.next()).events:
                    pass
                record = await self.get(operation_id)


def with_arguments(request: OperationRequest, store_id: str) -> OperationRequest:
    """A request with what is kept of its command: its arguments without secrets, and a digest of all of them."""
    if request.own_command is None:
        return request
    digest = fingerprint(store_id, request.own_command)
    return evolve(request, arguments=encode_command(request.own_command), fingerprint=digest)


def _refused_beforehand(outcome: OperationRefused, about: dict[str, str]) -> Failure:
    status = _STATUSES.get(outcome.reason, Status.FAILED_PRECONDITION)
    return Failure(status, outcome.reason.value, outcome.message, {**about, **outcome.metadata})


def _wanted(request: OperationRequest, request_id: str, caller: str, operation_id: str) -> WantedRequest:
    """The change of what is wanted that the operation makes."""
    if request.kind is OperationKind.RESUME_CHARGING:
        change: SetLimit | LiftLimit = LiftLimit()
    elif request.kind is OperationKind.PAUSE_CHARGING:
        change = SetLimit(StandingLimit(RateLimit(Decimal(0), ChargingRateUnit.AMPERE), request.until))
    else:
        change = SetLimit(StandingLimit(request.limit, request.until))
    return WantedRequest(
        steering_request_id(request_id),
        request.connector or WHOLE_CHARGE_POINT,
        change,
        pause_below_minimum=request.pause_below_minimum,
        insist=request.insist,
        caller=caller,
        operation_id=operation_id,
    )


def _unknown(cause: str, message: str, about: dict[str, str]) -> Failure:
    return outcome_unknown(f"{message}; repeat it with the same request_id to learn what became of it", cause, about)

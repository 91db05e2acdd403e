"""Wanted limits and plans, and how far they have got (Trio's side)."""

from datetime import datetime

from gateway.charging.wishes import WantedRequest
from gateway.control.commands import REFUSALS, violations
from gateway.control.errors import Failure, invalid, not_found, outcome_unknown
from gateway.control.ports import WantedStates
from gateway.domain.commands import FieldViolation, RefusalReason, Refused
from gateway.domain.labels import NO_LABELS, Labels
from gateway.domain.state import ChargePointState
from gateway.domain.steering import ChangedWanted, Steering, SteeringState
from gateway.domain.values import Clock, ConnectorAddress
from gateway.errors import CommitUnknown
from gateway.store.reads import Reads


class SteeringCalls:
    """They raise ``Failure`` and ``StoreUnavailable``."""

    def __init__(self, reads: Reads, wanted_states: WantedStates, clock: Clock) -> None:
        self._reads = reads
        self._wanted_states = wanted_states
        self._clock = clock

    async def change(self, identity: str, request: WantedRequest) -> ChangedWanted:
        """Change what is wanted of a connector; the answer, now and when the request comes again."""
        wrong = violations(identity, request.request_id)
        if wrong:
            raise invalid(*wrong)
        about = {"charge_point": identity, "request_id": request.request_id}
        try:
            outcome = await self._wanted_states.change(identity, request)
        except CommitUnknown as error:
            message = "the store failed while it was recording the change; repeat it with the same request_id"
            raise outcome_unknown(message, "store-unavailable", about) from error
        if not isinstance(outcome, Refused):
            return outcome
        if outcome.reason is RefusalReason.UNKNOWN_CHARGE_POINT:
            raise not_found("charge point", identity)
        if outcome.reason is RefusalReason.INVALID_COMMAND:
            raise invalid(*map(in_request, outcome.violations))
        found = outcome.violations
        if outcome.reason is RefusalReason.REQUEST_ID_REUSED:
            found = (FieldViolation("request_id", outcome.message),)
        raise Failure(REFUSALS[outcome.reason], outcome.reason.value, outcome.message, about, found)

    async def state(self, identity: str) -> tuple[ChargePointState, datetime]:
        """The stored state of a charge point, and the time at which it was read."""
        now = self._clock()
        stored = await self._reads.state(identity, now)
        if stored is None:
            raise not_found("charge point", identity)
        return stored.state, now

    async def page(
        self, state: SteeringState | None, after: str, limit: int, scope: Labels = NO_LABELS
    ) -> list[tuple[str, ConnectorAddress, Steering]]:
        """A page of the steering of all charge points that have all of the labels of ``scope``."""
        try:
            return await self._reads.steering(state, after, limit, scope)
        except ValueError:
            raise invalid(FieldViolation("page_token", "is not a token of this list")) from None


_FIELDS = {"at": "start_time", "ends_at": "end_time", "until": "until_time", "phases": "number_phases"}


def in_request(violation: FieldViolation) -> FieldViolation:
    """A violation of what is wanted, by the field's name in the request."""
    names = [_FIELDS.get(name, name) for name in violation.field.split(".")]
    return FieldViolation(".".join(names), violation.description)

"""Changes of what is wanted of a connector: a request and the charge point's state in, the event to be recorded out."""

import hashlib
from datetime import datetime
from decimal import Decimal
from typing import Final, TypeAlias

from attrs import evolve, frozen

from gateway.charging import plans, rates
from gateway.domain.codec import encode_value
from gateway.domain.commands import FieldViolation
from gateway.domain.decision import Guard, SteeringRequestUnused, WantedUnchanged
from gateway.domain.events import NewEvent, WantedChanged
from gateway.domain.state import ChargePointState
from gateway.domain.steering import MAX_STEERED, Plan, StandingLimit, Wanted
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress

MAX_WORDS: Final = 200
"""Characters of a caller's words, for those who read the history."""


@frozen
class SetLimit:
    """Set a limit by hand, in place of one that was set before."""

    standing: StandingLimit


@frozen
class LiftLimit:
    """Lift the limit that was set by hand; a plan holds again."""


@frozen
class SetPlan:
    """Set a plan, in place of the one before."""

    plan: Plan


@frozen
class ClearPlan:
    """Take the plan back."""


Change: TypeAlias = SetLimit | LiftLimit | SetPlan | ClearPlan

_WHAT: Final[dict[type[Change], str]] = {
    SetLimit: "limit-set",
    LiftLimit: "limit-lifted",
    SetPlan: "plan-set",
    ClearPlan: "plan-cleared",
}


@frozen
class WantedRequest:
    """A request to change what is wanted of a connector. The same ``request_id`` with the same content changes nothing
    when it comes again.

    ``by`` and ``why``: the caller's words. ``pause_below_minimum``: limits above 0 and below the charge point's minimum
    become pauses; otherwise they are refused. ``insist``: also for a connector that the charger does not seem to have.
    """

    request_id: str
    connector: ConnectorAddress
    change: Change
    by: str = ""
    why: str = ""
    pause_below_minimum: bool = False
    insist: bool = False
    caller: str = ""
    """The caller that asks for it."""
    operation_id: str = ""
    """The operation that asks for it; empty: none."""


@frozen
class DecidedChange:
    """``event`` is to be committed under ``guards``: where one fails, the request is a repeated one, or what it rests
    on has changed meanwhile."""

    event: NewEvent
    guards: tuple[Guard, ...]


def fingerprint(request: WantedRequest) -> str:
    """Return the digest by which a repeated request is known from another one under the same id. It is the same
    whichever caller asks, and for each operation that is asked for again."""
    content = encode_value(evolve(request, caller="", operation_id="")) + type(request.change).__name__.encode()
    return hashlib.sha256(content).hexdigest()[:32]


def decided(
    state: ChargePointState,
    request: WantedRequest,
    now: datetime,
    *,
    connectors: int | None = None,
    minimum: Decimal = rates.MINIMUM_AMPERES,
    phases: int | None = None,
) -> DecidedChange | tuple[FieldViolation, ...]:
    """The event that records a request, or everything that is wrong with it.

    ``connectors``: how many the charge point has, None if that is not known. ``minimum``: in A per phase; less can't be
    offered to a vehicle. ``phases``: those by which W without a number of phases have to be put in A; None: as far as
    is known they need not be.
    """
    change = _adjusted(request, minimum, phases)
    violations = (
        *_connector_problems(state, request, connectors),
        *_word_problems(request),
        *_change_problems(change, now, minimum, phases),
    )
    if violations:
        return violations
    before = state.wanted.get(request.connector) or Wanted(request.connector, 0)
    revision = before.revision
    after = evolve(_changed(before, change), revision=revision + 1, caller=request.caller)
    body = WantedChanged(
        after,
        _WHAT[type(change)],
        request.request_id,
        request.by,
        request.why,
        fingerprint(request),
        request.caller,
        request.operation_id,
    )
    guards = SteeringRequestUnused(request.request_id), WantedUnchanged(request.connector, revision)
    return DecidedChange(NewEvent(body, now), guards)


def _adjusted(request: WantedRequest, minimum: Decimal, phases: int | None) -> Change:
    """The change with pauses in place of limits that are too low, where that is asked for."""
    change = request.change
    if not request.pause_below_minimum:
        return change
    match change:
        case SetPlan(plan):
            return SetPlan(plans.paused_below_minimum(plan, minimum, phases))
        case SetLimit(StandingLimit(limit=limit)) if limit is not None and rates.too_low(limit, minimum, phases):
            return SetLimit(evolve(change.standing, limit=evolve(limit, value=Decimal(0))))
        case _:
            return change


def _changed(before: Wanted, change: Change) -> Wanted:
    match change:
        case SetLimit(standing):
            return evolve(before, standing=standing)
        case LiftLimit():
            return evolve(before, standing=None)
        case SetPlan(plan):
            return evolve(before, plan=plan)
        case ClearPlan():
            return evolve(before, plan=None)


def _connector_problems(
    state: ChargePointState, request: WantedRequest, connectors: int | None
) -> tuple[FieldViolation, ...]:
    connector = request.connector
    if connector == WHOLE_CHARGE_POINT:
        return ()
    if connector.evse < 1 or connector.connector != 1:
        return (FieldViolation("connector", "must be (n, 1) with n above 0, or (0, 0): the whole charge point"),)
    if connectors is not None and connector.evse > connectors and not request.insist:
        return (FieldViolation("connector", f"is none of the {connectors} that the charge point says it has"),)
    if connector not in state.wanted and len(state.wanted) >= MAX_STEERED:
        return (FieldViolation("connector", f"is one more than the {MAX_STEERED} that can be steered"),)
    return ()


def _word_problems(request: WantedRequest) -> tuple[FieldViolation, ...]:
    return tuple(
        FieldViolation(name, f"must have at most {MAX_WORDS} printable characters")
        for name, words in (("by", request.by), ("why", request.why))
        if len(words) > MAX_WORDS or not words.isprintable()
    )


def _change_problems(change: Change, now: datetime, minimum: Decimal, phases: int | None) -> tuple[FieldViolation, ...]:
    match change:
        case SetLimit(standing):
            return plans.standing_problems(standing, now, minimum, phases)
        case SetPlan(plan):
            return plans.problems(plan, now, minimum, phases)
        case _:
            return ()

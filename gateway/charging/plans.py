"""Plans and standing limits over time: what holds when, and what is wrong with a plan."""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from attrs import evolve

from gateway.charging import rates
from gateway.domain.commands import FieldViolation
from gateway.domain.steering import Plan, PlanStep, RateLimit, StandingLimit, Wanted

MAX_STEPS: Final = 3_000
"""A month in steps of a quarter of an hour, and some."""

MIN_STEP: Final = timedelta(minutes=1)
"""A vehicle takes half a minute to follow a limit, and contactors wear."""

MAX_AHEAD: Final = timedelta(days=62)
"""A plan ends within so much time: prices are known for two days, and a mistake in a year is found."""


def problems(
    plan: Plan, now: datetime, minimum: Decimal = rates.MINIMUM_AMPERES, phases: int | None = None
) -> tuple[FieldViolation, ...]:
    """Everything that is wrong with a plan, each with the path to its field; empty: nothing is. ``phases``: those by
    which W have to be put in A; None: they need not be."""
    return tuple(_problems(plan, now, minimum, phases))


def _problems(plan: Plan, now: datetime, minimum: Decimal, phases: int | None) -> Iterator[FieldViolation]:
    if not plan.steps:
        yield FieldViolation("plan.steps", "must have at least one step")
    if len(plan.steps) > MAX_STEPS:
        yield FieldViolation("plan.steps", f"has {len(plan.steps)} steps; at most {MAX_STEPS} are taken")
        return
    for number, step in enumerate(plan.steps):
        if number and step.at < plan.steps[number - 1].at + MIN_STEP:
            yield FieldViolation(f"plan.steps[{number}].at", "must be a minute or more after the step before it")
        if step.limit is not None:
            yield from _limit_problems(step.limit, f"plan.steps[{number}].limit", minimum, phases)
    if plan.steps and plan.ends_at < plan.steps[-1].at + MIN_STEP:
        yield FieldViolation("plan.ends_at", "must be a minute or more after the last step")
    if plan.ends_at <= now:
        yield FieldViolation("plan.ends_at", "is over")
    if plan.ends_at > now + MAX_AHEAD:
        yield FieldViolation("plan.ends_at", f"is more than {MAX_AHEAD.days} days ahead")
    if plan.after is not None:
        yield from _limit_problems(plan.after, "plan.after", minimum, phases)
        if plan.after.pause:
            yield FieldViolation("plan.after.value", "must be above 0: a pause without an end leaves a vehicle empty")


def standing_problems(
    standing: StandingLimit, now: datetime, minimum: Decimal = rates.MINIMUM_AMPERES, phases: int | None = None
) -> tuple[FieldViolation, ...]:
    """Everything that is wrong with a standing limit, each with the path to its field; empty: nothing is. ``phases`` as
    for ``problems``."""
    found: list[FieldViolation] = []
    if standing.limit is not None:
        found.extend(_limit_problems(standing.limit, "limit", minimum, phases))
    if standing.until is not None and standing.until <= now:
        found.append(FieldViolation("until", "is over"))
    return tuple(found)


def _limit_problems(limit: RateLimit, field: str, minimum: Decimal, phases: int | None) -> Iterator[FieldViolation]:
    found = list(rates.problems(limit, field))
    if not found and rates.too_low(limit, minimum, phases):
        reason = f"is above 0 and below the charge point's minimum of {minimum} A per phase"
        if not rates.too_low(limit, minimum):
            reason += f", over {phases} phases: it takes A alone; the limit may name fewer phases"
        found.append(FieldViolation(f"{field}.value", reason))
    yield from found


def paused_below_minimum(plan: Plan, minimum: Decimal = rates.MINIMUM_AMPERES, phases: int | None = None) -> Plan:
    """The plan with pauses in place of limits that are above 0 and below ``minimum``, in A per phase. ``phases`` as for
    ``problems``."""
    return evolve(
        plan,
        steps=tuple(
            evolve(step, limit=evolve(step.limit, value=Decimal(0)))
            if step.limit is not None and rates.too_low(step.limit, minimum, phases)
            else step
            for step in plan.steps
        ),
    )


def limit_at(plan: Plan, at: datetime) -> RateLimit | None:
    """The plan's limit at a moment; None: it has none then."""
    if at >= plan.ends_at:
        return plan.after
    place = bisect_right(plan.steps, at, key=_at)
    return plan.steps[place - 1].limit if place else None


def in_force(wanted: Wanted, at: datetime) -> RateLimit | None:
    """The limit that is wanted at a moment: a standing limit comes before the plan. None: no limit."""
    standing = wanted.standing
    if standing is not None and (standing.until is None or at < standing.until):
        return standing.limit
    return None if wanted.plan is None else limit_at(wanted.plan, at)


def changes(wanted: Wanted, start: datetime, end: datetime) -> list[tuple[datetime, RateLimit | None]]:
    """The limits from ``start`` until before ``end``, each with the moment from which it holds; the first one holds at
    ``start``. Neighbours differ."""
    found: list[tuple[datetime, RateLimit | None]] = [(start, in_force(wanted, start))]
    for at in _moments(wanted, start, end):
        limit = in_force(wanted, at)
        if limit != found[-1][1]:
            found.append((at, limit))
    return found


def next_change(wanted: Wanted, after: datetime) -> datetime | None:
    """The first moment after ``after`` at which another limit is wanted than the one before; None: there is none."""
    present = in_force(wanted, after)
    for at in _moments(wanted, after, None):
        if in_force(wanted, at) != present:
            return at
    return None


def is_timed(wanted: Wanted) -> bool:
    """Return whether what is wanted depends on the time: it has a plan, or an end."""
    return wanted.plan is not None or (wanted.standing is not None and wanted.standing.until is not None)


def _moments(wanted: Wanted, after: datetime, end: datetime | None) -> list[datetime]:
    """The moments between ``after`` and ``end``, both excluded, at which the limit may change."""
    moments = set()
    if wanted.standing is not None and wanted.standing.until is not None:
        moments.add(wanted.standing.until)
    if wanted.plan is not None:
        moments.update(step.at for step in wanted.plan.steps)
        moments.add(wanted.plan.ends_at)
    return sorted(at for at in moments if at > after and (end is None or at < end))


def _at(step: PlanStep) -> datetime:
    return step.at

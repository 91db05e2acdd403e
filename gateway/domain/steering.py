"""Wanted limits and plans of a connector, and what has become of them: values, part of the charge point's state.

A limit here is a wish of the platform's or of a person's, in A or W; a charging profile is what a charge point is sent
to bring it about. ``gateway.charging`` makes the one from the other.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from attrs import evolve, frozen

from gateway.domain.charging import ChargingProfile, ChargingRateUnit, ProfilePurpose
from gateway.domain.values import ConnectorAddress

MAX_STEERED = 64
"""Connectors of a charge point of which something is wanted: as many as have open transactions at once."""


@frozen
class RateLimit:
    """The most that may be drawn: ``value`` in A per phase or in W over all phases; 0 is a pause. ``phases``: how many
    are used, where it is known or wanted (1 to 3)."""

    value: Decimal
    unit: ChargingRateUnit
    phases: int | None = None

    @property
    def pause(self) -> bool:
        """Return whether nothing may be drawn."""
        return self.value == 0


@frozen
class PlanStep:
    """From ``at`` on ``limit`` holds, until the next step; None: no limit of the plan's."""

    at: datetime
    limit: RateLimit | None = None


@frozen
class Plan:
    """Limits over time, e.g. as an optimiser of price or CO2 makes them.

    Before the first step there is no limit of the plan's. ``after`` holds from ``ends_at`` on, and where the charge
    point can't be reached to refresh its profile; None: no limit. It is no pause.
    """

    steps: tuple[PlanStep, ...]
    ends_at: datetime
    after: RateLimit | None = None


@frozen
class StandingLimit:
    """A limit that a person or a service set by hand. It comes before a plan until it is lifted or its time is over.
    ``limit`` None: no limit, whatever the plan says."""

    limit: RateLimit | None
    until: datetime | None = None


@frozen
class Wanted:
    """The state that is wanted of one connector; connector (0, 0) is the whole charge point.

    ``revision`` rises by one with each change, from 1. Without a standing limit and without a plan nothing is wanted.
    """

    connector: ConnectorAddress
    revision: int
    standing: StandingLimit | None = None
    plan: Plan | None = None
    caller: str = ""
    """The caller that changed it last; empty: it had no name, as before there were names."""


class SteeringState(StrEnum):
    """The extent to which a wanted state is the charger's."""

    PENDING = "PENDING"
    """It is to be sent: the charge point is away, not ready, or a try has failed and the next one is due later."""
    APPLIED = "APPLIED"
    """The charger has accepted it; no meter has shown it yet."""
    VERIFIED = "VERIFIED"
    """The meter shows that it holds."""
    REFUSED = "REFUSED"
    """The charger accepts none of the ways in which it can be put; ``reason`` says why."""
    INEFFECTIVE = "INEFFECTIVE"
    """The charger has accepted it, and its meter shows that it does not hold."""


@frozen
class Steering:
    """The progress of a connector's wanted state. ``revision``: of the wanted state that this is about.

    ``tries``: the times of the last sendings, for the bound of tries per hour. ``covered_until``: until when the
    charger's profile is right without being refreshed; None: for ever, or there is none.
    """

    revision: int
    state: SteeringState
    since: datetime
    reason: str = ""
    purpose: ProfilePurpose | None = None
    profile_id: int | None = None
    covered_until: datetime | None = None
    tries: tuple[datetime, ...] = ()
    failed: tuple[ProfilePurpose, ...] = ()
    """Ways that this revision was tried by in vain."""
    command_id: str = ""
    """Of the command that was sent last for it."""
    refresh_at: datetime | None = None
    """When the next profile is to be sent, while this one still holds; None: never."""
    retry_at: datetime | None = None
    """Before that it is not tried again, because the last try has failed; None: it has not."""
    failures: int = 0
    """Tries that failed one after the other."""
    doubts: tuple[int, ...] = ()
    """Profiles, by id, that were sent and never heard to be accepted, refused or cleared: the charger may have them."""
    clearing: tuple[int, ...] = ()
    """Profiles, by id, that the charger was asked to clear, and has not said whether it did."""

    @property
    def doubtful(self) -> bool:
        """Return whether the outcome of the last sending is not known."""
        return self.profile_id is not None and self.profile_id in self.doubts


def pending(wanted: Wanted, at: datetime, before: Steering | None) -> Steering:
    """The progress of a wanted state that was changed at ``at``: none yet. What the state before it has put on the
    charger goes on."""
    if before is None:
        return Steering(wanted.revision, SteeringState.PENDING, at)
    return evolve(
        before,
        revision=wanted.revision,
        state=SteeringState.PENDING,
        since=at,
        reason="",
        tries=(),
        failed=(),
        retry_at=None,
        failures=0,
    )


@frozen
class ChangedWanted:
    """The answer to a request that changed what is wanted of a connector, also when it comes again. ``fingerprint``:
    digest of what was asked for."""

    request_id: str
    fingerprint: str
    connector: ConnectorAddress
    revision: int
    at: datetime


@frozen
class InstalledProfile:
    """A charging profile that the charger has accepted, as far as is known: no later command has replaced or cleared
    it, and no transaction that it belongs to has ended."""

    connector: ConnectorAddress
    profile: ChargingProfile
    accepted_at: datetime
    command_id: str = ""


@frozen
class ChargingAbilities:
    """The ways in which a charge point can be limited, as its configuration reports it. What it has not reported is
    assumed to be the least."""

    purposes: frozenset[ProfilePurpose] = frozenset(ProfilePurpose)
    """Empty: it takes no charging profiles."""
    units: frozenset[ChargingRateUnit] = frozenset({ChargingRateUnit.AMPERE})
    max_periods: int = 1
    max_stack_level: int = 0
    max_profiles: int | None = None
    """Profiles that it holds at once; None: it has not reported it, and they are not counted."""
    connectors: int | None = None
    known: bool = False
    """Whether the charger has reported what it can do."""

    def within(self, periods: int | None, level: int | None) -> "ChargingAbilities":
        """The abilities with no more periods, and no higher stack level; themselves where neither is bounded."""
        if periods is None and level is None:
            return self
        return evolve(
            self,
            max_periods=self.max_periods if periods is None else min(self.max_periods, periods),
            max_stack_level=self.max_stack_level if level is None else min(self.max_stack_level, level),
        )

"""Outcomes of what was sent for a wanted state, and what each makes of its steering."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from attrs import evolve, frozen

from gateway.charging.schedules import Installation
from gateway.domain.charging import ProfilePurpose
from gateway.domain.steering import Steering, SteeringState

MAX_TRIES: Final = 12
"""Sendings in an hour that no step of a plan is the reason for: a charger that loses its profile at each of its many
reboots, or a link that breaks every minute, is not written to all day. A change of what is wanted begins anew."""

HOUR: Final = timedelta(hours=1)

BACKOFF: Final = (timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10), timedelta(minutes=30))
"""Until the next try, after the first failure, the second, ...: a charger that is busy or reboots is back within
minutes."""

PAUSE: Final = timedelta(hours=1)
"""After every purpose was refused, or had no effect: until all of them are tried again. A charger does not change its
mind sooner, but another firmware or a configured key may."""


class Reason(StrEnum):
    """Reasons of a steering's state, in words for people."""

    LOST = "the charger has the profile no more"
    NO_ABILITY = "the charge point takes no charging profiles"
    NO_ANSWER = "the charger gave no answer; it may have the profile"
    NOTHING = "nothing is wanted now"
    AGAIN = "all ways are tried again"
    TOO_MUCH = "more is drawn than is wanted"
    NOT_CLEARED = "a profile may still be there: the charger gave no answer when it was to be cleared"
    NO_ROOM = "the charger takes {} charging profiles at once (MaxChargingProfilesInstalled), and has as many"
    LOOKED = "the charger's composite schedule agrees"
    TOO_LITTLE = (
        "paused where the limit is less than 6 A per phase, over the phases that are used or, where that is not known,"
        " three: the charger takes A alone, and the limit names no number of phases"
    )


@frozen
class Send:
    """Send a profile. ``due``: a step of the plan, or a renewal, is the reason. ``anew``: what the meter has shown
    until now says nothing of it."""

    purpose: ProfilePurpose
    installation: Installation
    due: bool = False
    anew: bool = False


def sending(steering: Steering, step: Send) -> Steering:
    """The profile is about to be sent: whatever happens from now on, the charger may have it."""
    installation = step.installation
    assert installation.profile is not None
    number = installation.profile.profile_id
    return evolve(
        steering,
        purpose=step.purpose,
        profile_id=number,
        command_id="",
        doubts=(*without(steering, number), number),
        clearing=_not_clearing(steering, number),
    )


def accepted(steering: Steering, step: Send, command_id: str, now: datetime) -> Steering:
    """The charger has accepted the profile. What the meter has shown of the one before it holds on."""
    verified = steering.state is SteeringState.VERIFIED and steering.purpose is step.purpose and not step.anew
    after = evolve(
        holding(steering, step),
        command_id=command_id,
        tries=_tried(steering, step, now),
        retry_at=None,
        failures=0,
        doubts=without(steering, _number(step)),
        reason=Reason.TOO_LITTLE if step.installation.too_little else "",
    )
    return after if verified else evolve(after, state=SteeringState.APPLIED, since=now)


def found(steering: Steering, step: Send, now: datetime) -> Steering:
    """A look at the charger has shown that it has the profile whose acceptance was not known."""
    return evolve(
        holding(steering, step),
        state=SteeringState.APPLIED,
        since=now,
        reason=Reason.LOOKED,
        retry_at=None,
        failures=0,
        doubts=without(steering, _number(step)),
    )


def refused(
    steering: Steering, step: Send, why: str, command_id: str, now: datetime, doubts: tuple[int, ...] = ()
) -> Steering:
    """The charger has refused the profile: its purpose is not tried again for this revision, until all are.
    ``doubts``: those of before the sending; an earlier one of the same profile may have been taken."""
    return evolve(
        _pending(steering, now),
        reason=why,
        command_id=command_id,
        tries=_tried(steering, step, now),
        failed=(*steering.failed, step.purpose),
        doubts=doubts,
    )


def unanswered(steering: Steering, step: Send, command_id: str, now: datetime) -> Steering:
    """The outcome is not known: the charger may have the profile."""
    failures = steering.failures + 1
    return evolve(
        holding(_pending(steering, now), step),
        reason=Reason.NO_ANSWER,
        command_id=command_id,
        tries=_tried(steering, step, now),
        retry_at=now + backoff(failures),
        failures=failures,
        doubts=(*without(steering, _number(step)), _number(step)),
    )


def not_sent(present: Steering, before: Steering) -> Steering:
    """The steering as it was before a sending that did not come about."""
    return before if present.revision == before.revision else present


def clearing(steering: Steering, number: int) -> Steering:
    """One of the gateway's profiles is about to be cleared: from now on the charger may have it, or not."""
    return evolve(steering, clearing=(*_not_clearing(steering, number), number))


def cleared(steering: Steering, number: int, command_id: str) -> Steering:
    """The charger has one of the gateway's profiles no more."""
    return evolve(
        steering,
        command_id=command_id,
        retry_at=None,
        failures=0,
        doubts=without(steering, number),
        clearing=_not_clearing(steering, number),
    )


def not_cleared(steering: Steering, number: int, why: str, command_id: str, now: datetime) -> Steering:
    """One of the gateway's profiles could not be cleared: the charger has said so."""
    after = _failed(steering, why, command_id, now)
    return evolve(after, clearing=_not_clearing(steering, number))


def perhaps_cleared(steering: Steering, number: int, command_id: str, now: datetime) -> Steering:
    """It is not known whether one of the gateway's profiles was cleared."""
    return clearing(_failed(steering, Reason.NOT_CLEARED, command_id, now), number)


def _failed(steering: Steering, why: str, command_id: str, now: datetime) -> Steering:
    failures = steering.failures + 1
    return evolve(
        steering,
        reason=why,
        command_id=command_id,
        tries=recent((*steering.tries, now), now),
        retry_at=now + backoff(failures),
        failures=failures,
    )


def empty(steering: Steering, until: datetime | None, now: datetime) -> Steering:
    """The charger has none of the gateway's profiles for the connector, and needs none until then."""
    after = evolve(
        steering,
        state=SteeringState.APPLIED,
        reason=Reason.NOTHING,
        purpose=None,
        profile_id=None,
        covered_until=None,
        refresh_at=until,
        retry_at=None,
        failures=0,
        failed=(),
        doubts=(),
        clearing=(),
    )
    return after if after == steering else evolve(after, since=now)


def given_up(steering: Steering, why: str, now: datetime) -> Steering:
    """Each purpose was refused, or there is none."""
    return evolve(steering, state=SteeringState.REFUSED, since=now, reason=why, retry_at=now + PAUSE, failures=0)


def no_room(steering: Steering, most: int, now: datetime) -> Steering:
    """The charger holds as many profiles as it takes: another one is sent when one of them is gone."""
    after = evolve(steering, state=SteeringState.REFUSED, reason=Reason.NO_ROOM.format(most), retry_at=None)
    return after if after == steering else evolve(after, since=now)


def ineffective(steering: Steering, now: datetime) -> Steering:
    """The meter shows that the profile has no effect: its purpose counts as failed."""
    failed = steering.failed if steering.purpose is None else (*steering.failed, steering.purpose)
    return evolve(
        steering,
        state=SteeringState.INEFFECTIVE,
        since=now,
        reason=Reason.TOO_MUCH,
        failed=failed,
        retry_at=now + PAUSE,
    )


def lost(steering: Steering, why: str, now: datetime) -> Steering:
    """The charger has the profile no more; it is to be put anew."""
    return evolve(
        steering,
        state=SteeringState.PENDING,
        since=now,
        reason=why,
        purpose=None,
        profile_id=None,
        covered_until=None,
        refresh_at=None,
        retry_at=None,
    )


def again(steering: Steering, now: datetime) -> Steering:
    """All purposes are to be tried again."""
    return evolve(
        steering, state=SteeringState.PENDING, since=now, reason=Reason.AGAIN, failed=(), retry_at=None, failures=0
    )


def holding(steering: Steering, step: Send) -> Steering:
    """The steering with the profile of a sending as the one that the charger has, or may have."""
    installation = step.installation
    assert installation.profile is not None
    return evolve(
        steering,
        purpose=step.purpose,
        profile_id=installation.profile.profile_id,
        covered_until=installation.covered_until,
        refresh_at=installation.refresh_at,
    )


def without(steering: Steering, number: int) -> tuple[int, ...]:
    """The doubts of a steering without one profile."""
    return tuple(each for each in steering.doubts if each != number)


def _not_clearing(steering: Steering, number: int) -> tuple[int, ...]:
    """The profiles whose clearing has an outcome that is not known, without one."""
    return tuple(each for each in steering.clearing if each != number)


def _number(step: Send) -> int:
    assert step.installation.profile is not None
    return step.installation.profile.profile_id


def recent(tries: tuple[datetime, ...], now: datetime) -> tuple[datetime, ...]:
    """The tries of the last hour. Those that a clock which was set back has left in the future don't count."""
    return tuple(at for at in tries if now - HOUR < at <= now)[-MAX_TRIES:]


def backoff(failures: int) -> timedelta:
    """The time until the next try, after so many failures one after the other."""
    return BACKOFF[min(failures, len(BACKOFF)) - 1]


def _pending(steering: Steering, now: datetime) -> Steering:
    if steering.state is SteeringState.PENDING:
        return steering
    return evolve(steering, state=SteeringState.PENDING, since=now)


def _tried(steering: Steering, step: Send, now: datetime) -> tuple[datetime, ...]:
    return recent(steering.tries if step.due else (*steering.tries, now), now)

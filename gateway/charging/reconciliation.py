"""Reconciliation of a connector's wanted state with its charger: what is known in, the next thing to do out.

    PENDING ──accepted──▶ APPLIED ──the meter shows it──▶ VERIFIED
       ▲                     │  └──the meter shows that it does not hold──▶ INEFFECTIVE ◀── VERIFIED
       │                     │                                                  │ the next purpose, or after a pause
       └─the charger lost it─┴──────────────────────────────────────────────────┘
    PENDING ──each purpose refused──▶ REFUSED ──after a pause, or where there is another purpose──▶ PENDING

``next_step`` says what is to be done now; ``gateway.charging.outcomes`` what comes of it. The session does the one and
records the other (``gateway.session.steering``), and asks again. Pure: given the time, it reads none.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from attrs import evolve, field, frozen

from gateway.charging import outcomes, plans
from gateway.charging.outcomes import HOUR, MAX_TRIES, PAUSE, Reason, Send
from gateway.charging.schedules import profile_for, profile_id, purposes, rate_at, rate_for
from gateway.charging.verification import Measured, shown
from gateway.domain import profiles
from gateway.domain.charging import ChargingProfile, ProfilePurpose
from gateway.domain.steering import ChargingAbilities, InstalledProfile, Steering, SteeringState, Wanted
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress

GIVEN_UP: Final = (SteeringState.REFUSED, SteeringState.INEFFECTIVE)

NONE_INSTALLED: Final[Mapping[int, InstalledProfile]] = {}

NOT_LOOKED_FOR: Final[Mapping[int, bool]] = {}


@frozen
class Situation:
    """The facts about a connector and its charger at ``now``.

    ``transaction_id``: of a running transaction that a TxProfile may be sent for. ``installed``: the profiles that the
    charger has accepted. ``confirmed``: whether it accepted the connector's on this connection, since its last boot;
    ``fresh``: whether nothing was sent for the connector in that time. ``asked``: whether it was asked for its
    abilities. ``may_look``: whether it may be asked for its composite schedule; ``agrees``: what that has shown since,
    None: it was not asked. Where it can't be had it does not agree. ``gone``: by profile that the charger was asked to
    clear, whether its composite schedule has shown since that the profile is not there. ``offset``: by how much its
    clock is ahead.
    ``doubted``: profiles of any connector that the charger may have, though it has not said so. ``phases``: on which
    the vehicle charges, as measured in the running transaction; None: that is not known.
    """

    wanted: Wanted
    steering: Steering
    abilities: ChargingAbilities
    now: datetime
    transaction_id: str | None = None
    installed: Mapping[int, InstalledProfile] = field(default=NONE_INSTALLED)
    confirmed: bool = True
    fresh: bool = False
    asked: bool = True
    may_look: bool = False
    agrees: bool | None = None
    gone: Mapping[int, bool] = field(default=NOT_LOOKED_FOR)
    power: Measured | None = None
    offset: timedelta = timedelta(0)
    doubted: frozenset[int] = frozenset()
    phases: int | None = None


@frozen
class AskAbilities:
    """Ask the charger in which ways it can be limited."""


@frozen
class Look:
    """Ask the charger for its composite schedule."""


@frozen
class Found:
    """Record that the charger has a profile, whose acceptance it never said: a look has shown it."""

    send: Send


@frozen
class Clear:
    """Clear one of the gateway's profiles."""

    profile_id: int


@frozen
class LookFor:
    """Ask the charger for its composite schedule, for a profile that it may have cleared."""

    profile_id: int


@frozen
class Gone:
    """Record that the charger has a profile no more, which it never said: a look has shown it."""

    profile_id: int


@frozen
class Record:
    """Record the steering."""

    steering: Steering


@frozen
class Wait:
    """Do nothing until then; None: until something happens."""

    until: datetime | None = None


Step: TypeAlias = AskAbilities | Look | Found | Send | Clear | LookFor | Gone | Record | Wait


def next_step(s: Situation) -> Step:
    """The next thing to do for a connector."""
    if plans.in_force(s.wanted, s.now) is None and plans.next_change(s.wanted, s.now) is None:
        return _without(s, None)
    if not s.abilities.known and not s.asked:
        return AskAbilities()
    if s.steering.doubtful and s.steering.state not in GIVEN_UP and not _is_accepted_late(s):
        return _doubtful(s)
    match s.steering.state:
        case SteeringState.APPLIED | SteeringState.VERIFIED:
            return _applied(s)
        case SteeringState.PENDING:
            return _pending(s)
        case SteeringState.REFUSED | SteeringState.INEFFECTIVE:
            return _failed(s)


def _pending(s: Situation) -> Step:
    steering, candidates = s.steering, _purposes(s)
    if steering.doubtful:  # a late answer has settled that
        return Record(
            evolve(
                steering,
                state=SteeringState.APPLIED,
                since=s.now,
                reason="",
                doubts=outcomes.without(steering, steering.profile_id or 0),
                retry_at=None,
                failures=0,
            )
        )
    if not candidates:
        return Record(outcomes.given_up(steering, steering.reason if steering.failed else Reason.NO_ABILITY, s.now))
    due = _due(s)
    return _send(s, candidates[0]) if due <= s.now else Wait(due)


def _failed(s: Situation) -> Step:
    """REFUSED or INEFFECTIVE: another purpose, if there is one by now; all of them after a pause, or a new connection
    or boot."""
    steering, candidates = s.steering, _purposes(s)
    if not s.abilities.purposes:
        return Wait()
    if candidates:
        due = _due(s, paused=False)
        return _send(s, candidates[0]) if due <= s.now else Wait(due)
    due = _due(s)
    return Record(outcomes.again(steering, s.now)) if due <= s.now else Wait(due)


def _applied(s: Situation) -> Step:
    steering, refresh_at = s.steering, s.steering.refresh_at
    if steering.profile_id is None:
        if refresh_at is not None and s.now < refresh_at and plans.in_force(s.wanted, s.now) is None:
            return _without(s, refresh_at)
        return Record(outcomes.lost(steering, "", s.now))
    purpose = steering.purpose
    if steering.profile_id not in s.installed or purpose is None or purpose not in _purposes(s):
        return Record(outcomes.lost(steering, Reason.LOST, s.now))
    if refresh_at is not None and s.now >= refresh_at:
        return _send(s, purpose, due=True)
    if not s.confirmed and not s.agrees:  # a new connection, or a boot: the charger may have lost it
        due = _due(s)
        if due <= s.now:
            return Look() if s.may_look and s.agrees is None else _send(s, purpose)
        return Wait(due if refresh_at is None else min(due, refresh_at))
    by, lowers = _by_other_phases(s, purpose)
    if by is not None and (lowers or _due(s) <= s.now):  # more than is wanted is left alone for no bound of tries
        return _send(s, by, anew=True)
    seen = shown(s.wanted, steering, s.power, s.now, s.phases)
    if seen is SteeringState.INEFFECTIVE:
        return Record(outcomes.ineffective(steering, s.now))
    if seen is not None and seen is not steering.state:
        kept = steering.reason if steering.reason == Reason.TOO_LITTLE else ""
        return Record(evolve(steering, state=seen, since=s.now, reason=kept))
    return _tidy(s, refresh_at)


def _by_other_phases(s: Situation, purpose: ProfilePurpose) -> tuple[ProfilePurpose | None, bool]:
    """The purpose by which the limit in force is to be put anew, since it was put for another number of phases than the
    running transaction uses. What was put for the transactions to come gives way to a TxProfile, where the charger has
    room for both: no moment is without. None: it need not be. And whether that lowers it: those are no more than the
    raises between them, which are bounded."""
    limit, known = plans.in_force(s.wanted, s.now), s.installed.get(s.steering.profile_id or 0)
    if s.phases is None or limit is None or known is None or purpose is ProfilePurpose.CHARGE_POINT_MAX:
        return None, False
    unit = known.profile.schedule.rate_unit
    rate = rate_at(known.profile, s.now, s.offset)
    if limit.unit is unit or rate is None or rate == (right := rate_for(limit, unit, s.phases)):
        return None, False
    if purpose is ProfilePurpose.TX:
        return purpose, right < rate
    numbers = {*s.installed, *s.doubted, profile_id(s.wanted.connector, ProfilePurpose.TX)}
    has_room = s.abilities.max_profiles is None or len(numbers) <= s.abilities.max_profiles
    return (ProfilePurpose.TX if has_room and ProfilePurpose.TX in _purposes(s) else None), right < rate


def _tidy(s: Situation, until: datetime | None) -> Step:
    """Clear what an earlier way has left on the charger."""
    left = [number for number in _own(s) if number != s.steering.profile_id]
    if not left:
        return Wait(until)
    due = _due(s)
    if due <= s.now:
        return _clear(s, left[0])
    return Wait(due if until is None else min(due, until))


def _doubtful(s: Situation) -> Step:
    """After a sending whose outcome is not known: a look, if that is to be had, then the same profile again."""
    steering, candidates = s.steering, _purposes(s)
    due = _due(s)
    if due > s.now:
        return Wait(due)
    if s.may_look and s.agrees is None:
        return Look()
    if not candidates:
        return Record(outcomes.given_up(steering, steering.reason, s.now))
    step = _send(s, steering.purpose if steering.purpose in candidates else candidates[0])
    return Found(step) if s.agrees and isinstance(step, Send) else step


def _send(s: Situation, purpose: ProfilePurpose | None, *, due: bool = False, anew: bool = False) -> Step:
    assert purpose is not None
    installation = profile_for(
        s.wanted,
        purpose,
        s.abilities,
        s.now,
        offset=s.offset,
        # Of a transaction to come, or of several, nothing is measured.
        phases=s.phases if purpose is ProfilePurpose.TX else None,
        transaction_id=s.transaction_id,
    )
    if installation is None or installation.profile is None:
        return _without(s, None if installation is None else installation.refresh_at)
    if not _has_room(s, installation.connector, installation.profile):
        return _make_room(s, installation.profile.profile_id)
    return Send(purpose, installation, due, anew)


def _has_room(s: Situation, connector: ConnectorAddress, profile: ChargingProfile) -> bool:
    """Return whether the charger takes a profile besides those that it has, or may have (B10.5)."""
    most, number = s.abilities.max_profiles, profile.profile_id
    if most is None or number in s.installed or number in s.doubted:
        return True
    return len({*profiles.installed(s.installed, InstalledProfile(connector, profile, s.now)), *s.doubted}) <= most


def _make_room(s: Situation, number: int) -> Step:
    """Clear what an earlier way of the connector has left; else wait until one of the charger's profiles is gone."""
    left = next((each for each in _own(s) if each != number), None)
    if left is not None:
        due = _due(s, paused=s.steering.failures > 0)
        return _clear(s, left) if due <= s.now else Wait(due)
    assert s.abilities.max_profiles is not None
    full = outcomes.no_room(s.steering, s.abilities.max_profiles, s.now)
    return Wait() if full == s.steering else Record(full)


def _without(s: Situation, until: datetime | None) -> Step:
    """See to it that none of the gateway's profiles is on the charger until then."""
    steering = s.steering
    number = next(iter(_own(s)), None)
    if number is not None:
        due = _due(s)
        return _clear(s, number) if due <= s.now else Wait(due)
    empty = outcomes.empty(steering, until, s.now)
    return Wait(until) if empty == steering else Record(empty)


def _clear(s: Situation, number: int) -> Step:
    """Clear a profile; where the charger was asked to before, and gave no answer, after a look that can show it."""
    if number not in s.steering.clearing or not s.may_look or not _shows(s, number):
        return Clear(number)
    gone = s.gone.get(number)
    if gone is None:
        return LookFor(number)
    return Gone(number) if gone else Clear(number)


def _shows(s: Situation, number: int) -> bool:
    """Return whether a composite schedule can show that a profile is gone: it is known what that allows, and it would
    hold now. A TxDefaultProfile holds in transactions only, and beside a TxProfile not at all (S §3.13.1)."""
    known = s.installed.get(number)
    if known is None:
        return False
    match known.profile.purpose:
        case ProfilePurpose.CHARGE_POINT_MAX:
            return True
        case ProfilePurpose.TX:
            return s.transaction_id is not None and known.profile.transaction_id == s.transaction_id
        case ProfilePurpose.TX_DEFAULT:
            overruled = profile_id(s.wanted.connector, ProfilePurpose.TX) in s.doubted or any(
                each.profile.purpose is ProfilePurpose.TX and each.connector in (known.connector, WHOLE_CHARGE_POINT)
                for each in s.installed.values()
            )
            return s.transaction_id is not None and not overruled


def _purposes(s: Situation) -> tuple[ProfilePurpose, ...]:
    return purposes(
        s.wanted.connector,
        s.abilities,
        transaction_open=s.transaction_id is not None,
        failed=s.steering.failed,
    )


def _own(s: Situation) -> list[int]:
    """The gateway's profiles for this connector that the charger has, or may have."""
    numbers = (profile_id(s.wanted.connector, purpose) for purpose in ProfilePurpose)
    return [number for number in numbers if number in s.installed or number in s.steering.doubts]


def _is_accepted_late(s: Situation) -> bool:
    """Return whether the last sending was accepted after all, by an answer that came late."""
    steering = s.steering
    known = None if steering.profile_id is None else s.installed.get(steering.profile_id)
    return known is not None and bool(steering.command_id) and known.command_id == steering.command_id


def _due(s: Situation, *, paused: bool = True) -> datetime:
    """The earliest moment at which something may be sent that no step of a plan is the reason for. A new connection,
    or a boot, ends a pause between tries, but not their bound."""
    steering, now = s.steering, s.now
    due = now
    if paused and not s.fresh and steering.retry_at is not None:
        due = max(due, min(steering.retry_at, now + PAUSE))  # also where the clock was set back
    tries = outcomes.recent(steering.tries, now)
    if len(tries) >= MAX_TRIES:
        due = max(due, tries[-MAX_TRIES] + HOUR)
    return due

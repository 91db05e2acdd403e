"""The charging profiles that a charge point has accepted, by their ids: changes of that record, pure.

The record says what is known, and no more: a charger may forget its profiles at a restart, and does not say so.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from attrs import evolve

from gateway.domain.charging import ProfilePurpose
from gateway.domain.commands import ClearChargingProfile
from gateway.domain.events import ChargingProfileInstalled, NewEvent
from gateway.domain.steering import InstalledProfile
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress

Profiles: TypeAlias = Mapping[int, InstalledProfile]
"""By profile id."""

MAX_PROFILES: Final = 64
"""Of a charge point. Chargers take some ten (``MaxChargingProfilesInstalled``); one that accepts everything fills no
memory: the oldest ones are forgotten."""

START_PATIENCE: Final = timedelta(minutes=10)
"""For the transaction of a remote start that brought a profile along. Chargers wait for a vehicle for one or two
minutes (``ConnectionTimeOut``)."""


def of_event(event: NewEvent, body: ChargingProfileInstalled) -> InstalledProfile:
    """The profile as its acceptance leaves it."""
    return InstalledProfile(body.connector, body.profile, event.received_at, event.cause.removeprefix("command:"))


def installed(profiles: Profiles, new: InstalledProfile) -> dict[int, InstalledProfile]:
    """With a profile that was accepted: the same id replaces, and so do the same connector, purpose and stack level
    (B10.4)."""
    after = {number: each for number, each in profiles.items() if not _replaces(new, each)}
    after[new.profile.profile_id] = new
    while len(after) > MAX_PROFILES:
        del after[min(after, key=lambda number: after[number].accepted_at)]
    return after


def removed(profiles: Profiles, profile_id: int) -> dict[int, InstalledProfile]:
    """Without a profile."""
    return {number: each for number, each in profiles.items() if number != profile_id}


def started(
    profiles: Profiles, connector: ConnectorAddress, transaction_id: str, at: datetime
) -> dict[int, InstalledProfile]:
    """After the start of a transaction: it has the profile that came with its remote start, and earlier ones that were
    meant for a transaction that never came are gone."""
    after = {}
    for number, each in profiles.items():
        if not _awaits_start(each) or each.connector not in (connector, WHOLE_CHARGE_POINT):
            after[number] = each
        elif at - each.accepted_at <= START_PATIENCE:
            after[number] = evolve(
                each, connector=connector, profile=evolve(each.profile, transaction_id=transaction_id)
            )
    return after


def ended(profiles: Profiles, transaction_id: str) -> dict[int, InstalledProfile]:
    """After the end of a transaction: its profiles go with it (S §3.13.1)."""
    return {number: each for number, each in profiles.items() if each.profile.transaction_id != transaction_id}


def booted(profiles: Profiles) -> dict[int, InstalledProfile]:
    """After a boot: no remote start is under way any more."""
    return {number: each for number, each in profiles.items() if not _awaits_start(each)}


def cleared(profiles: Profiles, command: ClearChargingProfile) -> list[InstalledProfile]:
    """The profiles that a ClearChargingProfile is about: by id, or by all the criteria that it has (S §5.5)."""
    if command.profile_id is not None:
        known = profiles.get(command.profile_id)
        return [] if known is None else [known]
    return [
        each
        for each in profiles.values()
        if command.connector in (None, each.connector)
        and command.purpose in (None, each.profile.purpose)
        and command.stack_level in (None, each.profile.stack_level)
    ]


def _replaces(new: InstalledProfile, old: InstalledProfile) -> bool:
    if new.profile.profile_id == old.profile.profile_id:
        return True
    return (new.connector, new.profile.purpose, new.profile.stack_level) == (
        old.connector,
        old.profile.purpose,
        old.profile.stack_level,
    )


def _awaits_start(each: InstalledProfile) -> bool:
    return each.profile.purpose is ProfilePurpose.TX and each.profile.transaction_id is None

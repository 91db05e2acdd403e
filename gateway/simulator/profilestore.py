"""The charging profiles installed in the wallbox, and the rules for replacing and clearing them (S §3.13.2)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.simulator.messages import Transaction
from gateway.simulator.profiles import CHARGE_POINT_MAX, MAX_INSTALLED, TX, Profile


class ProfileStore:
    """At most MAX_INSTALLED profiles; one per id, and one per purpose, stack level and connector."""

    def __init__(self) -> None:
        self._profiles: list[Profile] = []

    def __iter__(self) -> Iterator[Profile]:
        return iter(self._profiles)

    def __len__(self) -> int:
        return len(self._profiles)

    def install(self, profile: Profile, transaction: Transaction | None) -> bool:
        """Store a profile, or refuse it. `transaction` is the one running on the profile's connector."""
        if profile.purpose == CHARGE_POINT_MAX and profile.connector != 0:
            return False
        if profile.purpose == TX and not _belongs(profile, transaction):
            return False
        kept = [other for other in self._profiles if not _replaces(profile, other)]
        if len(kept) >= MAX_INSTALLED:
            return False
        self._profiles = [*kept, profile]
        return True

    def clear(
        self,
        profile_id: int | None = None,
        connector: int | None = None,
        purpose: str | None = None,
        stack_level: int | None = None,
    ) -> bool:
        """Remove what matches: the id alone, else all criteria that are given (SE 3.25). False: nothing did."""

        def matches(profile: Profile) -> bool:
            if profile_id is not None:
                return profile.id == profile_id
            return (
                connector in (None, profile.connector)
                and purpose in (None, profile.purpose)
                and stack_level in (None, profile.stack_level)
            )

        kept = [profile for profile in self._profiles if not matches(profile)]
        removed = len(kept) < len(self._profiles)
        self._profiles = kept
        return removed

    def end_of_transaction(self, connector: int) -> None:
        """TxProfiles live as long as their transaction (S §3.13.1)."""
        self._profiles = [p for p in self._profiles if not (p.purpose == TX and p.connector == connector)]


def _belongs(profile: Profile, transaction: Transaction | None) -> bool:
    """Return true if a TxProfile may be installed: for the running transaction only (S §5.16.1)."""
    if profile.connector == 0 or transaction is None:
        return False
    return profile.transaction_id is None or profile.transaction_id == transaction.id


def _replaces(profile: Profile, other: Profile) -> bool:
    if profile.id == other.id:
        return True
    same_place = (profile.purpose, profile.stack_level, profile.connector)
    return same_place == (other.purpose, other.stack_level, other.connector)

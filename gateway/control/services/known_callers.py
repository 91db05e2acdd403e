"""The callers that are known at one time, and one that was let in."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from attrs import frozen

from gateway.control.jwt_callers import JwtCaller
from gateway.domain.callers import Caller


@frozen
class Known:
    """The callers at one time, by what they show."""

    by_token: Mapping[bytes, Caller] = MappingProxyType({})
    by_certificate: Mapping[str, Caller] = MappingProxyType({})

    @staticmethod
    def of(callers: Iterable[Caller]) -> "Known":
        """From what the store has."""
        listed = list(callers)
        return Known(
            {each.token_digest: each for each in listed if each.token_digest},
            {each.certificate_name: each for each in listed if each.certificate_name},
        )

    def has(self, caller: Caller) -> bool:
        """Return true if it is known as it was: not revoked, nor made anew under its name."""
        return caller in (
            self.by_token.get(caller.token_digest),
            self.by_certificate.get(caller.certificate_name),
        )


@frozen
class Admitted:
    """A caller that was let in. ``shown``: by this JWT; None: it is made known."""

    caller: Caller
    shown: JwtCaller | None = None

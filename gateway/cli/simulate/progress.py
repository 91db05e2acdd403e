"""Progress of many chargers in `gateway simulate`: lost links, returns, and when all are connected."""

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, field

TROUBLE = ("link_failed", "link_lost", "boot_failed", "delivery_failed")
"""Events that are printed of one among many; all else would drown them."""

HINTS = (
    ("HTTP 401", "the gateway knows another key: --key"),
    ("CERTIFICATE_VERIFY_FAILED", "the gateway's certificate is not from a CA that is trusted here: --ca"),
)
"""A part of the reason for which a link failed, and what to look at."""


@define
class SimulationProgress:
    """Follows the links of so many chargers."""

    size: int
    _up: set[str] = field(factory=set)
    _down: set[str] = field(factory=set)
    """Chargers whose trouble was printed."""
    _complete: bool = False

    def lines(self, identity: str, name: str, details: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield lines for an event of one charger: names with details; and for all when they are complete."""
        if name in TROUBLE or self.size == 1:
            yield name, with_hint(details)
        if name in ("link_failed", "link_lost"):
            self._up.discard(identity)
            self._down.add(identity)
        elif name == "link_up":
            self._up.add(identity)
            if identity in self._down and self.size > 1:
                yield "link_back", {}
            self._down.discard(identity)

    def complete(self) -> bool:
        """Return true once each time that all are connected, the first time or after some were not."""
        before, self._complete = self._complete, len(self._up) == self.size
        return self._complete and not before


def with_hint(details: Mapping[str, Any]) -> Mapping[str, Any]:
    """Details with what to look at, where that is known from the reason."""
    reason = str(details.get("reason", ""))
    said = hinted(reason)
    return details if said == reason else {**details, "reason": said}


def hinted(reason: str) -> str:
    """A reason for which a link failed, with what to look at, where that is known."""
    hint = next((each for part, each in HINTS if part in reason), "")
    return f"{reason} ({hint})" if hint else reason

"""Needs of chargers of a make that others don't have: profiles by vendor, model and firmware. Pure.

The first field is how long a quiet charger is left alone after a reconnect. More fields follow where a make needs them.
"""

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from gateway.domain.events import BootInformation


@frozen
class Quirk:
    """A profile: patterns of what a charger says when it boots (``*`` stands for any text, without regard to case),
    and what it needs. None: nothing of its own."""

    vendor: str
    model: str = "*"
    firmware: str = "*"
    ready_after_silence: float | None = None
    """Seconds after which a charger that reconnected without a word may be sent commands."""
    plug_in_first: bool | None = None
    """Whether a remote start is refused, or forgotten, where no cable is in."""

    def fits(self, boot: BootInformation) -> bool:
        """Return whether a charger that booted like this is one of the make."""
        pairs = ((self.vendor, boot.vendor), (self.model, boot.model), (self.firmware, boot.firmware_version or ""))
        return all(_fits(pattern.casefold(), said.casefold()) for pattern, said in pairs)


def _fits(pattern: str, said: str) -> bool:
    """Return whether ``said`` is ``pattern``, each ``*`` of which stands for any text. Takes time linear in both: a
    charger's words are held against every profile at each connection. No other character is special: makes are called X
    [EU]."""
    first, *rest = pattern.split("*")
    if not rest:
        return said == first
    *middle, last = rest
    if not said.startswith(first):
        return False
    at = len(first)
    for part in middle:
        found = said.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return said.endswith(last) and len(said) - len(last) >= at


BUILT_IN: Final[tuple[Quirk, ...]] = (
    # Commands before its own first message lead to a disconnect and a boot loop: lbbrhzn/ocpp #1503, #1510, #1414,
    # evcc-io/evcc #27203 (quirk 7).
    Quirk("Wall Box Chargers", ready_after_silence=30.0),
)
"""Makes of which it is known, each with its source."""


def ready_after_silence(boot: BootInformation | None, quirks: Sequence[Quirk], default: float) -> float:
    """Seconds for a charger that last booted like ``boot`` (None: never here). The last profile that fits and says
    something counts."""
    if boot is not None:
        for quirk in reversed(quirks):
            if quirk.ready_after_silence is not None and quirk.fits(boot):
                return quirk.ready_after_silence
        return default
    return max(default, NEVER_BOOTED_SECONDS)


def plugs_in_first(boot: BootInformation | None, quirks: Sequence[Quirk]) -> bool:
    """Return whether a charger that last booted like ``boot`` needs the cable before a remote start. The last profile
    that fits and says something counts; by default it does not."""
    if boot is not None:
        for quirk in reversed(quirks):
            if quirk.plug_in_first is not None and quirk.fits(boot):
                return quirk.plug_in_first
    return False


NEVER_BOOTED_SECONDS: Final = 5.0
"""A charger that never booted here, and of which the make is not known, is about to boot most likely: it is left alone
a little longer, unless it says something else first."""

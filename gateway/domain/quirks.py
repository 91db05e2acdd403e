"""Quirk profiles: what a charger needs that others don't, by vendor, model and firmware, or for itself alone. Pure.

One mechanism for all of it. A value comes from the last of these that gives one:

    defaults ──▶ built-in profiles ──▶ profiles of the settings ──▶ the charge point's own values, set over gRPC

Within the second and the third the last profile that fits counts. A charger that has never booted here is of no known
make: of profiles only those fit that fit any.
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import attrs
from attrs import field, frozen

from gateway.domain.commands import FieldViolation
from gateway.domain.events import BootInformation


@frozen
class QuirkValues:
    """Values of a profile; None: nothing is said. All times in seconds."""

    assume_subprotocol: bool | None = None
    """Let in though no subprotocol is named (X2)."""
    accept_hex_password: bool | None = None
    """The AuthorizationKey may come as hexadecimal digits (X3)."""
    own_requests: bool | None = None
    """The gateway may send requests of its own accord: configuration, statuses, a boot."""
    settle_delay: float | None = None
    """Pause after Boot.conf before the gateway speaks."""
    ready_after_silence: float | None = None
    """One that reconnected without a word may be sent commands after so long."""
    plug_in_first: bool | None = None
    """A remote start is refused, or forgotten, where no cable is in."""
    ping_interval: float | None = None
    """Nothing sent for so long: a WebSocket ping; 0 sends none."""
    pong_expected: bool | None = None
    """Whether it answers pings. If not, one more whole limit of silence passes before the connection is given up."""
    measurands: tuple[str, ...] | None = None
    """Lists of measurands for its meter values, in order of preference, in the place of those for all."""
    max_schedule_periods: int | None = None
    """The most periods of a charging schedule, whatever its configuration reports."""
    max_stack_level: int | None = None
    """The highest stack level of a charging profile, whatever its configuration reports."""
    clock_offset: float | None = None
    """Its clock less the right one, known beforehand, e.g. 3600 for local time that is labelled Z."""


NO_VALUES: Final = QuirkValues()
NAMES: Final = tuple(each.name for each in attrs.fields(QuirkValues))

BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "settle_delay": (0, 300),
    "ready_after_silence": (0, 300),
    "ping_interval": (0, 3600),
    "max_schedule_periods": (1, 1000),
    "max_stack_level": (0, 1000),
    "clock_offset": (-86_400, 86_400),
}
"""Least and most of each number. A charge point that is left alone for longer than a command waits would get none; a
clock that is wrong by more than a day can't be known beforehand."""

MAX_MEASURANDS, MAX_MEASURANDS_LENGTH = 8, 500
"""Lists, and characters of one: the bounds of the configuration that is put to all."""


class Origin(StrEnum):
    """The origin of a value, in order of precedence."""

    DEFAULT = "default"
    BUILT_IN = "built-in"
    SETTINGS = "settings"
    CHARGE_POINT = "charge-point"


@frozen
class Quirk:
    """A profile: patterns of what a charger says when it boots (``*`` stands for any text, without regard to case), and
    its values. ``source``: for people, what it is known from."""

    vendor: str
    model: str = "*"
    firmware: str = "*"
    values: QuirkValues = NO_VALUES
    origin: Origin = Origin.SETTINGS
    source: str = ""

    def fits(self, boot: BootInformation | None) -> bool:
        """Return whether a charger that booted like this is one of the make. None: no make is known."""
        if boot is None:
            return self.vendor == self.model == self.firmware == "*"
        pairs = ((self.vendor, boot.vendor), (self.model, boot.model), (self.firmware, boot.firmware_version or ""))
        return all(_fits(pattern.casefold(), said.casefold()) for pattern, said in pairs)

    @property
    def detail(self) -> str:
        """The make and the source, for people."""
        make = " ".join(each for each in (self.vendor, self.model, self.firmware) if each != "*") or "*"
        return f"{make}: {self.source}" if self.source else make


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
    # Commands before its own first message lead to a disconnect and a boot loop (quirk 7).
    Quirk(
        "Wall Box Chargers",
        values=QuirkValues(ready_after_silence=30.0),
        origin=Origin.BUILT_IN,
        source="lbbrhzn/ocpp #1503, #1510, #1414, evcc-io/evcc #27203",
    ),
    # Refuses every charging profile above the lowest stack level, whatever it reports (quirk 15).
    Quirk(
        "ABB",
        values=QuirkValues(max_stack_level=0),
        origin=Origin.BUILT_IN,
        source="evcc-io/evcc #15493",
    ),
    # Refuses longer lists of measurands; its Current.Offered measures nothing (quirks 53, 81).
    Quirk(
        "EV-BOX",
        values=QuirkValues(
            measurands=(
                "Energy.Active.Import.Register,Power.Active.Import",
                "Energy.Active.Import.Register,Current.Import",
                "Energy.Active.Import.Register",
            )
        ),
        origin=Origin.BUILT_IN,
        source="evcc-io/evcc #8116, #29588",
    ),
)
"""Makes of which it is known, each with its source."""

NEVER_BOOTED_SECONDS: Final = 5.0
"""A charger that never booted here, and of which the make is not known, is about to boot most likely: it is left alone
a little longer, unless it says something else first."""


@frozen
class EffectiveQuirks:
    """The profile of one charger: every value, and where it comes from (``origins``: with a detail for people)."""

    assume_subprotocol: bool = False
    accept_hex_password: bool = False
    own_requests: bool = True
    settle_delay: float = 2.0
    ready_after_silence: float = 2.0
    plug_in_first: bool = False
    ping_interval: float = 50.0
    pong_expected: bool = True
    measurands: tuple[str, ...] = ()
    max_schedule_periods: int | None = None
    max_stack_level: int | None = None
    clock_offset: float = 0.0
    origins: Mapping[str, tuple[Origin, str]] = field(factory=dict, eq=False, repr=False)


MAX_REMEMBERED: Final = 1_000
"""Profiles that are kept worked out: a fleet has some tens of firmwares. 1 kB each; beyond it all are made anew."""


class QuirkBook:
    """The profiles of a gateway. ``defaults``: what holds where none says anything. The profile of the same make and
    the same values of its own is one object, so that it weighs nothing in a session."""

    def __init__(self, defaults: EffectiveQuirks = EffectiveQuirks(), profiles: Sequence[Quirk] = BUILT_IN) -> None:
        self._defaults = defaults
        self._profiles = tuple(profiles)
        self._known: dict[tuple[str, str, str | None] | None, dict[QuirkValues, EffectiveQuirks]] = {}
        self._count = 0

    def of(self, boot: BootInformation | None, own: QuirkValues = NO_VALUES) -> EffectiveQuirks:
        """Return the profile of a charger that last booted like ``boot`` (None: never here), and has these values of
        its own."""
        make = None if boot is None else (boot.vendor, boot.model, boot.firmware_version)
        by_own = self._known.get(make)
        found = None if by_own is None else by_own.get(own)
        if found is None:
            if self._count >= MAX_REMEMBERED:
                self._known.clear()
                self._count = 0
            self._count += 1
            found = self._known.setdefault(make, {})[own] = self._resolve(boot, own)
        return found

    def _resolve(self, boot: BootInformation | None, own: QuirkValues) -> EffectiveQuirks:
        values: dict[str, Any] = {}
        origins = dict.fromkeys(NAMES, (Origin.DEFAULT, ""))
        if boot is None and self._defaults.ready_after_silence < NEVER_BOOTED_SECONDS:
            values["ready_after_silence"] = NEVER_BOOTED_SECONDS
            origins["ready_after_silence"] = (Origin.DEFAULT, "never booted here")
        fitting = [(each.values, each.origin, each.detail) for each in self._profiles if each.fits(boot)]
        for given, origin, detail in (*fitting, (own, Origin.CHARGE_POINT, "")):
            for name in NAMES:
                value = getattr(given, name)
                if value is not None:
                    values[name] = value
                    origins[name] = (origin, detail)
        return attrs.evolve(self._defaults, **values, origins=origins)


def faults(values: QuirkValues, prefix: str) -> list[FieldViolation]:
    """The faults of values, each with the field's name behind ``prefix``."""
    found = []
    for name, (least, most) in BOUNDS.items():
        value = getattr(values, name)
        if value is not None and not (math.isfinite(value) and least <= value <= most):
            found.append(FieldViolation(f"{prefix}{name}", f"must be {least:,g} to {most:,g}"))
    for index, each in enumerate(values.measurands or ()):
        if not 0 < len(each) <= MAX_MEASURANDS_LENGTH or not each.isprintable():
            description = f"must have 1 to {MAX_MEASURANDS_LENGTH} printable characters"
            found.append(FieldViolation(f"{prefix}measurands[{index}]", description))
    if len(values.measurands or ()) > MAX_MEASURANDS:
        found.append(FieldViolation(f"{prefix}measurands", f"must have at most {MAX_MEASURANDS}"))
    return found


def changed(before: QuirkValues, patch: Mapping[str, Any]) -> tuple[QuirkValues, tuple[str, ...]]:
    """Apply a patch (name to value, None: nothing is said any more); the values, and the names that changed."""
    after = attrs.evolve(before, **patch)
    return after, tuple(name for name in NAMES if getattr(before, name) != getattr(after, name))


def to_mapping(values: QuirkValues) -> dict[str, Any]:
    """The values that are said, by name."""
    return {name: value for name in NAMES if (value := getattr(values, name)) is not None}

"""Quirk profiles as messages, and back."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from gateway.api.v1 import charge_point_pb2 as pb
from gateway.control.convert.requests import Fields
from gateway.domain.quirks import NAMES, EffectiveQuirks, Origin, QuirkValues

SOURCES: Final = {
    Origin.DEFAULT: pb.QUIRK_SOURCE_DEFAULT,
    Origin.BUILT_IN: pb.QUIRK_SOURCE_BUILT_IN,
    Origin.SETTINGS: pb.QUIRK_SOURCE_SETTINGS,
    Origin.CHARGE_POINT: pb.QUIRK_SOURCE_CHARGE_POINT,
}

SECONDS: Final = frozenset({"settle_delay", "ready_after_silence", "ping_interval", "clock_offset"})
"""Fields that are durations."""

LISTS: Final = frozenset({"measurands"})

ALIASES: Final = ("assume_subprotocol", "own_requests", "accept_hex_password")
"""Fields of the charge point itself that stand for those of its quirks."""

PREFIX: Final = "quirks."


def quirk_profile(values: QuirkValues | EffectiveQuirks) -> pb.QuirkProfile:
    """Return a profile as a message; what it does not say is unset."""
    said: dict[str, Any] = {}
    for name in NAMES:
        value = getattr(values, name)
        if value is not None:
            said[name] = _duration(value) if name in SECONDS else value
    return pb.QuirkProfile(**said)


def quirk_origins(values: EffectiveQuirks) -> list[pb.QuirkOrigin]:
    """The origin of each value, in the order of the fields."""
    return [
        pb.QuirkOrigin(field=name, source=SOURCES[source], detail=detail)
        for name, (source, detail) in values.origins.items()
    ]


def read_quirks(given: pb.ChargePoint, fields: Fields) -> QuirkValues:
    """The values of a new charge point; ``fields`` collects the violations."""
    return QuirkValues(**_said(given, NAMES, fields))


def read_patch(given: pb.ChargePoint, mask: Iterable[str], fields: Fields) -> dict[str, Any]:
    """The change of the values, by name: None is said no more. ``mask``: the fields that it names."""
    names: set[str] = set()
    for path in mask:
        if path == "quirks":
            names.update(NAMES)
        elif path in ALIASES or (path.startswith(PREFIX) and path.removeprefix(PREFIX) in NAMES):
            names.add(path.removeprefix(PREFIX))
    ordered = [name for name in NAMES if name in names]
    return dict.fromkeys(ordered) | _said(given, ordered, fields)


def _said(given: pb.ChargePoint, names: Iterable[str], fields: Fields) -> dict[str, Any]:
    said = {name: value for name in names if (value := _value(given.quirks, name, fields)) is not None}
    for name in ALIASES:
        if name not in names:
            continue
        alias = _alias(given, name)
        if alias is not None and said.setdefault(name, alias) != alias:
            fields.wrong(f"charge_point.{name}", f"contradicts charge_point.quirks.{name}")
    return said


def _alias(given: pb.ChargePoint, name: str) -> bool | None:
    if name == "assume_subprotocol":  # of before there were optional fields
        return given.assume_subprotocol or None
    return bool(getattr(given, name)) if given.HasField(name) else None  # type: ignore[arg-type] # the stubs list them


def _value(quirks: pb.QuirkProfile, name: str, fields: Fields) -> Any:
    if name in LISTS:
        return tuple(getattr(quirks, name)) or None
    if not quirks.HasField(name):  # type: ignore[arg-type] # as above
        return None
    value = getattr(quirks, name)
    if name not in SECONDS:
        return value
    try:
        return value.ToTimedelta().total_seconds()
    except (ValueError, OverflowError):
        fields.wrong(f"charge_point.quirks.{name}", "is no duration")
        return None


def _duration(seconds: float) -> Duration:
    found = Duration()
    found.FromTimedelta(timedelta(seconds=seconds))
    return found

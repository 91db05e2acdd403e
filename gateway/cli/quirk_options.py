"""`--quirk NAME=VALUE`: values of a charger's own quirk profile, as typed and as shown."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Annotated, Any, Final

import typer
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration

from gateway.api.v1.charge_point_pb2 import ChargePoint, QuirkProfile, QuirkSource
from gateway.cli.option_values import each_once

FIELDS: Final = {each.name: each for each in QuirkProfile.DESCRIPTOR.fields}
ON, OFF, DEFAULT = "on", "off", "default"
WORDS: Final = {ON: True, "true": True, OFF: False, "false": False}
PREFIX: Final = "quirks."

ORIGINS: Final = {
    QuirkSource.QUIRK_SOURCE_DEFAULT: "settings for all",
    QuirkSource.QUIRK_SOURCE_BUILT_IN: "built in",
    QuirkSource.QUIRK_SOURCE_SETTINGS: "settings",
    QuirkSource.QUIRK_SOURCE_CHARGE_POINT: "for it alone",
}


def parse_quirk(typed: str) -> tuple[str, Any]:
    """Parse one option: the field's name and its value, None for ``default``. Raises BadParameter."""
    name, equals, value = typed.partition("=")
    name = name.strip().replace("-", "_")
    field = FIELDS.get(name)
    if field is None or not equals:
        raise typer.BadParameter(f"expected NAME=VALUE with a name of: {', '.join(FIELDS)}")
    value = value.strip()
    if value == DEFAULT:
        return name, None
    if field.is_repeated:
        return name, [each for each in (part.strip() for part in value.split(";")) if each]
    if field.type == FieldDescriptor.TYPE_BOOL:
        if value not in WORDS:
            raise typer.BadParameter(f"{name}: expected on, off or default")
        return name, WORDS[value]
    try:
        if field.type == FieldDescriptor.TYPE_INT32:
            return name, int(value)
        return name, _duration(float(value))
    except (ValueError, OverflowError):
        expected = "a whole number" if field.type == FieldDescriptor.TYPE_INT32 else "a number of seconds"
        raise typer.BadParameter(f"{name}: expected {expected} or default") from None


QuirksOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--quirk",
        parser=parse_quirk,
        callback=each_once,
        metavar="NAME=VALUE",
        help="A value of its quirk profile for it alone, e.g. settle_delay=5, pong_expected=off, "
        '"measurands=Energy.Active.Import.Register;Power.Active.Import"; default: as its make. May be given several '
        "times; `gateway chargers show` has the names.",
    ),
]


def put_quirks(given: Iterable[tuple[str, Any]], into: ChargePoint) -> list[str]:
    """Put values into a charge point; the paths for a mask."""
    paths = []
    for name, value in given:
        paths.append(f"{PREFIX}{name}")
        if value is None:
            continue
        if FIELDS[name].is_repeated:
            getattr(into.quirks, name).extend(value)
        elif isinstance(value, Duration):
            getattr(into.quirks, name).CopyFrom(value)
        else:
            setattr(into.quirks, name, value)
    return paths


def quirk_rows(of: ChargePoint) -> Iterator[tuple[str, str, str, str]]:
    """Each field of the profile that counts: name, value, where it comes from, and the make."""
    for origin in of.quirk_origins:
        if origin.field not in FIELDS:
            continue  # of a newer gateway
        value = _shown(of.effective_quirks, origin.field)
        yield origin.field, value, ORIGINS.get(origin.source, "?"), origin.detail


def _shown(profile: QuirkProfile, name: str) -> str:
    field = FIELDS[name]
    if field.is_repeated:
        return "; ".join(getattr(profile, name)) or "-"
    if not profile.HasField(name):  # type: ignore[arg-type] # the stubs list the names
        return "-"
    value = getattr(profile, name)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return ON if value else OFF
    return f"{value.ToTimedelta().total_seconds():g} s" if isinstance(value, Duration) else str(value)


def _duration(seconds: float) -> Duration:
    found = Duration()
    found.FromTimedelta(timedelta(seconds=seconds))
    return found

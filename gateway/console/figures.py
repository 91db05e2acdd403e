"""Numbers and times as pages show them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.message import Message
from markupsafe import Markup, escape

MINUTE, HOUR, DAY = 60, 3600, 86_400


def moment(message: Message, name: str) -> datetime | None:
    """A time in a message; None: it is unset."""
    return getattr(message, name).ToDatetime(UTC) if message.HasField(name) else None


def power(watts: float) -> str:
    """Power, in the unit that reads best."""
    if abs(watts) >= 1_000_000:
        return f"{watts / 1_000_000:.2f} MW"
    return f"{watts / 1000:.2f} kW" if abs(watts) >= 1000 else f"{watts:.0f} W"


def energy(message: Any) -> str:
    """An amount of energy; exact to a watt-hour."""
    return f"{message.milliwatt_hours / 1_000_000:.3f} kWh"


def span(seconds: float) -> str:
    """A span of time in its two largest units."""
    whole = int(abs(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def time_tag(when: datetime | None) -> Markup:
    """A time for the page: UTC, which the browser turns into its own zone."""
    if when is None:
        return Markup("–")
    text = when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}">{}</time>').format(escape(when.astimezone(UTC).isoformat()), text)


def size(count: float) -> str:
    """An amount of data, in the unit that reads best."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def number(count: float) -> str:
    """A count with its thousands apart."""
    return f"{count:,.0f}".replace(",", "\u202f")


def connector_name(address: Any) -> str:
    """A connector as OCPP 1.6 numbers it, where it does."""
    if not address.evse and not address.connector:
        return "whole charge point"
    return str(address.evse) if address.connector == 1 else f"{address.evse}.{address.connector}"


def word(enum: Any, value: int) -> str:
    """A value of an enum in words: "out of service"."""
    names: list[str] = enum.keys()
    prefix = names[0].removesuffix("UNSPECIFIED")
    name: str = enum.Name(value) if value in enum.values() else "UNKNOWN"
    return name.removeprefix(prefix).lower().replace("_", " ")


def kind(enum: Any, value: int) -> str:
    """The same as a class name of the style sheet."""
    return word(enum, value).replace(" ", "-")


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "power": power,
    "energy": energy,
    "span": span,
    "time": time_tag,
    "number": number,
    "size": size,
    "connector": connector_name,
}

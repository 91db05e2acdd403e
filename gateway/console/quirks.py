"""The quirk profile that counts for a charge point: each of its values in words, and where it comes from."""

from typing import Any, Final

from attrs import frozen
from google.protobuf.duration_pb2 import Duration

from gateway.api.v1.charge_point_pb2 import ChargePoint, QuirkOrigin, QuirkProfile, QuirkSource

NAMES: Final = {
    "assume_subprotocol": "Let in without a subprotocol",
    "accept_hex_password": "May send its key as hexadecimal digits",
    "own_requests": "Asked for things without a command",
    "settle_delay": "Pause after a boot",
    "ready_after_silence": "Takes commands after a silent reconnect",
    "plug_in_first": "Starts only with a cable plugged in",
    "ping_interval": "Pinged after",
    "pong_expected": "Answers pings",
    "measurands": "Measurands asked for",
    "max_schedule_periods": "Periods of a charging schedule, at most",
    "max_stack_level": "Stack level of a charging profile, at most",
    "clock_offset": "Its clock is ahead by",
}
"""By field of ``QuirkProfile``; one that this console does not know is shown by its field's name."""

SOURCES: Final = {
    QuirkSource.QUIRK_SOURCE_DEFAULT: "the settings for all",
    QuirkSource.QUIRK_SOURCE_BUILT_IN: "built in, of its make",
    QuirkSource.QUIRK_SOURCE_SETTINGS: "the settings, of its make",
    QuirkSource.QUIRK_SOURCE_CHARGE_POINT: "this charge point alone",
}


@frozen
class QuirkRow:
    """One value. ``special``: it is not that of all charge points."""

    name: str
    value: str
    source: str
    detail: str
    special: bool


def quirk_rows(point: ChargePoint) -> list[QuirkRow]:
    """Return every value that counts for a charge point, those of its own or its make first."""
    origins: dict[str, QuirkOrigin] = {each.field: each for each in point.quirk_origins}
    said: dict[str, Any] = {field.name: value for field, value in point.effective_quirks.ListFields()}
    rows = []
    for name in QuirkProfile.DESCRIPTOR.fields_by_name:
        if name not in origins and name not in said:
            continue
        origin = origins.get(name, QuirkOrigin())
        special = origin.source not in (QuirkSource.QUIRK_SOURCE_UNSPECIFIED, QuirkSource.QUIRK_SOURCE_DEFAULT)
        source = SOURCES.get(origin.source, "not known")
        title = NAMES.get(name, name.replace("_", " "))
        rows.append(QuirkRow(title, _text(said.get(name)), source, origin.detail, special))
    return sorted(rows, key=lambda each: not each.special)


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Duration):
        return f"{value.seconds + value.nanos / 1e9:g} s"
    return str(value) if isinstance(value, int) else "; ".join(value)

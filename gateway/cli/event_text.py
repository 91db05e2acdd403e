"""Events in a line of words each."""

import json
from collections.abc import Iterator
from datetime import UTC
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.api.v1.charge_point_pb2 import BootInformation
from gateway.api.v1.command_pb2 import CommandAnswer, CommandError
from gateway.api.v1.common_pb2 import ConnectorAddress, Energy
from gateway.api.v1.event_pb2 import Event
from gateway.cli.connection import charging_state, connector_name, moment
from gateway.cli.output import kilowatt_hours, local
from gateway.cli.transactions import flag_names

MAX_JSON = 80
"""How much of a JSON value is shown in a line."""

MAX_VALUES = 6
"""How many meter values of a report are shown in a line."""


def event_line(event: Event) -> str:
    """An event in one line: when, who, what, and its fields."""
    when = local(moment(event, "receive_time"))
    line = f"{when}  {event.charge_point:<12} {event.type:<24} {summary(event)}"
    flags = flag_names(event.flags)
    return (f"{line} [{flags}]" if flags else line).rstrip()


def summary(event: Event) -> str:
    """Return an event's content in a line, without time and type."""
    name = event.WhichOneof("body")
    if name is None:
        return ""
    body = getattr(event, name)
    match name:
        case "connector_status_changed":
            before = f" (was {body.previous_status})" if body.previous_status else ""
            error = f" {body.error_code}" if body.error_code not in ("", "NoError") else ""
            return f"{_connector(body.connector)} {body.status}{error}{before} {body.info}".rstrip()
        case "connector_charging_state_changed":
            state, before = charging_state(body.state), charging_state(body.previous_state)
            power = f" at {body.power_watts:.0f} W" if body.HasField("power_watts") else ""
            return f"{_connector(body.connector)} {state}{power} (was {before})"
        case "meter_values_reported":
            return f"{_connector(body.connector)} {meter_values(body.meter_value_json)}"
        case _:
            return ", ".join(_fields(body))


def meter_values(text: str) -> str:
    """The values of a report, as sent. Anything that isn't in OCPP's shape is shown as it is."""
    values = list(_values(text))
    if not values:
        return _short(text)
    more = f" and {len(values) - MAX_VALUES} more" if len(values) > MAX_VALUES else ""
    return ", ".join(values[:MAX_VALUES]) + more


def _values(text: str) -> Iterator[str]:
    try:
        report = json.loads(text)
    except ValueError:
        return
    for each in report if isinstance(report, list) else ():
        sampled = each.get("sampledValue") if isinstance(each, dict) else None
        for value in sampled if isinstance(sampled, list) else ():
            if isinstance(value, dict) and value.get("format") != "SignedData":
                measurand = value.get("measurand") or "Energy.Active.Import.Register"
                phase = f" {value['phase']}" if value.get("phase") else ""
                yield _short(f"{measurand}{phase} {value.get('value', '')} {value.get('unit') or ''}".rstrip())


def _fields(body: Message) -> Iterator[str]:
    """The fields that are set, each with its name."""
    for descriptor, value in body.ListFields():
        name = descriptor.name.replace("_", " ")
        if descriptor.enum_type is not None and not descriptor.is_repeated:
            word = descriptor.enum_type.values_by_number[value].name
            yield f"{name} {word.removeprefix(f'{descriptor.name.upper()}_').lower()}"
        elif descriptor.is_repeated:
            yield f"{name}: {_short(', '.join(_element(each) for each in value))}"
        else:
            yield _field(name, value)


def _field(name: str, value: Any) -> str:
    match value:
        case ConnectorAddress():
            return _connector(value)
        case Energy():
            return f"{name} {kilowatt_hours(value.milliwatt_hours)}"
        case Timestamp():
            return f"{name} {local(value.ToDatetime(UTC))}"
        case BootInformation():
            return " ".join(part for part in (value.vendor, value.model, value.firmware_version) if part)
        case CommandAnswer():
            kind = value.WhichOneof("answer") or "empty"
            return f"answer {getattr(getattr(value, kind), 'status', '') or kind.replace('_', ' ')}"
        case CommandError():
            return f"error {value.code} {value.description}".rstrip()
        case bool():
            return name if value else f"not {name}"
        case _:
            return f"{name.removesuffix(' json')} {_short(str(value))}"


def _element(value: Any) -> str:
    """An element of a list in words: a configuration key with its value, or text."""
    if isinstance(value, Message):
        parts = (str(part) for _, part in value.ListFields() if not isinstance(part, bool))
        return "=".join(parts)
    return str(value)


def _connector(address: ConnectorAddress) -> str:
    return "charge point" if address == ConnectorAddress() else f"connector {connector_name(address)}"


def _short(text: str) -> str:
    return text if len(text) <= MAX_JSON else text[: MAX_JSON - 1] + "…"

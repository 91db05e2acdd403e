"""Chargers in words: a row of a list, all that is known of one, and a key that is shown once."""

from collections.abc import Iterator
from typing import Any, Final

from rich.text import Text

from gateway.api.v1.charge_point_pb2 import ChargePoint, Connector, WorkProgress
from gateway.api.v1.common_pb2 import ChargingProfilePurpose
from gateway.api.v1.common_pb2 import Registration as ApiRegistration
from gateway.api.v1.reading_pb2 import ChargingState, LatestReadings, Reading, ValueSource
from gateway.api.v1.steering_pb2 import InstalledChargingProfile
from gateway.cli.connection import as_dict, charging_state, connector_name, moment
from gateway.cli.output import age, facts, kilowatt_hours, kilowatts, local, note, out, print_json, say, status, table
from gateway.cli.quirk_options import quirk_rows


def _registration_word(value: ApiRegistration.ValueType) -> str:
    """The API's registration as OCPP spells it."""
    return ApiRegistration.Name(value).removeprefix("REGISTRATION_").capitalize()


def row(each: ChargePoint) -> tuple[Any, ...]:
    """The columns of one charger in a list."""
    return (
        each.identity,
        status("connected") if each.connection.connected else "offline",
        status(_registration_word(each.registration)),
        each.boot.vendor,
        each.boot.model,
        each.boot.firmware_version,
        ", ".join(_connector(one) for one in each.connectors if one.connector.evse),
        age(moment(each.connection, "last_heard_time")),
        labels(each),
    )


def labels(each: ChargePoint) -> str:
    """The labels of a charger in one line, by key."""
    return ", ".join(f"{key}={value}" for key, value in sorted(each.labels.items()))


def _connector(one: Connector) -> str:
    """A connector in a list: its status, and in brackets its charging state and the power while it charges."""
    shown = charging_state(one.charging_state) if one.charging_state else ""
    if one.charging_state == ChargingState.CHARGING_STATE_CHARGING and one.latest.HasField("power"):
        shown = f"{shown} {kilowatts(one.latest.power.value)}"
    return f"{connector_name(one.connector)} {one.status}{f' ({shown})' if shown else ''}"


def show_charger(each: ChargePoint) -> None:
    """Print all that is known of a charger."""
    console = out()
    console.print(facts(_facts(each)))
    if each.connectors:
        columns: tuple[str, ...] = ("connector", "status", "~error", "since", "charging state", "since", "~said")
        rows = [
            (
                connector_name(one.connector),
                status(one.status),
                _error(one),
                local(moment(one, "status_time")),
                charging_state(one.charging_state) if one.charging_state else "",
                local(moment(one, "charging_state_since_time")),
                one.info,
            )
            for one in each.connectors
        ]
        console.print()
        console.print(table(*columns, rows=rows, title="Connectors"))
    quirks = [*quirk_rows(each)]
    if quirks:
        console.print()
        console.print(table("quirk", "value", "from", "~make", rows=quirks, title="Quirk profile"))
    readings = [(connector_name(one.connector), *shown) for one in each.connectors for shown in _readings(one.latest)]
    if readings:
        columns = ("connector", "reading", ">value", "measured", "~source")
        console.print()
        console.print(table(*columns, rows=readings, title="Latest readings"))
    if each.reservations:
        columns = ("id", "connector", "tag", "group", "until")
        reserved = [
            (
                one.reservation_id,
                connector_name(one.connector) if one.connector.evse else "any",
                one.id_tag,
                one.parent_id_tag,
                local(moment(one, "expire_time")),
            )
            for one in each.reservations
        ]
        console.print()
        console.print(table(*columns, rows=reserved, title="Reservations"))
    work = []
    if each.HasField("firmware_update"):
        work.append(_work("firmware update", each.firmware_update))
    if each.HasField("diagnostics_upload"):
        work.append(_work("diagnostics upload", each.diagnostics_upload))
    if each.HasField("log_upload"):
        work.append(_work("log upload", each.log_upload))
    if each.HasField("certificate"):
        row = (each.certificate.serial_number, local(moment(each.certificate, "expire_time")))
        console.print()
        console.print(table("serial number", "valid until", rows=[row], title="Certificate"))
    if work:
        console.print()
        console.print(table("work", "status", "received", "~command", rows=work, title="Work after a command"))
    if each.charging_profiles:
        profiles = [_profile(one) for one in each.charging_profiles]
        columns = ("profile", "connector", "purpose", "level", "valid until", "accepted", "~command")
        console.print()
        console.print(table(*columns, rows=profiles, title="Charging profiles that it has accepted"))
    if each.boot_configuration:
        settings = [
            (one.key, one.value, status(one.status), local(moment(one, "apply_time")))
            for one in each.boot_configuration
        ]
        console.print()
        console.print(table("key", "~value", "answer", "when", rows=settings, title="Boot configuration"))


PURPOSES: Final = {
    ChargingProfilePurpose.CHARGING_PROFILE_PURPOSE_CHARGE_POINT_MAX_PROFILE: "ChargePointMaxProfile",
    ChargingProfilePurpose.CHARGING_PROFILE_PURPOSE_TX_DEFAULT_PROFILE: "TxDefaultProfile",
    ChargingProfilePurpose.CHARGING_PROFILE_PURPOSE_TX_PROFILE: "TxProfile",
}
"""As OCPP spells them."""


def _profile(one: InstalledChargingProfile) -> tuple[str, str, str, str, str, str, str]:
    """A charging profile of the record; one without an end holds until it is replaced or cleared."""
    profile = one.profile
    return (
        str(profile.charging_profile_id),
        connector_name(one.connector),
        PURPOSES.get(profile.purpose, ""),
        str(profile.stack_level),
        local(moment(profile, "valid_to_time")),
        local(moment(one, "accept_time")),
        one.command_id,
    )


def _work(name: str, progress: WorkProgress) -> tuple[str, Text, str, str]:
    """A firmware update or an upload of diagnostics: the charger's last status with its time, and what it is of."""
    begun, of = progress.command_id, progress.status_command_id
    if not progress.status:
        return name, Text("nothing yet"), "", begun
    shown = of or "none"
    if begun and of != begun:
        shown = f"{shown}; nothing yet of {begun}"
    return name, status(progress.status), local(moment(progress, "receive_time")), shown


def _readings(latest: LatestReadings) -> Iterator[tuple[str, str, str, str]]:
    """Each newest reading in total: its name, its value with its unit, its time, and its source."""
    for name, field, unit, digits in _SHOWN:
        if not latest.HasField(field):
            continue
        found: Reading = getattr(latest, field)
        value = kilowatt_hours(found.energy.milliwatt_hours) if not unit else f"{found.value:.{digits}f} {unit}"
        source = ValueSource.Name(found.source).removeprefix("VALUE_SOURCE_").lower().replace("_", " ")
        yield name, value, local(moment(found, "time")), f"{source}, estimated" if found.estimated else source


_SHOWN: Final[tuple[tuple[str, Any, str, int], ...]] = (
    ("power", "power", "W", 0),
    ("energy register", "energy_register", "", 0),
    ("current", "current", "A", 1),
    ("voltage", "voltage", "V", 1),
    ("state of charge", "state_of_charge", "%", 0),
    ("temperature", "temperature", "°C", 1),
    ("frequency", "frequency", "Hz", 2),
)
"""Names, fields, units and decimals of readings; energy has no unit here, but a form of its own."""


def _error(connector: Any) -> str:
    error = "" if connector.error_code == "NoError" else connector.error_code
    return " ".join(part for part in (error, connector.vendor_id, connector.vendor_error_code) if part)


def _facts(each: ChargePoint) -> Iterator[tuple[str, object]]:
    connection, boot = each.connection, each.boot
    yield "identity", each.identity
    yield "description", each.description
    if each.labels:
        yield "labels", labels(each)
    yield "registration", status(_registration_word(each.registration))
    if each.assume_subprotocol:
        yield "subprotocol", "assumed where it names none"
    yield "own requests", _decided(each, "own_requests", "sent", "not sent")
    yield "hexadecimal password", _decided(each, "accept_hex_password", "accepted", "refused")
    if each.minimum_security_profile:
        yield "minimum profile", each.minimum_security_profile
    since = local(moment(connection, "since_time"))
    if connection.connected:
        yield "connection", f"connected since {since} from {connection.remote_address}{_at(connection.node_slot)}"
        yield "security profile", connection.security_profile
    else:
        yield "connection", f"offline since {since}" if since else "never connected"
    heard = moment(connection, "last_heard_time")
    yield "last heard", f"{local(heard)} ({age(heard)})" if heard else ""
    yield "vendor", boot.vendor
    yield "model", boot.model
    yield "firmware", boot.firmware_version
    yield "serial number", boot.charge_point_serial_number
    yield "charge box serial number", boot.charge_box_serial_number
    yield "meter", " ".join(part for part in (boot.meter_type, boot.meter_serial_number) if part)
    yield "ICCID", boot.iccid
    yield "IMSI", boot.imsi
    yield "booted", local(moment(each, "boot_time"))
    yield "clock", _clock(each)
    if each.HasField("local_list"):
        yield (
            "local list",
            f"version {each.local_list.list_version}, accepted {local(moment(each.local_list, 'change_time'))}",
        )
    yield "created", local(moment(each, "create_time"))
    yield "changed", local(moment(each, "update_time"))


def _at(slot: int) -> str:
    """The node that it is connected to, where there are several."""
    return f", at node {slot}" if slot else ""


def _clock(each: ChargePoint) -> str:
    """The clock's offset in words; empty where it has not been measured."""
    if not each.HasField("clock_offset"):
        return ""
    seconds = each.clock_offset.ToTimedelta().total_seconds()
    word = "behind" if seconds < 0 else "ahead"
    return f"{abs(seconds):.1f} s {word}, as of {local(moment(each, 'clock_offset_time'))}"


def _decided(each: ChargePoint, name: Any, on: str, off: str) -> str:
    """A switch in words, also where it is not set."""
    if not each.HasField(name):
        return "as the settings say"
    return on if getattr(each, name) else off


def show_key(charge_point: ChargePoint, key: bytes, json: bool, done: str) -> None:
    """The result of a change and, this once, a generated key."""
    text = key.decode("ascii") if key.isascii() else ""
    typeable = text.isprintable() and bool(text)  # what a gateway of an earlier version generates is not
    if json:
        answer: dict[str, Any] = {"charge_point": as_dict(charge_point)}
        if key:
            answer["authorization_key_hex"] = key.hex()
        if typeable:
            answer["authorization_key_text"] = text
        print_json(answer)
        return
    say(done)
    if typeable:
        say(f"AuthorizationKey: {text}", "bold")
        note("shown this once: to be typed as it is where the charger asks for its password or AuthorizationKey; where")
        note(f"it asks for hexadecimal digits, the same key is {key.hex()}")
    elif key:
        say(f"AuthorizationKey in hexadecimal: {key.hex()}", "bold")
        note("shown this once: bytes that can't be typed as text; the charger must ask for hexadecimal digits")

"""The names of a request's fields, as the options and arguments of the command line that fill them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

SHARED = {r"charge_points?(\[\d+\])?": "CHARGER", "request_id": "--request-id"}

KEYS = {"authorization_key": "--key", r"charge_point\.identity": "IDENTITY", "identity": "IDENTITY"}

CONNECTOR = {r"connector(\.\w+)?": "--connector"}

FIELDS: dict[str, dict[str, str]] = {
    "start": {"id_tag": "--tag", **CONNECTOR},
    "stop": {"transaction_id": "--transaction", **CONNECTOR},
    "limit": {
        r"charging_profile\.schedule\.periods\[\d+\]\.limit": "--amps or --watts",
        r"charging_profile\.schedule\.periods\[\d+\]\.number_phases": "--phases",
        r"charging_profile\.schedule\.duration": "--minutes",
        r"charging_profile\.stack_level": "--stack-level",
        r"charging_profile\.transaction_id": "--transaction",
        **CONNECTOR,
    },
    "charge": {r"limit\.(value|unit)": "--amps or --watts", r"limit\.number_phases": "--phases"},
    "local-list": {r"entries(\[\d+\])?(\.\w+)*": "TAG"},
    "trigger": CONNECTOR,
    "unlock": CONNECTOR,
    "certificates": {
        "certificate_chain": "FILE",
        "certificate": "FILE",
        r"certificate\.issuer_name_hash": "--name-hash",
        r"certificate\.issuer_key_hash": "--key-hash",
        r"certificate\.serial_number": "--serial",
    },
    "firmware": {
        "location": "URL",
        "retrieve_time": "--at",
        "install_time": "--install-at",
        "signing_certificate": "--signing-certificate",
        "signature": "--signature",
    },
    "log-level": {"duration": "--for"},
    "log": {"location": "URL", "oldest_time": "--since", "latest_time": "--until"},
    "config": {r"keys\[\d+\]": "KEYS", "key": "KEY", "value": "VALUE"},
    "chargers": {**KEYS, r"(charge_point\.)?description": "--description"},
    "simulate": {**KEYS, r"charge_point\.identity": "--identity", "identity": "--identity"},
    "tags": {
        r"id_tag(\.id_tag)?": "TAG",
        r"(id_tag\.)?parent_id_tag": "--parent",
        r"(id_tag\.)?expire_time": "--expires",
        r"(id_tag\.)?description": "--description",
    },
    "watch": {r"types\[\d+\]": "--type", "resume_token": "--after"},
    "transactions": {"transaction_id": "TRANSACTION", "charge_point": "--charger", "id_tag": "--tag"},
    "commands": {"command_id": "COMMAND", "charge_point": "--charger"},
    "refused": {"charge_point": "--charger", "address": "--address"},
}
"""By command: a field's path (a regular expression), and what fills it."""


WORDS = {
    "insist": "anyway",
    "callers": "caller",
    "actions": "action",
    "recorded_from_time": "since",
    "recorded_before_time": "before",
    "page_size": "limit",
    "certificate_name": "certificate",
    "roles": "role",
    "accept_hex_password": "hex_password",
    "log_type": "type",
    "measurands": "measurand",
    "below_minimum": "pause_below_minimum",
    "scope": "label",
    "labels": "label",
    "charge_points": "charger",
    "id_tag": "tag",
    "transaction_id": "transaction",
    "minimum_security_profile": "minimum_profile",
    "generate_authorization_key": "new_key",
    "ca_certificate_installed": "has_ca",
    "client_certificate_installed": "has_certificate",
    "firmware_version": "firmware",
    "start_time": "since",
    "stop_time": "until",
    "closes_per_second": "rate",
    "duration": "hours",
    "energy_milliwatt_hours": "kwh",
    "hash_algorithm": "algorithm",
    "certificate_use": "use",
    "latest_interval": "every",
    "meter_stop_watt_hours": "meter_wh",
    "parent_id_tag": "group",
    "rate_unit": "unit",
    "retrieve_time": "at",
    "end_time": "at",
    "install_time": "install_at",
    "soc_percent": "soc",
    "start_at": "from_beginning",
    "started_from_time": "since",
    "started_before_time": "until",
    "time_zone": "zone",
    "type": "hard",
}
"""Fields whose option or argument has another name, in whichever command. Where a command has one by the field's own
name that one counts."""

PATH = re.compile(r"(?m)(^\s*|; )([a-z][a-z0-9_]*(?:\[\w+\])?(?:\.[a-z][a-z0-9_]*(?:\[\w+\])?)*): ")
"""A field's path where an error, a line of it, or what follows a semicolon begins with it."""


def by_option(text: str, command: str | None, parameters: Mapping[str, str] | None = None) -> str:
    """An error with options in the place of the fields that it begins with, line by line and after each semicolon.
    ``parameters``: the command's own, by name, as they are written."""
    for path, option in ({**SHARED, **FIELDS.get(command, {})} if command else {}).items():
        text = re.sub(rf"(?m)(^\s*|; ){path}: ", rf"\g<1>{option}: ", text)
    known = parameters or {}

    def shown(found: re.Match[str]) -> str:
        # The last part that an option is called by: connector.evse is --connector's.
        for name in reversed(re.sub(r"\[\w+\]", "", found[2]).split(".")):
            option = known.get(name) or known.get(WORDS.get(name, ""))
            if option:
                return f"{found[1]}{option}: "
        return found[0]

    return PATH.sub(shown, text)


def written(parameters: Iterable[Any]) -> dict[str, str]:
    """A command's parameters as they are typed, by their names: ``--at-once`` by ``at_once``; an argument by its word
    in capitals."""
    found = {}
    for each in parameters:
        shown = each.metavar if each.param_type_name == "argument" else max(each.opts, key=len)
        names = [each.name, *(option.lstrip("-").replace("-", "_") for option in each.opts)]
        found.update(dict.fromkeys(names, shown))
    return found

"""The names of a request's fields, as the options and arguments of the command line that fill them."""

import re

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


def by_option(text: str, command: str | None) -> str:
    """An error with options in the place of the fields that it begins with, line by line and after each semicolon."""
    for path, option in ({**SHARED, **FIELDS.get(command, {})} if command else {}).items():
        text = re.sub(rf"(?m)(^\s*|; ){path}: ", rf"\g<1>{option}: ", text)
    return text

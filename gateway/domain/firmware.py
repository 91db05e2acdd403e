"""Commands that have a charger install firmware: signed by the security extension, or plain (S §5.19; WP L01).

A command without a time is for at once. It gets its time when it is sent, so that its request is the same one however
often it is repeated, and a charger that comes back after days is not sent a time that has long passed.
"""

from datetime import datetime
from typing import TypeAlias

from attrs import evolve

from gateway.domain.commands import UpdateFirmware
from gateway.domain.security_commands import SignedUpdateFirmware
from gateway.domain.values import JSON

FirmwareUpdate: TypeAlias = UpdateFirmware | SignedUpdateFirmware


def as_sent(command: FirmwareUpdate, now: datetime) -> FirmwareUpdate:
    """The command as it goes out: firmware for at once is to be fetched from now on."""
    return command if command.retrieve_date is not None else evolve(command, retrieve_date=now)


def begins_at(command: FirmwareUpdate, now: datetime) -> datetime:
    """The time from which on the charger has nothing more to wait for by the command: ``now`` at the earliest."""
    install = command.install_date if isinstance(command, SignedUpdateFirmware) else None
    return max(now, command.retrieve_date or now, install or now)


def is_signed(arguments: JSON) -> bool:
    """Return whether the kept arguments of an installation are those of signed firmware: they name a request."""
    return isinstance(arguments, dict) and "ocpp_request_id" in arguments

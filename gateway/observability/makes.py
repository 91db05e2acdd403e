"""Makes of chargers as keys of bounded tables: what a charger said of itself at its last boot, cut to fixed lengths."""

from typing import TypeAlias

from gateway.domain.events import BootInformation

MAX_VENDOR, MAX_MODEL, MAX_FIRMWARE = 20, 20, 50
"""Characters, as the schema allows (S §6.5); what is longer is cut."""

Make: TypeAlias = tuple[str, str, str]
"""Vendor, model and firmware version; each empty where it is not known."""

UNKNOWN_MAKE: Make = ("", "", "")


def make_of(boot: BootInformation | None) -> Make:
    """The make that a charge point has reported; the unknown one if it has never booted here."""
    if boot is None:
        return UNKNOWN_MAKE
    firmware = boot.firmware_version or ""
    return (boot.vendor or "")[:MAX_VENDOR], (boot.model or "")[:MAX_MODEL], firmware[:MAX_FIRMWARE]

"""Vendors' data from chargers (OCPP's DataTransfer, S §4.3): what a service outside of the gateway is asked, and how
it may have a charger answered."""

from enum import StrEnum
from typing import Final, Protocol

from attrs import frozen

from gateway.domain.values import JSON


class VendorDataStatus(StrEnum):
    """Status of the answer to a charger, in OCPP's words."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNKNOWN_MESSAGE_ID = "UnknownMessageId"
    UNKNOWN_VENDOR_ID = "UnknownVendorId"


@frozen
class VendorData:
    """A charger's data. ``data``: as sent; text, as OCPP has it, or what else a charger put there (B8.1)."""

    charge_point: str
    vendor_id: str
    message_id: str | None
    data: JSON


@frozen
class VendorAnswer:
    """Answer to a charger, with text for it, if any. ``caller``: the service that gave it, by its name as a caller."""

    status: VendorDataStatus
    data: str | None = None
    caller: str = ""


REJECTED: Final = VendorAnswer(VendorDataStatus.REJECTED)
"""Where the service did not answer: the vendor is known and the message may be, so neither of the Unknowns is true, and
a charger may try again (S §4.3). A CALLERROR would make some chargers take the whole operation for unsupported."""

UNKNOWN_VENDOR: Final = VendorAnswer(VendorDataStatus.UNKNOWN_VENDOR_ID)
UNKNOWN_MESSAGE: Final = VendorAnswer(VendorDataStatus.UNKNOWN_MESSAGE_ID)


class VendorServices(Protocol):
    """The services that handle vendors' data. Neither method raises."""

    def at_once(self, vendor_id: str, message_id: str | None) -> VendorAnswer | None:
        """The answer, where it doesn't take a service; None: ``ask``. Never waits."""
        ...

    async def ask(self, data: VendorData) -> VendorAnswer:
        """The service's answer, or what stands for it: within a deadline of its own, shorter than chargers' patience.

        Cancelling is safe: the charger gets no answer, and the service's answer will be of no use.
        """
        ...


class NoVendorServices:
    """No vendor is known (X12)."""

    def at_once(self, vendor_id: str, message_id: str | None) -> VendorAnswer | None:
        """UnknownVendorId."""
        return UNKNOWN_VENDOR

    async def ask(self, data: VendorData) -> VendorAnswer:
        """Never called."""
        return UNKNOWN_VENDOR

"""Messages of a wallbox: its transactions, and messages that are built now and sent when the link allows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import define, frozen

#: StopTransaction needs an id; a start that was never confirmed has none, and -1 says so (SE 3.18).
UNKNOWN_TRANSACTION = -1


@define(eq=False)
class Transaction:
    """One charging transaction, as the charger knows it.

    `id` is the central system's number: None until StartTransaction.conf arrived, which may be after the
    transaction ended. `accepted` turns False when the central system refuses the id tag in that confirmation.
    """

    connector: int
    id_tag: str
    started_at: datetime
    meter_start_wh: int
    reservation_id: int | None = None
    parent_id_tag: str | None = None
    id: int | None = None
    accepted: bool = True
    stopped_at: datetime | None = None
    meter_stop_wh: int | None = None

    @property
    def energy_wh(self) -> int:
        """Energy of the whole transaction in Wh; 0 while it runs."""
        return 0 if self.meter_stop_wh is None else self.meter_stop_wh - self.meter_start_wh


@frozen(eq=False)
class Message:
    """A request for the central system.

    With `transaction`, it is a transaction message (S §3.7.1): kept in order, delivered after an outage, retried.
    Without, it is worth sending only while it is news. `triggered`: the central system asked for it, so it may go
    out before the charger is accepted (S §4.2).
    """

    action: str
    payload: Mapping[str, Any]
    transaction: Transaction | None = None
    triggered: bool = False

    def wire_payload(self) -> dict[str, Any]:
        """The payload to send now, with the transaction id as far as it is known by now."""
        payload = dict(self.payload)
        if self.transaction is None or self.action == "StartTransaction":
            return payload
        if self.transaction.id is not None:
            payload["transactionId"] = self.transaction.id
        elif self.action == "StopTransaction":
            payload["transactionId"] = UNKNOWN_TRANSACTION
        return payload


def wire_time(moment: datetime) -> str:
    """An OCPP date-time: UTC with milliseconds and Z."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

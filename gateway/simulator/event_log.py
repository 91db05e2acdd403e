"""The log of what a wallbox does, for an observer: names and numbers fit for printing."""

from __future__ import annotations

from collections.abc import Callable

from gateway.simulator.messages import Message
from gateway.simulator.profiles import Limit
from gateway.simulator.wallbox import Wallbox


class EventLog:
    """Turns the box's messages and limits into events for `emit(name, **details)`."""

    def __init__(self, box: Wallbox, emit: Callable[..., None]) -> None:
        self._box = box
        self._emit = emit
        self._offers: dict[int, Limit] = {}

    def message(self, message: Message) -> None:
        """A message was made; what it says happened just now."""
        payload, transaction = message.payload, message.transaction
        connector = payload.get("connectorId")
        match message.action:
            case "StatusNotification":
                self._emit("status", connector=connector, status=payload["status"], error_code=payload["errorCode"])
            case "MeterValues":
                number = int(payload["connectorId"])
                register = self._box.connector(number).register_wh
                power = self._box.power(number)
                self._emit("meter_values", connector=number, power_w=power, register_wh=register)
            case "StartTransaction":
                self._emit("transaction_started", connector=connector, id_tag=payload["idTag"])
            case "StopTransaction" if transaction is not None:
                self._emit(
                    "transaction_stopped",
                    connector=transaction.connector,
                    transaction_id=transaction.id,
                    reason=payload["reason"],
                    energy_wh=transaction.energy_wh,
                )

    def limits(self) -> None:
        """A request was carried out; tell of every connector whose limit is another one now."""
        for number, connector in self._box.connectors.items():
            offer = self._box.offer(connector)
            if self._offers.get(number, self._box.hardware) != offer:
                self._emit("limit", connector=number, amps=offer.amps, phases=offer.phases, watts=offer.watts)
            self._offers[number] = offer

"""A simulated charger and a scripted central system in virtual time, nothing but the wire faked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import trio
from attrs import define, field

from gateway.simulator import ChargerConfig, SimulatedCharger
from tests.simulator.central import Central, trio_clock


@define(eq=False)
class Home:
    """Chargers at one central system, and what they reported to their observer."""

    central: Central
    nursery: trio.Nursery
    events: list[tuple[str, Mapping[str, Any]]] = field(factory=list)

    async def charger(self, *, online: bool = True, **settings: Any) -> SimulatedCharger:
        """A running charger; accepted and idle unless `online` is False."""
        config = ChargerConfig(
            **{"url": "wss://central.example/ocpp", "identity": "HOME-1", "password": b"k" * 16, **settings}
        )
        charger = SimulatedCharger(
            config,
            clock=trio_clock(),
            on_event=lambda name, details: self.events.append((name, details)),
            dial=self.central.dial,
        )
        await self.nursery.start(charger.run)
        if online:
            await self.central.heard("StatusNotification", connectorId=config.connectors)
            await charger.wait_for(lambda each: each.registration == "Accepted")
        return charger

    def reported(self, name: str) -> list[Mapping[str, Any]]:
        """The details of the events of one name."""
        return [details for event, details in self.events if event == name]


@pytest.fixture
async def home(nursery: trio.Nursery) -> Home:
    """Tests ask for `autojump_clock` beside it: pytest-trio takes a clock only from the test itself."""
    return Home(Central(nursery), nursery)

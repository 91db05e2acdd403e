"""A home wallbox, simulated: it speaks OCPP 1.6J over wss as a charger does, and charges a vehicle meanwhile.

Used by `gateway simulate`, `make demo`, tests and benches. It imports nothing of the gateway: what it knows of the
protocol it knows from the specification, so that the two check each other.

    charger = SimulatedCharger(ChargerConfig("wss://localhost:9443/ocpp", "HOME-1", key), ssl_context)
    async with trio.open_nursery() as nursery:
        await nursery.start(charger.run)
        charger.plug_in()
        await charger.present_id_tag()

From the wire inwards: `link` (WebSocket over TLS), `session` (CALL and answer, `rpc`), `connection` (registration,
delivery from the `outbox`), `charger` (ties them to the `wallbox` by `operations`), `household` (many, and daily
life). `wallbox`, `connector`, `vehicle`, `profiles`, `outbox`, `rpc` and `operations` do no I/O.
"""

from gateway.simulator.charger import SimulatedCharger
from gateway.simulator.config import ChargerConfig
from gateway.simulator.fleet import Habits, daily_life, simulate_many
from gateway.simulator.profiles import Limit
from gateway.simulator.vehicle import VehicleConfig

__all__ = [
    "ChargerConfig",
    "Habits",
    "Limit",
    "SimulatedCharger",
    "VehicleConfig",
    "daily_life",
    "simulate_many",
]

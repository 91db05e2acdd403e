"""`gateway top` on a whole gateway: what it asks for is taken, and what chargers do is shown."""

import trio
from attrs import evolve

from gateway.app.settings import AuthorizationSettings, ControlSettings
from tests.app.running import running, settings
from tests.cli.top.fleet import drive_at, shown, until
from tests.endtoend.gateway_process import development_certificates, free_port


async def test_a_charger_that_starts_is_seen_with_its_power(tmp_path):
    """It is listed before it connects; its status, start and meter values come by the watches."""
    address = f"127.0.0.1:{free_port()}"
    made = evolve(
        settings(tmp_path, development_certificates(tmp_path / "certs")),
        control=ControlSettings(address=address),
        authorization=AuthorizationSettings(unknown_tags="Accepted"),
    )
    listed, seen = trio.Event(), []
    token = trio.lowlevel.current_trio_token()

    async def play(top, pilot):
        await until(top, pilot, lambda: "CP1" in top.view.chargers and top.view.summary is not None)
        trio.from_thread.run_sync(listed.set, trio_token=token)
        await until(top, pilot, lambda: top.view.totals().power == 7360.0 and top.view.totals().charging == 1)
        await until(top, pilot, lambda: top.view.chargers["CP1"].energy == 2_500_000)
        seen.append(shown(top))
        assert top.error is None

    async with running(made) as here, trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, drive_at, address, play)
        await listed.wait()
        charger = await here.booted()
        status = {"connectorId": 1, "status": "Charging", "errorCode": "NoError"}
        await charger.call("StatusNotification", status)
        start = {"connectorId": 1, "idTag": "TAG-7", "meterStart": 1000, "timestamp": "2026-11-27T12:00:00Z"}
        started = await charger.call("StartTransaction", start)
        sampled = [
            {"value": "7360", "measurand": "Power.Active.Import", "unit": "W"},
            {"value": "3500", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
        ]
        values = [{"timestamp": "2026-11-27T12:10:00Z", "sampledValue": sampled}]
        meter = {"connectorId": 1, "transactionId": started["transactionId"], "meterValue": values}
        await charger.call("MeterValues", meter)
    [text] = seen
    [row] = [line for line in text.splitlines() if " CP1 " in line and "kWh" in line and "●" in line]
    for word in ("Charging", "7.36 kW", "2.500 kWh", "TAG-7", "A B"):
        assert word in row
    assert "1 of 1 connected  1 charging" in text

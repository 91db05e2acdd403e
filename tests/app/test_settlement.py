"""The energy of ended transactions in a gateway that serves."""

from datetime import timedelta
from pathlib import Path

import pytest

from gateway.app.serve import utc_now
from gateway.control import settlement
from gateway.domain.codec import body_of
from gateway.domain.events import TransactionEnergyChanged
from tests.app.running import running, settings, until
from tests.endtoend.gateway_process import development_certificates


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    folder = tmp_path / "certificates"
    development_certificates(folder)
    return folder


async def test_a_gateway_settles_what_has_ended(
    tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some seconds later; what its disk could not keep then, once the disk is well again, and once."""
    monkeypatch.setattr(settlement, "ROUND_SECONDS", 0.02)
    monkeypatch.setattr(settlement, "SETTLE_AFTER", timedelta(days=1))
    times = [(utc_now() + timedelta(seconds=n)).isoformat() for n in (-60, 0)]
    start = {"connectorId": 1, "idTag": "T", "meterStart": 1000, "timestamp": times[0]}
    given = settings(tmp_path, certificates)
    async with running(given) as serving:
        charger = await serving.booted()
        number = (await charger.call("StartTransaction", start))["transactionId"]
        stop = {"transactionId": number, "meterStop": 1100, "timestamp": times[1]}
        assert await charger.call("StopTransaction", stop) == {}
        assert serving.bodies("transaction.energy_changed") == []
        serving.disk.failing = True
        monkeypatch.setattr(settlement, "SETTLE_AFTER", timedelta())
        await until(lambda: not serving.gateway.journal.healthy)
        serving.disk.failing = False
        await serving.gateway.journal.wait_healthy()
        await until(lambda: serving.bodies("transaction.energy_changed"))
        (event,) = serving.bodies("transaction.energy_changed")
        body = body_of(event)
        assert isinstance(body, TransactionEnergyChanged)
        assert (body.revision, body.mwh, body.why, body.quiet_seconds) == (1, 100_000, "stopped", 600)

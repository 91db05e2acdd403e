"""The secrets of scenarios: each scenario of this folder is searched for them when it ends (``conftest``), and these
show that the search finds what is there, and that secrets are sent on every path."""

import json
from pathlib import Path

import pytest
from trio.testing import MockClock

from gateway.domain.commands import ChangeConfiguration, ConfigurationAnswer, DataTransfer, GetConfiguration
from tests.support.harness import Harness
from tests.support.secret_search import LOCATION, MARK, UPLOAD, SearchedHarness
from tests.support.station import ACCEPTED, booted

CONFIGURATION = {
    "configurationKey": [
        {"key": "StationPassword", "readonly": False, "value": MARK},
        {"key": "WifiPSK", "readonly": False, "value": MARK},
        {"key": "adminpin", "readonly": False, "value": MARK},
        {"key": "BackendUrl", "readonly": False, "value": LOCATION},
        {"key": "UploadUrl", "readonly": False, "value": UPLOAD},
    ]
}


async def test_configuration_and_vendors_data(harness: Harness, autojump_clock: MockClock) -> None:
    """Values of keys whose names say so, of JSON within JSON, and what a charger repeats of them."""
    async with booted(harness) as station:
        for key, value in (("StationPassword", MARK), ("ftp_password", MARK), ("BackendUrl", LOCATION)):
            await station.obeys(ChangeConfiguration(key, value), {"key": key, "value": value}, ACCEPTED)
        answer = await station.obeys(GetConfiguration(), {}, CONFIGURATION)
        assert isinstance(answer, ConfigurationAnswer)
        data = json.dumps({"wifi": {"psk": MARK}})
        sent = {"vendorId": "V", "data": data}
        await station.obeys(DataTransfer("V", None, data), sent, {"status": "Accepted", "data": f"psk={MARK}"})
        await station.says("DataTransfer", vendorId="V", messageId="WifiPassword", data=MARK)
        await station.status(1, "Faulted", "OtherError", info=f"password={MARK}", vendorErrorCode=f"pin:{MARK}")
    assert isinstance(harness, SearchedHarness)
    assert harness.secrets() == {MARK.encode()}


@pytest.mark.parametrize("place", ["events", "reprs", "gateway.db-wal", "frames", "logs"])
async def test_the_search_finds_what_is_there(tmp_path: Path, autojump_clock: MockClock, place: str) -> None:
    """In each place: what says of itself nothing that would hide it, as a line of the log would not."""
    harness = SearchedHarness(tmp_path)
    async with booted(harness) as station:
        assert harness.secrets() == set()
        await station.says("DataTransfer", vendorId="V", data=f"it is {MARK}")
        harness.logged.append({"event": MARK})
    assert harness.secrets() == {MARK.encode()}
    assert place in harness.found()
    harness.store.close()

"""A fleet from a file, as an operator imports it; its chargers come with the keys that they have."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.endtoend.asking import in_thread
from tests.endtoend.charger import chargers
from tests.endtoend.gateway_process import Gateway
from tests.endtoend.wire import Refused, Wire

FLEET = (
    "\ufeffidentity,key_hex,key_text,registration,description\r\n"
    "CP1,00ff3a0d0a6b657920696e20627974657300,,,garage\r\n"
    'CP2,,"a password, with a comma",pending,\r\n'
)


def gateway_command(gateway: Gateway, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does."""
    target = f"127.0.0.1:{gateway.control_port}"
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments, "--target", target], capture_output=True, text=True, timeout=60
    )


async def test_chargers_of_an_imported_fleet_connect_with_the_keys_that_they_have(
    gateway: Gateway, tmp_path: Path
) -> None:
    """Bytes and text; with a byte order mark and Windows' line ends."""
    file = tmp_path / "fleet.csv"
    file.write_text(FLEET, encoding="utf-8", newline="")
    rehearsed = await in_thread(gateway_command, gateway, "chargers", "import", str(file), "--dry-run")
    assert rehearsed.stdout == "2 chargers could be imported; nothing was changed\n", rehearsed.stderr
    done = await in_thread(gateway_command, gateway, "chargers", "import", str(file))
    assert (done.returncode, done.stdout) == (0, "2 chargers imported\n"), done.stderr
    keys = (bytes.fromhex("00ff3a0d0a6b657920696e20627974657300"), b"a password, with a comma")
    async with chargers(gateway, "CP1", "CP2", keys=keys, boot=False) as (first, second):
        assert (await first.boot())["status"] == "Accepted"
        assert (await second.boot())["status"] == "Pending"
    with pytest.raises(Refused):
        await Wire.open(gateway, "CP1", key=keys[1])
    again = await in_thread(gateway_command, gateway, "chargers", "import", str(file))
    assert again.returncode == 1
    assert again.stderr.splitlines() == [
        "error: nothing was imported: 2 lines are wrong",
        "  line 2: identity: is taken by a charge point that is known already",
        "  line 3: identity: is taken by a charge point that is known already",
    ]
    log = gateway.log.read_text()
    assert "password, with" not in log
    assert keys[0].hex() not in log

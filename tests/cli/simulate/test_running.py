"""`gateway simulate` and `gateway replay` on a central system: what is said to it, what is shown, how they end."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.cli.simulate.central_system import central_system
from tests.simulator.central import Central

pytestmark = pytest.mark.usefixtures("default_interrupts")


@pytest.fixture
def default_interrupts() -> None:
    """Ctrl-C is for this process, as in a shell."""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def interrupt() -> None:
    """Press Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


def after(action: str, times: int = 1, **fields: object) -> Callable[[Central], object]:
    """Press Ctrl-C when the central system has heard this."""

    async def script(central: Central) -> None:
        await central.heard(action, times, **fields)
        interrupt()

    return script


def test_a_charger_that_is_plugged_in_waits_for_a_remote_start(run, tmp_path: Path):
    """Each step is shown on a line; Ctrl-C is its ordinary end."""
    with central_system(tmp_path, after("StatusNotification", status="Preparing")) as place:
        result = run("simulate", *place.options, "--identity", "HOME-1", "--plugged", "--speed", 1000)
    assert result.exit_code == 0, result.output
    assert "1 simulated; Ctrl-C ends" in result.stderr
    assert "interrupted" in result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert {line[0] for line in lines} == {"HOME-1"}
    assert "link_up" in [line[1] for line in lines]
    assert place.central.having("StartTransaction") == []
    assert place.central.headers[0][b"authorization"].startswith(b"Basic ")


def test_several_are_announced_once_all_are_connected(run, tmp_path: Path):
    """Not each of them: thousands would scroll by."""
    with central_system(tmp_path, after("BootNotification", times=2)) as place:
        result = run("simulate", *place.options, "--count", 2, "--spread", 0)
    assert result.exit_code == 0, result.output
    assert result.stdout == "all 2 are connected\n"


def test_events_are_printed_as_json(run, tmp_path: Path):
    """One object a line, and no other word on standard output."""
    with central_system(tmp_path, after("BootNotification")) as place:
        result = run("simulate", *place.options, "--identity", "HOME-1", "--json")
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert {each["identity"] for each in found} == {"HOME-1"}
    assert "link_up" in [each["event"] for each in found]
    assert "simulated" not in result.stderr


# --- replay -------------------------------------------------------------------------------------------------------

BOOT = {"chargePointVendor": "A", "chargePointModel": "B"}
DIALOGUE = (
    ("connected", "192.0.2.7 port 5, TLSv1.3"),
    ("received", json.dumps([2, "1", "BootNotification", BOOT])),
    ("sent", '[3,"1",{"status":"Pending","currentTime":"2024-05-01T10:00:00Z","interval":300}]'),
    ("received", '[2,"2","Heartbeat",{}]'),
    ("sent", '[3,"2",{"currentTime":"2024-05-01T10:00:01Z"}]'),
    ("received", '[2,"3","DataTransfer",{"vendorId":"V"}]'),
)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A dialogue as `gateway tap --output` writes it."""
    path = tmp_path / "tap.jsonl"
    path.write_text("".join(json.dumps({"kind": kind, "text": text}) + "\n" for kind, text in DIALOGUE))
    return path


async def refuse_data(central: Central) -> None:
    """Answer DataTransfer with a CALLERROR."""
    central.replies["DataTransfer"] = lambda _: ("NotSupported", "no vendor")


def test_a_recording_is_played_and_the_answers_are_compared(run, tmp_path: Path, recording: Path):
    """In its order; the answer that differs stands beside the recorded one, a refusal in its own words."""
    with central_system(tmp_path, refuse_data) as place:
        result = run("replay", recording, *place.options)
    assert result.exit_code == 0, result.output
    assert place.central.actions() == ["BootNotification", "Heartbeat", "DataTransfer"]
    boot, heartbeat, data = result.stdout.splitlines()
    assert boot.split()[:3] == ["BootNotification", '{"status":', '"Accepted",']
    assert '(recorded: {"status": "Pending"' in boot
    assert heartbeat.startswith("Heartbeat")
    assert "recorded" not in heartbeat
    assert "no vendor" in data
    assert "3 messages, 1 answered otherwise than in the recording" in result.stderr


def test_a_playback_is_printed_as_json(run, tmp_path: Path, recording: Path):
    """One object a message, with both answers."""
    with central_system(tmp_path, refuse_data) as place:
        result = run("replay", recording, *place.options, "--json")
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(each["action"], each["differs"]) for each in found] == [
        ("BootNotification", True),
        ("Heartbeat", False),
        ("DataTransfer", False),
    ]
    assert found[0]["recorded"]["status"] == "Pending"
    assert found[0]["answered"]["status"] == "Accepted"
    assert result.stderr == ""


def test_a_playback_that_is_interrupted_is_no_whole_one(run, tmp_path: Path, recording: Path):
    """A comparison that ended early is not said to have found nothing."""

    async def silent(central: Central) -> None:
        central.replies["Heartbeat"] = lambda _: None
        await central.heard("Heartbeat")
        interrupt()

    with central_system(tmp_path, silent) as place:
        result = run("replay", recording, *place.options)
    assert result.exit_code == 130
    assert "1 of 3 messages" in result.stderr
    assert "1 answered otherwise" in result.stderr


def test_a_gateway_that_is_not_trusted_hears_nothing(run, tmp_path: Path, recording: Path):
    """Without --ca; the reason is shown."""

    async def nothing(central: Central) -> None:
        await trio.lowlevel.checkpoint()

    with central_system(tmp_path, nothing) as place:
        result = run("replay", recording, "--url", place.url, "--key-text", "0123456789abcdef")
    assert result.exit_code == 1
    assert "certificate verify failed" in result.stderr.lower()
    assert place.central.headers == []

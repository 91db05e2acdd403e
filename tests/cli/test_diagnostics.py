"""`gateway refused`, `frames`, `deviations`, `latencies`: what is asked of the gateway, what is shown of its answer."""

import json
import re
from pathlib import Path

import grpc

from gateway.api.v1 import diagnostics_pb2 as api
from gateway.cli import diagnostics
from gateway.cli.diagnostics import MEANINGS
from gateway.framing.http_answers import REFUSAL_REASONS
from tests.cli.fakes import Failure, at

WRONG_KEY = api.RefusedConnection(
    charge_point="HOME-1",
    address="192.0.2.7",
    listener="chargers",
    stage=api.CONNECTION_STAGE_ADMISSION,
    reason="wrong_password",
    http_status=401,
    count=42,
    first_seen_time=at("2024-05-01T10:00:00Z"),
    last_seen_time=at("2024-05-01T11:00:00Z"),
)
SCAN = api.RefusedConnection(
    address="198.51.100.9",
    stage=api.CONNECTION_STAGE_TLS,
    reason="a-new-alert",
    count=1,
    last_seen_time=at("2024-05-01T12:00:00Z"),
)
FRAMES = api.ListFramesResponse(
    frames=[
        api.Frame(frame_time=at("2024-05-01T10:00:00Z"), kind=3, text="192.0.2.7 port 5, TLSv1.3"),
        api.Frame(frame_time=at("2024-05-01T10:00:01.250Z"), kind=1, text='[2,"1","Heartbeat",{}]', size_bytes=22),
        api.Frame(
            frame_time=at("2024-05-01T10:00:02Z"), kind=2, text='[3,"1",{' + "x" * 500, size_bytes=5000, cut=True
        ),
        api.Frame(frame_time=at("2024-05-01T10:00:03Z"), kind=4, text="by the charger: 1000"),
    ]
)
DEVIATION = api.Deviation(
    deviation="spelling", vendor="Hearth", model="W22", firmware_version="1.4", count=3, last_charge_point="HOME-1"
)


def test_refused_connections_are_listed_with_what_to_do_the_last_first(fake, run):
    """All pages, with what a reason means where that is known."""
    fake.answers["ListRefusedConnections"] = [
        api.ListRefusedConnectionsResponse(refused_connections=[WRONG_KEY], next_page_token="more"),
        api.ListRefusedConnectionsResponse(refused_connections=[SCAN]),
    ]
    result = run("refused", "--charger", "HOME-1", "--address", "192.0.2.7")
    assert result.exit_code == 0, result.output
    _, first, second, *_ = result.stdout.splitlines()
    for part in ("198.51.100.9", "a-new-alert", "tls", "2024-05-01 12:00:00"):
        assert part in first
    for part in ("HOME-1", "192.0.2.7", "42", "admission", "401", "wrong_password", MEANINGS["wrong_password"][:20]):
        assert part in second
    asked = fake.asked("ListRefusedConnections")[0]
    assert (asked.charge_point, asked.address) == ("HOME-1", "192.0.2.7")


def test_every_reason_of_the_gateway_s_own_has_a_meaning():
    """So that a new refusal does not leave an operator with a word. (TLS alerts are OpenSSL's words, and many.)"""
    package = Path(diagnostics.__file__).parent.parent
    reported = re.compile(
        r"(?:Rejection\(\d+|unauthorized\(|_later\(|_refused\(.*|HandshakeFailed\(\"http\"|Fault\()"
        r"(?:, )?\"(\w[\w-]+)\""
    )
    reasons = set()
    for name in ("chargers/admission.py", "domain/identity.py", "transport/authentication.py", "transport/listener.py"):
        reasons |= set(reported.findall((package / name).read_text()))
    reasons |= set(re.findall(r'_refused\([^"]*"(\w+)"\)', (package / "framing/websocket.py").read_text()))
    reasons |= set(REFUSAL_REASONS.values())
    assert {"wrong_password", "unknown_identity", "at_capacity", "identity_missing", "head_too_long"} <= reasons
    assert reasons <= MEANINGS.keys()


def test_a_limit_shows_the_last_ones_and_says_so(fake, run):
    """Of those seen, not of those first listed."""
    fake.answers["ListRefusedConnections"] = api.ListRefusedConnectionsResponse(refused_connections=[WRONG_KEY, SCAN])
    result = run("refused", "--limit", 1)
    assert "198.51.100.9" in result.stdout
    assert "HOME-1" not in result.stdout
    assert "the last 1 of 2" in result.stderr


def test_refusals_as_json_have_the_apis_own_names(fake, run):
    """For machines."""
    fake.answers["ListRefusedConnections"] = api.ListRefusedConnectionsResponse(refused_connections=[WRONG_KEY])
    (shown,) = json.loads(run("refused", "--json").stdout)
    assert (shown["http_status"], shown["stage"], shown["count"]) == (401, "CONNECTION_STAGE_ADMISSION", "42")


def test_frames_are_lines_with_time_and_direction(fake, run):
    """Whole, however long; the connection's beginning and end among them."""
    fake.answers["ListFrames"] = FRAMES
    result = run("frames", "HOME-1")
    assert result.exit_code == 0, result.output
    connected, received, sent, closed = result.stdout.splitlines()
    assert connected == "2024-05-01 10:00:00.000 + connected from 192.0.2.7 port 5, TLSv1.3"
    assert received == '2024-05-01 10:00:01.250 → [2,"1","Heartbeat",{}]'
    assert sent.startswith('2024-05-01 10:00:02.000 ← [3,"1",{xxx')
    assert sent.endswith("xxx … cut, 5000 bytes in all")
    assert closed == "2024-05-01 10:00:03.000 × closed by the charger: 1000"
    assert fake.asked("ListFrames")[0].charge_point == "HOME-1"


def test_the_last_frames_only_and_as_json(fake, run):
    """As with other lists."""
    fake.answers["ListFrames"] = FRAMES
    assert len(run("frames", "HOME-1", "--limit", 2).stdout.splitlines()) == 2
    shown = json.loads(run("frames", "HOME-1", "--json").stdout)
    assert shown[1]["kind"] == "FRAME_KIND_RECEIVED"
    assert shown[2]["cut"] is True


def test_frames_can_not_move_the_cursor(fake, run):
    """Frames of a charger are shown as text, markup included."""
    evil = api.Frame(kind=1, text="\x1b[2J[bold red]x[/]\r\n")
    fake.answers["ListFrames"] = api.ListFramesResponse(frames=[evil])
    shown = run("frames", "EVIL").stdout
    assert "\x1b" not in shown
    assert "\\x1b[2J[bold red]x[/]\\x0d\\x0a" in shown


def test_no_frames_and_an_error_are_distinguished(fake, run):
    """One is a hint on standard error, the other ends the command."""
    result = run("frames", "HOME-1")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "none are kept" in result.stderr
    fake.answers["ListFrames"] = Failure(
        grpc.StatusCode.NOT_FOUND, "there is no charge point X", "UNKNOWN_CHARGE_POINT"
    )
    result = run("frames", "X")
    assert result.exit_code == 4
    assert result.stderr == "error: there is no charge point X [UNKNOWN_CHARGE_POINT]\n"


def test_deviations_are_listed_the_most_frequent_first(fake, run):
    """By make and firmware."""
    rare = api.Deviation(deviation="null-field", vendor="Other", count=1)
    fake.answers["ListDeviations"] = api.ListDeviationsResponse(deviations=[rare, DEVIATION])
    result = run("deviations", "--vendor", "Hearth", "--model", "W22", "--firmware", "1.4")
    assert result.exit_code == 0, result.output
    _, first, second, *_ = result.stdout.splitlines()
    for part in ("spelling", "Hearth", "W22", "1.4", "3", "HOME-1"):
        assert part in first
    assert "null-field" in second
    (asked,) = fake.asked("ListDeviations")
    assert (asked.vendor, asked.model, asked.firmware_version) == ("Hearth", "W22", "1.4")
    fake.answers["ListDeviations"] = api.ListDeviationsResponse(deviations=[rare, DEVIATION])
    (shown,) = json.loads(run("deviations", "--json", "--limit", 1).stdout)
    assert shown["deviation"] == "spelling"


def test_latencies_are_listed_the_slowest_first(fake, run):
    """By make and firmware, in units that fit."""
    slow = api.Latency(
        kind=api.LATENCY_KIND_CALL, action="Reset", vendor="Hearth", model="W22", firmware_version="1.4", count=3
    )
    slow.mean_duration.FromMilliseconds(2500)
    slow.median_duration.FromMilliseconds(999)
    slow.p99_duration.FromMilliseconds(40_000)
    quick = api.Latency(kind=api.LATENCY_KIND_ANSWER, action="Heartbeat", count=100)
    quick.p99_duration.FromMicroseconds(1250)
    fake.answers["ListLatencies"] = api.ListLatenciesResponse(latencies=[quick, slow])
    named = ("--vendor", "Hearth", "--model", "W22", "--firmware", "1.4", "--action", "Reset")
    result = run("latencies", *named)
    assert result.exit_code == 0, result.output
    _, first, second, *_ = result.stdout.splitlines()
    for part in ("of charger", "Reset", "Hearth", "W22", "1.4", "2.5 s", "999 ms", "40 s"):
        assert part in first
    for part in ("to charger", "Heartbeat", "1.25 ms"):
        assert part in second
    (asked,) = fake.asked("ListLatencies")
    assert (asked.vendor, asked.model, asked.firmware_version, asked.action) == ("Hearth", "W22", "1.4", "Reset")
    fake.answers["ListLatencies"] = api.ListLatenciesResponse(latencies=[quick, slow])
    result = run("latencies", "--json", "--limit", 1)
    assert [each["action"] for each in json.loads(result.stdout)] == ["Reset"]
    fake.answers["ListLatencies"] = api.ListLatenciesResponse(latencies=[quick, slow])
    assert "the 1 slowest of 2" in run("latencies", "--limit", 1).stderr
    fake.answers["ListLatencies"] = api.ListLatenciesResponse()
    assert "none since the gateway started" in run("latencies").output


def test_chargers_that_come_and_go_are_shown(fake, run):
    """With their connects, and for how long each is kept out."""
    entry = api.Flapping(charge_point="HOME-1", connect_count=21, since_time=at("2024-05-01T10:00:00Z"))
    entry.kept_out_duration.FromSeconds(30)
    fake.answers["ListFlapping"] = api.ListFlappingResponse(flapping=[entry], total_count=1)
    line = run("flapping").stdout.splitlines()[1]
    for part in ("HOME-1", "21", "2024-05-01 10:00:00", "30 s"):
        assert part in line
    assert json.loads(run("flapping", "--json").stdout)[0]["charge_point"] == "HOME-1"

"""`gateway tap` and `gateway replay`: what is asked, what is shown and what is written."""

import json
import socket
import ssl
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.api.v1 import diagnostics_pb2 as api
from tests.cli.fakes import at
from tests.endtoend.gateway_process import development_certificates

FRAMES = [
    api.Frame(frame_time=at("2024-05-01T10:00:00Z"), kind=3, text="192.0.2.7 port 5, TLSv1.3"),
    api.Frame(frame_time=at("2024-05-01T10:00:01.250Z"), kind=1, text='[2,"1","Heartbeat",{}]', size_bytes=22),
    api.Frame(frame_time=at("2024-05-01T10:00:02Z"), kind=2, text='[3,"1",{}]', size_bytes=10),
]
RESPONSES = [
    api.TapChargePointResponse(),
    api.TapChargePointResponse(frames=FRAMES[:2]),
    api.TapChargePointResponse(frames=FRAMES[2:], missing_count=4),
]


def test_frames_are_shown_as_they_come(fake, run):
    """In both directions, and where some are missing."""
    fake.answers["TapChargePoint"] = RESPONSES
    result = run("tap", "CP1")
    assert result.exit_code == 0, result.output
    assert fake.asked("TapChargePoint")[-1].charge_point == "CP1"
    lines = result.stdout.splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == [
        "+ connected from 192.0.2.7 port 5, TLSv1.3",
        '→ [2,"1","Heartbeat",{}]',
        '← [3,"1",{}]',
    ]
    assert "tapping CP1" in result.stderr
    assert "4 frames missing" in result.stderr


def test_frames_are_printed_as_json(fake, run):
    """One object a line."""
    fake.answers["TapChargePoint"] = RESPONSES
    found = [json.loads(line) for line in run("tap", "CP1", "--json").stdout.splitlines()]
    assert [each["text"] for each in found] == [each.text for each in FRAMES]


def test_what_is_tapped_into_a_file_is_the_owners_alone_and_overwrites_nothing(fake, run, tmp_path: Path):
    """`gateway replay` reads it."""
    fake.answers["TapChargePoint"] = RESPONSES
    path = tmp_path / "tap.jsonl"
    result = run("tap", "CP1", "--output", path)
    assert result.exit_code == 0, result.output
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [each["kind"] for each in lines] == ["connected", "received", "sent"]
    assert lines[1]["text"] == '[2,"1","Heartbeat",{}]'
    assert f"3 frames in {path}" in " ".join(result.stderr.split())
    before = path.read_bytes()
    assert run("tap", "CP1", "--output", path).exit_code != 0
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), (b"{}", "line 1: expected an object"), (b"\xff", "not UTF-8")],
)
def test_a_file_that_can_not_be_played_is_named(run, tmp_path: Path, content: bytes | None, said: str):
    """Before anything is connected."""
    path = tmp_path / "tap.jsonl"
    if content is not None:
        path.write_bytes(content)
    result = run("replay", path, "--key-text", "12345678")
    assert result.exit_code != 0
    assert said in result.stderr.replace("\n", " ")


def test_a_replay_needs_a_key_and_a_url_that_is_one(run, tmp_path: Path):
    """The charger that plays it must be known."""
    path = tmp_path / "tap.jsonl"
    path.write_text('{"kind": "received", "text": "x"}\n')
    assert run("replay", path).exit_code == 2
    assert run("replay", path, "--key-text", "12345678", "--url", "ws://h").exit_code == 2
    result = run("replay", path, "--key-text", "12345678", "--url", "wss://127.0.0.1:1/ocpp")
    assert result.exit_code == 1
    assert "wss://127.0.0.1:1/ocpp" in result.stderr.replace("\n", "")


@pytest.mark.parametrize(("trusting", "option"), [(False, "--ca"), (True, "--key")])
def test_a_gateway_that_can_not_be_played_to_names_the_option_to_look_at(
    run, tmp_path: Path, trusting: bool, option: str
):
    """As the simulator does: the CA, or the key."""
    path = tmp_path / "tap.jsonl"
    path.write_text('{"kind": "received", "text": "x"}\n')
    certificates = development_certificates(tmp_path / "certs")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "server-ecdsa.pem", certificates / "server-ecdsa.key")

    def refuse() -> None:
        with suppress(OSError):
            connection, _ = server.accept()
            with connection, context.wrap_socket(connection, server_side=True) as tls:
                tls.recv(4096)
                tls.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
                tls.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        refusing = threading.Thread(target=refuse)
        refusing.start()
        url = f"wss://localhost:{server.getsockname()[1]}/ocpp"
        trust = ("--ca", certificates / "ca.pem") if trusting else ()
        result = run("replay", path, "--key-text", "12345678", "--url", url, *trust)
        refusing.join(60)
    assert result.exit_code == 1
    assert result.stderr.replace("\n", "").strip().endswith(f"{option})"), result.stderr

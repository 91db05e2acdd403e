"""Marked secrets sent on every path: none is in the database, a log, an event, a record, an error or a frame."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from typer.testing import CliRunner

from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import diagnostics_pb2, diagnostics_pb2_grpc, operation_pb2, operation_pb2_grpc
from gateway.cli.main import app
from gateway.console.settings import ConsoleSettings
from tests.console.visitor import console
from tests.endtoend.asking import failure, in_thread
from tests.endtoend.charger import ErrorAnswer, chargers
from tests.endtoend.gateway_process import RPC_SECONDS, Gateway, MakeGateway, free_port
from tests.endtoend.watching import Watcher
from tests.support.charger_certificates import SigningAuthority, key_pem, pem
from tests.traces.collector import collecting

MARK = "hunter2hunter2"
"""In every secret that is sent; in nothing else."""

LOCATION = f"https://user:{MARK}@bucket.example/fw.bin;password={MARK}?X-Amz-Signature={MARK}&sig={MARK}#{MARK}"
READABLE = "bucket.example/fw.bin"

AUTHORITY = SigningAuthority(datetime.now(UTC))
SIGNER, KEY = pem(AUTHORITY.root), key_pem(AUTHORITY.key)

USE = commands.CertificateUse.CERTIFICATE_USE_CENTRAL_SYSTEM_ROOT_CERTIFICATE

CONFIGURATION = {
    "configurationKey": [
        {"key": "StationPassword", "readonly": False, "value": MARK},
        {"key": "WifiPSK", "readonly": False, "value": MARK},
        {"key": "adminpin", "readonly": False, "value": MARK},
        {"key": "BackendUrl", "readonly": False, "value": f"wss://cp:{MARK}@host/ocpp"},
        {"key": "WebSocketPingInterval", "readonly": False, "value": "30"},
    ]
}


def request_frames(gateway: Gateway) -> str:
    """The kept frames of the charger."""
    stub = diagnostics_pb2_grpc.DiagnosticsServiceStub(gateway.channel)
    return str(stub.ListFrames(diagnostics_pb2.ListFramesRequest(charge_point="CP1"), timeout=RPC_SECONDS))


def holds_a_secret(data: bytes) -> bool:
    """Return whether the mark, or a line of the private key that was pasted by mistake, is in it."""
    return MARK.encode() in data or KEY.splitlines()[1].encode() in data


def files_with_the_mark(gateway: Gateway) -> list[str]:
    """Of all that the gateway has made: the database, its log of writes, the log."""
    return [each.name for each in gateway.folder.rglob("*") if each.is_file() and holds_a_secret(each.read_bytes())]


def over_http(port: int, method: str, request: dict[str, Any]) -> str:
    """The answer to a call over HTTP and JSON."""
    body = json.dumps(request).encode()
    asked = Request(f"http://127.0.0.1:{port}/v1/{method}", body, {"content-type": "application/json"})
    with urlopen(asked, timeout=RPC_SECONDS) as answer:
        return bytes(answer.read()).decode()


def by_sse(port: int) -> str:
    """All events there are, as a browser reads them."""
    url = f"http://127.0.0.1:{port}/v1/EventService/WatchEvents?start_at=WATCH_START_BEGINNING"
    read: list[str] = []
    with urlopen(Request(url, headers={"accept": "text/event-stream"}), timeout=RPC_SECONDS) as stream:
        while not read or "chargePointDisconnected" not in read[-1]:
            read.append(stream.readline().decode())
    return "".join(read)


def on_pages(gateway: Gateway) -> str:
    """The console's pages, with what an operator finds on them."""
    listed = gateway.commands.ListCommands(commands.ListCommandsRequest(charge_point="CP1"), timeout=RPC_SECONDS)
    places = ["/", "/charge-points/CP1", "/operations", "/sessions"]
    own = [each.request_id for each in listed.commands if "/" not in each.request_id]
    places += [f"/charge-points/CP1/commands/{each}" for each in own]
    with console(ConsoleSettings(f"127.0.0.1:{gateway.control_port}")) as visitor:
        return "".join(visitor().get(each).text for each in places)


def of_command(gateway: Gateway, *arguments: str) -> str:
    """The output of a command of the command line."""
    target = {"GATEWAY_TARGET": f"127.0.0.1:{gateway.control_port}", "COLUMNS": "300"}
    return CliRunner().invoke(app, arguments, env=target).output


def other_ways_out(gateway: Gateway, http_port: int, tapped: Path) -> dict[str, str]:
    """All else that shows what the gateway has, with the words of each. Files that it makes are in the folder."""
    folder = gateway.folder / "exported"
    folder.mkdir()
    listing = {"chargePoint": "CP1"}
    today, config = datetime.now(UTC).date(), ("--config", str(gateway.config))
    days = ("--from", f"{today - timedelta(days=1)}", "--to", f"{today}")
    exported = of_command(gateway, "export", str(folder), *days, *config)
    return {
        "JSON: frames": over_http(http_port, "DiagnosticsService/ListFrames", listing),
        "JSON: commands": over_http(http_port, "CommandService/ListCommands", listing),
        "JSON: operations": over_http(http_port, "OperationService/ListOperations", listing),
        "JSON: charge point": over_http(http_port, "ChargePointService/GetChargePoint", {"identity": "CP1"}),
        "SSE": by_sse(http_port),
        "pages": on_pages(gateway),
        "gateway call": of_command(gateway, "call", "Command/ListCommands", json.dumps(listing)),
        "gateway doctor": of_command(gateway, "doctor", *config),
        "gateway export": exported + "".join(each.read_text() for each in sorted(folder.iterdir())),
        "gateway tap": tapped.read_text(),
    }


@contextmanager
def tapping(gateway: Gateway, file: Path) -> Iterator[None]:
    """`gateway tap` writes a file while the block runs."""
    target = f"127.0.0.1:{gateway.control_port}"
    arguments = [sys.executable, "-m", "gateway", "tap", "CP1", "--output", str(file), "--target", target]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as tap:
        assert tap.stderr is not None
        assert b"tapping" in tap.stderr.readline()
        try:
            yield
        finally:
            tap.send_signal(signal.SIGINT)
            tap.wait(RPC_SECONDS)


async def test_a_marked_secret_is_nowhere_to_be_found(make_gateway: MakeGateway) -> None:
    """By configuration keys, vendors' data both ways, locations, a charger's words and its echo in an error; looked for
    in all that the gateway answers, shows, traces and leaves, whichever way it is asked."""
    http_port = free_port()
    with collecting() as collector:
        gateway = make_gateway(
            http={"address": f"127.0.0.1:{http_port}"}, tracing={"endpoint": collector.endpoint, "sample_ratio": 1.0}
        )
        gateway.start()
        gateway.add_charge_point("CP1")
        tapped = gateway.folder / "tapped.jsonl"
        await secrets_on_every_path(gateway, tapped)
        assert {"gateway.db", "gateway.db-wal"} <= {each.name for each in gateway.folder.iterdir()}
        assert files_with_the_mark(gateway) == []
        found = await in_thread(other_ways_out, gateway, http_port, tapped)
        assert [way for way, words in found.items() if holds_a_secret(words.encode())] == []
        shows_nothing = [way for way, words in found.items() if "CP1" not in words and "(redacted)" not in words]
        assert shows_nothing == ["gateway doctor"]  # which is about the machine
        assert "certificates" in found["gateway doctor"]
        assert found["gateway tap"].count("(redacted)") > 10
        gateway.stop()
        spans = repr(collector.spans)
    assert "ChangeConfiguration" in spans
    assert not holds_a_secret(spans.encode())
    assert files_with_the_mark(gateway) == []


async def secrets_on_every_path(gateway: Gateway, tapped: Path) -> None:
    """They are sent, and looked for in all that its callers are answered. ``tapped``: the file of a tap."""
    answers = {
        "GetConfiguration": CONFIGURATION,
        "DataTransfer": {"status": "Accepted", "data": json.dumps({"access_token": MARK})},
        "GetDiagnostics": {"fileName": f"ftp://user:{MARK}@host/log.zip"},
        "UpdateFirmware": {},
        "GetLog": {"status": "Accepted", "filename": f"ftp://user:{MARK}@host/log.zip"},
        "SignedUpdateFirmware": {"status": "Accepted"},
    }
    shown: list[str] = []
    async with AsyncExitStack() as stack:
        (charger,) = await stack.enter_async_context(chargers(gateway, "CP1", answers=answers))
        tap = tapping(gateway, tapped)
        await in_thread(tap.__enter__)
        stack.push_async_callback(in_thread, tap.__exit__, None, None, None)

        async def ask(call: Any, request: Any) -> None:
            request.charge_point, request.request_id = "CP1", f"r{len(shown)}"
            shown.append(str(await in_thread(lambda: call(request, timeout=RPC_SECONDS))))

        stub = gateway.commands
        for key in ("StationPassword", "WifiPSK", "basic_auth_password", "ApiToken"):
            await ask(stub.ChangeConfiguration, commands.ChangeConfigurationRequest(key=key, value=MARK))
        url = commands.ChangeConfigurationRequest(key="BackendUrl", value=f"wss://cp:{MARK}@host/ocpp")
        await ask(stub.ChangeConfiguration, url)
        await ask(stub.GetConfiguration, commands.GetConfigurationRequest())
        for data, message_id in [(json.dumps({"wifi": {"psk": MARK}}), None), (MARK, "SetPassword")]:
            transfer = commands.DataTransferRequest(vendor_id="V", data=data)
            if message_id is not None:
                transfer.message_id = message_id
            await ask(stub.DataTransfer, transfer)
        await ask(stub.GetDiagnostics, commands.GetDiagnosticsRequest(location=LOCATION))
        retrieve = Timestamp()
        retrieve.FromDatetime(datetime.now(UTC))
        await ask(stub.UpdateFirmware, commands.UpdateFirmwareRequest(location=LOCATION, retrieve_time=retrieve))
        await ask(
            stub.GetLog, commands.GetLogRequest(location=LOCATION, log_type=commands.LogType.LOG_TYPE_SECURITY_LOG)
        )
        signed: dict[str, Any] = {
            "location": LOCATION,
            "retrieve_time": retrieve,
            "signing_certificate": SIGNER,
            "signature": "c2ln",
        }
        await ask(stub.SignedUpdateFirmware, commands.SignedUpdateFirmwareRequest(**signed))
        operations = operation_pb2_grpc.OperationServiceStub(gateway.channel)
        await ask(
            operations.UploadLog,
            operation_pb2.UploadLogRequest(location=LOCATION, log_type=commands.LogType.LOG_TYPE_SECURITY_LOG),
        )
        await ask(operations.InstallFirmware, operation_pb2.InstallFirmwareRequest(**signed))
        pasted = commands.InstallCertificateRequest(
            charge_point="CP1", request_id="pasted", certificate_use=USE, certificate=SIGNER + KEY
        )
        code, _, metadata = await in_thread(
            lambda: failure(lambda: stub.InstallCertificate(pasted, timeout=RPC_SECONDS))
        )
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        shown.append(str(metadata))

        for sent in ({"StationPassword": MARK}, json.dumps({"pin": MARK}), f"ssid=home;psk={MARK}"):
            await charger.call("DataTransfer", {"vendorId": "V", "data": sent})
        await charger.call("DataTransfer", {"vendorId": "V", "messageId": "WifiPassword", "data": MARK})
        status = {"connectorId": 1, "status": "Faulted", "errorCode": "OtherError", "info": f"password={MARK}"}
        await charger.call("StatusNotification", status | {"vendorErrorCode": f"pin:{MARK}"})
        event = {"type": "SettingSystemTime", "timestamp": "2026-01-01T00:00:00Z", "techInfo": f"WifiPSK: {MARK}"}
        await charger.call("SecurityEventNotification", event)

        charger.answers["ChangeConfiguration"] = ErrorAnswer("GenericError", f"can't set {MARK}", {"value": MARK})
        change = commands.ChangeConfigurationRequest(
            charge_point="CP1", request_id="refused", key="StationPassword", value=MARK
        )
        code, reason, metadata = await in_thread(
            lambda: failure(lambda: stub.ChangeConfiguration(change, timeout=RPC_SECONDS))
        )
        assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "GenericError")
        shown.append(str(metadata))
        await charger.wire.send('[2,"x","DataTransfer",{"vendorId":"V","data":{"password":"' + MARK + '"}')
        await charger.call("Heartbeat", {})
        shown.append(await in_thread(request_frames, gateway))

    with Watcher(gateway) as watcher:
        ended = "charge_point.disconnected"
        await in_thread(watcher.wait_for, "its end", lambda found: any(each.type == ended for each in found))
        shown.append(str(watcher.events))
    everything = "\n".join(shown)
    assert MARK not in everything
    assert KEY.splitlines()[1] not in everything
    assert READABLE in everything
    assert 'value: "30"' in everything
    assert everything.count("(redacted)") > 20

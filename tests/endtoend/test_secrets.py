"""Marked secrets sent on every path: none is in the database, a log, an event, a record, an error or a frame."""

import json
from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import diagnostics_pb2, diagnostics_pb2_grpc
from tests.endtoend.asking import failure, in_thread
from tests.endtoend.charger import ErrorAnswer, chargers
from tests.endtoend.gateway_process import RPC_SECONDS, Gateway
from tests.endtoend.watching import Watcher

MARK = "hunter2hunter2"
"""In every secret that is sent; in nothing else."""

LOCATION = f"https://user:{MARK}@bucket.example/fw.bin;password={MARK}?X-Amz-Signature={MARK}&sig={MARK}#{MARK}"
READABLE = "bucket.example/fw.bin"

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


async def test_a_marked_secret_is_nowhere_to_be_found(gateway: Gateway) -> None:
    """By configuration keys, vendors' data both ways, locations, a charger's words and its echo in an error."""
    gateway.add_charge_point("CP1")
    answers = {
        "GetConfiguration": CONFIGURATION,
        "DataTransfer": {"status": "Accepted", "data": json.dumps({"access_token": MARK})},
        "GetDiagnostics": {"fileName": f"ftp://user:{MARK}@host/log.zip"},
        "UpdateFirmware": {},
    }
    shown: list[str] = []
    async with chargers(gateway, "CP1", answers=answers) as (charger,):

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
    assert READABLE in everything
    assert 'value: "30"' in everything
    assert everything.count("(redacted)") > 20
    gateway.stop()
    for file in gateway.folder.iterdir():
        if file.is_file():
            assert MARK.encode() not in file.read_bytes(), file.name

"""Every RPC has a command: one table, held against the contract and the command line."""

import re
from pathlib import Path

import pytest
import typer

from gateway.cli.call import methods
from gateway.cli.root import app

SOURCE = "\n".join(
    path.read_text(encoding="utf-8") for path in (Path(__file__).parents[2] / "gateway" / "cli").rglob("*.py")
)

COMMANDS = {
    "Audit/ListAudit": "audit",
    "Caller/CreateCaller": "callers add",
    "Caller/ListCallers": "callers list",
    "Caller/RevokeCaller": "callers revoke",
    "ChargePoint/CountChargePoints": "chargers count",
    "ChargePoint/CreateChargePoint": "chargers add",
    "ChargePoint/DeleteChargePoint": "chargers remove",
    "ChargePoint/DisconnectChargePoint": "chargers disconnect",
    "ChargePoint/GetChargePoint": "chargers show",
    "ChargePoint/GetLatestReadings": "call",  # chargers readings shows the same of all
    "ChargePoint/ImportChargePoints": "chargers import",
    "ChargePoint/ListChargePoints": "chargers list",
    "ChargePoint/StreamLatestReadings": "chargers readings",
    "ChargePoint/UpdateChargePoint": "chargers update",
    "Command/CancelReservation": "cancel-reservation",
    "Command/CertificateSigned": "certificates assign",
    "Command/ChangeAvailability": "availability",
    "Command/ChangeConfiguration": "config set",
    "Command/ClearCache": "clear-cache",
    "Command/ClearChargingProfile": "limit",
    "Command/DataTransfer": "call",  # each vendor has its own
    "Command/DeleteCertificate": "certificates delete",
    "Command/ExtendedTriggerMessage": "trigger",
    "Command/GetCommand": "commands show",
    "Command/GetCompositeSchedule": "schedule",
    "Command/GetConfiguration": "config get",
    "Command/GetDiagnostics": "diagnostics",
    "Command/GetInstalledCertificateIds": "certificates installed",
    "Command/GetLocalListVersion": "local-list version",
    "Command/GetLog": "call",  # log has the operation that sends it, and waits
    "Command/InstallCertificate": "certificates install",
    "Command/ListCommands": "commands list",
    "Command/RemoteStartTransaction": "start",
    "Command/RemoteStopTransaction": "stop",
    "Command/ReserveNow": "reserve",
    "Command/Reset": "reset",
    "Command/SendLocalList": "local-list send",
    "Command/SetChargingProfile": "limit",
    "Command/SignedUpdateFirmware": "call",  # firmware has the operation that sends it, and waits
    "Command/TriggerMessage": "trigger",
    "Command/UnlockConnector": "unlock",
    "Command/UpdateFirmware": "call",  # likewise
    "Diagnostics/ListDeviations": "deviations",
    "Diagnostics/ListFrames": "frames",
    "Diagnostics/ListRefusedConnections": "refused",
    "Diagnostics/ListLatencies": "latencies",
    "Diagnostics/ListFlapping": "flapping",
    "Diagnostics/GetGatewayStatus": "status",
    "Diagnostics/GetLogLevels": "log-level",
    "Diagnostics/SetLogLevel": "log-level",
    "Diagnostics/TapChargePoint": "tap",
    "Energy/ComputeCost": "transactions cost",
    "Energy/EstimateCompletion": "transactions estimate",
    "Energy/ListTransactionEnergy": "transactions energy",
    "Event/WatchEvents": "watch",
    "Event/WatchMeterValues": "meters",
    "Fleet/CancelFleetJob": "fleet cancel",
    "Fleet/GetFleetJob": "fleet show",
    "Fleet/GetFleetSummary": "fleet summary",
    "Fleet/ListFleetJobItems": "fleet items",
    "Fleet/ListFleetJobs": "fleet list",
    "Fleet/RenewCertificates": "fleet renew-certificates",
    "Fleet/RollOutFirmware": "fleet install-firmware",
    "Fleet/RotateAuthorizationKeys": "fleet rotate-keys",
    "Fleet/WatchFleetJob": "fleet watch",
    "Fleet/WatchFleetSummary": "call",  # top shows the same from its own lists
    "IdTag/CheckIdTag": "start",
    "IdTag/CreateIdTag": "tags add",
    "IdTag/DeleteIdTag": "tags remove",
    "IdTag/GetIdTag": "tags show",
    "IdTag/ListIdTags": "tags list",
    "IdTag/UpdateIdTag": "tags update",
    "Operation/GetOperation": "charge show",
    "Operation/InstallFirmware": "firmware",
    "Operation/LimitCharging": "charge limit",
    "Operation/ListOperations": "charge list",
    "Operation/PauseCharging": "charge pause",
    "Operation/RenewCertificate": "certificates renew",
    "Operation/ResumeCharging": "charge resume",
    "Operation/RotateAuthorizationKey": "chargers rotate-key",
    "Operation/StartCharging": "charge start",
    "Operation/StopCharging": "charge stop",
    "Operation/UpgradeSecurityProfile": "chargers upgrade-profile",
    "Operation/UploadLog": "log",
    "Operation/WatchOperation": "charge start",
    "Retention/ConfirmClock": "retention confirm",
    "Retention/GetRetention": "retention show",
    "Server/Drain": "drain",
    "Server/GetServerInfo": "info",
    "Server/ListNodes": "nodes",
    "Server/WatchDrain": "drain",
    "Signing/SignCertificates": "certs sign",
    "Steering/ClearPlan": "plan clear",
    "Steering/GetSteering": "plan show",
    "Steering/LiftWantedLimit": "call",  # charge limit has the operation, and waits
    "Steering/ListSteering": "plan list",
    "Steering/SetPlan": "plan set",
    "Steering/SetWantedLimit": "call",
    "Transaction/AttributeOrphan": "transactions attribute",
    "Transaction/CloseTransaction": "transactions close",
    "Transaction/CountTransactions": "transactions count",
    "Transaction/GetTransaction": "transactions show",
    "Transaction/ListOrphans": "transactions orphans",
    "Transaction/ListTransactionReadings": "transactions show",
    "Transaction/ListTransactions": "transactions list",
    "Transaction/StreamOpenTransactions": "transactions open",
    "VendorData/HandleVendorData": "vendor-data",
}
"""RPC to a command that calls it; ``call`` reaches all of them."""


def commands(command, path=()):
    """The names of all commands below one."""
    if not hasattr(command, "commands"):
        return {" ".join(path)}
    return {name for word, inner in command.commands.items() for name in commands(inner, (*path, word))}


def test_the_table_has_every_rpc_and_no_other():
    """A new one needs a row: a command of its own, or ``call`` and the reason."""
    assert COMMANDS.keys() == methods().keys()


def test_the_commands_of_the_table_are_there():
    """By the names that are typed."""
    assert set(COMMANDS.values()) <= commands(typer.main.get_command(app))


@pytest.mark.parametrize("rpc", [rpc for rpc, command in COMMANDS.items() if command != "call"])
def test_an_rpc_with_a_command_is_named_in_its_code(rpc):
    """``call`` is the only one that takes names from the contract."""
    assert re.search(rf"\b{rpc.partition('/')[2]}\b", SOURCE), rpc

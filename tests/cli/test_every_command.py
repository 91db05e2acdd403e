"""Every command ends alike, by wrong usage or a gateway's refusal: with the exit codes and the JSON of the page."""

import json
import re
from pathlib import Path

import grpc
import pytest
from typer.main import get_command

from gateway.cli.call import methods
from gateway.cli.root import app
from tests.cli.fakes import Failure
from tests.cli.test_exit_codes import commands_of, options_of
from tests.support.named_tests import REPOSITORY

APP = get_command(app)

COMMANDS = {" ".join(path): options_of(command) for path, command in commands_of(APP)}

UNKNOWN = Failure(grpc.StatusCode.NOT_FOUND, "there is no such thing", "UNKNOWN_CHARGE_POINT", {"charge_point": "CP1"})

GIVEN = {
    "audit": "",
    "availability": "CP1 in",
    "call": "ChargePoint/GetChargePoint {nothing}",
    "callers add": "bob --role read",
    "callers list": "",
    "callers revoke": "bob",
    "cancel-reservation": "CP1 1",
    "certificates assign": "CP1 {pem}",
    "certificates delete": "CP1 --serial 01 --name-hash aa --key-hash bb",
    "certificates install": "CP1 {pem}",
    "certificates installed": "CP1",
    "certificates list": "",
    "certificates renew": "CP1",
    "charge limit": "CP1 --amps 6",
    "charge list": "",
    "charge pause": "CP1",
    "charge resume": "CP1",
    "charge show": "op_1",
    "charge start": "CP1 --tag T",
    "charge stop": "CP1",
    "chargers add": "CP1",
    "chargers count": "",
    "chargers disconnect": "CP1",
    "chargers import": "{fleet}",
    "chargers list": "",
    "chargers readings": "",
    "chargers remove": "CP1 --yes",
    "chargers rotate-key": "CP1",
    "chargers show": "CP1",
    "chargers update": "CP1 --registration accepted",
    "chargers upgrade-profile": "CP1 2",
    "clear-cache": "CP1",
    "commands list": "",
    "commands show": "cmd_1",
    "config get": "CP1",
    "config set": "CP1 K V",
    "deviations": "",
    "diagnostics": "CP1 https://files.example/",
    "drain": "--yes",
    "firmware": "CP1 https://files.example/f",
    "flapping": "",
    "fleet cancel": "job",
    "fleet install-firmware": "https://files.example/f --signing-certificate {pem} --signature eA== --charger CP1",
    "fleet items": "job",
    "fleet list": "",
    "fleet renew-certificates": "--charger CP1",
    "fleet rotate-keys": "--charger CP1",
    "fleet show": "job",
    "fleet summary": "",
    "fleet watch": "job",
    "frames": "CP1",
    "info": "",
    "latencies": "",
    "limit": "CP1 --amps 6",
    "local-list send": "CP1 T --version 1",
    "local-list version": "CP1",
    "log": "CP1 https://files.example/",
    "log-level": "",
    "meters": "",
    "nodes": "",
    "plan clear": "CP1",
    "plan list": "",
    "plan set": "CP1 {plan}",
    "plan show": "CP1",
    "refused": "",
    "reserve": "CP1 --tag T --until 2037-01-01 --number 1",
    "reset": "CP1",
    "retention confirm": "--yes",
    "retention show": "",
    "schedule": "CP1",
    "start": "CP1 --tag T",
    "status": "",
    "stop": "CP1",
    "tags add": "T",
    "tags list": "",
    "tags remove": "T",
    "tags show": "T",
    "tags update": "T --description x",
    "tap": "CP1",
    "transactions attribute": "ev_1 tx_1 --reason r",
    "transactions close": "tx_1 --reason r",
    "transactions cost": "tx_1 --prices {prices}",
    "transactions count": "",
    "transactions energy": "tx_1",
    "transactions estimate": "tx_1 --full",
    "transactions list": "",
    "transactions open": "",
    "transactions orphans": "",
    "transactions show": "tx_1",
    "trigger": "CP1 Heartbeat",
    "unlock": "CP1",
    "watch": "",
}
"""Arguments that each command takes which asks a gateway, and that prints JSON."""

OWN_WAY = frozenset({"health", "simulate", "vendor-data"})
"""They ask a gateway otherwise: for its health, as a charger, by a stream that it begins. Their tests are their own."""

ALONE = frozenset({"backup", "doctor", "export", "replay", "restore"})
"""With JSON, and without the gateway's control interface."""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Files that commands read."""
    contents = {
        "pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "fleet": "identity,key_text\nCP1,sixteen-bytes-it-has\n",
        "plan": '{"steps": [], "endTime": "2037-01-01T00:00:00Z"}',
        "prices": "{}",
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    return {name: str(tmp_path / name) for name in contents} | {"nothing": "{}"}


def ended(capsys, *arguments: str) -> tuple[object, str, dict[str, object]]:
    """The exit code of the command, its output, and its error in JSON. The commands are built once, for all."""
    try:
        APP.main([*arguments, "--json"], prog_name="gateway")
    except SystemExit as end:
        code = end.code
    written = capsys.readouterr()
    return code, written.out, json.loads(written.err.splitlines()[-1])["error"]


def test_a_refusal_of_the_gateway_is_an_exit_code_and_json(fake, files, capsys, monkeypatch):
    """The same words and the same keys by whichever command, and nothing on standard output."""
    for name, method in methods().items():
        fake.answers[name.partition("/")[2]] = [[UNKNOWN]] if method.server_streaming else UNKNOWN
    error = {
        "exit_code": 4,
        "status": "NOT_FOUND",
        "reason": UNKNOWN.reason,
        "message": UNKNOWN.message,
        "metadata": UNKNOWN.metadata,
        "violations": [],
    }
    found = {}
    monkeypatch.setenv("GATEWAY_TARGET", fake.target)
    for command, given in GIVEN.items():
        for method in ("WatchEvents", "WatchMeterValues"):
            fake.answers[method] = [[UNKNOWN]]
        found[command] = ended(capsys, *command.split(), *(each.format(**files) for each in given.split()))
    assert {command: end for command, end in found.items() if end != (4, "", error)} == {}


def test_an_option_that_there_is_not_is_wrong_usage(capsys):
    """In JSON for who asked for JSON, whether or not the command prints any."""
    found = {command: ended(capsys, *command.split(), "--no-such-option") for command in COMMANDS}
    wrong = {command: (code, out) for command, (code, out, error) in found.items() if error["exit_code"] != 2 or out}
    assert wrong == {}
    assert {code for code, _, _ in found.values()} == {2}


@pytest.mark.parametrize("command", ["backup {here}", "doctor", "export {here}", "restore {here}", "replay {here}"])
def test_what_needs_no_gateway_ends_in_json_too(run, tmp_path, monkeypatch, command):
    """Without settings, or a recording."""
    monkeypatch.chdir(tmp_path)
    result = run(*command.format(here="none").split(), "--json")
    assert (result.exit_code, result.stdout) in ((1, ""), (2, ""))
    assert json.loads(result.stderr)["error"]["exit_code"] == result.exit_code


@pytest.mark.parametrize("command", ["drain", "chargers remove CP1"])
def test_a_program_is_asked_nothing(run, command):
    """It is said which option answers."""
    result = run(*command.split(), "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--yes" in json.loads(result.stderr)["error"]["message"]


def test_every_command_is_held_to_this():
    """A new one needs a row."""
    in_json = {name for name, options in COMMANDS.items() if "--json" in options}
    assert in_json == GIVEN.keys() | OWN_WAY | ALONE


def test_the_page_has_each_command_in_one_row():
    """Of the table of how commands end."""
    page = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    table = page.partition("## How each command may end")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert sorted(listed) == sorted(COMMANDS)

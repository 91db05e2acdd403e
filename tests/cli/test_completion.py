"""Completion in shells: identities from the gateway, in bounds, silent where there is none."""

import grpc
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from gateway.api.v1 import charge_point_pb2 as api
from gateway.cli import root
from gateway.cli.completion import MAX_OFFERED
from gateway.cli.main import app
from tests.cli.fakes import Failure
from tests.cli.test_exit_codes import commands_of, options_of

SHELLS = {
    "bash": lambda words: {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)},
    "zsh": lambda words: {"_TYPER_COMPLETE_ARGS": words},
    "fish": lambda words: {"_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
}


def complete(words, shell="bash", **environment):
    """The words that a shell is offered."""
    given = {"_GATEWAY_COMPLETE": f"complete_{shell}", **SHELLS[shell](words), **environment}
    return CliRunner().invoke(app, [], prog_name="gateway", env=given)


def offered(*identities):
    return api.ListChargePointsResponse(charge_points=[api.ChargePoint(identity=each) for each in identities])


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("command", ["reset", "chargers show", "watch", "frames", "charge start"])
def test_identities_are_offered(fake, run, shell, command):
    """Wherever a charger is named; those that begin as typed, and a bounded number of them."""
    fake.answers["ListChargePoints"] = offered("HOME-1", "HOME-2", "OTHER")
    result = complete(f"gateway {command} HOME", shell)
    assert "HOME-1" in result.output
    assert "HOME-2" in result.output
    assert "OTHER" not in result.output
    (request,) = fake.asked("ListChargePoints")
    assert request.filter == 'identity >= "HOME" AND identity < "HOME\uffff"'
    assert (request.page_size, request.view) == (MAX_OFFERED, api.CHARGE_POINT_VIEW_BASIC)


@pytest.mark.parametrize(
    "command",
    ["commands list", "commands show", "charge list", "transactions list", "refused", "audit", "fleet rotate-keys"],
)
def test_identities_are_offered_to_an_option(fake, run, command):
    """--charger is completed as an argument is."""
    fake.answers["ListChargePoints"] = offered("HOME-1", "HOME-2")
    result = complete(f"gateway {command} --charger HOME")
    assert result.output.split() == ["HOME-1", "HOME-2"]


def test_a_target_on_the_line_counts(fake, monkeypatch):
    """Before the environment's."""
    fake.answers["ListChargePoints"] = offered("CP1")
    monkeypatch.setenv("GATEWAY_TARGET", "127.0.0.1:1")
    assert "CP1" in complete(f"gateway reset --target {fake.target} C").output


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED])
def test_a_gateway_that_refuses_offers_nothing(fake, run, code):
    """And nothing is said."""
    fake.answers["ListChargePoints"] = Failure(code, "no")
    assert complete("gateway reset C").output.strip() == ""


@pytest.mark.parametrize(
    "environment",
    [
        {"GATEWAY_TARGET": "127.0.0.1:1"},
        {"GATEWAY_TARGET": "nonsense"},
        {"GATEWAY_CA": "/nowhere/ca.pem"},
        {"GATEWAY_TOKEN_FILE": "/nowhere/token"},
    ],
)
def test_without_a_gateway_nothing_is_said(fake, run, environment):
    """Whatever is wrong: a shell waits with the key that was pressed."""
    result = complete("gateway reset C", **environment)
    assert result.output.strip() == ""
    assert fake.asked("ListChargePoints") == []


def test_every_charger_that_is_named_is_completed(fake, run):
    """As an argument, or by --charger: of whichever command."""
    fake.answers["ListChargePoints"] = offered("HOME-1")
    for path, command in commands_of(get_command(root.app)):
        named = [each.metavar for each in command.params if each.param_type_name == "argument"]
        words = ["gateway", *path]
        if "--charger" in options_of(command):
            assert "HOME-1" in complete(" ".join([*words, "--charger", "HO"])).output, path
        if named and named[0] in ("CHARGER", "IDENTITY"):
            assert "HOME-1" in complete(" ".join([*words, "HO"])).output, path

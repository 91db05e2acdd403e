"""Commands that ask before they do something: whatever would refuse it is said first."""

import grpc
import pytest

from gateway.api.v1 import caller_pb2, retention_pb2, server_pb2
from tests.cli.fakes import Failure
from tests.cli.test_every_command import ALONE, COMMANDS

ASKING = {"chargers remove": "CP1", "drain": "", "retention confirm": ""}
"""Commands that ask a person, and then the gateway; and their arguments."""

CHANGES = ("DeleteChargePoint", "Drain", "ConfirmClock")


@pytest.fixture
def waiting(fake):
    """A gateway whose clock is doubted, so that there is something to confirm."""
    fake.answers["GetRetention"] = retention_pb2.GetRetentionResponse(retention=retention_pb2.Retention(waiting=True))
    return fake


def named(*roles) -> server_pb2.GetServerInfoResponse:
    """A gateway's answer to a caller with these roles."""
    return server_pb2.GetServerInfoResponse(
        server=server_pb2.ServerInfo(callers_required=True), caller=caller_pb2.Caller(name="ops/anna", roles=roles)
    )


def asked(fake) -> list[str]:
    """The changes that were asked of the gateway."""
    return [name for name, _ in fake.requests if name in CHANGES]


def test_every_command_that_asks_is_held_to_this():
    """A new one needs a row. What needs no gateway has tests of its own."""
    asking = {name for name, options in COMMANDS.items() if "--yes" in options}
    assert asking - ALONE == ASKING.keys()


@pytest.mark.parametrize("command", ASKING)
def test_a_caller_without_the_role_is_not_asked(waiting, run, command):
    """It is refused in the gateway's words, and nothing is changed."""
    waiting.answers["GetServerInfo"] = named(caller_pb2.ROLE_READ, caller_pb2.ROLE_OPERATE)
    result = run(*command.split(), *ASKING[command].split(), input="y\n")
    assert (result.exit_code, result.stdout, asked(waiting)) == (1, "", [])
    assert result.stderr == "error: the caller ops/anna lacks the role administer\n"


@pytest.mark.parametrize("command", ASKING)
@pytest.mark.parametrize("gateway", ["with callers", "without", "of before", "long before"])
def test_a_caller_that_may_is_asked_and_then_it_is_done(waiting, run, command, gateway):
    """So is one of a gateway that does not say what its callers may do: that refuses it later."""
    if gateway == "with callers":
        waiting.answers["GetServerInfo"] = named(caller_pb2.ROLE_ADMINISTER)
    elif gateway == "of before":
        waiting.answers["GetServerInfo"] = server_pb2.GetServerInfoResponse(
            server=server_pb2.ServerInfo(callers_required=True)
        )
    elif gateway == "long before":
        waiting.answers["GetServerInfo"] = Failure(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
    result = run(*command.split(), *ASKING[command].split(), input="n\n")
    assert (result.exit_code, asked(waiting)) == (1, [])
    assert "[y/N]" in result.stderr
    assert run(*command.split(), *ASKING[command].split(), input="y\n").exit_code == 0
    assert len(asked(waiting)) == 1


@pytest.mark.parametrize("command", ASKING)
def test_who_asks_nothing_of_a_person_asks_the_gateway_nothing_more(waiting, run, command):
    """With --yes its word on the thing itself is enough."""
    assert run(*command.split(), *ASKING[command].split(), "--yes").exit_code == 0
    assert [name for name, _ in waiting.requests if name == "GetServerInfo"] == []

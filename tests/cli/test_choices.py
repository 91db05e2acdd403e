"""Values of options: each choice that the contract has can be typed, and no key is given two values."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import Result

from gateway.api.v1 import caller_pb2, command_pb2, common_pb2, fleet_pb2, id_tag_pb2, transaction_pb2
from gateway.cli import callers, charger_certificates, chargers, fleet, maintenance, tags, transactions
from gateway.cli.commands_send import Triggered
from gateway.cli.root import app
from tests.cli.fakes import FakeGateway
from tests.cli.test_exit_codes import commands_of

CHOICES = [
    (callers.Role, caller_pb2.Role, "ROLE_{}"),
    (charger_certificates.Algorithm, command_pb2.HashAlgorithm, "HASH_ALGORITHM_{}"),
    (charger_certificates.Use, command_pb2.CertificateUse, "CERTIFICATE_USE_{}_ROOT_CERTIFICATE"),
    (chargers.Registration, common_pb2.Registration, "REGISTRATION_{}"),
    (fleet.Outcome, fleet_pb2.FleetOutcome, "FLEET_OUTCOME_{}"),
    (maintenance.Log, command_pb2.LogType, "LOG_TYPE_{}_LOG"),
    (tags.Status, id_tag_pb2.IdTagStatus, "ID_TAG_STATUS_{}"),
    (transactions.State, transaction_pb2.TransactionState, "TRANSACTION_STATE_{}"),
]


@pytest.mark.parametrize(("choices", "enum", "spelled"), CHOICES, ids=[enum.DESCRIPTOR.name for _, enum, _ in CHOICES])
def test_each_value_of_the_contract_can_be_typed(choices: type[StrEnum], enum: Any, spelled: str) -> None:
    """But that which says that nothing is set."""
    values = {name for name, number in enum.items() if number}
    assert {spelled.format(each.name) for each in choices} == values


def test_each_message_of_the_contract_can_be_triggered() -> None:
    """By one of the two commands, or by both."""
    ways = ((command_pb2.TriggeredMessage, "TRIGGERED_MESSAGE_"), (command_pb2.ExtendedTrigger, "EXTENDED_TRIGGER_"))
    named = {name.removeprefix(prefix) for enum, prefix in ways for name, number in enum.items() if number}
    assert {each.name for each in Triggered} == named


PAIRS = {"KEY=VALUE": ("site=north", "site=south"), "NAME=VALUE": ("settle_delay=5", "settle-delay=6")}
"""By what an option takes: values with one and the same key."""

KEYED = [
    (" ".join(path), parameter.opts[0], parameter.metavar)
    for path, command in commands_of(get_command(app))
    for parameter in command.params
    if "=" in (parameter.metavar or "") and parameter.multiple
]
"""Options of keys and values, which may be given several times, of all commands."""


@pytest.mark.parametrize(("command", "option", "takes"), KEYED, ids=[f"{path} {option}" for path, option, _ in KEYED])
def test_a_key_that_is_given_twice_is_wrong_usage(
    fake: FakeGateway, run: Callable[..., Result], command: str, option: str, takes: str
) -> None:
    """One of the values would be left out without a word. Nothing is sent."""
    first, second = PAIRS[takes]
    key = first.partition("=")[0]
    result = run(*command.split(), option, first, option, second)
    assert result.exit_code == 2
    assert f"'{option}': {key} is given twice" in result.stderr
    assert not fake.requests


def test_the_options_of_keys_and_values_are_those_that_are_known() -> None:
    """None is passed over by the test above."""
    assert {option for _, option, _ in KEYED} == {"--label", "--quirk"}
    assert len(KEYED) > 15

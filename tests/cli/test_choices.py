"""Choices of the command line, held against the contract's enums: each value that the contract has can be typed."""

from enum import StrEnum
from typing import Any

import pytest

from gateway.api.v1 import caller_pb2, command_pb2, common_pb2, fleet_pb2, id_tag_pb2, transaction_pb2
from gateway.cli import callers, charger_certificates, chargers, fleet, maintenance, tags, transactions
from gateway.cli.commands_send import Triggered

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

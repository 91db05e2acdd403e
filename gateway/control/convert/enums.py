"""Enums of the interface and the words they stand for.

A constant's name follows from the word: ``RebootRequired`` of ``ChangeConfigurationStatus`` is
``CHANGE_CONFIGURATION_STATUS_REBOOT_REQUIRED``. A word without a constant is 0, the unspecified one; the word itself is
always sent beside it.
"""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Generic, TypeVar

from gateway.api.v1 import (
    audit_pb2,
    caller_pb2,
    command_pb2,
    common_pb2,
    completion_pb2,
    diagnostics_pb2,
    energy_pb2,
    fleet_pb2,
    id_tag_pb2,
    operation_pb2,
    reading_pb2,
    steering_pb2,
    transaction_pb2,
)
from gateway.domain.audit import AuditOutcome
from gateway.domain.callers import Role
from gateway.domain.charging import ChargingRateUnit, ProfileKind, ProfilePurpose, RecurrencyKind
from gateway.domain.charging_state import ChargingState, StateBasis
from gateway.domain.commands import AvailabilityType, CommandState, ResetType, TriggeredMessage, UpdateType
from gateway.domain.diagnostics import FrameKind, LatencyKind
from gateway.domain.fleet import NOT_BEGUN, UNDER_WAY, WAITING, FleetEnd
from gateway.domain.log_levels import LogLevel
from gateway.domain.measurements import Kind, ValueSource
from gateway.domain.operations import End, OperationKind, Stage
from gateway.domain.records import TransactionState
from gateway.domain.security_commands import CertificateUse, ExtendedTrigger, HashAlgorithm, LogType
from gateway.domain.steering import SteeringState
from gateway.domain.values import Flag, Registration
from gateway.domain.vendor_data import VendorDataStatus
from gateway.energy.completion import CompletionState
from gateway.energy.prices import WEEKDAYS, Rounding
from gateway.energy.quality import Basis, Doubt, Quality
from gateway.energy.settlement import EnergyState, Provenance

W = TypeVar("W", bound=str)

_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|-")


class Words(Generic[W]):
    """The constants of one enum and the words they stand for."""

    def __init__(self, wrapper: Any, words: Iterable[W]) -> None:
        prefix = wrapper.keys()[0].removesuffix("UNSPECIFIED")
        numbers = dict(wrapper.items())
        self._words: dict[int, W] = {numbers[prefix + constant(word)]: word for word in words}
        self._numbers = {str(word): number for number, word in self._words.items()}

    def number(self, word: str | None) -> Any:
        """The constant for a word, of whatever type the enum has in its stub; 0 if there is none."""
        return 0 if word is None else self._numbers.get(word, 0)

    def word(self, number: int) -> W | None:
        """The word for a constant; None for the unspecified one and for those of a later interface."""
        return self._words.get(number)


def constant(word: str) -> str:
    """A word as the last part of a constant's name."""
    if isinstance(word, ChargingRateUnit):
        return f"{word.name}S"
    return _BOUNDARY.sub("_", word).upper()


def _of(wrapper: Any, *words: str) -> Words[str]:
    return Words(wrapper, words)


S = TypeVar("S", bound=StrEnum)


def _all(wrapper: Any, words: type[S]) -> Words[S]:
    return Words(wrapper, words)


REGISTRATION = _all(common_pb2.Registration, Registration)
ROLE = _all(caller_pb2.Role, Role)
FLAG = _all(common_pb2.QualityFlag, Flag)
PURPOSE = _all(common_pb2.ChargingProfilePurpose, ProfilePurpose)
KIND = _all(common_pb2.ChargingProfileKind, ProfileKind)
RECURRENCY = _all(common_pb2.RecurrencyKind, RecurrencyKind)
RATE_UNIT = _all(common_pb2.ChargingRateUnit, ChargingRateUnit)
TRANSACTION_STATE = _all(transaction_pb2.TransactionState, TransactionState)
OPERATION_KIND = _all(operation_pb2.OperationKind, OperationKind)
OPERATION_STAGE = _all(operation_pb2.OperationStage, Stage)
OPERATION_END = _all(operation_pb2.OperationEnd, End)
FLEET_END = _all(fleet_pb2.FleetEnd, FleetEnd)
FLEET_OUTCOME = _of(fleet_pb2.FleetOutcome, WAITING, UNDER_WAY, NOT_BEGUN, *End)
COMMAND_STATE = _all(command_pb2.CommandState, CommandState)
AVAILABILITY = _all(command_pb2.AvailabilityType, AvailabilityType)
RESET = _all(command_pb2.ResetType, ResetType)
UPDATE = _all(command_pb2.LocalListUpdateType, UpdateType)
TRIGGERED = _all(command_pb2.TriggeredMessage, TriggeredMessage)
EXTENDED_TRIGGER = _all(command_pb2.ExtendedTrigger, ExtendedTrigger)
CERTIFICATE_USE = _all(command_pb2.CertificateUse, CertificateUse)
HASH_ALGORITHM = _all(command_pb2.HashAlgorithm, HashAlgorithm)
LOG_TYPE = _all(command_pb2.LogType, LogType)
CHARGING_STATE = _all(reading_pb2.ChargingState, ChargingState)
CHARGING_STATE_BASIS = _all(reading_pb2.ChargingStateBasis, StateBasis)
READING_KIND = _all(reading_pb2.ReadingKind, Kind)
VALUE_SOURCE = _all(reading_pb2.ValueSource, ValueSource)
FRAME_KIND = _all(diagnostics_pb2.FrameKind, FrameKind)
LATENCY_KIND = _all(diagnostics_pb2.LatencyKind, LatencyKind)
CONNECTION_STAGE = _of(diagnostics_pb2.ConnectionStage, "accept", "tls", "http", "admission")
VENDOR_DATA_STATUS = _all(command_pb2.DataTransferStatus, VendorDataStatus)
STEERING_STATE = _all(steering_pb2.SteeringState, SteeringState)
ID_TAG_STATUS = _of(id_tag_pb2.IdTagStatus, "Accepted", "Blocked", "Expired", "Invalid")
AUTHORIZATION = _of(command_pb2.AuthorizationStatus, "Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx")
ENERGY_QUALITY = _all(energy_pb2.EnergyQuality, Quality)
ENERGY_BASIS = _all(common_pb2.EnergyBasis, Basis)
ENERGY_DOUBT = _all(common_pb2.EnergyDoubt, Doubt)
ENERGY_STATE = _all(common_pb2.EnergyState, EnergyState)
PROVENANCE = _all(common_pb2.Provenance, Provenance)
ROUNDING = _all(energy_pb2.RoundingMode, Rounding)
WEEKDAY = _of(energy_pb2.Weekday, *WEEKDAYS)
LOG_LEVEL = _all(diagnostics_pb2.LogLevel, LogLevel)
AUDIT_OUTCOME = _all(audit_pb2.AuditOutcome, AuditOutcome)
COMPLETION_STATE = _all(completion_pb2.CompletionState, CompletionState)

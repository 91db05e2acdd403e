"""The gateway's own requests to a 1.6 charger: TriggerMessage, ChangeConfiguration and GetConfiguration."""

from collections.abc import Mapping
from typing import Final

from gateway.domain.commands import (
    Answer,
    ChangeConfiguration,
    ChargerError,
    ConfigurationAnswer,
    GetConfiguration,
    Reset,
    ResetType,
    TriggeredMessage,
    TriggerMessage,
)
from gateway.domain.key_answers import KeyAnswer
from gateway.domain.values import ConnectorAddress
from gateway.ocpp.v16.charging_abilities import abilities_requests
from gateway.ocpp.v16.configuration_keys import AUTHORIZATION_KEY, number_of_connectors

MOST_CONNECTORS: Final = 999
"""A charger that claims more is asked for none by number: the largest posts have a dozen."""

_ANSWERS: Final[Mapping[str, KeyAnswer]] = {
    "Accepted": KeyAnswer.TAKEN,
    "RebootRequired": KeyAnswer.AFTER_BOOT,
    "Rejected": KeyAnswer.REFUSED,
    "NotSupported": KeyAnswer.REFUSED,
    "NotImplemented": KeyAnswer.REFUSED,
    "SecurityError": KeyAnswer.REFUSED,
}
"""By a status, or by the code of an error. Another error may come from what the charger did after it had taken the
setting (InternalError), and a word that there is not may mean anything."""


class OwnRequests16:
    """The gateway's own requests, as commands of OCPP 1.6 (statuses: S §7.24)."""

    taken = frozenset({"Accepted", "RebootRequired"})
    refused = frozenset({"Rejected", "NotSupported"})
    measurands = "MeterValuesSampledData"

    def boot(self) -> TriggerMessage:
        return TriggerMessage(TriggeredMessage.BOOT_NOTIFICATION)

    def status(self, connector: ConnectorAddress | None) -> TriggerMessage:
        return TriggerMessage(TriggeredMessage.STATUS_NOTIFICATION, connector)

    def setting(self, key: str, value: str) -> ChangeConfiguration:
        return ChangeConfiguration(key, value)

    def look(self, key: str) -> GetConfiguration:
        return GetConfiguration((key,))

    def shows(self, answer: Answer | ChargerError, key: str, value: str) -> bool:
        """Names of keys compare without regard to case (S §9), values exactly."""
        if not isinstance(answer, ConfigurationAnswer):
            return False
        return any(each.key.casefold() == key.casefold() and each.value == value for each in answer.keys)

    def answer_in(self, word: str) -> KeyAnswer:
        return _ANSWERS.get(word, KeyAnswer.UNKNOWN)

    def security_profile(self, profile: int) -> ChangeConfiguration:
        return ChangeConfiguration("SecurityProfile", str(profile))

    def restart(self) -> Reset:
        return Reset(ResetType.HARD)

    def authorization_key(self, key: bytes) -> ChangeConfiguration:
        return ChangeConfiguration(AUTHORIZATION_KEY, key.hex().upper())  # as the specification spells its example

    def charging_abilities(self, configuration: Mapping[str, str | None]) -> tuple[GetConfiguration, ...]:
        return abilities_requests(configuration)

    def connectors(self, configuration: Mapping[str, str | None], most: int) -> frozenset[ConnectorAddress]:
        count = number_of_connectors(configuration) or 0
        if count > MOST_CONNECTORS:
            return frozenset()
        return frozenset(ConnectorAddress(number, 1) for number in range(1, min(count, most) + 1))

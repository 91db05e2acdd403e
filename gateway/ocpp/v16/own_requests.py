"""The gateway's own requests to a 1.6 charger: TriggerMessage, ChangeConfiguration and GetConfiguration."""

from collections.abc import Mapping
from typing import Final

from gateway.domain.commands import ChangeConfiguration, GetConfiguration, TriggeredMessage, TriggerMessage
from gateway.domain.values import ConnectorAddress
from gateway.ocpp.v16.charging_abilities import abilities_requests
from gateway.ocpp.v16.configuration_keys import number_of_connectors

MOST_CONNECTORS: Final = 999
"""A charger that claims more is asked for none by number: the largest posts have a dozen."""


class OwnRequests16:
    """The gateway's own requests, as commands of OCPP 1.6 (statuses: S §7.24)."""

    taken = frozenset({"Accepted", "RebootRequired"})
    refused = frozenset({"Rejected", "NotSupported"})

    def boot(self) -> TriggerMessage:
        return TriggerMessage(TriggeredMessage.BOOT_NOTIFICATION)

    def status(self, connector: ConnectorAddress | None) -> TriggerMessage:
        return TriggerMessage(TriggeredMessage.STATUS_NOTIFICATION, connector)

    def setting(self, key: str, value: str) -> ChangeConfiguration:
        return ChangeConfiguration(key, value)

    def charging_abilities(self, configuration: Mapping[str, str | None]) -> tuple[GetConfiguration, ...]:
        return abilities_requests(configuration)

    def connectors(self, configuration: Mapping[str, str | None], most: int) -> frozenset[ConnectorAddress]:
        count = number_of_connectors(configuration) or 0
        if count > MOST_CONNECTORS:
            return frozenset()
        return frozenset(ConnectorAddress(number, 1) for number in range(1, min(count, most) + 1))

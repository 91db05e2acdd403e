"""OCPP 1.6's one connector number and the domain's (evse, connector)."""

from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress


def to_address(connector_id: int) -> ConnectorAddress:
    """Connector n is (n, 1), connector 0 the charge point as a whole. A negative number is kept, as (n, 1)."""
    return ConnectorAddress(connector_id, 1) if connector_id else WHOLE_CHARGE_POINT


def to_connector_id(address: ConnectorAddress) -> int:
    """The number of an address that OCPP 1.6 knows. Raises ValueError for (n, m) with m other than 1."""
    if address == WHOLE_CHARGE_POINT or address.connector == 1:
        return address.evse
    raise ValueError(f"OCPP 1.6 has one connector per number; {address} has none")

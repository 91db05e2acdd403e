"""The NATS servers that the settings name, as the bus between nodes is given them."""

from typing import TYPE_CHECKING

from gateway.app.settings.cluster import ClusterSettings
from gateway.errors import SettingsError

if TYPE_CHECKING:
    from gateway.bridge.nats_connection import NatsAddress

NO_LIBRARY = "cluster.node: nats-py is not installed, by which nodes call each other: pip install 'gateway[cluster]'"


def nats_address(cluster: ClusterSettings) -> "NatsAddress":
    """The servers of the settings. Raises ``SettingsError`` where a file that they name can't be used."""
    from gateway.bridge.nats_connection import NatsAddress  # with a library that not every gateway has

    token = ""
    if cluster.nats_token_file is not None:
        try:
            token = cluster.nats_token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"cluster.nats_token_file: {cluster.nats_token_file}: can't be read") from error
    address = NatsAddress(cluster.nats, token, None if cluster.nats_ca is None else str(cluster.nats_ca))
    try:
        address.options()
    except OSError as error:
        raise SettingsError(f"cluster.nats_ca: {cluster.nats_ca}: holds no certificate that can be read") from error
    return address

"""The share of one process in a service of several on one machine: its slot, and what it has in common with the others.

The process that supervises them hands it over in the environment, as a service manager does its sockets.
"""

import os
import socket
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Final

from attrs import evolve, frozen

from gateway.app.service_manager import NONE, HandedOver, handed_over
from gateway.app.settings import Settings
from gateway.errors import SettingsError

SLOT, COUNT, SOCKETS = "GATEWAY_SLOT", "GATEWAY_PROCESSES", "GATEWAY_SOCKETS"
NATS, NATS_TOKEN = "GATEWAY_NATS", "GATEWAY_NATS_TOKEN_FILE"

NO_NODE: Final = (
    "cluster.node: missing: cluster.nats is for gateways that are nodes of one service, each in a slot, and for "
    "`gateway serve --processes`"
)
"""Of settings that name NATS and no slot."""

MAX_PROCESSES: Final = 64
"""On one machine: more than it has cores."""


@frozen
class ProcessShare:
    """``sockets``: descriptors that listen for chargers, by the listener's index; ``nats``: the server that was begun
    for these processes, with the file that holds its token; empty: the settings name theirs. ``count``: the processes
    that share the machine's memory."""

    slot: int
    sockets: tuple[tuple[int, int], ...] = ()
    nats: str = ""
    nats_token_file: Path | None = None
    count: int = 1

    def environment(self) -> dict[str, str]:
        """The variables that hand it over."""
        sockets = ",".join(f"{index}:{number}" for index, number in self.sockets)
        found = {SLOT: str(self.slot), COUNT: str(self.count), SOCKETS: sockets}
        if self.nats:
            found |= {NATS: self.nats, NATS_TOKEN: str(self.nats_token_file)}
        return found

    def applied(self, settings: Settings) -> Settings:
        """The settings of this process: its own slot and port of the metrics, which is that of the settings and the
        slot on top."""
        metrics = settings.metrics
        if (address := metrics.host_and_port) is not None and address[1]:
            host, port = address
            shown = f"[{host}]" if ":" in host else host
            metrics = evolve(metrics, address=f"{shown}:{port + self.slot}")
        cluster = evolve(settings.cluster, node=self.slot)
        if self.nats:
            cluster = evolve(cluster, nats=(self.nats,), nats_token_file=self.nats_token_file, nats_ca=None)
        return evolve(settings, metrics=metrics, cluster=cluster)

    def handed_over(self, listeners: Sequence[str]) -> HandedOver:
        """The sockets of the listeners of these names, which no child inherits any further."""
        found: dict[str, list[socket.socket]] = {}
        for index, number in self.sockets:
            os.set_inheritable(number, False)
            found.setdefault(listeners[index], []).append(socket.socket(fileno=number))
        return HandedOver(found) if found else NONE


def share_of(environment: MutableMapping[str, str]) -> ProcessShare | None:
    """Take the share out of the environment; None: this process is alone. Raises ``SettingsError``."""
    given: Mapping[str, str] = {name: environment.pop(name, "") for name in (SLOT, COUNT, SOCKETS, NATS, NATS_TOKEN)}
    if not given[SLOT]:
        return None
    try:
        slot, count = int(given[SLOT]), int(given[COUNT])
        pairs = [each.split(":") for each in given[SOCKETS].split(",") if each]
        sockets = tuple((int(index), int(number)) for index, number in pairs)
    except ValueError:
        raise SettingsError(f"{SLOT}, {COUNT}, {SOCKETS}: expected what `gateway serve --processes` sets") from None
    token = Path(given[NATS_TOKEN]) if given[NATS_TOKEN] else None
    return ProcessShare(slot, sockets, given[NATS], token, count)


def shared(
    environment: MutableMapping[str, str], settings: Settings
) -> tuple[Settings, HandedOver, ProcessShare | None]:
    """The settings of this process, the sockets that were handed over to it, and its share; None: it is alone. Raises
    ``SettingsError``."""
    names = [each.name for each in settings.listeners]
    share = share_of(environment)
    if share is not None:
        return share.applied(settings), share.handed_over(names), share
    if settings.cluster.nats and not settings.cluster.node:
        raise SettingsError(NO_NODE)
    return settings, handed_over(environment, names), None

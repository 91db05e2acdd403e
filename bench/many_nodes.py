"""Gateways beside each other on one PostgreSQL and three NATS servers: the place in which ``nodes`` measures them."""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import define

from bench import processes
from bench.fleet import SETTLE_SECONDS, Fleet, fleet
from bench.fleet_results import Load
from tests.cluster.servers import Databases, Nats


@define
class Place:
    """The place of the measurements, and their options."""

    folder: Path
    nats: Nats
    options: argparse.Namespace

    def settings(self, store: str, node: int | None = None) -> str:
        """Of a gateway on PostgreSQL. ``node``: None: it is alone, or ``--processes`` gives the slots."""
        servers = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self.nats.ports)
        slot = "" if node is None else f"node = {node}\n"
        return f"[store]\n{store}\n[cluster]\n{slot}nats = [{servers}]\n"

    @contextmanager
    def nodes(self, count: int, databases: Databases) -> Iterator[list[processes.Gateway]]:
        """Gateways that run, each in a slot."""
        with ExitStack() as stack:
            store = store_settings(databases)
            yield [
                stack.enter_context(processes.gateway(self.new(), settings=self.settings(store, number)))
                for number in range(1, count + 1)
            ]

    def new(self) -> Path:
        """An empty folder."""
        return Path(tempfile.mkdtemp(dir=self.folder))


def store_settings(databases: Databases) -> str:
    """The settings of a store on these servers, as lines of TOML."""
    first, *others = databases.hosts()
    return f'url = "{first.url(databases.database(), *others)}"\ndurability = "{databases.durability}"'


def judged(value: float, limit: float, what: str, *, least: bool = False) -> str:
    """Say how a figure stands to what is asked of it."""
    met = value >= limit if least else value <= limit
    asked = f"at {'least' if least else 'most'} {limit:g}"
    return f"{what}: {value:.2f}, asked is {asked}: {'met' if met else 'not met'}"


def wrong_of(load: Load) -> list[str]:
    """Reasons for which the figures of a load say nothing."""
    found = [f"{count} messages failed: {reason}" for reason, count in load.errors.items()]
    return found if load.messages else [*found, "no message was confirmed"]


def connect(chargers: Fleet, *, transaction: bool = True) -> None:
    """Connect all of them. Raises ``RuntimeError``."""
    connected = chargers.connect(transaction=transaction)
    if connected.connected < len(chargers):
        raise RuntimeError(f"{connected.connected} of {len(chargers)} chargers connected: {connected.failures}")


def fleets_at(stack: ExitStack, nodes: Sequence[processes.Gateway], count: int) -> list[Fleet]:
    """So many chargers at each node, connected and configured."""
    found = []
    for number, node in enumerate(nodes):
        found.append(stack.enter_context(fleet(node, node.provision(count, f"N{number}"))))
        connect(found[-1])
    time.sleep(SETTLE_SECONDS)
    return found

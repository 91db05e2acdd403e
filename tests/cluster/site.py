"""Gateways as processes on one database, with NATS between them; each has links of its own to these, where asked."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field

from tests.cluster.links import Balancer, Link, Network
from tests.cluster.servers import Databases, Nats
from tests.endtoend.gateway_process import Gateway

SOCKET = ".s.PGSQL.5432"
"""Of a server on PostgreSQL, in its folder."""


@define
class Links:
    """The links of one node."""

    database: list[Link] = field(factory=list)
    """One for each server."""
    nats: list[Link] = field(factory=list)

    def each(self) -> Iterator[Link]:
        yield from (*self.database, *self.nats)


class Site:
    """The nodes, not started yet; ``nodes[0]`` has slot 1. ``network``: what carries their links; None: they have the
    servers themselves."""

    def __init__(
        self,
        folder: Path,
        certificates: Path,
        databases: Databases,
        nats: Nats,
        count: int = 3,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        network: Network | None = None,
    ) -> None:
        self.nats = nats
        self.name = databases.database()
        first, *others = databases.hosts()
        self.url = first.url(self.name, *others)
        self.nodes: list[Gateway] = []
        self.links: list[Links] = []
        for number in range(1, count + 1):
            own = folder / f"node-{number}"
            own.mkdir()
            links = Links()
            if network is not None:
                links.database += [network.link(each.folder / SOCKET) for each in databases.hosts()]
                links.nats += [network.link(each) for each in nats.ports]
            self.links.append(links)
            given: dict[str, Mapping[str, Any]] = {
                "store": {"url": self._url(databases, links), "durability": databases.durability},
                "cluster": {
                    "node": number,
                    "nats": [f"nats://127.0.0.1:{each}" for each in [link.port for link in links.nats] or nats.ports],
                },
                "authorization": {"unknown_tags": "Accepted"},
                "metrics": {},
            }
            self.nodes.append(Gateway(own, certificates, settings={**given, **(settings or {})}))
        self._network = network

    def _url(self, databases: Databases, links: Links) -> str:
        if not links.database:
            return self.url
        hosts, ports = (
            ",".join("127.0.0.1" for _ in links.database),
            ",".join(str(each.port) for each in links.database),
        )
        only = "&target_session_attrs=read-write" if len(links.database) > 1 else ""
        return f"postgresql:///{self.name}?host={hosts}&port={ports}&user=postgres{only}"

    def balancer(self) -> Balancer:
        """The door of all nodes."""
        assert self._network is not None, "the site has links"
        link = self._network.link(*(each.port for each in self.nodes))
        return Balancer(link.port, self.nodes[0].tls)

    def start(self, faults: Sequence[str] = ()) -> None:
        """Start all of them, together; with these faults, one a node, where there are any."""
        for number, node in enumerate(self.nodes):
            fault = faults[number] if number < len(faults) else ""
            node.begin(faulty(fault)) if fault else node.begin()
        for node in self.nodes:
            node.wait_until_it_serves()


def faulty(fault: str) -> tuple[str, ...]:
    """The launcher of a gateway with a fault, or several, between commas."""
    return (sys.executable, "-m", "tests.cluster.faulty", fault)

"""One PostgreSQL for all tests of a run, and one with two standbys; a database, three nodes and three NATS servers for
each."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.cluster.links import Network
from tests.cluster.servers import Databases, Nats, Replicated, Single, require_nats
from tests.cluster.site import Site
from tests.endtoend.conftest import certificates as certificates
from tests.support import postgres

EVERYDAY = ("charger connected", "session ended", "own request given up")
"""Lines of the log that come by the thousand."""

MakeSite: TypeAlias = Callable[..., Site]


@pytest.fixture(scope="session")
def database_server() -> Iterator[postgres.Server]:
    """A server that keeps what it is given."""
    postgres.require()
    with postgres.server(durable=True) as running:
        yield running


@pytest.fixture(scope="session")
def replicas() -> Iterator[Replicated]:
    """A primary with two standbys, for one test after the other."""
    postgres.require()
    with Replicated() as running:
        yield running


@pytest.fixture
def replicated(replicas: Replicated) -> Replicated:
    """A primary and two standbys that stream, whatever the test before has done to them."""
    replicas.repair()
    return replicas


@pytest.fixture
def network() -> Iterator[Network]:
    """Links, carried for the time of the test."""
    with Network() as carried:
        yield carried


@pytest.fixture
def nats() -> Iterator[Nats]:
    """NATS servers that run."""
    server = Nats(require_nats())
    server.start()
    yield server
    server.kill()


@pytest.fixture
def make_site(request: pytest.FixtureRequest, tmp_path: Path, certificates: Path, nats: Nats) -> Iterator[MakeSite]:
    """Makes sites whose nodes are not started yet; whatever happened, none of their processes stays behind."""
    made: list[Site] = []

    def make(
        count: int = 3, databases: Databases | None = None, network: Network | None = None, **settings: Any
    ) -> Site:
        folder = tmp_path / f"site-{len(made)}"
        folder.mkdir()
        on = databases or Single(request.getfixturevalue("database_server"))
        made.append(Site(folder, certificates, on, nats, count, settings, network))
        return made[-1]

    yield make
    for site in made:
        for node in site.nodes:
            node.reap()
            said = [line for line in node.tail(100_000).splitlines() if not any(each in line for each in EVERYDAY)]
            print(node.folder.name, *said[-60:], sep="\n")  # pytest shows it where the test failed


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """Three nodes that serve."""
    site = make_site()
    site.start()
    return site

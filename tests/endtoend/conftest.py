"""A gateway of its own for each test, and one for those that only look at the door."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.endtoend.gateway_process import Gateway, MakeGateway, development_certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Development certificates, made once."""
    return development_certificates(tmp_path_factory.mktemp("gateway") / "certs")


@pytest.fixture
def make_gateway(tmp_path: Path, certificates: Path) -> Iterator[MakeGateway]:
    """Makes gateways that are not started yet; each is stopped at the end and must have ended well."""
    made: list[Gateway] = []

    def make(**settings: Any) -> Gateway:
        folder = tmp_path / f"gateway-{len(made)}"
        folder.mkdir()
        made.append(Gateway(folder, certificates, settings=settings))
        return made[-1]

    yield make
    try:
        for gateway in made:
            gateway.finish()
    finally:
        for gateway in made:
            gateway.reap()


@pytest.fixture
def gateway(make_gateway: MakeGateway) -> Gateway:
    """A gateway that serves."""
    made = make_gateway()
    made.start()
    return made

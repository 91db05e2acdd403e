"""A gateway of its own for each test, and one for those that only look at the door."""

import pytest

from tests.endtoend.gateway_process import Gateway, development_certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """Development certificates, made once."""
    return development_certificates(tmp_path_factory.mktemp("gateway") / "certs")


@pytest.fixture
def make_gateway(tmp_path, certificates):
    """Makes gateways that are not started yet; each is stopped at the end and must have ended well."""
    made = []

    def make(**settings):
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
def gateway(make_gateway):
    """A gateway that serves."""
    gateway = make_gateway()
    gateway.start()
    return gateway

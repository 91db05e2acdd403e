"""The environment that the tests run in, and short pauses as in the repository's own run of them."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which protobuf is to be here."""
    parser.addoption("--protobuf", required=True)


@pytest.fixture
def wanted_protobuf(request: pytest.FixtureRequest) -> str:
    """The major version of protobuf that is to be installed."""
    return str(request.config.getoption("--protobuf"))

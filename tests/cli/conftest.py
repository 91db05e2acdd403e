"""A fake gateway, and a way to run commands against it."""

import time
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.main import app
from tests.cli.fakes import FakeGateway, serving


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    """A gateway that answers what the test tells it to."""
    with serving(FakeGateway()) as made:
        yield made


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC, wherever the tests run."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def run(fake: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command against the fake gateway, with a wide terminal that is none."""
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setenv("GATEWAY_TARGET", fake.target)

    def run(*arguments: object, input: str | None = None) -> Result:
        return CliRunner().invoke(app, [str(each) for each in arguments], input=input)

    return run

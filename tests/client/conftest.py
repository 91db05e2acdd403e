"""A fake gateway for each test, and each client in turn."""

from collections.abc import Iterator

import pytest

from tests.client.fakes import Asyncio, Blocking, Client, FakeGateway, Trio, serving


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    """A gateway that answers as the test says."""
    with serving() as made:
        yield made


@pytest.fixture(params=[Blocking, Asyncio, Trio], ids=["blocking", "asyncio", "trio"])
def client(request: pytest.FixtureRequest) -> Client:
    """Each client."""
    made: Client = request.param()
    return made


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeats come after milliseconds: how long they wait is test_repeats' to say."""
    monkeypatch.setattr("gateway.client.repeats.FIRST_PAUSE", 0.002)

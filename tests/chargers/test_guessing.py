"""Guessing at keys: each wrong one costs the same work, counted, and an unknown identity costs none."""

import base64
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.domain import credentials
from gateway.domain.credentials import MAX_PASSWORD_BYTES
from gateway.domain.records import CredentialKind
from gateway.transport.api import Accept, Rejection, UpgradeRequest
from tests.support.door import BASIC, PEER, Door
from tests.support.harness import Harness

KEY = b"correct horse battery"
WRONG = (
    b"x",
    b"xxxxxxxx",
    KEY[:1],
    KEY[:-1],
    KEY[:-1] + b"x",
    KEY + b"\0",
    KEY + b"x",
    b"x" * len(KEY),
    KEY.hex().encode(),
    b"x" * MAX_PASSWORD_BYTES,
)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    harness = Harness(tmp_path)
    yield harness
    harness.store.close()


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Hashes that were made, by their kind."""
    counts: Counter[str] = Counter()
    for name in ("_hmac", "_scrypt"):
        real = getattr(credentials, name)

        def counted(*args: Any, name: str = name, real: Any = real) -> Any:
            counts[name] += 1
            return real(*args)

        monkeypatch.setattr(credentials, name, counted)
    return counts


async def cost(door: Door, work: Counter[str], key: bytes) -> dict[str, int]:
    """The hashes that one refusal takes."""
    work.clear()
    refused = await door.knock(key)
    assert isinstance(refused, Rejection)
    assert refused.reason == "wrong_password"
    return dict(work)


@pytest.mark.parametrize("kind", list(CredentialKind))
async def test_a_wrong_key_of_any_length_and_prefix_takes_the_same_path(
    harness: Harness, work: Counter[str], kind: CredentialKind
) -> None:
    """Before the right key was ever shown, and after it: nothing says how near a guess is."""
    harness.add_charge_point()
    door = Door(harness)
    door.give_key(KEY, kind)
    first = {frozenset((await cost(door, work, key)).items()) for key in WRONG}
    slow = {"_scrypt": 1} if kind is CredentialKind.IMPORTED else {"_hmac": 1}
    assert first == {frozenset(slow.items())}
    assert isinstance(await door.knock(KEY), Accept)
    later = {frozenset((await cost(door, work, key)).items()) for key in WRONG}
    assert later == {frozenset((slow | {"_hmac": 1}).items())}


async def test_an_unknown_identity_costs_no_check(harness: Harness, work: Counter[str]) -> None:
    """Its 404 says more than its timing (J §3.2)."""
    door = Door(harness)
    header = ("Authorization", "Basic " + base64.b64encode(b"CP9:" + KEY).decode())
    refused = await door.admission(UpgradeRequest("/CP9", (header,), ("ocpp1.6",), PEER, BASIC))
    assert isinstance(refused, Rejection)
    assert (refused.status, refused.reason) == (404, "unknown_identity")
    assert work == {}

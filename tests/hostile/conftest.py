"""One gateway for all attacks, with chargers that mind their own business on it; after each attack they are asked."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.endtoend.conftest import certificates, make_gateway
from tests.endtoend.gateway_process import Gateway
from tests.hostile.bystanders import Account, Bystanders
from tests.hostile.link import OPENED

__all__ = ["certificates", "make_gateway"]

MEGABYTE = 2**20

DEADLINE = 1.5
"""Of handshakes and heads here, in seconds."""

SETTINGS = {
    "sessions": {
        "tls_handshake_seconds": DEADLINE,
        "upgrade_seconds": DEADLINE,
        "write_seconds": 3,
        "max_concurrent_handshakes": 32,
        "max_bad_messages": 20,
    },
}
"""Shorter deadlines than those for weak links, so that the tests needn't wait for them; limits stay as they are."""

WORST = 10.0
"""Seconds: no bystander waits longer for a confirmation or a command's answer, whatever the attack. On an idle machine
it is a fiftieth of that, but this is no measurement: the machine may be busy with anything. A gateway that an attack
has stopped makes them wait for ever."""

GROWN = 288 * MEGABYTE
"""By how much the gateway's memory may grow over all attacks together: the database's page caches, which fill with
whatever is stored (64 MiB for writing, 4 for each of 8 readers), the events kept for watchers (8 MiB as stored, some
five times that as objects), and the one large message that is read at a time, 70 MiB at most (docs/limits.md), which
the allocator keeps for the next one; and a command of some megabytes to a charger that never reads, as arguments, event
and frame. Measured: 210 to 250 MiB. That this is a level and no slope is for ``test_exhaustion`` to show."""


class Scene:
    """The gateway under attack, and what it is compared with."""

    def __init__(self, gateway: Gateway, bystanders: Bystanders) -> None:
        self.gateway = gateway
        self.bystanders = bystanders
        self.memory_before = gateway.rss()
        self.accounts: list[tuple[str, Account]] = []
        self.violator = self.speaker = ""
        """Attackers that several tests share, once there are such."""
        self._attackers = 0

    def attacker(self) -> str:
        """A known charger that no other test uses."""
        self._attackers += 1
        identity = f"attacker-{self._attackers}"
        self.gateway.add_charge_point(identity)
        return identity

    def metric(self, name: str) -> float:
        """A metric's value; 0 if nothing was counted under it yet."""
        return metric(self.gateway, name)


def metric(gateway: Gateway, name: str) -> float:
    with urlopen(f"http://127.0.0.1:{gateway.metrics_port}/metrics", timeout=60) as answer:  # the test's own gateway
        for line in answer.read().decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
    return 0.0


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Scene]:
    gateway = Gateway(tmp_path_factory.mktemp("hostile"), certificates, settings=SETTINGS)
    gateway.start()
    try:
        bystanders = Bystanders(gateway, [f"bystander-{n}" for n in range(6)])
        try:
            scene = Scene(gateway, bystanders)
            yield scene
            grown = gateway.rss() - scene.memory_before
            if path := os.environ.get("HOSTILE_ACCOUNT"):
                reported = [f"{name}: {account}" for name, account in scene.accounts]
                Path(path).write_text(
                    "\n".join([*reported, json.dumps({"grown MiB": grown / MEGABYTE})]), encoding="utf-8"
                )
        finally:
            bystanders.stop()
        gateway.finish()
    finally:
        gateway.reap()


@pytest.fixture(autouse=True)
def _undisturbed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Before: no earlier trouble. After: the others have lost nothing, waited for nothing, and memory is bounded."""
    if "scene" not in request.fixturenames:
        yield
        return
    scene: Scene = request.getfixturevalue("scene")
    scene.bystanders.account()
    yield
    while OPENED:
        OPENED.pop().socket.close()
    account = scene.bystanders.account()
    scene.accounts.append((request.node.name, account))
    assert account.errors == []
    assert account.worst < WORST, str(account)
    assert account.worst_command < WORST, str(account)
    grown = scene.gateway.rss() - scene.memory_before
    assert grown < GROWN, f"{grown / MEGABYTE:.0f} MiB more"

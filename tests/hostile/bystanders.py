"""Chargers that mind their own business on a gateway that is being attacked, and an operator who commands them.

A process of their own (``python -m tests.hostile.bystanders``), so that what slows the attacker's process is not taken
for the gateway's doing. Settings come as a line of JSON; each further line asks for the account since the last one.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
from typing import Any, cast

import grpc
import trio
from attrs import define, field, frozen

from gateway.api.v1 import command_pb2_grpc
from tests.endtoend.asking import trigger
from tests.endtoend.charger import ANSWERS, Charger, now
from tests.endtoend.gateway_process import Gateway
from tests.endtoend.wire import Wire

PAUSE = 0.06
"""Seconds between a confirmation and the next message of one charger: below the rate at which it would be slowed."""

COMMAND_PAUSE = 0.2


@frozen
class Account:
    """The events since the last account. Latencies in seconds."""

    messages: int
    commands: int
    errors: list[str]
    median: float
    worst: float
    worst_command: float

    def __str__(self) -> str:
        return (
            f"{self.messages} messages, median {1000 * self.median:.1f} ms, worst {1000 * self.worst:.0f} ms; "
            f"{self.commands} commands, worst {1000 * self.worst_command:.0f} ms; {len(self.errors)} errors"
        )


class Bystanders:
    """The parent's handle of the process."""

    def __init__(self, gateway: Gateway, identities: list[str]) -> None:
        keys = {identity: gateway.add_with_new_key(identity).hex() for identity in identities}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.bystanders"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._ask({"port": gateway.port, "control": gateway.control_port, "ca": str(gateway.ca), "keys": keys})

    def account(self) -> Account:
        """The account since the last one."""
        return Account(**self._ask({}))

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(60)
        self._process.stdout.close()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the bystanders' process has ended"
        return cast("dict[str, Any]", json.loads(line))


# --- the process ----------------------------------------------------------------------------------------------


@define
class Site:
    """The part of a gateway that ``Wire`` and ``trigger`` need."""

    port: int
    tls: ssl.SSLContext
    commands: Any
    latencies: list[float] = field(factory=list)
    command_latencies: list[float] = field(factory=list)
    errors: list[str] = field(factory=list)

    def account(self) -> Account:
        latencies, commands, errors = sorted(self.latencies), self.command_latencies, self.errors
        self.latencies, self.command_latencies, self.errors = [], [], []
        middle = latencies[len(latencies) // 2] if latencies else 0.0
        worst = latencies[-1] if latencies else 0.0
        return Account(len(latencies), len(commands), errors, middle, worst, max(commands, default=0.0))


async def live(site: Site, identity: str, key: bytes) -> None:
    """One charger: heartbeats and a vendor's data in turn; any trouble is an error, and it connects anew."""
    while True:
        try:
            wire = await Wire.open(cast("Gateway", site), identity, key=key)
            async with trio.open_nursery() as nursery:
                charger = Charger(wire, dict(ANSWERS))
                nursery.start_soon(charger.read)
                await charger.boot()
                await exchange(site, charger)
        except* Exception as errors:
            site.errors.append(f"{identity}: {[repr(each) for each in errors.exceptions]}")
            await trio.sleep(0.1)


async def exchange(site: Site, charger: Charger) -> None:
    while True:
        for action, payload in (("Heartbeat", {}), ("DataTransfer", {"vendorId": "Bystander", "data": now()})):
            begin = time.perf_counter()
            with trio.fail_after(60):
                await charger.call(action, payload)
            site.latencies.append(time.perf_counter() - begin)
            await trio.sleep(PAUSE)


async def command(site: Site, identities: list[str]) -> None:
    await trio.sleep(1)
    while True:
        for identity in identities:
            begin = time.perf_counter()
            try:
                await trio.to_thread.run_sync(trigger, cast("Gateway", site), identity)
            except grpc.RpcError as error:
                site.errors.append(f"a command to {identity}: {error}")
            site.command_latencies.append(time.perf_counter() - begin)
            await trio.sleep(COMMAND_PAUSE)


async def main() -> None:
    settings = json.loads(await trio.to_thread.run_sync(sys.stdin.readline))
    site = Site(
        settings["port"],
        ssl.create_default_context(cafile=settings["ca"]),
        command_pb2_grpc.CommandServiceStub(grpc.insecure_channel(f"127.0.0.1:{settings['control']}")),
    )
    async with trio.open_nursery() as nursery:
        for identity, key in settings["keys"].items():
            nursery.start_soon(live, site, identity, bytes.fromhex(key))
        nursery.start_soon(command, site, list(settings["keys"]))
        while len(site.latencies) < len(settings["keys"]):  # noqa: ASYNC110 - until each has said something
            await trio.sleep(0.02)
        print("{}", flush=True)
        while await trio.to_thread.run_sync(sys.stdin.readline):
            account = site.account()
            print(json.dumps({name: getattr(account, name) for name in Account.__annotations__}), flush=True)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)

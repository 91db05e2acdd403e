"""Several processes on one machine as one service: one port for chargers, one for callers, one end."""

import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from gateway.api.v1 import command_pb2 as pb
from tests.endtoend.asking import in_thread
from tests.endtoend.charger import Charger, connect
from tests.endtoend.gateway_process import RPC_SECONDS, Gateway, MakeGateway, eventually
from tests.support import postgres

pytestmark = pytest.mark.postgres

PROCESSES = 2

FEWEST, CHARGERS = 6, 60
"""Until both processes have some."""


@pytest.fixture(scope="module")
def durable() -> Iterator[postgres.Server]:
    """A server that keeps what it is given."""
    postgres.require()
    with postgres.server(durable=True) as running:
        yield running


@pytest.fixture
def service(make_gateway: MakeGateway, durable: postgres.Server) -> Gateway:
    """A service of two processes."""
    store = {"url": durable.url(durable.database()), "durability": "local"}
    service = make_gateway(authorization={"unknown_tags": "Accepted"}, store=store)
    service.begin(arguments=("--processes", str(PROCESSES)))
    service.wait_until_it_serves()
    eventually("all processes", service.tail, lambda text: "all processes serve" in text)
    return service


def processes(service: Gateway) -> dict[str, int]:
    """The pids of the processes by name, the last one of each."""
    begun = [line for line in service.lines() if line.get("event") == "process begun"]
    return {line["process"]: line["pid"] for line in begun}


def sessions(service: Gateway, slot: int) -> float:
    """The sessions of a process, by its metrics: its port is the settings' and its slot."""
    url = f"http://127.0.0.1:{service.metrics_port + slot}/metrics"
    with urllib.request.urlopen(url, timeout=RPC_SECONDS) as answer:
        text = answer.read().decode()
    [line] = [each for each in text.splitlines() if each.startswith('gateway_sessions{state="accepted"}')]
    return float(line.split()[1])


async def booted(nursery: trio.Nursery, service: Gateway, identity: str, key: bytes) -> Charger:
    charger = await connect(nursery, service, identity, key=key)
    assert (await charger.boot())["status"] == "Accepted"
    return charger


def reloaded(service: Gateway) -> set[int]:
    """The slots of the processes that have read their certificates again."""
    return {line["slot"] for line in service.lines() if line.get("event") == "certificates reloaded"}


def ready(service: Gateway, slot: int) -> int:
    """Return the number of times that a slot's process has begun to serve."""
    return sum(line.get("event") == "gateway ready" and line.get("slot") == slot for line in service.lines())


def reset(service: Gateway, identity: str) -> Any:
    request = pb.ResetRequest(charge_point=identity, type=pb.RESET_TYPE_SOFT, request_id=uuid.uuid4().hex)
    return service.commands.Reset(request, timeout=RPC_SECONDS)


async def test_chargers_are_shared_and_any_process_answers_for_all(service: Gateway) -> None:
    """One that is killed is begun anew, its chargers come back; the others' sessions are not disturbed."""
    keys = {f"CP{n:02}": service.add_with_new_key(f"CP{n:02}") for n in range(CHARGERS)}
    before = await in_thread(processes, service)
    assert set(before) == {"nats", "1", "2"}
    async with trio.open_nursery() as nursery:
        chargers, of_each = dict[str, Charger](), [0.0, 0.0]
        for identity, key in keys.items():  # the kernel chooses, and a process that is slow gets few
            chargers[identity] = await booted(nursery, service, identity, key)
            of_each = [await in_thread(sessions, service, slot) for slot in (1, 2)]
            if len(chargers) >= FEWEST and min(of_each) > 0:
                break
        assert sum(of_each) == len(chargers)
        assert min(of_each) > 0
        for identity, charger in chargers.items():
            charger.answers["Reset"] = {"status": "Accepted"}
            await in_thread(reset, service, identity)
        os.kill(before["1"], signal.SIGKILL)
        with trio.fail_after(60):
            lost = [each for each, charger in chargers.items() if charger.ended is not None]
            while len(lost) < of_each[0]:
                await trio.sleep(0.05)
                lost = [each for each, charger in chargers.items() if charger.ended is not None]
        assert len(lost) == of_each[0]
        for identity in lost:
            chargers[identity] = await booted(nursery, service, identity, keys[identity])
        after = await in_thread(
            eventually, "a new process", lambda: processes(service), lambda now: now["1"] != before["1"]
        )
        assert after["2"] == before["2"]
        for identity, charger in chargers.items():
            assert charger.ended is None
            charger.answers["Reset"] = {"status": "Accepted"}
            await in_thread(reset, service, identity)
        await in_thread(eventually, "the new process serves", lambda: ready(service, 1), lambda times: times == 2)
        service.signal(signal.SIGHUP)
        await in_thread(eventually, "both reload", lambda: reloaded(service), lambda slots: slots == {1, 2})
        assert await in_thread(service.stop) == 0
        for charger in chargers.values():
            assert (await charger.sees_the_end()).args[0] == 1001
        nursery.cancel_scope.cancel()
    for pid in after.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert {line["slot"] for line in service.lines() if line.get("event") == "drained"} == {1, 2}
    assert any(line.get("setting") == 'store.durability = "local"' for line in service.lines())
    [error] = service.errors()
    assert '"process ended"' in error
    service.log.write_text("")  # the test has killed it


def test_processes_end_with_the_one_that_supervises_them(service: Gateway) -> None:
    """Killed: they notice at once, and drain."""
    pids = processes(service)
    service.kill()
    eventually("their end", lambda: [name for name, pid in pids.items() if _runs(pid)], lambda left: not left)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def refused(gateway: Gateway, count: int) -> str:
    """The words with which so many processes are refused."""
    gateway.log.touch()
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "serve", "--config", str(gateway.config), "--processes", str(count)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    return done.stdout + done.stderr


def test_settings_that_do_not_fit_are_refused_by_name(make_gateway: MakeGateway, durable: postgres.Server) -> None:
    """Before any process is begun; one that does not get through its start ends all."""
    assert "--processes: several processes share a database" in refused(make_gateway(), 2)
    of = {"url": durable.url(durable.database())}
    assert "--processes: expected 1 to 64, found 65" in refused(make_gateway(store=of), 65)
    assert "synchronous_standby_names is empty" in refused(make_gateway(store=of), 2)

"""Signals at any moment between the first line of `gateway serve` and the last: an orderly end, and exit code 0."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from tests.endtoend.asking import in_thread
from tests.endtoend.charger import chargers
from tests.endtoend.gateway_process import START_SECONDS, STOP_SECONDS, MakeGateway

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]

LAUNCHER = """
import atexit, os, signal, sys

where, number = sys.argv[1], int(sys.argv[2])
sys.argv = ["gateway", "serve", "--config", sys.argv[3]]


def send():
    os.kill(os.getpid(), number)


class Importing:
    def find_spec(self, name, path=None, target=None):
        if name == where:
            send()


class Destructor:
    def __del__(self, send=send, getpid=os.getpid, kill=os.kill, number=number):
        kill(getpid(), number)


if where == "atexit":
    atexit.register(send)
elif where == "destructor":
    late = Destructor()
else:
    sys.meta_path.insert(0, Importing())

from gateway.cli.main import run

run()
"""

EARLY = ["gateway.client", "gateway.cli.root", "gateway.app.settings", "gateway.app.serve", "gateway.control.server"]
"""Modules that are imported one after the other while `gateway serve` starts."""


def held(pid: int) -> bool:
    """Tell whether the process has handlers for the signals, as the kernel sees it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            caught = int(line.split()[1], 16)
            return all(caught >> (number - 1) & 1 for number in SIGNALS)
    return False


@pytest.mark.parametrize("where", EARLY)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=str)
def test_a_signal_while_it_loads_ends_it_with_0(make_gateway: MakeGateway, where: str, number: signal.Signals) -> None:
    """Nothing has begun, so nothing is to be ended; no port is opened for it."""
    gateway = make_gateway()
    gateway.log.touch()
    ended = subprocess.run(
        [sys.executable, "-c", LAUNCHER, where, str(int(number)), str(gateway.config)],
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "Traceback" not in ended.stderr
    assert "listening" not in ended.stderr


@pytest.mark.parametrize(
    ("where", "number"),
    [
        *((where, signal.SIGHUP) for where in EARLY),
        *((where, number) for where in ("atexit", "destructor") for number in SIGNALS),
    ],
    ids=str,
)
def test_a_signal_that_comes_too_early_or_too_late_changes_nothing(
    make_gateway: MakeGateway, where: str, number: signal.Signals
) -> None:
    """SIGHUP while it loads; any of them while Python takes itself down: it serves, and ends with 0."""
    gateway = make_gateway()
    launcher = LAUNCHER.replace("sys.argv[3]", "sys.argv[5]")  # behind `serve --config`
    gateway.start(launcher=[sys.executable, "-c", launcher, where, str(int(number))])
    assert gateway.stop() == 0


async def test_signals_all_the_time_from_the_start_to_the_end(make_gateway: MakeGateway) -> None:
    """SIGHUP while it starts and serves, then all three as fast as they can be sent: chargers go on until the first
    that means the end, and the exit code is 0."""
    gateway = make_gateway(drain={"deadline_seconds": 3})
    gateway.begin()
    until = time.monotonic() + START_SECONDS
    while not held(gateway.pid):
        assert time.monotonic() < until
        await trio.sleep(0.001)
    for _ in range(200):
        gateway.signal(signal.SIGHUP)
        await trio.sleep(0.005)
    await in_thread(gateway.wait_until_it_serves)
    gateway.add_charge_point("CP1")
    async with chargers(gateway, "CP1") as (charger,):
        for _ in range(20):
            gateway.signal(signal.SIGHUP)
            await charger.status("Available")
        pid = gateway.pid

        def storm() -> None:
            until = time.monotonic() + STOP_SECONDS
            for number in itertools.cycle([signal.SIGTERM, *SIGNALS]):
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    return
                if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                    return
                assert time.monotonic() < until
                time.sleep(0.0005)

        await in_thread(storm)
        assert await in_thread(gateway.wait) == 0


@pytest.mark.parametrize("milliseconds", range(0, 1000, 100))
def test_a_second_signal_at_any_time_after_the_first(make_gateway: MakeGateway, milliseconds: int) -> None:
    """Also when all has been said and the process is about to end, or has ended."""
    gateway = make_gateway()
    gateway.start()
    gateway.signal(signal.SIGTERM)
    time.sleep(milliseconds / 1000)
    gateway.signal(signal.SIGTERM)  # a process that has ended is still there, to be waited for
    assert gateway.wait() == 0

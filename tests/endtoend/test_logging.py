"""The log's reader is gone, asleep or out of room: chargers go on, nothing waits, and the gateway ends as it should."""

import fcntl
import os
import urllib.request
from collections.abc import Iterator
from functools import partial

import pytest

from tests.endtoend.asking import in_thread
from tests.endtoend.charger import CallError, Charger, chargers
from tests.endtoend.gateway_process import Gateway, MakeGateway
from tests.endtoend.wire import Refused, Wire

IDENTITIES = tuple(f"CP{number}" for number in range(10))


@pytest.fixture(params=["nobody reads", "the reader is gone", "the disk is full"])
def stderr(request: pytest.FixtureRequest) -> Iterator[int]:
    """A descriptor for standard error."""
    if request.param == "the disk is full":
        descriptor = os.open("/dev/full", os.O_WRONLY)
        yield descriptor
        os.close(descriptor)
        return
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    if request.param == "the reader is gone":
        os.close(reading)
    yield writing
    os.close(writing)
    if request.param != "the reader is gone":
        os.close(reading)


async def test_a_log_that_takes_nothing_holds_no_charger_up(make_gateway: MakeGateway, stderr: int) -> None:
    """Each connects again and again, which is logged, sends what is logged too, and is answered; the exit code is 0."""
    gateway = make_gateway(logging={"level": "debug"})
    await in_thread(partial(gateway.start, stderr=stderr))
    for identity in IDENTITIES:
        gateway.add_charge_point(identity)
    for _ in range(5):
        async with chargers(gateway, *IDENTITIES) as connected:
            for charger in connected:
                await works(charger)
        with pytest.raises(Refused):
            await Wire.open(gateway, "stranger")
    assert await in_thread(gateway.stop) == 0


async def works(charger: Charger) -> None:
    with pytest.raises(CallError):
        await charger.call("NoSuchAction", {})
    await charger.wire.send("no message at all")
    assert "currentTime" in await charger.call("Heartbeat", {})


async def test_what_was_not_written_is_written_when_the_reader_is_back(make_gateway: MakeGateway) -> None:
    """Within the queue's bound nothing is lost, and the lines are whole."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    gateway = make_gateway()
    try:
        await in_thread(partial(gateway.start, stderr=writing))
        for identity in IDENTITIES:
            gateway.add_charge_point(identity)
        for _ in range(5):
            async with chargers(gateway, *IDENTITIES) as connected:
                for charger in connected:
                    await works(charger)
        lines = b""
        while lines.count(b'"event": "charger connected"') < 5 * len(IDENTITIES):
            lines += await in_thread(os.read, reading, 65536)
        assert lines.count(b'"event": "malformed message"') >= 4 * len(IDENTITIES)
        assert b"log lines dropped" not in lines
        assert await in_thread(gateway.stop) == 0
    finally:
        os.close(reading)
        os.close(writing)


def test_dropped_lines_are_a_metric(gateway: Gateway) -> None:
    """There from the start, so that an alert can be made of it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.metrics_port}/metrics", timeout=60) as answer:
        assert b"\ngateway_log_lines_dropped_total 0.0\n" in answer.read()

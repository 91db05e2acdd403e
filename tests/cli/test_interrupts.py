"""Ctrl-C: a command that waited ends with 130 and without a traceback; one that is there to be ended, with 0."""

import _thread
import signal
import subprocess
import sys
import threading
import time

import pytest

from gateway.api.v1 import (
    charge_point_pb2,
    command_pb2,
    diagnostics_pb2,
    fleet_pb2,
    id_tag_pb2,
    transaction_pb2,
)
from tests.endtoend.gateway_process import Gateway, development_certificates

WAITING = {
    ("chargers", "list"): ("ListChargePoints", charge_point_pb2.ListChargePointsResponse),
    ("transactions", "list"): ("ListTransactions", transaction_pb2.ListTransactionsResponse),
    ("tags", "list"): ("ListIdTags", id_tag_pb2.ListIdTagsResponse),
    ("commands", "list"): ("ListCommands", command_pb2.ListCommandsResponse),
}
"""Commands of the kind that asks and shows, and what they ask."""


@pytest.mark.parametrize("arguments", WAITING, ids=" ".join)
def test_a_command_that_is_interrupted_ends_with_130(fake, run, arguments):
    """By convention: 128 and the signal's number."""
    method, response = WAITING[arguments]
    gone = threading.Event()

    def interrupt() -> None:
        time.sleep(0.2)
        _thread.interrupt_main()

    def wait(_, context):
        threading.Thread(target=interrupt, daemon=True).start()
        context.add_callback(gone.set)
        gone.wait(10)
        return response()

    fake.answers[method] = wait
    result = run(*arguments)
    assert result.exit_code == 130
    assert "Traceback" not in result.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_gateway_that_is_interrupted_drains_and_ends_with_0(tmp_path, number):
    """An interrupt asks it to, as SIGTERM does."""
    gateway = Gateway(tmp_path, development_certificates(tmp_path / "certs"))
    try:
        gateway.start()
        gateway.signal(number)
        assert gateway.wait() == 0
        assert gateway.errors() == []
    finally:
        gateway.reap()


def test_a_simulated_charger_that_is_interrupted_ends_with_0(tmp_path):
    """It is there to be ended."""
    started = subprocess.Popen(
        [sys.executable, "-m", "gateway", "simulate", "--url", "wss://127.0.0.1:1/", "--key-text", "0123456789abcdef"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    try:
        assert started.stderr is not None
        said = started.stderr.readline()
        started.send_signal(signal.SIGINT)
        rest = started.communicate(timeout=60)[1]
    finally:
        started.kill()
    assert "Traceback" not in said + rest
    assert (started.returncode, "interrupted" in rest) == (0, True), said + rest


def test_a_tap_is_there_to_be_ended_and_keeps_what_it_has_written(fake, run, tmp_path):
    """With the number of frames in the file."""
    path = tmp_path / "tap.jsonl"

    def frames(_, context):
        yield diagnostics_pb2.TapChargePointResponse(frames=[diagnostics_pb2.Frame(kind=1, text="[]")] * 2)
        gone = threading.Event()
        context.add_callback(gone.set)
        until = time.monotonic() + 10
        while path.read_text().count("\n") < 2 and time.monotonic() < until:
            time.sleep(0.01)
        _thread.interrupt_main()
        gone.wait(10)

    fake.answers["TapChargePoint"] = frames
    result = run("tap", "CP1", "--output", path)
    assert result.exit_code == 0, result.output
    assert f"2 frames in {path}" in " ".join(result.stderr.split())
    assert path.read_text().count("\n") == 2


def test_a_job_that_is_no_longer_followed_goes_on(fake, run):
    """The line says so, with the command that follows it again."""

    def jobs(_, context):
        gone = threading.Event()
        context.add_callback(gone.set)
        threading.Timer(0.2, _thread.interrupt_main).start()
        yield fleet_pb2.WatchFleetJobResponse(fleet_job=fleet_pb2.FleetJob(fleet_job_id="fleet_1"))
        gone.wait(10)

    fake.answers["GetFleetJob"] = fleet_pb2.GetFleetJobResponse(fleet_job={"fleet_job_id": "fleet_1"})
    fake.answers["WatchFleetJob"] = jobs
    result = run("fleet", "watch", "fleet_1")
    assert result.exit_code == 130
    assert "interrupted: it goes on; gateway fleet watch fleet_1 follows it" in result.stderr
    assert "Traceback" not in result.output

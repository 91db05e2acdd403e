"""`gateway demo`: the whole of it for real, and how it fails. These run a gateway process and take seconds each."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.cli.demo import environment, scenario
from gateway.cli.demo.environment import DemoFailed, GatewayProcess, free_ports


def test_the_demo_shows_the_main_job_and_ends_by_itself():
    """Without a terminal: exit code 0, each step printed, the gateway's exit code, too, and nothing left running."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "demo"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for part in (
        "booted and were accepted",
        "before the limit",
        "after the limit",
        "kWh recorded",
        "console shows them",
        "exit code 0",
    ):
        assert part in done.stdout


class Pretended:
    """A gateway or a console that is said to run; ``order`` notes what is done with it."""

    address = "http://127.0.0.1:4711/"
    order: list[str] = []

    @classmethod
    def start(cls, *arguments):
        return cls()

    def wait_ready(self, channel):
        pass

    def stop(self):
        self.order.append("stopped")
        return 0


class PretendedConsole(Pretended):
    """Its address is printed before anything stops."""

    def stop(self):
        self.order.append("console stopped")
        return 0


def test_on_a_terminal_the_consoles_address_is_printed_while_everything_is_live(tmp_path, monkeypatch, capsys):
    """The console serves for as long as the demo stays, and is stopped before the gateway."""
    monkeypatch.setattr(Pretended, "order", [])
    monkeypatch.setattr(scenario, "GatewayProcess", Pretended)
    monkeypatch.setattr(scenario, "ConsoleProcess", PretendedConsole)
    monkeypatch.setattr(scenario.Audience, "begin", lambda audience, gateway: None)
    monkeypatch.setattr(scenario, "_switch_on", lambda *arguments: None)
    monkeypatch.setattr(scenario, "_perform", lambda play: None)
    shown: list[str] = []

    def stay(play):
        shown.append("".join(capsys.readouterr()))
        Pretended.order.append("stayed")

    monkeypatch.setattr(scenario, "_stay", stay)
    scenario.show(tmp_path, stays=True)
    assert Pretended.address in " ".join(shown[0].split())
    assert Pretended.order[:3] == ["stayed", "console stopped", "stopped"]


def test_a_gateway_that_dies_is_a_failed_demo_with_its_log(tmp_path, monkeypatch, capsys):
    """The play ends at once, its log is shown, and no process stays."""
    started: list[GatewayProcess] = []

    def die(running: scenario.Scenario) -> None:
        started.append(running.process)
        running.process.process.kill()
        running.wait(lambda: False, "nothing")

    monkeypatch.setattr(scenario, "_perform", die)
    with pytest.raises(DemoFailed, match="the gateway ended with exit code -9"):
        scenario.show(tmp_path, stays=False)
    assert "gateway ready" in capsys.readouterr().err
    assert started[0].process.returncode == -9


def test_a_gateway_that_cannot_start_is_a_failed_demo_with_its_reason(tmp_path, monkeypatch, capsys):
    """Its output before it ended is in the log that is shown."""
    write = environment.write_files

    def spoil(*arguments):
        settings = write(*arguments)
        settings.write_text("nonsense = 1\n", encoding="utf-8")
        return settings

    monkeypatch.setattr(scenario, "write_files", spoil)
    with pytest.raises(DemoFailed, match="the gateway ended with exit code 1"):
        scenario.show(tmp_path, stays=False)
    assert "nonsense: unknown key" in capsys.readouterr().err


def test_a_step_that_does_not_happen_is_a_failed_demo(tmp_path, monkeypatch, capsys):
    """A limit that is accepted but not obeyed is found by the meter, and the gateway is ended in order."""
    processes: list[GatewayProcess] = []

    def wait_in_vain(running: scenario.Scenario) -> None:
        processes.append(running.process)
        running.wait(lambda: False, "HOME-1's meter to obey", seconds=0.5)

    monkeypatch.setattr(scenario, "_perform", wait_in_vain)
    with pytest.raises(DemoFailed, match=r"waited 0\.5 seconds for HOME-1's meter to obey"):
        scenario.show(tmp_path, stays=False)
    assert processes[0].process.returncode == 0


def test_a_demo_that_takes_too_long_has_failed(tmp_path, monkeypatch):
    """Its time is bounded as a whole, too."""
    monkeypatch.setattr(scenario, "PLAY_SECONDS", 0.0)
    with pytest.raises(DemoFailed, match="longer than 0 seconds"):
        scenario.show(tmp_path, stays=False)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_ended_leaves_no_gateway_behind(number):
    """A terminal that is closed, a kill, and one that can not be handled: its gateway stops, too."""
    with subprocess.Popen(
        [sys.executable, "-c", DEMO_WITH_DEFAULT_SIGNALS],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        try:
            said = ""
            while "gateway ready" not in said:
                line = demo.stdout.readline()
                assert line, f"the demo ended before its gateway was ready: {said}"
                said += line
            gateway = int(said.partition("gateway pid ")[2].split()[0])
            demo.send_signal(number)
            demo.stdout.read()
            assert demo.wait(60) == (-number if number == signal.SIGKILL else 128 + number)
            deadline = time.monotonic() + 60
            while is_running(gateway) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert not is_running(gateway)
        finally:
            demo.kill()


DEMO_WITH_DEFAULT_SIGNALS = """
import signal, sys
for number in (signal.SIGHUP, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)  # whatever the tests are run under (nohup)
from gateway.cli.demo import environment
start = environment.GatewayProcess.start.__func__
def shown(cls, settings):
    process = start(cls, settings)
    print("gateway pid", process.process.pid, flush=True)
    return process
environment.GatewayProcess.start = classmethod(shown)
sys.argv = ["gateway", "demo", "--stay"]
from gateway.cli.main import run
run()
"""


def is_running(pid: int) -> bool:
    """Tell whether the process exists and has not merely ended, waiting for its parent to collect it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_free_ports_differ():
    """Two listeners never get the same one."""
    assert len(set(free_ports(20))) == 20

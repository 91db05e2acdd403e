"""The number of log lines that chargers can cause, one by one and all together."""

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.session import fault_log
from gateway.session.fault_log import ALL_AT_ONCE, LINES_AT_ONCE, MAX_KEPT, SECONDS_A_LINE, FaultLog
from tests.support.harness import Harness, boot


async def test_a_charger_has_a_burst_and_then_a_line_a_minute(autojump_clock: MockClock) -> None:
    """Lines left out are counted in the next line."""
    lines = FaultLog()
    assert [lines.take("CP1") for _ in range(LINES_AT_ONCE + 5)] == [0] * LINES_AT_ONCE + [None] * 5
    assert lines.take("CP2") == 0
    await trio.sleep(SECONDS_A_LINE + 1)
    assert lines.take("CP1") == 5
    assert lines.take("CP1") is None


async def test_all_together_have_a_bound_too(autojump_clock: MockClock) -> None:
    """A firmware that goes wrong in thousands of chargers on one day."""
    lines = FaultLog()
    written = sum(lines.take(f"CP{n}") is not None for n in range(5_000))
    assert ALL_AT_ONCE <= written <= ALL_AT_ONCE + 1


async def test_chargers_are_forgotten(autojump_clock: MockClock) -> None:
    """Once their account is clear, or when there are too many."""
    lines = FaultLog()
    for n in range(MAX_KEPT + 500):
        lines.take(f"CP{n}")
    assert len(lines) <= MAX_KEPT
    await trio.sleep(SECONDS_A_LINE * LINES_AT_ONCE)
    for _ in range(MAX_KEPT):
        lines.take("CP")
    assert len(lines) == 1


async def test_the_one_that_goes_on_is_not_forgotten_for_those_that_came_once(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would have a new burst of lines whenever enough others have one."""
    monkeypatch.setattr(fault_log, "MAX_KEPT", 2)
    lines = FaultLog()
    taken = [lines.take("CP1") for _ in range(LINES_AT_ONCE + 1)]
    assert taken[-1] is None
    for n in range(5):
        assert lines.take(f"other {n}") == 0
        assert lines.take("CP1") is None
    assert len(lines) == 2


async def test_connections_of_a_charge_point_share_its_lines(harness: Harness, autojump_clock: MockClock) -> None:
    """It brings about no more of them by coming back."""
    harness.add_charge_point()
    with capture_logs() as logs:
        for _ in range(3):
            async with harness.connected() as charger:
                await boot(charger)
                for _ in range(LINES_AT_ONCE // 2):
                    await charger.send_raw("no json")
                    await charger.call("Heartbeat", {})
    assert sum(each["event"] == "malformed message" for each in logs) == LINES_AT_ONCE

"""A bug of the gateway's while it handles a message: what the charger hears of it, and what it still holds.

Start, Stop and MeterValues are kept by the charger until they are confirmed (S §3.7.1); a CALLERROR would make some
chargers give them up. So they are answered nothing, and the charger says them again on its next connection.
"""

from collections import Counter
from typing import Any

import pytest
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.domain import events as e
from gateway.session.fault_log import LINES_AT_ONCE
from tests.support.harness import Harness, boot
from tests.support.wire import ScriptedCharger

TIME = "2026-03-01T12:00:00Z"
START = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": TIME}
KEPT: dict[str, Any] = {
    "StartTransaction": START | {"connectorId": 2},
    "StopTransaction": {"transactionId": 1, "meterStop": 200, "timestamp": TIME},
    "MeterValues": {
        "connectorId": 1,
        "transactionId": 1,
        "meterValue": [{"timestamp": TIME, "sampledValue": [{"value": "150"}]}],
    },
}
"""What a charger keeps until it is confirmed: by hand, after S §3.7.1."""

NOT_KEPT: dict[str, Any] = {
    "Authorize": {"idTag": "TAG"},
    "StatusNotification": {"connectorId": 1, "errorCode": "NoError", "status": "Faulted"},
    "DataTransfer": {"vendorId": "V"},
    "Heartbeat": {},
    "BootNotification": {"chargePointVendor": "V", "chargePointModel": "M"},
    "DiagnosticsStatusNotification": {"status": "Idle"},
    "FirmwareStatusNotification": {"status": "Idle"},
}

EVENTS = {
    "StartTransaction": e.TransactionStarted.TYPE,
    "StopTransaction": e.TransactionStopped.TYPE,
    "MeterValues": e.MeterValuesReported.TYPE,
}

STEPS = ("query", "decide")
"""Of a protocol's, the steps that follow the reading of a message."""


class Broken:
    """The protocol, with a bug in one step for one action, until it is mended."""

    def __init__(self, harness: Harness, action: str, step: str) -> None:
        self._protocol = harness.protocol
        self._action = action
        self._step = step
        self.mended = False
        harness.protocol = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        sound = getattr(self._protocol, name)
        if name != self._step:
            return sound

        def step(state: object, request: Any, *more: object) -> object:
            if request.action == self._action and not self.mended:
                raise ZeroDivisionError("a bug")
            return sound(state, request, *more)

        return step


async def charging(charger: ScriptedCharger) -> None:
    await boot(charger)
    assert (await charger.call("StartTransaction", START))["idTagInfo"]["status"] == "Accepted"


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("action", KEPT)
async def test_what_a_charger_keeps_is_never_answered_callerror_for_a_bug(
    harness: Harness, autojump_clock: MockClock, action: str, step: str
) -> None:
    """No answer at all and 1011; mended, the same message is taken on the next connection."""
    harness.add_charge_point()
    harness.add_tag("TAG")
    async with harness.connected() as charger:
        await charging(charger)
    broken = Broken(harness, action, step)
    before = len(harness.events(EVENTS[action]))
    async with harness.connected() as charger:
        await charger.send(2, "m", action, KEPT[action])
        assert await charger.sees_the_end() == (1011, "internal-error")
        charger.gone = True
        assert [frame for frame in charger._held if frame[1] == "m"] == []
    assert len(harness.events(EVENTS[action])) == before

    broken.mended = True
    async with harness.connected() as charger:
        assert (await charger.call_frame(action, KEPT[action], "m"))[0] == 3
    assert len(harness.events(EVENTS[action])) == before + 1


@pytest.mark.parametrize("action", KEPT)
async def test_a_bug_in_what_a_message_rests_on_is_no_callerror_either(
    harness: Harness, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """A bug in a lookup, and in the journal's write."""
    harness.add_charge_point()
    harness.add_tag("TAG")
    async with harness.connected() as charger:
        await charging(charger)

        def fails(*_: object, **__: object) -> Any:
            raise LookupError("a bug")

        for name in ("read", "commit", "submit"):
            monkeypatch.setattr(harness.journal, name, fails)
        await charger.send(2, "m", action, KEPT[action])
        assert await charger.sees_the_end() == (1011, "internal-error")
        charger.gone = True
        assert [frame for frame in charger._held if frame[1] == "m"] == []
    monkeypatch.undo()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("action", NOT_KEPT)
async def test_a_bug_with_any_other_message_costs_that_message_alone(
    harness: Harness, autojump_clock: MockClock, action: str, step: str
) -> None:
    """InternalError, and the session goes on."""
    harness.add_charge_point()
    harness.add_tag("TAG")
    async with harness.connected() as charger:
        await charging(charger)
    broken = Broken(harness, action, step)
    async with harness.connected() as charger:
        frame = await charger.call_frame(action, NOT_KEPT[action])
        assert frame[:2] == [4, "InternalError"]
        assert "ZeroDivisionError" not in str(frame)
        broken.mended = True
        assert (await charger.call_frame(action, NOT_KEPT[action]))[0] == 3


async def test_a_bug_that_one_charger_brings_about_again_and_again_does_not_hide_anothers(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Each has lines of the log of its own."""
    for identity in ("CP1", "CP2"):
        harness.add_charge_point(identity)
    async with harness.connected("CP1") as first, harness.connected("CP2") as second:
        for charger in (first, second):
            await boot(charger)
        Broken(harness, "Heartbeat", "decide")
    with capture_logs() as logs:
        async with harness.connected("CP1") as first, harness.connected("CP2") as second:
            for _ in range(2 * LINES_AT_ONCE):
                assert (await first.call_frame("Heartbeat", {}))[:2] == [4, "InternalError"]
            assert (await second.call_frame("Heartbeat", {}))[:2] == [4, "InternalError"]
    lines = Counter(line["charge_point"] for line in logs if line["event"] == "handler failed")
    assert lines == {"CP1": LINES_AT_ONCE, "CP2": 1}

"""A recorded tap, played back to another gateway: what was tapped becomes a test."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from gateway.observability.frame_log import FrameLog
from gateway.simulator import replay, rpc
from gateway.simulator.replay import RecordedFrame, Replay, Step, read_recording
from gateway.simulator.session import CallFailed, CallRefused
from gateway.transport.api import Peer
from tests.support.harness import BOOT, Harness, virtual_clock
from tests.support.wire import ScriptedCharger

PEER_LINE = '{"kind": "connected", "text": "127.0.0.1 port 5"}'
TIME = "2026-03-01T12:00:00Z"


async def as_simulator(charger: ScriptedCharger, action: str, payload: Any) -> dict[str, Any]:
    """Call as a simulator's session does."""
    kind, *rest = await charger.call_frame(action, payload)
    if kind == 4:
        raise CallRefused(rest[0], rest[1])
    answered: dict[str, Any] = rest[0]
    return answered


async def test_a_tapped_charge_becomes_a_recording_that_another_gateway_answers_alike(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Its transaction has another number there; a tag that is not known there is answered otherwise, and that shows."""

    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first = Harness(tmp_path / "first")
    log = FrameLog(virtual_clock, 20)
    ring = log.opened("CP1", Peer("127.0.0.1", 5, "TLSv1.3", "x", None))
    assert ring is not None
    first.frames = ring
    first.asks_nothing()
    first.add_charge_point()
    first.add_tag("TAG")
    lines = [PEER_LINE]
    with log.tapped("CP1") as tap:
        assert tap is not None
        async with first.connected() as charger:
            await charger.call("BootNotification", BOOT)
            start = {"connectorId": 1, "idTag": "TAG", "meterStart": 0, "timestamp": TIME}
            number = (await charger.call("StartTransaction", start))["transactionId"]
            stop = {"transactionId": number, "meterStop": 500, "timestamp": TIME}
            await charger.call("StopTransaction", stop)
            await charger.call("Authorize", {"idTag": "TAG"})
        while tap.waiting:
            lines += [json.dumps({"kind": each.kind.value, "text": each.text}) for each in (await tap.next()).frames]
    first.store.close()

    second = Harness(tmp_path / "second")
    second.asks_nothing()
    second.add_charge_point()
    for _ in range(7):
        await second._number()
    steps: list[Step] = []
    playback = Replay(read_recording(lines))
    async with second.connected() as charger:
        await playback.run(lambda action, payload: as_simulator(charger, action, payload), steps.append)
    assert [each.action for each in steps] == ["BootNotification", "StartTransaction", "StopTransaction", "Authorize"]
    assert [each.differs for each in steps] == [False, True, False, True]
    (stopped,) = second.events("transaction.stopped")
    (started,) = second.events("transaction.started")
    assert stopped.transaction_id == started.transaction_id
    second.store.close()


def recorded(*frames: tuple[str, str]) -> Replay:
    return Replay(RecordedFrame(kind, text) for kind, text in frames)


def test_the_gateway_is_answered_as_it_was_in_the_recording() -> None:
    """By action, in order; what was not asked then is not supported, and what can't be read is passed over."""
    playback = recorded(
        ("sent", '[2,"a","Reset",{"type":"Soft"}]'),
        ("received", "not JSON"),
        ("received", '[3,"a",{"status":"Accepted"}]'),
        ("sent", '[2,"b","Reset",{"type":"Soft"}]'),
        ("received", '[4,"b","InternalError","no",{}]'),
        ("received", '[3,"c",{}]'),
        ("closed", "by the charger: 1000"),
    )
    assert len(playback) == 0
    answers = [json.loads(playback.reply(rpc.Call(each, "Reset", {})).frame) for each in ("x", "y", "z")]
    assert answers[0] == [3, "x", {"status": "Accepted"}]
    assert answers[1][:3] == [4, "y", "InternalError"]
    assert answers[2][:3] == [4, "z", "NotSupported"]
    playback.reply(rpc.Call("q", "ClearCache", {})).then()


async def test_a_refusal_is_shown_and_the_rest_goes_on(autojump_clock: MockClock) -> None:
    """A CALLERROR, or no answer in time."""
    playback = recorded(
        ("received", '[2,"1","Heartbeat",{}]'),
        ("sent", '[3,"1",{"currentTime":"x"}]'),
        ("received", '[2,"2","Heartbeat",[]]'),
    )
    steps: list[Step] = []

    async def refuses(action: str, payload: Any) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        raise CallFailed("no answer")

    await playback.run(refuses, steps.append)
    assert [(each.answered, each.refused, each.differs) for each in steps] == [
        (None, "no answer", True),
        (None, "no answer", False),
    ]


async def test_a_refusal_of_the_recording_is_held_against_the_answer(autojump_clock: MockClock) -> None:
    """A mended fault shows, also of a charger whose messages all have one id."""
    playback = recorded(
        ("received", '[2,"1","Heartbeat",{}]'),
        ("sent", '[4,"1","InternalError","the gateway failed",{}]'),
        ("received", '[2,"1","Authorize",{"idTag":"T"}]'),
        ("sent", '[3,"1",{"idTagInfo":{"status":"Blocked"}}]'),
        ("received", '[2,"1","NoSuch",{}]'),
        ("sent", '[4,"1","NotImplemented","",{}]'),
    )
    steps: list[Step] = []

    async def answers(action: str, payload: Any) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        if action == "NoSuch":
            raise CallRefused("NotImplemented", "")
        return {"idTagInfo": {"status": "Blocked"}} if action == "Authorize" else {"currentTime": "x"}

    await playback.run(answers, steps.append)
    assert [(each.was_refused, each.refused, each.differs) for each in steps] == [
        ("InternalError: the gateway failed", "", True),
        ("", "", False),
        ("NotImplemented", "NotImplemented", False),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: expected an object with kind"),
        ('{"kind": "heard", "text": ""}', "line 2: expected an object with kind"),
        ('{"kind": "sent", "text": 5}', "line 2: expected an object with kind"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_by_its_line(line: str, said: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match=said):
        read_recording([PEER_LINE, line])
    assert len(read_recording([PEER_LINE, "", PEER_LINE])) == 2


def test_a_recording_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong file fills no memory."""
    monkeypatch.setattr(replay, "MAX_FRAMES", 2)
    with pytest.raises(ValueError, match="line 3: a recording has at most 2 frames"):
        read_recording([PEER_LINE] * 3)


@given(st.lists(st.text(max_size=40), max_size=4))
def test_whatever_a_file_holds_it_is_read_or_refused(lines: list[str]) -> None:
    """With ValueError, and nothing else."""
    try:
        Replay(read_recording(lines))
    except ValueError:
        pass


@given(st.lists(st.tuples(st.sampled_from(sorted(replay.KINDS)), st.text(max_size=40)), max_size=5))
def test_whatever_was_recorded_can_be_played(frames: list[tuple[str, str]]) -> None:
    """Frames of any text."""
    playback = recorded(*frames)
    playback.reply(rpc.Call("1", "Reset", {}))

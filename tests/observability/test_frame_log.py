"""The last frames of each charger: in order, within bounds, without secrets, and there after it went."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.domain.diagnostics import FrameKind, KeptFrame
from gateway.observability.frame_log import MAX_FRAME_BYTES, MAX_GONE, MAX_RING_BYTES, FrameLog, FrameRing
from gateway.transport.api import Peer
from tests.support.harness import EPOCH, virtual_clock

PEER = Peer("127.0.0.1", 50000, "TLSv1.3", "TLS_AES_128_GCM_SHA256", None)
KEY = "4f43415050536563726574304b657931"


@pytest.fixture
def frames() -> FrameLog:
    return FrameLog(virtual_clock, 20)


@contextmanager
def connection(frames: FrameLog, identity: str = "CP1") -> Iterator[FrameRing]:
    """The ring that a session would add to, until its connection is over."""
    try:
        ring = frames.opened(identity, PEER)
        assert ring is not None
        yield ring
    finally:
        frames.over(identity)


def kept(frames: FrameLog, identity: str = "CP1") -> list[KeptFrame]:
    """The frames kept of a known charge point."""
    found = frames.of(identity)
    assert found is not None
    return found


def shown(frames: FrameLog, identity: str = "CP1") -> list[tuple[Any, str]]:
    return [(each.kind, each.text) for each in kept(frames, identity)]


async def test_frames_are_shown_with_their_times_and_sizes(frames: FrameLog, autojump_clock: MockClock) -> None:
    """Both directions and the ends of the connection, in order."""
    with connection(frames) as ring:
        await trio.sleep(5)
        ring.add(FrameKind.RECEIVED, b'[2, "1","Heartbeat",{}]')
        ring.add(FrameKind.SENT, b'[3,"1",{"currentTime":"2026-03-01T12:00:05Z"}]')
        ring.add_end("peer", 1000, "bye")
    assert shown(frames) == [
        (FrameKind.CONNECTED, "127.0.0.1 port 50000, TLSv1.3"),
        (FrameKind.RECEIVED, '[2, "1","Heartbeat",{}]'),
        (FrameKind.SENT, '[3,"1",{"currentTime":"2026-03-01T12:00:05Z"}]'),
        (FrameKind.CLOSED, "by the charger: 1000 bye"),
    ]
    first, second, *_ = kept(frames)
    assert first.at == EPOCH
    assert (second.at - EPOCH).total_seconds() == 5
    assert (second.size, second.cut, second.redacted) == (23, False, False)


async def test_frames_are_dated_by_the_clock_that_the_log_is_given() -> None:
    """The process's own, which costs a message less than Trio's."""
    now = [100.0]
    frames = FrameLog(lambda: EPOCH + timedelta(seconds=now[0]), 20, lambda: now[0])
    with connection(frames) as ring:
        now[0] += 5
        ring.add(FrameKind.RECEIVED, b"[2]")
        now[0] += 60
    assert [(each.at - EPOCH).total_seconds() for each in kept(frames)] == [100, 105]


async def test_a_charger_that_comes_back_continues_its_story(frames: FrameLog) -> None:
    """Its going and its coming back stand together; while both connections live, too."""
    with connection(frames) as old:
        with connection(frames) as new:
            new.add(FrameKind.SENT, b"[3]")
        old.add_end("local", 1008, "replaced")
    with connection(frames):
        pass
    kinds = [kind for kind, _ in shown(frames)]
    assert kinds == [
        FrameKind.CONNECTED,
        FrameKind.CONNECTED,
        FrameKind.SENT,
        FrameKind.CLOSED,
        FrameKind.CONNECTED,
    ]


async def test_only_the_last_frames_are_kept_and_long_ones_are_cut(frames: FrameLog) -> None:
    """By number, by length, and by the bytes of all."""
    with connection(frames) as ring:
        for number in range(30):
            ring.add(FrameKind.SENT, b"[3,%d]" % number)
        assert [text for _, text in shown(frames)] == [f"[3,{number}]" for number in range(10, 30)]
        long = '[2,"1","DataTransfer",{"data":"' + "x" * 100_000
        ring.add(FrameKind.RECEIVED, long.encode())
        last = kept(frames)[-1]
        assert last.text == long[:MAX_FRAME_BYTES]
        assert (last.size, last.cut) == (len(long), True)
        for _ in range(10):
            ring.add(FrameKind.RECEIVED, long.encode())
        assert sum(len(each.text) for each in kept(frames)) <= MAX_RING_BYTES


async def test_charge_points_that_went_are_remembered_within_bounds(frames: FrameLog) -> None:
    """The longest gone go first; live ones never do."""
    with connection(frames, "LIVE"):
        for number in range(MAX_GONE + 5):
            with connection(frames, f"CP{number}"):
                pass
        assert frames.of("CP4") is None
        assert frames.of("CP5") is not None
        assert frames.of("LIVE") is not None
    assert frames.of("CP5") is None


async def test_a_key_leaves_neither_with_its_command_nor_with_the_charger_s_echo(frames: FrameLog) -> None:
    """Though the command itself has long been pushed out: by then the charger repeats it (A7.9)."""
    with connection(frames) as ring:
        command = {"key": "AuthorizationKey", "value": KEY}
        ring.add_command(json.dumps([2, "1", "ChangeConfiguration", command]).encode())
        assert shown(frames)[-1][1] == '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"(redacted)"}]'
        assert kept(frames)[-1].redacted
        for _ in range(40):
            ring.add(FrameKind.SENT, b'[3,"x",{}]')
        ring.add(FrameKind.RECEIVED, f'[4,"1","GenericError","cannot set {KEY.upper()}",{{"was":"{KEY}"'.encode())
    assert KEY not in str(frames.of("CP1")).lower()
    assert shown(frames)[-1][1] == '[4,"1","GenericError","cannot set (redacted)",{"was":"(redacted)"'


async def test_what_a_charger_reports_of_its_key_is_taken_out_of_all_frames(frames: FrameLog) -> None:
    """Also of those before."""
    answer = ["3", "1", {"configurationKey": [{"key": "AuthorizationKey", "value": KEY}]}]
    with connection(frames) as ring:
        ring.add(FrameKind.RECEIVED, f'[2,"1","DataTransfer",{{"vendorId":"v","data":"{KEY}"}}]'.encode())
        ring.add(FrameKind.RECEIVED, json.dumps(answer).encode())
    assert KEY not in str(frames.of("CP1"))


async def test_nothing_is_kept_where_the_setting_is_0() -> None:
    """No ring, and nothing to be shown."""
    frames = FrameLog(virtual_clock, 0)
    assert frames.opened("CP1", PEER) is None
    frames.over("CP1")
    assert frames.of("CP1") is None
    assert not frames.kept

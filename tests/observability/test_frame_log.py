"""The last frames of each charger: in order, within bounds, without secrets, and there after it went."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.domain.diagnostics import FrameKind, KeptFrame
from gateway.observability.frame_log import MAX_FRAME_BYTES, MAX_GONE, MAX_RING_BYTES, FrameLog
from gateway.transport.api import ConnectionClosed, Transport
from tests.support.harness import EPOCH, virtual_clock
from tests.support.wire import FakeTransport, ScriptedCharger

KEY = "4f43415050536563726574304b657931"


@contextmanager
def recorded(frames: FrameLog, identity: str, wire: FakeTransport) -> Iterator[Transport]:
    """A connection's transport, until it is over."""
    try:
        yield frames.recorded(identity, wire)
    finally:
        frames.over(identity)


@pytest.fixture
def frames() -> FrameLog:
    return FrameLog(virtual_clock, 20)


@asynccontextmanager
async def connection(frames: FrameLog, identity: str = "CP1") -> AsyncIterator[tuple[ScriptedCharger, Transport]]:
    """A charger, and the transport that a session would have."""
    wire = FakeTransport()
    with recorded(frames, identity, wire) as transport:
        yield ScriptedCharger(wire), transport


def kept(frames: FrameLog, identity: str = "CP1") -> list[KeptFrame]:
    """The frames kept of a known charge point."""
    found = frames.of(identity)
    assert found is not None
    return found


def shown(frames: FrameLog, identity: str = "CP1") -> list[tuple[Any, str]]:
    return [(each.kind, each.text) for each in kept(frames, identity)]


async def test_a_connection_is_reported_from_its_beginning_to_its_end(
    frames: FrameLog, autojump_clock: MockClock
) -> None:
    """Both directions, in order, and why it went, though it is gone."""
    async with connection(frames) as (charger, transport):
        await trio.sleep(5)
        await charger.send_raw('[2, "1","Heartbeat",{}]')
        assert await transport.receive() == b'[2, "1","Heartbeat",{}]'
        await transport.send(b'[3,"1",{"currentTime":"2026-03-01T12:00:05Z"}]')
        await charger.hang_up(1000, "bye")
        with pytest.raises(ConnectionClosed):
            await transport.receive()
        await transport.aclose(1000, "")
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


async def test_what_the_gateway_closed_says_so(frames: FrameLog) -> None:
    """With the code and reason that the charger was given."""
    async with connection(frames) as (_, transport):
        await transport.aclose(1001, "silent")
    assert shown(frames)[-1] == (FrameKind.CLOSED, "by the gateway: 1001 silent")


async def test_a_link_that_broke_on_sending_is_not_reported_as_the_gateway_s_doing(frames: FrameLog) -> None:
    """Also if the session notices it first."""
    async with connection(frames) as (charger, transport):
        await charger.lose_link()
        with pytest.raises(ConnectionClosed):
            await transport.send(b"[3]")
        await transport.aclose(1000, "")
    assert shown(frames)[-1] == (FrameKind.CLOSED, "by the network: 1006 connection reset")


async def test_a_charger_that_comes_back_continues_its_story(frames: FrameLog) -> None:
    """Its going and its coming back stand together; while both connections live, too."""
    async with connection(frames) as (_, old):
        async with connection(frames) as (_, new):
            await new.send(b"[3]")
        await old.aclose(1008, "replaced")
    async with connection(frames):
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
    async with connection(frames) as (charger, transport):
        for number in range(30):
            await transport.send(b"[3,%d]" % number)
        assert [text for _, text in shown(frames)] == [f"[3,{number}]" for number in range(10, 30)]
        long = '[2,"1","DataTransfer",{"data":"' + "x" * 100_000
        await charger.send_raw(long)
        await transport.receive()
        last = kept(frames)[-1]
        assert last.text == long[:MAX_FRAME_BYTES]
        assert (last.size, last.cut) == (len(long), True)
        for _ in range(10):
            await charger.send_raw(long)
            await transport.receive()
        assert sum(len(each.text) for each in kept(frames)) <= MAX_RING_BYTES


async def test_charge_points_that_went_are_remembered_within_bounds(frames: FrameLog) -> None:
    """The longest gone go first; live ones never do."""
    async with connection(frames, "LIVE"):
        for number in range(MAX_GONE + 5):
            async with connection(frames, f"CP{number}"):
                pass
        assert frames.of("CP4") is None
        assert frames.of("CP5") is not None
        assert frames.of("LIVE") is not None
    assert frames.of("CP5") is None


async def test_a_key_leaves_neither_with_its_command_nor_with_the_charger_s_echo(frames: FrameLog) -> None:
    """Though the command itself has long been pushed out: by then the charger repeats it (A7.9)."""
    async with connection(frames) as (charger, transport):
        command = {"key": "AuthorizationKey", "value": KEY}
        await transport.send(json.dumps([2, "1", "ChangeConfiguration", command]).encode())
        assert shown(frames)[-1][1] == '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"(redacted)"}]'
        assert kept(frames)[-1].redacted
        for _ in range(40):
            await transport.send(b'[3,"x",{}]')
        await charger.send_raw(f'[4,"1","GenericError","cannot set {KEY.upper()}",{{"was":"{KEY}"')
        await transport.receive()
    assert KEY not in str(frames.of("CP1")).lower()
    assert shown(frames)[-1][1] == '[4,"1","GenericError","cannot set (redacted)",{"was":"(redacted)"'


async def test_what_a_charger_reports_of_its_key_is_taken_out_of_all_frames(frames: FrameLog) -> None:
    """Also of those before."""
    async with connection(frames) as (charger, transport):
        await charger.send_raw(f'[2,"1","DataTransfer",{{"vendorId":"v","data":"{KEY}"}}]')
        await charger.send("3", "1", {"configurationKey": [{"key": "AuthorizationKey", "value": KEY}]})
        await transport.receive()
        await transport.receive()
    assert KEY not in str(frames.of("CP1"))


async def test_the_transport_is_otherwise_the_one_it_wraps(frames: FrameLog) -> None:
    """Callers notice no difference."""
    wire = FakeTransport()
    with recorded(frames, "CP1", wire) as transport:
        assert (transport.peer, transport.subprotocol) == (wire.peer, wire.subprotocol)
        assert transport.last_heard == wire.last_heard
        await transport.ping()
        assert wire.pings == 1


async def test_nothing_is_kept_where_the_setting_is_0() -> None:
    """Not even a wrapper."""
    frames = FrameLog(virtual_clock, 0)
    wire = FakeTransport()
    with recorded(frames, "CP1", wire) as transport:
        assert transport is wire
    assert frames.of("CP1") is None
    assert not frames.kept

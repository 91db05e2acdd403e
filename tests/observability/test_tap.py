"""A tap: frames of one charge point as they come, in order, bounded, without secrets, and at no cost without one."""

import json
from contextlib import ExitStack

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.domain.diagnostics import FrameKind
from gateway.observability import tap
from gateway.observability.frame_log import FrameLog, FrameRing
from gateway.observability.tap import AT_ONCE, MAX_TAPPED_BYTES, MAX_TAPS, MAX_WAITING, MAX_WAITING_BYTES, Tap
from tests.observability.test_frame_log import KEY, PEER, connection
from tests.support.harness import virtual_clock

HEARTBEAT = b'[2,"1","Heartbeat",{}]'


@pytest.fixture
def frames() -> FrameLog:
    return FrameLog(virtual_clock, 3)


async def texts(tapped: Tap | None) -> list[str]:
    assert tapped is not None
    return [each.text for each in (await tapped.next()).frames]


async def test_frames_come_in_order_whatever_becomes_of_the_connection(
    frames: FrameLog, autojump_clock: MockClock
) -> None:
    """Of this one, and of the next; none of other charge points, and none of before."""
    with connection(frames) as ring:
        ring.add(FrameKind.RECEIVED, b"before")
        with frames.tapped("CP1") as tapped:
            ring.add(FrameKind.RECEIVED, HEARTBEAT)
            ring.add_command(b'[2,"2","ClearCache",{}]')
            ring.add_end("peer", 1000, "")
            frames.over("CP1")
            with connection(frames, "CP2") as other:
                other.add(FrameKind.RECEIVED, b"other")
            with connection(frames) as again:
                again.add(FrameKind.SENT, b"answer")
                assert await texts(tapped) == [
                    HEARTBEAT.decode(),
                    '[2,"2","ClearCache",{}]',
                    "by the charger: 1000",
                    "127.0.0.1 port 50000, TLSv1.3",
                    "answer",
                ]
            frames.opened("CP1", PEER)  # the first connection's end closes it


async def test_a_ring_is_a_plain_one_but_while_a_tap_is_open(frames: FrameLog, autojump_clock: MockClock) -> None:
    """Without a tap there is nothing to ask for each frame."""
    with connection(frames) as ring:
        assert type(ring) is FrameRing
        with frames.tapped("CP1"):
            assert type(ring) is not FrameRing
            with frames.tapped("CP1") as second:
                ring.add(FrameKind.RECEIVED, HEARTBEAT)
                assert await texts(second) == [HEARTBEAT.decode()]
            assert frames.taps == 1
        assert type(ring) is FrameRing
        assert frames.taps == 0
        assert ring.taps == ()


async def test_no_secret_comes_through(frames: FrameLog, autojump_clock: MockClock) -> None:
    """Neither one that is sent, nor what a charger repeats of it, now or later, nor one that it reports itself."""
    change = [2, "1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": KEY}]
    reported = [3, "2", {"configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": "abcdefgh1234"}]}]
    with connection(frames) as ring:
        ring.add_command(json.dumps(change).encode())
        with frames.tapped("CP1") as tapped:
            ring.add(FrameKind.RECEIVED, f'[4,"1","InternalError","{KEY.lower()}",{{}}]'.encode())
            ring.add(FrameKind.RECEIVED, json.dumps(reported).encode())
            ring.add(FrameKind.RECEIVED, b'[2,"3","DataTransfer",{"vendorId":"abcdefgh1234"}]')
            assert tapped is not None
            batch = await tapped.next()
    shown = " ".join(each.text for each in batch.frames)
    assert len(batch.frames) == 3
    assert KEY.lower() not in shown.lower()
    assert "abcdefgh1234" not in shown
    assert all(each.redacted for each in batch.frames)


async def test_a_key_that_was_named_before_the_tap_is_known_to_it(frames: FrameLog, autojump_clock: MockClock) -> None:
    """From the frames that are kept."""
    reported = [3, "2", {"configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": "abcdefgh1234"}]}]
    with connection(frames) as ring:
        ring.add(FrameKind.RECEIVED, json.dumps(reported).encode())
        with frames.tapped("CP1") as tapped:
            ring.add(FrameKind.RECEIVED, b"now abcdefgh1234")
            assert await texts(tapped) == ["now (redacted)"]


async def test_a_slow_reader_loses_frames_and_learns_how_many(frames: FrameLog, autojump_clock: MockClock) -> None:
    """The charge point waits for none of it."""
    with connection(frames) as ring, frames.tapped("CP1") as tapped:
        assert tapped is not None
        for _ in range(MAX_WAITING + 7):
            ring.add(FrameKind.RECEIVED, HEARTBEAT)
        assert tapped.waiting == MAX_WAITING
        batch = await tapped.next()
        assert (len(batch.frames), batch.missing) == (AT_ONCE, 7)
        batch = await tapped.next()
        assert batch.missing == 0
        assert tapped.waiting == MAX_WAITING - 2 * AT_ONCE


async def test_what_waits_is_bounded_in_bytes_and_each_frame_is_cut(
    frames: FrameLog, autojump_clock: MockClock
) -> None:
    """The cut shows, with the whole size."""
    large = b"x" * (MAX_TAPPED_BYTES + 5)
    fit = MAX_WAITING_BYTES // MAX_TAPPED_BYTES
    with connection(frames) as ring, frames.tapped("CP1") as tapped:
        assert tapped is not None
        for _ in range(fit + 1):
            ring.add(FrameKind.RECEIVED, large)
        batch = await tapped.next()
        assert (len(batch.frames), batch.missing) == (fit, 1)
        assert {(len(each.text), each.size, each.cut) for each in batch.frames} == {
            (MAX_TAPPED_BYTES, MAX_TAPPED_BYTES + 5, True)
        }
        ring.add(FrameKind.RECEIVED, HEARTBEAT)
        assert await texts(tapped) == [HEARTBEAT.decode()]


async def test_a_reader_waits_for_frames_and_loses_none_when_cancelled(
    frames: FrameLog, autojump_clock: MockClock
) -> None:
    """Also one that waits while there are none."""
    with connection(frames) as ring, frames.tapped("CP1") as tapped:
        with trio.move_on_after(5):
            await texts(tapped)
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                assert await texts(tapped) == [HEARTBEAT.decode()]

            nursery.start_soon(read)
            await wait_all_tasks_blocked()
            ring.add(FrameKind.RECEIVED, HEARTBEAT)


async def test_there_are_so_many_taps_at_most(frames: FrameLog, autojump_clock: MockClock) -> None:
    """Over all charge points; one that is closed makes room."""
    with ExitStack() as stack:
        for number in range(MAX_TAPS):
            assert stack.enter_context(frames.tapped(f"CP{number % 3}")) is not None
        with frames.tapped("CP9") as refused:
            assert refused is None
    with frames.tapped("CP9") as tapped:
        assert tapped is not None


async def test_the_secrets_that_are_looked_for_are_bounded(
    frames: FrameLog, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest are let go."""
    monkeypatch.setattr(tap, "MAX_KEYS", 2)
    with connection(frames) as ring, frames.tapped("CP1") as tapped:
        assert tapped is not None
        for number in range(5):
            named = {"key": "AuthorizationKey", "readonly": False, "value": f"secret-{number}-secret"}
            ring.add(FrameKind.RECEIVED, json.dumps([3, "2", {"configurationKey": [named]}]).encode())
        await tapped.next()
        assert list(tapped._keys) == ["secret-3-secret", "secret-4-secret"]

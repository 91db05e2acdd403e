"""Frames and fragments that break a rule, each with the close code that it gets; the next connection is served."""

from __future__ import annotations

import struct
from typing import Any

import pytest
import trio

from tests.hostile.conftest import Scene
from tests.hostile.link import Link
from tests.support.frames import BINARY, CLOSE, CONT, MASK, PING, PONG, TEXT, close, frame

LIMIT = 4 * 1024 * 1024
"""``sessions.max_message_bytes``, the default."""

CHARACTER = "😀".encode()

VIOLATIONS: dict[str, tuple[bytes, int]] = {
    # RFC 6455 §5.2: reserved bits (no extension is ever agreed on), reserved opcodes, masks, lengths.
    **{f"reserved-bit-{rsv}": (frame(TEXT, b"[]", rsv=rsv), 1002) for rsv in (1, 2, 4)},
    **{f"reserved-opcode-{opcode}": (frame(opcode, b"x"), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "no-mask": (frame(TEXT, b"[]", masked=False), 1002),
    "longer-length-than-needed": (b"\x81\xff" + struct.pack("!Q", 2) + bytes(4) + b"[]", 1002),
    "negative-length": (b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff" + MASK, 1009),
    # §5.5: control frames are whole and short.
    **{f"long-control-{opcode}": (frame(opcode, b"x" * 126), 1002) for opcode in (CLOSE, PING, PONG)},
    **{f"fragmented-control-{opcode}": (frame(opcode, b"", fin=False), 1002) for opcode in (CLOSE, PING, PONG)},
    # §5.4: fragments in their order.
    "continuation-of-nothing": (frame(CONT, b"[]"), 1002),
    "message-in-a-message": (frame(TEXT, b"[", fin=False) + frame(TEXT, b"]"), 1002),
    "binary-in-a-message": (frame(TEXT, b"[", fin=False) + frame(BINARY, b"]"), 1002),
    # §7.4: close codes and reasons.
    **{f"close-code-{code}": (close(code), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000)},
    "half-a-close-code": (frame(CLOSE, b"\x03"), 1002),
    "close-reason-no-text": (close(1000, b"\xff"), 1007),
    # A3.15: one policy for binary messages.
    "binary": (frame(BINARY, b'[2,"1","Heartbeat",{}]'), 1003),
    "binary-fragment": (frame(BINARY, b"[", fin=False), 1003),
    # §8.1: text is UTF-8, whole or in parts.
    **{
        f"text-{name}": (frame(TEXT, data), 1007)
        for name, data in {
            "no-utf-8": b"\xff\xfe",
            "cut-character": CHARACTER[:3],
            "overlong": b"\xc0\xaf",
            "surrogate": b"\xed\xa0\x80",
            "beyond-unicode": b"\xf4\x90\x80\x80",
            "lone-continuation": b"[\x80]",
        }.items()
    },
    "character-cut-by-the-end": (frame(TEXT, CHARACTER[:2], fin=False) + frame(CONT, b""), 1007),
    "latin-1-in-fragments": (frame(TEXT, b'"\xe4', fin=False) + frame(CONT, b'"'), 1007),
    # A3.17: the limit, announced, exact, and over fragments.
    "announced-too-big": (frame(TEXT, b"", length=2**62), 1009),
    "one-byte-too-big": (frame(TEXT, b"x" * (LIMIT + 1)), 1009),
    "too-big-in-fragments": (
        frame(TEXT, b"x" * (LIMIT // 2), fin=False) + frame(CONT, b"x" * (LIMIT // 2), fin=False) + frame(CONT, b"x"),
        1009,
    ),
    "endless-fragments": (frame(TEXT, b"x", fin=False) + frame(CONT, b"x", fin=False) * 4200, 1008),
    "endless-empty-fragments": (frame(TEXT, b"", fin=False) + frame(CONT, b"", fin=False) * 20, 1008),
}


@pytest.mark.parametrize("name", VIOLATIONS)
async def test_a_violation_is_closed_with_its_code(scene: Scene, name: Any) -> None:
    """RFC 6455, A3.14-A3.17: the peer gets the reason, and no other notices."""
    data, code = VIOLATIONS[name]
    link = await Link.open(scene.gateway, shared(scene), boot=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_all, link, data)
        assert await link.end() == code
        nursery.cancel_scope.cancel()
    await link.cut()


async def send_all(link: Link, data: bytes) -> None:
    """Send what the gateway may not want to read to its end."""
    try:
        await link.send(data)
    except trio.BrokenResourceError:
        pass


def shared(scene: Scene) -> str:
    """One identity for all of them: each connection replaces the one before, if that is still there."""
    scene.violator = scene.violator or scene.attacker()
    return scene.violator


LEGAL: dict[str, bytes] = {
    "fragments-around-control-frames": (
        frame(TEXT, b'[2,"alive"', fin=False)
        + frame(PING, b"p" * 125)
        + frame(CONT, b"", fin=False)
        + frame(PONG)
        + frame(CONT, b',"Heartbeat",{}]')
    ),
    "a-character-over-fragments": (
        frame(TEXT, b'[2,"alive","DataTransfer",{"vendorId":"' + CHARACTER[:1], fin=False)
        + frame(CONT, CHARACTER[1:3], fin=False)
        + frame(CONT, CHARACTER[3:] + b'"}]')
    ),
    "unasked-pongs": frame(PONG, b"x") * 50 + frame(TEXT, b'[2,"alive","Heartbeat",{}]'),
    "two-thousand-fragments": (
        frame(TEXT, b"[", fin=False) + frame(CONT, b" ", fin=False) * 2000 + frame(CONT, b'2,"alive","Heartbeat",{}]')
    ),
    "a-message-as-large-as-may-be": frame(
        TEXT, (b'[2,"alive","DataTransfer",{"vendorId":"V","data":"').ljust(LIMIT - 3, b"x") + b'"}]'
    ),
}


@pytest.mark.parametrize("name", LEGAL)
async def test_what_is_odd_but_legal_is_served(scene: Scene, name: Any) -> None:
    """A3.14: also by the byte."""
    data = LEGAL[name]
    for size in (len(data), 1) if len(data) < 300 else (len(data),):
        link = await Link.open(scene.gateway, shared(scene))
        await dribble(link, data, size)  # whole, before the gateway's own questions are answered in between
        assert (await link.answer("alive"))[0] == 3
        await link.lives()
        await link.cut()


async def dribble(link: Link, data: bytes, size: int) -> None:
    for start in range(0, len(data), size):
        await link.send(data[start : start + size])


@pytest.mark.parametrize(("sent", "echoed"), [(close(1000, b"bye"), 1000), (close(3000), 3000), (frame(CLOSE), None)])
async def test_a_close_is_answered_with_the_same(scene: Scene, sent: Any, echoed: int | None) -> None:
    """RFC 6455 §5.5.1; what comes after it is not looked at."""
    link = await Link.open(scene.gateway, shared(scene))
    await link.send(sent + frame(TEXT, b"\xff"))
    assert await link.end() == echoed
    await link.cut()


@pytest.mark.parametrize("data", [b"", b"\x81", frame(TEXT, b"[]" * 100)[:-1], frame(TEXT, b"[", fin=False)])
async def test_a_link_that_breaks_anywhere_is_over(scene: Scene, data: Any) -> None:
    """TCP is reset or TLS ends, within a frame or between two: the charger is back at once."""
    for politely in (True, False):
        link = await Link.open(scene.gateway, shared(scene))
        await link.send(data)
        if politely:
            await link.stream.aclose()
        await link.cut()
    link = await Link.open(scene.gateway, shared(scene))
    await link.lives()
    await link.cut()

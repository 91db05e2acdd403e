"""The rules of RFC 6455 as a table of named cases: what a client sends after the upgrade, and what it gets for it.

Written along its sections, in about the groups of the Autobahn suite: framing, control frames, reserved bits and
opcodes, fragmentation, UTF-8, closing, limits. Three choices of the gateway are in it: binary messages are closed with
1003 (A3.15), UTF-8 is judged when the message is whole, and a length written in more bytes than needed is understood.

``test_rfc6455`` of this folder drives them without I/O, that of ``tests/transport`` through TLS.
"""

from __future__ import annotations

import struct

from attrs import frozen

from gateway.framing.events import Closed, FragmentSeen, Message, PingSeen, PongSeen
from gateway.framing.reassembly import MAX_EMPTY_FRAGMENTS, MAX_FRAGMENTS
from tests.support.frames import BINARY, CLOSE, CONT, MASK, PING, PONG, TEXT, close, frame

LIMIT = 70_000
"""``max_message_bytes`` of the cases: more than a length of 16 bits can tell."""

Seen = Message | FragmentSeen | PingSeen | PongSeen

FRAGMENT, PINGED, PONGED = FragmentSeen(), PingSeen(), PongSeen()


@frozen
class Case:
    """``data`` is sent after the upgrade: these events are seen, and these pongs come back.

    ``closed`` is who ended it, and how; None for a connection that goes on. ``echo`` is the payload of the Close that
    comes back where it is known to the byte, which is where the peer closed.
    """

    section: str
    data: bytes
    seen: tuple[Seen, ...]
    pongs: tuple[bytes, ...] = ()
    closed: Closed | None = None
    echo: bytes | None = None

    @property
    def messages(self) -> list[bytes]:
        return [each.data for each in self.seen if isinstance(each, Message)]


def served(section: str, data: bytes, *seen: Seen | bytes, pongs: tuple[bytes, ...] = ()) -> Case:
    """Legal, and the connection goes on. Bytes among the events stand for a message."""
    return Case(section, data, _events(seen), pongs)


def failed(section: str, code: int, data: bytes, *seen: Seen | bytes, pongs: tuple[bytes, ...] = ()) -> Case:
    """Illegal: we close with ``code``, after these events."""
    return Case(section, data, _events(seen), pongs, Closed(code, "", "local"))


def left(section: str, data: bytes, payload: bytes, *seen: Seen | bytes, pongs: tuple[bytes, ...] = ()) -> Case:
    """The peer closes with this payload and gets it back."""
    code = struct.unpack("!H", payload[:2])[0] if payload else 1005
    return Case(section, data, _events(seen), pongs, Closed(code, payload[2:].decode(), "peer"), payload)


def _events(seen: tuple[Seen | bytes, ...]) -> tuple[Seen, ...]:
    return tuple(Message(each) if isinstance(each, bytes) else each for each in seen)


def long_form(payload: bytes, kind: int) -> bytes:
    """A text whose length is written in 16 bits (126) or in 64 (127), needed or not."""
    size = struct.pack("!H" if kind == 126 else "!Q", len(payload))
    return bytes([0x81, 0x80 | kind]) + size + bytes(4) + payload


def parts(*payloads: bytes, between: bytes = b"") -> bytes:
    """One text in so many frames."""
    last = len(payloads) - 1
    return between.join(frame(CONT if i else TEXT, each, fin=i == last) for i, each in enumerate(payloads))


def by_byte(text: bytes) -> bytes:
    return parts(*(text[i : i + 1] for i in range(len(text))))


GREEK = "κόσμε".encode()
EMOJI = "😀".encode()

# The boundaries are those of the Unicode standard's table 3-7. Noncharacters are text.
UTF_8 = {
    "first-of-one-byte": b"\x00",
    "first-of-two-bytes": b"\xc2\x80",
    "first-of-three-bytes": b"\xe0\xa0\x80",
    "first-of-four-bytes": b"\xf0\x90\x80\x80",
    "last-of-one-byte": b"\x7f",
    "last-of-two-bytes": b"\xdf\xbf",
    "last-of-three-bytes": b"\xef\xbf\xbf",
    "last-of-four-bytes": b"\xf4\x8f\xbf\xbf",
    "before-the-surrogates": b"\xed\x9f\xbf",
    "after-the-surrogates": b"\xee\x80\x80",
    "replacement-character": b"\xef\xbf\xbd",
    "noncharacter-fffe": b"\xef\xbf\xbe",
    "noncharacter-1fffe": b"\xf0\x9f\xbf\xbe",
    "noncharacter-fdd0": b"\xef\xb7\x90",
    "byte-order-mark": b"\xef\xbb\xbf[]",
    "greek": GREEK,
    "mixed": "Hello-µ@ßöäüàá-UTF-8!! 😀".encode(),
}

NO_UTF_8 = {
    "continuation-80": b"\x80",
    "continuation-bf": b"\xbf",
    "seven-continuations": b"\x80\xbf\x80\xbf\x80\xbf\x80",
    "start-of-two": b"\xc3 \xc3 ",
    "start-of-three": b"\xe3 ",
    "start-of-four": b"\xf3 ",
    "two-bytes-cut": b"\xdf",
    "three-bytes-cut": b"\xef\xbf",
    "four-bytes-cut": b"\xf4\x8f\xbf",
    "cut-and-followed": b"\xe2\x82[",
    "five-bytes": b"\xf8\x88\x80\x80\x80",
    "six-bytes": b"\xfc\x84\x80\x80\x80\x80",
    "fe": b"\xfe",
    "ff": b"\xff",
    "overlong-slash-in-two": b"\xc0\xaf",
    "overlong-slash-in-three": b"\xe0\x80\xaf",
    "overlong-slash-in-four": b"\xf0\x80\x80\xaf",
    "overlong-last-in-two": b"\xc1\xbf",
    "overlong-last-in-three": b"\xe0\x9f\xbf",
    "overlong-last-in-four": b"\xf0\x8f\xbf\xbf",
    "overlong-nul": b"\xc0\x80",
    "first-surrogate": b"\xed\xa0\x80",
    "last-surrogate": b"\xed\xbf\xbf",
    "surrogate-pair": b"\xed\xa0\xbd\xed\xb8\x80",
    "beyond-unicode": b"\xf4\x90\x80\x80",
    "far-beyond-unicode": b"\xf7\xbf\xbf\xbf",
    "after-good-text": GREEK + b"\xed\xa0\x80edited",
}

RESERVED_OPCODES = (0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF)

# RFC 6455 §7.4, and the registry it founded (1012 to 1014). 1004, 1005, 1006 and 1015 stand for something else and are
# never on the wire; the rest below 3000 is not defined, and there is nothing from 5000.
GOOD_CODES = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
EDGE_CODES = (0, 1, 999, *range(1000, 1017), 1100, 1999, 2000, 2999, 3000, 3999, 4000, 4999, 5000, 9999, 32768, 65535)

FRAMING = {
    **{
        f"text-of-{size}": served("5.2", frame(TEXT, b"*" * size), b"*" * size)
        for size in (0, 1, 125, 126, 127, 128, 65_535, 65_536, LIMIT)
    },
    **{
        f"length-{size}-in-{bits}-bits": failed("5.2", 1002, long_form(b"*" * size, kind))
        for size, bits, kind in (
            (0, 16, 126),
            (1, 16, 126),
            (125, 16, 126),
            (0, 64, 127),
            (125, 64, 127),
            (126, 64, 127),
            (65_535, 64, 127),
        )
    },
    "length-126-in-16-bits": served("5.2", long_form(b"*" * 126, 126), b"*" * 126),
    "length-65536-in-64-bits": served("5.2", long_form(b"*" * 65_536, 127), b"*" * 65_536),
    "length-not-minimal-behind-a-message": failed("5.2", 1002, frame(TEXT, b"[]") + long_form(b"[]", 126), b"[]"),
    "length-not-minimal-of-a-continuation": failed(
        "5.2", 1002, frame(TEXT, b"[", fin=False) + b"\x80\xfe\x00\x01" + bytes(4) + b"]", FRAGMENT
    ),
    "length-not-minimal-of-a-ping": failed("5.2", 1002, b"\x89\xfe\x00\x01" + bytes(4) + b"x"),
    "length-not-minimal-of-a-close": failed("5.2", 1002, b"\x88\xfe\x00\x02" + bytes(4) + b"\x03\xe8"),
    "length-with-the-top-bit": failed("5.2", 1009, b"\x81\xff\x80" + bytes(7) + MASK),
    "length-of-all-ones": failed("5.2", 1009, b"\x81\xff" + b"\xff" * 8 + MASK),
    "length-with-the-top-bit-later": failed(
        "5.2", 1009, frame(TEXT, fin=False) + b"\x80\xff\x80" + bytes(7) + MASK, FRAGMENT
    ),
    "mask-of-zeros": served("5.3", b"\x81\x82" + bytes(4) + b"[]", b"[]"),
    "masked-bytes-that-look-like-a-close": served("5.3", b"\x81\x88\x88\x80\x88\x80" + b"\x88\x80" * 4, bytes(8)),
    "several-in-one-read": served("5.2", frame(TEXT, b"1") + frame(TEXT) + frame(TEXT, b"3"), b"1", b"", b"3"),
    **{
        f"unmasked-{name}": failed("5.1", 1002, frame(opcode, payload, masked=False))
        for name, opcode, payload in (
            ("text", TEXT, b"[]"),
            ("empty-text", TEXT, b""),
            ("binary", BINARY, b"x"),
            ("ping", PING, b""),
            ("pong", PONG, b"x"),
            ("close", CLOSE, b"\x03\xe8"),
        )
    },
    "unmasked-after-a-message": failed("5.1", 1002, frame(TEXT, b"1") + frame(TEXT, b"2", masked=False), b"1"),
    "unmasked-continuation": failed("5.1", 1002, frame(TEXT, fin=False) + frame(CONT, b"x", masked=False), FRAGMENT),
}

CONTROL = {
    **{
        f"ping-{name}": served("5.5.2", frame(PING, payload), PINGED, pongs=(payload,))
        for name, payload in {
            "empty": b"",
            "with-text": b"Hello, world!",
            "with-no-text": b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff",
            "of-125": b"\xfe" * 125,
        }.items()
    },
    "pings-in-their-order": served(
        "5.5.3",
        b"".join(frame(PING, b"payload-%d" % i) for i in range(10)),
        *[PINGED] * 10,
        pongs=tuple(b"payload-%d" % i for i in range(10)),
    ),
    "ping-flood": served("5.5.3", frame(PING, b"x") * 300, *[PINGED] * 300, pongs=(b"x",) * 300),
    "pong-unasked": served("5.5.3", frame(PONG), PONGED),
    "pong-unasked-with-payload": served("5.5.3", frame(PONG, b"unasked"), PONGED),
    "pong-of-125-no-text": served("5.5.3", frame(PONG, b"\xff" * 125), PONGED),
    "pong-unasked-then-ping": served(
        "5.5.3", frame(PONG, b"unasked") + frame(PING, b"asked"), PONGED, PINGED, pongs=(b"asked",)
    ),
    "pong-flood": served("5.5.3", frame(PONG) * 300 + frame(TEXT, b"[]"), *[PONGED] * 300, b"[]"),
    "ping-with-a-length-in-16-bits": failed("5.5", 1002, b"\x89\xfe\x00\x7e" + MASK + bytes(126)),
    **{
        f"{name}-of-{size}": failed("5.5", 1002, frame(opcode, b"\x03\xe8".ljust(size, b"x")))
        for name, opcode in (("ping", PING), ("pong", PONG), ("close", CLOSE))
        for size in (126, 65_536)
    },
    **{
        f"{name}-in-fragments": failed("5.5", 1002, frame(opcode, payload, fin=False) + frame(CONT, payload))
        for name, opcode, payload in (("ping", PING, b"x"), ("pong", PONG, b"x"), ("close", CLOSE, b"\x03\xe8"))
    },
    "ping-in-fragments-within-a-message": failed(
        "5.5", 1002, frame(TEXT, b"1", fin=False) + frame(PING, fin=False) + frame(CONT, b"2"), FRAGMENT
    ),
}

_KINDS = {
    "text": (TEXT, b"x"),
    "binary": (BINARY, b"x"),
    "ping": (PING, b"x"),
    "pong": (PONG, b""),
    "close": (CLOSE, b""),
}

RESERVED = {
    **{
        f"reserved-bits-{rsv}-of-{name}": failed("5.2", 1002, frame(opcode, payload, rsv=rsv))
        for rsv in range(1, 8)
        for name, (opcode, payload) in _KINDS.items()
    },
    "reserved-bit-of-a-continuation": failed(
        "5.2", 1002, frame(TEXT, b"1", fin=False) + frame(CONT, b"2", rsv=4), FRAGMENT
    ),
    "reserved-bit-after-message-and-ping": failed(
        "5.2",
        1002,
        frame(TEXT, b"1") + frame(PING, b"p") + frame(TEXT, b"2", rsv=1) + frame(PING),
        b"1",
        PINGED,
        pongs=(b"p",),
    ),
    **{
        f"reserved-opcode-{opcode:x}{name}": failed("5.2", 1002, frame(opcode, payload))
        for opcode in RESERVED_OPCODES
        for name, payload in (("", b""), ("-with-payload", b"x"))
    },
    **{
        f"reserved-opcode-{opcode:x}-later": failed(
            "5.2", 1002, frame(TEXT, b"1") + frame(opcode) + frame(TEXT, b"2"), b"1"
        )
        for opcode in RESERVED_OPCODES
    },
    "reserved-opcode-within-a-message": failed("5.2", 1002, frame(TEXT, b"1", fin=False) + frame(0x3), FRAGMENT),
    "binary": failed("5.6", 1003, frame(BINARY, b"\x00\xff")),
    "binary-empty": failed("5.6", 1003, frame(BINARY)),
    "binary-in-fragments": failed("5.6", 1003, frame(BINARY, b"\x00", fin=False) + frame(CONT, b"\xff")),
    "binary-after-a-message": failed("5.6", 1003, frame(TEXT, b"1") + frame(BINARY, b"2"), b"1"),
}

FRAGMENTATION = {
    "two-fragments": served("5.4", parts(b"frag", b"ment"), FRAGMENT, b"fragment"),
    "five-fragments": served("5.4", parts(b"1", b"2", b"3", b"4", b"5"), *[FRAGMENT] * 4, b"12345"),
    "empty-fragments-only": served("5.4", parts(b"", b"", b""), FRAGMENT, FRAGMENT, b""),
    "an-empty-fragment-between": served("5.4", parts(b"a", b"", b"b"), FRAGMENT, FRAGMENT, b"ab"),
    "fragments-of-1300": served("5.4", parts(*[b"*" * 1300] * 50), *[FRAGMENT] * 49, b"*" * 65_000),
    "a-ping-between": served(
        "5.4", parts(b"a", b"b", between=frame(PING, b"p")), FRAGMENT, PINGED, b"ab", pongs=(b"p",)
    ),
    "a-pong-between": served("5.4", parts(b"a", b"b", between=frame(PONG, b"p")), FRAGMENT, PONGED, b"ab"),
    "many-pings-between": served(
        "5.4",
        parts(b"a", b"b", b"c", between=frame(PING, b"p") * 3),
        *(FRAGMENT, PINGED, PINGED, PINGED) * 2,
        b"abc",
        pongs=(b"p",) * 6,
    ),
    "a-close-between": left(
        "5.4", frame(TEXT, b"a", fin=False) + close(1000) + frame(CONT, b"b"), b"\x03\xe8", FRAGMENT
    ),
    "messages-in-fragments-in-a-row": served(
        "5.4", parts(b"a", b"b") + frame(TEXT, b"c") + parts(b"d", b"e"), FRAGMENT, b"ab", b"c", FRAGMENT, b"de"
    ),
    **{
        f"{name}-continuation-of-nothing": failed("5.4", 1002, frame(CONT, payload, fin=fin) + frame(TEXT, b"x"))
        for name, payload, fin in (
            ("last", b"x", True),
            ("empty-last", b"", True),
            ("first", b"x", False),
            ("empty-first", b"", False),
        )
    },
    "continuation-after-a-whole-message": failed("5.4", 1002, frame(TEXT, b"1") + frame(CONT, b"2"), b"1"),
    "continuation-after-a-fragmented-message": failed(
        "5.4", 1002, parts(b"a", b"b") + frame(CONT, b"c", fin=False), FRAGMENT, b"ab"
    ),
    "text-within-a-message": failed("5.4", 1002, frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), FRAGMENT),
    "first-fragment-within-a-message": failed(
        "5.4", 1002, frame(TEXT, b"a", fin=False) + frame(TEXT, b"b", fin=False), FRAGMENT
    ),
    "text-after-a-continuation": failed(
        "5.4",
        1002,
        frame(TEXT, b"a", fin=False) + frame(CONT, b"b", fin=False) + frame(TEXT, b"c"),
        FRAGMENT,
        FRAGMENT,
    ),
    "binary-within-a-message": failed("5.4", 1002, frame(TEXT, b"a", fin=False) + frame(BINARY, b"b"), FRAGMENT),
}

TEXTS = {
    **{f"utf-8-{name}": served("8.1", frame(TEXT, text), text) for name, text in UTF_8.items()},
    **{
        f"utf-8-{name}-by-the-byte": served("8.1", by_byte(text), *[FRAGMENT] * (len(text) - 1), text)
        for name, text in UTF_8.items()
    },
    **{
        f"utf-8-cut-after-{cut}": served("8.1", parts(EMOJI[:cut], EMOJI[cut:]), FRAGMENT, EMOJI)
        for cut in range(len(EMOJI) + 1)
    },
    "utf-8-cut-with-a-ping-in-the-character": served(
        "8.1", parts(EMOJI[:1], EMOJI[1:], between=frame(PING, b"\xff")), FRAGMENT, PINGED, EMOJI, pongs=(b"\xff",)
    ),
    **{f"no-utf-8-{name}": failed("8.1", 1007, frame(TEXT, text)) for name, text in NO_UTF_8.items()},
    **{
        f"no-utf-8-{name}-by-the-byte": failed("8.1", 1007, by_byte(text), *[FRAGMENT] * (len(text) - 1))
        for name, text in NO_UTF_8.items()
    },
    **{
        f"greek-cut-to-{size}": served("8.1", frame(TEXT, GREEK[:size]), GREEK[:size])
        if size % 2 == 0
        else failed("8.1", 1007, frame(TEXT, GREEK[:size]))
        for size in range(len(GREEK) + 1)
    },
    "no-utf-8-at-the-end-of-a-long-text": failed("8.1", 1007, frame(TEXT, b"x" * 60_000 + b"\xc3")),
    "no-utf-8-after-good-messages": failed("8.1", 1007, frame(TEXT, GREEK) + frame(TEXT, b"\xff"), GREEK),
    "half-a-character-is-not-kept-for-the-next-message": failed(
        "8.1", 1007, frame(TEXT, EMOJI[:2]) + frame(TEXT, EMOJI[2:])
    ),
}

CLOSING = {
    "close-empty": left("5.5.1", frame(CLOSE), b""),
    "close-with-one-byte": failed("5.5.1", 1002, frame(CLOSE, b"\x03")),
    **{
        f"close-{code}": left("7.4", close(code), struct.pack("!H", code))
        if code in GOOD_CODES
        else failed("7.4", 1002, close(code))
        for code in EDGE_CODES
    },
    **{
        f"close-{code}-with-reason": left("7.4", close(code, b"why"), struct.pack("!H", code) + b"why")
        if code in GOOD_CODES
        else failed("7.4", 1002, close(code, b"why"))
        for code in (0, 999, 1000, 1005, 1016, 2999, 3000, 4999, 5000)
    },
    "close-reason-of-123": left("5.5.1", close(1000, b"*" * 123), b"\x03\xe8" + b"*" * 123),
    "close-reason-of-124": failed("5.5.1", 1002, close(1000, b"*" * 124)),
    "close-reason-in-utf-8": left("5.5.1", close(1000, GREEK), b"\x03\xe8" + GREEK),
    **{f"close-reason-{name}": failed("8.1", 1007, close(1000, reason)) for name, reason in NO_UTF_8.items()},
    "message-before-close": left("7.1.2", frame(TEXT, b"last") + close(1000), b"\x03\xe8", b"last"),
    "ping-before-close": left("7.1.2", frame(PING, b"p") + close(1000), b"\x03\xe8", PINGED, pongs=(b"p",)),
    **{
        f"{name}-after-close": left("5.5.1", close(1001, b"bye") + data, b"\x03\xe9bye")
        for name, data in {
            "text": frame(TEXT, b"late"),
            "ping": frame(PING, b"late"),
            "close": close(1000, b"again"),
            "binary": frame(BINARY, b"late"),
            "broken-frame": frame(TEXT, b"late", masked=False, rsv=7),
            "invalid-utf-8": frame(TEXT, b"\xff"),
            "noise": b"\xff" * 300,
            "much": frame(TEXT, b"x" * LIMIT),
        }.items()
    },
    "nothing-is-answered-after-a-failure": failed(
        "7.1.7", 1002, frame(0x3) + frame(PING, b"late") + frame(TEXT, b"late") + close(1000)
    ),
}

LIMITS = {
    "one-byte-too-many": failed("7.4.1", 1009, frame(TEXT, b"x" * (LIMIT + 1))),
    "announced-too-many": failed("7.4.1", 1009, frame(TEXT, length=2**40)),
    "announced-too-many-after-a-fragment": failed(
        "7.4.1", 1009, frame(TEXT, b"x", fin=False) + frame(CONT, length=2**40), FRAGMENT
    ),
    "as-many-as-may-be-in-fragments": served(
        "5.4", parts(b"x" * 60_000, b"x" * (LIMIT - 60_000)), FRAGMENT, b"x" * LIMIT
    ),
    "one-byte-too-many-in-fragments": failed("7.4.1", 1009, parts(b"x" * LIMIT, b"x"), FRAGMENT),
    "too-many-before-the-last-fragment": failed(
        "7.4.1", 1009, frame(TEXT, b"x" * LIMIT, fin=False) + frame(CONT, b"x", fin=False), FRAGMENT
    ),
    "a-full-ping-before-the-last-byte": served(
        "5.4",
        parts(b"x" * (LIMIT - 1), b"x", between=frame(PING, b"p" * 125)),
        FRAGMENT,
        PINGED,
        b"x" * LIMIT,
        pongs=(b"p" * 125,),
    ),
    "the-limit-is-each-messages-own": served(
        "5.4", frame(TEXT, b"x" * LIMIT) + parts(b"y" * LIMIT, b""), b"x" * LIMIT, FRAGMENT, b"y" * LIMIT
    ),
    "as-many-fragments-as-may-be": served(
        "5.4", parts(*[b"x"] * MAX_FRAGMENTS), *[FRAGMENT] * (MAX_FRAGMENTS - 1), b"x" * MAX_FRAGMENTS
    ),
    "one-fragment-too-many": failed("7.4.1", 1008, parts(*[b"x"] * (MAX_FRAGMENTS + 1)), *[FRAGMENT] * MAX_FRAGMENTS),
    "as-many-empty-fragments-as-may-be": served(
        "5.4", parts(*[b""] * MAX_EMPTY_FRAGMENTS), *[FRAGMENT] * (MAX_EMPTY_FRAGMENTS - 1), b""
    ),
    "one-empty-fragment-too-many": failed(
        "7.4.1", 1008, parts(*[b""] * (MAX_EMPTY_FRAGMENTS + 1)), *[FRAGMENT] * MAX_EMPTY_FRAGMENTS
    ),
}

GROUPS = (FRAMING, CONTROL, RESERVED, FRAGMENTATION, TEXTS, CLOSING, LIMITS)
CASES: dict[str, Case] = {name: case for group in GROUPS for name, case in group.items()}

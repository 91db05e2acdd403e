"""PROXY headers, version 2: sound ones in any pieces, and everything else refused within bounds."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.framing.proxy_header import MAX_LENGTH, START_BYTES, ProxyHeader, ProxyHeaderError, ProxySource
from tests.framing.proxy_headers import SIGNATURE, addition, proxy_header, raw_header


def read(data: bytes, *sizes: int) -> tuple[ProxyHeader, bytes]:
    """Feed what is wanted, in pieces of these sizes first; the header, and what is left of ``data``."""
    header, left = ProxyHeader(), list(sizes)
    while header.wanted and data:
        size = min(header.wanted, max(1, left.pop(0))) if left else header.wanted
        header.feed(data[:size])
        data = data[size:]
    return header, data


def test_the_specifications_layout_is_understood() -> None:
    """Byte by byte: a header as HAProxy's specification lays it out in §2.2."""
    data = bytes.fromhex("0D0A0D0A000D0A515549540A" + "21" + "11" + "000C" + "C0000207" + "C6336401" + "D903" + "01BB")
    header, rest = read(data + b"\x16\x03\x01")
    assert header.source == ProxySource("192.0.2.7", 55555)
    assert rest == b"\x16\x03\x01"


@given(
    st.ip_addresses(),
    st.integers(0, 65535),
    st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=100)), max_size=5),
    st.lists(st.integers(1, 40), max_size=20),
    st.binary(max_size=20),
)
def test_a_header_in_any_pieces_names_its_source(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
    port: int,
    additions: list[tuple[int, bytes]],
    sizes: list[int],
    after: bytes,
) -> None:
    """Of both families, with anything added, and nothing behind it is taken."""
    data = proxy_header(str(address), port, b"".join(addition(*each) for each in additions))
    header, rest = read(data + after, *sizes)
    assert not header.wanted
    assert header.source is not None
    assert ipaddress.ip_address(header.source.address) == address
    assert header.source.port == port
    assert rest == after


@pytest.mark.parametrize("rest", [b"", b"\x00" * 12, b"anything"])
@pytest.mark.parametrize("family", [0x00, 0x11, 0x21, 0x31, 0xFF])
def test_a_balancer_that_speaks_for_itself_names_no_source(family: int, rest: bytes) -> None:
    """LOCAL: what it says of addresses is skipped (§2.2)."""
    header, after = read(raw_header(0x20, family, rest) + b"!")
    assert (header.wanted, header.source, after) == (0, None, b"!")


BAD: dict[str, tuple[bytes, str]] = {
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00", "proxy_header_missing"),
    "HTTP": (b"GET / HTTP/1.1\r\n", "proxy_header_missing"),
    "version 1": (b"PROXY TCP4 192.0.2.7 198.51.100.1 55555 443\r\n", "proxy_header_missing"),
    "one bit off": (SIGNATURE[:-1] + b"\x0b", "proxy_header_missing"),
    "version 3": (raw_header(0x31, 0x11, b"\x00" * 12), "proxy_header_malformed"),
    "an unknown command": (raw_header(0x22, 0x11, b"\x00" * 12), "proxy_header_malformed"),
    "UDP": (raw_header(0x21, 0x12, b"\x00" * 12), "proxy_family_unsupported"),
    "a local socket": (raw_header(0x21, 0x31, b"\x00" * 216), "proxy_family_unsupported"),
    "an unknown family": (raw_header(0x21, 0x00, b""), "proxy_family_unsupported"),
    "too short": (raw_header(0x21, 0x11, b"\x00" * 11), "proxy_header_malformed"),
    "too short for IPv6": (raw_header(0x21, 0x21, b"\x00" * 35), "proxy_header_malformed"),
    "half an addition": (raw_header(0x21, 0x11, b"\x00" * 12 + b"\x01\x00"), "proxy_header_malformed"),
    "an addition that is cut": (raw_header(0x21, 0x11, b"\x00" * 12 + b"\x01\x00\x02x"), "proxy_header_malformed"),
    "too long": (raw_header(0x21, 0x11, b"", MAX_LENGTH + 1), "proxy_header_too_long"),
    "too long, LOCAL": (raw_header(0x20, 0x00, b"", 65535), "proxy_header_too_long"),
}


@pytest.mark.parametrize("how", BAD)
def test_anything_else_is_refused(how: str) -> None:
    """By a stable word, in one piece and byte by byte."""
    data, reason = BAD[how]
    for sizes in ((), (1,) * len(data)):
        with pytest.raises(ProxyHeaderError) as caught:
            read(data, *sizes)
        assert caught.value.reason == reason


def test_the_longest_header_is_taken() -> None:
    """One byte less than what is too long."""
    data = proxy_header("192.0.2.7", 1, addition(4, bytes(MAX_LENGTH - 12 - 3)))
    assert len(data) == START_BYTES + MAX_LENGTH
    assert read(data)[0].source == ProxySource("192.0.2.7", 1)


def test_more_than_is_wanted_is_a_mistake_of_the_caller() -> None:
    """For the rest is TLS's."""
    with pytest.raises(ValueError, match="more than was wanted"):
        ProxyHeader().feed(bytes(START_BYTES + 1))


@given(st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(lambda rest: SIGNATURE + rest)), st.data())
def test_any_bytes_are_read_or_refused_within_bounds(data: bytes, draw: st.DataObject) -> None:
    """A source, no source, more wanted, or the documented error; and never more wanted than the bound."""
    header = ProxyHeader()
    reasons = {"proxy_header_missing", "proxy_header_malformed", "proxy_header_too_long", "proxy_family_unsupported"}
    try:
        while header.wanted and data:
            size = draw.draw(st.integers(1, min(header.wanted, len(data))))
            header.feed(data[:size])
            data = data[size:]
            assert header.wanted <= START_BYTES + MAX_LENGTH
    except ProxyHeaderError as error:
        reasons.remove(error.reason)  # raises KeyError for any other
        assert header.source is None

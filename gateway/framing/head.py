"""The HTTP head of an upgrade request: collected within a bound, judged before the WebSocket library sees it."""

import re

from attrs import define, field

_END_OF_HEAD = re.compile(rb"\n\r?\n")
_REQUEST_LINE = re.compile(rb"[A-Z]{1,16} [\x21-\x7e]+ HTTP/1\.[01]\r\n")
_METHOD_SO_FAR = re.compile(rb"[A-Z]{1,16}( |\Z)")
_LOOKS_LIKE_HTTP = re.compile(rb"[A-Za-z]{1,16} (/|[^\r\n]* HTTP/\d)")


@define
class HeadBuffer:
    """Collects bytes until the blank line that ends the head.

    Collecting the head here, rather than in the library's parser, bounds it as a whole (the library allows 1 MiB),
    keeps frames that a client sends too early out of the parser until the upgrade is decided, and lets malformed
    requests be answered 400.
    """

    limit: int
    data: bytearray = field(factory=bytearray, init=False)

    def feed(self, data: bytes) -> int | None:
        """Add bytes; return the length of the head (blank line included) once it is complete, else None."""
        start = max(0, len(self.data) - 3)  # the terminator may straddle two reads; don't search the rest again
        self.data += data
        end = _END_OF_HEAD.search(self.data, start)
        return end.end() if end else None

    @property
    def too_long(self) -> bool:
        return len(self.data) > self.limit

    @property
    def hopeless(self) -> bool:
        """True as soon as what came cannot become a request line any more."""
        if _METHOD_SO_FAR.match(self.data) is None:
            return True
        return b"\n" in self.data and _REQUEST_LINE.match(self.data) is None

    @property
    def looks_like_http(self) -> bool:
        """Return true if an HTTP error would mean something to the peer."""
        return _LOOKS_LIKE_HTTP.match(self.data) is not None


def offered_subprotocols(lines: list[str]) -> tuple[str, ...]:
    """All Sec-WebSocket-Protocol lines as one list in the client's order, empty elements dropped (A2.6)."""
    elements = (element.strip(" \t") for line in lines for element in line.split(","))
    return tuple(element for element in elements if element)

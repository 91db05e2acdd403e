"""Deadlines and bounds of a listener's connections, each a setting with its reason."""

from attrs import field, frozen
from attrs.validators import ge, gt

from gateway.framing.websocket import MAX_HANDSHAKE_BYTES, MAX_MESSAGE_BYTES


@frozen
class Limits:
    """Seconds are durations of Trio's clock; bytes are of plaintext."""

    tls_handshake_seconds: float = field(default=15.0, validator=gt(0))
    """A wallbox on a weak GSM link with a slow CPU needs some seconds; no honest charger needs more (A7.21)."""

    upgrade_seconds: float = field(default=10.0, validator=gt(0))
    """From the end of the TLS handshake to a complete HTTP head: one packet for a charger."""

    admission_seconds: float = field(default=10.0, validator=gt(0))
    """What admission may take (scrypt of an imported key, the store). Then 503: the charger backs off and retries."""

    write_seconds: float = field(default=20.0, validator=gt(0))
    """How long one write may wait for a peer that does not read. Longer than a cell hand-over, shorter than the
    patience of a command's caller."""

    close_seconds: float = field(default=2.0, validator=gt(0))
    """What a close may take altogether, shielded from cancellation; a dead peer must not hold up a shutdown."""

    max_message_bytes: int = field(default=MAX_MESSAGE_BYTES, validator=ge(1024))
    """Of one text message, whole (A3.17)."""

    max_handshake_bytes: int = field(default=MAX_HANDSHAKE_BYTES, validator=ge(1024))
    """Of the HTTP head, whole."""

    messages_per_second: float = field(default=20.0, validator=gt(0))
    """What one charger may keep up (``PAID_BYTES`` of a message count as one more). Faster ones are read slower, and
    nothing is lost. A charger in a transaction sends one a second at the very most; twenty drain a week's offline queue
    in minutes, and are a quarter of a percent of what one core serves."""

    message_burst: float = field(default=300.0, validator=ge(1))
    """What it may send at once before that counts: a night's queue, sent as fast as it is confirmed."""

    frames_per_second: float = field(default=500.0, validator=gt(0))
    """Pings, pongs, fragments and reads of a few bytes each: what costs time without being a message. No honest charger
    comes near it; at 3 µs a frame and 20 µs a read it is a percent of a core."""

    frame_burst: float = field(default=5000.0, validator=ge(1))
    """More than the fragments that one message may have (``reassembly.MAX_FRAGMENTS``)."""

    message_seconds: float = field(default=120.0, validator=gt(0))
    """From a message's first fragment to its last. The largest message passes a link of 9 kB/s; a sender that takes
    longer, and answers pings meanwhile, would hold a megabyte of memory for ever."""

    max_concurrent_handshakes: int = field(default=200, validator=ge(4))
    """Connections between the first bytes of a handshake and the end of the upgrade; others wait (``places``). 200 keep
    one core busy in a mass reconnect (OpenSSL alone takes 0.2 to 0.4 ms for one) and bound what half-open peers cost.
    (At least 4, of which one address holds three.)"""

    crowded_handshake_seconds: float = field(default=4.0, validator=gt(0))
    """While others wait for those places, peers that have let us wait for longer than this, all together, give theirs
    up: slow ones (slow loris) must not keep the chargers out for the whole patient deadline. What a peer waits for us
    does not count: a gateway that is overloaded would drop those who are nearly through."""

"""TLS records without I/O: plaintext on one side, ciphertext on the other.

``ssl.SSLObject`` over ``MemoryBIO``, driven by ``connection.py``. It costs a third of ``trio.SSLStream`` per message
(docs/adr/0002-transport.md) because nothing here is a coroutine.
"""

import ssl

from gateway.errors import GatewayError

READ_BYTES = 16 * 1024
"""The most plaintext of one TLS record, and what is asked of the socket at once. Bounds what one read can bring in."""


class TlsFailure(GatewayError):
    """The peer broke TLS, or speaks something else. ``reason`` is a stable lower-case word of OpenSSL."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TlsRecords:
    """The server end of one TLS connection.

    After any call take ``pending`` and send it: OpenSSL answers key updates, sends session tickets and alerts on
    its own.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        """Ciphertext that waits to be sent: for asking how much, with each read; ``pending`` takes it."""
        self._tls = context.wrap_bio(self._incoming, self.outgoing, server_side=True)
        self.ended = False
        """True once the peer's close_notify was read."""
        self.failure: str | None = None
        """Why reading failed for good, None while it has not."""

    def feed(self, ciphertext: bytes) -> None:
        """Take what was received; ``handshake`` and ``read`` say what it means."""
        self._incoming.write(ciphertext)

    def handshake(self) -> bool:
        """Advance the handshake with what was fed; True once it is done. Raises TlsFailure."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as exc:
            raise TlsFailure(_word(exc)) from None
        return True

    def read(self, ciphertext: bytes = b"") -> bytes:
        """Take ``ciphertext``, and return all plaintext that can be had now; ``ended`` and ``failure`` say if there
        will be no more."""
        if ciphertext:
            self._incoming.write(ciphertext)
        parts: list[bytes] = []
        try:
            while part := self._tls.read(READ_BYTES):
                # One record per socket read is the common case; asking again costs an exception each time.
                if not self._incoming.pending and not self._tls.pending():
                    return b"".join((*parts, part)) if parts else part
                parts.append(part)
            self.ended = True  # nothing read is how SSLObject reports a close_notify
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as exc:  # what came before the broken record is still good
            self.failure = _word(exc)
        return b"".join(parts)

    def encrypt(self, plaintext: bytes) -> bytes:
        """Encrypt, and take all ciphertext that waits to be sent. Raises TlsFailure."""
        try:
            written = self._tls.write(plaintext) if plaintext else 0
            while written < len(plaintext):  # never so with OpenSSL's defaults
                written += self._tls.write(memoryview(plaintext)[written:])
        except ssl.SSLError as exc:
            raise TlsFailure(_word(exc)) from None
        return self.outgoing.read()

    def close_notify(self) -> None:
        """Queue the gateway's close_notify; the peer's is not waited for."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:  # "want read" is the normal case; after a failure there is nothing left to say
            pass

    def pending(self) -> bytes:
        """Take the ciphertext that waits to be sent."""
        return self.outgoing.read()

    @property
    def version(self) -> str:
        return self._tls.version() or ""

    @property
    def cipher(self) -> str:
        cipher = self._tls.cipher()
        return cipher[0] if cipher else ""

    @property
    def peer_certificate(self) -> bytes | None:
        """The client's verified certificate in DER."""
        return self._tls.getpeercert(binary_form=True)


def _word(exc: ssl.SSLError) -> str:
    return (exc.reason or type(exc).__name__).lower()

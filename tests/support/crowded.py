"""Clients that crowd a port of a server in this process, and counts of the server's ends of connections."""

import socket
import ssl
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

SECONDS = 60.0
"""A guard against hanging."""

_LISTENING, _TIME_WAIT = "0A", "06"

HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
"""The beginning of a TLS handshake that is not gone on with."""


def connected(port: int, said: bytes = b"", address: str = "127.0.0.1") -> socket.socket:
    """A connection from one of this machine's own addresses that has said something."""
    link = socket.create_connection(("127.0.0.1", port), SECONDS, (address, 0))
    with suppress(ConnectionError):  # it may have ended already
        link.sendall(said)
    return link


def not_ended(port: int, context: ssl.SSLContext) -> socket.socket:
    """A connection over TLS whose request was refused, and that never takes the end of TLS."""
    link, incoming, outgoing = connected(port), ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            link.sendall(outgoing.read())
            incoming.write(link.recv(65536))
    tls.write(b"NOTHING\r\n\r\n")
    link.sendall(outgoing.read())
    return link


def ended(link: socket.socket) -> bool:
    """True once the other end has closed, whatever it said before."""
    link.settimeout(SECONDS)
    with suppress(ConnectionError):
        while link.recv(4096):
            pass
    return True


def held(port: int) -> int:
    """Number of descriptors that the server has for connections at its port: the kernel's count."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    own = [line for line in lines if int(line[1].partition(":")[2], 16) == port]
    return sum(line[3] not in (_LISTENING, _TIME_WAIT) and line[9] != "0" for line in own)


def at_most(port: int, most: int) -> bool:
    """True once the server holds no more than so many."""
    until = monotonic() + SECONDS
    while held(port) > most:
        assert monotonic() < until, f"{held(port)} connections are open, {most} may be"
        sleep(0.005)
    return True

"""Behaviour of transports with peers that misbehave or leave oddly: ``python -m bench.servers.behaviour``.

Each probe talks to the gateway's own transport and to trio-websocket (both with the same work behind them) over a plain
socket with TLS of its own, so that it sees what is on the wire: Close frames, close_notify, FIN, resets. Prints a
table.
"""

import argparse
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import wire
from bench.processes import Server
from bench.servers import process

SERVERS = ("lean_gateway", "trio_websocket")

PATIENCE = 6.0
"""Seconds that a peer waits for something to happen before it says that nothing has."""

FLOOD_SECONDS = 3.0
"""How long a peer sends without reading."""

CALL = wire.text_frame(b'[2,"10000001","Heartbeat",{}]')

_EMPTY_FRAGMENT = wire.frame(wire.CONTINUATION, b"")[:1].replace(b"\x80", b"\x00") + b"\x80\0\0\0\0"


class Ended(Exception):
    """The server has ended the connection; the text says how."""


class Peer:
    """One connection up to and beyond the upgrade."""

    def __init__(self, server: Server) -> None:
        context = ssl.create_default_context(cafile=server.ca_file)
        self.socket = socket.create_connection((server.host, server.port), timeout=PATIENCE)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self._data = b""
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.flush()
                self._fill()
        self.send(wire.upgrade_request(server.path, "CP1", b"k" * 20))
        while (answer := wire.upgrade_answer(self._data)) is None:
            self._data += self._read()
        assert answer[0] == 101, answer
        self._data = answer[1]

    def send(self, data: bytes) -> None:
        self.tls.write(data)
        self.flush()

    def flush(self) -> None:
        self.socket.sendall(self._outgoing.read())

    def frame(self) -> tuple[int, bytes]:
        """The next frame. Raises Ended, TimeoutError."""
        while True:
            found, _ = wire.frames(self._data)
            if found:
                opcode, payload = found[0]
                self._data = self._data[2 + len(payload) + (2 if len(payload) > 125 else 0) :]
                return opcode, payload
            self._data += self._read()

    def end(self) -> str:
        """Return the way the connection ends; bytes before that are thrown away."""
        began = time.monotonic()
        try:
            while time.monotonic() - began < PATIENCE:
                self._read()
        except Ended as ended:
            return f"{ended} after {time.monotonic() - began:.1f} s"
        except TimeoutError:
            pass
        return f"still open after {PATIENCE:.0f} s"

    def close_notify(self) -> None:
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.flush()

    def _read(self) -> bytes:
        while True:
            try:
                data = self.tls.read(65536)
            except ssl.SSLWantReadError:
                self._fill()
                continue
            except ssl.SSLZeroReturnError:
                raise Ended("close_notify") from None
            except ssl.SSLEOFError:
                raise Ended("FIN without close_notify") from None
            except ssl.SSLError as error:
                raise Ended(f"TLS: {error.reason}") from None
            if data:
                return data
            raise Ended("close_notify")

    def _fill(self) -> None:
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            raise Ended("reset") from None
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


def _spoken(peer: Peer) -> str:
    """The next frame in words, or how there is none."""
    try:
        opcode, payload = peer.frame()
    except (Ended, TimeoutError) as error:
        return str(error) or "nothing"
    if opcode == wire.CLOSE:
        return f"Close {wire.close_code(payload)}"
    return {wire.TEXT: "the answer", wire.PONG: "a Pong", wire.PING: "a Ping"}[opcode]


def close_handshake(server: Server) -> str:
    """The peer closes"""
    peer = Peer(server)
    peer.send(wire.close_frame(1000))
    return f"{_spoken(peer)}, then {peer.end()}"


def close_notify_alone(server: Server) -> str:
    """The peer says close_notify without a Close, and leaves TCP open"""
    peer = Peer(server)
    peer.close_notify()
    return peer.end()


def half_closed(server: Server) -> str:
    """The peer asks, then shuts down its sending side of TCP"""
    peer = Peer(server)
    peer.send(CALL)
    peer.socket.shutdown(socket.SHUT_WR)
    return f"{_spoken(peer)}, then {peer.end()}"


def half_closed_after_a_fragment(server: Server) -> str:
    """The peer shuts down its sending side in the middle of a message"""
    peer = Peer(server)
    peer.send(CALL[:12])
    peer.socket.shutdown(socket.SHUT_WR)
    return f"{_spoken(peer)}, then {peer.end()}"


def server_closes(server: Server) -> str:
    """The server closes (1003), the peer answers"""
    peer = Peer(server)
    peer.send(wire.frame(wire.BINARY, b"x"))
    spoken = _spoken(peer)
    try:
        peer.send(wire.close_frame(1003))
    except OSError as error:
        return f"{spoken}, then {error.strerror}"
    return f"{spoken}, then {peer.end()}"


def ping_after_close(server: Server) -> str:
    """The server closes (1003), a Ping of the peer's crosses its Close: the other sessions"""
    other, peer = Peer(server), Peer(server)
    peer.send(wire.frame(wire.BINARY, b"x"))
    spoken = _spoken(peer)  # as if the Ping had left just before this was read
    peer.send(wire.frame(wire.PING, b"p"))
    time.sleep(0.5)
    try:
        other.send(CALL)
        heard = _spoken(other)
    except OSError as error:
        heard = error.strerror or "an error"
    return f"{spoken}; another session gets: {heard}; {_whether_accepting(server)}"


def fragments(server: Server) -> str:
    """A message in five fragments, a Ping before the last"""
    peer = Peer(server)
    text = CALL[6:]
    parts = [text[at : at + 6] for at in range(0, len(text), 6)]
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if last:
            peer.send(wire.frame(wire.PING, b"p"))
        opcode = wire.CONTINUATION if number else wire.TEXT
        peer.send(bytes(((0x80 if last else 0) | opcode, 0x80 | len(part), 0, 0, 0, 0)) + part)
    return f"{_spoken(peer)}, then {_spoken(peer)}"


def empty_fragments(server: Server) -> str:
    """A message of a million empty fragments"""
    peer = Peer(server)
    before = server.usage()
    peer.send(b"\x01\x80\0\0\0\0")
    try:
        for _ in range(1000):
            peer.send(_EMPTY_FRAGMENT * 1000)
    except OSError:
        pass
    try:
        peer.send(wire.frame(wire.PING, b"p"))
    except OSError:
        pass
    spoken = _spoken(peer)
    after = server.usage()
    return f"{spoken}; {after.cpu_seconds - before.cpu_seconds:.1f} s CPU, {_growth(before.rss_bytes, after.rss_bytes)}"


def unread_answers(server: Server) -> str:
    """The peer asks without reading the answers"""
    return _flood(server, CALL * 100)


def unread_pongs(server: Server) -> str:
    """The peer pings without reading the Pongs"""
    return _flood(server, wire.frame(wire.PING, bytes(125)) * 50)


def _flood(server: Server, data: bytes) -> str:
    peer = Peer(server)
    peer.socket.settimeout(0.5)
    before, taken, until = server.usage().rss_bytes, 0, time.monotonic() + FLOOD_SECONDS
    peer.tls.write(data)
    held = False
    while time.monotonic() < until:
        try:
            peer.flush()
        except TimeoutError:
            held = True  # the server reads no more: that is the back-pressure
            break
        except OSError:
            return f"ended after {taken / 1e6:.1f} MB"
        taken += len(data)
        peer.tls.write(data)
    grown = _growth(before, server.usage().rss_bytes)
    return f"{'held back' if held else 'still read'} after {taken / 1e6:.1f} MB; {grown}"


def key_update(server: Server) -> str:
    """The peer updates its TLS keys and asks for the server's"""
    if shutil.which("openssl") is None:
        return "not probed: no openssl command"
    command = ["openssl", "s_client", "-connect", f"{server.host}:{server.port}", "-msg", "-tls1_3"]
    client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert client.stdin is not None
    for said in (wire.upgrade_request(server.path, "CP1", b"k" * 20), b"K\n", CALL, CALL):
        client.stdin.write(said)
        client.stdin.flush()
        time.sleep(0.5)
    client.kill()
    output, _ = client.communicate(timeout=10)
    updates = output.count(b"KeyUpdate")
    return f"{output.count(b'[3,')} of 2 answers, {updates} KeyUpdate{'s' if updates != 1 else ''} on the wire"


def reset(server: Server) -> str:
    """The peer asks, then resets the connection: the other sessions"""
    other, peer = Peer(server), Peer(server)
    peer.send(CALL)
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.socket.close()
    time.sleep(0.2)
    other.send(CALL)
    return f"another session gets: {_spoken(other)}"


def garbage(server: Server) -> str:
    """The peer sends a record that isn't TLS: the other sessions"""
    other, peer = Peer(server), Peer(server)
    peer.socket.sendall(b"garbage" * 10)
    how = peer.end()
    other.send(CALL)
    return f"{how}; another session gets: {_spoken(other)}"


def _whether_accepting(server: Server) -> str:
    try:
        Peer(server)
    except (OSError, Ended):
        return "no new ones are accepted: the server is down"
    return "new ones are accepted"


def _growth(before: int, after: int) -> str:
    return f"{max(0, after - before) / 2**20:.1f} MiB more memory"


PROBES: tuple[Callable[[Server], str], ...] = (
    close_handshake,
    server_closes,
    ping_after_close,
    close_notify_alone,
    half_closed,
    half_closed_after_a_fragment,
    key_update,
    fragments,
    empty_fragments,
    unread_answers,
    unread_pongs,
    reset,
    garbage,
)


def observe(name: str, probe: Callable[[Server], str]) -> str:
    """One probe against a server of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-behaviour-") as folder:
        try:
            with process.running(name, Path(folder)) as server:
                seen = probe(server)
        except RuntimeError as error:  # the server has ended
            return f"{seen} ({error})"
        return seen


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.servers.behaviour", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[probe.__name__ for probe in PROBES], help="just these probes")
    options = parser.parse_args()
    table = Table("probe", *SERVERS, show_lines=True)
    for probe in PROBES:
        if options.only is None or probe.__name__ in options.only:
            table.add_row(probe.__doc__, *(observe(name, probe) for name in SERVERS))
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The chargers of one process: their connections, and what they say and answer.

Non-blocking TLS sockets that one epoll tells about. Each charger has one CALL under way at a time (J §4.1.1), confirms
what the server asks at once, and answers pings. The usual case, a small frame with the answer that is waited for, is
looked for first and costs nothing else.
"""

import errno
import socket
import ssl
import time
from collections import Counter, deque
from collections.abc import Sequence
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, epoll
from typing import Any

from bench import wire
from bench.fleet_charger import GONE, HTTP, PHASES, READY, SCRIPT, TCP, TLS, Charger
from bench.fleet_jobs import Job, Load, microseconds

READ_BYTES = 4096
"""Asked of TLS at once: more than any usual answer, and what lies beyond is asked for at once."""

IP_BIND_ADDRESS_NO_PORT = 24
"""From Linux's <netinet/in.h>: the port is chosen by connect(), which may then give it to several addresses."""

RESET_ON_CLOSE = b"\1\0\0\0\0\0\0\0"
"""Of SO_LINGER: close() sends a reset at once."""

clock = time.monotonic


class Chargers:
    """All of them, by index (``present``) and by file descriptor (``by_fd``).

    ``job`` and ``load`` are what they are at, or None; ``now`` is the time that messages tell; ``errors`` counts by
    reason what jobs do not, ``asked`` the server's CALLs by action.
    """

    def __init__(
        self,
        address: tuple[str, int],
        path: str,
        tls: ssl.SSLContext,
        keys: Sequence[tuple[str, bytes]],
        sources: Sequence[str],
        poller: epoll,
        descriptors: int,
    ) -> None:
        self._address = address
        self._path = path
        self._tls = tls
        self._keys = keys
        self._sources = sources
        self._poller = poller
        self.by_fd: list[Charger | None] = [None] * descriptors
        self.present: list[Charger | None] = [None] * len(keys)
        self.job: Job | None = None
        self.load: Load | None = None
        self.errors: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.now = b""

    def __len__(self) -> int:
        return len(self._keys)

    def ready(self) -> list[int]:
        """Indexes of those that are connected and have said what they were to say first."""
        return [index for index, each in enumerate(self.present) if each is not None and each.state == READY]

    # --- a charger's beginnings -------------------------------------------------------------------------------

    def connect(self, index: int, due: float, script: tuple[str, ...]) -> Charger | None:
        try:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        except OSError as error:
            self.failed(index, f"socket: {errno.errorcode.get(error.errno or 0, '?')}")
            return None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._sources:
                sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((self._sources[index % len(self._sources)], 0))
            code = sock.connect_ex(self._address)
        except OSError as error:
            code = error.errno or 0
        if code not in (0, errno.EINPROGRESS):
            sock.close()
            self.failed(index, f"connect: {errno.errorcode.get(code, '?')}")
            return None
        charger = Charger(index, sock, script, due)
        self.by_fd[charger.fd] = charger
        self._poller.register(charger.fd, EPOLLOUT)
        return charger

    def slow(self, charger: Charger, mask: int) -> None:
        """All but plain input of an open session."""
        if charger.state == TCP:
            self._secure(charger)
        elif charger.state == TLS:
            self._shake_hands(charger)
        elif mask & EPOLLOUT and charger.out:
            data, charger.out = charger.out, b""
            self._poller.modify(charger.fd, EPOLLIN)
            self.write(charger, data)
        if HTTP <= charger.state < GONE and mask & (EPOLLIN | EPOLLERR | EPOLLHUP):
            self.read(charger)

    def _secure(self, charger: Charger) -> None:
        code = charger.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.gone(charger, f"connect: {errno.errorcode.get(code, '?')}")
            return
        charger.sock = self._tls.wrap_socket(charger.sock, do_handshake_on_connect=False, server_hostname="localhost")
        charger.state = TLS
        self._poller.modify(charger.fd, EPOLLIN)
        self._shake_hands(charger)

    def _shake_hands(self, charger: Charger) -> None:
        try:
            charger.sock.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            self._poller.modify(charger.fd, EPOLLIN | EPOLLOUT)
            return
        except OSError as error:
            self.gone(charger, f"TLS: {_reason(error)}")
            return
        charger.state = HTTP
        self._poller.modify(charger.fd, EPOLLIN)
        identity, key = self._keys[charger.index]
        self.write(charger, wire.upgrade_request(self._path, identity, key))

    def _upgraded(self, charger: Charger, data: bytes) -> bytes | None:
        """Return the bytes after the HTTP answer, None while that isn't whole. Raises Unexpected."""
        answer = wire.upgrade_answer(data)
        if answer is None:
            return None
        code, rest = answer
        if code != 101:
            raise wire.Unexpected(f"HTTP {code}")
        charger.state = SCRIPT
        charger.upgraded = clock()
        self.go_on(charger)
        return rest

    def go_on(self, charger: Charger) -> None:
        """The script's next message, or ready."""
        if charger.script:
            self.call(charger, charger.script[0], 0.0)
            return
        charger.state = READY
        if self.job is not None:
            if charger.number == wire.FIRST_ID and charger.index in self.job.pending:
                self.job.latencies.append(microseconds(clock() - charger.begun))  # to be open was all
            self.job.succeeded(charger.index)
        if self.load is not None and self.load.closed and not self.load.stopping:
            self.call(charger, self.load.closed, clock())

    def _scripted(self, charger: Charger, message: list[Any]) -> None:
        """An answer to a message of the script. Raises Unexpected."""
        action, charger.script = charger.script[0], charger.script[1:]
        if message[0] != 3:
            raise wire.Unexpected(f"{action}: CALLERROR {message[2]}")
        if action == "BootNotification":
            if message[2].get("status") != "Accepted":
                raise wire.Unexpected(f"BootNotification: {message[2].get('status')}")
            if self.job is not None and charger.index in self.job.pending:
                self.job.latencies.append(microseconds(clock() - charger.begun))
        elif action == "StartTransaction":
            charger.transaction = int(message[2].get("transactionId", 0))  # 0: as good as none
        self.go_on(charger)

    # --- a charger's messages ---------------------------------------------------------------------------------

    def call(self, charger: Charger, action: str, due: float) -> None:
        """Send a CALL; ``due`` 0 for one whose answer isn't counted."""
        charger.number += 1
        charger.reading += 1
        charger.due = due
        charger.expected = b'[3,"%d",' % charger.number
        self.write(charger, wire.MESSAGES[action](charger.number, self.now, charger.transaction, charger.reading))

    def write(self, charger: Charger, data: bytes) -> None:
        """Send, or keep for when the socket takes more."""
        if charger.out:
            charger.out += data
            return
        try:
            sent = charger.sock.write(data)
        except ssl.SSLWantWriteError:
            sent = 0
        except (OSError, ValueError) as error:
            self.gone(charger, _reason(error))
            return
        if sent < len(data):
            charger.out = data[sent:]
            self._poller.modify(charger.fd, EPOLLIN | EPOLLOUT)

    def read(self, charger: Charger) -> None:
        """Read what has come, and act on it."""
        try:
            data = charger.sock.read(READ_BYTES)
            size = len(data)
            if size == READ_BYTES:
                while charger.sock.pending():
                    data += charger.sock.read(READ_BYTES)
        except ssl.SSLWantReadError:
            return
        except (OSError, ValueError) as error:
            self.gone(charger, _reason(error))
            return
        expected = charger.expected
        if (
            expected is not None
            and size < 128
            and data[2:16] == expected
            and data[1] == size - 2
            and charger.state == READY
            and not charger.rest
        ):
            self._answered(charger)
            return
        if not data:
            self.gone(charger, "end of stream")
            return
        try:
            self._digest(charger, charger.rest + data)
        except wire.Unexpected as problem:
            self.gone(charger, str(problem))

    def _answered(self, charger: Charger) -> None:
        """The message under way is confirmed; the next one, if there is one."""
        charger.expected = None
        load, now = self.load, clock()
        if charger.due:
            if load is not None:
                load.answered(charger.due, now)
            charger.due = 0.0
        if charger.waiting:
            self.call(charger, *charger.waiting.popleft())
        elif load is not None and load.closed and not load.stopping:
            self._next_turn(load.turns, charger, load.closed, now)

    def _next_turn(self, turns: deque[int], charger: Charger, action: str, now: float) -> None:
        """The next message of a closed loop: of the charger that has waited the longest, which is ``charger`` itself
        where all are under way."""
        turns.append(charger.index)
        while turns:
            following = self.present[turns.popleft()]
            if following is not None and following.state == READY and following.expected is None:
                self.call(following, action, now)
                return

    def _digest(self, charger: Charger, data: bytes) -> None:
        """All that isn't just the answer waited for. Raises Unexpected."""
        charger.rest = b""
        if charger.state == HTTP:
            behind = self._upgraded(charger, data)
            if behind is None:
                charger.rest = data
                return
            data = behind
        found, rest = wire.frames(data)
        for opcode, payload in found:
            if charger.state == GONE:
                return
            if opcode == wire.TEXT:
                self._heard(charger, payload)
            elif opcode == wire.PING:
                self.write(charger, wire.frame(wire.PONG, payload))
            elif opcode == wire.CLOSE:
                code = wire.close_code(payload)
                self.write(charger, wire.close_frame(code if code != 1005 else 1000))
                self.gone(charger, f"closed {code}")
                return
        if charger.state != GONE:
            charger.rest = rest

    def _heard(self, charger: Charger, text: bytes) -> None:
        message = wire.parse(text)
        if message[0] == 2:
            asked = wire.Asked(message)
            self.asked[asked.action] += 1
            self.write(charger, asked.reply)
            if asked.then is not None and charger.state == READY:
                if charger.expected is None:
                    self.call(charger, asked.then, 0.0)
                else:
                    charger.wait(asked.then, 0.0)
            return
        if charger.expected is None or message[1].encode() != charger.expected[wire.ID]:
            raise wire.Unexpected("an answer that nobody waits for")
        if charger.state == SCRIPT:
            charger.expected = None
            self._scripted(charger, message)
            return
        if message[0] == 4:
            self._count_error(f"CALLERROR {message[2]}")
            charger.due = 0.0
        self._answered(charger)

    # --- ends -------------------------------------------------------------------------------------------------

    def gone(self, charger: Charger, reason: str) -> None:
        """Note that the connection ended without an order of the driver."""
        if charger.state == GONE:
            return
        phase, successor, replaces = charger.state, charger.successor, charger.replaces
        self.drop(charger)
        if phase < READY:
            self.failed(charger.index, reason if phase <= TLS else f"{PHASES[phase]}: {reason}")
            self._give_back(replaces)
        elif successor is not None:
            self._ended_by_server(successor, reason)
        else:
            self._count_error(f"lost: {reason}")

    def _give_back(self, replaces: Charger | None) -> None:
        """A newcomer failed: the one that it was to replace is who is there, if it still is."""
        if replaces is not None and replaces.state == READY:
            replaces.successor = None
            self.present[replaces.index] = replaces
            if self.job is not None:
                self.job.predecessors -= 1

    def _ended_by_server(self, successor: Charger, reason: str) -> None:
        """A connection that another has replaced."""
        successor.replaces = None
        if self.job is not None and self.job.predecessors:
            self.job.predecessors -= 1
            self.job.ends[reason] += 1
            if successor.upgraded:
                self.job.overlaps.append(microseconds(clock() - successor.upgraded))

    def drop(self, charger: Charger) -> None:
        """Close the socket and forget it."""
        if charger.state == GONE:
            return
        charger.state = GONE
        self.by_fd[charger.fd] = None
        if self.present[charger.index] is charger:
            self.present[charger.index] = None
        charger.due, charger.waiting, charger.expected = 0.0, None, None
        charger.replaces = charger.successor = None
        try:
            charger.sock.close()
        except OSError:
            pass

    def failed(self, index: int, reason: str) -> None:
        """One that was to do something did not."""
        if self.job is not None:
            self.job.failed(index, reason)
        else:
            self._count_error(reason)

    def _count_error(self, reason: str) -> None:
        self.errors[reason] += 1
        if self.load is not None:
            self.load.errors[reason] += 1


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or type(error).__name__).lower().replace("_", " ")
    if isinstance(error, OSError) and error.errno:
        return errno.errorcode.get(error.errno, str(error.errno))
    return type(error).__name__

"""A process full of chargers: ``python -m bench.fleet_process``, told what to do by JSON lines on standard input.

One thread, one epoll, non-blocking TLS sockets, frames built ahead (``bench.wire``): thousands of sessions that cost
well below what the server spends on them, so that the server is what is measured. Each charger has one CALL under way
at a time (J §4.1.1), confirms what the server asks at once, and answers pings. Latencies are counted from the moment a
message was due, also where it had to wait for the answer to the one before it (coordinated omission).

``bench.fleet`` is the other side of the pipe. Linux only.
"""

import ctypes
import errno
import gc
import json
import os
import resource
import socket
import ssl
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from select import EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, epoll
from typing import Any

from hdrh.histogram import HdrHistogram

from bench import wire

READ_BYTES = 4096
"""Asked of TLS at once: more than any usual answer, and what lies beyond is asked for at once."""

IP_BIND_ADDRESS_NO_PORT = 24
"""From Linux's <netinet/in.h>: the port is chosen by connect(), which may then give it to several addresses."""

OPENING = 64
"""Connections that are opened at once where no rate is asked for."""

EVENTS = 256
"""Looked at in one turn: few enough that no answer waits for long behind others."""

SWEEP_SECONDS = 0.25
PROGRESS_SECONDS = 0.5
DRAIN_SECONDS = 10.0
"""How long the last answers may take once no more is sent."""

TCP, TLS, HTTP, SCRIPT, READY, GONE = range(6)
PHASES = ("connect", "TLS", "upgrade", "first messages", "ready", "gone")

LOWEST_US, HIGHEST_US, DIGITS = 1, 60_000_000, 3

clock = time.monotonic


class Charger:
    """One connection of one charge point. ``begun``: when it was due to connect; ``due``: the message under way."""

    __slots__ = (
        "asked_again",
        "begun",
        "due",
        "expected",
        "fd",
        "index",
        "number",
        "out",
        "reading",
        "replaces",
        "rest",
        "script",
        "sock",
        "state",
        "successor",
        "transaction",
        "upgraded",
        "waiting",
    )

    def __init__(self, index: int, sock: socket.socket, script: tuple[str, ...], begun: float) -> None:
        self.index = index
        self.sock: Any = sock
        self.fd = sock.fileno()
        self.state = TCP
        self.script = script
        self.begun = begun
        self.due = 0.0
        self.upgraded = 0.0
        self.number = wire.FIRST_ID
        self.reading = wire.FIRST_READING
        self.transaction = 0
        self.expected: bytes | None = None
        self.rest = b""
        self.out = b""
        self.waiting: deque[tuple[str, float]] | None = None
        self.replaces: Charger | None = None
        self.successor: Charger | None = None


class Job:
    """Something that is to happen once for each of some chargers: to connect, to take over, to send one message."""

    def __init__(
        self,
        name: str,
        order: Sequence[int],
        rate: float | None,
        begin: Callable[[int, float], None],
        seconds_each: float,
    ) -> None:
        self.name = name
        self.order = order
        self.rate = rate
        self.begin = begin
        self.seconds_each = seconds_each
        self.started = clock()
        self.cpu = time.process_time()
        self.begun = 0
        self.pending: dict[int, float] = {}
        """Index to when it was due, the oldest first."""
        self.done: list[int] = []
        self.failures: Counter[str] = Counter()
        self.latencies = array("I")
        self.ends: Counter[str] = Counter()
        self.overlaps = array("I")
        self.predecessors = 0

    @property
    def next_due(self) -> float:
        if self.begun >= len(self.order):
            return float("inf")
        if self.rate is None:
            return 0.0 if len(self.pending) < OPENING else float("inf")
        return self.started + self.begun / self.rate

    def start_due(self, now: float) -> None:
        while (due := self.next_due) <= now:
            index = self.order[self.begun]
            self.begun += 1
            due = due or now
            self.pending[index] = due
            self.begin(index, due)

    def succeeded(self, index: int) -> None:
        if self.pending.pop(index, None) is not None:
            self.done.append(index)

    def failed(self, index: int, reason: str) -> None:
        if self.pending.pop(index, None) is not None:
            self.failures[reason] += 1

    @property
    def over(self) -> bool:
        return self.begun == len(self.order) and not self.pending and not self.predecessors

    def overtaken(self) -> int:
        """By how many later ones somebody was overtaken at most."""
        place = {index: at for at, index in enumerate(self.order)}
        return max((at - place[index] for at, index in enumerate(self.done)), default=0)


class Load:
    """Messages while they are sent. ``closed``: the action that each charger repeats, or None in the open loop."""

    def __init__(self, closed: str | None, schedules: dict[str, wire.Schedule]) -> None:
        self.closed = closed
        self.schedules = schedules
        self.stopping = 0.0
        self.mark()

    def mark(self) -> None:
        """From here on it counts."""
        self.since = clock()
        self.cpu = time.process_time()
        self.latencies = array("I")
        self.errors: Counter[str] = Counter()
        self.longest_turn = 0.0

    def stop(self) -> None:
        self.stopping = clock()
        self.seconds = self.stopping - self.since
        self.in_time = len(self.latencies)
        self.cpu_seconds = time.process_time() - self.cpu


class Alarm:
    """Wakes an epoll at a time, to the microsecond; epoll's own timeout counts milliseconds."""

    def __init__(self, poller: epoll) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = self._libc.timerfd_create(1, os.O_NONBLOCK | os.O_CLOEXEC)  # CLOCK_MONOTONIC
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._when = (ctypes.c_long * 4)()
        self._set = self._libc.timerfd_settime
        self._at = 0.0
        poller.register(self.fd, EPOLLIN | EPOLLET)  # edge-triggered: nobody needs to read it

    def set(self, at: float) -> None:
        if at != self._at:
            self._at = at
            seconds = int(at)
            self._when[2], self._when[3] = seconds, int((at - seconds) * 1e9)
            self._set(self.fd, 1, self._when, None)  # TFD_TIMER_ABSTIME


class FleetProcess:
    """The chargers and the loop that moves them."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._address = (plan["host"], plan["port"])
        self._path: str = plan["path"]
        self._keys = [(identity, bytes.fromhex(key)) for identity, key in plan["credentials"]]
        self._sources: list[str] = plan["sources"]
        self._offset: float = plan["offset"]
        self._tls = ssl.create_default_context(cafile=plan["ca_file"])
        self._poller = epoll()
        self._poller.register(0, EPOLLIN)
        self._alarm = Alarm(self._poller)
        self._by_fd: list[Charger | None] = [None] * (resource.getrlimit(resource.RLIMIT_NOFILE)[0] + 1)
        self._chargers: list[Charger | None] = [None] * len(self._keys)
        self._job: Job | None = None
        self._load: Load | None = None
        self._errors: Counter[str] = Counter()
        self._input = b""
        self._ended = False
        self._now = b""
        self._expect_end = False
        self._progress_at = 0.0

    # --- the loop ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection in here would look like the server's latency; nothing here makes cycles
        poll, by_fd, alarm = self._poller.poll, self._by_fd, self._alarm.fd
        sweep_at = 0.0
        while not self._ended:
            events = poll(self._timeout(), EVENTS)
            began = clock()
            self._now = _text(time.time())
            for fd, mask in events:
                charger = by_fd[fd]
                if charger is not None:
                    if charger.state >= HTTP and mask == EPOLLIN:
                        self._read(charger)
                    else:
                        self._slow(charger, mask)
                elif fd == 0:
                    self._take_input()
                elif fd != alarm:
                    self._poller.unregister(fd)
            self._send_due()
            now = clock()
            if self._load is not None and now - began > self._load.longest_turn:
                self._load.longest_turn = now - began
            if now >= sweep_at:
                sweep_at = now + SWEEP_SECONDS
                self._sweep(now)
            if self._job is not None and self._job.over:
                self._finish_job(self._job)

    def _timeout(self) -> float:
        """Sets the alarm for what is due next; how long to wait at most."""
        due = self._job.next_due if self._job is not None else float("inf")
        if self._load is not None and not self._load.stopping:
            for schedule in self._load.schedules.values():
                due = min(due, schedule.next_due)
        if due <= clock():
            return 0.0
        if due != float("inf"):
            self._alarm.set(due)
        return SWEEP_SECONDS

    def _send_due(self) -> None:
        if self._job is not None:
            self._job.start_due(clock())
        if self._load is not None and not self._load.stopping:
            for action, schedule in self._load.schedules.items():
                for index, due in schedule.take(clock()):
                    charger = self._chargers[index]
                    if charger is None or charger.state != READY:
                        self._load.errors["due on a session that is not there"] += 1
                    elif charger.expected is None:
                        self._call(charger, action, due)
                    else:
                        if charger.waiting is None:
                            charger.waiting = deque()
                        charger.waiting.append((action, due))

    def _sweep(self, now: float) -> None:
        job = self._job
        if job is not None:
            for index, due in list(job.pending.items()):
                if now - due < job.seconds_each:
                    break
                charger = self._chargers[index]
                phase = PHASES[charger.state] if charger is not None else "connect"
                job.failed(index, f"no answer in {job.seconds_each:g} s: {phase}")
                if charger is not None and charger.state != READY:
                    self._drop(charger)
            if now >= self._progress_at:
                self._progress_at = now + PROGRESS_SECONDS
                _tell({"progress": len(job.done) + sum(job.failures.values())})
            if (
                job.predecessors
                and not job.pending
                and now - job.started > job.seconds_each + len(job.order) / (job.rate or len(job.order))
            ):
                job.ends["still open"] += job.predecessors
                job.predecessors = 0
        load = self._load
        if load is not None and load.stopping:
            left = sum(1 for each in self._chargers if each is not None and (each.due or each.waiting))
            if not left or now - load.stopping > DRAIN_SECONDS:
                self._finish_load(load)

    # --- a charger's beginnings -------------------------------------------------------------------------------

    def _connect(self, index: int, due: float, script: tuple[str, ...]) -> Charger | None:
        try:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        except OSError as error:
            self._failed(index, f"socket: {errno.errorcode.get(error.errno or 0, '?')}")
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
            self._failed(index, f"connect: {errno.errorcode.get(code, '?')}")
            return None
        charger = Charger(index, sock, script, due)
        self._by_fd[charger.fd] = charger
        self._poller.register(charger.fd, EPOLLOUT)
        return charger

    def _slow(self, charger: Charger, mask: int) -> None:
        """All but plain input of an open session."""
        if charger.state == TCP:
            code = charger.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._gone(charger, f"connect: {errno.errorcode.get(code, '?')}")
                return
            charger.sock = self._tls.wrap_socket(
                charger.sock, do_handshake_on_connect=False, server_hostname="localhost"
            )
            charger.state = TLS
            self._poller.modify(charger.fd, EPOLLIN)
            self._shake_hands(charger)
        elif charger.state == TLS:
            self._shake_hands(charger)
        elif mask & EPOLLOUT and charger.out:
            data, charger.out = charger.out, b""
            self._poller.modify(charger.fd, EPOLLIN)
            self._write(charger, data)
        if charger.state >= HTTP and mask & (EPOLLIN | EPOLLERR | EPOLLHUP):
            self._read(charger)

    def _shake_hands(self, charger: Charger) -> None:
        try:
            charger.sock.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            self._poller.modify(charger.fd, EPOLLIN | EPOLLOUT)
            return
        except OSError as error:
            self._gone(charger, f"TLS: {_reason(error)}")
            return
        charger.state = HTTP
        self._poller.modify(charger.fd, EPOLLIN)
        identity, key = self._keys[charger.index]
        self._write(charger, wire.upgrade_request(self._path, identity, key))

    def _upgraded(self, charger: Charger, data: bytes) -> bytes | None:
        """What follows the HTTP answer, None while that isn't whole. Raises Unexpected."""
        answer = wire.upgrade_answer(data)
        if answer is None:
            return None
        code, rest = answer
        if code != 101:
            raise wire.Unexpected(f"HTTP {code}")
        charger.state = SCRIPT
        charger.upgraded = clock()
        self._go_on(charger)
        return rest

    def _go_on(self, charger: Charger) -> None:
        """The script's next message, or ready."""
        if charger.script:
            self._call(charger, charger.script[0], 0.0)
            return
        charger.state = READY
        if self._job is not None:
            if charger.upgraded and not self._job.name.startswith("send"):
                self._count_connected(charger)
            self._job.succeeded(charger.index)
        if self._load is not None and self._load.closed and not self._load.stopping:
            self._call(charger, self._load.closed, clock())

    def _count_connected(self, charger: Charger) -> None:
        if not charger.number > wire.FIRST_ID and self._job is not None:  # nothing was to be said: open is all
            self._job.latencies.append(_microseconds(charger.upgraded - charger.begun))

    def _scripted(self, charger: Charger, message: list[Any]) -> None:
        """An answer to a message of the script. Raises Unexpected."""
        action, charger.script = charger.script[0], charger.script[1:]
        if message[0] != 3:
            raise wire.Unexpected(f"{action}: CALLERROR {message[2]}")
        if action == "BootNotification":
            if message[2].get("status") != "Accepted":
                raise wire.Unexpected(f"BootNotification: {message[2].get('status')}")
            if self._job is not None and charger.index in self._job.pending:
                self._job.latencies.append(_microseconds(clock() - charger.begun))
        elif action == "StartTransaction":
            charger.transaction = int(message[2].get("transactionId", 0))
        self._go_on(charger)

    # --- a charger's messages ---------------------------------------------------------------------------------

    def _call(self, charger: Charger, action: str, due: float) -> None:
        """Send a CALL; ``due`` 0 for one whose answer isn't counted."""
        charger.number += 1
        charger.reading += 1
        charger.due = due
        charger.expected = b'[3,"%d",' % charger.number
        self._write(charger, wire.MESSAGES[action](charger.number, self._now, charger.transaction, charger.reading))

    def _write(self, charger: Charger, data: bytes) -> None:
        if charger.out:
            charger.out += data
            return
        try:
            sent = charger.sock.write(data)
        except ssl.SSLWantWriteError:
            sent = 0
        except (OSError, ValueError) as error:
            self._gone(charger, _reason(error))
            return
        if sent < len(data):
            charger.out = data[sent:]
            self._poller.modify(charger.fd, EPOLLIN | EPOLLOUT)

    def _read(self, charger: Charger) -> None:
        try:
            data = charger.sock.read(READ_BYTES)
        except ssl.SSLWantReadError:
            return
        except (OSError, ValueError) as error:
            self._gone(charger, _reason(error))
            return
        expected = charger.expected
        size = len(data)
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
            self._gone(charger, "end of stream")
            return
        if size == READ_BYTES:
            while charger.sock.pending():
                data += charger.sock.read(READ_BYTES)
        try:
            self._digest(charger, charger.rest + data)
        except wire.Unexpected as problem:
            self._gone(charger, str(problem))

    def _answered(self, charger: Charger) -> None:
        """The message under way is confirmed; the next one, if there is one."""
        charger.expected = None
        load, now = self._load, clock()
        if load is None:
            charger.due = 0.0
            return
        if charger.due:
            load.latencies.append(_microseconds(now - charger.due))
            charger.due = 0.0
        if load.closed:
            if not load.stopping:
                self._call(charger, load.closed, now)
        elif charger.waiting:
            self._call(charger, *charger.waiting.popleft())

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
                self._write(charger, wire.frame(wire.PONG, payload))
            elif opcode == wire.CLOSE:
                code = wire.close_code(payload)
                self._write(charger, wire.close_frame(code if code != 1005 else 1000))
                self._gone(charger, f"closed {code}")
                return
        if charger.state != GONE:
            charger.rest = rest

    def _heard(self, charger: Charger, text: bytes) -> None:
        message = wire.parse(text)
        if message[0] == 2:
            asked = wire.Asked(message)
            self._write(charger, asked.reply)
            if asked.then is not None and charger.state == READY:
                self._say_also(charger, asked.then)
            return
        if charger.expected is None or message[1].encode() != charger.expected[4:12]:
            raise wire.Unexpected("an answer that nobody waits for")
        if charger.state == SCRIPT:
            charger.expected = None
            self._scripted(charger, message)
            return
        if message[0] == 4:
            self._count_error(f"CALLERROR {message[2]}")
            charger.due = 0.0
        self._answered(charger)

    def _say_also(self, charger: Charger, action: str) -> None:
        """What a TriggerMessage asked for: after the message under way."""
        if charger.expected is None:
            self._call(charger, action, 0.0)
        elif self._load is not None and not self._load.closed:
            if charger.waiting is None:
                charger.waiting = deque()
            charger.waiting.append((action, 0.0))

    # --- ends -------------------------------------------------------------------------------------------------

    def _gone(self, charger: Charger, reason: str) -> None:
        """The connection is over, by whatever was not our doing."""
        if charger.state == GONE:
            return
        phase, successor = charger.state, charger.successor
        self._drop(charger)
        if phase < READY and charger.begun:
            self._failed(charger.index, reason if phase <= TLS else f"{PHASES[phase]}: {reason}")
        elif successor is not None:
            job = self._job
            if job is not None and job.predecessors:
                job.predecessors -= 1
                job.ends[reason] += 1
                if successor.upgraded:
                    job.overlaps.append(_microseconds(clock() - successor.upgraded))
        else:
            self._count_error(f"lost: {reason}")

    def _drop(self, charger: Charger) -> None:
        if charger.state == GONE:
            return
        charger.state = GONE
        self._by_fd[charger.fd] = None
        if self._chargers[charger.index] is charger:
            self._chargers[charger.index] = None
        charger.due, charger.waiting, charger.expected = 0.0, None, None
        charger.replaces = charger.successor = None
        try:
            charger.sock.close()
        except OSError:
            pass

    def _failed(self, index: int, reason: str) -> None:
        if self._job is not None:
            self._job.failed(index, reason)
        else:
            self._count_error(reason)

    def _count_error(self, reason: str) -> None:
        self._errors[reason] += 1
        if self._load is not None:
            self._load.errors[reason] += 1

    # --- what we are told -------------------------------------------------------------------------------------

    def _take_input(self) -> None:
        data = os.read(0, 1 << 20)
        if not data:
            self._ended = True
            return
        *lines, self._input = (self._input + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            getattr(self, "do_" + order.pop("do"))(**order)

    def do_connect(self, rate: float | None, script: list[str], order: list[int] | None, seconds_each: float) -> None:
        def begin(index: int, due: float) -> None:
            self._chargers[index] = self._connect(index, due, tuple(script))

        absent = [index for index in order or range(len(self._keys)) if self._chargers[index] is None]
        self._job = Job("connect", absent, rate, begin, seconds_each)

    def do_takeover(self, rate: float | None, script: list[str], seconds_each: float) -> None:
        """Each live charger connects once more while its connection is open."""

        def begin(index: int, due: float) -> None:
            present = self._chargers[index]
            newcomer = self._connect(index, due, tuple(script))
            if newcomer is None:
                return
            if present is not None:
                job.predecessors += 1
                present.successor, newcomer.replaces = newcomer, present
            self._chargers[index] = newcomer

        alive = [index for index, each in enumerate(self._chargers) if each is not None and each.state == READY]
        job = self._job = Job("takeover", alive, rate, begin, seconds_each)

    def do_send(self, action: str, rate: float | None, seconds_each: float) -> None:
        """Each live charger sends one message."""

        def begin(index: int, due: float) -> None:
            charger = self._chargers[index]
            if charger is None or charger.state != READY or charger.expected is not None:
                self._failed(index, "not there, or busy")
                return
            charger.state, charger.script = SCRIPT, (action,)
            self._go_on(charger)

        alive = [index for index, each in enumerate(self._chargers) if each is not None and each.state == READY]
        self._job = Job(f"send {action}", alive, rate, begin, seconds_each)

    def do_closed_loop(self, action: str) -> None:
        self._load = Load(action, {})
        self._now = _text(time.time())
        for charger in self._chargers:
            if charger is not None and charger.state == READY and charger.expected is None:
                self._call(charger, action, clock())

    def do_open_loop(self, every: dict[str, float]) -> None:
        begin = clock()
        members = len(self._keys)
        self._load = Load(
            None,
            {action: wire.Schedule(begin, period, members, self._offset) for action, period in every.items()},
        )

    def do_mark(self) -> None:
        if self._load is not None:
            self._load.mark()

    def do_stop(self) -> None:
        if self._load is None:
            _tell({"error": "nothing to stop"})
            return
        self._load.stop()

    def do_disconnect(self, abrupt: bool) -> None:
        for charger in [each for each in self._by_fd if each is not None]:
            if abrupt:
                charger.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            elif charger.state == READY:
                self._write(charger, wire.close_frame(1000))
            self._drop(charger)
        _tell({"disconnected": True})

    def do_check(self) -> None:
        alive = sum(1 for each in self._chargers if each is not None and each.state == READY)
        _tell({"alive": alive, "errors": self._errors, "cpu_seconds": time.process_time(), "rss_bytes": _rss()})
        self._errors = Counter()

    def do_end(self) -> None:
        self._ended = True

    # --- what we tell -----------------------------------------------------------------------------------------

    def _finish_job(self, job: Job) -> None:
        self._job = None
        _tell(
            {
                "job": job.name,
                "done": len(job.done),
                "failures": job.failures,
                "seconds": clock() - job.started,
                "cpu_seconds": time.process_time() - job.cpu,
                "latency": _encoded(job.latencies),
                "overtaken": job.overtaken(),
                "ends": job.ends,
                "overlap": _encoded(job.overlaps),
            }
        )

    def _finish_load(self, load: Load) -> None:
        self._load = None
        for charger in self._chargers:
            if charger is not None and (charger.due or charger.waiting):
                load.errors["unanswered"] += len(charger.waiting or ()) + bool(charger.due)
                charger.due, charger.waiting = 0.0, None
        _tell(
            {
                "messages": len(load.latencies),
                "in_time": load.in_time,
                "seconds": load.seconds,
                "cpu_seconds": load.cpu_seconds,
                "latency": _encoded(load.latencies),
                "errors": load.errors,
                "longest_turn": load.longest_turn,
            }
        )


def _microseconds(seconds: float) -> int:
    us = int(seconds * 1e6)
    return LOWEST_US if us < LOWEST_US else HIGHEST_US if us > HIGHEST_US else us


def _encoded(values: Sequence[int]) -> str:
    histogram = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
    for value, count in Counter(values).items():
        histogram.record_value(value, count)
    return histogram.encode().decode()


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or type(error).__name__).lower().replace("_", " ")
    if isinstance(error, OSError) and error.errno:
        return errno.errorcode.get(error.errno, str(error.errno))
    return type(error).__name__


def _text(now: float) -> bytes:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3].encode() + b"Z"


def _rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _tell(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit = min(hard, 1 << 20) if hard != resource.RLIM_INFINITY else 1 << 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    plan = json.loads(_first_line())
    if plan["cores"]:
        os.sched_setaffinity(0, plan["cores"])
    process = FleetProcess(plan)
    _tell({"ready": True})
    try:
        process.run()
    except KeyboardInterrupt:
        return 130
    return 0


def _first_line() -> bytes:
    parts = []
    while True:
        data = os.read(0, 1 << 20)
        if not data:
            raise SystemExit("no plan on standard input")
        parts.append(data)
        if data.endswith(b"\n"):  # nothing follows before we said that we are ready
            return b"".join(parts)


if __name__ == "__main__":
    sys.exit(main())

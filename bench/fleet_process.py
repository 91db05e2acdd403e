"""A process full of chargers: ``python -m bench.fleet_process``, controlled by JSON lines on standard input.

One thread, one epoll, frames built ahead (`bench.wire`): thousands of sessions (`bench.fleet_chargers`) that cost well
below what the server spends on them, so that the server is what is measured. Latencies are counted from the moment a
message was due, also where it had to wait for the answer to the one before it (coordinated omission).

``bench.fleet`` is the other side of the pipe. Linux only.
"""

import ctypes
import gc
import json
import os
import resource
import socket
import ssl
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from select import EPOLLET, EPOLLIN, epoll
from typing import Any

from bench import wire
from bench.fleet_charger import HTTP, PHASES, READY, SCRIPT, Charger
from bench.fleet_chargers import RESET_ON_CLOSE, Chargers
from bench.fleet_jobs import Job, Load, clock, encoded

EVENTS = 256
"""Looked at in one turn: few enough that no answer waits for long behind others."""

SWEEP_SECONDS = 0.25
PROGRESS_SECONDS = 0.5

DRAIN_SECONDS = 10.0
"""How long the last answers may take once no more is sent, and replaced connections to end."""


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
        poller.register(self.fd, EPOLLIN | EPOLLET)  # edge-triggered: it need not be read

    def set(self, at: float) -> None:
        if at != self._at:
            self._at = at
            seconds = int(at)
            self._when[2], self._when[3] = seconds, int((at - seconds) * 1e9)
            self._set(self.fd, 1, self._when, None)  # TFD_TIMER_ABSTIME


class FleetProcess:
    """The loop, and the orders that it is given: methods named ``do_`` and the order's name."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._offset: float = plan["offset"]
        self._poller = epoll()
        self._poller.register(0, EPOLLIN)
        self._alarm = Alarm(self._poller)
        self._chargers = Chargers(
            (plan["host"], plan["port"]),
            plan["path"],
            ssl.create_default_context(cafile=plan["ca_file"]),
            [(identity, bytes.fromhex(key)) for identity, key in plan["credentials"]],
            plan["sources"],
            self._poller,
            resource.getrlimit(resource.RLIMIT_NOFILE)[0] + 1,
        )
        self._input = b""
        self._ended = False
        self._progress_at = 0.0

    # --- the loop ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run until asked to end, or until standard input ends."""
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection in here would look like the server's latency; nothing here makes cycles
        chargers, alarm = self._chargers, self._alarm.fd
        poll, by_fd = self._poller.poll, chargers.by_fd
        sweep_at = 0.0
        while not self._ended:
            events = poll(self._timeout(), EVENTS)
            began = clock()
            chargers.now = _text(time.time())
            for fd, mask in events:
                charger = by_fd[fd]
                if charger is not None:
                    if charger.state >= HTTP and mask == EPOLLIN:
                        chargers.read(charger)
                    else:
                        chargers.slow(charger, mask)
                elif fd == 0:
                    self._take_input()
                elif fd != alarm:
                    raise AssertionError(f"nobody has descriptor {fd}")
            self._begin_due()
            now = clock()
            if chargers.load is not None and now - began > chargers.load.longest_turn:
                chargers.load.longest_turn = now - began
            if now >= sweep_at:
                sweep_at = now + SWEEP_SECONDS
                self._sweep(now)
            if chargers.job is not None and chargers.job.over:
                self._finish_job(chargers.job)

    def _timeout(self) -> float:
        """Sets the alarm for what is due next; how long to wait at most."""
        job, load = self._chargers.job, self._chargers.load
        due = job.next_due if job is not None else float("inf")
        if load is not None and not load.stopping:
            for schedule in load.schedules.values():
                due = min(due, schedule.next_due)
        if due <= clock():
            return 0.0
        if due != float("inf"):
            self._alarm.set(due)
        return SWEEP_SECONDS

    def _begin_due(self) -> None:
        job, load = self._chargers.job, self._chargers.load
        if job is not None:
            job.start_due(clock())
        if load is not None and not load.stopping:
            for action, schedule in load.schedules.items():
                for index, due in schedule.take(clock()):
                    self._say(load, index, action, due)

    def _say(self, load: Load, index: int, action: str, due: float) -> None:
        charger = self._chargers.present[index]
        if charger is None or charger.state != READY:
            load.errors["due on a session that is not there"] += 1
        elif charger.expected is None:
            self._chargers.call(charger, action, due)
        else:
            charger.wait(action, due)

    def _sweep(self, now: float) -> None:
        """End what takes too long, and what is over unnoticed."""
        job, load = self._chargers.job, self._chargers.load
        if job is not None:
            for index, due in list(job.pending.items()):
                if now - due < job.seconds_each:
                    break
                self._give_up(job, index)
            if job.predecessors and not job.pending and now - job.moved > DRAIN_SECONDS:
                job.ends["still open"] += job.predecessors
                job.predecessors = 0
            if now >= self._progress_at:
                self._progress_at = now + PROGRESS_SECONDS
                _tell({"progress": len(job.done) + sum(job.failures.values())})
        if load is not None and load.stopping:
            waiting = any(each is not None and (each.due or each.waiting) for each in self._chargers.present)
            if not waiting or now - load.stopping > DRAIN_SECONDS:
                self._finish_load(load)

    def _give_up(self, job: Job, index: int) -> None:
        charger = self._chargers.present[index]
        phase = PHASES[charger.state] if charger is not None else PHASES[0]
        reason = f"no answer in {job.seconds_each:g} s: {phase}"
        if charger is not None and charger.state != READY:
            self._chargers.gone(charger, reason)
        job.failed(index, reason)

    # --- orders -----------------------------------------------------------------------------------------------

    def _take_input(self) -> None:
        data = os.read(0, 1 << 20)
        if not data:
            self._ended = True
            return
        *lines, self._input = (self._input + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            getattr(self, "do_" + order.pop("do"))(**order)

    def do_connect(
        self, rate: float | None, script: list[str], order: list[int], seconds_each: float, at_once: int
    ) -> None:
        """Each in ``order`` that isn't there connects and says what is in the script."""
        chargers = self._chargers

        def begin(index: int, due: float) -> None:
            chargers.present[index] = chargers.connect(index, due, tuple(script))

        absent = [index for index in order if chargers.present[index] is None]
        chargers.job = Job(absent, rate, begin, seconds_each, at_once)

    def do_takeover(self, rate: float | None, script: list[str], seconds_each: float) -> None:
        """Each that is there connects once more while its connection is open."""
        chargers = self._chargers

        def begin(index: int, due: float) -> None:
            present = chargers.present[index]
            newcomer = chargers.connect(index, due, tuple(script))
            if newcomer is None:
                return
            if present is not None:
                job.predecessors += 1
                present.successor, newcomer.replaces = newcomer, present
            chargers.present[index] = newcomer

        job = chargers.job = Job(chargers.ready(), rate, begin, seconds_each)

    def do_send(self, action: str, rate: float | None, seconds_each: float) -> None:
        """Each that is there sends one message."""
        chargers = self._chargers

        def begin(index: int, due: float) -> None:
            charger = chargers.present[index]
            if charger is None or charger.state != READY or charger.expected is not None:
                chargers.failed(index, "not there, or busy")
                return
            charger.state, charger.script, charger.begun = SCRIPT, (action,), due
            chargers.go_on(charger)

        chargers.job = Job(chargers.ready(), rate, begin, seconds_each)

    def do_closed_loop(self, action: str, at_once: int | None) -> None:
        """Those that are there send, ``at_once`` of them (None: all): with each confirmation the next one does."""
        chargers = self._chargers
        chargers.load = load = Load(action, {})
        chargers.now = _text(time.time())
        idle = [index for index in chargers.ready() if _idle(chargers.present[index])]
        load.turns.extend(idle[at_once:] if at_once is not None else ())
        for index in idle[:at_once]:
            charger = chargers.present[index]
            if charger is not None:
                chargers.call(charger, action, clock())

    def do_open_loop(self, every: dict[str, float]) -> None:
        """Each sends these actions once in so many seconds, all of them spread evenly."""
        begin, members = clock(), len(self._chargers)
        schedules = {action: wire.Schedule(begin, period, members, self._offset) for action, period in every.items()}
        self._chargers.load = Load(None, schedules)

    def do_mark(self) -> None:
        """Count from here on."""
        if self._chargers.load is not None:
            self._chargers.load.mark()

    def do_stop(self) -> None:
        """Send no more; tell what came of it once the last answers are in."""
        if self._chargers.load is not None:
            self._chargers.load.stop()

    def do_disconnect(self, abrupt: bool, share: float) -> None:
        """The first ``share`` of those that are there, with a Close frame or with a reset; of all, others as well."""
        chargers = self._chargers
        ready = chargers.ready()
        there = [chargers.present[index] for index in ready[: round(share * len(ready))]]
        for charger in chargers.by_fd if share >= 1 else there:
            if charger is None:
                continue
            if abrupt:
                charger.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            elif charger.state == READY:
                chargers.write(charger, wire.close_frame(1000))
            chargers.drop(charger)
        _tell({"disconnected": True})

    def do_check(self) -> None:
        """Tell how many are there, and what was counted since the last time."""
        chargers = self._chargers
        alive = len(chargers.ready())
        _tell({"alive": alive, "errors": chargers.errors, "asked": chargers.asked, "rss_bytes": _rss()})
        chargers.errors, chargers.asked = Counter(), Counter()

    # --- reports ----------------------------------------------------------------------------------------------

    def _finish_job(self, job: Job) -> None:
        self._chargers.job = None
        _tell(
            {
                "done": len(job.done),
                "failures": job.failures,
                "seconds": job.moved - job.started,
                "begun_seconds": job.last_begun - job.started,
                "cpu_seconds": time.process_time() - job.cpu,
                "latency": encoded(job.latencies),
                "overtaken": job.overtaken(),
                "ends": job.ends,
                "overlap": encoded(job.overlaps),
            }
        )

    def _finish_load(self, load: Load) -> None:
        self._chargers.load = None
        for charger in self._chargers.present:
            if charger is not None and (charger.due or charger.waiting):
                load.errors["unanswered"] += len(charger.waiting or ()) + bool(charger.due)
                charger.due, charger.waiting = 0.0, None
        _tell(
            {
                "messages": len(load.latencies),
                "in_time": load.in_time,
                "seconds": load.seconds,
                "cpu_seconds": load.cpu_seconds,
                "latency": encoded(load.latencies),
                "errors": load.errors,
                "longest_turn": load.longest_turn,
                "pauses": load.pauses(),
            }
        )


def _idle(charger: Charger | None) -> bool:
    return charger is not None and charger.expected is None


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
